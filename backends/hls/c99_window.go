package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
)

// tap prints the reading of x under window position (ky,kx) at output (oy,ox) into a variable v, with PadValue outside the input, and
// returns its type. Only the bounds that the window can really cross are tested. channel is the input channel.
func (w *writer) tap(g *hw.Geometry, src *hw.Buffer, oy, ox, ky, kx variable, channel affine) ctype {
	row, col := affineOf(-g.PH, g.SH, oy, g.DH, ky), affineOf(-g.PW, g.SW, ox, g.DW, kx)
	from := storage(src.Range)
	pad := hw.Interval{Lo: g.PadValue, Hi: g.PadValue}
	if row.outside(g.H) || col.outside(g.W) { // no output of this kernel sees the input
		w.line("(void)x;")
		w.line("const %v v = %s;", storage(pad), literal(g.PadValue))
		return storage(pad)
	}
	iy, ix := w.named("iy", row), w.named("ix", col)
	tests := append(iy.tests(g.H), ix.tests(g.W)...)
	x := fmt.Sprintf("x[%v]", affineOf(0, g.W*g.C, iy, g.C, ix).add(1, channel))
	if len(tests) == 0 {
		w.line("const %v v = %s;", from, x)
		return from
	}
	t := storage(src.Range.Union(pad))
	if t.bits >= 32 { // as an operand: beside an unsigned x, C would make a negative pad value unsigned
		x = operand(x, from, t)
	}
	choice := fmt.Sprintf("(%s) ? %s : %s", strings.Join(tests, " && "), x, literal(g.PadValue))
	if t != i32 && t != i64 {
		choice = cast(choice, t)
	}
	w.line("const %v v = %s;", t, choice)
	return t
}

// tests are the conditions for 0 <= v < n that do not hold anyway.
func (v variable) tests(n int) (s []string) {
	if v.lo < 0 {
		s = append(s, v.name+" >= 0")
	}
	if v.hi >= n {
		s = append(s, fmt.Sprintf("%s < %d", v.name, n))
	}
	return s
}

// outside reports whether a is never in 0..n-1.
func (a affine) outside(n int) bool {
	lo, hi := a.bounds()
	return hi < 0 || lo >= n
}

// gridLoops run over the rows and columns of the output and over those of the kernel.
func gridLoops(g *hw.Geometry) (row, col, tapRow, tapCol loop) {
	return over("row", "oy", g.OH), over("col", "ox", g.OW), over("tap_row", "ky", g.KH), over("tap_col", "kx", g.KW)
}

// window prints a pooling kernel: for each output pixel and channel, the reduction over the window at one element in each clock cycle.
func (e *c99) window(w *writer, k *hw.Kernel) {
	d := k.Window
	g := &d.Geometry
	row, col, ty, tx := gridLoops(g)
	ch := over("channel", "c", g.C)
	taps := ty.n*tx.n > 1
	n := w.loops(!taps, row, col, ch)
	t := scalar(d.Acc)
	start := int64(0)
	if d.Reduce == hw.ReduceMax {
		start = d.Acc.Lo
	}
	w.line("%v acc = %s; /* %v in %d..%d */", t, literal(start), d.Acc, d.Acc.Lo, d.Acc.Hi)
	inner := w.loops(true, ty, tx)
	v := w.tap(g, k.In[0], row.v, col.v, ty.v, tx.v, affineOf(0, 1, ch.v))
	if d.Reduce == hw.ReduceMax {
		value := assign("v", v, t)
		w.line("acc = %s > acc ? %s : acc;", value, value)
	} else {
		w.line("acc += %s;", assign("v", v, t))
	}
	w.close(inner)
	pixel := affineOf(0, g.OW, row.v, 1, col.v)
	e.finish(w, k, []string{"acc"}, []ctype{t}, affineOf(0, 1, ch.v), pixel)
	w.close(n)
}

// finish prints the scalar program of an output element and stores its result.
func (e *c99) finish(w *writer, k *hw.Kernel, in []string, types []ctype, channel, pixel affine) {
	v, t := e.scalar(w, k, place{in, types, channel, pixel})
	w.line("y[%v] = %s;", affine{}.add(k.Out.Channels(), pixel).add(1, channel), assign(v, t, storage(k.Out.Range)))
}
