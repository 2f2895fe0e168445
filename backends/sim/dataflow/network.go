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
		r := &proc{s: s, steps: p.steps[i], lat: s.Latency(), off: 1, offX: 1, left: p.steps[i][0].n, base: 1,
			exits: newRing[exit](s.Latency() + 1), stalls: newRing[stall](s.Latency() + 1)}
		for _, c := range s.In {
			n.fifos[c.ID].reader = i
			r.in = append(r.in, n.fifos[c.ID])
		}
		for _, c := range s.Out {
			n.fifos[c.ID].writer = i
			r.out = append(r.out, n.fifos[c.ID])
		}
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
			pulls, pushes := p.advance()
			for k := 0; pulls != 0; k, pulls = k+1, pulls>>1 {
				if pulls&1 != 0 {
					n.wake(p.in[k].writer)
				}
			}
			for k := 0; pushes != 0; k, pushes = k+1, pushes>>1 {
				if pushes&1 != 0 {
					n.wake(p.out[k].reader)
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

// fifo keeps, for each of its places, when it was last filled or freed.
type fifo struct {
	depth          int
	cells          []int // time of the push or the pull; as many as are used so far, up to depth
	pushes, pulls  int
	w, r           int // place of the next word in and out
	writer, reader int
	full, none     int // clock cycles for which its writer was blocked, and its reader starved
	marks          bool
	came, went     []int // times not yet merged into most
	words, most    int
	ahead          int // length of went at which to merge
}

func newFIFO(depth int, marks bool) *fifo {
	return &fifo{depth: depth, cells: make([]int, min(depth, 64)), marks: marks}
}

func (f *fifo) empty() bool { return f.pushes == f.pulls }

// grow makes room for the next word and reports whether there is a place for it. While there were fewer words than the depth in all, a
// word needs no place that another one has left.
func (f *fifo) grow() bool {
	if f.pushes-f.pulls == f.depth {
		return false
	}
	if f.w == len(f.cells) {
		if len(f.cells) == f.depth {
			f.w = 0
			return true
		}
		more := make([]int, min(f.depth, 2*len(f.cells)))
		copy(more, f.cells)
		f.cells = more
	}
	return true
}

func (f *fifo) push(t int) {
	f.cells[f.w] = t
	f.w++
	f.pushes++
	if f.marks {
		f.came = append(f.came, t)
	}
}

func (f *fifo) pull(t int) {
	f.cells[f.r] = t
	f.pulls++
	if f.r++; f.r == f.depth {
		f.r = 0
	}
	if f.marks {
		f.went = append(f.went, t)
		if len(f.went) > f.ahead {
			f.merge(false)
			f.ahead = 2*len(f.went) + 4096
		}
	}
}

// merge follows the number of words as far as both times are known, and to the end if nothing more comes: it is greatest before a pull.
func (f *fifo) merge(end bool) {
	i := 0
	for j, t := range f.went {
		for i < len(f.came) && f.came[i] < t {
			f.words++
			i++
		}
		if i == len(f.came) && !end {
			f.went = append(f.went[:0], f.went[j:]...)
			f.came = f.came[:0]
			return
		}
		f.most = max(f.most, f.words)
		f.words--
	}
	f.went = f.went[:0]
	f.came = append(f.came[:0], f.came[i:]...)
}

// proc is a stage at work. Its own clock stands still while it is blocked: an iteration that begins at tick b of it ends at tick b + lat,
// whatever happens. off is what is to be added for the clock of the network.
type proc struct {
	s       *stream.Stage
	steps   []step
	at      int // step
	left    int // iterations of it
	i       int // iterations begun in this run
	in, out []*fifo
	lat     int
	b       int // tick of the next iteration at the earliest
	off     int // at tick b
	offX    int // at the tick of the first of exits
	exits   ring[exit]
	stalls  ring[stall] // between b and the first of exits
	run     int         // runs done
	limit   int
	queued  bool
	act     Activity
	first   int   // when the first iteration ended
	ends    []int // of runs
	base    int   // when this run could begin
	hash    uint64
	traces  []trace
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

// trace is what a stage did in one run: when it could begin, and a hash of the times of all words relative to that.
type trace struct {
	base int
	hash uint64
}

// note takes a time into the hash of the run.
func (p *proc) note(t int) { p.hash = (p.hash ^ uint64(t-p.base)) * 0x9e3779b97f4a7c15 }

// advance goes on as far as the times are known, and says from which inputs and to which outputs words went.
func (p *proc) advance() (pulls, pushes uint32) {
	for {
		for p.exits.n > 0 {
			e := *p.exits.at(0)
			t := e.tick + p.offX
			free := t
			var full *fifo
			for i, f := range p.out {
				if e.mask>>i&1 == 0 {
					continue
				}
				if !f.grow() {
					free = -1
					break
				}
				if f.pushes >= f.depth && f.cells[f.w] >= free {
					free, full = f.cells[f.w]+1, f
				}
			}
			if free < 0 {
				break
			}
			for i, f := range p.out {
				if e.mask>>i&1 != 0 {
					f.push(free)
				}
			}
			p.note(free)
			pushes |= e.mask
			if free > t {
				p.offX += free - t
				p.act.Blocked += free - t
				full.full += free - t
				p.stalls.put(stall{e.tick, free - t})
			}
			p.exits.drop(1)
		}
		if p.i == p.s.Iterations() {
			if p.exits.n > 0 {
				return pulls, pushes
			}
			end := p.b - 1 + p.lat
			p.off = p.offX
			p.stalls.drop(p.stalls.n)
			p.ends = append(p.ends, end+p.off)
			p.traces = append(p.traces, trace{p.base, p.hash})
			p.run++
			p.b, p.i, p.hash = end+restart, 0, 0
			p.base = p.b + p.off
		}
		if p.run == p.limit {
			return pulls, pushes
		}
		s := &p.steps[p.at]
		if s.read|s.write == 0 { // all at once, as nothing but the own clock matters
			p.begun(p.left, p.b)
			continue
		}
		r := 0
		var empty *fifo
		for i, f := range p.in {
			if s.read>>i&1 != 0 {
				if f.empty() {
					return pulls, pushes
				}
				if f.cells[f.r] >= r {
					r, empty = f.cells[f.r]+1, f
				}
			}
		}
		b, off, k := max(p.b, r-p.off), p.off, 0
		for ; k < p.stalls.n && p.stalls.at(k).tick <= b; k++ {
			off += p.stalls.at(k).cycles
			b = max(p.b, p.stalls.at(k).tick, r-off)
		}
		if p.exits.n > 0 && p.exits.at(0).tick <= b {
			return pulls, pushes // held up at that tick, for how long is not known
		}
		p.off = off
		p.stalls.drop(k)
		if b > p.b {
			p.act.Starved += b - p.b
			if p.run > 0 { // not while the pipeline of stages fills
				empty.none += b - p.b
			}
		}
		if s.read != 0 {
			for i, f := range p.in {
				if s.read>>i&1 != 0 {
					f.pull(b + off)
				}
			}
			pulls |= s.read
			p.note(b + off)
		}
		if s.write != 0 {
			p.exits.put(exit{b + p.lat, s.write})
		}
		if p.first == 0 {
			p.first = b + off + p.lat
		}
		p.begun(1, b)
	}
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
			if f := p.out[i]; p.exits.at(0).mask>>i&1 != 0 && f.pushes-f.pulls == f.depth {
				return fmt.Sprintf("%s for a place in %s (depth %d)", p.s.Name, c.Name, f.depth)
			}
		}
	}
	if p.run < p.limit && p.i < p.s.Iterations() {
		for i, c := range p.s.In {
			if p.steps[p.at].read>>i&1 != 0 && p.in[i].empty() {
				return fmt.Sprintf("%s for a word of %s", p.s.Name, c.Name)
			}
		}
	}
	return ""
}
