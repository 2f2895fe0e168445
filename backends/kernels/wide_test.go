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
			sign := r.IntN(3)
			for i := range w {
				w[i] = int32(extreme(r, -most, most-1))
				switch sign {
				case 0: // all of one sign
					w[i] = max(w[i], -w[i]-1)
				case 1: // what the high byte leaves is largest
					w[i] = int32(int64(w[i])&^255 | 128)
				}
			}
			for i := range bias {
				bias[i] = extreme(r, -1<<40, 1<<40)
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
			name := fmt.Sprintf("%v seed %d: %d pixels, %d channels, %d runs of %d, weights to %d, %d parts", l, seed, pixels, oc, runs, run, most, c.Parts())
			done[fmt.Sprintf("%d groups", min(len(c.first), 3))]++
			switch {
			case c.dot != nil:
				done["segments"]++
			case c.High():
				done["bytes"]++
			case c.second != nil:
				done["halves"]++
			}
			want, got := make([]int64, pixels*oc), make([]int64, pixels*oc+c.Width())
			DotRow(NewDot[int16](win, w, bias, 64), want, oc, x, pixels)
			acc := make([]int32, c.Parts()*(pixels+c.Tile())*c.Width())
			high := make([]uint8, len(x))
			HighBytes(l, high, x)
			c.Sums(acc, x, high, 0, pixels)
			c.Column(got, acc, pixels)
			if !slices.Equal(got[:len(want)], want) {
				t.Fatalf("%s: got %v, want %v", name, got, want)
			}
			testWideRequant(t, r, name, c, acc, want, ties, done)
		}
		for _, what := range []string{"segments", "floor", "half up", "half even", "ties"} {
			if done[what] < 20 {
				t.Errorf("%v: %s: %d, want more: %v", l, what, done[what], done)
			}
		}
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
