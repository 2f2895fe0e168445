package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/backends/interp"
	"quern/backends/sim"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
)

// numbers is a constant of a model's text.
func numbers(r *rand.Rand, n int, f func() float64) string {
	var b strings.Builder
	for range n {
		fmt.Fprint(&b, float32(f()), " ")
	}
	return b.String()
}

// TestStreamline: models in the styles of several tools, with float operators between quantized layers, go to the hardware with the
// integers of their weights and without a kernel more than the layers are. The simulator is at most one step of the output from the
// interpreter of the model as it was, seldom. A multiplier has 12 to 17 bits, so that its own rounding moves a result of 2^6 steps by 2^-8 to
// 2^-13 of a step on average, and that of a bias by 2^-12 at most; twice that is how often a result that is spread evenly between two steps ends
// on the other side: 1 of 128 in the worst case, for each of the one to three roundings, hence the limit of 1 %. The networks
// have no ties beyond chance: with one scale before and behind GlobalAveragePool, of the means of 36 integers one in 36 lies exactly between
// two steps, and then 10 of the 400 results of the TensorRT network were a step off.
func TestStreamline(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	normal, positive := r.NormFloat64, func() float64 { return 0.2 + r.Float64() }
	small := func(lo, hi int) func() float64 { return func() float64 { return float64(lo + r.IntN(hi-lo+1)) } }
	batchNorm := `
		const g f32[4] = ` + numbers(r, 4, func() float64 { return positive() * float64(r.IntN(2)*2-1) }) + `
		const be f32[4] = ` + numbers(r, 4, normal) + `
		const mu f32[4] = ` + numbers(r, 4, normal) + `
		const va f32[4] = ` + numbers(r, 4, positive)
	qonnx := `
		opset qonnx.custom_op.general 1
		in x f32[1,3,6,6]
		const zero f32[] = 0
		const s f32[] = 0.11
		const b1 f32[] = 1
		const b2 f32[] = 2
		const b4 f32[] = 4
		const b8 f32[] = 8
		const w f32[4,3,3,3] = ` + numbers(r, 108, normal) + `
		const sw f32[4,1,1,1] = 0.3 0.2 0.25 0.4
		const v f32[16,5] = ` + numbers(r, 80, normal) + `
		xq = qonnx.custom_op.general::Quant(x, s, zero, b8)`
	ints := numbers(r, 108, small(-1, 1))
	for _, c := range []struct{ name, kernels, text string }{
		{"Brevitas", "dot window dot", qonnx + batchNorm + `
			wq = qonnx.custom_op.general::Quant<narrow=1>(w, sw, zero, b4)
			c = Conv<kernel_shape=[3,3]>(xq, wq)
			n = BatchNormalization(c, g, be, mu, va)
			a = Relu(n)
			q = qonnx.custom_op.general::Quant<signed=0>(a, s, zero, b4)
			p = MaxPool<kernel_shape=[2,2],strides=[2,2]>(q)
			f = Flatten(p)
			vq = qonnx.custom_op.general::Quant(v, s, zero, b4)
			const k f32[5] = ` + numbers(r, 5, normal) + `
			const d f32[] = 3
			m = MatMul(f, vq)
			h = Div(m, d)
			i = Add(h, k)
			y = qonnx.custom_op.general::Quant(i, s, zero, b8)
			out y`},
		{"one and two bits", "dot", qonnx + batchNorm + `
			wq = qonnx.custom_op.general::BipolarQuant(w, sw)
			c = Conv<kernel_shape=[3,3]>(xq, wq)
			n = BatchNormalization(c, g, be, mu, va)
			const wide f32[] = 2.5
			y = qonnx.custom_op.general::Quant(n, wide, zero, b2)
			out y`},
		{"dead channels", "dot", qonnx + batchNorm + `
			const dead f32[4] = 0 1e-20 -1e-10 0.7
			wq = qonnx.custom_op.general::Quant(w, sw, zero, b2)
			c = Conv<kernel_shape=[3,3]>(xq, wq)
			n = BatchNormalization(c, dead, be, mu, va)
			y = qonnx.custom_op.general::Quant(n, s, zero, b4)
			out y`},
		{"FINN", "map dot window dot", `
			opset finn.custom_op.general 1
			in x f32[1,3,6,6]
			const th f32[1,3] = -0.5 0.25 1.5
			const w f32[4,3,3,3] = ` + ints + `
			const k f32[4,1,1] = 0.3 0.5 -0.2 0.7
			const a f32[1,4,1,1] = 0.1 -0.7 0.3 0.4
			const tt f32[4,15] = ` + numbers(r, 60, func() float64 { return 2 * normal() }) + `
			const m1 f32[] = 0.37
			const v f32[16,5] = ` + numbers(r, 80, small(-2, 1)) + `
			const last f32[1,255] = ` + numbers(r, 255, func() float64 { return 9 * normal() }) + `
			q = finn.custom_op.general::MultiThreshold<out_dtype="INT2",out_bias=-2.0>(x8, th)
			qs = Mul(q, m1)
			c = Conv<kernel_shape=[3,3]>(qs, w)
			p = MaxPool<kernel_shape=[2,2],strides=[2,2]>(c)
			kp = Abs(k)
			d = Mul(p, kp)
			e = Add(d, a)
			u = finn.custom_op.general::MultiThreshold<out_dtype="UINT4">(e, tt)
			us = Mul(u, m1)
			f = Flatten(us)
			m = MatMul(f, v4)
			y = finn.custom_op.general::MultiThreshold<out_dtype="UINT8">(m, last)
			out y`},
		{"TensorRT", "dot window map", `
			in x f32[1,3,6,6]
			const s f32[] = 0.02
			const z i8[] = 0
			const w i8[4,3,3,3] = ` + numbers(r, 108, small(-128, 127)) + `
			const sw f32[4] = 0.003 0.002 0.004 0.005
			const zw i8[4] = 0 0 0 0` + batchNorm + `
			xi = QuantizeLinear(x, s, z)
			xq = DequantizeLinear(xi, s, z)
			wq = DequantizeLinear<axis=0>(w, sw, zw)
			c = Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(xq, wq)
			n = BatchNormalization(c, g, be, mu, va)
			a = Relu(n)
			ai = QuantizeLinear(a, s, z)
			aq = DequantizeLinear(ai, s, z)
			const l f32[4,1,1] = 0.5713 -0.9519 0.7577 0.3141
			gs = GlobalAveragePool(aq)
			gi = QuantizeLinear(gs, sg, z)
			gq = DequantizeLinear(gi, sg, z)
			const sg f32[] = 0.0173
			h = Mul(gq, l)
			hi = QuantizeLinear(h, s, z)
			y = DequantizeLinear(hi, s, z)
			out y`},
		{"TensorRT, a residual block", "dot dot map dot dot map", `
			in x f32[1,3,6,6]
			const s f32[] = 0.02
			const z i8[] = 0
			const w i8[4,3,3,3] = ` + numbers(r, 108, small(-128, 127)) + `
			const v i8[4,4,3,3] = ` + numbers(r, 144, small(-128, 127)) + `
			const u i8[4,4,1,1] = ` + numbers(r, 16, small(-128, 127)) + `
			const sw f32[4] = 0.003 0.0002 0.004 0.005
			const zw i8[4] = 0 0 0 0
			const k f32[4] = 0.31 -0.2 0.45 0.013` + batchNorm + `
			xi = QuantizeLinear(x, s, z)
			xq = DequantizeLinear(xi, s, z)
			wq = DequantizeLinear<axis=0>(w, sw, zw)
			vq = DequantizeLinear<axis=0>(v, sw, zw)
			uq = DequantizeLinear<axis=0>(u, sw, zw)
			c = Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(xq, wq)
			a = Relu(c)
			const sa f32[] = 0.0173
			ai = QuantizeLinear(a, sa, z)
			aq = DequantizeLinear(ai, sa, z)
			d = Conv<kernel_shape=[3,3],pads=[1,1,1,1]>(aq, vq, k)
			n = BatchNormalization(d, g, be, mu, va)
			e = Add(n, aq)
			er = Relu(e)
			const se f32[] = 0.0311
			ei = QuantizeLinear(er, se, z)
			eq = DequantizeLinear(ei, se, z)
			h = Conv(eq, uq, k)
			i = Conv(aq, uq)
			j = Sub(i, h)
			const sj f32[] = 0.0471
			ji = QuantizeLinear(j, sj, z)
			y = DequantizeLinear(ji, sj, z)
			out y`},
	} {
		text := c.text
		if c.name == "FINN" { // its integers by another way than annotations
			text = strings.Replace(text, "q = finn", `
			opset qonnx.custom_op.general 1
			const zero f32[] = 0
			const one f32[] = 1
			const b8 f32[] = 8
			const sx f32[] = 0.05
			x8 = qonnx.custom_op.general::Quant(x, sx, zero, b8)
			w4 = qonnx.custom_op.general::Quant(w, one, zero, b8)
			v4 = qonnx.custom_op.general::Quant(v, one, zero, b8)
			q = finn`, 1)
			text = strings.Replace(text, "(qs, w)", "(qs, w4)", 1)
		}
		g := mustImport(t, text)
		was, err := interp.New(g.Clone())
		if err != nil {
			t.Fatal(err)
		}
		before := weightIntegers(g)
		if err := passes.Run(g, nil); err != nil {
			t.Fatal(err)
		}
		low, err := lower.Lower(g, lower.Options{})
		if err != nil {
			t.Fatalf("%s: %v\n%v", c.name, err, g)
		}
		if low.Tail != nil {
			t.Errorf("%s: a part is left to the host", c.name)
		}
		for _, m := range weightIntegers(g) {
			if c.name != "dead channels" && !slices.ContainsFunc(before, func(o []int64) bool { return slices.Equal(m, o) }) {
				t.Errorf("%s: weights %v are none of the model's, up to signs", c.name, m)
			}
		}
		var kinds []string
		for _, k := range low.Prog.Kernels {
			kinds = append(kinds, k.Kind.String())
			if k.Kind == hw.KDot && k.Dot.Groups != 1 {
				t.Errorf("%s: kernel %s is depthwise", c.name, k.Name)
			}
		}
		if got := strings.Join(kinds, " "); got != c.kernels {
			t.Errorf("%s: kernels %q, want %q", c.name, got, c.kernels)
		}
		s, err := sim.New(low.Prog)
		if err != nil {
			t.Fatal(err)
		}
		step := low.Prog.Outputs[0].Port.Quant.Scale[0]
		off, all := 0, 0
		for range 100 {
			x := tensor.New(tensor.F32, 1, 3, 6, 6)
			for i := range x.F {
				x.F[i] = float32(2 * normal())
			}
			want, err := was.Run([]*tensor.T{x}, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.NewState().RunFloat([][]float32{x.F})
			if err != nil {
				t.Fatal(err)
			}
			for i, y := range want[0].F {
				d := math.Abs(float64(got[0][i]-y)) / step
				if all++; d > 1.001 {
					t.Fatalf("%s: element %d: simulator %v, interpreter %v, a step is %v", c.name, i, got[0][i], y, step)
				} else if d > 0.001 {
					off++
				}
			}
		}
		t.Logf("%s: %d of %d values a step off", c.name, off, all)
		if off*100 > all {
			t.Errorf("%s: %d of %d values are a step off", c.name, off, all)
		}
	}
}

// weightIntegers are the magnitudes of the integers of weights with more than one element of a channel.
func weightIntegers(g *ir.Graph) [][]int64 {
	var r [][]int64
	for _, v := range g.Consts() {
		if !v.Type.IsQuant() || len(v.Type.Shape) < 2 || v.Const.Len() <= 8 {
			continue
		}
		t := v.Const
		m := make([]int64, t.Len())
		for i, x := range t.I {
			m[i] = max(x, -x)
		}
		r = append(r, m)
	}
	return r
}

// TestFINNAnnotations: integers that FINN keeps as reals with a type beside them.
func TestFINNAnnotations(t *testing.T) {
	m := parseModel(t, `
		opset qonnx.custom_op.general 1
		in x f32[1,2]
		const w f32[2,2] = 1 -2 1 1
		const th f32[1,3] = -3 0 100
		m = MatMul(x, w)
		y = qonnx.custom_op.general::MultiThreshold<out_dtype="UINT2">(m, th)
		out y`)
	annotate(m, "x", "UINT4")
	annotate(m, "w", "INT2")
	g, err := FromProto(m, "t.onnx", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if y := both(t, g, tensor.Floats([]int{1, 2}, 2, 1)); !slices.Equal(y, []float32{2, 1}) {
		t.Errorf("got %v", y)
	}
	if low, err := lower.Lower(g, lower.Options{}); err != nil || len(low.Prog.Kernels) != 1 {
		t.Errorf("%d kernels, want the thresholds in the epilogue of the product", len(low.Prog.Kernels))
	}
	annotate(m, "w", "UINT1")
	if _, err := FromProto(m, "t.onnx", Options{}); err == nil || !strings.Contains(err.Error(), "finn_datatype") {
		t.Errorf("got %v", err)
	}
	if _, ok := g.Nodes[len(g.Nodes)-1].Op.(*op.MultiThreshold); !ok {
		t.Errorf("the last node is %v", g.Nodes[len(g.Nodes)-1])
	}
}

func annotate(m *onnxpb.ModelProto, tensor, typ string) {
	m.Graph.QuantizationAnnotation = append(m.Graph.QuantizationAnnotation, &onnxpb.TensorAnnotation{TensorName: &tensor,
		QuantParameterTensorNames: []*onnxpb.StringStringEntryProto{{Key: proto.String("finn_datatype"), Value: &typ}}})
}
