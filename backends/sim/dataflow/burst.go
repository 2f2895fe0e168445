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
	if p.wide {
		read, write = p.steps[p.at].read, p.steps[p.at].write
	}
	b := &p.burst
	b.alone, b.pulled, b.pushed, b.waited = write&(write-1) == 0, 0, 0, 0
	if read != 0 && len(p.in) > 0 {
		f := p.in[bits.TrailingZeros32(read)]
		b.came, b.went = f.heads(), f.frees()
		b.came = b.came[:min(len(b.came), len(b.went))]
	}
	if write != 0 && len(p.out) > 0 {
		f := p.out[bits.TrailingZeros32(write)]
		b.free, b.puts = f.gaps(), f.tails()
		b.free = b.free[:min(len(b.free), len(b.puts))]
	}
	if p.wide {
		b.came, b.free = p.several(read, write)
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
		p.starve(p.x-p.off-began-n, read)
		went := b.went[:b.pulled]
		if p.first == 0 {
			p.first = went[0] + p.lat
		}
		if p.tracing {
			p.read.note(went, p.base)
		}
		for m := read; m != 0; m &= m - 1 {
			f := p.in[bits.TrailingZeros32(m)]
			if m != read {
				copy(f.frees(), went)
			}
			f.pulled(len(went))
		}
	}
	if b.pushed > 0 {
		puts := b.puts[:b.pushed]
		if p.tracing {
			p.wrote.note(puts, p.base)
		}
		for m := write; m != 0; m &= m - 1 {
			f := p.out[bits.TrailingZeros32(m)]
			if m != write {
				copy(f.tails(), puts)
			}
			f.pushed(len(puts))
		}
		if b.waited > 0 {
			p.blocked += b.waited
			p.out[bits.TrailingZeros32(write)].full += b.waited
		}
	}
	return true
}

// several is, for iterations that all read some channels and write others, as many as find words and places, when the last of their words
// came and the last of their places became free.
func (p *proc) several(read, write uint32) (came, free []int) {
	n := leastRing
	for m := read; m != 0; m &= m - 1 {
		f := p.in[bits.TrailingZeros32(m)]
		n = min(n, len(f.heads()), len(f.frees()))
	}
	for m := write; m != 0; m &= m - 1 {
		f := p.out[bits.TrailingZeros32(m)]
		n = min(n, len(f.gaps()), len(f.tails()))
	}
	p.latestCame, p.latestFree = p.latestCame[:0], p.latestFree[:0]
	for m := read; m != 0; m &= m - 1 {
		p.latestCame = later(p.latestCame, p.in[bits.TrailingZeros32(m)].heads()[:n])
	}
	for m := write; m != 0; m &= m - 1 {
		p.latestFree = later(p.latestFree, p.out[bits.TrailingZeros32(m)].gaps()[:n])
	}
	return p.latestCame, p.latestFree
}

// later takes the later of times, or others if there are none.
func later(times, others []int) []int {
	if len(times) == 0 {
		return append(times, others...)
	}
	others = others[:len(times)]
	for i, t := range times {
		times[i] = max(t, others[i])
	}
	return times
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
			k := (x - off) & (len(stalls) - 1)
			s := stalls[k]
			stalls[k] = 0
			x, off, held = x+s, off+s, held-s
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
			x++
			k := (x - off) & (len(stalls) - 1)
			s := stalls[k]
			stalls[k] = 0
			x, off, held = x+s, off+s, held-s
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
			k := (x - off) & (len(stalls) - 1)
			s := stalls[k]
			stalls[k] = 0
			x, off, held = x+s, off+s, held-s
		}
	}
	b.x, b.off, b.held = x, off, held
	b.pulled += i
	b.pushed += i
	return i
}
