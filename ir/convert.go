package ir

import "quern/ir/tensor"

// Reals are the float32 numbers that the integers of a tensor stand for.
func (q *Quant) Reals(t *tensor.T) *tensor.T {
	r := tensor.New(tensor.F32, t.Shape...)
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.F[i] = q.Dequantize(t.I[i], c)
		}
	})
	return r
}

// Integers quantizes a tensor of reals to element type e. NaN is the caller's to exclude.
func (q *Quant) Integers(e tensor.Elem, t *tensor.T) *tensor.T {
	r := tensor.New(e, t.Shape...)
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.I[i] = q.Quantize(float64(t.F[i]), c)
		}
	})
	return r
}
