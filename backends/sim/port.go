package sim

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
)

// input brings reals of the model into a buffer: hw.Port.Quantize by native code.
type input struct {
	b     *hw.Buffer
	out   *layout
	order []int32 // for each element of the buffer its place in the model's tensor
}

// prepareInput is nil where Port.Quantize has to do the work.
func (m *Machine) prepareInput(b *hw.Buffer) *input {
	q := b.Port.Quant
	l := &m.layouts[b.ID]
	if m.level == kernels.Generic || l.kind == i64 || !q.PerTensor() || q.Round != ir.HalfEven || q.Min < -1<<31 || q.Max >= 1<<31 {
		return nil
	}
	r := &input{b: b, out: l}
	b.Port.Walk(func(off int) { r.order = append(r.order, int32(off)) })
	return r
}

// put quantizes x, the model's tensor; q is scratch of its size.
func (r *input) put(s *State, x []float32, q []int32) error {
	p := r.b.Port
	if n := tensor.Numel(p.Shape); len(x) != n {
		return fmt.Errorf("input %q: want %d elements, got %d", p.Name, n, len(x))
	}
	q = q[:len(x)]
	scale, zero := p.Quant.At(0)
	if !kernels.Quantize(s.m.level, q, x, scale, zero, p.Quant.Min, p.Quant.Max) {
		for i, v := range x {
			if v != v {
				return fmt.Errorf("input %q: element %d is NaN", p.Name, i)
			}
		}
	}
	c := &s.bufs[r.b.ID]
	r.out.segments(0, r.out.h*r.out.w, func(at, i, m int) {
		order := r.order[i*r.out.c : (i+m)*r.out.c]
		if r.out.kind == u8 {
			gather(c.u8[at:], q, order, r.out.zero)
		} else {
			gather(c.i16[at:], q, order, r.out.zero)
		}
	})
	return nil
}

func gather[X uint8 | int16](dst []X, src []int32, order []int32, zero int64) {
	dst = dst[:len(order)]
	for i, o := range order {
		dst[i] = X(src[o] - int32(zero))
	}
}
