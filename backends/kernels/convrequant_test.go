package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestRequantConv compares convolutions that end in elements with the portable sums and requantization.
func TestRequantConv(t *testing.T) {
	for _, l := range native() {
		rests, bands := 0, 0
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+41))
			if l == AVX512 {
				testRequantConv[uint8](t, l, r, seed, 0, 255, &rests, &bands)
			} else {
				testRequantConv[int16](t, l, r, seed, -1<<9, 1<<9-1, &rests, &bands)
			}
		}
		if l == AVX512 && (rests < 50 || bands < 5) {
			t.Errorf("%v: %d convolutions with rests apart, %d in several bands, want more", l, rests, bands)
		}
	}
}

func testRequantConv[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, seed uint64, lo, hi int64, rests, bands *int) {
	t.Helper()
	lanes, tile := 16, 8
	if l == AVX2 {
		lanes, tile = 8, 4
	}
	oc, ow, oh := lanes*(1+r.IntN(9)), tile*(1+r.IntN(4)), 1+r.IntN(4)
	if r.IntN(4) == 0 {
		oh += 100
	}
	run, step := 1+r.IntN(30), 1+r.IntN(7)
	pitch := ow*step + r.IntN(3)*step // from a row of windows to the next one
	if r.IntN(8) == 0 {
		pitch++ // rests have no planes
	}
	win := Window{Run: run, Step: step, Off: []int{0}}
	for range 1 + r.IntN(6) {
		win.Off = append(win.Off, win.Off[len(win.Off)-1]+run+r.IntN(9))
	}
	k := len(win.Off) * run
	x := make([]X, (oh-1)*pitch+ow*step+win.Off[len(win.Off)-1]+run, (oh-1)*pitch+ow*step+win.Off[len(win.Off)-1]+run+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	w, bias, q, f := randomRequant[X](l, r, oc, k, lo, hi, 20)
	var at []int
	for p := range oh * ow {
		at = append(at, p/ow*pitch+p%ow*step)
	}
	c, err := NewConv[X](l, at, win.Off, run, w, bias)
	if err != nil {
		t.Fatal(err)
	}
	row := (ow + r.IntN(3)) * oc
	rc := NewRequantConv(c, f, ow, row)
	if rc == nil {
		t.Fatalf("%v seed %d: refused", l, seed)
	}
	const guard = 77
	dst, want := make([]X, oh*row), make([]int64, oh*ow*oc)
	for i := range dst {
		dst[i] = guard
	}
	if rc.rests != nil {
		*rests++
		if len(rc.rests.bands) > 1 {
			*bands++
		}
	}
	rc.Run(dst, x, make([]int32, rc.Scratch()))
	d := NewDot[X](win, w, bias, 64)
	for y := range oh {
		DotRow(d, want[y*ow*oc:], oc, x[y*pitch:], ow)
	}
	q.Row(want)
	for i, got := range dst {
		v := int64(guard)
		if i%row < ow*oc {
			v = want[i/row*ow*oc+i%row]
		}
		if int64(got) != v {
			t.Fatalf("%v seed %d: %d channels, %d by %d pixels: row %d, element %d: got %d, want %d", l, seed, oc, oh, ow, i/row, i%row, got, v)
		}
	}
}

// randomRequant are random weights of c channels with k each, biases, and a requantization, by no fewer places than least, of sums over elements
// from lo to hi.
func randomRequant[X uint8 | int16](l Level, r *rand.Rand, c, k int, lo, hi, least int64) (w []int32, bias []int64, q *Requant, f *Requant32[X]) {
	w, bias = make([]int32, c*k), make([]int64, c)
	from, to, mul := make([]int64, c), make([]int64, c), make([]int64, c)
	for o := range c {
		bias[o], mul[o] = extreme(r, -1<<20, 1<<20), extreme(r, -1<<10, 1<<10)
		from[o], to[o] = bias[o], bias[o]
		for i := range k {
			v := extreme(r, -128, 127)
			w[o*k+i] = int32(v)
			from[o] += min(v*lo, v*hi)
			to[o] += max(v*lo, v*hi)
		}
	}
	a, b := lo, hi
	if r.IntN(2) == 0 {
		a, b = lo+r.Int64N(9), hi-r.Int64N(9)
	}
	q = NewRequant(mul, []int64{least + r.Int64N(8)}, HalfEven, r.Int64N(2)*r.Int64N(99), a, b)
	return w, bias, q, NewRequant32[X](l, q, c, func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }, 0)
}
