package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSplitWinograd compares sums of words by bytes in tiles, and their requantization, with the portable ones, for elements and weights up
// to the ends of their types.
func TestSplitWinograd(t *testing.T) {
	for _, l := range native() {
		done := map[string]int{}
		for seed := range uint64(120) {
			testSplitWinograd(t, l, rand.New(rand.NewPCG(seed, uint64(l)+31)), done)
		}
		for _, what := range []string{"taken", "ends", "refused", "floor", "half up", "half even"} {
			if done[what] < 3 {
				t.Errorf("%v: %s: %d, want more: %v", l, what, done[what], done)
			}
		}
	}
}

func testSplitWinograd(t *testing.T, l Level, r *rand.Rand, done map[string]int) {
	t.Helper()
	c, oc, oh, ow := 1+r.IntN(70), 1+r.IntN(40), 1+r.IntN(14), 4+r.IntN(14)
	if r.IntN(4) == 0 {
		c, oc, oh = 100+r.IntN(200), 1+r.IntN(4), 1+r.IntN(4)
	}
	lo, hi := int64(-1<<15), int64(1<<15-1)
	if r.IntN(3) == 0 {
		lo, hi = 0, hi>>r.IntN(4)
	}
	most := int64(1) << (9 + r.IntN(7))
	w, bias := make([]int32, oc*9*c), make([]int64, oc)
	kind := r.IntN(5)
	for i := range w {
		w[i] = int32(extreme(r, -most, most-1))
		switch kind {
		case 0: // all of one sign
			w[i] = int32(most - 1)
		case 1:
			w[i] = int32(-most)
		case 2: // the largest low bytes
			w[i] = int32(int64(w[i])&^255 | 128)
		}
	}
	for i := range bias {
		bias[i] = extreme(r, -1<<40, 1<<40)
	}
	width := ow + 2
	x := make([]int16, (oh+2)*width*c, (oh+2)*width*c+Slack)
	for i := range x {
		x[i] = int16(extreme(r, lo, hi))
	}
	switch r.IntN(4) {
	case 0:
		v := extreme(r, lo, hi)
		for i := range x {
			x[i] = int16(v)
		}
	case 1: // the largest transformed elements
		for i := range x {
			x[i] = int16([]int64{lo, hi}[(i/c%width/2+i/c/width/2)%2])
		}
	}
	var rows, pixels []int
	for y := range oh + 2 {
		rows = append(rows, y*width*c)
	}
	for p := range oh * ow {
		pixels = append(pixels, (p/ow*width+p%ow)*c)
	}
	win := Window{Off: rows[:3], Run: 3 * c, Step: c}
	d, err := NewWide(l, pixels, win.Off, win.Run, w, bias, lo, hi)
	if err != nil {
		t.Fatal(err)
	}
	v := d.inTiles(l, rows, ow, w, lo, hi, math.MaxInt)
	if v == nil {
		done["refused"]++
		return
	}
	done["taken"]++
	if most == 1<<15 && lo < 0 {
		done["ends"]++
	}
	want := make([]int64, oh*ow*oc)
	dot := NewDot[int16](win, w, bias, 64)
	for y := range oh {
		DotRow(dot, want[y*ow*oc:], oc, x[y*width*c:], ow)
	}
	first := r.IntN(1+(oh*ow-1)/v.Tile()) * v.Tile()
	n := oh*ow - first
	want = want[first*oc:]
	const guard = 12345
	room := (n + v.Tile() - 1) / v.Tile() * v.Tile() * v.Width()
	acc := make([]int32, WideParts*room+v.Scratch()+1)
	acc[len(acc)-1] = guard
	all := acc[:len(acc)-1]
	v.Sums(all, x, first, n)
	got := make([]int64, n*oc+v.Width())
	v.Column(got, all, n)
	name := fmt.Sprintf("%v: elements of %d..%d, weights to %d, kind %d, %d channels to %d, %dx%d pixels from %d on", l, lo, hi, most, kind, c, oc, oh, ow, first)
	if !slices.Equal(got[:n*oc], want) {
		t.Fatalf("%s: got %v, want %v", name, got[:n*oc], want)
	}
	if acc[len(acc)-1] != guard {
		t.Fatalf("%s: wrote beyond the end", name)
	}
	testWideRequant(t, r, name, v, all, want, false, done)
}
