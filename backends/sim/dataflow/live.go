package dataflow

import (
	"fmt"
	"math"

	"quern/ir/hw/stream"
)

// Live proves that a network never stands still, however many samples it is given and however long its pipelines are. An error is a
// *Deadlock, without a clock cycle.
//
// It runs one sample with stages that have no pipelines: each reads the words of an iteration, then writes its words, then goes on to the
// next. If that comes to its end, all FIFOs are empty and all stages at their start, so there is an endless order of steps for any
// number of samples. A stage with a pipeline does the same reads and writes in the same order, and a read never takes the place of a
// step of another stage. So if such a network stood still, then the first step of the endless order that it has not done could be done:
// all before it were done, so the words that it reads have come, the places that it writes are free, and all earlier iterations of the
// stage have left its pipeline. That contradicts standing still.
func Live(d *stream.Design) error {
	if stuck := sequential(compile(d)); len(stuck) > 0 {
		e := &Deadlock{}
		for _, w := range stuck {
			e.Wait = append(e.Wait, w.String())
		}
		return e
	}
	return nil
}

// wait is a stage that cannot go on.
type wait struct {
	s    *stream.Stage
	c    *stream.Channel
	full bool // or empty
}

func (w wait) String() string {
	if w.full {
		return fmt.Sprintf("%s for a place in %s (depth %d)", w.s.Name, w.c.Name, w.c.Depth)
	}
	return fmt.Sprintf("%s for a word of %s", w.s.Name, w.c.Name)
}

// sequential runs one sample with stages without pipelines and returns what they wait for in the end; nothing if they are through.
func sequential(p *program) []wait {
	u := newUntimed(p, depths(p.d), math.MaxInt)
	u.run()
	var stuck []wait
	for i := range p.d.Stages {
		if w := u.turn(i); w != nil {
			stuck = append(stuck, *w)
		}
	}
	return stuck
}

// lazyTurn is the number of words that a stage writes without a look at those behind it, to save time.
const lazyTurn = 8

// lazy finds depths with which a network is live: it notes the most words in each channel if a stage goes on only while all behind it wait for
// words.
func lazy(p *program) []int {
	most := make([]int, len(p.d.Channels))
	for i, c := range p.d.Channels {
		most[i] = c.Words
	}
	u := newUntimed(p, most, lazyTurn)
	u.run()
	return u.marks
}

// untimed is a network of stages without pipelines at work on one sample. Stages that are nearer to the output go first.
type untimed struct {
	p      *program
	depth  []int // by channel
	most   int   // words that a stage writes in a turn
	states []untimedState
	words  []int // in each channel
	marks  []int // the most words
	may    set   // stages that may be able to go on
	at     map[*stream.Stage]int
}

type untimedState struct {
	at, left int
	i        int
	read     bool // the words of the next iteration
}

func newUntimed(p *program, depth []int, most int) *untimed {
	n := len(p.d.Channels)
	u := &untimed{p: p, depth: depth, most: most, words: make([]int, n), marks: make([]int, n), at: map[*stream.Stage]int{}}
	u.may = make(set, (len(p.d.Stages)+63)/64)
	for i, s := range p.d.Stages {
		u.at[s] = i
		u.states = append(u.states, untimedState{left: p.steps[i][0].n})
		u.may.add(i)
	}
	return u
}

// run goes on until all are through or wait.
func (u *untimed) run() {
	for {
		i, ok := u.may.takeLast()
		if !ok {
			return
		}
		was := u.states[i]
		if u.turn(i) == nil && u.states[i].i < u.p.d.Stages[i].Iterations() {
			u.may.add(i)
		}
		if u.states[i] == was {
			continue
		}
		for _, c := range u.p.d.Stages[i].In {
			u.may.add(u.at[c.From])
		}
		for _, c := range u.p.d.Stages[i].Out {
			u.may.add(u.at[c.To])
		}
	}
}

// turn goes on with a stage until it waits, and says for what, or has written enough for a turn.
func (u *untimed) turn(i int) *wait {
	s, q := u.p.d.Stages[i], &u.states[i]
	for done := 0; done < u.most && q.i < s.Iterations(); {
		st := &u.p.steps[i][q.at]
		n := q.left // iterations at once
		if st.write != 0 {
			n = min(n, u.most-done)
		}
		for k, c := range s.In {
			if st.read>>k&1 != 0 {
				n = min(n, u.words[c.ID])
			}
		}
		for k, c := range s.Out {
			if st.write>>k&1 != 0 {
				n = min(n, u.depth[c.ID]-u.words[c.ID])
			}
		}
		if q.read || n == 0 {
			n = 1
		}
		if !q.read {
			for k, c := range s.In {
				if st.read>>k&1 != 0 && u.words[c.ID] == 0 {
					return &wait{s, c, false}
				}
			}
			for k, c := range s.In {
				if st.read>>k&1 != 0 {
					u.words[c.ID] -= n
				}
			}
			q.read = true
		}
		for k, c := range s.Out {
			if st.write>>k&1 != 0 && u.words[c.ID] == u.depth[c.ID] {
				return &wait{s, c, true}
			}
		}
		for k, c := range s.Out {
			if st.write>>k&1 != 0 {
				u.words[c.ID] += n
				u.marks[c.ID] = max(u.marks[c.ID], u.words[c.ID])
				done += n
			}
		}
		q.read = false
		q.i += n
		if q.left -= n; q.left == 0 {
			q.at = (q.at + 1) % len(u.p.steps[i])
			q.left = u.p.steps[i][q.at].n
		}
	}
	return nil
}

// enliven makes full channels deeper, the one that takes least first, until the network is live (Parks, Bounded Scheduling of Process
// Networks, 1995, section 4.3).
func enliven(p *program) error {
	for {
		stuck := sequential(p)
		if len(stuck) == 0 {
			return nil
		}
		var c *stream.Channel
		for _, w := range stuck {
			if w.full && w.c.Depth < w.c.Words && (c == nil || w.c.Depth*w.c.Width() < c.Depth*c.Width()) {
				c = w.c
			}
		}
		if c == nil {
			return Live(p.d)
		}
		c.Depth = fill(c, c.Depth+1)
	}
}
