package dataflow

import "math/bits"

// burst is the pipeline of a stage at work on iterations in a row, as many as find words and places.
type burst struct {
	pipe
	lat        int
	came, went []int // of the words that are in, and of those that go
	free, puts []int // of the places that are free, and of the words that come
	pulled     int
	pushed     int
	alone      bool // one FIFO at most is written
	waited     int  // clock cycles for which it was held up
}

// many does iterations in a row, which is most of the work. No exit may be ahead whose clock cycle is not known. It reports whether there
// were any.
func (p *proc) many() bool {
	// The channels that an iteration reads or writes if it does any of that: the only one, or those of the first step.
	read, write := uint32(1), uint32(1)
	in, out := p.source, p.sink
	if p.wide {
		read, write = p.steps[p.at].read, p.steps[p.at].write
		in, out = nil, nil
		if read != 0 {
			in = p.in[bits.TrailingZeros32(read)]
		}
		if write != 0 {
			out = p.out[bits.TrailingZeros32(write)]
		}
	}
	b := &p.burst
	b.came, b.free, b.alone, b.pulled, b.pushed, b.waited = nil, nil, write&(write-1) == 0, 0, 0, 0
	if in != nil {
		b.came, b.went = in.heads(), in.frees()
		b.came = b.came[:min(len(b.came), len(b.went))]
	}
	if out != nil {
		b.free, b.puts = out.gaps(), out.tails()
		b.free = b.free[:min(len(b.free), len(b.puts))]
	}
	if p.wide {
		p.several(read&(read-1), write&(write-1))
	}
	began, at, left, i := p.x-p.off, p.at, p.left, p.i
	for i < p.iterations {
		s := &p.steps[at]
		if s.read != 0 && s.read != read || s.write != 0 && s.write != write {
			break
		}
		n := left
		switch {
		case s.write == 0 && s.read == 0:
			b.skip(n)
		case s.write == 0:
			n = b.reads(n)
		case s.read == 0:
			n = b.writes(n)
		default:
			n = b.moves(n)
		}
		i += n
		if left -= n; left > 0 {
			break
		}
		if at++; at == len(p.steps) {
			at = 0
		}
		left = p.steps[at].n
	}
	n := i - p.i
	if n == 0 {
		return false
	}
	p.at, p.left, p.i = at, left, i
	if b.pulled > 0 {
		went := b.went[:b.pulled]
		p.starved += p.x - p.off - began - n
		if p.first == 0 {
			p.first = went[0] + p.lat
		}
		if p.tracing {
			p.read.note(went, p.base)
		}
		for m := read & (read - 1); m != 0; m &= m - 1 {
			f := p.in[bits.TrailingZeros32(m)]
			copy(f.frees(), went)
			f.pulled(len(went))
		}
		in.pulled(len(went))
	}
	if b.pushed > 0 {
		puts := b.puts[:b.pushed]
		if p.tracing {
			p.wrote.note(puts, p.base)
		}
		for m := write & (write - 1); m != 0; m &= m - 1 {
			f := p.out[bits.TrailingZeros32(m)]
			copy(f.tails(), puts)
			f.pushed(len(puts))
		}
		out.pushed(len(puts))
		p.blocked += b.waited
		out.full += b.waited
	}
	return true
}

// several prepares a burst for iterations that all read or write other channels as well: it ends with the words or places of any, and the
// last of the words and places of an iteration count.
func (p *proc) several(reads, writes uint32) {
	n := leastRing
	if p.came != nil {
		n = min(n, len(p.came))
	}
	if p.free != nil {
		n = min(n, len(p.free))
	}
	for m := reads; m != 0; m &= m - 1 {
		f := p.in[bits.TrailingZeros32(m)]
		n = min(n, len(f.heads()), len(f.frees()))
	}
	for m := writes; m != 0; m &= m - 1 {
		f := p.out[bits.TrailingZeros32(m)]
		n = min(n, len(f.gaps()), len(f.tails()))
	}
	if p.came != nil {
		p.came = p.came[:n]
	}
	if p.free != nil {
		p.free = p.free[:n]
	}
	if reads != 0 {
		p.came = append(p.latestCame[:0], p.came...)
		for m := reads; m != 0; m &= m - 1 {
			later(p.came, p.in[bits.TrailingZeros32(m)].heads())
		}
	}
	if writes != 0 {
		p.free = append(p.latestFree[:0], p.free...)
		for m := writes; m != 0; m &= m - 1 {
			later(p.free, p.out[bits.TrailingZeros32(m)].gaps())
		}
	}
}

// later takes the later of times and others.
func later(times, others []int) {
	others = others[:len(times)]
	for i, t := range times {
		times[i] = max(t, others[i])
	}
}

// reads begins up to n iterations that only read, and returns how many.
func (b *burst) reads(n int) int {
	came := b.came[b.pulled:]
	came = came[:min(n, len(came))]
	went := b.went[b.pulled:][:len(came)]
	i := 0
	for ; i < len(came) && b.held > 0; i++ {
		b.wait(came[i] + 1)
		went[i] = b.x
		b.tick()
	}
	x := b.x
	for ; i < len(came); i++ {
		x = max(x, came[i]+1)
		went[i] = x
		x++
	}
	b.x = x
	b.pulled += len(came)
	return len(came)
}

// writes does up to n iterations that only write, and returns how many: not those of a stage that is held up if it writes others as well.
func (b *burst) writes(n int) int {
	free := b.free[b.pushed:]
	free = free[:min(n, len(free))]
	puts := b.puts[b.pushed:][:len(free)]
	x, off, held, stalls, lat := b.x, b.off, b.held, b.stalls, b.lat
	i := 0
	for ; i < len(free); i++ {
		t := x + lat + held
		if f := free[i]; f >= t {
			if !b.alone {
				break
			}
			s := f + 1 - t
			stalls[(x-off+lat)&(len(stalls)-1)] = s
			held += s
			b.waited += s
			t = f + 1
		}
		puts[i] = t
		x++
		if held > 0 {
			x, off, held = heldUp(x, off, held, stalls)
		}
	}
	b.x, b.off, b.held = x, off, held
	b.pushed += i
	return i
}

// moves does up to n iterations that read and write, and returns how many: as writes.
func (b *burst) moves(n int) int {
	came, free := b.came[b.pulled:], b.free[b.pushed:]
	came = came[:min(n, len(came), len(free))]
	free = free[:len(came)]
	went, puts := b.went[b.pulled:][:len(came)], b.puts[b.pushed:][:len(came)]
	x, off, held, stalls, lat := b.x, b.off, b.held, b.stalls, b.lat
	i := 0
	for ; i < len(came) && (held == 0 || b.alone); i++ {
		for held > 0 && x <= came[i] {
			x, off, held = heldUp(x+1, off, held, stalls)
		}
		at := max(x, came[i]+1)
		t := at + lat + held
		if f := free[i]; f >= t {
			if !b.alone {
				break
			}
			s := f + 1 - t
			stalls[(at-off+lat)&(len(stalls)-1)] = s
			held += s
			b.waited += s
			t = f + 1
		}
		went[i], puts[i] = at, t
		x = at + 1
		if held > 0 {
			x, off, held = heldUp(x, off, held, stalls)
		}
	}
	b.x, b.off, b.held = x, off, held
	b.pulled += i
	b.pushed += i
	return i
}
