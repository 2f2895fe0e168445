package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// output makes reals of the model of what is in a buffer: hw.Port.Dequantize.
type output struct {
	b      *hw.Buffer
	l      *layout
	planes bool    // the model's tensor has the channels outside
	order  []int32 // where each element lies in the model's tensor; nil: in the same order, or planes
	from8  *kernels.Dequantizer[uint8]
	from16 *kernels.Dequantizer[int16]
	chunk  int // pixels at a time
}

func (m *Machine) prepareOutput(b *hw.Buffer) *output {
	q := b.Port.Quant
	r := &output{b: b, l: &m.layouts[b.ID], order: places(b.Port)}
	if r.order != nil && planar(r.order, r.l.c) {
		r.planes, r.order = true, nil
	}
	scale, zero := q.At(0)
	switch r.l.kind {
	case u8:
		r.from8 = kernels.NewDequantizer[uint8](m.level, scale, r.l.zero-zero)
	case i16:
		r.from16 = kernels.NewDequantizer[int16](m.level, scale, r.l.zero-zero)
	}
	const eight = 8 // pixels are turned around together
	r.chunk = min(max(cached/r.l.c/eight, 1)*eight, r.l.h*r.l.w)
	if r.planes || r.order != nil {
		m.reals = max(m.reals, r.chunk*r.l.c)
	}
	return r
}

// get writes the model's tensor; ints is memory for the buffer's elements.
func (r *output) get(s *State, dst []float32, ints []int64) {
	if r.l.kind == i64 {
		s.read(r.b, ints)
		for i, v := range ints {
			dst[r.place(i)] = r.b.Port.Quant.Dequantize(v, 0)
		}
		return
	}
	buf, pixels := &s.bufs[r.b.ID], r.l.h*r.l.w
	for first := 0; first < pixels; first += r.chunk {
		r.l.segments(first, min(r.chunk, pixels-first), func(at, i, n int) {
			from := (first + i) * r.l.c
			if !r.planes && r.order == nil {
				r.reals(dst[from:from+n*r.l.c], buf, at)
				return
			}
			x := s.reals[:n*r.l.c]
			r.reals(x, buf, at)
			if r.planes {
				kernels.Turn(s.m.level, dst[first+i:], pixels, x, n, r.l.c)
				return
			}
			for j, v := range x {
				dst[r.order[from+j]] = v
			}
		})
	}
}

// reals makes reals of the elements from a place on.
func (r *output) reals(dst []float32, buf *cells, at int) {
	if r.from8 != nil {
		r.from8.Run(dst, buf.u8[at:])
	} else {
		r.from16.Run(dst, buf.i16[at:])
	}
}

// place is where element i of the buffer lies in the model's tensor.
func (r *output) place(i int) int {
	switch {
	case r.planes:
		return i%r.l.c*r.l.h*r.l.w + i/r.l.c
	case r.order != nil:
		return int(r.order[i])
	}
	return i
}
