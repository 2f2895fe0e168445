package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestWinograd compares sums with the portable ones, for elements and weights up to the ends of what is taken, and more.
func TestWinograd(t *testing.T) {
	for _, l := range native() {
		done := map[string]int{}
		setHalves := anyHalves(t, l)
		for seed := range uint64(300) {
			setHalves(seed%2 > 0)
			r := rand.New(rand.NewPCG(seed, uint64(l)+3))
			lo := -r.Int64N(400)
			hi := min(max(lo, 0)+r.Int64N(500), 327)
			testWinograd[int16](t, l, r, lo, hi, done)
			testWinograd[int16](t, l, r, 0, 255, done)
			if l == AVX512 {
				testWinograd[uint8](t, l, r, 0, 255, done)
			}
		}
		for _, what := range []string{"taken", "stride 1", "stride 2", "elements", "sums", "weights"} {
			if done[what] < 5 {
				t.Errorf("%v: %s: %d, want more: %v", l, what, done[what], done)
			}
		}
	}
}

// anyHalves returns what sets evenHalves, which is as it was when the test ends.
func anyHalves(t *testing.T, l Level) func(bool) {
	k := &columnsOf(l).winograd
	before := k.evenHalves
	t.Cleanup(func() { k.evenHalves = before })
	return func(v bool) { k.evenHalves = v }
}

func testWinograd[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, lo, hi int64, done map[string]int) {
	t.Helper()
	c, oc, oh, ow := 1+r.IntN(70), 1+r.IntN(40), 1+r.IntN(14), 4+r.IntN(14)
	most := int64(1) << (3 + r.IntN(8))
	w, bias := make([]int32, oc*9*c), make([]int64, oc)
	for i := range w {
		w[i] = int32(extreme(r, -most, most-1))
	}
	if r.IntN(4) == 0 { // the largest sums
		for i := range w {
			w[i] = int32(-most)
		}
	}
	for i := range bias {
		bias[i] = extreme(r, -1<<40, 1<<40)
	}
	stride := 1 + r.IntN(2)
	width := (ow-1)*stride + 3 + r.IntN(3) // of the image
	height := (oh-1)*stride + 3
	x := make([]X, height*width*c, height*width*c+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	switch r.IntN(4) {
	case 0:
		for i := range x {
			x[i] = X(hi)
		}
	case 1: // the largest transformed elements
		for i := range x {
			x[i] = X([]int64{lo, hi}[(i/c%width/2+i/c/width/2)%2])
		}
	}
	var rows []int
	for y := range height {
		rows = append(rows, y*width*c)
	}
	v := newWinograd[X](l, rows, ow, stride, w, bias, lo, hi, true)
	if v == nil {
		form := &winogradForms[stride-1]
		switch one := []int32{0, 0, 0, 0, 1, 0, 0, 0, 0}; {
		case !form.fits(one, 1, lo, hi):
			done["elements"]++
		case !form.fits(w, oc, 0, 0):
			done["weights"]++
		default:
			done["sums"]++
		}
		return
	}
	done["taken"]++
	done[fmt.Sprint("stride ", stride)]++
	win := Window{Off: []int{0, width * c, 2 * width * c}, Run: 3 * c, Step: stride * c}
	d := NewDot[X](win, w, bias, 64)
	want := make([]int64, oh*ow*oc)
	for y := range oh {
		DotRow(d, want[y*ow*oc:], oc, x[y*stride*width*c:], ow)
	}
	first := r.IntN(1+(oh*ow-1)/v.Tile()) * v.Tile()
	n := oh*ow - first
	const guard = 12345
	acc := make([]int32, (n+v.Tile()-1)/v.Tile()*v.Tile()*v.Width()+v.Scratch()+1)
	acc[len(acc)-1] = guard
	v.Run(acc, x, first, n)
	name := fmt.Sprintf("%v: %T: elements of %d..%d, weights to %d, %d channels to %d, %dx%d pixels from %d on, stride %d", l, x, lo, hi, most, c, oc, oh, ow, first, stride)
	for p := range n {
		for o := range oc {
			if got, want := acc[p*v.Width()+o], int32(want[(first+p)*oc+o]); got != want {
				t.Fatalf("%s: pixel %d, channel %d: got %d, want %d", name, p, o, got, want)
			}
		}
	}
	if acc[len(acc)-1] != guard {
		t.Fatalf("%s: wrote beyond the end", name)
	}
}
