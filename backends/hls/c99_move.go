package hls

import (
	"fmt"

	"quern/ir/hw"
)

// mapped prints an elementwise kernel: one loop, or two where the program has numbers by channel or pixel.
func (e *c99) mapped(w *writer, k *hw.Kernel) {
	c := k.Out.Channels()
	pixel, channel := over("pixel", "p", k.Out.Len()/c), over("channel", "c", c)
	if !needsIndex(k.Prog) {
		pixel, channel = over("pixel", "p", 1), over("element", "i", k.Out.Len())
	}
	n := w.loops(true, pixel, channel)
	index := affineOf(0, c, pixel.v, 1, channel.v)
	var in []string
	var types []ctype
	live := liveValues(k.Prog)
	for i, b := range k.In {
		expr := ""
		if live[i] {
			expr = fmt.Sprintf("%s[%v]", param(k, b), index)
		}
		in, types = append(in, expr), append(types, storage(b.Range))
	}
	e.finish(w, k, in, types, affineOf(0, 1, channel.v), affineOf(0, 1, pixel.v))
	w.close(n)
}

// move prints the copies of a Move: the fill value first where some elements have it, then a nest of loops for each piece.
func (e *c99) move(w *writer, k *hw.Kernel) {
	m := k.Move
	t := storage(k.Out.Range)
	if m.Filled {
		fill := over("fill", "i", k.Out.Len())
		n := w.loops(true, fill)
		w.line("y[%v] = %s;", affineOf(0, 1, fill.v), literal(m.Fill))
		w.close(n)
	}
	for i := range m.Pieces {
		p := &m.Pieces[i]
		size, ss, ds := mergeAxes(p)
		src, dst := affineOf(p.SrcOff), affineOf(p.DstOff)
		var ls []loop
		for a, n := range size {
			l := over(fmt.Sprintf("copy%d_%d", i, a), fmt.Sprintf("i%d", a), n)
			ls = append(ls, l)
			src, dst = src.plus(ss[a], l.v), dst.plus(ds[a], l.v)
		}
		n := w.loops(true, ls...)
		b := k.In[p.Src]
		w.line("y[%v] = %s;", dst, assign(fmt.Sprintf("%s[%v]", param(k, b), src), storage(b.Range), t))
		w.close(n)
	}
}

// mergeAxes is the block of a piece with the fewest axes: those of size 1 are dropped and neighbours that count on are joined.
func mergeAxes(p *hw.Piece) (size, src, dst []int) {
	for a, n := range p.Size {
		if n == 1 {
			continue
		}
		last := len(size) - 1
		if last >= 0 && src[last] == n*p.SrcStride[a] && dst[last] == n*p.DstStride[a] {
			size[last], src[last], dst[last] = size[last]*n, p.SrcStride[a], p.DstStride[a]
			continue
		}
		size, src, dst = append(size, n), append(src, p.SrcStride[a]), append(dst, p.DstStride[a])
	}
	return size, src, dst
}
