package kernels

import "unsafe"

// Blend is the sum of two tensors on grids of their own, or one brought to another grid, in 32 bits:
//
//	y = min(max(round((a*MulA + b*MulB + Plus) >> shift) + Add, Lo), Hi)
//
// with the rounding of a Requant of one multiplier, which is 1. Sums are modulo 2^32, so they are exact where the final sum and what
// rounding adds fit 32 bits. It is immutable once it is settled.
type Blend struct {
	MulA, MulB, Plus int64
	q                scale
	add, lo, hi      int64
	level            Level
	k                *columnKernels
	natural          [2]bool // elements of either tensor are known not to be negative
}

// blendArgs is what the kernels of gen/blend.go take. They write to rows and to the last three, their scratch.
type blendArgs struct {
	a, b, dst       unsafe.Pointer
	count, rows     int
	rowA, rowB      int // bytes
	rowDst          int
	high, low       int64 // the word of b above that of a
	plus            int64
	add, lo, hi     int64 // lo, hi: as often as elements fit 32 bits
	mask, tie, half int64
	shift, sign     int64
	todo            int
	_               [3]uintptr // a, b and dst as they move on
}

// blendPlaces is as in gen/blend.go.
const blendPlaces = 7

// The bits of what is to be done beside those of nearestEnd, as in gen/blend.go.
const (
	blendTies = 1 << (2 + iota)
	blendWhole
	blendTwice
	blendFar
)

// NewBlend is nil where the level has no native code or the numbers are too wide. zero is taken from the results.
func NewBlend(level Level, mulA, mulB, plus int64, q *Requant, zero int64) *Blend {
	b := &Blend{MulA: mulA, MulB: mulB, Plus: plus, level: level, k: columnsOf(level)}
	if b.k == nil || len(q.scale) != 1 || q.scale[0].mul != 1 || q.scale[0].shift > 30 {
		return nil
	}
	const most = 1<<31 - 1
	b.q, b.add, b.lo, b.hi = q.scale[0], q.add-zero, max(q.lo-zero, -most), min(q.hi-zero, most)
	for _, m := range []int64{mulA, mulB} {
		if high, _ := split(m, blendPlaces); high < -1<<15 || high >= 1<<15 {
			return nil
		}
	}
	if abs(b.add) > most || b.lo > b.hi {
		return nil
	}
	b.q.sign = min(b.q.sign, 31)
	return b
}

// Most bounds what is added to a sum, before the shift and after it.
func (b *Blend) Most() int64 { return 2*(b.q.half+1) + abs(b.add) }

// Settle makes use of the ranges of elements. It spares the kernel ties to even where all that matter go the same way: it tries every pair of
// elements, if these are of 8 bits.
func (b *Blend) Settle(fromA, toA, fromB, toB int64) {
	b.natural = [2]bool{fromA >= 0, fromB >= 0}
	if !b.q.even() || toA-fromA >= 1<<8 || toB-fromB >= 1<<8 {
		return
	}
	limited := func(y int64) int64 { return min(max(y+b.add, b.lo), b.hi) }
	up, down := false, false
	for x := fromA; x <= toA; x++ {
		p := x*b.MulA + fromB*b.MulB + b.Plus + b.q.half + 1
		for y := fromB; y <= toB; y, p = y+1, p+b.MulB {
			if p&(1<<b.q.shift-1) != 0 {
				continue
			}
			switch above := p >> b.q.shift; {
			case limited(above) == limited(above-1):
			case above&1 == 0:
				up = true
			default:
				down = true
			}
		}
	}
	if up && down {
		return
	}
	b.q.tie = 0
	if up {
		b.q.half++
	}
}

// factors sets the words of a that elements of so many bytes are multiplied by, and tells whether the operands change places. They take as few
// multiplications as there can be: a pair of elements whose lower one is not negative is itself x + y<<16, so that it can be added instead.
func (b *Blend) factors(a *blendArgs, sizeA, sizeB int) (swap bool) {
	fits := func(m int64) bool { return m == int64(int16(m)) }
	forms := [3]bool{true, sizeA == 1 || b.natural[0], sizeA == sizeB && (sizeB == 1 || b.natural[1])}
	for twice := range int64(2) {
		for form, can := range forms {
			x, y, todo := b.MulA, b.MulB, 0
			if form == 2 {
				x, y = y, x
			}
			if form > 0 {
				x, y, todo = x-1, y-1<<16, blendWhole
			}
			highX, highY := twice*x/2, twice*y/2
			if can && fits(x-highX) && fits(y-highY) {
				a.low, a.high = pair(x-highX, y-highY), pair(highX, highY)
				a.todo |= todo | blendTwice*int(twice)
				return form == 2
			}
		}
	}
	highA, lowA := split(b.MulA, blendPlaces)
	highB, lowB := split(b.MulB, blendPlaces)
	a.low, a.high = pair(lowA, lowB), pair(highA, highB)
	a.todo |= blendTwice | blendFar
	return false
}

