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

	nearest *nearest[Y] // or nil: it serves, if there is one

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
	if n := newNearest[Y](level, q, c, from, to, zero); n != nil {
		return &Requant32[Y]{c: c, lanes: n.lanes, nearest: n}
	}
	return newRequant32[Y](level, q, c, from, to, zero)
}

// newRequant32 is NewRequant32 in integers.
func newRequant32[Y uint8 | int16](level Level, q *Requant, c int, from, to func(c int) int64, zero int64) *Requant32[Y] {
	var y Y
	size := int(unsafe.Sizeof(y))
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

// Pixels are rows of pixels that a Requant32 takes from accumulators to elements.
type Pixels struct {
	N, Rows      int // pixels of a row, and rows
	Acc, AccRow  int // accumulators from a pixel to the next one, and from a row
	Dst, DstRow  int // elements, likewise
	Right, Below int // of a pooling window: accumulators from a pixel to the one right of it, and below
}

// Pools reports whether there is code for Pooled: results have to grow with accumulators.
func (r *Requant32[Y]) Pools() bool {
	if r.nearest != nil {
		return r.nearest.pool != 0
	}
	return r.general == 0 && r.pool != 0
}

// RequantRows is a Requant32 for certain pixels. It is immutable.
type RequantRows[Y uint8 | int16] struct {
	q       *Requant32[Y]
	p       Pixels
	kernel  kernel
	acc, to int           // the last ones that are read and written
	calls   []nearestCall // of nearest
}

// Rows is for pixels of accumulators, one at least: of every pixel, as many as fill registers are read.
func (r *Requant32[Y]) Rows(p Pixels) *RequantRows[Y] {
	return r.rows(p, false, (r.c+r.lanes-1)/r.lanes*r.lanes)
}

// PoolSlack is how many accumulators beyond the last one Pooled may read.
const PoolSlack = 16

// Pooled is Rows of the largest of four accumulators each: of a pixel, of the one right of it, and of the two below them. There must be
// PoolSlack of them more.
func (r *Requant32[Y]) Pooled(p Pixels) *RequantRows[Y] {
	return r.rows(p, true, p.Right+p.Below+r.c+PoolSlack)
}

// rows are those of pixels of which so many accumulators are read.
func (r *Requant32[Y]) rows(p Pixels, pool bool, read int) *RequantRows[Y] {
	q := &RequantRows[Y]{q: r, p: p, kernel: r.kernel, acc: (p.Rows-1)*p.AccRow + (p.N-1)*p.Acc + read - 1, to: (p.Rows-1)*p.DstRow + (p.N-1)*p.Dst + r.c - 1}
	switch {
	case r.nearest != nil:
		q.calls, q.kernel = r.nearest.calls(p), r.nearest.kernel
		if pool {
			q.kernel = r.nearest.pool
		}
	case pool:
		q.kernel = r.pool
	case r.general != 0:
		q.kernel = r.general
	}
	return q
}

// Run writes elements.
func (r *RequantRows[Y]) Run(dst []Y, acc []int32) {
	_, _ = dst[r.to], acc[r.acc]
	if r.q.nearest == nil {
		for row := range r.p.Rows {
			r.row(dst[row*r.p.DstRow:], acc[row*r.p.AccRow:])
		}
		return
	}
	for i := range r.calls {
		c := &r.calls[i]
		a := c.nearestArgs
		a.acc, a.dst = unsafe.Pointer(&acc[c.from]), unsafe.Pointer(&dst[c.to])
		r.kernel.call(unsafe.Pointer(&a))
	}
}

// row is Run for one row, in integers.
func (r *RequantRows[Y]) row(dst []Y, acc []int32) {
	q, p, size := r.q, &r.p, int(unsafe.Sizeof(dst[0]))
	if q.general != 0 {
		a := scaleArgs{acc: unsafe.Pointer(&acc[0]), scale: unsafe.Pointer(&q.scales[0]), dst: unsafe.Pointer(&dst[0]), pixels: p.N,
			accStride: 4 * p.Acc, dstStride: size * p.Dst, blocks: q.c / q.lanes, tail: q.c % q.lanes, add: q.plus, lo: q.lo, hi: q.hi}
		r.kernel.call(unsafe.Pointer(&a))
		return
	}
	a := requantArgs{acc: unsafe.Pointer(&acc[0]), mul: unsafe.Pointer(&q.mul[0]), add: unsafe.Pointer(&q.add[0]), dst: unsafe.Pointer(&dst[0]), pixels: p.N,
		accStride: 4 * p.Acc, dstStride: size * p.Dst, blocks: q.c / q.lanes, tail: q.c % q.lanes, lo: q.lo, hi: q.hi,
		right: 4 * p.Right, below: 4 * p.Below, both: 4 * (p.Right + p.Below)}
	r.kernel.call(unsafe.Pointer(&a))
}
