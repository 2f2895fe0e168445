package dataflow

import "quern/ir/hw/stream"

// maxCycle is the greatest number of samples after which a schedule is looked for to repeat.
const maxCycle = 4

// Steady is Time for as many samples as it takes until the schedule repeats, at most so many; Timing.Repeats says after how many samples it
// does. From then on the network does the same for ever: no FIFO gets fuller, and Interval is the mean for any number of samples.
//
// That is because what a stage does in a run, and when, depends on the times of words in the same run, on those of places that were freed at
// most depth words before, and on the end of its last run; not on the clock itself. If in so many runs in a row as the deepest FIFO
// reaches back (1 unless it holds more than a sample) all words of all channels came and went at the same times as in the runs some
// samples before, but for one number of clock cycles that is the same everywhere, then the next run does, too, and so on.
func Steady(d *stream.Design, most int) (*Timing, error) { return steady(compile(d), most) }

func steady(p *program, most int) (*Timing, error) {
	n := newNetwork(p)
	n.reset(depths(p.d), false, true)
	back := 1
	for _, c := range p.d.Channels {
		back = max(back, (c.Depth+c.Words-1)/c.Words)
	}
	for runs := 1; runs <= most; runs++ {
		if err := n.run(runs); err != nil {
			return nil, err
		}
		for c := 1; c <= maxCycle; c++ {
			if shift, ok := n.repeats(c, back); ok {
				t := n.timing()
				t.Repeats, t.Interval = c, (shift+c-1)/c
				return t, nil
			}
		}
	}
	return n.timing(), nil
}

// repeats reports whether the last runs are those of c runs before, and how many clock cycles later.
func (n *network) repeats(c, back int) (shift int, ok bool) {
	for i, p := range n.procs {
		last := len(p.traces) - 1
		if last-back+1-c < 1 {
			return 0, false
		}
		if i == 0 {
			shift = p.traces[last].base - p.traces[last-c].base
		}
		for r := last; r > last-back; r-- {
			was := p.traces[r-c]
			was.base += shift
			if p.traces[r] != was {
				return 0, false
			}
		}
	}
	return shift, true
}

// trace is what a stage did in one run: when it could begin, and the times of all words relative to that.
type trace struct {
	base        int
	read, wrote hash
}

// hash is one of times.
type hash uint64

// note takes in times relative to a base.
func (h *hash) note(times []int, base int) {
	x := *h
	for _, t := range times {
		x = (x ^ hash(t-base)) * 0x9e3779b97f4a7c15
	}
	*h = x
}
