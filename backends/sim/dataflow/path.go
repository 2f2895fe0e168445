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
	w := walker{network: n}
	for i, p := range n.procs {
		if len(p.out) == 0 && p.ends[p.run-1] > w.t {
			w.at, w.t = i, p.ends[p.run-1]
		}
	}
	w.i = n.procs[w.at].run*n.procs[w.at].iterations - 1
	for ends := true; w.i >= 0; {
		if ends {
			w.end()
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
	next     []int // by channel that the stage writes: the last word that came until t
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

// look makes next for a stage that the path comes to.
func (w *walker) look() {
	w.next = w.next[:0]
	for _, f := range w.procs[w.at].out {
		w.next = append(w.next, sort.Search(f.pushes, func(i int) bool { return f.came[i] > w.t })-1)
	}
}

// waited goes to the last begin of an iteration that freed a place for which the stage waited until t, but not until after or earlier. It
// reports whether there is one.
func (w *walker) waited(after int) bool {
	last, channel := after, -1
	for c, f := range w.procs[w.at].out {
		k := w.next[c]
		for ; k >= f.depth && f.came[k] > last; k-- {
			if f.came[k] == f.free[k]+1 { // as soon as it could
				last, channel = f.came[k], c
				break
			}
		}
		w.next[c] = k
	}
	if channel < 0 {
		return false
	}
	f := w.procs[w.at].out[channel]
	word := w.next[channel]
	w.current = append(w.current, w.p.d.Stages[w.at].Out[channel].ID)
	w.t = last - 1
	w.at = f.reader
	w.i = w.ledgers[w.at].reads[slices.Index(w.procs[w.at].in, f)].iteration(word - f.depth)
	w.look()
	return true
}

// end goes back from the end of an iteration to its begin, or further if the stage waited for a place meanwhile.
func (w *walker) end() {
	lat := w.procs[w.at].lat
	if w.look(); !w.waited(w.t - lat) {
		w.t -= lat
	}
}

// begin goes back from the begin of an iteration to the end of that which wrote its word, or to the end of the run before, or to a begin
// that freed a place for which the stage waited. It reports whether it is at an end.
func (w *walker) begin() bool {
	p, l := w.procs[w.at], w.ledgers[w.at]
	period, in := w.i/l.period, w.i%l.period
	for k := find(l.start, in); ; k-- {
		if k < 0 {
			w.i = period*l.period - 1
			if period*l.period%p.iterations == 0 {
				w.t -= restart - 1
				return true
			}
			period--
			in, k = l.period-1, len(p.steps)-1
		}
		s := &p.steps[k]
		for in >= l.start[k] {
			n := 1
			if s.read == 0 {
				n = in - l.start[k] + 1
			}
			if w.waited(w.t - n) {
				return false
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
			in -= n
			w.t -= n
		}
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
