package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
)

// printC99 prints the style c99: one file of static functions, one for each kernel, on static arrays of stdint types. Loops have
// constant bounds, and only the top function has interfaces.
func printC99(e *emitter) ([]File, error) {
	body := &writer{}
	for _, k := range e.p.Kernels {
		e.kernel(body, k)
	}
	e.top(body)
	w := &writer{}
	e.head(w, e.o.Top+".c: the network in integers, C99 that is also C++11.")
	w.raw("#include \"%s.h\"", e.o.Top)
	w.raw("#include \"fixed.h\"")
	w.raw("#include \"weights.h\"")
	w.Write(body.Bytes())
	h := &writer{}
	e.head(h, e.o.Top+".h: the top function.")
	h.guard(strings.ToUpper(e.o.Top) + "_H")
	h.raw("#include <stdint.h>")
	h.raw("")
	for _, side := range []struct {
		word string
		bufs []*hw.Buffer
		ids  []string
	}{{"input", e.p.Inputs, e.in}, {"output", e.p.Outputs, e.out}} {
		for i, b := range side.bufs {
			h.line("/* %s %s: %v, %v in %d..%d, channels last */", side.word, side.ids[i], b.Shape, b.Range, b.Range.Lo, b.Range.Hi)
		}
	}
	h.raw("#ifdef __cplusplus")
	h.raw("extern \"C\" {")
	h.raw("#endif")
	h.line("void %s(%s);", e.o.Top, e.signature())
	h.raw("#ifdef __cplusplus")
	h.raw("}")
	h.raw("#endif")
	h.raw("")
	h.raw("#endif")
	return []File{{e.o.Top + ".h", h.Bytes()}, {e.o.Top + ".c", w.Bytes()}}, nil
}

// signature lists the parameters of the top function.
func (e *emitter) signature() string {
	var s []string
	for i, b := range e.p.Inputs {
		s = append(s, fmt.Sprintf("const %v %s[%d]", storage(b.Range), e.in[i], b.Len()))
	}
	for i, b := range e.p.Outputs {
		s = append(s, fmt.Sprintf("%v %s[%d]", storage(b.Range), e.out[i], b.Len()))
	}
	return strings.Join(s, ", ")
}

// kernel prints the function of one kernel. Its inputs are x0, x1, ..., its output y.
func (e *emitter) kernel(w *writer, k *hw.Kernel) {
	w.raw("")
	w.line("/* %s: %v to %v%v in %d..%d; from %s */", k.Kind, shapes(k.In), k.Out.Range, k.Out.Shape, k.Out.Range.Lo, k.Out.Range.Hi, comment(k.Pos.String()))
	var args []string
	for i, b := range k.In {
		args = append(args, fmt.Sprintf("const %v x%d[%d]", storage(b.Range), i, b.Len()))
	}
	args = append(args, fmt.Sprintf("%v y[%d]", storage(k.Out.Range), k.Out.Len()))
	w.open("static void %s(%s)", e.fn[k], strings.Join(args, ", "))
	switch k.Kind {
	case hw.KDot:
		e.dot(w, k)
	case hw.KWindow:
		e.window(w, k)
	case hw.KMap:
		e.elementwise(w, k)
	case hw.KMove:
		e.move(w, k)
	}
	w.close(1)
}

func shapes(bs []*hw.Buffer) string {
	var s []string
	for _, b := range bs {
		s = append(s, fmt.Sprintf("%v%v", b.Range, b.Shape))
	}
	return strings.Join(s, ", ")
}

// pixels opens the loops over output pixels and channels; at is where the element stands.
func pixels(w *writer, g *hw.Geometry) (n int, oy, ox, o variable, pixel affine) {
	ly, lx, lo := over("rows", "oy", g.OH), over("cols", "ox", g.OW), over("chans", "o", g.OC)
	n = w.loops(false, ly, lx, lo)
	return n, ly.v, lx.v, lo.v, affineOf(0, g.OW, ly.v, 1, lx.v)
}

// tap declares the input coordinates under a kernel tap and returns the offset of channel 0 there, and the condition for being inside
// the input ("" where it always is).
func tap(w *writer, g *hw.Geometry, oy, ox, ky, kx variable) (iy, ix variable, inside string) {
	iy = w.named("iy", affineOf(-g.PH, g.SH, oy, g.DH, ky))
	ix = w.named("ix", affineOf(-g.PW, g.SW, ox, g.DW, kx))
	var cond []string
	for _, t := range []struct {
		v variable
		n int
	}{{iy, g.H}, {ix, g.W}} {
		if t.v.lo < 0 {
			cond = append(cond, t.v.name+" >= 0")
		}
		if t.v.hi >= t.n {
			cond = append(cond, fmt.Sprintf("%s < %d", t.v.name, t.n))
		}
	}
	return iy, ix, strings.Join(cond, " && ")
}

