package dataflow

import "math/bits"

// fifo keeps the times at which the words that are in it came, and those at which the places for the next words became free. A word takes the
// place of the word depth before it; the first ones find theirs free from time 0 on.
type fifo struct {
	depth            int
	room             int   // words that may be in; more than depth if it is bold
	wrong            bool  // it was bold, and should not have been
	wrongs           int   // how often that was so
	shy              int   // for how many more times it will not be bold
	enough           int   // words or places that make a turn worthwhile
	came, free       []int // times by the number of the word and mask
	mask             int   // of a ring, or -1 if all times are kept
	pushes, pulls    int
	writer, reader   int
	blocked, starved bool // its writer or its reader waits for it, or did
	turns            *turns
	full             int // clock cycles for which its writer was blocked
	marks            *marks
}

// leastRing is the least number of times that are kept: bursts do not go around the end.
const leastRing = 64

// reset empties a FIFO. One of few words makes for short bursts. If it is bold, more are let in, as if there were places in time: should a
// place become free too late for the word that took it, that is wrong. All times are kept if that many words are given, or else as many as
// are needed.
func (f *fifo) reset(depth int, mark, bold bool, keep int) {
	was := *f
	*f = fifo{depth: depth, room: depth, wrongs: was.wrongs, shy: was.shy, writer: was.writer, reader: was.reader, turns: was.turns}
	n := max(leastRing, 1<<bits.Len(uint(depth-1)))
	f.mask = n - 1
	if keep > 0 {
		n = keep + max(leastRing, depth)
		f.mask = -1
	}
	f.came, f.free = was.came, was.free
	if cap(f.came) < n {
		f.came, f.free = make([]int, n), make([]int, n)
	}
	f.came, f.free = f.came[:n], f.free[:n]
	clear(f.free[:f.room])
	if bold && depth < leastRing/2 {
		f.room = leastRing
		clear(f.free) // those that will not be known in time hold nothing up
	}
	f.enough = min(leastRing, f.room) / 2
	if mark {
		f.marks = &marks{}
	}
}

// daring reports whether a FIFO should be bold the next time with a depth: where it was not wrong lately, and never held its writer up the last
// time.
func (f *fifo) daring(depth int) bool {
	if f.wrong {
		f.shy = 1<<min(f.wrongs, 5) - 1
		f.wrongs++
	}
	if f.shy > 0 {
		f.shy--
		return false
	}
	return f.depth == depth && f.pushes > 0 && f.full == 0
}

// words is how many words are in, places for how many more there is room.
func (f *fifo) words() int  { return f.pushes - f.pulls }
func (f *fifo) places() int { return f.room - f.words() }

// heads are the times at which the next words to go came, of at least one if there is one.
func (f *fifo) heads() []int {
	i := f.pulls & f.mask
	return f.came[i:min(i+f.words(), len(f.came))]
}

// frees is where it is noted when the next words went.
func (f *fifo) frees() []int { return f.free[(f.pulls+f.depth)&f.mask:] }

// gaps are the times at which the places for the next words became free, of at least one if there is one. Those that a bold FIFO does not
// know yet are the times of places of words long before, so they hold nothing up.
func (f *fifo) gaps() []int {
	i := f.pushes & f.mask
	return f.free[i:min(i+f.places(), len(f.free))]
}

// tails is where it is noted when the next words came.
func (f *fifo) tails() []int { return f.came[f.pushes&f.mask:] }

// pushed counts words that came, whose times are in tails.
func (f *fifo) pushed(n int) {
	if f.marks != nil {
		f.marks.came = append(f.marks.came, f.tails()[:n]...)
	}
	f.pushes += n
	if f.starved {
		f.starved = f.turns.wake(f.reader, f.words() >= f.enough)
	}
}

// pulled counts words that went, whose times are in frees.
func (f *fifo) pulled(n int) {
	if f.marks != nil {
		f.marks.pull(f.frees()[:n])
	}
	if f.room > f.depth {
		f.check(n)
	}
	f.pulls += n
	if f.blocked {
		f.blocked = f.turns.wake(f.writer, f.places() >= f.enough)
	}
}

// check holds the times of words that a bold FIFO let in to those of n places that become free.
func (f *fifo) check(n int) {
	for k := f.pulls + f.depth; k < min(f.pulls+n+f.depth, f.pushes); k++ {
		if i := k & f.mask; f.came[i] <= f.free[i] {
			f.wrong, f.turns.wrong = true, true
		}
	}
}

// wake gives a proc its turn and reports whether that should be sooner if there is more to do.
func (t *turns) wake(i int, much bool) bool {
	if much {
		t.much.add(i)
		return false
	}
	t.little.add(i)
	return true
}

// marks finds the most words that a FIFO held.
type marks struct {
	came, went  []int // times not yet merged into most
	words, most int
	ahead       int // length of went at which to merge
}

func (m *marks) pull(t []int) {
	m.went = append(m.went, t...)
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
