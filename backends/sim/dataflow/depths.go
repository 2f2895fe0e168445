package dataflow

import (
	"fmt"

	"quern/ir/hw/stream"
)

// sizeRuns is the number of samples in a row that depths are found and checked with: the pipeline of stages is full after the first.
const sizeRuns = 4

// Size sets the depth of every channel, and returns the timing with those depths.
//
// Branches that part at a Fork and meet again need FIFOs that hold what the longer branch has under way. So the network is run with
// unbounded FIFOs before the stages that read several channels, and all others at one small depth, which is doubled until the
// interval between runs is within 1 % of what unbounded FIFOs give everywhere. The most words that each channel then held are its
// depth. The depths are checked by running the network with them: FINN does the same with the RTL (InsertAndSetFIFODepths).
func Size(d *stream.Design) (*Timing, error) {
	all := func(*stream.Channel) bool { return true }
	meets := func(c *stream.Channel) bool { return len(c.To.In) > 1 }
	free, err := try(d, all, 0)
	if err != nil {
		return nil, err
	}
	t := free
	wide := 0
	for _, c := range d.Channels {
		wide = max(wide, t.Marks[c.ID])
	}
	for depth := stream.MinDepth; depth < wide; depth *= 2 {
		r, err := try(d, meets, depth)
		if err != nil {
			return nil, err
		}
		if r.Interval <= free.Interval+free.Interval/100 {
			t = r
			break
		}
	}
	for _, c := range d.Channels {
		c.Depth = max(stream.MinDepth, t.Marks[c.ID])
	}
	r, err := Time(d, sizeRuns)
	if err != nil {
		return nil, err
	}
	if r.Interval > t.Interval+t.Interval/100 {
		return nil, fmt.Errorf("dataflow: %d clock cycles between runs with the depths that were found, want %d", r.Interval, t.Interval)
	}
	return r, nil
}

// try times the network with a depth for all channels but those that are to be unbounded.
func try(d *stream.Design, unbounded func(*stream.Channel) bool, depth int) (*Timing, error) {
	for _, c := range d.Channels {
		c.Depth = depth
		if unbounded(c) {
			c.Depth = sizeRuns * c.Words
		}
	}
	return Time(d, sizeRuns)
}
