package dataflow

import (
	"fmt"
	"slices"
	"sort"
)

// A clock cycle in which a word comes or goes is one after another such cycle, which it waited for: that in which the word to read came, that
// in which the place to write became free, or that of the iteration before. So from the end of the last run a path of causes leads back to the
// start, and nothing but what is on it can make that end come sooner: of all FIFOs, those whose places were waited for.

// series are channels whose places were waited for one behind the other on the path: the stage between two of them could not read as it
// could not write. More room in any of them is more room in all.
type series []int

// critical follows the path back from the end of the last run of a network that kept all times.
func (n *network) critical() []series {
	if n.ledgers == nil {
		for i, p := range n.procs {
			n.ledgers = append(n.ledgers, newLedger(p, n.p.steps[i]))
		}
	}
	w := walker{network: n, held: make([][]int, len(n.fifos))}
	for i, p := range n.procs {
		if len(p.out) == 0 && p.ends[p.run-1] > w.t {
			w.at, w.t = i, p.ends[p.run-1]
		}
	}
	w.i = n.procs[w.at].run*n.procs[w.at].iterations - 1
	for ends := true; w.i >= 0; {
		if ends {
			w.exit()
			ends = false
		} else {
			ends = w.begin()
		}
	}
	if w.t != 1-restart {
		panic(fmt.Sprintf("dataflow: the causes of the end go back to clock cycle %d, want %d", w.t, 1-restart))
	}
	w.part()
	return w.found
}

// walker is on the path of causes at an iteration of a stage, which begins or ends in a clock cycle.
type walker struct {
	*network
	at, i, t int
	held     [][]int // by channel, once it was asked for: the words that may have waited for a place
	current  series
	found    []series
}

// part ends the current series.
func (w *walker) part() {
	if len(w.current) == 0 {
		return
	}
	slices.Sort(w.current)
	s := slices.Compact(w.current)
	if !slices.ContainsFunc(w.found, func(f series) bool { return slices.Equal(f, s) }) {
		w.found = append(w.found, slices.Clone(s))
	}
	w.current = w.current[:0]
}

// last is the last word that the stage wrote in clock cycles after one and until another and that waited for its place.
func (w *walker) last(after, until int) (channel, word int, ok bool) {
	for _, c := range w.p.d.Stages[w.at].Out {
		f := w.fifos[c.ID]
		if w.held[c.ID] == nil {
			w.held[c.ID] = f.waited()
		}
		h := w.held[c.ID]
		if i := sort.Search(len(h), func(i int) bool { return f.came[h[i]] > until }) - 1; i >= 0 && f.came[h[i]] > after {
			channel, word, ok, after = c.ID, h[i], true, f.came[h[i]]
		}
	}
	return channel, word, ok
}

// waited are the words that came as soon as their places were free.
func (f *fifo) waited() []int {
	list := []int{}
	for k := f.depth; k < f.pushes; k++ {
		if f.came[k] == f.free[k]+1 {
			list = append(list, k)
		}
	}
	return list
}

// exit goes back from the end of an iteration to its begin, or to the begin at which the place became free that the stage waited for last
// meanwhile.
func (w *walker) exit() {
	lat := w.procs[w.at].lat
	if c, word, ok := w.last(w.t-lat, w.t); ok {
		w.place(c, word)
		return
	}
	w.t -= lat
}

// place goes from the cycle in which a word came to that in which another left its place.
func (w *walker) place(channel, word int) {
	w.current = append(w.current, channel)
	f := w.fifos[channel]
	w.t = f.came[word] - 1
	w.at = f.reader
	w.i = w.ledgers[w.at].reads[slices.Index(w.procs[w.at].in, f)].iteration(word - f.depth)
}

// begin goes back from the begin of an iteration to the end of that which wrote its word, or to the begin at which the place became free that
// the stage waited for last, or to the end of the run before. It reports whether it is at an end.
func (w *walker) begin() bool {
	p, l := w.procs[w.at], w.ledgers[w.at]
	c, word, stalled := w.last(0, w.t)
	stall := 0
	if stalled {
		stall = w.fifos[c].came[word]
	}
	period, in := w.i/l.period, w.i%l.period
	k := find(l.start, in)
	for {
		for ; k >= 0; k-- {
			s := &p.steps[k]
			for in >= l.start[k] {
				if stalled && w.t <= stall {
					w.place(c, word)
					return false
				}
				if s.read == 0 {
					n := min(in-l.start[k]+1, w.t-stall)
					in -= n
					w.t -= n
					continue
				}
				for j, f := range p.in {
					if s.read>>j&1 == 0 {
						continue
					}
					r := &l.reads[j]
					if word := period*r.period + r.before[k] + in - l.start[k]; f.came[word]+1 == w.t {
						w.part()
						w.t--
						w.at = f.writer
						w.i = w.ledgers[w.at].writes[slices.Index(w.procs[w.at].out, f)].iteration(word)
						return true
					}
				}
				in--
				w.t--
			}
		}
		w.i = period*l.period - 1
		if period*l.period%p.iterations == 0 { // to the end of the run before
			w.t -= restart - 1
			return true
		}
		period--
		in, k = l.period-1, len(p.steps)-1
	}
}

// ledger says at which iterations a stage reads and writes its words.
type ledger struct {
	start         []int // iterations of a period before each step
	period        int
	reads, writes []entries
}

// entries are the words of a channel.
type entries struct {
	*ledger
	before []int // words of a period before each step
	period int
}

func newLedger(p *proc, steps []step) *ledger {
	l := &ledger{reads: make([]entries, len(p.in)), writes: make([]entries, len(p.out))}
	for _, s := range steps {
		l.start = append(l.start, l.period)
		l.period += s.n
		for _, x := range []struct {
			list []entries
			mask uint32
		}{{l.reads, s.read}, {l.writes, s.write}} {
			for c := range x.list {
				e := &x.list[c]
				e.ledger = l
				e.before = append(e.before, e.period)
				if x.mask>>c&1 != 0 {
					e.period += s.n
				}
			}
		}
	}
	return l
}

// iteration is that of a word.
func (e *entries) iteration(word int) int {
	in := word % e.period
	k := find(e.before, in)
	return word/e.period*e.ledger.period + e.start[k] + in - e.before[k]
}

// find is the last step before which there are at most n.
func find(before []int, n int) int {
	return sort.Search(len(before), func(i int) bool { return before[i] > n }) - 1
}
