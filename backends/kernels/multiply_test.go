package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMultiply compares every level with the definition.
func TestMultiply(t *testing.T) {
	for _, l := range Levels() {
		r := rand.New(rand.NewPCG(uint64(l), 47))
		for range 100 {
			testMultiply[uint8, uint8](t, l, r)
			testMultiply[uint8, int16](t, l, r)
			testMultiply[int16, uint8](t, l, r)
			testMultiply[int16, int16](t, l, r)
		}
	}
}

func testMultiply[A, B uint8 | int16](t *testing.T, l Level, r *rand.Rand) {
	t.Helper()
	n := r.IntN(100)
	a, b, got, want := make([]A, n), make([]B, n), make([]int32, n), make([]int32, n)
	plusA, plusB := r.Int64N(1<<17)-1<<16, r.Int64N(1<<17)-1<<16
	for i := range n {
		a[i], b[i] = A(extreme(r, -1<<15, 1<<15-1)), B(extreme(r, -1<<15, 1<<15-1))
		want[i] = int32((int64(a[i]) + plusA) * (int64(b[i]) + plusB))
	}
	Multiply(l, got, a, b, plusA, plusB)
	if !slices.Equal(got, want) {
		t.Fatalf("%v: %v and %v, plus %d and %d: got %v, want %v", l, a, b, plusA, plusB, got, want)
	}
}
