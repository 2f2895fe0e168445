package hls

import (
	"fmt"

	"quern/ir/hw"
)

// dot prints a convolution or matrix product. For each output pixel, blocks of output channels (lanes) are summed together: one element
// of the input in each clock cycle meets one weight of each lane. The scalar programs of a block then run one after the other on one
// set of hardware.
func (e *c99) dot(w *writer, k *hw.Kernel) {
	d := k.Dot
	g := &d.Geometry
	cg, og := g.C/d.Groups, g.OC/d.Groups // input and output channels of a group
	all := k.Dot.AccRange()
	weights := make([]int64, len(d.Weights))
	for i, v := range d.Weights {
		weights[i] = int64(v)
	}
	lanes := 1
	if g.KH*g.KW*cg > 1 { // else nothing is summed and the channel loop is pipelined
		lanes = divisor(og, e.o.Lanes)
	}
	wt := e.table(k, "_w", []int{g.OC, g.KH, g.KW, cg}, weights, "weights by output channel, row, column and input channel of the group")
	bt := e.table(k, "_b", []int{g.OC}, d.Bias, "start of the accumulator: bias less the input's zero point times the sum of the weights")

	row, col, ty, tx := gridLoops(g)
	group := over("group", "g", d.Groups)
	block := loop{"channel", variable{"o", 0, og - lanes}, og, lanes}
	in := over("mac", "c", cg)
	lane := over("lane", "p", lanes)
	oc := affineOf(0, og, group.v, 1, block.v, 1, lane.v)
	sums := ty.n*tx.n*in.n > 1
	t := accType(d, k.In[0], all)
	acc := "acc"
	if lanes > 1 {
		acc = "acc[p]"
		w.partition(wt.name, "cyclic", lanes, 1)
	}
	if len(weights)/lanes >= ramDepth {
		w.storage("rom_1p", "ROM_1P_BRAM", wt.name)
	}

	outer := w.loops(!sums, row, col, group, block)
	if lanes > 1 {
		w.line("%v acc[%d]; /* %v in %d..%d */", t, lanes, all, all.Lo, all.Hi)
		w.partition("acc", "complete", lanes, 1)
		n := w.unrolled(lane.as("start"))
		w.line("acc[p] = %s;", assign(fmt.Sprintf("%s[%v]", bt.name, oc), bt.elem, t))
		w.close(n)
	} else {
		w.line("%v acc = %s; /* %v in %d..%d */", t, assign(fmt.Sprintf("%s[%v]", bt.name, oc), bt.elem, t), all, all.Lo, all.Hi)
	}
	inner := w.loops(true, ty, tx, in)
	v := w.tap(g, k.In[0], row.v, col.v, ty.v, tx.v, affineOf(0, cg, group.v, 1, in.v))
	n := w.unrolled(lane)
	at := ""
	for i, index := range []affine{oc, affineOf(0, 1, ty.v), affineOf(0, 1, tx.v), affineOf(0, 1, in.v)} {
		if i == 0 || []int{0, g.KH, g.KW, cg}[i] > 1 {
			at += fmt.Sprintf("[%v]", index)
		}
	}
	w.line("%s += %s * %s;", acc, operand("v", v, t), operand(wt.name+at, wt.elem, t))
	w.close(n + inner)

	n = w.loops(true, lane.as("result"))
	e.finish(w, k, []string{acc}, []ctype{t}, oc, affineOf(0, g.OW, row.v, 1, col.v))
	w.close(n + outer)
}

// accType is the type of the accumulator, in which products are formed too: 32 bits where the sums, the products and both factors fit.
func accType(d *hw.Dot, in *hw.Buffer, acc hw.Interval) ctype {
	x := in.Range.Union(hw.Interval{Lo: d.PadValue, Hi: d.PadValue})
	p, err := hw.Prims[hw.Mul].Bound(x, d.WeightRange(), 0)
	if err != nil || !i32.holds(acc) || !i32.holds(p) || !i32.holds(x) {
		return i64
	}
	return i32
}

// divisor is the largest divisor of n that is at most most.
func divisor(n, most int) int {
	for d := min(n, most); ; d-- {
		if n%d == 0 {
			return d
		}
	}
}
