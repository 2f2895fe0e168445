package kernels

import "unsafe"

// Requant32 is a Requant of 32-bit accumulators for native code, to elements of type Y. Where it can be, multipliers are scaled so
// that every shift is 32 places, and the rounding and what is added after it are one number:
//
//	y = min(max((v*mul + add) >> 32, lo), hi)
//
// Where a v*mul may lie half way between two numbers, one of them even, bit 32 of v*mul is added as well. Else scales are as in Requant, in 64 bits. It is immutable.
type Requant32[Y uint8 | int16] struct {
	kernel kernel
	pool   kernel // of the largest of four accumulators; 0 where there is none
	lanes  int
	c      int
	mul    []int32
	add    []int64 // for each block: of its even channels, then of its odd ones
	lo, hi int64

	general kernel  // for scales as they are; 0 where shifts are 32 places
	scales  []int64 // packed
	plus    int64
}

// scaleArgs is what the kernels of gen/scale.go take. They write to blocks and to the last three, their scratch.
type scaleArgs struct {
	acc, scale, dst      unsafe.Pointer
	pixels               int
	accStride, dstStride int // bytes
	blocks, tail         int
	add, lo, hi          int64
	_                    [3]uintptr // acc, scale and dst as they move on
}

// requantArgs is what the kernels of gen/requant.go take. They write to blocks and to the last four, their scratch.
type requantArgs struct {
	acc, mul, add, dst   unsafe.Pointer
	pixels               int
	accStride, dstStride int // bytes
	blocks, tail         int
	lo, hi               int64
	right, below, both   int        // bytes, of a pooling window
	_                    [4]uintptr // acc, mul, add and dst as they move on
}

// NewRequant32 makes a Requant32 of c channels that equals q for accumulators in [from[i], to[i]] of channel i, less zero in the
// result. It is nil where there is none: where numbers are too wide.
func NewRequant32[Y uint8 | int16](level Level, q *Requant, c int, from, to func(c int) int64, zero int64) *Requant32[Y] {
	var y Y
	size := int(unsafe.Sizeof(y))
	if level == Generic || level == AVX2 && size == 1 || len(q.scale) != 1 && len(q.scale) != c {
		return nil
	}
	for i := range c {
		if from(i) < -1<<31 || to(i) >= 1<<31 {
			return nil
		}
	}
	r := &Requant32[Y]{c: c}
	if r.by32(level, size, q, from, to, zero) {
		return r
	}
	for _, s := range q.scale {
		if s.mul < -1<<31 || s.mul >= 1<<31 {
			return nil
		}
	}
	k := columnsOf(level)
	r.lanes, r.general = k.lanes, k.rescale8
	if size == 2 {
		r.general = k.rescale16
	}
	r.scales = packScales(q.scale, (c+k.lanes-1)/k.lanes*k.lanes, k.lanes)
	r.plus, r.lo, r.hi = q.add-zero, q.lo-zero, q.hi-zero
	return r
}

// by32 makes r one with shifts of 32 places, if it can.
func (r *Requant32[Y]) by32(level Level, size int, q *Requant, from, to func(c int) int64, zero int64) bool {
	r.lanes = 16
	if level == AVX2 {
		r.lanes = 8
	}
	padded := (r.c + r.lanes - 1) / r.lanes * r.lanes
	r.mul, r.add = make([]int32, padded), make([]int64, padded)
	r.lo, r.hi = max(q.lo-zero, -1<<31), min(q.hi-zero, 1<<31-1)
	add := q.add - zero
	if add <= -1<<28 || add >= 1<<28 || r.lo > r.hi {
		return false
	}
	ties := false
	for i := range r.c {
		s := q.scale[i%len(q.scale)]
		ties = ties || s.even() && s.ties(max(-from(i), to(i)))
	}
	r.kernel, r.pool = requantKernels(level, size, ties)
	for i := range r.c {
		mul, half, ok := q.scale[i%len(q.scale)].by32(from(i), to(i))
		if !ok {
			return false
		}
		if ties && mul != 0 {
			half-- // the bit makes up for it
		}
		if mul < 0 {
			r.pool = 0 // the largest accumulator gives the least result
		}
		r.mul[i] = mul
		b, l := i/r.lanes, i%r.lanes
		r.add[b*r.lanes+l%2*r.lanes/2+l/2] = half + add<<32
	}
	return true
}