// element reads x0 under a tap, or the padding's value outside, as a variable of type t.
func element(w *writer, k *hw.Kernel, g *hw.Geometry, iy, ix variable, channel affine, inside string, t ctype) {
	at := channel.plus(g.W*g.C, iy).plus(g.C, ix)
	x := assign(fmt.Sprintf("x0[%v]", at), storage(k.In[0].Range), t)
	if inside == "" {
		w.line("const %v x = %s;", t, x)
		return
	}
	w.line("const %v x = (%s) ? %s : %s;", t, inside, x, literal(g.PadValue))
}

func (e *emitter) dot(w *writer, k *hw.Kernel) {
	d := k.Dot
	g := &d.Geometry
	cg, mg := g.C/d.Groups, g.OC/d.Groups
	all := d.Acc[0]
	for _, a := range d.Acc {
		all = all.Union(a)
	}
	weights := make([]int64, len(d.Weights))
	for i, v := range d.Weights {
		weights[i] = int64(v)
	}
	wt := e.table(e.fn[k]+"_w", []int{len(weights)}, weights, fmt.Sprintf("weights [%d][%d][%d][%d]: output channel, row, column, input channel", g.OC, g.KH, g.KW, cg))
	bt := e.table(e.fn[k]+"_b", []int{g.OC}, d.Bias, "accumulator's initial value: bias, zero point of the input included")
	w.rom(wt.name)
	n, oy, ox, o, pixel := pixels(w, g)
	acc := scalar(all)
	w.line("%v acc = %s;", acc, assign(fmt.Sprintf("%s[%v]", bt.name, affineOf(0, 1, o)), bt.elem, acc))
	channel := affineOf(0)
	if d.Groups > 1 {
		first := o
		if mg > 1 {
			w.line("const int q = %s / %d;", affineOf(0, 1, o), mg)
			first = variable{"q", 0, d.Groups - 1}
		}
		channel = channel.plus(cg, first)
	}
	ly, lx, lc := over("ky_loop", "ky", g.KH), over("kx_loop", "kx", g.KW), over("c_loop", "c", cg)
	m := w.loops(true, ly, lx, lc)
	iy, ix, inside := tap(w, g, oy, ox, ly.v, lx.v)
	element(w, k, g, iy, ix, channel.plus(1, lc.v), inside, acc)
	at := affineOf(0, g.KH*g.KW*cg, o, g.KW*cg, ly.v, cg, lx.v, 1, lc.v)
	w.line("acc += %s * x;", operand(fmt.Sprintf("%s[%v]", wt.name, at), wt.elem, acc))
	w.close(m)
	e.store(w, k, place{in: []string{"acc"}, inType: []ctype{acc}, channel: affineOf(0, 1, o), pixel: pixel}, g.OC)
	w.close(n)
}

// store runs the scalar program and writes y.
func (e *emitter) store(w *writer, k *hw.Kernel, at place, channels int) {
	v, t := e.scalar(w, k, at)
	index := affine{k: at.pixel.k * channels}
	for i, c := range at.pixel.c {
		index = index.plus(c*channels, at.pixel.v[i])
	}
	index.k += at.channel.k
	for i, c := range at.channel.c {
		index = index.plus(c, at.channel.v[i])
	}
	w.line("y[%v] = %s;", index, assign(v, t, storage(k.Out.Range)))
}

func (e *emitter) window(w *writer, k *hw.Kernel) {
	d := k.Window
	g := &d.Geometry
	n, oy, ox, o, pixel := pixels(w, g)
	acc := scalar(d.Acc)
	start := "0"
	if d.Reduce == hw.ReduceMax {
		start = literal(d.Acc.Lo)
	}
	w.line("%v acc = %s;", acc, start)
	ly, lx := over("ky_loop", "ky", g.KH), over("kx_loop", "kx", g.KW)
	m := w.loops(true, ly, lx)
	iy, ix, inside := tap(w, g, oy, ox, ly.v, lx.v)
	if m == 0 {
		w.open("") // a scope for x
		m = 1
	}
	element(w, k, g, iy, ix, affineOf(0, 1, o), inside, acc)
	if d.Reduce == hw.ReduceMax {
		w.line("acc = x > acc ? x : acc;")
	} else {
		w.line("acc += x;")
	}
	w.close(m)
	e.store(w, k, place{in: []string{"acc"}, inType: []ctype{acc}, channel: affineOf(0, 1, o), pixel: pixel}, g.OC)
	w.close(n)
}

