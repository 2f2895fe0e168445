package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// kind is the type that the elements of a buffer are stored in.
type kind uint8

const (
	u8 kind = iota
	i16
	i64
)

// layout says how a buffer lies in memory: h rows of w pixels of c channels, which is the buffer's own order, inside a border that
// sliding windows read. An element is stored as its value less zero, so that 8 or 16 bits do wherever the range has as many values.
type layout struct {
	level       kernels.Level // that copies it
	kind        kind
	zero        int64
	h, w, c     int
	top, left   int
	rows, width int // with the border, in pixels
}

func (l *layout) dense() bool { return l.width == l.w }

// lines are the runs of pixels that lie together, and their length.
func (l *layout) lines() (n, pixels int) {
	if l.dense() {
		return 1, l.h * l.w
	}
	return l.h, l.w
}

// at is the place of pixel (y,x); the border has negative coordinates and those beyond h and w.
func (l *layout) at(y, x int) int { return ((y+l.top)*l.width + x + l.left) * l.c }

// holds reports whether a value can be stored.
func (l *layout) holds(v int64) bool {
	v -= l.zero
	switch l.kind {
	case u8:
		return v >= 0 && v < 1<<8
	case i16:
		return v >= -1<<15 && v < 1<<15
	}
	return true
}

// segments calls f for the parts of n pixels from the given one on that lie together: at is the place, i the number of the first pixel of
// the part, counted from the given one, and m their number.
func (l *layout) segments(first, n int, f func(at, i, m int)) {
	if l.dense() {
		f(l.at(0, 0)+first*l.c, 0, n)
		return
	}
	for i := 0; i < n; {
		y, x := (first+i)/l.w, (first+i)%l.w
		m := min(l.w-x, n-i)
		f(l.at(y, x), i, m)
		i += m
	}
}

// row is the number of elements from a row of a geometry's pixels to the next one, where there is one such number, or else 0.
func (l *layout) row(g *hw.Geometry) int {
	switch {
	case l.dense():
		return g.OW * l.c
	case l.w == g.OW:
		return l.width * l.c
	}
	return 0
}

// rowsOf are the places of the first element of each row of the image that the windows of a geometry read, without dilation.
func (l *layout) rowsOf(g *hw.Geometry) []int {
	var r []int
	for y := range (g.OH-1)*g.SH + g.KH {
		r = append(r, l.at(y-g.PH, -g.PW))
	}
	return r
}

// areas calls f for the parts of n pixels from the given one on that are rows of m pixels each, one below the other: as segments does,
// but for whole rows together.
func (l *layout) areas(first, n int, f func(at, i, m, rows int)) {
	if l.dense() {
		l.segments(first, n, func(at, i, m int) { f(at, i, m, 1) })
		return
	}
	for i := 0; i < n; {
		y, x := (first+i)/l.w, (first+i)%l.w
		m, rows := min(l.w-x, n-i), 1
		if m == l.w {
			rows = (n - i) / l.w
		}
		f(l.at(y, x), i, m, rows)
		i += m * rows
	}
}

// newLayout is the layout of a buffer without a border. With AVX2 there are no kernels of 8 bits.
func newLayout(b *hw.Buffer, level kernels.Level) layout {
	c := b.Channels()
	l := layout{level: level, kind: i64, h: 1, w: b.Len() / c, c: c, rows: 1, width: b.Len() / c}
	r := b.Range
	switch {
	case level != kernels.AVX2 && r.Lo >= 0 && r.Hi < 1<<8:
		l.kind = u8
	case level != kernels.AVX2 && r.Hi-r.Lo < 1<<8:
		l.kind, l.zero = u8, r.Lo
	case r.Lo >= -1<<15 && r.Hi < 1<<15:
		l.kind = i16
	case r.Hi-r.Lo < 1<<16:
		l.kind, l.zero = i16, r.Lo+1<<15
	}
	return l
}

// around is a layout with the border that the windows of a geometry touch.
func (l layout) around(g *hw.Geometry) layout {
	l.h, l.w, l.c, l.top, l.left = g.H, g.W, g.C, g.PH, g.PW
	l.rows = max((g.OH-1)*g.SH+(g.KH-1)*g.DH+1, g.PH+g.H)
	l.width = max((g.OW-1)*g.SW+(g.KW-1)*g.DW+1, g.PW+g.W)
	return l
}

func (l *layout) border() bool { return l.rows > l.h || l.width > l.w }

// merge widens the border of l by that of m, around the same image.
func (l *layout) merge(m *layout) {
	top, left := max(l.top, m.top), max(l.left, m.left)
	l.rows = top + max(l.rows-l.top, m.rows-m.top)
	l.width = left + max(l.width-l.left, m.width-m.left)
	l.top, l.left = top, left
}

// fits reports whether the windows of a geometry can read the layout l, whose border has the given value, if it has one.
func (l *layout) fits(g *hw.Geometry, pad int64) bool {
	m := l.around(g)
	switch {
	case l.dense() && l.rows == l.h && l.h*l.w == g.H*g.W:
		return !m.border()
	case l.h != g.H || l.w != g.W:
		return false
	case m.border() && pad != g.PadValue:
		return false
	}
	return l.top >= m.top && l.left >= m.left && l.rows-l.top >= m.rows-m.top && l.width-l.left >= m.width-m.left
}

// view is l with the rows of a geometry that it fits.
func (l layout) view(g *hw.Geometry) layout {
	if l.dense() && l.rows == l.h {
		l.h, l.w, l.rows, l.width = g.H, g.W, g.H, g.W
	}
	return l
}

// plan gives every buffer a layout: with the border that its first window with one wants, and as many others as agree with that. It
// returns the value of each border, too.
func plan(p *hw.Program, level kernels.Level) ([]layout, []int64) {
	ls, pads := make([]layout, len(p.Buffers)), make([]int64, len(p.Buffers))
	for i, b := range p.Buffers {
		ls[i] = newLayout(b, level)
	}
	for _, k := range p.Kernels {
		g := geometry(k)
		if g == nil {
			continue
		}
		i := k.In[0].ID
		m := ls[i].around(g)
		switch l := &ls[i]; {
		case !m.border() || !m.holds(g.PadValue):
		case !l.border():
			*l, pads[i] = m, g.PadValue
		case l.h == m.h && l.w == m.w && pads[i] == g.PadValue:
			l.merge(&m)
		}
	}
	return ls, pads
}

func geometry(k *hw.Kernel) *hw.Geometry {
	switch {
	case k.Dot != nil:
		return &k.Dot.Geometry
	case k.Window != nil:
		return &k.Window.Geometry
	}
	return nil
}
