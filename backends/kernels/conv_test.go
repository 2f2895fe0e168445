package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// native are the levels of this CPU that have kernels.
func native() []Level { return Levels()[1:] }

// TestConv compares native sums with the portable ones, for numbers up to the ends of their types.
func TestConv(t *testing.T) {
	if len(native()) == 0 {
		t.Skip("this CPU has no native kernels")
	}
	for _, l := range native() {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, uint64(l)))
			name := fmt.Sprintf("%v seed %d", l, seed)
			testConv[int16](t, l, r, name, -1<<15, 1<<15-1, -1<<15, 1<<15-1)
			testConv[int16](t, l, r, name, -1<<15, 1<<15-1, -1<<7, 1<<7-1)
			if l == AVX512 {
				testConv[uint8](t, l, r, name, 0, 255, -128, 127)
			}
		}
	}
}

// extreme is a number of lo..hi, often an end.
func extreme(r *rand.Rand, lo, hi int64) int64 {
	switch r.IntN(4) {
	case 0:
		return lo
	case 1:
		return hi
	}
	return lo + r.Int64N(hi-lo+1)
}

func testConv[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, name string, lo, hi, wlo, whi int64) {
	t.Helper()
	oc, pixels, run, runs := 1+r.IntN(150), 1+r.IntN(30), 1+r.IntN(40), 1+r.IntN(6)
	if r.IntN(3) == 0 {
		pixels = 1 + r.IntN(2)
	}
	if r.IntN(20) == 0 {
		run = 1000 + r.IntN(1000)
	}
	win := Window{Run: run, Step: 1 + r.IntN(9)}
	for i := range runs {
		win.Off = append(win.Off, i*(1+r.IntN(run+5)))
	}
	for i := 1; i < runs; i++ {
		win.Off[i] = max(win.Off[i], win.Off[i-1])
	}
	x := make([]X, pixels*win.Step+win.Off[runs-1]+run+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	// The wrap of the sums to 32 bits is a part of the contract, so weights need no bound.
	w, bias := make([]int32, oc*run*runs), make([]int64, oc)
	for i := range w {
		w[i] = int32(extreme(r, wlo, whi))
	}
	for i := range bias {
		bias[i] = extreme(r, -1<<40, 1<<40)
	}
	var at []int
	for p := range pixels {
		at = append(at, p*win.Step)
	}
	c, err := NewConv[X](l, at, win.Off, run, w, bias)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]int64, pixels*oc)
	DotRow(NewDot[X](win, w, bias, 64), want, oc, x, pixels)
	first := pixels / 3 / c.Tile() * c.Tile()
	acc := make([]int32, (pixels+c.Tile())*c.Width())
	c.Run(acc, x, first, pixels-first)
	for p := first; p < pixels; p++ {
		for o := range oc {
			if got, want := acc[(p-first)*c.Width()+o], int32(want[p*oc+o]); got != want {
				t.Fatalf("%s: %d pixels, %d channels, %d runs of %d: pixel %d, channel %d: got %d, want %d", name, pixels, oc, runs, run, p, o, got, want)
			}
		}
	}
}

// TestRequant32 compares native requantization with the portable one, wherever it says that it can do the work.
func TestRequant32(t *testing.T) {
	for _, l := range native() {
		done := map[string]int{}
		for seed := range uint64(3000) {
			r := rand.New(rand.NewPCG(seed, uint64(l)))
			testRequant[int16](t, l, r, seed, -1<<15, 1<<15-1, done)
			if l == AVX512 {
				testRequant[uint8](t, l, r, seed, 0, 255, done)
			}
		}
		for round := Floor; round <= HalfToZero; round++ {
			if got := done[fmt.Sprint(round)]; got < 50 {
				t.Errorf("%v: %d native programs with rounding %d, want more", l, got, round)
			}
		}
		if l == AVX512 && done["bytes"] < 50 || done["nearest"] < 100 || done["32 places"] < 100 || done["ties"] < 100 || done["pools"] < 100 {
			t.Errorf("%v: native programs: %v", l, done)
		}
	}
}

