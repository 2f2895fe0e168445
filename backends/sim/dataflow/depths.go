package dataflow

import (
	"fmt"
	"slices"

	"quern/ir/hw/stream"
)

const (
	sizeRuns  = 3         // samples in a row that depths are tried with: the pipeline of stages is full after the first
	sizeMost  = 48        // samples after which the schedule should repeat
	sizeStart = 32        // words that are tried at first: what a LUT holds of a bit
	sizeTry   = 4         // trials that lower depths; more for small networks:
	sizeWork  = 8_000_000 // words that may pass in them
)

// Size sets the depth of every channel, and returns the timing with those depths (Steady).
//
// The least interval is that of the slowest stage, which FIFOs of any depth allow, as a network has no loops. Depths are found for 1 % more,
// in these steps:
//
//   - Branches that part at a Fork and meet again need FIFOs that hold what the longer branch has under way: channels get the words that
//     they hold if each stage goes on only when all behind it wait (lazy), so that nothing stands still.
//   - Some get more as far as the interval needs it: a stage cannot begin a sample while it ends the one before, and what is next to it
//     must not wait for that. Which they are is seen from what the last word waited for (network.critical): of channels in series,
//     which are as good as each other, that which costs least.
//   - Depths are lowered again, all together but those that the last word then waits for, and then those in ever smaller groups, to where
//     they take less (Channel.Resources has steps) as long as the interval stays.
//   - Depths that are not enough without the words that pipelines hold are raised (Live), so that no deadlock depends on the latency that
//     the tools give to a stage.
//
// fits is asked then whether these depths will do; if not, Size ends without a timing, which in a large network may take longer than the depths.
//
// FINN finds depths by running the RTL (InsertAndSetFIFODepths); here the network of counters is run, a few samples each time.
func Size(d *stream.Design, fits func() bool) (*Timing, error) {
	p := compile(d)
	z := &sizer{d: d, n: newNetwork(p)}
	z.n.keep = sizeRuns
	least := 0
	for _, s := range d.Stages {
		least = max(least, s.Iterations()+s.Latency()-1+restart)
	}
	z.goal = least + least/100
	z.depth = lazy(p)
	words := 0
	for i, c := range d.Channels {
		z.depth[i] = max(z.depth[i], min(sizeStart, z.unbounded(i)))
		words += sizeRuns * c.Words
	}
	if err := z.raise(); err != nil {
		return nil, err
	}
	z.trials = min(max(sizeTry, sizeWork/words), 60)
	all := make([]int, len(d.Channels))
	for i := range all {
		all[i] = i
	}
	z.lowerMost(all)
	z.lower(z.dearest(all))
	for i, c := range d.Channels {
		c.Depth = fill(c, z.depth[i])
	}
	if err := enliven(p); err != nil {
		return nil, err
	}
	if !fits() {
		return nil, nil
	}
	// The trials look at few samples: what they missed is small.
	var t *Timing
	for range 20 {
		var err error
		if t, err = steady(p, sizeMost); err != nil || t.Interval <= z.goal {
			return t, err
		}
		for _, c := range d.Channels {
			c.Depth = fill(c, c.Depth+c.Depth/8+1)
		}
	}
	return nil, fmt.Errorf("dataflow: %d clock cycles between runs with the depths that were found, want %d", t.Interval, z.goal)
}

// sizer looks for depths.
type sizer struct {
	d      *stream.Design
	n      *network
	depth  []int // by channel
	goal   int   // clock cycles between runs
	trials int   // left to lower depths
}

// unbounded is a depth that never holds a stage up in a trial.
func (z *sizer) unbounded(channel int) int { return sizeRuns * z.d.Channels[channel].Words }

// try runs the network.
func (z *sizer) try() (*Timing, error) {
	z.n.reset(z.depth, false, false)
	if err := z.n.run(sizeRuns); err != nil {
		return nil, err
	}
	return z.n.timing(), nil
}

// raise makes channels deeper until the goal is met, and leaves each as deep as it was used.
func (z *sizer) raise() error {
	t, err := z.try()
	for ; err == nil && t.Interval > z.goal; t, err = z.try() {
		if !z.deepen(z.n.critical(), t.Interval-z.goal) {
			return fmt.Errorf("dataflow: %d clock cycles between runs whatever the depths, want %d", t.Interval, z.goal)
		}
	}
	if err != nil {
		return err
	}
	for i, f := range z.n.fifos {
		m := marks{came: f.came[:f.pushes], went: f.free[f.depth:][:f.pulls]}
		m.merge(true)
		z.depth[i] = max(stream.MinDepth, m.most)
	}
	return nil
}

