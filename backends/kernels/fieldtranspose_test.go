package kernels

import (
	"math/rand/v2"
	"testing"
)

// TestFieldTranspose compares native code with the definition, bit by bit.
func TestFieldTranspose(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 53))
			g := FloatGeometry{Groups: 1, C: 1 + r.IntN(20), H: 1 + r.IntN(8), W: 1 + r.IntN(8), OC: 1 + r.IntN(70), KH: 1 + r.IntN(4), KW: 1 + r.IntN(4),
				SH: 1 + r.IntN(3), SW: 1 + r.IntN(3), DH: 1 + r.IntN(2), DW: 1 + r.IntN(2)}
			g.PH, g.PW = r.IntN(g.KH), r.IntN(g.KW)
			g.OH, g.OW = max(1, (g.H-1)*g.SH+(g.KH-1)*g.DH+1-2*g.PH+r.IntN(2)), max(1, (g.W-1)*g.SW+(g.KW-1)*g.DW+1-2*g.PW+r.IntN(2))
			random := func(n int) []float32 {
				v := make([]float32, n)
				for i := range v {
					v[i] = float32(r.NormFloat64())
				}
				return v
			}
			const images = 2
			size := g.KH * g.KW
			x, w, bias := random(images*g.C*g.H*g.W), random(g.C*g.OC*size), random(g.OC)
			if r.IntN(4) == 0 {
				bias = nil
			}
			in, out := NewField(l, g.C, g.H, g.W, Border{1, 0, 0, 2}), NewField(l, g.OC, g.OH, g.OW, Border{0, 1, 1, 0})
			limit := []Limit{0, Unlimited, 0.5}[r.IntN(3)]
			xs, ys, y := in.Make(images), out.Make(images), make([]float32, images*g.OC*g.OH*g.OW)
			in.Load(l, xs, x)
			f := NewFieldTranspose(l, g, in, out, w, bias)
			for range 2 { // the second run writes over the first
				f.Run(ys, xs, images, limit)
			}
			out.Store(l, y, ys)
			for i, got := range y {
				n, o, p := i/(g.OC*g.OH*g.OW), i/(g.OH*g.OW)%g.OC, i%(g.OH*g.OW)
				want := float32(0)
				if bias != nil {
					want = bias[o]
				}
				for tap := range size {
					ty, tx := p/g.OW+g.PH-tap/g.KW*g.DH, p%g.OW+g.PW-tap%g.KW*g.DW
					if ty%g.SH != 0 || tx%g.SW != 0 || ty < 0 || tx < 0 || ty/g.SH >= g.H || tx/g.SW >= g.W {
						continue
					}
					sum := float32(0)
					for c := range g.C {
						sum += float32(w[(c*g.OC+o)*size+tap] * x[((n*g.C+c)*g.H+ty/g.SH)*g.W+tx/g.SW])
					}
					want += sum
				}
				if limit > 0 {
					want = min(max(want, 0), float32(limit))
				}
				if got != want {
					t.Fatalf("%v seed %d: %+v: result %d: got %v, want %v", l, seed, g, i, got, want)
				}
			}
		}
	}
}
