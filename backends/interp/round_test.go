package interp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/tensor"
)

var levels = kernels.Levels()

// level is the best of this CPU.
var level = levels[len(levels)-1]

// round is Dequantize of Quantize, bit for bit, in all modes, at ties, at the limits, beyond them, at infinities.
func TestRound(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for k := range 400 {
		e := tensor.I(1 + r.IntN(32))
		if k%2 == 0 {
			e = tensor.U(int(e.Bits))
		}
		lo, hi := e.Range()
		q := ir.NewQuant(e, math.Exp(r.Float64()*60-40), lo+r.Int64N(hi-lo+1))
		q.Round = ir.Round(k / 2 % 4)
		if k%7 == 0 {
			q.Scale[0] = 0.25
		}
		src := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, 1e-45}
		for range 500 {
			n := lo - 2 + r.Int64N(hi-lo+5) - q.Zero[0]
			src = append(src, float32((float64(n)+float64(r.IntN(5))/4)*q.Scale[0]), float32(r.NormFloat64()))
		}
		dst := make([]float32, len(src))
		if bad := round(level, dst, src, q, []int{len(src)}); bad >= 0 {
			t.Fatalf("element %d, %v, is not a number", bad, src[bad])
		}
		for i, x := range src {
			if want := q.Dequantize(q.Quantize(float64(x), 0), 0); math.Float32bits(dst[i]) != math.Float32bits(want) {
				t.Fatalf("%v: %v becomes %v, want %v", ir.Type{Elem: e, Quant: q}, x, dst[i], want)
			}
		}
		if round(level, src, src, q, []int{len(src)}); !slices.Equal(src, dst) {
			t.Fatal("in place differs")
		}
	}
}

// Rounding what is on the grid changes nothing, so same-scale operators may be rounded as any other.
func TestRoundTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for k := range 200 {
		e := tensor.I(16)
		q := ir.NewQuant(e, float64(math.Float32frombits(r.Uint32N(0x7e000000)+0x00800000)), r.Int64N(1<<16)-1<<15)
		if q.Round = ir.Round(k % 4); q.Scale[0] > 1e33 {
			continue // the grid leaves the range of float32
		}
		v := &ir.Value{Name: "v", Type: ir.Type{Elem: e, Shape: []int{1 << 16}, Quant: q}, Const: tensor.New(e, 1<<16)}
		for i := range v.Const.I {
			v.Const.I[i] = int64(i) - 1<<15
		}
		f := reals(v)
		twice := make([]float32, f.Len())
		if round(level, twice, f.F, q, f.Shape); !slices.Equal(twice, f.F) {
			t.Fatalf("%v: the reals changed", v.Type)
		}
		got, err := Integers(v, f)
		if err != nil || !got.Equal(v.Const) {
			t.Fatalf("%v: integers changed: %v", v.Type, err)
		}
	}
}

func BenchmarkRound(b *testing.B) {
	q := ir.NewQuant(tensor.I(8), 0.05, 3)
	x := make([]float32, 1<<14)
	for i := range x {
		x[i] = float32(i%311)/40 - 4
	}
	y := make([]float32, len(x))
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		round(level, y, x, q, []int{len(x)})
	}
}