// deepen gives of the channels of each series that one room for so many more clock cycles for which it costs least. It reports whether there
// was any.
func (z *sizer) deepen(causes []series, cycles int) bool {
	next := slices.Clone(z.depth)
	for _, s := range causes {
		best, least, deep := -1, 0, 0
		for _, i := range s {
			c, was := z.d.Channels[i], z.depth[i]
			if next[i] > was { // in another series as well
				best = -1
				break
			}
			if was == z.unbounded(i) {
				continue
			}
			n := min(z.unbounded(i), fill(c, was+max(was/4, cycles*c.Words/z.goal)+1))
			if p := price(c, n) - price(c, was); best < 0 || p < least {
				best, least, deep = i, p, n
			}
		}
		if best >= 0 {
			next[best] = deep
		}
	}
	more := !slices.Equal(next, z.depth)
	z.depth = next
	return more
}

// lowerMost makes channels cheaper, and those that are hardly used as cheap as can be, as long as the goal is met: all together, less those
// that made a trial miss it.
func (z *sizer) lowerMost(channels []int) {
	for len(channels) > 0 {
		was := slices.Clone(z.depth)
		var can []int
		for _, i := range channels {
			if z.depth[i] = cheaper(z.d.Channels[i], was[i]); was[i] <= sizeStart {
				z.depth[i] = stream.MinDepth
			}
			if z.depth[i] < was[i] {
				can = append(can, i)
			}
		}
		for len(can) > 0 {
			if z.trials == 0 {
				z.depth = was
				return
			}
			z.trials--
			ok, causes := z.meets()
			if ok {
				break
			}
			var innocent []int
			for _, i := range can {
				if slices.ContainsFunc(causes, func(s series) bool { return slices.Contains(s, i) }) {
					z.depth[i] = was[i]
				} else {
					innocent = append(innocent, i)
				}
			}
			if len(innocent) == len(can) {
				z.depth = was
				return
			}
			can = innocent
		}
		channels = can
	}
}

// meets tries whether the goal is met, or else what it was that the network waited for.
func (z *sizer) meets() (ok bool, causes []series) {
	t, err := z.try()
	switch {
	case err != nil:
		return false, z.n.stuck()
	case t.Interval > z.goal:
		return false, z.n.critical()
	}
	return true, nil
}

// lower makes the given channels cheaper as long as the goal is met: all together, or else each half of them.
func (z *sizer) lower(channels []int) {
	var can []int
	was := slices.Clone(z.depth)
	for _, i := range channels {
		if n := cheaper(z.d.Channels[i], z.depth[i]); n < z.depth[i] {
			z.depth[i] = n
			can = append(can, i)
		}
	}
	if len(can) == 0 || z.trials == 0 {
		z.depth = was
		return
	}
	z.trials--
	if t, err := z.try(); err == nil && t.Interval <= z.goal {
		z.lower(can)
		return
	}
	z.depth = was
	if n := len(can); n > 1 {
		z.lower(can[:n/2])
		z.lower(can[n/2:])
	}
}

// dearest sorts channels by what they take.
func (z *sizer) dearest(channels []int) []int {
	c := slices.Clone(channels)
	slices.SortStableFunc(c, func(a, b int) int { return price(z.d.Channels[b], z.depth[b]) - price(z.d.Channels[a], z.depth[a]) })
	return c
}

// bramLUTs is what a block RAM of 18 Kbit is set against in LUTs: common parts have 150 to 300 LUTs for each.
const bramLUTs = 200

// price is what a channel takes at a depth, in LUTs.
func price(c *stream.Channel, depth int) int {
	at := *c // others may read the channel
	at.Depth = depth
	r := at.Resources()
	return r.LUT + bramLUTs*r.BRAM18
}

// depthSteps are the depths at which what a channel takes may change, below a depth, from the greatest on.
func depthSteps(below int) []int {
	s := []int{stream.MinDepth, 16}
	for n := 32; n < below; n += 32 {
		if n > 512 {
			n += 512 - 32
		}
		s = append(s, n)
	}
	slices.Reverse(s)
	return slices.DeleteFunc(s, func(n int) bool { return n >= below })
}

// cheaper is the greatest depth that takes less, or the same depth.
func cheaper(c *stream.Channel, depth int) int {
	p := price(c, depth)
	for _, n := range depthSteps(depth) {
		if price(c, n) < p {
			return n
		}
	}
	return depth
}

// fill is the greatest depth that takes no more: what a shift register or a memory has anyway.
func fill(c *stream.Channel, depth int) int {
	if depth <= stream.MinDepth {
		return depth
	}
	p := price(c, depth)
	for _, n := range depthSteps(depth + 512) {
		if n >= depth && price(c, n) <= p {
			return n
		}
	}
	return depth
}
