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
	b      *hw.Buffer
	out    *layout
	planes int     // of the model's tensor, whose elements are the pixels' channels; 1 where elements are in the buffer's order
	order  []int32 // in other cases for each element of the buffer its place in the model's tensor
	to8    *kernels.Quantizer[uint8]
	to16   *kernels.Quantizer[int16]
}

// prepareInput is nil where Port.Quantize has to do the work.
func (m *Machine) prepareInput(b *hw.Buffer) *input {
	q := b.Port.Quant
	l := &m.layouts[b.ID]
	if m.level == kernels.Generic || !q.PerTensor() || q.Round != ir.HalfEven {
		return nil
	}
	r := &input{b: b, out: l}
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
	if r.order = places(b.Port); r.order == nil {
		r.planes = 1
	} else if planar(r.order, l.c) {
		r.planes = l.c
	}
	return r
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

// put quantizes x, the model's tensor; scratch has its size.
func (r *input) put(s *State, x []float32) error {
	p := r.b.Port
	if n := tensor.Numel(p.Shape); len(x) != n {
		return fmt.Errorf("input %q: want %d elements, got %d", p.Name, n, len(x))
	}
	ok := false
	if c := &s.bufs[r.b.ID]; r.to8 != nil {
		ok = store(r, r.to8, s.m.level, c.u8, s.scratch.u8[:len(x)], x)
	} else {
		ok = store(r, r.to16, s.m.level, c.i16, s.scratch.i16[:len(x)], x)
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

// store quantizes x to scratch and brings that to the buffer. It reports whether all elements are numbers.
func store[X uint8 | int16](r *input, q *kernels.Quantizer[X], level kernels.Level, dst, scratch []X, x []float32) bool {
	l := r.out
	if r.planes == 1 && l.dense() {
		at := l.at(0, 0)
		return q.Run(dst[at:at+len(x)], x)
	}
	ok := q.Run(scratch, x)
	rows, width := l.h, l.w
	if l.dense() {
		rows, width = 1, l.h*l.w
	}
	if r.planes > 0 {
		kernels.Weave(level, dst[l.at(0, 0):], l.width*l.c, scratch, r.planes, rows, width*l.c/r.planes)
		return ok
	}
	l.segments(0, l.h*l.w, func(at, i, m int) {
		order := r.order[i*l.c : (i+m)*l.c]
		d := dst[at:][:len(order)]
		for j, o := range order {
			d[j] = scratch[o]
		}
	})
	return ok
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

// dequantize is Port.Dequantize with the places made beforehand.
func dequantize(p *hw.Port, places []int32, dst []float32, src []int64) {
	for i, v := range src {
		to := i
		if places != nil {
			to = int(places[i])
		}
		dst[to] = p.Quant.Dequantize(v, 0)
	}
}
