package dataflow

import (
	"fmt"
	"math/bits"

	"quern/ir/hw/stream"
)

// proc is a stage at work. Its own clock stands still while it is blocked: an iteration that begins at tick b of it ends at tick b + lat,
// whatever happens.
type proc struct {
	s            *stream.Stage
	steps        []step
	iterations   int
	in, out      []*fifo
	wide         bool  // several channels are read, or written
	source, sink *fifo // that are read and written if it is not wide; nil for none
	state
}

// state is how far a stage is.
type state struct {
	at   int // step
	left int // iterations of it
	i    int // iterations begun in this run
	burst
	exits                  ring[exit] // whose clock cycles are not known
	run                    int        // runs done
	limit                  int
	starved, blocked       int   // as in Activity
	first                  int   // when the first iteration of a Store ended
	ends                   []int // of runs
	base                   int   // when this run could begin
	tracing                bool
	read, wrote            hash
	traces                 []trace
	latestCame, latestFree [leastRing]int // room for several
}

// exit is the end of an iteration that writes.
type exit struct {
	tick int
	mask uint32
}

func newProc(s *stream.Stage, steps []step) *proc {
	p := &proc{s: s, steps: steps, iterations: s.Iterations()}
	p.lat = s.Latency()
	size := 1 << bits.Len(uint(p.lat+1))
	p.stalls = make([]int, size)
	p.exits.v = make([]exit, size)
	return p
}

func (p *proc) reset(traces bool) {
	clear(p.stalls)
	was := p.state
	p.state = state{left: p.steps[0].n, burst: burst{pipe: pipe{x: 1, stalls: was.stalls}, lat: was.lat}, base: 1, exits: ring[exit]{v: was.exits.v},
		ends: was.ends[:0], tracing: traces}
}

// ring is a queue. Its size is a power of two: pipelines have few steps, and so have few ends ahead.
type ring[T any] struct {
	v       []T
	head, n int
}

func (r *ring[T]) first() T { return r.v[r.head] }

func (r *ring[T]) put(x T) {
	r.v[(r.head+r.n)&(len(r.v)-1)] = x
	r.n++
}

func (r *ring[T]) drop() {
	r.head = (r.head + 1) & (len(r.v) - 1)
	r.n--
}

// pipe is the pipeline of a stage on the clock: tick x-off of the stage, at which the next iteration can begin, is clock cycle x. At some
// ticks thereafter the stage will be held up.
type pipe struct {
	x, off int
	held   int   // clock cycles in all of the stalls ahead
	stalls []int // by tick modulo the length, a power of two
}

// stall holds the stage up at a tick.
func (p *pipe) stall(tick, cycles int) {
	if tick == p.x-p.off {
		p.x += cycles
		p.off += cycles
		return
	}
	p.stalls[tick&(len(p.stalls)-1)] = cycles
	p.held += cycles
}

// tick goes on by a tick.
func (p *pipe) tick() {
	p.x++
	if p.held == 0 {
		return
	}
	p.x, p.off, p.held = heldUp(p.x, p.off, p.held, p.stalls)
}

// heldUp is a pipe behind the stall of the tick that it is at, if there is one: loops keep it in registers.
func heldUp(x, off, held int, stalls []int) (int, int, int) {
	s := &stalls[(x-off)&(len(stalls)-1)]
	n := *s
	*s = 0
	return x + n, off + n, held - n
}

// skip goes on by n ticks, wait to a clock cycle at least.
func (p *pipe) skip(n int) {
	for ; n > 0 && p.held > 0; n-- {
		p.tick()
	}
	p.x += n
}

func (p *pipe) wait(until int) {
	for p.x < until && p.held > 0 {
		p.tick()
	}
	p.x = max(p.x, until)
}

// end ends an iteration: its words go out as soon as there are places. It reports whether the time is known.
func (p *proc) end(e exit) bool {
	t := e.tick + p.off + p.held
	free := t
	var full *fifo
	for m := e.mask; m != 0; m &= m - 1 {
		f := p.out[bits.TrailingZeros32(m)]
		if f.places() == 0 {
			f.blocked = true
			return false
		}
		if w := f.gaps()[0]; w >= free {
			free, full = w+1, f
		}
	}
	for m := e.mask; m != 0; m &= m - 1 {
		f := p.out[bits.TrailingZeros32(m)]
		f.tails()[0] = free
		f.pushed(1)
	}
	if p.tracing {
		p.wrote.note([]int{free}, p.base)
	}
	if s := free - t; s > 0 {
		p.stall(e.tick, s)
		p.blocked += s
		full.full += s
	}
	return true
}

