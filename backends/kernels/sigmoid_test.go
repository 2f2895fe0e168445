package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// exponentials are the functions of sigmoid.go, with what they approximate and by how many units in the last place they may be wrong.
var exponentials = []struct {
	name string
	run  func(level Level, dst, src []float32)
	real func(x float64) float64
	most uint32
}{
	{"sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 2},
	{"tanh", Tanh, math.Tanh, 2},
	{"exp", Exp, math.Exp, 2},
	{"elu", func(level Level, dst, src []float32) { Elu(level, dst, src, 1.25) }, func(x float64) float64 {
		if x < 0 {
			return 1.25 * math.Expm1(x)
		}
		return x
	}, 3},
	{"swish", Swish, func(x float64) float64 { return x * (1 / (1 + math.Exp(-x))) }, 3},
}

// samples are numbers of every exponent, most of them of those between which the functions change.
func samples(r *rand.Rand, n int) []float32 {
	x := slices.Clone(special)
	for e := range 256 {
		for range n {
			x = append(x, math.Float32frombits(uint32(r.IntN(2))<<31|uint32(e)<<23|uint32(r.IntN(1<<23))))
		}
		x = append(x, math.Float32frombits(uint32(e)<<23), -math.Float32frombits(uint32(e)<<23|1<<23-1))
	}
	for range 200 * n {
		x = append(x, float32(r.NormFloat64()*4), float32(220*r.Float64()-110))
	}
	return x
}

// TestExponentials compares native code with the portable one, bit by bit, at all lengths.
func TestExponentials(t *testing.T) {
	for _, l := range native() {
		r := rand.New(rand.NewPCG(uint64(l), 3))
		x := samples(r, 100)
		for _, f := range exponentials {
			for n := range 200 {
				src := x
				if n > 0 {
					src = x[r.IntN(len(x)-n):][:n]
				}
				got, want := make([]float32, len(src)+1), make([]float32, len(src))
				got[len(src)] = 77
				f.run(l, got[:len(src)], src)
				f.run(Generic, want, src)
				for i, w := range want {
					if math.Float32bits(got[i]) != math.Float32bits(w) && (got[i] == got[i] || w == w) {
						t.Fatalf("%v: %s of %v: got %v, want %v", l, f.name, src[i], got[i], w)
					}
				}
				if got[len(src)] != 77 {
					t.Fatalf("%v: %s: wrote behind the end of %d", l, f.name, len(src))
				}
			}
		}
	}
}

// TestExponentialErrors compares with float64.
func TestExponentialErrors(t *testing.T) {
	x := samples(rand.New(rand.NewPCG(1, 4)), 1000)
	y := make([]float32, len(x))
	for _, f := range exponentials {
		f.run(Generic, y, x)
		worst, at := uint32(0), float32(0)
		for i, got := range y {
			want := float32(f.real(float64(x[i])))
			if want != want || got != got {
				if want == want || got == got {
					t.Errorf("%s(%v): got %v, want %v", f.name, x[i], got, want)
				}
				continue
			}
			a, b := math.Float32bits(got), math.Float32bits(want)
			if (a^b)>>31 == 1 {
				t.Fatalf("%s(%v): got %v, want %v", f.name, x[i], got, want)
			}
			if d := max(a, b) - min(a, b); d > worst {
				worst, at = d, x[i]
			}
		}
		if worst > f.most {
			t.Errorf("%s(%v): %d units in the last place, want up to %d", f.name, at, worst, f.most)
		}
	}
}
