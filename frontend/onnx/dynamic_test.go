package onnx

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/backends/interp"
	"quern/passes"
	"quern/passes/calib"
	"quern/passes/lower"
	"quern/passes/quant"

	"quern/ir"
	"quern/ir/tensor"
)

const dynamicModel = `
	opset com.microsoft 1
	in x f32[1,2,3,3]
	const w u8[3,2,2,2] = 1 2 3 200 150 90 80 255 0 17 33 120 128 129 127 90 14 15 88 199 203 18 90 128
	const wz u8[] = 128
	const ws f32[] = 0.01
	const b f32[1,3,1,1] = 0.5 -0.25 1
	const m i8[12,4] = 1 2 3 4 5 6 7 8 9 10 11 12 -1 -2 -3 -4 -5 -6 -7 -8 -90 100 110 120 1 2 3 4 5 6 7 8 9 10 11 12 -1 -2 -3 -4 -5 -6 -7 -8 -90 100 110 120
	const mz i8[4] = 0 0 0 0
	const ms f32[4] = 0.01 0.02 0.03 0.015
	const mb f32[4] = 1 2 3 4
	const k i8[4,2] = 10 -20 30 40 -50 60 70 80
	const ks f32[] = 0.02
	q, s, z = DynamicQuantizeLinear(x)
	p = ConvInteger(q, w, z, wz)  ; conv
	f = Cast<to=1>(p)
	ss = Mul(s, ws)
	c = Mul(f, ss)
	a = Add(c, b)
	r = Relu(a)
	v = Flatten(r)
	vq, vs, vz = DynamicQuantizeLinear(v)
	u = com.microsoft::MatMulIntegerToFloat(vq, m, vs, ms, vz, mz, mb)
	y = com.microsoft::DynamicQuantizeMatMul(u, k, ks)
	out y`

// TestDynamic: a dynamically quantized model is the float model with the weights it has, but for the rounding of activations, and
// quantizes to hardware with those integers.
func TestDynamic(t *testing.T) {
	g := mustImport(t, dynamicModel)
	exact, err := interp.New(g.Clone())
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Run(g, nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		switch n.Op.OpName() {
		case "Conv", "Relu", "Flatten", "MatMul", "Gemm", "Add":
		default:
			t.Errorf("%s is left: want layers over reals only", n.Op.OpName())
		}
	}
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var in [][]*tensor.T
	for range 50 {
		x := tensor.New(tensor.F32, 1, 2, 3, 3)
		for i := range x.F {
			x.F[i] = float32(r.NormFloat64())
		}
		in = append(in, []*tensor.T{x})
	}
	check := func(what string, m *interp.Interp, tolerance float64) {
		t.Helper()
		for _, x := range in {
			a, err := exact.Run(x, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := m.Run(x, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range a[0].F {
				if d := math.Abs(float64(v - b[0].F[i])); d > tolerance*max(1, math.Abs(float64(v))) {
					t.Fatalf("%s: element %d: got %v, want %v", what, i, b[0].F[i], v)
				}
			}
		}
	}
	check("over reals", m, 0.05)
	stats, err := calib.Collect(m, g, calib.Batches(in), calib.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := quant.Config{Bits: quant.Bits{W: 4, A: 8}, Range: func(v *ir.Value, _ int) (float64, float64, error) {
		r := stats.Of(v).MinMax()
		return r.Lo, r.Hi, nil
	}}
	if err := quant.Quantize(g, &c); err != nil {
		t.Fatal(err)
	}
	if err := passes.Run(g, nil, "fuse-act", "dce"); err != nil {
		t.Fatal(err)
	}
	if m, err = interp.New(g); err != nil {
		t.Fatal(err)
	}
	check("quantized", m, 0.15)
	if _, err := lower.Lower(g, lower.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, v := range g.Consts() { // not 4 bits: those of the file
		if n := v.Type.Shape; len(n) > 1 && v.Type.Elem.Bits != 8 {
			t.Errorf("weights %%%s: got %v, want the 8 bits they came with", v.Name, v.Type)
		}
	}
	_, err = importText(t, `
		opset com.microsoft 1
		in x f32[2,2]
		const w i8[2,2] = 1 2 3 4
		const s f32[] = 0.5
		a = com.microsoft::DynamicQuantizeMatMul(x, w)
		b = com.microsoft::MatMulIntegerToFloat(w, w, s, s, _, _, _, s)
		c = com.microsoft::MatMulIntegerToFloat<foo=1>(w, w, s, s)
		out a`)
	checkError(t, err, `
		t.onnx: node 0 (DynamicQuantizeMatMul): input 2: it is not optional, but omitted
		t.onnx: node 1 (MatMulIntegerToFloat): want at most 7 inputs, got 8
		t.onnx: node 2 (MatMulIntegerToFloat): attribute foo is not supported`)
}
