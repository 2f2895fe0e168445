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

// TestWide compares wide sums with the portable ones, for weights and elements up to the ends of their types.
func TestWide(t *testing.T) {
	for _, l := range native() {
		split, parts := 0, 0
		for seed := range uint64(150) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+7))
			oc, pixels, run, runs := 1+r.IntN(40), 1+r.IntN(20), 1+r.IntN(60), 1+r.IntN(5)
			if r.IntN(10) == 0 {
				run = 500 + r.IntN(3000)
			}
			win := Window{Run: run, Step: 1 + r.IntN(9)}
			for i := range runs {
				win.Off = append(win.Off, i*(run+r.IntN(5)+5))
			}
			lo, hi := int64(-1<<15), int64(1<<15-1)
			if r.IntN(2) == 0 {
				lo = 0
			}
			most := int64(1) << (6 + r.IntN(10))
			x := make([]int16, pixels*win.Step+win.Off[runs-1]+run+Slack)
			for i := range x {
				x[i] = int16(extreme(r, lo, hi))
			}
			w, bias := make([]int32, oc*run*runs), make([]int64, oc)
			for i := range w {
				w[i] = int32(extreme(r, -most, most-1))
			}
			for i := range bias {
				bias[i] = extreme(r, -1<<50, 1<<50)
			}
			var at []int
			for p := range pixels {
				at = append(at, p*win.Step)
			}
			c, err := NewWide(l, at, win.Off, run, w, bias, lo, hi)
			if err != nil {
				t.Fatal(err)
			}
			if c.plain < c.Parts() {
				split++
			}
			parts = max(parts, c.Parts())
			want, got := make([]int64, pixels*oc), make([]int64, pixels*oc+c.Width())
			DotRow(NewDot[int16](win, w, bias, 64), want, oc, x, pixels)
			c.Run(got, make([]int32, c.Parts()*(pixels+c.Tile())*c.Width()), x, 0, pixels)
			if !slices.Equal(got[:len(want)], want) {
				t.Fatalf("%v seed %d: %d pixels, %d channels, %d runs of %d, weights to %d, %d parts: got %v, want %v", l, seed, pixels, oc, runs, run, most, c.Parts(), got, want)
			}
		}
		if split < 20 || parts < 4 {
			t.Errorf("%v: %d programs with weights in two parts, at most %d parts: want more", l, split, parts)
		}
	}
}
