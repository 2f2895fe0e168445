package kernels

import "unsafe"

// Table is a function of single elements, y = t[x-First]. It is immutable.
type Table[X uint8 | int16, Y uint8 | int16 | int64] struct {
	first  int
	t      []Y
	kernel kernel // from bytes to bytes; 0 is none
}

// tableArgs is what the kernels of gen/table.go take.
type tableArgs struct {
	x, dst, t unsafe.Pointer
	count     int
	tail      uint64
	y         unsafe.Pointer
	rows      int // the kernel counts them down

	nextX, nextDst, nextY int // bytes
}

// NewTable is the table t of the elements from first on. A table of bytes is looked up by registers where the CPU has VBMI.
func NewTable[X uint8 | int16, Y uint8 | int16 | int64](level Level, first X, t []Y) *Table[X, Y] {
	r := &Table[X, Y]{first: int(first), t: t}
	if unsafe.Sizeof(first) == 1 { // indexes of 8 bits need no checks
		r.first, r.t = 0, make([]Y, 256)
		copy(r.t[first:], t)
		if unsafe.Sizeof(t[0]) == 1 {
			r.kernel, _ = tableKernels(level)
		}
	}
	return r
}

// HasTables reports whether tables of bytes are looked up by registers.
func HasTables(level Level) bool {
	one, _ := tableKernels(level)
	return one != 0
}

// Run looks up as many elements as dst has; dst may be src.
func (q *Table[X, Y]) Run(dst []Y, src []X) {
	src = src[:len(dst)]
	switch {
	case len(dst) == 0:
	case q.kernel != 0:
		n := len(dst)
		a := tableArgs{x: unsafe.Pointer(&src[0]), dst: unsafe.Pointer(&dst[0]), t: unsafe.Pointer(&q.t[0]), count: n / 64, tail: 1<<(n%64) - 1, rows: 1}
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

// PairTable is a function of pairs of elements that are known by their low halves, t[x&15<<4|y&15]: each has at most 16 values, one after the
// other. It is immutable.
type PairTable struct {
	t      *[256]uint8
	kernel kernel
}

// NewPairTable is nil where tables are not looked up by registers.
func NewPairTable(level Level, t *[256]uint8) *PairTable {
	if _, k := tableKernels(level); k != 0 {
		return &PairTable{t, k}
	}
	return nil
}

// Run looks up rows of pairs, whose results go to dst, which is neither x nor y.
func (q *PairTable) Run(dst, x, y []uint8, r Runs) {
	if r.N == 0 || r.Rows == 0 {
		return
	}
	_, _, _ = x[(r.Rows-1)*r.A+r.N-1], y[(r.Rows-1)*r.B+r.N-1], dst[(r.Rows-1)*r.Dst+r.N-1]
	whole := r.N &^ 63
	a := tableArgs{x: unsafe.Pointer(&x[0]), dst: unsafe.Pointer(&dst[0]), t: unsafe.Pointer(q.t), count: r.N / 64, tail: 1<<(r.N%64) - 1, y: unsafe.Pointer(&y[0]),
		rows: r.Rows, nextX: r.A - whole, nextDst: r.Dst - whole, nextY: r.B - whole}
	q.kernel.call(unsafe.Pointer(&a))
}