// args are those for elements of the given bytes, but for factors, and the kernel that takes them, of two.
func (b *Blend) args(kernels [2]kernel, size int) (blendArgs, kernel) {
	least, most := limitsOf(size)
	a := blendArgs{plus: b.Plus, add: b.add, shift: int64(b.q.shift)}
	lo, hi := max(b.lo, least), min(b.hi, most)
	a.todo = nearestTodo(size, b.add, lo, hi)
	a.lo, a.hi = pair(lo, lo), pair(hi, hi)
	if size == 1 {
		a.lo, a.hi = lo*0x01010101, hi*0x01010101
	}
	if b.q.tie != 0 && !b.q.even() {
		a.half, a.tie, a.sign = b.q.half, b.q.tie, int64(b.q.sign)
		return a, kernels[1]
	}
	unit := int64(1) << b.q.shift
	even := b.q.even()
	a.plus += b.q.half
	if even {
		a.plus++ // half a unit: what was half way is a whole number then
		a.todo |= blendTies
	}
	if b.level == AVX512 {
		a.mask, a.tie = unit-1, -2
	} else {
		a.mask, a.tie = 2*unit-1, unit
	}
	return a, kernels[0]
}

// pair is two words, the low one first.
func pair(low, high int64) int64 { return low&(1<<16-1) | high<<16 }

// Runs are rows of a number of elements, which lie so many elements apart in the operands and in the result.
type Runs struct{ N, Rows, A, B, Dst int }

// BlendRows is a settled Blend for certain rows. It is immutable.
type BlendRows[A, B, Y uint8 | int16] struct {
	q      *Blend
	r      Runs
	kernel kernel
	args   blendArgs // but for memory and counts
	swap   bool      // the operands, which are of one size, have changed places
	step   int       // elements of a register
}

// NewBlendRows is for rows, one at least, of an element at least. It is nil where there is no code for the types.
func NewBlendRows[A, B, Y uint8 | int16](q *Blend, r Runs) *BlendRows[A, B, Y] {
	sizeA, sizeB, size := int(unsafe.Sizeof(A(0))), int(unsafe.Sizeof(B(0))), int(unsafe.Sizeof(Y(0)))
	kernels := q.k.blend[sizeA-1][sizeB-1][size-1]
	if kernels[0] == 0 {
		return nil
	}
	b := &BlendRows[A, B, Y]{q: q, r: r, step: 8 * q.k.lanes / size}
	b.args, b.kernel = q.args(kernels, size)
	b.swap = b.q.factors(&b.args, sizeA, sizeB)
	b.args.rows, b.args.rowA, b.args.rowB, b.args.rowDst = r.Rows, sizeA*r.A, sizeB*r.B, size*r.Dst
	if b.swap {
		b.args.rowA, b.args.rowB = b.args.rowB, b.args.rowA
	}
	return b
}

// Run computes dst, which is neither x nor y, from these; x or y may be any tensor of the size where its multiplier is 0.
func (b *BlendRows[A, B, Y]) Run(dst []Y, x []A, y []B) {
	r := &b.r
	_, _, _ = x[(r.Rows-1)*r.A+r.N-1], y[(r.Rows-1)*r.B+r.N-1], dst[(r.Rows-1)*r.Dst+r.N-1]
	if r.N < b.step {
		for row := range r.Rows {
			blendPortable(b.q, dst[row*r.Dst:][:r.N], x[row*r.A:], y[row*r.B:])
		}
		return
	}
	b.run(dst, x, y, 0, r.N/b.step)
	if r.N%b.step > 0 {
		b.run(dst, x, y, r.N-b.step, 1) // some of them again
	}
}

// run is Run for so many registers of each row, from an element on.
func (b *BlendRows[A, B, Y]) run(dst []Y, x []A, y []B, first, count int) {
	a := b.args
	a.a, a.b, a.dst, a.count = unsafe.Pointer(&x[first]), unsafe.Pointer(&y[first]), unsafe.Pointer(&dst[first]), count
	if b.swap {
		a.a, a.b = a.b, a.a
	}
	b.kernel.call(unsafe.Pointer(&a))
}

func blendPortable[A, B, Y uint8 | int16](q *Blend, dst []Y, a []A, b []B) {
	for i := range dst {
		p := int32(int64(a[i])*q.MulA + int64(b[i])*q.MulB + q.Plus)
		p += int32(q.q.half) + p>>q.q.sign&int32(q.q.tie)
		dst[i] = Y(min(max(int64(p>>q.q.shift)+q.add, q.lo), q.hi))
	}
}
