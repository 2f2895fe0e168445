package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRequantWinograd compares elements with those of the same sums, or of the largest of four, requantized one by one, and looks for
// others that are written.
func TestRequantWinograd(t *testing.T) {
	for _, l := range native() {
		taken := map[string]int{}
		setHalves := anyHalves(t, l)
		for seed := range uint64(120) {
			setHalves(seed%2 > 0)
			r := rand.New(rand.NewPCG(seed, uint64(l)+5))
			testRequantWinograd[int16, int16](t, l, r, taken)
			if l == AVX512 {
				testRequantWinograd[uint8, uint8](t, l, r, taken)
				testRequantWinograd[int16, uint8](t, l, r, taken)
				testRequantWinograd[uint8, int16](t, l, r, taken)
			}
		}
		for _, what := range []string{"stride 1, pool false", "stride 1, pool true", "stride 2, pool false", "stride 2, pool true"} {
			if taken[what] < 10 {
				t.Errorf("%v: %s: %d cases, want more: %v", l, what, taken[what], taken)
			}
		}
	}
}

func testRequantWinograd[X, Y uint8 | int16](t *testing.T, l Level, r *rand.Rand, taken map[string]int) {
	t.Helper()
	const lo, hi = 0, 255
	c, oc, oh, ow := 1+r.IntN(40), 8*(1+r.IntN(10)), 1+r.IntN(14), 4+r.IntN(14)
	stride, pool, side := 1+r.IntN(2), r.IntN(2) == 0, 1
	if pool {
		ow, side = 4+2*r.IntN(7), 2
	}
	width, height := (ow-1)*stride+3, (oh-1)*stride+3
	w, bias := make([]int32, oc*9*c), make([]int64, oc)
	most := int64(1) << r.IntN(8)
	for i := range w {
		w[i] = int32(extreme(r, -most, most-1))
	}
	x := make([]X, height*width*c, height*width*c+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	from, to := make([]int64, oc), make([]int64, oc)
	for o := range bias {
		bias[o] = extreme(r, -1<<18, 1<<18)
		from[o], to[o] = bias[o], bias[o]
		for _, v := range w[o*9*c : (o+1)*9*c] {
			from[o] += min(int64(v)*lo, int64(v)*hi)
			to[o] += max(int64(v)*lo, int64(v)*hi)
		}
	}
	mul, shift := make([]int64, oc), make([]int64, oc)
	for o := range mul {
		mul[o], shift[o] = r.Int64N(1<<16), 20+r.Int64N(8)
		if !pool && r.IntN(4) == 0 {
			mul[o] = -mul[o]
		}
	}
	q := NewRequant(mul, shift, HalfEven, r.Int64N(40)-20, r.Int64N(20), 100+r.Int64N(156))
	var rows []int
	for y := range height {
		rows = append(rows, y*width*c)
	}
	v := newWinograd[X](l, rows, ow, stride, w, bias, lo, hi, true)
	y := NewRequant32[Y](l, q, oc, func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }, 0)
	if v == nil || y == nil {
		return
	}
	// Rows of elements lie in borders of any width.
	row, before := ow/side*oc+r.IntN(50), r.IntN(50)
	z := NewRequantWinograd(v, y, pool, row)
	if z == nil {
		return
	}
	taken[fmt.Sprintf("stride %d, pool %v", stride, pool)]++
	const guard = 77
	got := make([]Y, before+oh*row+50)
	for i := range got {
		got[i] = guard
	}
	want := slices.Clone(got)
	z.Run(got[before:], x, make([]int32, z.Scratch()))
	d := NewDot[X](Window{Off: []int{0, width * c, 2 * width * c}, Run: 3 * c, Step: stride * c}, w, bias, 64)
	for i := range oh / side {
		sums := make([]int64, ow/side*oc)
		for j := range sums {
			sums[j] = -1 << 62
		}
		for j := range side {
			line := make([]int64, ow*oc)
			DotRow(d, line, oc, x[(side*i+j)*stride*width*c:], ow)
			for k, s := range line {
				p := &sums[k/oc/side*oc+k%oc]
				*p = max(*p, s)
			}
		}
		q.Row(sums)
		for j, s := range sums {
			want[before+i*row+j] = Y(s)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v: %T to %T: %d channels to %d, %dx%d pixels, rows of %d from %d on, stride %d, pool %v: element %d: got %d, want %d", l, x, got, c, oc, oh, ow, row, before, stride, pool, i, got[i], want[i])
		}
	}
}
