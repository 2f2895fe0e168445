package dataflow

import (
	"fmt"
	"strings"

	"quern/ir/hw/stream"
)

// restart is the number of clock cycles from the last write of a stage's loop to the first iteration of its next run: the ap_done and
// ap_start handshake of a DATAFLOW process.
const restart = 2

// Timing is what a network does on the clock.
type Timing struct {
	First    int        // clock cycles from the start to the first word of the first run at an output
	Latency  int        // to the last word of the first run
	Interval int        // between the ends of the last two runs, or the mean of those that repeat
	Repeats  int        // the samples after which the schedule is the same again; 0: not known (see Steady)
	Stages   []Activity // by stage
	Marks    []int      // the most words that each channel held, by Time
}

// Activity counts the clock cycles of a stage over all runs.
type Activity struct {
	Busy    int // an iteration began
	Starved int // a word to read was missing
	Blocked int // a FIFO to write was full
}

// Deadlock is the error of a network that stands still.
type Deadlock struct {
	Cycle int      // the first in which nothing moves
	Wait  []string // what each unfinished stage waits for
}

func (d *Deadlock) Error() string {
	return fmt.Sprintf("deadlock in clock cycle %d: %s", d.Cycle, strings.Join(d.Wait, "; "))
}

// Time runs a network for so many samples, one behind the other, until all stages are at rest, and counts clock cycles. A stage begins
// an iteration in every cycle in which its words are there, and its pipeline of Stage.Latency steps moves on unless the word at its
// end finds a full FIFO (a flushing pipeline: style=flp, enable_flush). A FIFO offers a word one cycle after it came, and a place one
// cycle after it was freed. Ports are never empty or full. An error is a *Deadlock.
func Time(d *stream.Design, runs int) (*Timing, error) {
	n := newNetwork(compile(d))
	n.reset(depths(d), true, false)
	if err := n.run(runs); err != nil {
		return nil, err
	}
	return n.timing(), nil
}

// timing sums up the runs so far.
func (n *network) timing() *Timing {
	t := &Timing{}
	runs := n.procs[0].run
	ends := make([]int, runs)
	for _, p := range n.procs {
		t.Stages = append(t.Stages, Activity{Busy: p.run*p.iterations + p.i, Starved: p.starved, Blocked: p.blocked})
		if p.s.Kind != stream.Store {
			continue
		}
		if t.First == 0 || p.first < t.First {
			t.First = p.first
		}
		for i, e := range p.ends {
			ends[i] = max(ends[i], e)
		}
	}
	for _, f := range n.fifos {
		if f.marks != nil {
			f.marks.merge(true)
			t.Marks = append(t.Marks, f.marks.most)
		}
	}
	t.Latency = ends[0]
	t.Interval = ends[runs-1]
	if runs > 1 {
		t.Interval -= ends[runs-2]
	}
	return t
}
