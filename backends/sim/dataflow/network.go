package dataflow

import (
	"math/bits"

	"quern/ir/hw/stream"
)

// A network is timed stage by stage instead of cycle by cycle: what a stage does is known in advance, and when it does it follows from the
// times at which words came into its FIFOs and places became free. So each stage goes on as far as these times are known, and then the
// next stage does. The order does not matter for the times. Cycles in which nothing happens cost nothing.
type network struct {
	p     *program
	procs []*proc
	fifos []*fifo
	turns
	keep    int // runs of which all times are kept
	ledgers []*ledger
}

// kept is the number of words of a channel whose times are kept.
func (n *network) kept(channel int) int { return n.keep * n.p.d.Channels[channel].Words }

// turns are the procs that may be able to go on: by much, by little, and if they are eager.
type turns struct {
	much, little, late set
	wrong              bool // a FIFO was bold and should not have been
}

// program is a design with its steps written out, which are the same in every run and for all depths.
type program struct {
	d     *stream.Design
	steps [][]step // by stage: a period
}

// step is so many iterations that do the same.
type step struct {
	n           int
	read, write uint32
}

func compile(d *stream.Design) *program {
	p := &program{d: d}
	for _, s := range d.Stages {
		var list []step
		c := s.Cursor()
		for range s.Period() {
			st := c.Next()
			if n := len(list); n > 0 && list[n-1].read == st.Read && list[n-1].write == st.Write {
				list[n-1].n++
				continue
			}
			list = append(list, step{1, st.Read, st.Write})
		}
		if len(list) == 1 {
			list[0].n = s.Iterations()
		}
		p.steps = append(p.steps, list)
	}
	return p
}

// depths are those of the channels of a design.
func depths(d *stream.Design) []int {
	r := make([]int, len(d.Channels))
	for i, c := range d.Channels {
		r[i] = c.Depth
	}
	return r
}

// newNetwork makes the network of a program, which reset makes ready.
func newNetwork(p *program) *network {
	words := (len(p.d.Stages) + 63) / 64
	n := &network{p: p, turns: turns{much: make(set, words), little: make(set, words), late: make(set, words)}}
	for range p.d.Channels {
		n.fifos = append(n.fifos, &fifo{turns: &n.turns})
	}
	for i, s := range p.d.Stages {
		r := newProc(s, p.steps[i])
		for _, c := range s.In {
			n.fifos[c.ID].reader = i
			r.in = append(r.in, n.fifos[c.ID])
		}
		for _, c := range s.Out {
			n.fifos[c.ID].writer = i
			r.out = append(r.out, n.fifos[c.ID])
		}
		r.wide = len(r.in) > 1 || len(r.out) > 1
		if !r.wide && len(r.in) > 0 {
			r.source = r.in[0]
		}
		if !r.wide && len(r.out) > 0 {
			r.sink = r.out[0]
		}
		n.procs = append(n.procs, r)
	}
	return n
}

// reset puts the network at its start, with FIFOs of these depths. It finds the most words that they hold if marks is set, and notes when
// what was done in each run if traces is.
func (n *network) reset(depths []int, marks, traces bool) {
	for i, f := range n.fifos {
		f.reset(depths[i], marks, f.daring(depths[i]), n.kept(i))
	}
	for _, p := range n.procs {
		p.reset(traces)
	}
}

// run goes on until each stage has done so many runs in all.
func (n *network) run(runs int) error {
	for !n.attempt(runs) {
		n.restart()
	}
	for _, p := range n.procs {
		if p.run < runs {
			return n.deadlock()
		}
	}
	return nil
}

// attempt goes on as far as it can. It reports false if a FIFO should not have been bold. Stages go on that have much to do, then those
// that have little, then those that must begin iterations whose words find no places.
func (n *network) attempt(runs int) bool {
	for i, p := range n.procs {
		p.limit = runs
		n.much.add(i)
	}
	for !n.wrong {
		i, ok := n.much.take()
		if !ok {
			i, ok = n.little.take()
		}
		eager := !ok
		if eager {
			if i, ok = n.late.take(); !ok {
				break
			}
		}
		if n.procs[i].advance(eager) {
			n.late.add(i)
		}
	}
	for _, f := range n.fifos {
		if f.words() > f.depth {
			f.wrong, n.wrong = true, true
		}
	}
	return !n.wrong
}

// restart is reset with the same depths, and FIFOs that are not bold where that was wrong.
func (n *network) restart() {
	n.wrong = false
	clear(n.much)
	clear(n.little)
	clear(n.late)
	for i, f := range n.fifos {
		wrong := f.wrong
		f.reset(f.depth, f.marks != nil, f.room > f.depth && !wrong, n.kept(i))
		f.wrong = wrong
	}
	for _, p := range n.procs {
		p.reset(p.tracing)
	}
}

// set is a set of stages by number.
type set []uint64

func (s set) add(i int) { s[i/64] |= 1 << (i % 64) }

// take takes the first out.
func (s set) take() (i int, ok bool) {
	for k, w := range s {
		if w != 0 {
			s[k] &= w - 1
			return k*64 + bits.TrailingZeros64(w), true
		}
	}
	return 0, false
}

// takeLast takes the last out.
func (s set) takeLast() (i int, ok bool) {
	for k := len(s) - 1; k >= 0; k-- {
		if w := s[k]; w != 0 {
			n := bits.Len64(w) - 1
			s[k] &^= 1 << n
			return k*64 + n, true
		}
	}
	return 0, false
}

func (n *network) deadlock() error {
	e := &Deadlock{}
	for _, p := range n.procs {
		e.Cycle = max(e.Cycle, p.last()+1)
		if w := p.waits(); w != "" {
			e.Wait = append(e.Wait, w)
		}
	}
	return e
}

// stuck are the channels whose places a network waits for that stands still.
func (n *network) stuck() (causes []series) {
	for _, p := range n.procs {
		for i, c := range p.s.Out {
			if p.exits.n > 0 && p.exits.first().mask>>i&1 != 0 && p.out[i].places() == 0 {
				causes = append(causes, series{c.ID})
			}
		}
	}
	return causes
}
