package onnx

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/ir/tensor"
)

// TestIntegerProduct: MatMulInteger of what QuantizeLinear made, with a zero point for each column, computed with integers here.
func TestIntegerProduct(t *testing.T) {
	g := mustImport(t, `
		in x f32[1,3]
		const s f32[] = 0.05
		const z u8[] = 7
		const w i8[3,2] = 3 -128 100 127 -5 6
		const wz i8[2] = 2 -3
		const k f32[2] = 0.001 0.002
		const b f32[2] = 0.1 -0.5
		const so f32[] = 0.03
		const zo u8[] = 100
		q = QuantizeLinear(x, s, z)
		p = MatMulInteger(q, w, z, wz)
		f = Cast<to=1>(p)
		m = Mul(f, k)
		a = Add(m, b)
		yq = QuantizeLinear(a, so, zo)
		y = DequantizeLinear(yq, so, zo)
		out y`)
	r := rand.New(rand.NewPCG(5, 5))
	w, wz := [3][2]int{{3, -128}, {100, 127}, {-5, 6}}, [2]int{2, -3}
	for range 50 {
		x := tensor.New(tensor.F32, 1, 3)
		var q [3]int
		for i := range q {
			q[i] = r.IntN(256)
			x.F[i] = float32(q[i]-7) * 0.05
		}
		got := both(t, g, x)
		for c, k := range []float64{0.001, 0.002} {
			sum := 0
			for i := range q {
				sum += (q[i] - 7) * (w[i][c] - wz[c])
			}
			real := float64(sum)*k + []float64{0.1, -0.5}[c]
			want := 0.03 * math.Max(-100, math.Min(155, math.RoundToEven(real/0.03)))
			if d := math.Abs(float64(got[c]) - want); d > 1e-4 && math.Abs(real/0.03-math.Floor(real/0.03)-0.5) > 1e-3 {
				t.Fatalf("%v: column %d is %v, want %v", q, c, got[c], want)
			}
		}
	}
	for _, c := range []struct{ model, want string }{
		{"const z2 u8[] = 8\n p = ConvInteger(q, w, z2)", `input 2 (zero point): want the one that "q" was quantized with, 7, got [8]`},
		{"p = ConvInteger(q, w)", `input 2 (zero point): want the one that "q" was quantized with, 7, got [0]`},
		{"p = ConvInteger(q, q, z)", `input 1: want constant integers beside the quantized "q"`},
		{"const wz u8[] = 0\n p = ConvInteger(q, w, z, wz)", "input 3 (zero point of the weights): want i8, got u8"},
	} {
		_, err := importText(t, `
			in x f32[1,1,3,3]
			const s f32[] = 0.05
			const z u8[] = 7
			const w i8[1,1,2,2] = 1 2 3 4
			q = QuantizeLinear(x, s, z)
			`+c.model+`
			f = Cast<to=1>(p)
			out f`)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v\nwant %s", err, c.want)
		}
	}
}
