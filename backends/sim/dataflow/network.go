package dataflow

import (
	"fmt"
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
	queue []int // procs that may be able to go on
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

func newNetwork(p *program, depths []int, marks bool) *network {
	n := &network{p: p}
	for _, depth := range depths {
		n.fifos = append(n.fifos, newFIFO(depth, marks))
	}
	for i, s := range p.d.Stages {
		r := &proc{s: s, steps: p.steps[i], iterations: s.Iterations(), lat: s.Latency(), off: 1, offX: 1, left: p.steps[i][0].n, base: 1,
			exits: newRing[exit](s.Latency() + 1), stalls: newRing[stall](s.Latency() + 1)}
		for _, c := range s.In {
			n.fifos[c.ID].reader = i
			r.in = append(r.in, n.fifos[c.ID])
		}
		for _, c := range s.Out {
			n.fifos[c.ID].writer = i
			r.out = append(r.out, n.fifos[c.ID])
		}
		r.narrow = len(r.in) <= 1 && len(r.out) <= 1
		n.procs = append(n.procs, r)
	}
	return n
}

// run goes on until each stage has done so many runs in all.
func (n *network) run(runs int) error {
	for i, p := range n.procs {
		p.limit = runs
		p.queued = true
		n.queue = append(n.queue, i)
	}
	var q []int
	for len(n.queue) > 0 {
		q, n.queue = n.queue, q[:0]
		for _, i := range q {
			p := n.procs[i]
			p.queued = false
			p.advance()
			for _, f := range p.in {
				if f.blocked && f.pushes-f.pulls < f.depth {
					f.blocked = false
					n.wake(f.writer)
				}
			}
			for _, f := range p.out {
				if f.starved && f.pushes > f.pulls {
					f.starved = false
					n.wake(f.reader)
				}
			}
		}
	}
	for _, p := range n.procs {
		if p.run < runs {
			return n.deadlock()
		}
	}
	return nil
}

func (n *network) wake(i int) {
	if p := n.procs[i]; !p.queued {
		p.queued = true
		n.queue = append(n.queue, i)
	}
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

// fifo keeps when the words came that are in it, and when the last depth words went. A word needs the place of the word depth before it;
// the first ones find theirs free from time 0 on.
type fifo struct {
	depth            int
	came, went       []int // times by the number of the word, modulo the length, a power of two
	pushes, pulls    int
	writer, reader   int
	blocked, starved bool // its writer or its reader waits for it
	full, none       int  // clock cycles for which its writer was blocked, and its reader starved
	marks            *marks
}

// marks finds the most words that a FIFO held.
type marks struct {
	came, went  []int // times not yet merged into most
	words, most int
	ahead       int // length of went at which to merge
}

func newFIFO(depth int, mark bool) *fifo {
	n := 1 << bits.Len(uint(depth-1))
	times := make([]int, 2*n)
	f := &fifo{depth: depth, came: times[:n], went: times[n:]}
	if mark {
		f.marks = &marks{}
	}
	return f
}

func (f *fifo) empty() bool  { return f.pushes == f.pulls }
func (f *fifo) filled() bool { return f.pushes-f.pulls == f.depth }

func (f *fifo) push(t int) {
	f.came[f.pushes&(len(f.came)-1)] = t
	f.pushes++
	if f.marks != nil {
		f.marks.came = append(f.marks.came, t)
	}
}

func (f *fifo) pull(t int) {
	f.went[f.pulls&(len(f.went)-1)] = t
	f.pulls++
	if f.marks != nil {
		f.marks.pull(t)
	}
}

func (m *marks) pull(t int) {
	m.went = append(m.went, t)
	if len(m.went) > m.ahead {
		m.merge(false)
		m.ahead = 2*len(m.went) + 4096
	}
}

// merge follows the number of words as far as both times are known, and to the end if nothing more comes: it is greatest before a pull.
func (m *marks) merge(end bool) {
	i := 0
	for j, t := range m.went {
		for i < len(m.came) && m.came[i] < t {
			m.words++
			i++
		}
		if i == len(m.came) && !end {
			m.went = append(m.went[:0], m.went[j:]...)
			m.came = m.came[:0]
			return
		}
		m.most = max(m.most, m.words)
		m.words--
	}
	m.went = m.went[:0]
	m.came = append(m.came[:0], m.came[i:]...)
}

// proc is a stage at work. Its own clock stands still while it is blocked: an iteration that begins at tick b of it ends at tick b + lat,
// whatever happens. off is what is to be added for the clock of the network.
type proc struct {
	s          *stream.Stage
	steps      []step
	at         int // step
	left       int // iterations of it
	i          int // iterations begun in this run
	iterations int
	in, out    []*fifo
	narrow     bool // no more than one of each
	lat        int
	b          int // tick of the next iteration at the earliest
	off        int // at tick b
	offX       int // at the tick of the first of exits
	exits      ring[exit]
	stalls     ring[stall] // between b and the first of exits
	run        int         // runs done
	limit      int
	queued     bool
	act        Activity
	first      int   // when the first iteration ended
	ends       []int // of runs
	base       int   // when this run could begin
	read       hash
	wrote      hash
	traces     []trace
}

// exit is the end of an iteration that writes, stall a number of cycles for which it was held up.
type exit struct {
	tick int
	mask uint32
}
type stall struct{ tick, cycles int }

// ring is a queue. Its size is a power of two: pipelines have few steps, and so have few ends ahead.
type ring[T any] struct {
	v       []T
	head, n int
}

func newRing[T any](size int) ring[T] { return ring[T]{v: make([]T, 1<<bits.Len(uint(size)))} }

func (r *ring[T]) at(i int) *T { return &r.v[(r.head+i)&(len(r.v)-1)] }

func (r *ring[T]) put(x T) {
	r.v[(r.head+r.n)&(len(r.v)-1)] = x
	r.n++
}

func (r *ring[T]) drop(n int) {
	r.head = (r.head + n) & (len(r.v) - 1)
	r.n -= n
}

// trace is what a stage did in one run: when it could begin, and the times of all words relative to that.
type trace struct {
	base        int
	read, wrote hash
}

// hash is one of times.
type hash uint64

func (h *hash) note(t int) { *h = (*h ^ hash(t)) * 0x9e3779b97f4a7c15 }

// end ends an iteration: its words go out as soon as there are places. It reports whether the time is known.
func (p *proc) end(e exit) bool {
	t := e.tick + p.offX
	free := t
	var full *fifo
	for m := e.mask; m != 0; m &= m - 1 {
		f := p.out[bits.TrailingZeros32(m)]
		if f.filled() {
			f.blocked = true
			return false
		}
		if w := f.went[(f.pushes-f.depth)&(len(f.went)-1)]; w >= free {
			free, full = w+1, f
		}
	}
	for m := e.mask; m != 0; m &= m - 1 {
		p.out[bits.TrailingZeros32(m)].push(free)
	}
	p.wrote.note(free - p.base)
	if free > t {
		p.offX += free - t
		p.act.Blocked += free - t
		full.full += free - t
		p.stalls.put(stall{e.tick, free - t})
	}
	return true
}

// advance goes on as far as the times are known.
func (p *proc) advance() {
	for p.exits.n > 0 && p.end(*p.exits.at(0)) {
		p.exits.drop(1)
	}
	for {
		if p.i == p.iterations {
			if p.exits.n > 0 {
				return
			}
			end := p.b - 1 + p.lat
			p.off = p.offX
			p.stalls.drop(p.stalls.n)
			p.ends = append(p.ends, end+p.off)
			p.traces = append(p.traces, trace{p.base, p.read, p.wrote})
			p.run++
			p.b, p.i, p.read, p.wrote = end+restart, 0, 0, 0
			p.base = p.b + p.off
		}
		if p.run == p.limit {
			return
		}
		s := &p.steps[p.at]
		if s.read|s.write == 0 { // all at once, as nothing but the own clock matters
			p.begun(p.left, p.b)
			continue
		}
		if p.narrow && p.exits.n+p.stalls.n == 0 && p.burst(s) {
			continue
		}
		r := 0
		var empty *fifo
		for m := s.read; m != 0; m &= m - 1 {
			f := p.in[bits.TrailingZeros32(m)]
			if f.empty() {
				f.starved = true
				return
			}
			if t := f.came[f.pulls&(len(f.came)-1)]; t >= r {
				r, empty = t+1, f
			}
		}
		b, off := max(p.b, r-p.off), p.off
		k := 0
		for ; k < p.stalls.n && p.stalls.at(k).tick <= b; k++ {
			off += p.stalls.at(k).cycles
			b = max(p.b, p.stalls.at(k).tick, r-off)
		}
		if p.exits.n > 0 && p.exits.at(0).tick <= b {
			return // held up at that tick, for how long is not known
		}
		if k > 0 {
			p.stalls.drop(k)
			p.off = off
		}
		if b > p.b {
			p.act.Starved += b - p.b
			if p.run > 0 { // not while the pipeline of stages fills
				empty.none += b - p.b
			}
		}
		if s.read != 0 {
			for m := s.read; m != 0; m &= m - 1 {
				p.in[bits.TrailingZeros32(m)].pull(b + off)
			}
			p.read.note(b + off - p.base)
		}
		if p.first == 0 {
			p.first = b + off + p.lat
		}
		p.begun(1, b)
		if s.write != 0 {
			if e := (exit{b + p.lat, s.write}); p.exits.n > 0 || !p.end(e) {
				p.exits.put(e)
			}
		}
	}
}

// burst does iterations of a step in a row, as many as find words and places without being held up: what advance does with one input, one
// output and an empty pipeline, which is most of the work. It reports whether there were any.
func (p *proc) burst(s *step) bool {
	n := p.left
	var in, out *fifo
	if s.read != 0 {
		in = p.in[0]
		n = min(n, in.pushes-in.pulls)
	}
	if s.write != 0 {
		out = p.out[0]
		n = min(n, out.depth-(out.pushes-out.pulls))
	}
	b, starved, done := p.b, 0, 0
	for ; done < n; done++ {
		at := b
		if in != nil {
			at = max(b, in.came[in.pulls&(len(in.came)-1)]+1-p.off)
		}
		if out != nil {
			t := at + p.off + p.lat
			if out.went[(out.pushes-out.depth)&(len(out.went)-1)] >= t {
				break
			}
			out.push(t)
			p.wrote.note(t - p.base)
		}
		if in != nil {
			in.pull(at + p.off)
			p.read.note(at + p.off - p.base)
			starved += at - b
		}
		if p.first == 0 {
			p.first = at + p.off + p.lat
		}
		b = at + 1
	}
	if done == 0 {
		return false
	}
	p.act.Starved += starved
	if in != nil && p.run > 0 {
		in.none += starved
	}
	p.begun(done, b-done)
	return true
}

// begun counts n iterations, the first at tick b.
func (p *proc) begun(n, b int) {
	p.b = b + n
	p.i += n
	p.act.Busy += n
	if p.left -= n; p.left == 0 {
		if p.at++; p.at == len(p.steps) {
			p.at = 0
		}
		p.left = p.steps[p.at].n
	}
}

// last is the last cycle in which something moved in the stage.
func (p *proc) last() int {
	switch {
	case p.exits.n > 0:
		return p.exits.at(0).tick + p.offX - 1
	case p.i == 0: // with the handshake
		return p.b - 1 + p.offX
	}
	return p.b - 1 + p.lat + p.offX
}

// waits says what an unfinished stage waits for.
func (p *proc) waits() string {
	if p.exits.n > 0 {
		for i, c := range p.s.Out {
			if f := p.out[i]; p.exits.at(0).mask>>i&1 != 0 && f.filled() {
				return fmt.Sprintf("%s for a place in %s (depth %d)", p.s.Name, c.Name, f.depth)
			}
		}
	}
	if p.run < p.limit && p.i < p.iterations {
		for i, c := range p.s.In {
			if p.steps[p.at].read>>i&1 != 0 && p.in[i].empty() {
				return fmt.Sprintf("%s for a word of %s", p.s.Name, c.Name)
			}
		}
	}
	return ""
}
