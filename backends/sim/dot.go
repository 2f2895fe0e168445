package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// image is where a sliding window reads: a buffer, or a copy of it with the border that the window needs.
type image struct {
	from   *layout // of the buffer
	layout layout
	id     int // of the buffer
	copy   int // index into State.copies; -1: the buffer itself
}

// image finds or makes the image for a kernel, of words where native code wants them.
func (m *Machine) image(k *hw.Kernel, g *hw.Geometry, words bool) image {
	id := k.In[0].ID
	l := m.layouts[id]
	words = words && m.level == kernels.AVX512 && l.kind == u8
	if !words && l.fits(g, m.pads[id]) {
		return image{layout: l.view(g), id: id, copy: -1}
	}
	p := newLayout(k.In[0], m.level)
	if words {
		p.kind, p.zero = i16, 0
		if r := k.In[0].Range; r.Lo < -1<<15 || r.Hi >= 1<<15 {
			p.zero = r.Lo
		}
	}
	if p = p.around(g); !p.holds(g.PadValue) {
		p.kind, p.zero = i64, 0
	}
	m.copies = append(m.copies, border{p, g.PadValue})
	m.row = max(m.row, g.W*g.C)
	return image{from: &m.layouts[id], layout: p, id: id, copy: len(m.copies) - 1}
}

func (im *image) cells(s *State) *cells {
	if im.copy < 0 {
		return &s.bufs[im.id]
	}
	s.bufs[im.id].copyTo(&s.copies[im.copy], im.from, &im.layout, s.cols[0])
	return &s.copies[im.copy]
}

// window is the sliding window over an image. Where columns are adjacent and all channels take part, a whole kernel row is one run,
// and rows that are adjacent, too, are one run together.
func window(g *hw.Geometry, l *layout, run int, taps bool) kernels.Window {
	w := kernels.Window{Run: run, Step: g.SW * l.c}
	if !taps && g.DW == 1 && run == l.c {
		w.Run = run * g.KW
		if g.DH == 1 && g.KW == l.width {
			w.Run, w.Off = w.Run*g.KH, []int{0}
			return w
		}
		for ky := range g.KH {
			w.Off = append(w.Off, ky*g.DH*l.width*l.c)
		}
		return w
	}
	for ky := range g.KH {
		for kx := range g.KW {
			w.Off = append(w.Off, (ky*g.DH*l.width+kx*g.DW)*l.c)
		}
	}
	return w
}

// start is the place of the window of the first pixel of output row oy.
func start(g *hw.Geometry, l *layout, oy int) int { return l.at(oy*g.SH-g.PH, -g.PW) }

// part is one group of a convolution: its weights, in the order of its window, and biases for the stored elements.
type part struct {
	c, o    int // first channel of input and output
	win     kernels.Window
	weights []int32
	bias    []int64
}

func parts(d *hw.Dot, im *image) []part {
	g := &d.Geometry
	cg, mg := g.C/d.Groups, g.OC/d.Groups
	k := g.KH * g.KW * cg
	var r []part
	for q := range d.Groups {
		p := part{c: q * cg, o: q * mg, win: window(g, &im.layout, cg, d.Groups > 1), weights: d.Weights[q*mg*k : (q+1)*mg*k], bias: shifted(d, im.layout.zero, q*mg, mg)}
		r = append(r, p)
	}
	return r
}

// pixels are the places of all windows.
func (p *part) pixels(g *hw.Geometry, l *layout) []int {
	var r []int
	for oy := range g.OH {
		for ox := range g.OW {
			r = append(r, start(g, l, oy)+ox*p.win.Step+p.c)
		}
	}
	return r
}

// shifted are n biases from the given one on for elements that are stored less zero.
func shifted(d *hw.Dot, zero int64, first, n int) []int64 {
	k := len(d.Weights) / d.OC
	r := make([]int64, n)
	for i := range r {
		o := first + i
		sum := int64(0)
		for _, w := range d.Weights[o*k : (o+1)*k] {
			sum += int64(w)
		}
		r[i] = d.Bias[o] + zero*sum
	}
	return r
}

// prepareDot chooses between native and portable code.
func (m *Machine) prepareDot(k *hw.Kernel, e *epilogue) runner {
	d := k.Dot
	w, acc := d.WeightRange(), d.AccRange()
	im := m.image(k, &d.Geometry, w.Lo < -1<<7 || w.Hi >= 1<<7)
	narrow := acc.Lo >= -1<<31 && acc.Hi < 1<<31
	words := m.level != kernels.Generic && w.Lo >= -1<<15 && w.Hi < 1<<15
	deep := d.Groups > 1 && d.C == d.Groups && d.OC == d.Groups
	switch im.layout.kind {
	case u8:
		if m.level == kernels.AVX512 && narrow && w.Lo >= -1<<7 && w.Hi < 1<<7 {
			return nativeDot[uint8](m, k, im, e, deep)
		}
		return portableDot[uint8](m, k, im, e, deep)
	case i16:
		if words && narrow {
			return nativeDot[int16](m, k, im, e, deep)
		}
		if words {
			if r := wideDot(m, k, im, e, deep); r != nil {
				return r
			}
		}
		return portableDot[int16](m, k, im, e, deep)
	}
	return portableDot[int64](m, k, im, e, deep)
}

// goDot is a convolution by portable code.
type goDot[X kernels.Int] struct {
	k      *hw.Kernel
	im     image
	out    *layout
	epi    *epilogue
	groups []*kernels.Dot[X]
	deep   *kernels.Depthwise[X]
}

func portableDot[X kernels.Int](m *Machine, k *hw.Kernel, im image, e *epilogue, deep bool) runner {
	d := k.Dot
	r := &goDot[X]{k: k, im: im, out: &m.layouts[k.Out.ID], epi: e}
	bits := 1
	for _, a := range d.Acc {
		bits = max(bits, hw.Interval{Lo: min(a.Lo, -1), Hi: a.Hi}.Bits())
	}
	m.row = max(m.row, d.OW*d.OC)
	if deep {
		p := deepPart(d, &im)
		r.deep = kernels.NewDepthwise[X](p.win, p.weights, p.bias)
		return r
	}
	for _, p := range parts(d, &im) {
		r.groups = append(r.groups, kernels.NewDot[X](p.win, p.weights, p.bias, bits))
	}
	return r
}

func (r *goDot[X]) run(s *State) {
	d := r.k.Dot
	x := cellsOf[X](r.im.cells(s))
	cg, mg := d.C/d.Groups, d.OC/d.Groups
	row := s.row[:d.OW*d.OC]
	for oy := range d.OH {
		xs := x[start(&d.Geometry, &r.im.layout, oy):]
		if r.deep != nil {
			kernels.DepthwiseRow(r.deep, row, xs, d.OW)
		}
		for q, g := range r.groups {
			kernels.DotRow(g, row[q*mg:], d.OC, xs[q*cg:], d.OW)
		}
		r.epi.run(s, row, oy*d.OW)
		s.bufs[r.k.Out.ID].put(r.out, row, oy*d.OW, d.OW)
	}
}
