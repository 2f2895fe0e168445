package kernels

import "unsafe"

// Table is a function of single elements, y = t[x-First]. It is immutable.
type Table[X uint8 | int16, Y uint8 | int16 | int64] struct {
	first  int
	t      []Y
	kernel kernel // from bytes to bytes; 0 is none
}

// tableArgs is what the kernel of gen/table.go takes.
type tableArgs struct {
	x, dst, t unsafe.Pointer
	count     int
	tail      uint64
}

// NewTable is the table t of the elements from first on. A table of bytes is looked up by registers where the CPU has VBMI.
func NewTable[X uint8 | int16, Y uint8 | int16 | int64](level Level, first X, t []Y) *Table[X, Y] {
	r := &Table[X, Y]{first: int(first), t: t}
	if unsafe.Sizeof(first) == 1 { // indexes of 8 bits need no checks
		r.first, r.t = 0, make([]Y, 256)
		copy(r.t[first:], t)
		if unsafe.Sizeof(t[0]) == 1 {
			r.kernel = tableKernel(level)
		}
	}
	return r
}

// HasTables reports whether tables of bytes are looked up by registers.
func HasTables(level Level) bool { return tableKernel(level) != 0 }

// Run looks up as many elements as dst has; dst may be src.
func (q *Table[X, Y]) Run(dst []Y, src []X) {
	src = src[:len(dst)]
	switch {
	case len(dst) == 0:
	case q.kernel != 0:
		n := len(dst)
		a := tableArgs{x: unsafe.Pointer(&src[0]), dst: unsafe.Pointer(&dst[0]), t: unsafe.Pointer(&q.t[0]), count: n / 64, tail: 1<<(n%64) - 1}
		q.kernel.call(unsafe.Pointer(&a))
	case unsafe.Sizeof(src[0]) == 1:
		t := (*[256]Y)(q.t)
		for i, x := range src {
			dst[i] = t[uint8(x)]
		}
	default:
		for i, x := range src {
			dst[i] = q.t[int(x)-q.first]
		}
	}
}
