package lower

import (
	"math"

	"quern/ir/op"
)

// resampleCases are those of transposed convolution and Resize.
func resampleCases() []ruleCase {
	transposed := func(o *op.ConvTranspose, in ...operand) ruleCase { return ruleCase{op: o, in: in, ref: scattered(o)} }
	resize := func(mode string, scales ...float32) *op.Resize {
		return &op.Resize{Mode: mode, Scales: scales, Coordinates: "half_pixel", Nearest: "round_prefer_floor", CubicA: -0.75, Aspect: "stretch"}
	}
	nearest := resize("nearest", 1, 1, 2, 1.5)
	return []ruleCase{
		transposed(&op.ConvTranspose{Group: 1, Strides: []int{2, 2}, Pads: []int{1, 0, 0, 1}, OutputPadding: []int{1, 1}}, x(1, 2, 3, 4), w(1, 2, 3, 3, 2), b(3)),
		transposed(&op.ConvTranspose{Group: 1, Strides: []int{1, 3}, Dilations: []int{2, 3}}, x(1, 3, 3, 2), w(1, 3, 2, 2, 3)),
		transposed(&op.ConvTranspose{Group: 1, Strides: []int{3}, Pads: []int{4, 1}}, x(1, 2, 5), w(1, 2, 2, 3), b(2)),
		{op: nearest, in: []operand{x(1, 2, 3, 4)}, ref: moved(nearest, 0)},
		{op: resize("linear", 1, 1, 2, 3), in: []operand{x(1, 2, 3, 4)}, ref: bilinear(2, 3), inexact: true},
		{op: resize("linear", 1, 1, 1, 2), in: []operand{x(1, 3, 2, 5)}, ref: bilinear(1, 2), inexact: true},
	}
}

// scattered adds each input pixel times each tap to the result pixel that it belongs to.
func scattered(o *op.ConvTranspose) reference {
	return func(in []real, out []int) []float64 {
		x, w := in[0], in[1]
		h, wd := plane(x.shape)
		oh, ow := plane(out)
		kh, kw := plane(w.shape)
		n := len(w.shape) - 2
		y := make([]float64, out[1]*oh*ow)
		if len(in) > 2 {
			for i := range y {
				y[i] = in[2].f[i/(oh*ow)]
			}
		}
		for ic := range x.shape[1] {
			for oc := range out[1] {
				for i := range h * wd {
					for k := range kh * kw {
						oy := 0
						if n == 2 {
							oy = i/wd*at(o.Strides, 0, 1) + k/kw*at(o.Dilations, 0, 1) - at(o.Pads, 0, 0)
						}
						ox := i%wd*at(o.Strides, n-1, 1) + k%kw*at(o.Dilations, n-1, 1) - at(o.Pads, n-1, 0)
						if oy >= 0 && oy < oh && ox >= 0 && ox < ow {
							y[(oc*oh+oy)*ow+ox] += x.f[ic*h*wd+i] * w.f[(ic*out[1]+oc)*kh*kw+k]
						}
					}
				}
			}
		}
		return y
	}
}

// bilinear weighs the four pixels around a place; beyond the edge is the pixel at the edge.
func bilinear(sy, sx float64) reference {
	return func(in []real, out []int) []float64 {
		x := in[0]
		h, w := plane(x.shape)
		oh, ow := plane(out)
		var y []float64
		for c := range out[1] {
			for i := range oh * ow {
				py, px := (float64(i/ow)+0.5)/sy-0.5, (float64(i%ow)+0.5)/sx-0.5
				sum := 0.0
				for a := range 2 {
					for b := range 2 {
						fy, fx := math.Floor(py)+float64(a), math.Floor(px)+float64(b)
						at := (c*h+min(max(int(fy), 0), h-1))*w + min(max(int(fx), 0), w-1)
						sum += (1 - math.Abs(py-fy)) * (1 - math.Abs(px-fx)) * x.f[at]
					}
				}
				y = append(y, sum)
			}
		}
		return y
	}
}
