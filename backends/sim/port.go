package sim

import (
	"fmt"
	"slices"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
)

// input brings reals of the model into a buffer: hw.Port.Quantize by native code.
type input struct {
	b     *hw.Buffer
	out   *layout
	order []int32 // for each element of the buffer its place in the model's tensor; nil: channels of the tensor are its planes
}

// prepareInput is nil where Port.Quantize has to do the work.
func (m *Machine) prepareInput(b *hw.Buffer) *input {
	q := b.Port.Quant
	l := &m.layouts[b.ID]
	if m.level == kernels.Generic || l.kind == i64 || !q.PerTensor() || q.Round != ir.HalfEven || q.Min < -1<<31 || q.Max >= 1<<31 {
		return nil
	}
	r := &input{b: b, out: l}
	if !slices.Equal(b.Port.Perm, []int{1, 2, 0}) && !slices.Equal(b.Port.Perm, []int{1, 0}) {
		b.Port.Walk(func(off int) { r.order = append(r.order, int32(off)) })
	}
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
	if r.out.kind == u8 {
		store(r, c.u8, q)
	} else {
		store(r, c.i16, q)
	}
	return nil
}

func store[X uint8 | int16](r *input, dst []X, src []int32) {
	zero, c, pixels := int32(r.out.zero), r.out.c, r.out.h*r.out.w
	r.out.segments(0, pixels, func(at, i, m int) {
		if r.order == nil {
			for ch := range c {
				d, j := dst[at+ch:], 0
				for _, v := range src[ch*pixels+i:][:m] {
					d[j] = X(v - zero)
					j += c
				}
			}
			return
		}
		order := r.order[i*c : (i+m)*c]
		d := dst[at:][:len(order)]
		for j, o := range order {
			d[j] = X(src[o] - zero)
		}
	})
}
