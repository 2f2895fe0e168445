package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestRequantDeep compares depthwise convolutions that end in elements with the portable sums and requantization.
func TestRequantDeep(t *testing.T) {
	for _, l := range native() {
		flat, tails := 0, 0
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+43))
			if l == AVX512 {
				f, b := testRequantDeep[uint8](t, l, r, seed, 0, 255)
				flat, tails = flat+f, tails+b
			}
			f, b := testRequantDeep[int16](t, l, r, seed, -1<<11, 1<<11-1)
			flat, tails = flat+f, tails+b
		}
		if flat < 50 || tails < 50 {
			t.Errorf("%v: %d with several pixels in a register, %d with a last one that overlaps or is not full, want more", l, flat, tails)
		}
	}
}

// testRequantDeep gives 1 where registers hold several pixels, and where the last one is another than those before it.
func testRequantDeep[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, seed uint64, lo, hi int64) (flat, tails int) {
	t.Helper()
	c, ow, oh := 1+r.IntN(150), 1+r.IntN(12), 1+r.IntN(4)
	g := DeepRows{Step: c * (1 + r.IntN(2)), C: c, W: ow, Stride: (ow + r.IntN(3)) * c}
	for range 1 + r.IntN(12) {
		g.Taps = append(g.Taps, r.IntN(5)*c)
	}
	for y := range oh {
		g.Rows = append(g.Rows, y*ow*g.Step+r.IntN(4)*c)
	}
	x := make([]X, g.Rows[oh-1]+ow*g.Step+8*c+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	k := len(g.Taps)
	w, bias, q, f := randomRequant[X](l, r, c, k, lo, hi, 18)
	d := NewRequantDeep(l, g, w, bias, f)
	if d == nil {
		if l == AVX512 || c >= 16 {
			t.Fatalf("%v seed %d: refused", l, seed)
		}
		return 0, 0
	}
	const guard = 77
	dst := make([]X, oh*g.Stride)
	for i := range dst {
		dst[i] = guard
	}
	d.Run(dst, x, nil)
	deep := NewDepthwise[X](Window{Off: g.Taps, Run: c, Step: g.Step}, w, bias)
	for y, row := range g.Rows {
		want := make([]int64, ow*c)
		DepthwiseRow(deep, want, x[row:], ow)
		q.Row(want)
		for i, got := range dst[y*g.Stride:][:g.Stride] {
			v := int64(guard)
			if i < ow*c {
				v = want[i]
			}
			if int64(got) != v {
				t.Fatalf("%v seed %d: %d channels, %d by %d pixels: row %d, element %d: got %d, want %d", l, seed, c, oh, ow, y, i, got, v)
			}
		}
	}
	if len(d.blocks[0].jobs) < 2*oh*ow {
		flat = 1
	}
	if d.blocks[len(d.blocks)-1].mask != d.blocks[0].mask || c%16 > 0 {
		tails = 1
	}
	return flat, tails
}
