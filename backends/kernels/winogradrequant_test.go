package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestRequantWinograd compares elements with those of the same sums requantized one by one, and looks for others that are written.
func TestRequantWinograd(t *testing.T) {
	for _, l := range native() {
		taken := map[int]int{}
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+5))
			testRequantWinograd[int16, int16](t, l, r, taken)
			if l == AVX512 {
				testRequantWinograd[uint8, uint8](t, l, r, taken)
				testRequantWinograd[int16, uint8](t, l, r, taken)
				testRequantWinograd[uint8, int16](t, l, r, taken)
			}
		}
		for stride := 1; stride <= 2; stride++ {
			if taken[stride] < 20 {
				t.Errorf("%v: %d cases with a stride of %d, want more", l, taken[stride], stride)
			}
		}
	}
}

func testRequantWinograd[X, Y uint8 | int16](t *testing.T, l Level, r *rand.Rand, taken map[int]int) {
	t.Helper()
	const lo, hi = 0, 255
	c, oc, oh, ow := 1+r.IntN(40), 8*(1+r.IntN(10)), 1+r.IntN(14), 4+r.IntN(14)
	stride := 1 + r.IntN(2)
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
		mul[o], shift[o] = r.Int64N(1<<16)-1<<12, 20+r.Int64N(8)
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
	row, before := ow*oc+r.IntN(50), r.IntN(50)
	z := NewRequantWinograd(v, y, row)
	if z == nil {
		return
	}
	taken[stride]++
	const guard = 77
	got := make([]Y, before+oh*row+50)
	for i := range got {
		got[i] = guard
	}
	z.Run(got[before:], x, make([]int32, z.Scratch()))
	want := make([]Y, len(got))
	for i := range want {
		want[i] = guard
	}
	d := NewDot[X](Window{Off: []int{0, width * c, 2 * width * c}, Run: 3 * c, Step: stride * c}, w, bias, 64)
	sums := make([]int64, ow*oc)
	for i := range oh {
		DotRow(d, sums, oc, x[i*stride*width*c:], ow)
		q.Row(sums)
		for j, s := range sums {
			want[before+i*row+j] = Y(s)
		}
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v: %T to %T: %d channels to %d, %dx%d pixels, rows of %d from %d on, stride %d: element %d: got %d, want %d", l, x, got, c, oc, oh, ow, row, before, stride, i, got[i], want[i])
		}
	}
}
