package lower

import (
	"math"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// real is a tensor of the numbers that integers stand for, not rounded to float32.
type real struct {
	shape []int
	f     []float64
}

// reference computes the first result, of a given shape, from the definition of an operator.
type reference func(in []real, out []int) []float64

// at is entry i of an attribute, or the default where it is empty.
func at(list []int, i, otherwise int) int {
	if len(list) == 0 {
		return otherwise
	}
	return list[i]
}

// plane sees [1,C,spatial...] as C planes of h rows and w columns.
func plane(shape []int) (h, w int) {
	h, w = 1, shape[len(shape)-1]
	if len(shape) == 4 {
		h = shape[2]
	}
	return h, w
}

// taps calls f for every tap of the window at (oy,ox), with its number in the kernel and its place in the image, inside or not.
func taps(kernel, strides, dilations, pads []int, oy, ox int, f func(k, iy, ix int)) {
	n := len(kernel)
	kh, y := 1, oy
	if n == 2 {
		kh, y = kernel[0], oy*at(strides, 0, 1)-at(pads, 0, 0)
	}
	kw, x := kernel[n-1], ox*at(strides, n-1, 1)-at(pads, n-1, 0)
	for i := range kh {
		for j := range kw {
			f(i*kw+j, y+i*at(dilations, 0, 1)*(n-1), x+j*at(dilations, n-1, 1))
		}
	}
}

func convolution(o *op.Conv) reference {
	return func(in []real, out []int) []float64 {
		x, w := in[0], in[1]
		h, wd := plane(x.shape)
		oh, ow := plane(out)
		kernel := w.shape[2:]
		taps2 := tensor.Numel(kernel)
		per := w.shape[1]
		var y []float64
		for oc := range out[1] {
			first := oc / (out[1] / o.Group) * per
			for oy := range oh {
				for ox := range ow {
					sum := 0.0
					if len(in) > 2 {
						sum = in[2].f[oc]
					}
					taps(kernel, o.Strides, o.Dilations, o.Pads, oy, ox, func(k, iy, ix int) {
						if iy < 0 || iy >= h || ix < 0 || ix >= wd {
							return
						}
						for c := range per {
							sum += x.f[((first+c)*h+iy)*wd+ix] * w.f[(oc*per+c)*taps2+k]
						}
					})
					y = append(y, sum)
				}
			}
		}
		return y
	}
}

// product is the last axis of the first times the second matrix, [K,N] or transposed, plus the third operand.
func product(transposed bool) reference {
	return func(in []real, out []int) []float64 {
		n, k := out[len(out)-1], len(in[0].f)
		y := make([]float64, n)
		for j := range n {
			if len(in) > 2 {
				y[j] = in[2].f[j]
			}
			for i := range k {
				if transposed {
					y[j] += in[0].f[i] * in[1].f[j*k+i]
				} else {
					y[j] += in[0].f[i] * in[1].f[i*n+j]
				}
			}
		}
		return y
	}
}

// pool applies f to what a window sees of the image and the number of taps that count besides (in the padding).
func pool(kernel, strides, dilations, pads []int, f func(seen []float64, padding int) float64) reference {
	return func(in []real, out []int) []float64 {
		x := in[0]
		h, w := plane(x.shape)
		oh, ow := plane(out)
		size := kernel
		if size == nil { // global
			size = x.shape[2:]
		}
		n := len(size)
		var y []float64
		for c := range out[1] {
			for oy := range oh {
				for ox := range ow {
					var seen []float64
					padding := 0
					taps(size, strides, dilations, pads, oy, ox, func(_, iy, ix int) {
						switch {
						case iy >= 0 && iy < h && ix >= 0 && ix < w:
							seen = append(seen, x.f[(c*h+iy)*w+ix])
						case iy < h+at(pads, n, 0)*(n-1) && ix < w+at(pads, 2*n-1, 0): // not beyond the padding
							padding++
						}
					})
					y = append(y, f(seen, padding))
				}
			}
		}
		return y
	}
}

func largest(seen []float64, _ int) float64 {
	m := math.Inf(-1)
	for _, x := range seen {
		m = max(m, x)
	}
	return m
}

func mean(seen []float64, _ int) float64 {
	s := 0.0
	for _, x := range seen {
		s += x
	}
	return s / float64(len(seen))
}

func meanWithPadding(seen []float64, padding int) float64 {
	return mean(seen, 0) * float64(len(seen)) / float64(len(seen)+padding)
}

// elementwise folds the operands, broadcast as numpy does.
func elementwise(f func(a, b float64) float64) reference {
	return func(in []real, out []int) []float64 {
		y := make([]float64, tensor.Numel(out))
		for i := range y {
			for k, x := range in {
				off, stride, rest := 0, 1, i
				for a := len(out) - 1; a >= 0; a-- {
					idx := rest % out[a]
					rest /= out[a]
					if j := a - len(out) + len(x.shape); j >= 0 && x.shape[j] > 1 {
						off += idx * stride
						stride *= x.shape[j]
					}
				}
				if k == 0 {
					y[i] = x.f[off]
				} else {
					y[i] = f(y[i], x.f[off])
				}
			}
		}
		return y
	}
}

// function is a function of one value. Its argument is a float32 number, as the definition of Quant says.
func function(f func(x float64) float64) reference {
	return func(in []real, _ []int) []float64 {
		y := make([]float64, len(in[0].f))
		for i, x := range in[0].f {
			y[i] = f(float64(float32(x)))
		}
		return y
	}
}

// moved runs the operator's own kernel on the reals; result i.
func moved(o ir.Op, i int) reference {
	return func(in []real, _ []int) []float64 {
		var args []*tensor.T
		for _, x := range in {
			t := tensor.New(tensor.F32, x.shape...)
			for i, f := range x.f {
				t.F[i] = float32(f)
			}
			args = append(args, t)
		}
		switch o.(type) {
		case *op.Gather, *op.GatherElements, *op.GatherND, *op.ReverseSequence: // indices
			t := tensor.New(tensor.I64, in[1].shape...)
			for i, f := range in[1].f {
				t.I[i] = int64(f)
			}
			args[1] = t
		}
		out, err := op.Eval(o, args)
		if err != nil {
			panic(err)
		}
		y := make([]float64, out[i].Len())
		for j := range y {
			y[j] = out[i].Float(j)
		}
		return y
	}
}
