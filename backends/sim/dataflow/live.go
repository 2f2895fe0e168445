package dataflow

import (
	"fmt"

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
	if stuck := sequential(d); len(stuck) > 0 {
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
func sequential(d *stream.Design) []wait {
	type state struct {
		at, left int
		i        int
		read     bool // the words of the next iteration
	}
	p := compile(d)
	at := map[*stream.Stage]int{}
	states := make([]state, len(d.Stages))
	for i, s := range d.Stages {
		at[s] = i
		states[i].left = p.steps[i][0].n
	}
	words := make([]int, len(d.Channels))
	var stuck []wait
	// turn does as many steps as a stage can, and says whether there were any.
	turn := func(i int) (moved bool, w *wait) {
		s, q := d.Stages[i], &states[i]
		for q.i < s.Iterations() {
			st := &p.steps[i][q.at]
			n := q.left // iterations at once
			for k, c := range s.In {
				if st.read>>k&1 != 0 {
					n = min(n, words[c.ID])
				}
			}
			for k, c := range s.Out {
				if st.write>>k&1 != 0 {
					n = min(n, c.Depth-words[c.ID])
				}
			}
			if q.read || n == 0 {
				n = 1
			}
			if !q.read {
				for k, c := range s.In {
					if st.read>>k&1 != 0 && words[c.ID] == 0 {
						return moved, &wait{s, c, false}
					}
				}
				for k, c := range s.In {
					if st.read>>k&1 != 0 {
						words[c.ID] -= n
					}
				}
				q.read, moved = true, moved || st.read != 0
			}
			for k, c := range s.Out {
				if st.write>>k&1 != 0 && words[c.ID] == c.Depth {
					return moved, &wait{s, c, true}
				}
			}
			for k, c := range s.Out {
				if st.write>>k&1 != 0 {
					words[c.ID] += n
				}
			}
			moved = true
			q.read = false
			q.i += n
			if q.left -= n; q.left == 0 {
				q.at = (q.at + 1) % len(p.steps[i])
				q.left = p.steps[i][q.at].n
			}
		}
		return moved, nil
	}
	queued := make([]bool, len(d.Stages))
	var queue []int
	for i := range d.Stages {
		queue, queued[i] = append(queue, i), true
	}
	for len(queue) > 0 {
		q := queue
		queue = nil
		for _, i := range q {
			queued[i] = false
			if moved, _ := turn(i); moved {
				for _, c := range d.Stages[i].In {
					if j := at[c.From]; !queued[j] {
						queue, queued[j] = append(queue, j), true
					}
				}
				for _, c := range d.Stages[i].Out {
					if j := at[c.To]; !queued[j] {
						queue, queued[j] = append(queue, j), true
					}
				}
			}
		}
	}
	for i := range d.Stages {
		if _, w := turn(i); w != nil {
			stuck = append(stuck, *w)
		}
	}
	return stuck
}

// enliven makes full channels deeper, the one that takes least first, until the network is live (Parks, Bounded Scheduling of Process
// Networks, 1995, section 4.3).
func enliven(d *stream.Design) error {
	for {
		stuck := sequential(d)
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
			return Live(d)
		}
		c.Depth = fill(c, c.Depth+1)
	}
}
