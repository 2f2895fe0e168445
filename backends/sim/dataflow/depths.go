package dataflow

import (
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"quern/ir/hw/stream"
)

const (
	sizeRuns = 3          // samples in a row that depths are tried with: the pipeline of stages is full after the first
	sizeMost = 48         // samples after which the schedule should repeat
	sizeTry  = 12         // trials that lower depths, each time; more for small networks:
	sizeWork = 12_000_000 // words that may pass in them
)

// Size sets the depth of every channel, and returns the timing with those depths (Steady).
//
// The least interval is that of the slowest stage, which FIFOs of any depth allow, as a network has no loops. Depths are found for 1 % more,
// in these steps:
//
//   - Branches that part at a Fork and meet again need FIFOs that hold what the longer branch has under way: those before the stages
//     that read several channels are unbounded at first, and get the most words that they held in the end.
//   - All others get more than the least depth only as far as the interval needs it: a stage cannot begin a sample while it ends the one
//     before, and what is next to it must not wait for that.
//   - Depths are lowered again, many together and then ever fewer, to where they take less (Channel.Resources has steps) as long as
//     the interval stays.
//   - Depths that are not enough without the words that pipelines hold are raised (Live), so that no deadlock depends on the latency that
//     the tools give to a stage.
//
// FINN finds depths by running the RTL (InsertAndSetFIFODepths); here the network of counters is run, a few samples each time.
func Size(d *stream.Design) (*Timing, error) {
	z := &sizer{d: d, n: newNetwork(compile(d)), depth: make([]int, len(d.Channels))}
	least := 0
	for _, s := range d.Stages {
		least = max(least, s.Iterations()+s.Latency()-1+restart)
	}
	z.goal = least + least/100
	words := 0
	for _, c := range d.Channels {
		words += sizeRuns * c.Words
	}
	z.most = min(max(sizeTry, sizeWork/words), 5*sizeTry)
	var chain, meet []int
	for i, c := range d.Channels {
		if len(c.To.In) > 1 {
			z.depth[i] = sizeRuns * c.Words
			meet = append(meet, i)
		} else {
			chain = append(chain, i)
		}
	}
	if err := z.start(chain); err != nil {
		return nil, err
	}
	t, err := z.try(true)
	if err != nil {
		return nil, err
	}
	for _, i := range meet {
		z.depth[i] = max(stream.MinDepth, t.Marks[i])
	}
	z.trials = 0
	z.lower(z.dearest(meet))
	for i, c := range d.Channels {
		c.Depth = fill(c, z.depth[i])
	}
	if err := enliven(d); err != nil {
		return nil, err
	}
	// The trials look at few samples: what they missed is small.
	for range 20 {
		if t, err = Steady(d, sizeMost); err != nil || t.Interval <= z.goal {
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
	trials int
	most   int // trials each time
}

// try runs the network.
func (z *sizer) try(marks bool) (*Timing, error) {
	z.n.reset(z.depth, marks, false)
	if err := z.n.run(sizeRuns); err != nil {
		return nil, err
	}
	return z.n.timing(), nil
}

// start finds depths of the given channels that meet the goal, in two ways side by side, and takes what is cheaper in the end: from one
// depth for all downwards, or from greater depths for those that seem to need it.
func (z *sizer) start(channels []int) error {
	unbounded := slices.Clone(z.depth)
	for _, i := range channels {
		unbounded[i] = sizeRuns * z.d.Channels[i].Words
		z.depth[i] = stream.MinDepth
	}
	t, err := z.try(false)
	if err != nil {
		return err
	}
	ways := []func(*sizer, int, int) bool{(*sizer).any, (*sizer).waiting}
	found := make([]*sizer, len(ways))
	var eg errgroup.Group
	for i, deeper := range ways {
		y := *z
		y.depth = slices.Clone(z.depth)
		found[i] = &y
		if i == 0 { // any looks at nothing of the trial before
			y.n = newNetwork(z.n.p)
		}
		eg.Go(func() error { return y.startBy(channels, unbounded, t, deeper) })
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	least := 0
	for _, y := range found {
		cost := 1
		for _, i := range channels {
			cost += price(z.d.Channels[i], y.depth[i])
		}
		if least == 0 || cost < least {
			z.depth, least = y.depth, cost
		}
	}
	return nil
}

// startBy makes channels deeper, from depths on with which the network did as t says, until the goal is met, and then cheaper.
func (z *sizer) startBy(channels, unbounded []int, t *Timing, deeper func(*sizer, int, int) bool) (err error) {
	for t.Interval > z.goal {
		again := false
		for _, i := range channels {
			if z.depth[i] < unbounded[i] && deeper(z, i, t.Interval) {
				z.depth[i] = min(max(16, 2*z.depth[i]), unbounded[i])
				again = true
			}
		}
		if !again {
			copy(z.depth, unbounded)
			break
		}
		if t, err = z.try(false); err != nil {
			return err
		}
	}
	if t, err = z.try(true); err != nil {
		return err
	}
	if t.Interval > z.goal {
		return fmt.Errorf("dataflow: %d clock cycles between runs whatever the depths, want %d", t.Interval, z.goal)
	}
	for _, i := range channels {
		z.depth[i] = max(stream.MinDepth, t.Marks[i])
	}
	z.trials = 0
	z.lower(z.dearest(channels))
	return nil
}

// any makes all channels deeper alike.
func (z *sizer) any(int, int) bool { return true }

// waiting picks a channel that was full for a time and empty for a time: its writer could have gone ahead.
func (z *sizer) waiting(i, interval int) bool {
	f := z.n.fifos[i]
	return min(f.full, f.none) > (interval-z.goal)/4
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
	if len(can) == 0 || z.trials >= z.most {
		z.depth = was
		return
	}
	z.trials++
	if t, err := z.try(false); err == nil && t.Interval <= z.goal {
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
