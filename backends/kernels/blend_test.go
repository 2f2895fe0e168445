package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// TestBlend compares blends with their definition: elements up to the ends of their type, ties, limits, all roundings.
func TestBlend(t *testing.T) {
	for _, l := range native() {
		done, forms := map[Round]int{}, map[int]int{}
		for seed := range uint64(3000) {
			testBlend[int16, int16, int16](t, l, seed, done, forms)
			if l == AVX512 {
				testBlend[uint8, uint8, uint8](t, l, seed, done, forms)
				testBlend[uint8, int16, uint8](t, l, seed, done, forms)
				testBlend[int16, uint8, uint8](t, l, seed, done, forms)
				testBlend[int16, int16, uint8](t, l, seed, done, forms)
				testBlend[uint8, uint8, int16](t, l, seed, done, forms)
				testBlend[uint8, int16, int16](t, l, seed, done, forms)
				testBlend[int16, uint8, int16](t, l, seed, done, forms)
			}
		}
		for round := Floor; round <= HalfToZero; round++ {
			if done[round] < 50 {
				t.Errorf("%v: %d blends with rounding %d, want more", l, done[round], round)
			}
		}
		for _, form := range []int{0, blendWhole, -blendWhole, blendTwice, blendTwice | blendWhole, blendTwice | blendFar} {
			if forms[form] < 10 {
				t.Errorf("%v: %d blends in form %d with limits alone, want more: %v", l, forms[form], form, forms)
			}
		}
	}
}

func testBlend[A, B, Y uint8 | int16](t *testing.T, l Level, seed uint64, done map[Round]int, forms map[int]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, uint64(l)))
	shift, bound := r.Int64N(22), int64(1)<<r.IntN(23)
	mulA, mulB := extreme(r, -bound, bound-1), extreme(r, -bound, bound-1)
	usual := r.IntN(2) == 0 // nothing but limits behind the sum
	switch many := r.IntN(4) == 0; {
	case !usual && many: // ties
		mulA, mulB = 1<<shift>>1, 1<<shift>>2
	case usual: // about as large as words
		mulA, mulB = extreme(r, -1<<15, 1<<16), extreme(r, -1<<15, 1<<17)
		if r.IntN(2) == 0 {
			mulA, mulB = mulB, mulA
		}
	}
	round, zero := Round(seed%8), []int64{0, 1 << 7, 3}[r.IntN(3)]
	plus, add := extreme(r, -1<<28, 1<<28)>>r.IntN(29), extreme(r, -1<<15, 1<<15)>>r.IntN(16)
	if usual {
		add = zero
	}
	least, most := limitsOf(int(unsafe.Sizeof(Y(0))))
	lo, hi := least+zero, most+zero
	if usual || r.IntN(2) == 0 {
		lo, hi = lo+r.Int64N(100), hi-1-r.Int64N(100)
	}
	q := NewRequant([]int64{1}, []int64{shift}, round, add, lo, hi)
	b := NewBlend(l, mulA, mulB, plus, q, zero)
	if b == nil {
		return
	}
	// Elements whose sums fit.
	room := int64(1<<31-1) - b.Most() - abs(plus)
	if room < 0 {
		return
	}
	p := Runs{N: 1 + r.IntN(200), Rows: 1 + r.IntN(3)}
	p.A, p.B, p.Dst = p.N+r.IntN(9), p.N+r.IntN(9), p.N+1+r.IntN(9)
	x, y, dst := make([]A, p.Rows*p.A), make([]B, p.Rows*p.B), make([]Y, p.Rows*p.Dst)
	negative := r.IntN(2) // or there is none
	for i := range x {
		x[i] = element[A](r, room/2/max(abs(mulA), 1), negative)
	}
	for i := range y {
		y[i] = element[B](r, room/2/max(abs(mulB), 1), negative)
	}
	if usual || seed%2 == 0 {
		b.Settle(settled(x, y))
	}
	const guard = 77
	for i := range dst {
		dst[i] = guard
	}
	rows := NewBlendRows[A, B, Y](b, p)
	if rows == nil {
		t.Fatalf("%v: no code", l)
	}
	rows.Run(dst, x, y)
	form := rows.args.todo & (blendWhole | blendTwice | blendFar)
	if rows.args.todo == form|nearestLimits && rows.kernel == b.k.blend[unsafe.Sizeof(A(0))-1][unsafe.Sizeof(B(0))-1][unsafe.Sizeof(Y(0))-1][0] {
		if rows.swap {
			form = -form
		}
		forms[form]++
	}
	for i, got := range dst {
		row, j := i/p.Dst, i%p.Dst
		if j >= p.N {
			if got != guard {
				t.Fatalf("%v seed %d: wrote beyond the end of row %d", l, seed, row)
			}
			continue
		}
		u, v := int64(x[row*p.A+j]), int64(y[row*p.B+j])
		want := []int64{u*mulA + v*mulB + plus}
		if q.Row(want); int64(got) != want[0]-zero {
			t.Fatalf("%v seed %d: %d*%d + %d*%d + %d by %d places, rounding %d, + %d in %d..%d: row %d, element %d of %d: got %d, want %d", l, seed, u, mulA, v, mulB, plus, shift, round,
				add-zero, lo-zero, hi-zero, row, j, p.N, got, want[0]-zero)
		}
	}
	done[round]++
}

// element is a random one of up to the given magnitude, which is negative only with a negative of 1.
func element[X uint8 | int16](r *rand.Rand, bound int64, negative int) X {
	least, most := limitsOf(int(unsafe.Sizeof(X(0))))
	return X(extreme(r, max(least, -bound)*int64(negative), min(most, bound)))
}

// settled are the ranges of two operands.
func settled[A, B uint8 | int16](x []A, y []B) (fromA, toA, fromB, toB int64) {
	return int64(slices.Min(x)), int64(slices.Max(x)), int64(slices.Min(y)), int64(slices.Max(y))
}
