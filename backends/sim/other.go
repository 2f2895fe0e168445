package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// goMap runs a scalar program column by column, some pixels at a time.
type goMap struct {
	k     *hw.Kernel
	in    []*layout
	out   *layout
	epi   *epilogue
	chunk int // pixels
}

func (m *Machine) prepareMap(k *hw.Kernel, e *epilogue) runner {
	r := m.prepareTable(k, false)
	if r == nil {
		r = m.prepareBlend(k)
	}
	if r == nil {
		r = m.prepareTable(k, true)
	}
	if r != nil {
		return r
	}
	return m.prepareColumns(k, e)
}

func (m *Machine) prepareColumns(k *hw.Kernel, e *epilogue) runner {
	c := k.Out.Channels()
	r := &goMap{k: k, out: &m.layouts[k.Out.ID], epi: e, chunk: min(max(1, cached/2/c), k.Out.Len()/c)}
	for _, b := range k.In {
		r.in = append(r.in, &m.layouts[b.ID])
	}
	m.row = max(m.row, r.chunk*c)
	return r
}

func (r *goMap) run(s *State) {
	c := r.out.c
	pixels := r.out.h * r.out.w
	for first := 0; first < pixels; first += r.chunk {
		n := min(r.chunk, pixels-first)
		for j, b := range r.k.In {
			s.bufs[b.ID].get(r.in[j], s.cols[j], first, n)
		}
		r.epi.columns(s, n*c, first)
		s.bufs[r.k.Out.ID].put(r.out, s.cols[r.k.Prog.Last()], first, n)
	}
}

// goMove copies elements, as integers of 64 bits where the buffers are stored in different ways.
type goMove struct {
	k     *hw.Kernel
	in    []*layout
	out   *layout
	moves []run
	wide  bool // through State.wide
}

func (m *Machine) prepareMove(k *hw.Kernel) runner {
	r := &goMove{k: k, out: &m.layouts[k.Out.ID], moves: runs(k.Move)}
	for _, b := range k.In {
		l := &m.layouts[b.ID]
		r.in = append(r.in, l)
		r.wide = r.wide || l.kind != r.out.kind || l.zero != r.out.zero || l.border()
	}
	if r.wide = r.wide || r.out.border(); r.wide {
		for _, b := range append([]*hw.Buffer{k.Out}, k.In...) {
			for len(m.wide) <= b.ID {
				m.wide = append(m.wide, 0)
			}
			m.wide[b.ID] = b.Len()
		}
	}
	return r
}

func (r *goMove) run(s *State) {
	out := &s.bufs[r.k.Out.ID]
	if !r.wide {
		switch r.out.kind {
		case u8:
			move(r, s, out.u8)
		case i16:
			move(r, s, out.i16)
		default:
			move(r, s, out.i64)
		}
		return
	}
	for j, b := range r.k.In {
		s.bufs[b.ID].get(r.in[j], s.wide[b.ID], 0, r.in[j].h*r.in[j].w)
	}
	y := s.wide[r.k.Out.ID]
	if r.k.Move.Filled {
		for j := range y {
			y[j] = r.k.Move.Fill
		}
	}
	for _, m := range r.moves {
		m.copy(y, s.wide[r.k.In[m.src].ID])
	}
	out.put(r.out, y, 0, r.out.h*r.out.w)
}

func move[X kernels.Int](r *goMove, s *State, out []X) {
	if r.k.Move.Filled {
		fill := X(r.k.Move.Fill - r.out.zero)
		for j := range out {
			out[j] = fill
		}
	}
	for _, m := range r.moves {
		copyRun(m, out, cellsOf[X](&s.bufs[r.k.In[m.src].ID]))
	}
}

// run is a copy of n elements with a constant step in the source.
type run struct{ src, from, dst, n, step int }

func (r run) copy(dst, src []int64) { copyRun(r, dst, src) }

func copyRun[X kernels.Int](r run, dst, src []X) {
	if r.step == 1 {
		copy(dst[r.dst:r.dst+r.n], src[r.from:r.from+r.n])
		return
	}
	for j := range r.n {
		dst[r.dst+j] = src[r.from+j*r.step]
	}
}

// runs flattens the pieces of a Move.
func runs(m *hw.Move) []run {
	var r []run
	for _, p := range m.Pieces {
		last := len(p.Size) - 1
		if last < 0 || p.DstStride[last] != 1 {
			p.Walk(func(src, dst int) { r = append(r, run{p.Src, src, dst, 1, 1}) })
			continue
		}
		outer := hw.Piece{SrcOff: p.SrcOff, DstOff: p.DstOff, Size: p.Size[:last], SrcStride: p.SrcStride[:last], DstStride: p.DstStride[:last]}
		outer.Walk(func(src, dst int) { r = append(r, run{p.Src, src, dst, p.Size[last], p.SrcStride[last]}) })
	}
	return r
}
