package sim

import (
	"slices"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// goWindow is a pooling of the largest element by portable code.
type goWindow[X kernels.Int] struct {
	k   *hw.Kernel
	im  image
	out *layout
	epi *epilogue
	win kernels.Window
}

func (m *Machine) prepareWindow(k *hw.Kernel, e *epilogue) runner {
	if k.Window.Reduce == hw.ReduceSum {
		return m.prepareDot(summed(k), e)
	}
	im := m.image(k, &k.Window.Geometry, false)
	m.row = max(m.row, k.Window.OW*k.Window.OC)
	switch im.layout.kind {
	case u8:
		return newWindow[uint8](m, k, im, e)
	case i16:
		return newWindow[int16](m, k, im, e)
	}
	return portableWindow[int64](m, k, im, e)
}

// summed is a sum as a depthwise convolution with weights 1.
func summed(k *hw.Kernel) *hw.Kernel {
	w := k.Window
	r := *k
	r.Kind, r.Window, r.Dot = hw.KDot, nil, &hw.Dot{Geometry: w.Geometry, Groups: w.C, Bias: make([]int64, w.C),
		Weights: slices.Repeat([]int32{1}, w.C*w.KH*w.KW), Acc: slices.Repeat([]hw.Interval{w.Acc}, w.C)}
	return &r
}

func portableWindow[X kernels.Int](m *Machine, k *hw.Kernel, im image, e *epilogue) *goWindow[X] {
	return &goWindow[X]{k: k, im: im, out: &m.layouts[k.Out.ID], epi: e, win: window(&k.Window.Geometry, &im.layout, k.Window.C, true)}
}

func (r *goWindow[X]) run(s *State) {
	w := r.k.Window
	x := cellsOf[X](r.im.cells(s))
	row := s.row[:w.OW*w.OC]
	for oy := range w.OH {
		kernels.MaxRow(&r.win, row, x[start(&w.Geometry, &r.im.layout, oy):], w.OW)
		if zero := r.im.layout.zero; zero != 0 {
			for i := range row {
				row[i] += zero
			}
		}
		r.epi.run(s, row, oy*w.OW)
		s.bufs[r.k.Out.ID].put(r.out, row, oy*w.OW, w.OW)
	}
}

// asmWindow is a pooling by native code. The largest element is the largest of the stored ones, so that it can go straight to an output
// that is stored in the same way.
type asmWindow[X uint8 | int16] struct {
	*goWindow[X]
	pool *kernels.Pool[X]
}

func newWindow[X uint8 | int16](m *Machine, k *hw.Kernel, im image, e *epilogue) runner {
	g := portableWindow[X](m, k, im, e)
	p := kernels.NewPool[X](m.level, g.win)
	if p == nil || g.out.kind != im.layout.kind || g.out.zero != im.layout.zero || len(e.steps) > 0 {
		return g
	}
	return &asmWindow[X]{g, p}
}

func (r *asmWindow[X]) run(s *State) {
	w := r.k.Window
	x := cellsOf[X](r.im.cells(s))
	out := cellsOf[X](&s.bufs[r.k.Out.ID])
	for oy := range w.OH {
		xs := x[start(&w.Geometry, &r.im.layout, oy):]
		r.out.segments(oy*w.OW, w.OW, func(at, i, m int) { r.pool.Max(out[at:], xs[i*r.win.Step:], m) })
	}
}
