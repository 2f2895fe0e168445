package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// goWindow is a pooling by portable code.
type goWindow[X kernels.Int] struct {
	k   *hw.Kernel
	im  image
	out *layout
	epi *epilogue
	win kernels.Window
}

func (m *Machine) prepareWindow(k *hw.Kernel, e *epilogue) runner {
	im := m.image(k, &k.Window.Geometry, false)
	m.row = max(m.row, k.Window.OW*k.Window.OC+kernels.Column)
	switch im.layout.kind {
	case u8:
		return newWindow[uint8](m, k, im, e)
	case i16:
		return newWindow[int16](m, k, im, e)
	}
	return portableWindow[int64](m, k, im, e)
}

func portableWindow[X kernels.Int](m *Machine, k *hw.Kernel, im image, e *epilogue) *goWindow[X] {
	return &goWindow[X]{k: k, im: im, out: &m.layouts[k.Out.ID], epi: e, win: window(&k.Window.Geometry, &im.layout, k.Window.C, true)}
}

func (r *goWindow[X]) run(s *State) {
	w := r.k.Window
	x := cellsOf[X](r.im.cells(s))
	row := s.row[:w.OW*w.OC]
	for oy := range w.OH {
		xs := x[start(&w.Geometry, &r.im.layout, oy):]
		if w.Reduce == hw.ReduceMax {
			kernels.MaxRow(&r.win, row, xs, w.OW)
		} else {
			kernels.SumRow(&r.win, row, xs, w.OW)
		}
		r.finish(s, row, oy)
	}
}

// finish takes a row of results of stored elements to the output.
func (r *goWindow[X]) finish(s *State, row []int64, oy int) {
	w := r.k.Window
	zero := r.im.layout.zero
	if w.Reduce == hw.ReduceSum {
		zero *= int64(w.KH * w.KW)
	}
	if zero != 0 {
		for i := range row {
			row[i] += zero
		}
	}
	r.epi.run(s, row, oy*w.OW)
	s.bufs[r.k.Out.ID].put(r.out, row, oy*w.OW, w.OW)
}

// asmWindow is a pooling by native code. The largest element is the largest of the stored ones, so that it can go straight to an output
// that is stored in the same way.
type asmWindow[X uint8 | int16] struct {
	*goWindow[X]
	pool   *kernels.Pool[X]
	direct bool
}

func newWindow[X uint8 | int16](m *Machine, k *hw.Kernel, im image, e *epilogue) runner {
	g := portableWindow[X](m, k, im, e)
	p := kernels.NewPool[X](m.level, g.win)
	if p == nil {
		return g
	}
	same := g.out.kind == im.layout.kind && g.out.zero == im.layout.zero && len(e.steps) == 0
	return &asmWindow[X]{goWindow: g, pool: p, direct: same && k.Window.Reduce == hw.ReduceMax}
}

func (r *asmWindow[X]) run(s *State) {
	w := r.k.Window
	x := cellsOf[X](r.im.cells(s))
	out := &s.bufs[r.k.Out.ID]
	n := w.OW * w.OC
	for oy := range w.OH {
		xs := x[start(&w.Geometry, &r.im.layout, oy):]
		switch {
		case r.direct:
			r.out.segments(oy*w.OW, w.OW, func(at, i, m int) { r.pool.Max(cellsOf[X](out)[at:], xs[i*r.win.Step:], m) })
		case w.Reduce == hw.ReduceSum:
			r.pool.Sum(s.row, xs, w.OW)
			r.finish(s, s.row[:n], oy)
		default:
			kernels.MaxRow(&r.win, s.row[:n], xs, w.OW)
			r.finish(s, s.row[:n], oy)
		}
	}
}
