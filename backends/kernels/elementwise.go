package kernels

import (
	"math"
	"unsafe"
)

// inputArgs is what the kernels of gen/input.go take.
type inputArgs struct {
	x, dst              unsafe.Pointer
	count               int
	scale, zero, lo, hi float64
	nan                 int
}

// Grid computes dst = min(max(round(src/scale), lo), hi) * scale, rounded to nearest, ties to even, in float64 arithmetic: the reals
// that integers between lo and hi stand for. dst and src may be the same. It reports whether all elements are numbers; NaN stays NaN.
func Grid(level Level, dst, src []float32, scale, lo, hi float64) bool {
	src = src[:len(dst)]
	done, ok := 0, true
	if k := columnsOf(level); k != nil && len(dst) >= k.lanes {
		n := len(dst) / k.lanes
		done = n * k.lanes
		a := inputArgs{x: unsafe.Pointer(&src[0]), dst: unsafe.Pointer(&dst[0]), count: n, scale: scale, lo: lo, hi: hi}
		k.grid.call(unsafe.Pointer(&a))
		ok = a.nan == 0
	}
	for i := done; i < len(dst); i++ {
		v := math.RoundToEven(float64(src[i]) / scale)
		ok = ok && v == v
		dst[i] = float32((min(max(v, lo), hi) + 0) * scale) // + 0 turns -0 into 0
	}
	return ok
}

// Relu computes dst = max(src, 0); NaN stays NaN.
func Relu(level Level, dst, src []float32) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.relu, dst, src, colArgs{})
	}
	for i := done; i < len(dst); i++ {
		dst[i] = max(src[i], 0)
	}
}

// Clip computes dst = min(max(src, lo), hi) as Go does; NaN stays NaN.
func Clip(level Level, dst, src []float32, lo, hi float32) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil && hi != 0 { // of two zeros, the instruction takes either
		plus := math.Float32bits(0) // what makes -0 of the maximum with 0 a 0, else what changes nothing
		if math.Float32bits(lo) != 0 {
			plus = 1 << 31
		}
		done = k.elementwise(k.clip, dst, src, colArgs{add: int64(plus), lo: int64(math.Float32bits(lo)), hi: int64(math.Float32bits(hi))})
	}
	for i := done; i < len(dst); i++ {
		dst[i] = min(max(src[i], lo), hi)
	}
}

// AddFloats computes dst = a + b.
func AddFloats(level Level, dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.addFloats, dst, a, colArgs{b: unsafe.Pointer(unsafe.SliceData(b))})
	}
	for i := done; i < len(dst); i++ {
		dst[i] = a[i] + b[i]
	}
}

// MulFloats computes dst = a * b.
func MulFloats(level Level, dst, a, b []float32) {
	a, b = a[:len(dst)], b[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.mulFloats, dst, a, colArgs{b: unsafe.Pointer(unsafe.SliceData(b))})
	}
	for i := done; i < len(dst); i++ {
		dst[i] = a[i] * b[i]
	}
}

// elementwise runs a function of src, and of what else is in args, over whole registers and says how many elements it did.
func (k *columnKernels) elementwise(f kernel, dst, src []float32, args colArgs) int {
	n := len(dst) / (2 * k.lanes)
	if n > 0 {
		args.dst, args.a, args.count = unsafe.Pointer(&dst[0]), unsafe.Pointer(&src[0]), n
		f.call(unsafe.Pointer(&args))
	}
	return n * 2 * k.lanes
}