func (e *emitter) elementwise(w *writer, k *hw.Kernel) {
	c := k.Out.Channels()
	lp, lc := over("pixels", "p", k.Out.Len()/c), over("chans", "o", c)
	n := w.loops(true, lp, lc)
	at := place{channel: affineOf(0, 1, lc.v), pixel: affineOf(0, 1, lp.v)}
	for i, b := range k.In {
		at.in = append(at.in, fmt.Sprintf("x%d[%v]", i, affineOf(0, c, lp.v, 1, lc.v)))
		at.inType = append(at.inType, storage(b.Range))
	}
	e.store(w, k, at, c)
	w.close(n)
}

func (e *emitter) move(w *writer, k *hw.Kernel) {
	t := storage(k.Out.Range)
	if k.Move.Filled {
		l := over("fill", "i", k.Out.Len())
		n := w.loops(true, l)
		w.line("y[%v] = %s;", affineOf(0, 1, l.v), literal(k.Move.Fill))
		w.close(n)
	}
	for i := range k.Move.Pieces {
		p := &k.Move.Pieces[i]
		var ls []loop
		src, dst := affineOf(p.SrcOff), affineOf(p.DstOff)
		for a, size := range p.Size {
			l := over(fmt.Sprintf("copy%d_%d", i, a), fmt.Sprintf("i%d", a), size)
			ls = append(ls, l)
			src, dst = src.plus(p.SrcStride[a], l.v), dst.plus(p.DstStride[a], l.v)
		}
		n := w.loops(true, ls...)
		w.line("y[%v] = %s;", dst, assign(fmt.Sprintf("x%d[%v]", p.Src, src), storage(k.In[p.Src].Range), t))
		w.close(n)
	}
}

// rom asks for block RAM for a constant array, in the words of either tool.
func (w *writer) rom(name string) {
	w.raw("#ifdef __VITIS_HLS__")
	w.raw("#pragma HLS BIND_STORAGE variable=%s type=rom_1p impl=bram", name)
	w.raw("#else")
	w.raw("#pragma HLS RESOURCE variable=%s core=ROM_1P_BRAM", name)
	w.raw("#endif")
}

// top prints the function that is synthesized: ports are read into and written from arrays on the chip, in bursts.
func (e *emitter) top(w *writer) {
	w.raw("")
	w.open("void %s(%s)", e.o.Top, e.signature())
	for i, p := range append(append([]string(nil), e.in...), e.out...) {
		w.raw("#pragma HLS INTERFACE m_axi port=%s offset=slave bundle=gmem%d", p, i)
		w.raw("#pragma HLS INTERFACE s_axilite port=%s bundle=control", p)
	}
	w.raw("#pragma HLS INTERFACE s_axilite port=return bundle=control")
	for _, b := range e.p.Buffers {
		w.line("static %v %s[%d]; /* %v %v in %d..%d */", storage(b.Range), e.arr[b], b.Len(), b.Range, b.Shape, b.Range.Lo, b.Range.Hi)
	}
	for i, b := range e.p.Inputs {
		l := over(fmt.Sprintf("read%d", i), "i", b.Len())
		n := w.loops(true, l)
		at := affineOf(0, 1, l.v)
		w.line("%s[%v] = %s[%v];", e.arr[b], at, e.in[i], at)
		w.close(n)
	}
	for _, k := range e.p.Kernels {
		var args []string
		for _, b := range append(append([]*hw.Buffer(nil), k.In...), k.Out) {
			args = append(args, e.arr[b])
		}
		w.line("%s(%s);", e.fn[k], strings.Join(args, ", "))
	}
	for i, b := range e.p.Outputs {
		l := over(fmt.Sprintf("write%d", i), "i", b.Len())
		n := w.loops(true, l)
		at := affineOf(0, 1, l.v)
		w.line("%s[%v] = %s[%v];", e.out[i], at, e.arr[b], at)
		w.close(n)
	}
	w.close(1)
}