// advance goes on as far as the times are known. A stage whose words find no places could still begin as many iterations as its pipeline
// holds. It does only if it is eager, as there are places before that matters most often, and bursts are longer. late says that it was
// not and could.
func (p *proc) advance(eager bool) (late bool) {
	for {
		for p.exits.n > 0 && p.end(p.exits.first()) {
			p.exits.drop()
		}
		if p.i == p.iterations {
			if p.exits.n > 0 {
				return false
			}
			p.rest()
		}
		if p.run == p.limit {
			return false
		}
		s := &p.steps[p.at]
		if p.starves(s) {
			return false
		}
		if p.blocks(s) {
			if !eager {
				return true
			}
		} else if p.many() {
			continue
		}
		if !p.one(s) {
			return false
		}
	}
}

// blocks reports whether places are missing for a step.
func (p *proc) blocks(s *step) bool {
	if p.exits.n > 0 {
		return true
	}
	if !p.wide {
		if s.write == 0 || p.sink.places() > 0 {
			return false
		}
		p.sink.blocked = true
		return true
	}
	for m := s.write; m != 0; m &= m - 1 {
		if f := p.out[bits.TrailingZeros32(m)]; f.places() == 0 {
			f.blocked = true
			return true
		}
	}
	return false
}

// starves reports whether a word is missing for a step.
func (p *proc) starves(s *step) bool {
	if !p.wide {
		if s.read == 0 || p.source.words() > 0 {
			return false
		}
		p.source.starved = true
		return true
	}
	for m := s.read; m != 0; m &= m - 1 {
		if f := p.in[bits.TrailingZeros32(m)]; f.words() == 0 {
			f.starved = true
			return true
		}
	}
	return false
}

// one begins an iteration of a step, whose words are there, or goes on by a step in which nothing happens. It reports false at the tick of
// an exit whose clock cycle is not known.
func (p *proc) one(s *step) bool {
	tick := p.x - p.off
	n := p.left
	if p.exits.n > 0 {
		n = min(n, p.exits.first().tick-tick)
	}
	if n == 0 {
		return false
	}
	if s.read|s.write == 0 {
		p.skip(n)
		p.begun(n)
		return true
	}
	came := 0
	for m := s.read; m != 0; m &= m - 1 {
		came = max(came, p.in[bits.TrailingZeros32(m)].heads()[0])
	}
	if p.exits.n > 0 && p.exits.first().tick-1+p.off+p.held <= came {
		return false
	}
	p.wait(came + 1)
	p.starved += p.x - p.off - tick
	for m := s.read; m != 0; m &= m - 1 {
		f := p.in[bits.TrailingZeros32(m)]
		f.frees()[0] = p.x
		f.pulled(1)
	}
	if p.tracing && s.read != 0 {
		p.read.note([]int{p.x}, p.base)
	}
	if p.first == 0 {
		p.first = p.x + p.lat
	}
	if s.write != 0 {
		if e := (exit{p.x - p.off + p.lat, s.write}); p.exits.n > 0 || !p.end(e) {
			p.exits.put(e)
		}
	}
	p.tick()
	p.begun(1)
	return true
}

// begun counts n iterations of a step.
func (p *proc) begun(n int) {
	p.i += n
	if p.left -= n; p.left == 0 {
		if p.at++; p.at == len(p.steps) {
			p.at = 0
		}
		p.left = p.steps[p.at].n
	}
}

// rest ends a run.
func (p *proc) rest() {
	end := p.x - 1 + p.lat + p.held
	clear(p.stalls)
	p.held = 0
	p.x = end + restart
	p.ends = append(p.ends, end)
	if p.tracing {
		p.traces = append(p.traces, trace{p.base, p.read, p.wrote})
	}
	p.run++
	p.i, p.read, p.wrote, p.base = 0, 0, 0, p.x
}

// last is the last cycle in which something moved in the stage.
func (p *proc) last() int {
	switch {
	case p.exits.n > 0:
		return p.exits.first().tick + p.off + p.held - 1
	case p.i == 0: // with the handshake
		return p.x - 1
	}
	return p.x - 1 + p.lat + p.held
}

// waits says what an unfinished stage waits for.
func (p *proc) waits() string {
	if p.exits.n > 0 {
		for i, c := range p.s.Out {
			if f := p.out[i]; p.exits.first().mask>>i&1 != 0 && f.places() == 0 {
				return fmt.Sprintf("%s for a place in %s (depth %d)", p.s.Name, c.Name, f.depth)
			}
		}
	}
	if p.run < p.limit && p.i < p.iterations {
		for i, c := range p.s.In {
			if p.steps[p.at].read>>i&1 != 0 && p.in[i].words() == 0 {
				return fmt.Sprintf("%s for a word of %s", p.s.Name, c.Name)
			}
		}
	}
	return ""
}
