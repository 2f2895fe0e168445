package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWindows compares native pools and depthwise convolutions with the portable ones.
func TestWindows(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+17))
			testWindow[int16](t, l, r, -1<<15, 1<<15-1)
			if l == AVX512 {
				testWindow[uint8](t, l, r, 0, 255)
			}
		}
	}
}

func testWindow[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, lo, hi int64) {
	t.Helper()
	c, pixels, taps := 1+r.IntN(150), 1+r.IntN(9), 1+r.IntN(10)
	win := Window{Run: c, Step: (1 + r.IntN(2)) * c}
	for i := range taps {
		win.Off = append(win.Off, i*(c+r.IntN(2)*c))
	}
	slices.Sort(win.Off)
	x := make([]X, pixels*win.Step+win.Off[taps-1]+c+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	p := NewPool[X](l, win)
	want := make([]int64, pixels*c)
	MaxRow(&win, want, x, pixels)
	dst := make([]X, pixels*c+1)
	dst[pixels*c] = 77
	p.Max(dst, x, pixels)
	for i, w := range want {
		if int64(dst[i]) != w {
			t.Fatalf("%v: largest of %d taps, %d channels: element %d is %d, want %d", l, taps, c, i, dst[i], w)
		}
	}
	if dst[pixels*c] != 77 {
		t.Fatalf("%v: largest of %d channels, %d pixels: wrote beyond the end", l, c, pixels)
	}
	w, bias := make([]int32, c*taps), make([]int64, c)
	for i := range w {
		w[i] = int32(extreme(r, -1<<15, 1<<15-1))
	}
	for i := range bias {
		bias[i] = extreme(r, -1<<40, 1<<40)
	}
	var at []int
	for p := range pixels {
		at = append(at, p*win.Step)
	}
	d, err := NewDeepConv[X](l, at, win.Off, w, bias)
	if err != nil {
		t.Fatal(err)
	}
	DepthwiseRow(NewDepthwise[X](win, w, bias), want, x, pixels)
	if y, ok := any(x).([]int16); ok {
		wd, err := NewWideDeep(l, at, win.Off, w, bias)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]int64, pixels*c+wd.Width())
		parts := make([]int32, WideParts*pixels*wd.Width())
		wd.Sums(parts, y, 0, pixels)
		wd.Column(got, parts, pixels)
		if !slices.Equal(got[:pixels*c], want) {
			t.Fatalf("%v: wide depthwise, %d taps, %d channels: got %v, want %v", l, taps, c, got, want)
		}
	}
	first := r.IntN(pixels)
	acc := make([]int32, (pixels-first)*d.Width())
	d.Run(acc, x, first, pixels-first)
	for i, w := range want[first*c:] {
		if got := acc[i/c*d.Width()+i%c]; got != int32(w) {
			t.Fatalf("%v: depthwise, %d taps, %d channels: element %d is %d, want %d", l, taps, c, i, got, int32(w))
		}
	}
}
