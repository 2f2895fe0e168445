package op

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/ir/tensor"
)

// axisWeights are the weights of all input pixels for one place x, as ONNX's text has them: each of the neighbours of x gets its
// coefficient; one that is outside counts at the edge, or not at all.
func (o *Resize) axisWeights(x float64, in int, scale float64) []float64 {
	reach, s := 1, 1.0
	if o.Mode == "cubic" {
		reach = 2
	}
	if o.Antialias && scale < 1 {
		s = scale
	}
	w := make([]float64, in)
	sum := 0.0
	for i := -100; i < in+100; i++ {
		d, a := math.Abs(x-float64(i))*s, float64(o.CubicA)
		c := 0.0
		switch {
		case d >= float64(reach):
		case reach == 1:
			c = 1 - d
		case d <= 1:
			c = (a+2)*math.Pow(d, 3) - (a+3)*math.Pow(d, 2) + 1
		default:
			c = a*math.Pow(d, 3) - 5*a*math.Pow(d, 2) + 8*a*d - 4*a
		}
		if i >= 0 && i < in || !o.Exclude {
			w[min(max(i, 0), in-1)] += c
			sum += c
		}
	}
	for i := range w {
		w[i] /= sum
	}
	return w
}

// TestResize compares linear and cubic with sums over all pixels of the input.
func TestResize(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	for range 400 {
		_, in := likely["Resize"](r)
		x := in[0]
		o := randResize(r, x.Shape)
		if o.Mode == "nearest" {
			o.Mode = "linear"
		}
		y := run(t, o, x)[0]
		axes, err := o.axes(x.Shape)
		if err != nil {
			t.Fatal(err)
		}
		weights := make([][][]float64, len(axes)) // nil: outside
		for a, s := range axes {
			for k := range y.Shape[a] {
				p, n, out := float64(k), float64(s.in), float64(s.out)
				half := (p+0.5)/float64(s.scale) - 0.5
				switch c := o.Coordinates; {
				case s.same:
					half = p
				case c == "half_pixel_symmetric":
					half += n/2 - out/float64(s.scale)/2
				case c == "align_corners" || c == "pytorch_half_pixel":
					if s.out == 1 {
						half = 0
					} else if c == "align_corners" {
						half = p * (n - 1) / (out - 1)
					}
				case c == "asymmetric":
					half = p / float64(s.scale)
				case c == "tf_half_pixel_for_nn":
					half += 0.5
				case c == "tf_crop_and_resize":
					half = float64(s.start+s.end) / 2 * (n - 1)
					if s.out > 1 {
						half = (float64(s.start) + p/(out-1)*float64(s.end-s.start)) * (n - 1)
					}
				}
				w := o.axisWeights(half, s.in, float64(s.scale))
				if o.Coordinates == "tf_crop_and_resize" && !s.same && (half < -1e-6 || half > n-1+1e-6) {
					w = nil
				}
				weights[a] = append(weights[a], w)
			}
		}
		want := tensor.New(tensor.F32, y.Shape...)
		each(y.Shape, func(i []int) {
			sum := 0.0
			for a := range i {
				if weights[a][i[a]] == nil {
					want.F[pos(want, i)] = 9
					return
				}
			}
			each(x.Shape, func(j []int) {
				v := float64(at(x, j))
				for a := range j {
					v *= weights[a][i[a]][j[a]]
				}
				sum += v
			})
			want.F[pos(want, i)] = float32(sum)
		})
		near(t, describe(o)+" of "+x.String(), y, want, 2e-4)
	}
}

// TestResizeNearest: what onnxruntime 1.30 gives.
func TestResizeNearest(t *testing.T) {
	for _, c := range []struct {
		coordinates, nearest string
		scale                float32
		want                 []float32
	}{
		{"half_pixel", "round_prefer_floor", 2, []float32{1, 1, 2, 2, 3, 3, 4, 4}},
		{"half_pixel", "ceil", 2, []float32{1, 2, 2, 3, 3, 4, 4, 4}},
		{"asymmetric", "floor", 2, []float32{1, 1, 2, 2, 3, 3, 4, 4}},
		{"asymmetric", "round_prefer_ceil", 2, []float32{1, 2, 2, 3, 3, 4, 4, 4}},
		{"asymmetric", "round_prefer_floor", 2, []float32{1, 1, 2, 2, 3, 3, 4, 4}},
		{"half_pixel", "round_prefer_floor", 0.5, []float32{1, 3}},
		{"half_pixel", "round_prefer_ceil", 0.5, []float32{2, 4}},
		{"asymmetric", "ceil", 0.6, []float32{1, 3}},
		{"align_corners", "round_prefer_floor", 1.75, []float32{1, 1, 2, 2, 3, 3, 4}},
		{"tf_half_pixel_for_nn", "floor", 0.5, []float32{2, 4}},
	} {
		o := newResize().(*Resize)
		o.Coordinates, o.Nearest, o.Scales = c.coordinates, c.nearest, []float32{c.scale}
		near(t, describe(o), run(t, o, floats([]int{4}, 1, 2, 3, 4))[0], floats([]int{len(c.want)}, c.want...), 0)
		ints := run(t, o, i64(1, 2, 3, 4))[0]
		for i, v := range c.want {
			if ints.I[i] != int64(v) {
				t.Errorf("%s of integers: got %v, want %v", describe(o), ints.I, c.want)
			}
		}
	}
}
