package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// wide is a convolution of 16-bit elements whose accumulators need more than 32 bits, by native code.
type wide struct {
	k     *hw.Kernel
	im    image
	out   *layout
	epi   *epilogue
	conv  *kernels.Wide
	to16  *kernels.WideRequant // the whole epilogue, or nil
	chunk int                  // pixels
	acc   int                  // accumulators of a chunk
}

// wideDot is nil where the kernels refuse.
func wideDot(m *Machine, k *hw.Kernel, im image, e *epilogue, deep bool) runner {
	d := k.Dot
	x := k.In[0].Range.Union(hw.Interval{Lo: d.PadValue, Hi: d.PadValue})
	zero := im.layout.zero
	var c *kernels.Wide
	var err error
	if deep {
		p := deepPart(d, &im)
		c, err = kernels.NewWideDeep(m.level, p.pixels(&d.Geometry, &im.layout), p.win.Off, p.weights, p.bias)
	} else {
		p := parts(merged(d, d.Groups), &im)[0] // steps whose weights are all zero are left out
		c, err = kernels.NewWide(m.level, p.pixels(&d.Geometry, &im.layout), p.win.Off, p.win.Run, p.weights, p.bias, x.Lo-zero, x.Hi-zero)
		if rows := tileRows(k, &im); err == nil && rows != nil && d.SH == 1 {
			if t := c.InTiles(m.level, rows, d.OW, d.Weights, x.Lo-zero, x.Hi-zero); t != nil {
				c = t
			}
		}
	}
	if err != nil {
		return nil
	}
	r := &wide{k: k, im: im, out: &m.layouts[k.Out.ID], epi: e, conv: c}
	if e.fast != nil && r.out.kind == i16 {
		r.to16 = c.Requant(e.fast, func(c int) int64 { return d.Acc[c].Lo }, func(c int) int64 { return d.Acc[c].Hi }, r.out.zero)
	}
	tile := c.Tile()
	r.chunk = min(max(cached/kernels.WideParts/c.Width()/tile, 1), (d.OH*d.OW+tile-1)/tile) * tile
	r.acc = r.chunk*c.Width()*kernels.WideParts + c.Scratch()
	m.acc = max(m.acc, r.acc)
	m.row = max(m.row, r.chunk*d.OC+c.Width())
	return r
}

func (r *wide) run(s *State) {
	d := r.k.Dot
	x := r.im.cells(s).i16
	out := &s.bufs[r.k.Out.ID]
	acc := s.acc[:r.acc]
	for first := 0; first < d.OH*d.OW; first += r.chunk {
		n := min(r.chunk, d.OH*d.OW-first)
		r.conv.Sums(acc, x, first, n)
		if r.to16 != nil {
			r.out.segments(first, n, func(at, i, m int) { r.to16.Row(out.i16[at:], d.OC, acc, i, m) })
			continue
		}
		row := s.row[:n*d.OC]
		r.conv.Column(s.row, acc, n)
		r.epi.run(s, row, first)
		out.put(r.out, row, first, n)
	}
}
