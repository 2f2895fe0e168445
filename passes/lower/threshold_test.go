package lower

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// thresholds is the definition of MultiThreshold.
func thresholds(o *op.MultiThreshold) reference {
	return func(in []real, out []int) []float64 {
		x, t := in[0], in[1]
		axis := (o.Axis + len(x.shape)) % len(x.shape)
		inner := tensor.Numel(x.shape[axis+1:])
		var y []float64
		for i, f := range x.f {
			k := 0
			row := i / inner % x.shape[axis] % t.shape[0] * t.shape[1]
			for _, v := range t.f[row : row+t.shape[1]] {
				if f >= v {
					k++
				}
			}
			y = append(y, float64(o.Bias)+float64(o.Scale)*float64(k))
		}
		return y
	}
}

// TestThresholds: tables, comparisons and searches count the same thresholds as a walk over them, at the thresholds themselves and beside.
func TestThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for trial := range 200 {
		n, channels := 1+r.IntN(40), 1+r.IntN(3)
		wide := int64(1) << (2 + r.IntN(30))
		in := hw.Interval{Lo: -r.Int64N(wide) - 1, Hi: r.Int64N(wide)}
		ths := make([][]int64, channels)
		for c := range ths {
			for range n {
				ths[c] = append(ths[c], in.Lo+r.Int64N(in.Hi-in.Lo+2))
			}
			slices.Sort(ths[c])
		}
		result := make([]int64, n+1)
		for k := range result {
			if result[k] = int64(k) - 3; trial%3 == 0 {
				result[k] = 5 - int64(k*k)
			}
		}
		p := hw.NewProg(in)
		err := reached(p, in, ths, result, func(f func(int) int64) (hw.Vec, error) {
			v := make([]int64, channels)
			for c := range v {
				v[c] = f(c)
			}
			return hw.PerChannel(v), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		k := hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{{Range: in}}, Prog: p}
		if err := p.Analyze(k.ProgIn()); err != nil {
			t.Fatal(err)
		}
		if got := p.Out(); got.Lo < slices.Min(result) || got.Hi > slices.Max(result) {
			t.Errorf("range %v, want inside %v", got, result)
		}
		scratch := make([]int64, p.Last()+1)
		for c, row := range ths {
			tries := []int64{in.Lo, in.Hi, in.Lo + r.Int64N(in.Hi-in.Lo+1)}
			for _, v := range row {
				tries = append(tries, v-1, v)
			}
			for _, v := range tries {
				if v < in.Lo || v > in.Hi {
					continue
				}
				want := 0
				for _, x := range row {
					if v >= x {
						want++
					}
				}
				if scratch[0] = v; p.Eval(scratch, c, 0) != result[want] {
					t.Fatalf("%d over %v for thresholds %v: got %d, want %d\n%v", v, in, row, p.Eval(scratch, c, 0), result[want], p)
				}
			}
		}
	}
}
