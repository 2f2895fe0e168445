package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func randomGeometry(r *rand.Rand) FloatGeometry {
	groups := 1 + r.IntN(2)
	g := FloatGeometry{Groups: groups, C: groups * (1 + r.IntN(5)), OC: groups * (1 + r.IntN(50)), H: 1 + r.IntN(12), W: 1 + r.IntN(12),
		KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), SH: 1 + r.IntN(2), SW: 1 + r.IntN(2), DH: 1 + r.IntN(2), DW: 1 + r.IntN(2), PH: r.IntN(3), PW: r.IntN(3)}
	if r.IntN(4) == 0 { // depthwise
		g.Groups = 1 + r.IntN(9)
		g.C, g.OC = g.Groups, g.Groups*(1+r.IntN(3))
	}
	out := func(n, p, k, d, s int) int { return max(1, (n+2*p-(k-1)*d-1)/s+1) }
	g.OH, g.OW = out(g.H, g.PH, g.KH, g.DH, g.SH), out(g.W, g.PW, g.KW, g.DW, g.SW)
	return g
}

// TestFloatConv compares every level with the definition, bit by bit.
func TestFloatConv(t *testing.T) {
	for _, l := range Levels() {
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+29))
			g := randomGeometry(r)
			cg, mg := g.C/g.Groups, g.OC/g.Groups
			random := func(n int) []float32 {
				v := make([]float32, n)
				for i := range v {
					v[i] = float32(r.NormFloat64() * math.Exp(3*r.NormFloat64()))
				}
				return v
			}
			x, w, bias := random(g.C*g.H*g.W), random(g.OC*cg*g.KH*g.KW), random(g.OC)
			if r.IntN(4) == 0 {
				bias = nil
			}
			f := NewFloatConv(l, g, w, bias)
			y := make([]float32, g.OC*g.OH*g.OW)
			for range 2 { // the second run uses the memory of the first
				f.Run(y, x)
			}
			for o := range g.OC {
				for p := range g.OH * g.OW {
					sum := float32(0)
					if bias != nil {
						sum = bias[o]
					}
					i := o * cg * g.KH * g.KW
					for c := range cg {
						for ky := range g.KH {
							for kx := range g.KW {
								iy, ix := p/g.OW*g.SH-g.PH+ky*g.DH, p%g.OW*g.SW-g.PW+kx*g.DW
								if iy >= 0 && iy < g.H && ix >= 0 && ix < g.W {
									sum += float32(w[i] * x[((o/mg*cg+c)*g.H+iy)*g.W+ix])
								}
								i++
							}
						}
					}
					if got := y[o*g.OH*g.OW+p]; got != sum {
						t.Fatalf("%v seed %d: %+v: channel %d, pixel %d: got %v, want %v", l, seed, g, o, p, got, sum)
					}
				}
			}
		}
	}
}

// TestElementwise compares native code with the portable one, bit by bit, for numbers of all kinds.
func TestElementwise(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 41))
			scale, n := []float64{0.5, 0.1, 1e-3}[r.IntN(3)], 1+r.IntN(100)
			kinds := len(special) - r.IntN(2) // half of them without NaN
			random := func() []float32 {
				v := make([]float32, n)
				for i := range v {
					v[i] = float32(scale * float64(r.IntN(2000)-1000) / 2) // many ties
					if r.IntN(10) == 0 {
						v[i] = special[r.IntN(kinds)]
					}
				}
				return v
			}
			a, b := random(), random()
			got, want := make([]float32, n), make([]float32, n)
			same := func(what string) {
				t.Helper()
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
						t.Fatalf("%v seed %d: %s of %v and %v: got %v, want %v", l, seed, what, a[i], b[i], got[i], want[i])
					}
				}
			}
			Relu(l, got, a)
			Relu(Generic, want, a)
			same("relu")
			lo, hi := []float32{0, -0.25, float32(math.Copysign(0, -1))}[r.IntN(3)], []float32{6, 0, 0.1, -1}[r.IntN(4)]
			Clip(l, got, a, lo, hi)
			Clip(Generic, want, a, lo, hi)
			same("limits")
			LeakyRelu(l, got, a, float32(scale))
			LeakyRelu(Generic, want, a, float32(scale))
			same("leaky relu")
			HardSwish(l, got, a)
			HardSwish(Generic, want, a)
			same("hard swish")
			alpha, beta := float32(r.NormFloat64()), []float32{0.5, 0, float32(math.Copysign(0, -1)), -0.25}[r.IntN(4)]
			HardSigmoid(l, got, a, alpha, beta)
			HardSigmoid(Generic, want, a, alpha, beta)
			same("hard sigmoid")
			AddFloats(l, got, a, b)
			AddFloats(Generic, want, a, b)
			same("sum")
			MulFloats(l, got, a, b)
			MulFloats(Generic, want, a, b)
			same("product")
			if x, y := Grid(l, got, a, scale, -100, 300), Grid(Generic, want, a, scale, -100, 300); x != y {
				t.Fatalf("%v: all numbers: got %v, want %v", l, x, y)
			}
			same("grid")
		}
	}
}

// TestTransposedProduct compares every level with the definition, bit by bit.
func TestTransposedProduct(t *testing.T) {
	for _, l := range Levels() {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 43))
			k, m, n := 1+r.IntN(60), 1+r.IntN(70), 1+r.IntN(100)
			lda, ldb := m+r.IntN(5), n+r.IntN(5)
			a, b := make([]float32, k*lda), make([]float32, k*ldb)
			for _, v := range [][]float32{a, b} {
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
			}
			c := make([]float32, m*n)
			first := r.IntN((n+Panel-1)/Panel) * Panel
			rows := 1 + r.IntN(m)
			TransposedProduct(l, c, a, b, lda, ldb, k, n, first, rows)
			for i := range m {
				for j := range n {
					sum := float32(0)
					if i < rows && j >= first && j < first+Panel {
						for p := range k {
							sum += float32(a[p*lda+i] * b[p*ldb+j])
						}
					}
					if c[i*n+j] != sum {
						t.Fatalf("%v seed %d: %d by %d, %d deep, columns from %d, %d rows: row %d, column %d: got %v, want %v", l, seed, m, n, k, first, rows, i, j, c[i*n+j], sum)
					}
				}
			}
		}
	}
}

// TestFloatProduct compares native code with the definition, bit by bit.
func TestFloatProduct(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 47))
			depth, width, rows := 1+r.IntN(50), 1+r.IntN(200), r.IntN(4)
			random := func(n int) []float32 {
				v := make([]float32, n)
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
				return v
			}
			w, bias, x, y := random(depth*width), random(width), random(rows*depth), make([]float32, rows*width)
			if r.IntN(4) == 0 {
				bias = nil
			}
			NewFloatProduct(l, w, depth, width, bias).Run(y, x)
			for i, got := range y {
				sum := float32(0)
				if bias != nil {
					sum = bias[i%width]
				}
				for k := range depth {
					sum += float32(x[i/width*depth+k] * w[k*width+i%width])
				}
				if got != sum {
					t.Fatalf("%v seed %d: %d rows of %d by %d: result %d: got %v, want %v", l, seed, rows, depth, width, i, got, sum)
				}
			}
		}
	}
}
