package sim

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
)

// entry is the way of a model's input into its buffer.
type entry struct {
	b      *hw.Buffer
	out    *layout
	planes int     // of what comes in, whose elements are the pixels' channels; 1 where elements are in the buffer's order
	order  []int32 // in other cases for each element of the buffer its place in what comes in
}

// newEntry is for elements in an order; nil is the buffer's own.
func (m *Machine) newEntry(b *hw.Buffer, order []int32) entry {
	e := entry{b: b, out: &m.layouts[b.ID], order: order}
	if order == nil {
		e.planes = 1
	} else if planar(order, e.out.c) {
		e.planes = e.out.c
	}
	return e
}

// planar reports whether the channels of pixels in this order are planes of the tensor.
func planar(order []int32, c int) bool {
	pixels := len(order) / c
	for i, off := range order {
		if int(off) != i%c*pixels+i/c {
			return false
		}
	}
	return true
}

// enter writes as many elements as the buffer has, in the order in which they come in, by the given function: to the buffer if they lie
// there so, else to scratch, from where they are brought there. It returns what the function does.
func enter[X uint8 | int16](e *entry, level kernels.Level, dst, scratch []X, write func(dst []X) bool) bool {
	l, n := e.out, e.b.Len()
	if e.planes == 1 && l.dense() {
		return write(dst[l.at(0, 0):][:n])
	}
	scratch = scratch[:n]
	ok := write(scratch)
	if e.planes > 0 {
		rows, width := l.lines()
		kernels.Weave(level, dst[l.at(0, 0):], l.width*l.c, scratch, e.planes, rows, width*l.c/e.planes)
		return ok
	}
	l.segments(0, l.h*l.w, func(at, i, m int) {
		order := e.order[i*l.c : (i+m)*l.c]
		d := dst[at:][:len(order)]
		for j, o := range order {
			d[j] = scratch[o]
		}
	})
	return ok
}

// quantize is enter by a quantizer.
func quantize[X uint8 | int16](e *entry, level kernels.Level, dst, scratch []X, q *kernels.Quantizer[X], x []float32) bool {
	l := e.out
	if rows, width := l.lines(); q.Weaves(e.planes, width) {
		return q.Weave(dst[l.at(0, 0):], l.width*l.c, x, rows, width)
	}
	return enter(e, level, dst, scratch, func(dst []X) bool { return q.Run(dst, x) })
}

// input brings reals of the model into a buffer: hw.Port.Quantize by native code.
type input struct {
	entry
	to8  *kernels.Quantizer[uint8]
	to16 *kernels.Quantizer[int16]
}

// prepareInput is nil where Port.Quantize has to do the work.
func (m *Machine) prepareInput(b *hw.Buffer) *input {
	q := b.Port.Quant
	l := &m.layouts[b.ID]
	if m.level == kernels.Generic || !q.PerTensor() || q.Round != ir.HalfEven {
		return nil
	}
	r := &input{entry: m.newEntry(b, places(b.Port))}
	scale, zero := q.At(0)
	switch l.kind {
	case u8:
		r.to8 = kernels.NewQuantizer[uint8](m.level, scale, zero, q.Min, q.Max, l.zero)
	case i16:
		r.to16 = kernels.NewQuantizer[int16](m.level, scale, zero, q.Min, q.Max, l.zero)
	}
	if r.to8 == nil && r.to16 == nil {
		return nil
	}
	return r
}

// put quantizes x, the model's tensor.
func (r *input) put(s *State, x []float32) error {
	p := r.b.Port
	if n := tensor.Numel(p.Shape); len(x) != n {
		return fmt.Errorf("input %q: want %d elements, got %d", p.Name, n, len(x))
	}
	ok := false
	if c := &s.bufs[r.b.ID]; r.to8 != nil {
		ok = quantize(&r.entry, s.m.level, c.u8, s.scratch.u8, r.to8, x)
	} else {
		ok = quantize(&r.entry, s.m.level, c.i16, s.scratch.i16, r.to16, x)
	}
	if !ok {
		for i, v := range x {
			if v != v {
				return fmt.Errorf("input %q: element %d is NaN", p.Name, i)
			}
		}
	}
	return nil
}

// places are, for each element of a buffer in its order, where it lies in the model's tensor; nil: in the same order.
func places(p *hw.Port) []int32 {
	var r []int32
	same := true
	p.Walk(func(off int) {
		same = same && len(r) == off
		r = append(r, int32(off))
	})
	if same {
		return nil
	}
	return r
}
