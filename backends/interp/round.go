package interp

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/tensor"
)

// reals is the data of a constant as real numbers; the data itself if it is not quantized.
func reals(v *ir.Value) *tensor.T {
	if q := v.Type.Quant; q != nil {
		return q.Reals(v.Const)
	}
	return v.Const
}

// round writes the reals of src, rounded to the grid of q, to dst: Dequantize of Quantize of each element. dst and src may be the
// same slice. It returns the index of the first element that is not a number, or -1.
func round(level kernels.Level, dst, src []float32, q *ir.Quant, shape []int) int {
	bad := -1
	q.Channels(shape, func(c, lo, hi int) {
		var ok bool
		if s, z := q.At(c); q.Round == ir.HalfEven && z > -1<<48 && z < 1<<48 {
			// The common mode, with limits relative to the zero point. All integers here are exact in float64, so it does not matter that
			// the zero point is never added.
			ok = kernels.Grid(level, dst[lo:hi], src[lo:hi], s, float64(q.Min-z), float64(q.Max-z))
		} else {
			ok = roundAny(dst[lo:hi], src[lo:hi], q, c)
		}
		for i := lo; !ok && bad < 0 && i < hi; i++ {
			if dst[i] != dst[i] {
				bad = i
			}
		}
	})
	return bad
}

// roundAny is round for one channel in any mode. NaN stays NaN: ok is false then.
func roundAny(dst, src []float32, q *ir.Quant, c int) (ok bool) {
	ok = true
	for i, x := range src {
		if x != x {
			ok = false
			dst[i] = x
			continue
		}
		dst[i] = q.Dequantize(q.Quantize(float64(x), c), c)
	}
	return ok
}

// Integers are the integers behind a fake-quantized tensor of value v, which observe and Run gave. A real that is none of the type's
// is an error.
func Integers(v *ir.Value, t *tensor.T) (*tensor.T, error) {
	q := v.Type.Quant
	if q == nil {
		return nil, fmt.Errorf("%%%s is %v, want a quantized value", v.Name, v.Type)
	}
	if t.F == nil || len(t.Shape) != len(v.Type.Shape) {
		return nil, fmt.Errorf("%%%s: want reals for %v, got %v", v.Name, v.Type, t)
	}
	r := q.Integers(v.Type.Elem, t)
	for i, x := range q.Reals(r).F {
		if x != t.F[i] {
			return nil, fmt.Errorf("%%%s: element %d is %v, which is not on the grid of %v", v.Name, i, t.F[i], v.Type)
		}
	}
	return r, nil
}
