package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// Merging takes neighbouring groups of a convolution as one group, with weights of zero between what was apart: groups of few channels
// fill neither the lanes of a register nor what one step multiplies.

// merge is d with as many groups as one as take the least time.
func merge(d *hw.Dot, level kernels.Level, size int) *hw.Dot {
	best, least := 1, 0
	for n := 1; n <= d.Groups; n++ {
		if d.Groups%n > 0 {
			continue
		}
		if t := groupTime(d, n, level, size); n == 1 || t <= least { // fewer calls are better, too
			best, least = n, t
		}
	}
	return merged(d, best)
}

// groupTime counts the time of a convolution with n groups as one, in the units of foldTime.
func groupTime(d *hw.Dot, n int, level kernels.Level, size int) int {
	g, left := d.Geometry, d.Groups/n
	g.C, g.OC = n*d.C/d.Groups, n*d.OC/d.Groups
	if left == 1 && g.DW == 1 {
		return foldTime(&g, 1, level, size)
	}
	g.KH, g.KW = g.KH*g.KW, 1 // each tap is a run
	return left * foldTime(&g, 1, level, size)
}

// merged is d with n groups as one.
func merged(d *hw.Dot, n int) *hw.Dot {
	if n == 1 {
		return d
	}
	r := *d
	r.Groups /= n
	cg, mg, taps := d.C/d.Groups, d.OC/d.Groups, d.KH*d.KW
	r.Weights = make([]int32, n*len(d.Weights))
	for i := range d.OC * taps {
		at := i*n + i/taps/mg%n // of the output channel's group among the n
		copy(r.Weights[at*cg:], d.Weights[i*cg:(i+1)*cg])
	}
	return &r
}
