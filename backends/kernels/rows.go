package kernels

import "unsafe"

// Rows are Count runs of N elements that are copied from one tensor to another: from From and, FromStep apart, on; to To and, ToStep
// apart, on.
type Rows struct{ N, Count, From, FromStep, To, ToStep int }

// rowsArgs is what the kernels of gen/rows.go take.
type rowsArgs struct {
	x, dst       unsafe.Pointer
	blocks       int // whole registers of a run
	tail         uint64
	count        int
	step, toStep int // bytes
	delta        int64
}

// CopyRows copies with delta added to each element, modulo the bits of Y. dst and x do not overlap.
func CopyRows[Y, X Int](level Level, dst []Y, x []X, r Rows, delta Y) {
	if r.N == 0 || r.Count == 0 {
		return
	}
	same, ok := any(x).([]Y)
	k, size := columnsOf(level), int(unsafe.Sizeof(delta))
	if !ok || k == nil || size > 2 || k.rows[size-1] == 0 {
		for i := range r.Count {
			to, from := r.To+i*r.ToStep, r.From+i*r.FromStep
			d, s := dst[to:to+r.N], x[from:][:r.N]
			if ok && delta == 0 {
				copy(d, same[from:])
				continue
			}
			for j := range d {
				d[j] = Y(s[j]) + delta
			}
		}
		return
	}
	_ = dst[max(r.To, r.To+(r.Count-1)*r.ToStep):][:r.N]
	_ = x[max(r.From, r.From+(r.Count-1)*r.FromStep):][:r.N]
	_, _ = dst[r.To+(r.Count-1)*r.ToStep], x[r.From+(r.Count-1)*r.FromStep]
	lanes := 64 / size
	a := rowsArgs{x: unsafe.Pointer(&x[r.From]), dst: unsafe.Pointer(&dst[r.To]), blocks: r.N / lanes, tail: 1<<(r.N%lanes) - 1, count: r.Count,
		step: r.FromStep * size, toStep: r.ToStep * size, delta: int64(delta)}
	k.rows[size-1].call(unsafe.Pointer(&a))
}
