package sim

import (
	"unsafe"

	"quern/backends/kernels"
)

// cells is the memory of a buffer: the slice of its layout's kind.
type cells struct {
	u8  []uint8
	i16 []int16
	i64 []int64
}

// newCells allocates a buffer whose border, and all else, has the value pad. Native kernels may read a little beyond the end.
func newCells(l *layout, pad int64) cells {
	n := l.rows * l.width * l.c
	switch l.kind {
	case u8:
		return cells{u8: filled[uint8](n, pad-l.zero)}
	case i16:
		return cells{i16: filled[int16](n, pad-l.zero)}
	}
	return cells{i64: filled[int64](n, pad)}
}

func filled[X kernels.Int](n int, v int64) []X {
	s := make([]X, n+kernels.Slack)
	for i := range s[:n] {
		s[i] = X(v)
	}
	return s[:n]
}

// get reads n pixels from the given one on.
func (c *cells) get(l *layout, dst []int64, first, n int) {
	l.segments(first, n, func(at, i, m int) {
		d := dst[i*l.c : (i+m)*l.c]
		switch l.kind {
		case u8:
			kernels.ReadColumn(l.level, d, c.u8[at:], l.zero)
		case i16:
			kernels.ReadColumn(l.level, d, c.i16[at:], l.zero)
		default:
			copy(d, c.i64[at:])
		}
	})
}

// put writes n pixels from the given one on.
func (c *cells) put(l *layout, src []int64, first, n int) {
	l.segments(first, n, func(at, i, m int) {
		s := src[i*l.c : (i+m)*l.c]
		switch l.kind {
		case u8:
			kernels.WriteColumn(l.level, c.u8[at:], s, l.zero)
		case i16:
			kernels.WriteColumn(l.level, c.i16[at:], s, l.zero)
		default:
			copy(c.i64[at:], s)
		}
	})
}

// cellsOf is the slice of type X, which is one of the three.
func cellsOf[X kernels.Int](c *cells) []X {
	var p unsafe.Pointer
	switch unsafe.Sizeof(X(0)) {
	case 1:
		p = unsafe.Pointer(&c.u8)
	case 2:
		p = unsafe.Pointer(&c.i16)
	default:
		p = unsafe.Pointer(&c.i64)
	}
	return *(*[]X)(p)
}

// copyTo copies an image into another layout, whose border stays.
func (c *cells) copyTo(to *cells, l, m *layout, scratch []int64) {
	n := l.h * l.w
	switch {
	case l.kind == m.kind && l.zero == m.zero:
		for p := 0; p < n; p += m.w {
			at := m.at(p/m.w, 0)
			l.segments(p, m.w, func(from, i, k int) {
				switch l.kind {
				case u8:
					copy(to.u8[at+i*m.c:], c.u8[from:from+k*l.c])
				case i16:
					copy(to.i16[at+i*m.c:], c.i16[from:from+k*l.c])
				default:
					copy(to.i64[at+i*m.c:], c.i64[from:from+k*l.c])
				}
			})
		}
	default:
		for p := 0; p < n; p += m.w {
			row := scratch[:m.w*m.c]
			c.get(l, row, p, m.w)
			to.put(m, row, p, m.w)
		}
	}
}
