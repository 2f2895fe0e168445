package kernels

import "unsafe"

// SplitBlend is a Blend of elements of 16 bits whose sums need more than 32. It splits multipliers into 15 low bits, with a sign, and the
// rest, whose sums fit 32 bits each. It is immutable.
type SplitBlend struct {
	mulA, mulB, plus int64 // plus: with what rounding adds
	shift            uint
	even             int64 // 1: ties to even, where plus makes half a unit of a tie
	add, lo, hi      int64
	kernel           kernel
	words            int // of a register
}

// splitArgs is what the kernels of gen/blendsplit.go take.
type splitArgs struct {
	a, b, dst                     unsafe.Pointer
	count                         int
	high, low                     int64 // the word of b above that of a
	plusHigh, plusLow, mask, even int64
	add, lo, hi                   int64 // lo, hi: both words
	shift                         int64
}

// splitPlaces is as in gen/blendsplit.go.
const splitPlaces = 15

// split takes low places from a number: those of a multiplier have a sign.
func split(v int64, places uint) (high, low int64) {
	high = (v + 1<<(places-1)) >> places
	return high, v - high<<places
}

// NewSplitBlend is NewBlend for any elements of 16 bits.
func NewSplitBlend(level Level, mulA, mulB, plus int64, q *Requant, zero int64) *SplitBlend {
	k := columnsOf(level)
	if k == nil || len(q.scale) != 1 || q.scale[0].mul != 1 || q.scale[0].shift < splitPlaces || q.scale[0].shift > splitPlaces+30 {
		return nil
	}
	const word = 1 << 15
	s := &q.scale[0]
	b := &SplitBlend{mulA: mulA, mulB: mulB, plus: plus + s.half, shift: uint(s.shift), add: q.add - zero, lo: max(q.lo-zero, -word), hi: min(q.hi-zero, word-1),
		kernel: k.splitBlend, words: 4 * k.lanes}
	switch {
	case s.tie == 0:
	case s.tie == 1 && s.sign == s.shift: // half even
		b.plus, b.even = b.plus+1, 1
	default:
		return nil
	}
	ah, _ := split(mulA, splitPlaces)
	bh, _ := split(mulB, splitPlaces)
	for _, v := range []int64{ah, bh} {
		if v < -word || v >= word {
			return nil
		}
	}
	// The low sum is below 1<<30 + 1<<15, which carries less than word+2 into the high one.
	most := word*(abs(ah)+abs(bh)) + abs(b.plus>>splitPlaces) + word + 2
	if b.lo > b.hi || most+abs(b.add) >= 1<<31 {
		return nil
	}
	return b
}

// Run computes dst from a and b for as many elements as dst has, as BlendRows does.
func (q *SplitBlend) Run(dst, a, b []int16) {
	a, b = a[:len(dst)], b[:len(dst)]
	n := len(dst) / q.words
	if n > 0 {
		ah, al := split(q.mulA, splitPlaces)
		bh, bl := split(q.mulB, splitPlaces)
		args := splitArgs{a: unsafe.Pointer(&a[0]), b: unsafe.Pointer(&b[0]), dst: unsafe.Pointer(&dst[0]), count: n, high: pair(ah, bh), low: pair(al, bl),
			plusHigh: q.plus >> splitPlaces, plusLow: q.plus & (1<<splitPlaces - 1), mask: 1<<(q.shift-splitPlaces) - 1, even: q.even,
			add: q.add, lo: pair(q.lo, q.lo), hi: pair(q.hi, q.hi), shift: int64(q.shift - splitPlaces)}
		q.kernel.call(unsafe.Pointer(&args))
	}
	for i := n * q.words; i < len(dst); i++ {
		p := int64(a[i])*q.mulA + int64(b[i])*q.mulB + q.plus
		y := p >> q.shift
		if p == y<<q.shift {
			y &^= q.even
		}
		dst[i] = int16(min(max(y+q.add, q.lo), q.hi))
	}
}
