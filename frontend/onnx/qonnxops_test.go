package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/backends/interp"
	"quern/backends/sim"
	"quern/ir"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
)

// both runs a model with one input and one output in the interpreter, after the passes, and in the simulator; the two must agree.
func both(t *testing.T, g *ir.Graph, x *tensor.T) []float32 {
	t.Helper()
	if err := passes.Run(g, nil); err != nil {
		t.Fatal(err)
	}
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Run([]*tensor.T{x}, nil)
	if err != nil {
		t.Fatal(err)
	}
	low, err := lower.Lower(g, lower.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sim.New(low.Prog)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.NewState().RunFloat([][]float32{x.F})
	if err != nil {
		t.Fatal(err)
	}
	for i, y := range want[0].F {
		if got[0][i] != y {
			t.Fatalf("element %d: simulator %v, interpreter %v", i, got[0][i], y)
		}
	}
	return want[0].F
}

// qonnxRound is rounding as QONNX defines it.
func qonnxRound(mode string, x float64) float64 {
	sign := math.Copysign(1, x)
	switch mode {
	case "CEIL":
		return math.Ceil(x)
	case "FLOOR":
		return math.Floor(x)
	case "UP":
		return sign * math.Ceil(math.Abs(x))
	case "DOWN", "ROUND_TO_ZERO":
		return math.Trunc(x)
	case "HALF_UP":
		return sign * math.Floor(math.Abs(x)+0.5)
	case "HALF_DOWN":
		return sign * math.Ceil(math.Abs(x)-0.5)
	}
	return math.RoundToEven(x)
}

// TestQONNXOperators: every integer of 8 bits through the operators of QONNX, against their definition. Scales are powers of two, so that
// there is no rounding but the one in question.
func TestQONNXOperators(t *testing.T) {
	type test struct {
		node string
		want func(x float64) float64
	}
	tests := []test{
		{`onnx.brevitas::BipolarQuant(q, half)`, func(x float64) float64 { return math.Copysign(0.5, x) }},
		{`qonnx.custom_op.general::Quant(q, half, zero, one)`, func(x float64) float64 { return math.Copysign(0.5, x) }},
		{`qonnx.custom_op.general::Trunc<signed=0,narrow=1>(q, quarter, zero, b8, four, b4)`, func(x float64) float64 { return 4 * max(0, min(14, math.Floor(x/4))) }},
	}
	for _, r := range roundings {
		mode := r.name
		tests = append(tests,
			test{fmt.Sprintf(`finn.custom_op.general::Quant<rounding_mode=%q>(q, one, zero, b4)`, mode), func(x float64) float64 {
				return qonnxRound(mode, max(-8, min(7, x)))
			}},
			test{fmt.Sprintf(`onnx.brevitas::Quant<rounding_mode=%q,narrow=1>(q, two, zero, b8)`, mode), func(x float64) float64 {
				return 2 * qonnxRound(mode, x/2)
			}},
			test{fmt.Sprintf(`onnx.brevitas::Trunc<rounding_mode=%q>(q, quarter, zero, b8, b4)`, mode), func(x float64) float64 {
				return 0.25 * qonnxRound(mode, x*4/16)
			}})
	}
	x := tensor.New(tensor.F32, 1, 256)
	for i := range x.F {
		x.F[i] = float32(i-128) / 4
	}
	for _, c := range tests {
		y := both(t, mustImport(t, `
			opset onnx.brevitas 1
			opset qonnx.custom_op.general 1
			opset finn.custom_op.general 1
			in x f32[1,256]
			const quarter f32[] = 0.25
			const half f32[] = 0.5
			const zero f32[] = 0
			const one f32[] = 1
			const two f32[] = 2
			const four f32[] = 4
			const b4 f32[] = 4
			const b8 f32[] = 8
			q = qonnx.custom_op.general::Quant(x, quarter, zero, b8)
			y = `+c.node+`
			out y`), x)
		for i, got := range y {
			if want := c.want(float64(x.F[i])); float64(got) != want {
				t.Fatalf("%s of %v: got %v, want %v", c.node, x.F[i], got, want)
			}
		}
	}
}

// TestQONNXBinaryNet: weights and activations of -1 and 1, with the channels last or first, are the same network.
func TestQONNXBinaryNet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w, last := tensor.New(tensor.F32, 3, 2, 3, 3), ""
	for i := range w.F {
		w.F[i] = float32(r.NormFloat64())
	}
	first := ""
	for _, f := range w.F {
		first += fmt.Sprint(f, " ")
	}
	for _, f := range w.Permute([]int{0, 2, 3, 1}).F {
		last += fmt.Sprint(f, " ")
	}
	net := func(body string) *ir.Graph {
		return mustImport(t, `
			opset qonnx.custom_op.general 1
			opset qonnx.custom_op.channels_last 1
			in x f32[1,2,6,6]
			const s f32[] = 0.125
			const z f32[] = 0
			const b f32[] = 4
			const k f32[3,1,1,1] = 0.5 0.25 1
			`+body)
	}
	x := tensor.New(tensor.F32, 1, 2, 6, 6)
	for i := range x.F {
		x.F[i] = float32(r.NormFloat64())
	}
	a := both(t, net(`
		const w f32[3,2,3,3] = `+first+`
		xq = qonnx.custom_op.general::BipolarQuant(x, s)
		wq = qonnx.custom_op.general::BipolarQuant(w, k)
		c = Conv<kernel_shape=[3,3]>(xq, wq)
		m = MaxPool<kernel_shape=[2,2],strides=[2,2]>(c)
		y = qonnx.custom_op.general::Quant(m, s, z, b)
		out y`), x)
	c := both(t, net(`
		const w f32[3,3,3,2] = `+last+`
		xq = qonnx.custom_op.general::BipolarQuant(x, s)
		wq = qonnx.custom_op.general::BipolarQuant(w, k)
		t = Transpose<perm=[0,2,3,1]>(xq)
		c = qonnx.custom_op.channels_last::Conv<kernel_shape=[3,3]>(t, wq)
		m = qonnx.custom_op.channels_last::MaxPool<kernel_shape=[2,2],strides=[2,2]>(c)
		u = Transpose<perm=[0,3,1,2]>(m)
		y = qonnx.custom_op.general::Quant(u, s, z, b)
		out y`), x)
	// The definition.
	want := make([]float64, 3*2*2)
	sign := func(f float32) float64 { return math.Copysign(1, float64(f)) }
	for o := range 3 {
		for p := range 4 {
			best := math.Inf(-1)
			for q := range 4 {
				sum := 0.0
				for i := range 18 {
					ch, ky, kx := i/9, i/3%3, i%3
					sum += sign(w.F[o*18+i]) * sign(x.F[ch*36+(p/2*2+q/2+ky)*6+p%2*2+q%2+kx])
				}
				best = max(best, sum*0.125*[]float64{0.5, 0.25, 1}[o])
			}
			want[o*4+p] = 0.125 * max(-8, min(7, math.RoundToEven(best/0.125)))
		}
	}
	for i := range want {
		if float64(a[i]) != want[i] || float64(c[i]) != want[i] {
			t.Errorf("element %d: got %v, channels last %v, want %v", i, a[i], c[i], want[i])
		}
	}
}
