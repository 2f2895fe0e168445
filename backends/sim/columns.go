package sim

import "quern/ir/hw"

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
		r = m.preparePairs(k)
	}
	if r == nil {
		r = m.prepareBlend(k)
	}
	if r == nil {
		r = m.prepareMultiply(k)
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
