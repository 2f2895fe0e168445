package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestSplitBlend compares blends of words with their definition, for elements up to the ends of their type, ties and limits.
func TestSplitBlend(t *testing.T) {
	for _, l := range native() {
		ties, refused := 0, 0
		for seed := range uint64(600) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+3))
			shift := splitPlaces + r.Int64N(20)
			bound := int64(1) << (10 + r.IntN(22))
			mulA, mulB := extreme(r, -bound, bound-1), extreme(r, -bound, bound-1)
			if r.IntN(3) == 0 { // many ties
				mulA, mulB = 1<<(shift-1), 1<<(shift-2)
			}
			plus := extreme(r, -1<<44, 1<<44) >> r.IntN(45)
			round := []Round{Floor, HalfUp, HalfEven}[seed%3]
			zero := []int64{0, 1 << 15, 3}[r.IntN(3)]
			add, lo, hi := extreme(r, -1<<15, 1<<15), zero-1<<15+r.Int64N(100), zero+1<<15-1-r.Int64N(100)
			q := NewRequant([]int64{1}, []int64{shift}, round, add, lo, hi)
			b := NewSplitBlend(l, mulA, mulB, plus, q, zero)
			if b == nil {
				refused++
				continue
			}
			n := 1 + r.IntN(100)
			x, y, dst := make([]int16, n), make([]int16, n), make([]int16, n+1)
			sums := make([]int64, n)
			for i := range n {
				x[i], y[i] = int16(extreme(r, -1<<15, 1<<15-1)), int16(extreme(r, -1<<15, 1<<15-1))
				sums[i] = int64(x[i])*mulA + int64(y[i])*mulB + plus
				if round == HalfEven && sums[i]&(1<<shift-1) == 1<<(shift-1) {
					ties++
				}
			}
			dst[n] = 77
			b.Run(dst[:n], x, y)
			want := append([]int64(nil), sums...)
			q.Row(want)
			for i, v := range want {
				if int64(dst[i]) != v-zero {
					t.Fatalf("%v seed %d: %d*%d + %d*%d + %d by %d places, rounding %d: got %d, want %d", l, seed, x[i], mulA, y[i], mulB, plus, shift, round, dst[i], v-zero)
				}
			}
			if dst[n] != 77 {
				t.Fatalf("%v seed %d: wrote beyond the end", l, seed)
			}
		}
		if ties < 100 || refused > 400 {
			t.Errorf("%v: %d ties, %d refused", l, ties, refused)
		}
	}
}
