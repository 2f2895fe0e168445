package kernels

import "unsafe"

// Blend is the sum of two tensors on grids of their own, or one brought to another grid, in 32 bits:
//
//	y = min(max(round((a*MulA + b*MulB + Plus) >> shift) + Add, Lo), Hi)
//
// with the rounding of a Requant of one multiplier, which is 1. Sums are modulo 2^32, so they are exact where the final sum and what
// rounding adds fit 32 bits. It is immutable.
type Blend struct {
	MulA, MulB, Plus int64
	q                scale
	add, lo, hi      int64
	k                *columnKernels
}

// blendArgs is what the kernels of gen/blend.go take.
type blendArgs struct {
	a, b, dst              unsafe.Pointer
	count                  int
	mulA, mulB, plus       int64
	half, tie, add, lo, hi int64
	shift, sign            int64
}

// NewBlend is nil where the level has no native code or the numbers are too wide. zero is taken from the results.
func NewBlend(level Level, mulA, mulB, plus int64, q *Requant, zero int64) *Blend {
	b := &Blend{MulA: mulA, MulB: mulB, Plus: plus, k: columnsOf(level)}
	if b.k == nil || len(q.scale) != 1 || q.scale[0].mul != 1 || q.scale[0].shift > 30 {
		return nil
	}
	const most = 1<<31 - 1
	b.q, b.add, b.lo, b.hi = q.scale[0], q.add-zero, max(q.lo-zero, -most), min(q.hi-zero, most)
	for _, v := range []int64{mulA, mulB, b.add} {
		if v < -most || v > most {
			return nil
		}
	}
	b.q.sign = min(b.q.sign, 31)
	return b
}

// Most bounds what is added to a sum, before the shift and after it.
func (b *Blend) Most() int64 { return 2*b.q.half + max(b.add, -b.add) }

// BlendRun computes dst from a and b for as many elements as dst has; a or b may be any tensor of the size where its multiplier is 0.
// It reports false, and does nothing, where there is no code for the types.
func BlendRun[A, B, Y uint8 | int16](q *Blend, dst []Y, a []A, b []B) bool {
	f := q.k.blend[unsafe.Sizeof(A(0))-1][unsafe.Sizeof(B(0))-1][unsafe.Sizeof(Y(0))-1]
	if f == 0 {
		return false
	}
	a, b = a[:len(dst)], b[:len(dst)]
	lanes := 2 * q.k.lanes
	n := len(dst) / lanes
	if n > 0 {
		args := blendArgs{a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&b[0]), dst: unsafe.Pointer(&dst[0]), count: n, mulA: q.MulA, mulB: q.MulB, plus: q.Plus,
			half: q.q.half, tie: q.q.tie, add: q.add, lo: q.lo, hi: q.hi, shift: int64(q.q.shift), sign: int64(q.q.sign)}
		f.call(unsafe.Pointer(&args))
	}
	for i := n * lanes; i < len(dst); i++ {
		p := int32(int64(a[i])*q.MulA + int64(b[i])*q.MulB + q.Plus)
		p += int32(q.q.half) + p>>q.q.sign&int32(q.q.tie)
		dst[i] = Y(min(max(int64(p>>q.q.shift)+q.add, q.lo), q.hi))
	}
	return true
}
