package kernels

import "unsafe"

// multiplyArgs is what the kernels of gen/multiply.go take.
type multiplyArgs struct {
	a, b, dst    unsafe.Pointer
	count        int
	plusA, plusB int64
}

// Multiply computes dst = (a + plusA) * (b + plusB), modulo 2^32, for as many elements as dst has.
func Multiply[A, B uint8 | int16](level Level, dst []int32, a []A, b []B, plusA, plusB int64) {
	a, b = a[:len(dst)], b[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil && len(dst) >= 2*k.lanes {
		f := k.multiply[unsafe.Sizeof(A(0))-1][unsafe.Sizeof(B(0))-1]
		if f != 0 {
			args := multiplyArgs{a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&b[0]), dst: unsafe.Pointer(&dst[0]), count: len(dst) / (2 * k.lanes), plusA: plusA, plusB: plusB}
			f.call(unsafe.Pointer(&args))
			done = args.count * 2 * k.lanes
		}
	}
	for i := done; i < len(dst); i++ {
		dst[i] = int32((int64(a[i]) + plusA) * (int64(b[i]) + plusB))
	}
}
