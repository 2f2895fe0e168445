package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWide compares wide sums, and what their requantization makes of them, with the portable ones, for weights and elements up to the
// ends of their types.
func TestWide(t *testing.T) {
	for _, l := range native() {
		done := map[string]int{}
		for seed := range uint64(400) {
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
			if r.IntN(3) == 0 {
				lo, hi = 0, hi>>r.IntN(4)
			}
			most := int64(1) << (6 + r.IntN(10))
			w, bias := make([]int32, oc*run*runs), make([]int64, oc)
			positive := r.IntN(3) == 0
			for i := range w {
				w[i] = int32(extreme(r, -most, most-1))
				if positive {
					w[i] = max(w[i], -w[i]-1)
				}
			}
			for i := range bias {
				bias[i] = extreme(r, -1<<40, 1<<40)
			}
			lowest := r.IntN(8) == 0 // pairs of products that do not fit 32 bits
			if lowest {
				lo = -1 << 15
				for i := range w {
					if r.IntN(3) > 0 {
						w[i] = -1 << 15
					}
				}
			}
			x := make([]int16, pixels*win.Step+win.Off[runs-1]+run+Slack)
			for i := range x {
				x[i] = int16(extreme(r, lo, hi))
			}
			if r.IntN(4) == 0 { // a sum at its end, for the first pixel and channel
				for i, o := range win.Off {
					for e := range run {
						x[o+e] = int16(hi)
						if w[i*run+e] < 0 {
							x[o+e] = int16(lo)
						}
					}
				}
			}
			var at []int
			for p := range pixels {
				at = append(at, p*win.Step)
			}
			ties := r.IntN(2) == 0
			if ties { // sums that are odd multiples of 1<<10, for the first pixel
				first := make([]int64, oc)
				DotRow(NewDot[int16](win, w, make([]int64, oc), 64), first, oc, x, 1)
				for i := range bias {
					bias[i] = (2*r.Int64N(1<<14)+1)<<10 - first[i]
				}
			}
			c, err := NewWide(l, at, win.Off, run, w, bias, lo, hi)
			if err != nil {
				t.Fatal(err)
			}
			if lowest {
				done["lowest"]++
			}
			name := fmt.Sprintf("%v seed %d: %d pixels, %d channels, %d runs of %d, weights to %d", l, seed, pixels, oc, runs, run, most)
			want, got := make([]int64, pixels*oc), make([]int64, pixels*oc+c.Width())
			DotRow(NewDot[int16](win, w, bias, 64), want, oc, x, pixels)
			acc := make([]int32, WideParts*(pixels+c.Tile())*c.Width())
			c.Sums(acc, x, 0, pixels)
			c.Column(got, acc, pixels)
			if !slices.Equal(got[:len(want)], want) {
				t.Fatalf("%s: got %v, want %v", name, got, want)
			}
			testWideRequant(t, r, name, c, acc, want, ties, done)
		}
		for _, what := range []string{"lowest", "floor", "half up", "half even", "ties"} {
			if done[what] < 20 {
				t.Errorf("%v: %s: %d, want more: %v", l, what, done[what], done)
			}
		}
	}
}

// TestWideRefused has more segments than the second part has room for.
func TestWideRefused(t *testing.T) {
	w := make([]int32, 2*(mostSegments+1))
	for i := range w {
		w[i] = -1 << 15
	}
	for _, l := range native() {
		for n, fits := range map[int]bool{mostSegments: true, mostSegments + 1: false} {
			if _, err := NewWide(l, []int{0}, []int{0}, 2*n, w[:2*n], []int64{0}, -1<<15+1, 1<<15-1); (err == nil) != fits {
				t.Errorf("%v: %d segments: %v", l, n, err)
			}
		}
	}
	if _, err := NewWide(Generic, []int{0}, []int{0}, 2, w[:2], []int64{0}, 0, 1); err == nil {
		t.Error("generic: not refused")
	}
}

func testWideRequant(t *testing.T, r *rand.Rand, name string, c *Wide, acc []int32, sums []int64, ties bool, done map[string]int) {
	t.Helper()
	oc := c.channel
	pixels := len(sums) / oc
	from, to := make([]int64, oc), make([]int64, oc)
	for i, v := range sums {
		o := i % oc
		from[o], to[o] = min(from[o], v-r.Int64N(100)), max(to[o], v+r.Int64N(100))
	}
	shift := 11 + r.Int64N(30)
	mul, shifts := make([]int64, []int{1, oc}[r.IntN(2)]), []int64{shift}
	for i := range mul {
		mul[i] = extreme(r, -1<<20, 1<<20) >> r.IntN(20)
		if ties {
			mul[i] = 1 << min(shift-11, 30)
		}
	}
	round := []Round{Floor, HalfUp, HalfEven}[r.IntN(3)]
	zero := r.Int64N(1 << 16)
	q := NewRequant(mul, shifts, round, zero+extreme(r, -1<<14, 1<<14), zero-1<<15, zero+1<<15-1-r.Int64N(1000))
	f := c.Requant(q, func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }, zero)
	if f == nil {
		return
	}
	done[map[Round]string{Floor: "floor", HalfUp: "half up", HalfEven: "half even"}[round]]++
	if ties && round == HalfEven {
		done["ties"]++
	}
	stride, first := oc+r.IntN(5), r.IntN(1+r.IntN(pixels))
	const guard = 77
	dst := make([]int16, (pixels-first)*stride)
	for i := range dst {
		dst[i] = guard
	}
	f.Row(dst, stride, acc, first, pixels-first)
	want := slices.Clone(sums)
	q.Row(want)
	for i, y := range dst {
		p, o := first+i/stride, i%stride
		v := int64(guard)
		if o < oc {
			v = want[p*oc+o] - zero
		}
		if int64(y) != v {
			t.Fatalf("%s, rounding %d, multipliers %v, shift %d: pixel %d, channel %d, sum %d: got %d, want %d", name, round, mul, shift, p, o, sums[min(p*oc+o, len(sums)-1)], y, v)
		}
	}
}
