package kernels

import (
	"math/bits"
	"unsafe"
)

// nearest is requantization to the nearest integer, half to even, in float32:
//
//	y = min(max(round(v*mul) + plus, lo), hi)
//
// It is exact: accumulators and multipliers are float32 numbers, and a fused multiplication and addition rounds once. It is immutable.
type nearest[Y uint8 | int16] struct {
	kernel, pool kernel // pool: 0 where there is none
	lanes        int    // accumulators in a register
	masks        bool   // the kernel wants masks for numbers of results
	c            int
	mul          []float32 // for each group of nearestRegs registers; those of a last smaller group as often as they fit
	plus, lo, hi int64
}

// nearestEnd is a part of the arguments of kernels: their constants.
type nearestEnd struct {
	todo         int // the bits below
	plus, lo, hi int64
}

// What is to be done, as in gen/nearest.go.
const (
	nearestPlus = 1 << iota
	nearestLimits
)

// nearestRegs registers of accumulators, of one pixel or of neighbours, are worked on together.
const nearestRegs = 4

// magic is as in gen/nearest.go.
const magic = 0x4b400000

// nearestArgs is what the kernels of gen/nearest.go take. They write to rows and to the last two, their scratch.
type nearestArgs struct {
	acc, mul, dst    unsafe.Pointer
	rows, steps      int
	accStep, dstStep int // bytes
	accRow, dstRow   int
	block, part      [nearestRegs - 1]int
	size             [nearestRegs]int
	whole            int
	nearestEnd
	right, below, both int
	_                  [2]uintptr
}

// limitsOf are the least and the greatest element of so many bytes.
func limitsOf(size int) (least, most int64) {
	if size == 1 {
		return 0, 1<<8 - 1
	}
	return -1 << 15, 1<<15 - 1
}

// newNearest is NewRequant32 where rounding is to nearest, and numbers are as small as it takes.
func newNearest[Y uint8 | int16](level Level, q *Requant, c int, from, to func(c int) int64, zero int64) *nearest[Y] {
	size := int(unsafe.Sizeof(Y(0)))
	least, most := limitsOf(size)
	r := &nearest[Y]{c: c, plus: q.add - zero, lo: max(q.lo-zero, least), hi: min(q.hi-zero, most)}
	if abs(r.plus) >= 1<<28 || r.lo > r.hi {
		return nil
	}
	room := int64(1<<22 - 1)
	if size == 1 {
		room = 1<<15 - 1 - abs(r.plus)
	}
	k := columnsOf(level)
	r.lanes, r.masks = 2*k.lanes, level == AVX512
	r.kernel, r.pool = k.nearest[size-1].row, k.nearest[size-1].pool
	scales := make([]float32, c)
	for i := range c {
		s, v := &q.scale[i%len(q.scale)], max(-from(i), to(i))
		if !s.nearest(v, room) {
			return nil
		}
		if s.mul < 0 {
			r.pool = 0 // the largest accumulator gives the least result
		}
		scales[i] = float32(s.mul) / float32(uint64(1)<<s.shift)
	}
	group := nearestRegs * r.lanes
	for first := 0; first < c; first += group {
		part := scales[first:min(first+group, c)]
		blocks := (len(part) + r.lanes - 1) / r.lanes
		padded := make([]float32, blocks*r.lanes)
		copy(padded, part)
		for range nearestRegs / blocks {
			r.mul = append(r.mul, padded...)
		}
		r.mul = append(r.mul, make([]float32, nearestRegs%blocks*r.lanes)...)
	}
	return r
}

// nearest reports whether s of numbers of the given magnitude is what a float32 kernel computes, without leaving room: numbers and the
// multiplier have up to 24 bits, and halves go to even, or there are none.
func (s *scale) nearest(most, room int64) bool {
	const places = 24
	if most > 1<<places || s.shift > 62 {
		return false
	}
	m := uint64(max(s.mul, -s.mul))
	if bits.Len64(m)-bits.TrailingZeros64(m) > places {
		return false
	}
	if hi, lo := bits.Mul64(m, uint64(most)); hi > 0 || room < 0 || lo>>s.shift >= uint64(room) {
		return false
	}
	if s.shift == 0 || s.even() {
		return true
	}
	half := int64(1) << (s.shift - 1)
	up := s.half == half && (s.tie == 0 || s.tie == -1 && s.sign == 63)
	down := s.half == half-1 && s.tie == 1 && s.sign == 63
	return (up || down) && !s.ties(most)
}

// end is what kernels of such elements want.
func (r *nearest[Y]) end() nearestEnd {
	size := int(unsafe.Sizeof(Y(0)))
	e := nearestEnd{todo: nearestTodo(size, r.plus, r.lo, r.hi), plus: r.plus, lo: r.lo, hi: r.hi}
	if size == 2 {
		e.plus -= magic
	}
	return e
}

// nearestTodo is what is to be done for elements of so many bytes: nothing for a plus of 0, or for limits that an element has anyway.
func nearestTodo(size int, plus, lo, hi int64) (todo int) {
	if plus != 0 {
		todo = nearestPlus
	}
	if least, most := limitsOf(size); lo > least || hi < most {
		todo |= nearestLimits
	}
	return todo
}

// nearestCall is what a kernel is called with, but for memory, and where in it what it works on begins.
type nearestCall struct {
	nearestArgs
	from, to int
}

// calls are those for pixels.
func (r *nearest[Y]) calls(p Pixels) (calls []nearestCall) {
	size := int(unsafe.Sizeof(Y(0)))
	a := nearestArgs{rows: p.Rows, accRow: 4 * p.AccRow, dstRow: size * p.DstRow, nearestEnd: r.end(),
		right: 4 * p.Right, below: 4 * p.Below, both: 4 * (p.Right + p.Below)}
	group := nearestRegs * r.lanes
	for first := 0; first < r.c; first += group {
		n := min(group, r.c-first)
		blocks := (n + r.lanes - 1) / r.lanes
		per := nearestRegs / blocks // pixels
		a.mul = unsafe.Pointer(&r.mul[first])
		a.accStep, a.dstStep = 4*per*p.Acc, size*per*p.Dst
		call := func(pixel, pixels, steps int) {
			a.steps = steps
			for i := range nearestRegs {
				pixel, block := i/blocks, i%blocks*r.lanes
				from, to, count := pixel*p.Acc+block, pixel*p.Dst+block, min(r.lanes, n-block)
				if pixel >= pixels {
					from, to, count = 0, 0, 0 // there is none: the first one's accumulators are as good as any
				}
				if i > 0 {
					a.block[i-1], a.part[i-1] = 4*from, size*to
				}
				a.size[i] = count
				if r.masks {
					a.size[i] = 1<<count - 1
				}
			}
			a.whole = 0
			if pixels*n == group && (pixels == 1 || p.Dst == n) {
				a.whole = 1
			}
			calls = append(calls, nearestCall{a, pixel*p.Acc + first, pixel*p.Dst + first})
		}
		steps := p.N / per
		if steps > 0 {
			call(0, per, steps)
		}
		if left := p.N % per; left > 0 {
			call(steps*per, left, 1)
		}
	}
	return calls
}