func testRequant[Y uint8 | int16](t *testing.T, l Level, r *rand.Rand, seed uint64, lo, hi int64, done map[string]int) {
	t.Helper()
	c := 1 + r.IntN(150)
	if r.IntN(2) == 0 {
		c = (c + 15) / 16 * 16
	}
	per := func(f func() int64) []int64 {
		v := make([]int64, 1)
		if r.IntN(2) == 0 {
			v = make([]int64, c)
		}
		for i := range v {
			v[i] = f()
		}
		return v
	}
	round := Round(r.IntN(8))
	shift := r.Int64N(36)
	spread := r.Int64N(3)
	mul := per(func() int64 { return extreme(r, -1<<20, 1<<20) >> r.IntN(20) })
	shifts := per(func() int64 { return min(shift+r.Int64N(spread+1), 61) })
	zero := extreme(r, -300, 300)
	a, b := lo+zero, hi+zero
	if r.IntN(2) == 0 {
		a, b = a+r.Int64N(10), b-r.Int64N(10)
	}
	q := NewRequant(mul, shifts, round, extreme(r, -500, 500), a, b)
	most := int64(1) << r.IntN(32)
	from, to := make([]int64, c), make([]int64, c)
	for i := range from {
		from[i], to[i] = -r.Int64N(most+1), r.Int64N(most+1)
		to[i] = min(to[i], 1<<31-1)
	}
	low, high := func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }
	fs := []*Requant32[Y]{NewRequant32[Y](l, q, c, low, high, zero)}
	if fs[0] != nil && fs[0].nearest != nil {
		done["nearest"]++
		fs = append(fs, newRequant32[Y](l, q, c, low, high, zero))
	}
	for _, f := range fs {
		if f == nil {
			continue
		}
		done[fmt.Sprint(round)]++
		if f.general == 0 && f.nearest == nil {
			done["32 places"]++
		}
		if even, _ := requantKernels(l, int(unsafe.Sizeof(Y(0))), true); f.kernel == even {
			done["ties"]++
		}
		if f.Pools() {
			done["pools"]++
		}
		if lo == 0 {
			done["bytes"]++
		}
		testRows(t, fmt.Sprintf("%v seed %d: rounding %d, %d channels", l, seed, round, c), r, q, f, from, to, zero)
	}
}

// testRows compares rows of pixels, and those of a pooling, with elements that q says.
func testRows[Y uint8 | int16](t *testing.T, name string, r *rand.Rand, q *Requant, f *Requant32[Y], from, to []int64, zero int64) {
	t.Helper()
	c := len(from)
	p := Pixels{N: 1 + r.IntN(9), Rows: 1 + r.IntN(3), Acc: (c+15)/16*16 + 16*r.IntN(2), Dst: c + r.IntN(3)}
	p.AccRow, p.DstRow = (p.N+r.IntN(2))*p.Acc, p.N*p.Dst+r.IntN(3)
	const guard = 77
	try := func(rows *RequantRows[Y], window ...int) {
		acc := make([]int32, p.Rows*p.AccRow+2*p.Right+2*p.Below+PoolSlack)
		for i := range acc {
			channel := i % p.AccRow % p.Acc % c
			acc[i] = int32(extreme(r, from[channel], to[channel]))
		}
		dst := make([]Y, p.Rows*p.DstRow)
		for i := range dst {
			dst[i] = guard
		}
		rows.Run(dst, acc)
		for i := range dst {
			got, want := int64(dst[i]), int64(guard)
			row, pixel, channel := i/p.DstRow, i%p.DstRow/p.Dst, i%p.DstRow%p.Dst
			if pixel < p.N && channel < c {
				v := acc[row*p.AccRow+pixel*p.Acc+channel:]
				largest := v[0]
				for _, w := range window {
					largest = max(largest, v[w])
				}
				sums := make([]int64, c)
				sums[channel] = int64(largest)
				q.Row(sums)
				got, want = got+zero, sums[channel]
			}
			if got != want {
				t.Fatalf("%s, %+v, window %v: row %d, pixel %d, element %d: got %d, want %d", name, p, window, row, pixel, channel, got, want)
			}
		}
	}
	try(f.Rows(p))
	if !f.Pools() {
		return
	}
	p.Right, p.Below = p.Acc, 2*p.Acc
	if 2*c <= p.Acc {
		p.Right = c // folded
	}
	try(f.Pooled(p), p.Right, p.Below, p.Right+p.Below)
}
