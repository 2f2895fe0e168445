package hls

import (
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// slide prints a stream.Slider: see there for what it does, and for the order of reading and writing.
func (s *streamer) slide(w *writer, st *stream.Stage) {
	sl := stream.NewSlider(st.Kernel, st.Fold)
	g := sl.G
	in, out := st.In[0], st.Out[0]
	whole := sl.Lines == g.H // no row is overwritten
	w.line("%s mem[%d]; /* %d rows of %d pixels of %d words */", word(in.Width()), sl.Lines*g.W*sl.Words, sl.Lines, g.W, sl.Words)
	w.raw("#pragma HLS DEPENDENCE variable=mem inter false")
	w.line("/* What comes out next: output pixel (oy, ox), block of channels b, tap (ky, kx), word j of the block. The image's row and column")
	w.line(" * under tap (0, 0) are y0 and x0; row y0 is line base of the memory. */")
	oy := counter{"oy", g.OH + 1}
	ox, b, ky, kx, j := counter{"ox", g.OW}, counter{"b", sl.Blocks}, counter{"ky", g.KH}, counter{"kx", g.KW}, counter{"j", sl.Block}
	for _, c := range []counter{oy, ox, b, ky, kx, j} {
		c.declare(w)
	}
	yType := apType(hw.Interval{Lo: int64(-g.PH - 1), Hi: int64(g.OH*g.SH + g.KH*g.DH)})
	xType := apType(hw.Interval{Lo: int64(-g.PW - 1), Hi: int64(g.OW*g.SW + g.KW*g.DW)})
	w.line("%s y0 = %d;", yType, -g.PH)
	w.line("%s x0 = %d;", xType, -g.PW)
	lineType := apType(hw.Interval{Lo: 0, Hi: int64(2 * sl.Lines)})
	if !whole {
		w.line("%s base = %d;", lineType, ((-g.PH)%sl.Lines+sl.Lines)%sl.Lines)
	}
	w.line("/* What comes in next: row, column, word of the pixel, and the line of the memory; and how many pixels were complete now, one and")
	w.line(" * two iterations before. */")
	row, col, n, slot := counter{"row", g.H + 1}, counter{"col", g.W}, counter{"n", sl.Words}, counter{"slot", sl.Lines}
	for _, c := range []counter{row, col, n, slot} {
		c.declare(w)
	}
	pixels := apType(hw.Interval{Lo: 0, Hi: int64(g.H * g.W)})
	for _, d := range []string{"done0", "done1", "done2"} {
		w.line("%s %s = 0;", pixels, d)
	}
	w.run(st)
	w.line("const bool more = oy != %d;", g.OH)
	if whole {
		w.line("const bool take = row != %d;", g.H)
	} else {
		w.line("const bool take = row != %d && (!more || row < y0 + %d);", g.H, sl.Lines)
	}
	w.line("const %s yy = y0%s;", yType, ky.times(g.DH))
	w.line("const %s xx = x0%s;", xType, kx.times(g.DW))
	w.line("const bool inside = yy >= 0 && yy < %d && xx >= 0 && xx < %d;", g.H, g.W)
	w.open("if (more && (!inside || yy * %d + xx < done2))", g.W)
	w.constantWord("v", out, g.PadValue)
	w.open("if (inside)")
	line := "yy"
	if !whole {
		line = "line"
		w.line("%s line = base%s;", lineType, ky.times(g.DH))
		w.open("if (line >= %d)", sl.Lines)
		w.line("line += -%d;", sl.Lines)
		w.close(1)
	}
	w.line("const %s m = mem[(%s * %d + xx) * %d%s%s];", word(in.Width()), line, g.W, sl.Words, b.times(sl.Block), j.times(1))
	w.convert("v", out, "m", in)
	w.close(1)
	w.line("y.write(v);")
	w.advance(func() {
		w.open("if (%s)", ox.last())
		if ox.n > 1 {
			w.line("ox = 0;")
		}
		w.line("x0 = %d;", -g.PW)
		w.line("oy += 1;")
		w.line("y0 += %d;", g.SH)
		if !whole {
			w.line("base += base >= %d ? %d : %d;", sl.Lines-g.SH, g.SH-sl.Lines, g.SH)
		}
		w.orElse()
		if ox.n > 1 {
			w.line("ox += 1;")
		}
		w.line("x0 += %d;", g.SW)
		w.close(1)
	}, j, kx, ky, b)
	w.close(1)
	w.line("done2 = done1;")
	w.line("done1 = done0;")
	w.open("if (take)")
	w.line("mem[(%v * %d + %v) * %d + %v] = x.read();", slot, g.W, col, sl.Words, n)
	w.advance(func() {
		w.line("done0 += 1;")
		w.advance(func() {
			w.line("row += 1;")
			w.advance(nil, slot)
		}, col)
	}, n)
	w.close(2)
}