// by32 is a scale with a shift of 32 places: (v*mul + add) >> 32 is what s makes of every v in lo..hi, but for ties to even, which go up.
func (s scale) by32(lo, hi int64) (mul int32, add int64, ok bool) {
	half := s.half
	switch {
	case s.tie == 0:
	case !s.even():
		return 0, 0, false
	default:
		half++
	}
	m, shift := s.mul, uint(s.shift)
	if shift <= 32 {
		m, half = m<<(32-shift), half<<(32-shift)
		if m>>(32-shift) == s.mul && m >= -1<<31 && m < 1<<31 {
			return int32(m), half, true
		}
	}
	// A result that is the same for all v needs no multiplier.
	if s.mul > -1<<31 && s.mul < 1<<31 {
		if a := s.round(lo * s.mul); a == s.round(hi*s.mul) && a > -1<<28 && a < 1<<28 {
			return 0, a << 32, true
		}
	}
	return 0, 0, false
}

func (s scale) round(p int64) int64 { return (p + s.half + (p >> s.sign & s.tie)) >> s.shift }

// even reports whether s rounds half to even.
func (s scale) even() bool { return s.tie == 1 && s.sign == s.shift && s.sign != 63 }

// ties reports whether v*mul can lie half way between two multiples of 1<<shift for a v of at most the given magnitude.
func (s scale) ties(most int64) bool {
	if s.mul == 0 || s.shift == 0 {
		return false
	}
	m, t := s.mul, uint8(0)
	for m&1 == 0 {
		m >>= 1
		t++
	}
	// v*m*2^t = 2^(shift-1) modulo 2^shift has odd multiples of 2^(shift-1-t) as solutions, or none.
	return t < s.shift && most >= 1<<(s.shift-1-t)
}

// Row writes n pixels, stride elements apart, of accumulators [pixel][width].
func (r *Requant32[Y]) Row(dst []Y, stride int, acc []int32, width, n int) {
	if n == 0 {
		return
	}
	var y Y
	_ = dst[(n-1)*stride+r.c-1]
	_ = acc[(n-1)*width+(r.c+r.lanes-1)/r.lanes*r.lanes-1]
	if r.general != 0 {
		a := scaleArgs{acc: unsafe.Pointer(&acc[0]), scale: unsafe.Pointer(&r.scales[0]), dst: unsafe.Pointer(&dst[0]), pixels: n,
			accStride: 4 * width, dstStride: stride * int(unsafe.Sizeof(y)), blocks: r.c / r.lanes, tail: r.c % r.lanes, add: r.plus, lo: r.lo, hi: r.hi}
		r.general.call(unsafe.Pointer(&a))
		return
	}
	a := r.args(dst, stride, acc, width, n)
	r.kernel.call(unsafe.Pointer(&a))
}

func (r *Requant32[Y]) args(dst []Y, stride int, acc []int32, width, n int) requantArgs {
	return requantArgs{acc: unsafe.Pointer(&acc[0]), mul: unsafe.Pointer(&r.mul[0]), add: unsafe.Pointer(&r.add[0]), dst: unsafe.Pointer(&dst[0]), pixels: n,
		accStride: 4 * width, dstStride: stride * int(unsafe.Sizeof(dst[0])), blocks: r.c / r.lanes, tail: r.c % r.lanes, lo: r.lo, hi: r.hi}
}

// Pools reports whether there is code for Pool: results have to grow with accumulators.
func (r *Requant32[Y]) Pools() bool { return r.general == 0 && r.pool != 0 }

// PoolSlack is how many accumulators beyond the last one Pool may read.
const PoolSlack = 16

// Pool is Row of the largest of four accumulators each: of a pixel, of the one right of it, and of the two below them, which are so many
// accumulators apart. acc has PoolSlack.
func (r *Requant32[Y]) Pool(dst []Y, stride int, acc []int32, width, right, below, n int) {
	if n == 0 {
		return
	}
	_ = dst[(n-1)*stride+r.c-1]
	_ = acc[(n-1)*width+right+below+r.c+PoolSlack-1]
	a := r.args(dst, stride, acc, width, n)
	a.right, a.below, a.both = 4*right, 4*below, 4*(right+below)
	r.pool.call(unsafe.Pointer(&a))
}
