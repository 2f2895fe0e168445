package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestColumns compares native columns with portable ones: all operations, numbers of 63 bits, lengths that are no whole registers.
func TestColumns(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(500) {
			r := rand.New(rand.NewPCG(seed, uint64(l)))
			c, n := 1+r.IntN(40), 1+r.IntN(12)
			column := func(n int, most int64) []int64 {
				v := MakeColumn(n)
				for i := range v {
					v[i] = extreme(r, -most, most)
				}
				return v
			}
			a, b := column(c*n, 1<<62-1), column(c*n, 1<<62-1)
			got, want := MakeColumn(c*n), MakeColumn(c*n)
			same := func(what string) {
				t.Helper()
				if !slices.Equal(got, want) {
					t.Fatalf("%v seed %d: %s of %d channels, %d pixels: got %v, want %v", l, seed, what, c, n, got, want)
				}
			}
			imm := column([]int{1, c}[r.IntN(2)], 1<<62-1)
			for op := range numColumnOps {
				Columns(l, op, got, a, b)
				Columns(Generic, op, want, a, b)
				same(fmt.Sprint("operation ", op))
				NewImmediate(l, op, imm).Run(got, a)
				NewImmediate(Generic, op, imm).Run(want, a)
				same(fmt.Sprint("immediate ", op))
			}

			bits := 10 + r.IntN(38)
			mul, shift := column(len(imm), 1<<13), column(len(imm), 1)
			for i := range shift {
				shift[i] = r.Int64N(62)
			}
			q := NewRequant(mul, shift, Round(r.IntN(8)), extreme(r, -300, 300), -1<<r.IntN(50), 1<<r.IntN(50))
			a = column(c*n, 1<<bits)
			q.Column(l).Run(got, a)
			q.Column(Generic).Run(want, a)
			same("requantization")

			zero := r.Int64N(100) - 50
			testConversion[uint8](t, l, r, c*n, 0, 255, zero)
			testConversion[int16](t, l, r, c*n, -1<<15, 1<<15-1, zero)
		}
	}
}

func testConversion[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, n int, lo, hi, zero int64) {
	t.Helper()
	x, back := make([]X, n), make([]X, n+1)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	v := MakeColumn(n)
	ReadColumn(l, v, x, zero)
	for i := range x {
		if v[i] != int64(x[i])+zero {
			t.Fatalf("%v: element %d of %d: read %d as %d, want %d more", l, i, n, x[i], v[i], zero)
		}
	}
	back[n] = 77
	WriteColumn(l, back, v, zero)
	if !slices.Equal(back[:n], x) || back[n] != 77 {
		t.Fatalf("%v: wrote %v, want %v", l, back, x)
	}
}
