package stream

// Step is what one iteration of a stage does: bit i of Read is set if it takes a word of In[i], bit i of Write if it puts one to
// Out[i].
type Step struct{ Read, Write uint32 }

// Cursor goes through the iterations of a stage.
type Cursor interface {
	// Next is the next iteration. It must not be called more often than Stage.Iterations says.
	Next() Step
}

// Cursor starts at the first iteration of a run.
func (s *Stage) Cursor() Cursor {
	switch s.Kind {
	case Load:
		return constant{Step{Write: all(len(s.Out))}}
	case Store, Map, Fork:
		return constant{Step{Read: all(len(s.In)), Write: all(len(s.Out))}}
	case Split:
		return &every{period: s.In[0].Lanes / s.Out[0].Lanes, on: Step{1, 1}, off: Step{0, 1}}
	case Join:
		n := s.Out[0].Lanes / s.In[0].Lanes
		return &every{period: n, at: n - 1, on: Step{1, 1}, off: Step{1, 0}}
	case Slide:
		return NewSlider(s.Kernel, s.Fold)
	case MVU:
		d := s.Kernel.Dot
		return &mvu{sf: d.KH * d.KW * d.C / d.Groups / s.Fold.SIMD, nf: d.OC / d.Groups / s.Fold.PE}
	case Lane:
		n := taps(s.Kernel)
		return &every{period: n, at: n - 1, on: Step{1, 1}, off: Step{1, 0}}
	case Global:
		w := s.Kernel.Window
		words := w.C / s.Fold.PE
		return &global{words: words, from: (w.H*w.W - 1) * words}
	case Weave:
		return &weave{plan: s.Plan}
	case Reorder:
		r := &reorder{}
		for _, c := range s.In {
			r.words = append(r.words, c.Words)
			r.most = max(r.most, c.Words)
		}
		return r
	}
	panic("stream: cursor of " + s.Kind.String())
}

// Period is a number of iterations after which the steps of a run repeat; it divides Iterations.
func (s *Stage) Period() int {
	switch s.Kind {
	case Load, Store, Map, Fork:
		return 1
	case Split:
		return s.In[0].Lanes / s.Out[0].Lanes
	case Join:
		return s.Out[0].Lanes / s.In[0].Lanes
	case MVU:
		d := s.Kernel.Dot
		return taps(s.Kernel) * (d.C / d.Groups / s.Fold.SIMD) * (d.OC / d.Groups / s.Fold.PE)
	case Lane:
		return taps(s.Kernel)
	case Weave:
		return len(s.Plan.Control)
	}
	return s.iterations
}

func all(n int) uint32 { return 1<<n - 1 }

type constant struct{ s Step }

func (c constant) Next() Step { return c.s }

// every does on in iteration at of each period, off in the others.
type every struct {
	period, at, i int
	on, off       Step
}

func (e *every) Next() Step {
	i := e.i
	if e.i++; e.i == e.period {
		e.i = 0
	}
	if i == e.at {
		return e.on
	}
	return e.off
}

// mvu reads the words of a window for the first block of output channels and takes them out of its own memory for the others; a
// block of outputs is done with the last word.
type mvu struct{ sf, nf, s, n int }

func (m *mvu) Next() Step {
	var st Step
	if m.n == 0 {
		st.Read = 1
	}
	if m.s == m.sf-1 {
		st.Write = 1
	}
	if m.s++; m.s == m.sf {
		m.s = 0
		if m.n++; m.n == m.nf {
			m.n = 0
		}
	}
	return st
}

// global writes its words while it reads the last pixel.
type global struct{ words, from, i int }

func (g *global) Next() Step {
	g.i++
	if g.i > g.from {
		return Step{1, 1}
	}
	return Step{1, 0}
}

// weave follows its plan.
type weave struct {
	plan *Plan
	i    int
}

func (w *weave) Next() Step {
	c := w.plan.Control[w.i]
	if w.i++; w.i == len(w.plan.Control) {
		w.i = 0
	}
	st := Step{}
	if c != ControlFill {
		st.Read = 1 << c.Source()
	}
	if !c.Drops() {
		st.Write = 1
	}
	return st
}

// reorder reads all sources at the same time, then writes.
type reorder struct {
	words   []int
	most, i int
}

func (r *reorder) Next() Step {
	i := r.i
	r.i++
	if i >= r.most {
		return Step{0, 1}
	}
	var st Step
	for k, n := range r.words {
		if i < n {
			st.Read |= 1 << k
		}
	}
	return st
}
