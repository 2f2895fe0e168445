package onnx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/backends/sim"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
)

// qopModels are models of the QOperator form, together with every operator of it. Constants written as * are made up.
var qopModels = []struct {
	name, model string
}{
	{"conv", `
		in x u8[1,3,6,5]
		const xs f32[] = 0.05
		const xz u8[] = 120
		const w i8[4,3,3,3] = *
		const ws f32[4] = 0.01 0.02 0.005 0.013
		const wz i8[4] = 0 0 0 0
		const b i32[4] = 400 -300 0 77
		const ys f32[] = 0.07
		const yz u8[] = 33
		y = QLinearConv<pads=[1,1,1,1],strides=[2,1]>(x, xs, xz, w, ws, wz, ys, yz, b)
		out y`},
	{"conv of int8 with one odd zero point, depthwise, then moved", `
		in x i8[1,2,4,4]
		const xs f32[1] = 0.5
		const xz i8[1] = -3
		const w i8[2,1,2,2] = *
		const ws f32[] = 0.25
		const wz i8[] = 1
		const ys f32[] = 4
		const yz i8[] = 7
		const shape i64[2] = 1 -1
		c = QLinearConv<group=2>(x, xs, xz, w, ws, wz, ys, yz)
		p = MaxPool<kernel_shape=[2,2]>(c)
		y = Reshape(p, shape)
		out y`},
	{"matmul", `
		in x f32[1,9]
		const xs f32[] = 0.03
		const xz u8[] = 128
		const w u8[9,5] = *
		const ws f32[] = 0.02
		const wz u8[] = 100
		const ys f32[] = 0.1
		const yz u8[] = 111
		q = QuantizeLinear(x, xs, xz)
		m = QLinearMatMul(q, xs, xz, w, ws, wz, ys, yz)
		y = DequantizeLinear(m, ys, yz)
		out y`},
	{"matmul of signed numbers, a scale for each column", `
		in x i8[1,9]
		const xs f32[] = 0.03
		const xz i8[] = 5
		const w i8[9,3] = *
		const ws f32[3] = 0.02 0.01 0.03
		const wz i8[3] = 0 0 0
		const ys f32[] = 0.05
		const yz i8[] = -11
		y = QLinearMatMul(x, xs, xz, w, ws, wz, ys, yz)
		out y`},
	{"residual", `
		opset com.microsoft 1
		in x u8[1,4,4,3]
		const xs f32[] = 0.05
		const xz u8[] = 120
		const w u8[4,4,1,1] = *
		const ws f32[] = 0.01
		const wz u8[] = 130
		const cs f32[] = 0.06
		const cz u8[] = 90
		const as f32[] = 0.0813
		const az u8[] = 100
		const gs f32[] = 0.04
		const gz u8[] = 127
		c = QLinearConv(x, xs, xz, w, ws, wz, cs, cz)
		a = com.microsoft::QLinearAdd(c, cs, cz, x, xs, xz, as, az)
		y = com.microsoft::QLinearGlobalAveragePool(a, as, az, gs, gz)
		out y
		out a`},
	{"elementwise", `
		opset com.microsoft 1
		in x i8[1,3,4,4]
		const xs f32[] = 0.0313
		const xz i8[] = 10
		const ms f32[] = 0.0517
		const mz i8[] = -128
		const ss f32[] = 0.00390625
		const sz i8[] = -128
		const ls f32[] = 0.0211
		const z i8[] = 0
		const s f32[] = 0.0629
		const f i8[1,3,1,1] = 4 -100 77
		m = com.microsoft::QLinearMul(x, xs, xz, f, s, z, ms, mz)
		l = com.microsoft::QLinearLeakyRelu<alpha=0.2>(x, xs, xz, ls, z)
		g = com.microsoft::QLinearSigmoid(x, xs, xz, ss, sz)
		a = com.microsoft::QLinearAveragePool<kernel_shape=[2,2],pads=[0,0,1,1],count_include_pad=1>(x, xs, xz, ls, z)
		c = com.microsoft::QLinearConcat<axis=1>(s, xz, m, ms, mz, l, ls, z, g, ss, sz)
		out a
		out c`},
	{"gemm", `
		opset com.microsoft 1
		in x u8[1,6]
		const xs f32[] = 0.03
		const xz u8[] = 100
		const w i8[4,6] = *
		const ws f32[4] = 0.02 0.01 0.03 0.02
		const wz i8[4] = 0 0 0 0
		const b i32[4] = 100 -200 3000 4
		const ys f32[] = 0.1
		const yz u8[] = 101
		y = com.microsoft::QGemm<transB=1>(x, xs, xz, w, ws, wz, b, ys, yz)
		out y`},
	{"mean and softmax", `
		opset com.microsoft 1
		in x i8[1,5,3,4]
		const xs f32[] = 0.1
		const xz i8[] = 3
		const ms f32[] = 0.05
		const mz i8[] = 1
		const ss f32[] = 0.00390625
		const sz i8[] = -128
		m = com.microsoft::QLinearReduceMean<axes=[2,3],keepdims=0>(x, xs, xz, ms, mz)
		s = com.microsoft::QLinearSoftmax<axis=-1,opset=13>(m, ms, mz, ss, sz)
		y = DequantizeLinear(s, ss, sz)
		out y`},
	{"softmax", `
		opset com.microsoft 1
		in x i8[1,12]
		const xs f32[] = 0.05
		const xz i8[] = 3
		const ss f32[] = 0.00390625
		const sz i8[] = -128
		s = com.microsoft::QLinearSoftmax<axis=-1,opset=13>(x, xs, xz, ss, sz)
		y = DequantizeLinear(s, ss, sz)
		out y`},
}

// TestQOperator: what the form becomes in the IR.
func TestQOperator(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"bias at the product of the scales; integers of an input behind a Transpose; integers as output", `
			in x u8[1,2,2,1]
			const xs f32[] = 0.5
			const xz u8[] = 3
			const w i8[2,1,1,1] = 1 2
			const ws f32[2] = 0.25 0.5
			const wz i8[2] = 0 0
			const b i32[2] = 7 8
			t = Transpose<perm=[0,3,1,2]>(x)
			y = QLinearConv(t, xs, xz, w, ws, wz, xs, xz, b)  ; conv
			r = DequantizeLinear(y, xs, xz)
			out y u8[1,2,2,2]
			out r`, `
			%t_int u8[1,1,2,2]{s=0.5 z=3} = Transpose<perm=[0,3,1,2]>(%x)
			%t f32[1,1,2,2] = Dequantize(%t_int)
			const %w_int i8[2,1,1,1]{s=[0.25,0.5] z=0 axis=0} = [1 2]
			%w f32[2,1,1,1] = Dequantize(%w_int)
			const %b_int i32[2]{s=[0.125,0.25] z=0 axis=0} = [7 8]
			%b f32[2] = Dequantize(%b_int)
			%y_real f32[1,2,2,2] = Conv(%t, %w, %b)
			%y u8[1,2,2,2]{s=0.5 z=3} = Quantize(%y_real)
			%r f32[1,2,2,2] = Dequantize(%y)
			return %y, %r`},
		{"channels last", `
			opset com.microsoft 1
			in x u8[1,4,4,2]
			const s f32[] = 0.5
			const z u8[] = 3
			y = com.microsoft::QLinearAveragePool<channels_last=1,kernel_shape=[2,2]>(x, s, z, s, z)
			out y`, `
			%x_real f32[1,4,4,2] = Dequantize(%x)
			%x_real_first f32[1,2,4,4] = Transpose<perm=[0,3,1,2]>(%x_real)
			%y_first f32[1,2,3,3] = AveragePool<kernel_shape=[2,2]>(%x_real_first)
			%y_real f32[1,3,3,2] = Transpose<perm=[0,2,3,1]>(%y_first)
			%y u8[1,3,3,2]{s=0.5 z=3} = Quantize(%y_real)
			return %y`},
		{"one constant under two scales, no zero points, an element type of the first operand", `
			opset com.microsoft 1
			in x i8[2]
			const s f32[] = 0.5
			const t f32[] = 0.25
			const c i8[2] = 1 2
			a = com.microsoft::QLinearAdd(x, s, _, c, s, _, s)
			y = com.microsoft::QLinearMul(a, s, _, c, t, _, t)
			z = com.microsoft::QLinearMul(y, t, _, c, s, _, t)
			out z`, `
			%x_real f32[2] = Dequantize(%x)
			const %c.1_int i8[2]{s=0.5 z=0} = [1 2]
			%c.1 f32[2] = Dequantize(%c.1_int)
			%a_real f32[2] = Add(%x_real, %c.1)
			%a_int i8[2]{s=0.5 z=0} = Quantize(%a_real)
			%a f32[2] = Dequantize(%a_int)
			const %c.2_int i8[2]{s=0.25 z=0} = [1 2]
			%c.2 f32[2] = Dequantize(%c.2_int)
			%y_real f32[2] = Mul(%a, %c.2)
			%y_int i8[2]{s=0.25 z=0} = Quantize(%y_real)
			%y f32[2] = Dequantize(%y_int)
			%z_real f32[2] = Mul(%y, %c.1)
			%z i8[2]{s=0.25 z=0} = Quantize(%z_real)
			return %z`},
		{"QGemm with a factor and without a result scale", `
			opset com.microsoft 1
			in x i8[1,2]
			const s f32[] = 0.5
			const z i8[] = 0
			const w i8[2,1] = 1 2
			const b i32[1] = 5
			y = com.microsoft::QGemm<alpha=0.5>(x, s, z, w, s, z, b)
			out y`, `
			%x_real f32[1,2] = Dequantize(%x)
			const %w_int i8[2,1]{s=0.25 z=0} = [1 2]
			%w f32[2,1] = Dequantize(%w_int)
			const %b_int i32[1]{s=0.125 z=0} = [5]
			%b f32[1] = Dequantize(%b_int)
			%y f32[1,1] = Gemm(%x_real, %w, %b)
			return %y`},
	} {
		t.Run(c.name, func(t *testing.T) { checkText(t, mustImport(t, c.model), c.want) })
	}
	_, err := importText(t, `
		opset com.microsoft 1
		in x u8[1,2,4,4]
		in f f32[1,2,4,4]
		in dyn f32[]
		const s f32[] = 0.5
		const s2 f32[2] = 0.5 1
		const z u8[] = 3
		const zi i8[] = 3
		const w i8[2,2,1,1] = 1 2 3 4
		const b f32[2] = 1 2
		const m i8[2,2] = 1 2 3 4
		a = QLinearConv(x, dyn, z, w, s, zi, s, z)
		b1 = QLinearConv(x, s, zi, w, s, zi, s, z)
		c = QLinearConv(x, s, z, w, s, zi, s2, z)
		d = QLinearConv(x, s, z, w, s, zi, s, z, b)
		e = QLinearConv(x, s, z)
		f1 = QLinearConv(f, s, z, w, s, zi, s, z)
		g = com.microsoft::QLinearAdd(x, s, z, x, s2, z, s, z)
		h = com.microsoft::QLinearSigmoid<foo=1>(x, s, z, s, z)
		i = com.microsoft::QLinearConcat<axis=7>(s, z, x, s, z)
		j = com.microsoft::QLinearConcat<axis=1>(s, z, x, s2, z)
		k = com.microsoft::QLinearMul(x, s, z, x, s, z, _, z)
		l = QLinearAdd(x, s, z, x, s, z, s, z)
		n = QLinearConv(x, s2, zi, w, s, zi, s, z)
		o = com.microsoft::QGemm<alpha=-1.0>(x, s, z, m, s, zi)
		out a`)
	checkError(t, err, `
		t.onnx: node 0 (QLinearConv): input 1 (scale): "dyn" has to be a constant, but it is computed when the model runs
		t.onnx: node 1 (QLinearConv): input 2 (zero point): want the element type of the data, u8, got i8[]
		t.onnx: node 2 (QLinearConv): input 6 (scale): want one number, got f32[2]
		t.onnx: node 3 (QLinearConv): input 8 (bias): want i32, got f32[2]
		t.onnx: node 4 (QLinearConv): want 8 inputs or more, got 3
		t.onnx: node 5 (QLinearConv): quantization to f32 is not supported, want integers of up to 32 bits
		t.onnx: node 6 (QLinearAdd): input 4 (scale): want one number, got f32[2]
		t.onnx: node 7 (QLinearSigmoid): attribute foo is not supported
		t.onnx: node 8 (QLinearConcat): axis 7 of 4 dims: want -4 to 3
		t.onnx: node 9 (QLinearConcat): input 3 (scale): want one number, got f32[2]
		t.onnx: node 10 (QLinearMul): input 6 (scale) is missing
		t.onnx: node 12 (QLinearConv): input 2 (zero point): want the element type of the data, u8, got i8[]
		t.onnx: node 13 (QGemm): alpha -1: want a positive number
		t.onnx: node 11 (QLinearAdd): operator QLinearAdd (domain ai.onnx, opset 13) is not supported`)
}

// qopModel parses the model of a case, with constants made up by its name.
func qopModel(t testing.TB, name, text string) *onnxpb.ModelProto {
	r := rand.New(rand.NewPCG(uint64(len(name)), 7))
	var b strings.Builder
	for _, line := range strings.Split(text, "\n") {
		if f := strings.Fields(line); len(f) == 5 && f[4] == "*" {
			e, _ := parseType(t, f[2])
			lo, hi := e.Range()
			n := tensor.Numel(parseTensorShape(t, f[2]))
			line = strings.TrimSuffix(line, "*")
			for range n {
				line += fmt.Sprint(lo+r.Int64N(hi-lo+1), " ")
			}
		}
		b.WriteString(line + "\n")
	}
	return parseModel(t, b.String())
}

func parseTensorShape(t testing.TB, typ string) []int {
	_, dims := parseType(t, typ)
	return parseTensor(t, "i8["+strings.Join(dims, ",")+"]", slices.Repeat([]string{"0"}, product(dims))).Shape
}

func product(dims []string) int {
	n := 1
	for _, d := range dims {
		var k int
		fmt.Sscan(d, &k)
		n *= k
	}
	return n
}

// toQDQ writes a model of the QOperator form in the QDQ form, file to file: what the import has to make of it, said independently.
func toQDQ(m *onnxpb.ModelProto) *onnxpb.ModelProto {
	m = proto.CloneOf(m)
	g := m.Graph
	old := g.Node
	g.Node = nil
	add := func(typ string, in []string, out string, attrs ...*onnxpb.AttributeProto) {
		g.Node = append(g.Node, &onnxpb.NodeProto{OpType: &typ, Input: in, Output: []string{out}, Attribute: attrs})
	}
	done := map[string]string{} // reals of an integer value
	for _, n := range old {
		typ := n.GetOpType()
		if !strings.HasPrefix(typ, "QLinear") && typ != "QGemm" {
			g.Node = append(g.Node, n)
			continue
		}
		at := func(i int) string {
			if i < len(n.Input) {
				return n.Input[i]
			}
			return ""
		}
		deq := func(i int, axis int) string {
			x := n.Input[i]
			if done[x] == "" {
				done[x] = x + "_dq"
				add("DequantizeLinear", trimmed(x, at(i+1), at(i+2)), done[x], intAttr("axis", axis))
			}
			return done[x]
		}
		op := strings.TrimPrefix(strings.TrimPrefix(typ, "QLinear"), "Q")
		var in, scale []string
		wAxis := map[string]int{"Conv": 0, "MatMul": -1, "Gemm": 0}[op]
		switch op {
		case "Concat":
			for i := 2; i < len(n.Input); i += 3 {
				in = append(in, deq(i, 0))
			}
			scale = []string{n.Input[0], n.Input[1]}
		case "Conv", "MatMul", "Gemm", "Add", "Mul":
			in = []string{deq(0, 0), deq(3, wAxis)}
			scale = []string{n.Input[6], at(7)}
			bias := at(8)
			if op == "Gemm" {
				scale, bias = []string{n.Input[7], at(8)}, at(6)
			}
			if bias != "" && op != "Add" {
				xs, ws := floatsOf(g, n.Input[1]), floatsOf(g, n.Input[4])
				for i := range ws {
					ws[i] *= xs[0]
				}
				p, _ := encodeTensor(bias+"_scale", tensor.Floats([]int{len(ws)}, ws...))
				g.Initializer = append(g.Initializer, p)
				add("DequantizeLinear", []string{bias, p.GetName()}, bias+"_dq", intAttr("axis", 0))
				in = append(in, bias+"_dq")
			}
		default:
			in = []string{deq(0, 0)}
			scale = []string{n.Input[3], at(4)}
		}
		attrs := slices.DeleteFunc(slices.Clone(n.Attribute), func(a *onnxpb.AttributeProto) bool { return a.GetName() == "opset" })
		add(op, in, n.Output[0]+"_real", attrs...)
		if scale[1] == "" { // the type would be uint8
			p, _ := encodeTensor(n.Output[0]+"_zero", tensor.Ints(tensor.I(8), []int{}, 0))
			g.Initializer = append(g.Initializer, p)
			scale[1] = p.GetName()
		}
		add("QuantizeLinear", []string{n.Output[0] + "_real", scale[0], scale[1]}, n.Output[0])
	}
	return m
}

func trimmed(s ...string) []string {
	for s[len(s)-1] == "" {
		s = s[:len(s)-1]
	}
	return s
}

func floatsOf(g *onnxpb.GraphProto, name string) []float32 {
	for _, p := range g.Initializer {
		if p.GetName() == name {
			t, _ := decodeTensor(p, "")
			return slices.Clone(t.F)
		}
	}
	return nil
}

// hardware imports and lowers a model.
func hardware(t testing.TB, m *onnxpb.ModelProto) (*ir.Graph, *lower.Lowered) {
	t.Helper()
	g, err := FromProto(m, "t.onnx", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := passes.Run(g, nil); err != nil {
		t.Fatal(err)
	}
	low, err := lower.Lower(g, lower.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g, low
}

// TestQOperatorIsQDQ: a model of the QOperator form and the same in the QDQ form are the same hardware, byte for byte.
func TestQOperatorIsQDQ(t *testing.T) {
	seen := map[string]bool{}
	check := func(t *testing.T, m *onnxpb.ModelProto) {
		for _, n := range m.Graph.Node {
			seen[n.GetOpType()] = true
		}
		_, a := hardware(t, m)
		_, b := hardware(t, toQDQ(m))
		got, want := a.Prog.String(), strings.ReplaceAll(b.Prog.String(), "_dq", "")
		if got != want {
			t.Errorf("QOperator\n%s\nQDQ\n%s", got, want)
		}
		if (a.Tail == nil) != (b.Tail == nil) {
			t.Error("one has a tail on the host, the other has not")
		}
	}
	for _, c := range qopModels {
		t.Run(c.name, func(t *testing.T) { check(t, qopModel(t, c.name, c.model)) })
	}
	for name := range qlinears {
		if !seen[name] {
			t.Errorf("no model has %s", name)
		}
	}
}

// sample is what onnxruntime read and computed: one tensor for each input or output, flat.
type sample struct{ In, Out map[string][]float64 }

// runtimeSamples are random inputs and what onnxruntime-node in the folder ort makes of them.
func runtimeSamples(t *testing.T, ort string, m *onnxpb.ModelProto, g *ir.Graph, name string) []sample {
	t.Helper()
	dir := t.TempDir()
	b, err := proto.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "m.onnx"), b, 0o666)
	}
	r := rand.New(rand.NewPCG(3, uint64(len(name))))
	all := make([]sample, 8)
	for i := range all {
		all[i].In = map[string][]float64{}
		for _, v := range g.Inputs {
			x := make([]float64, tensor.Numel(v.Type.Shape))
			for k := range x {
				if x[k] = float64(float32(r.NormFloat64() * 3)); v.Type.IsQuant() {
					lo, hi := v.Type.Elem.Range()
					x[k] = float64(lo + r.Int64N(hi-lo+1))
				}
			}
			all[i].In[v.Name] = x
		}
	}
	if err == nil {
		b, err = json.Marshal(all)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "in.json"), b, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join("testdata", "run.js"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", script, filepath.Join(ort, "node_modules", "onnxruntime-node"), filepath.Join(dir, "m.onnx"), filepath.Join(dir, "in.json"))
	cmd.Stderr = os.Stderr
	if b, err = cmd.Output(); err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestQLinearAgainstRuntime compares the simulator with the integers that onnxruntime 1.30 computed (testdata/qoperator.json). With
// QUERN_ORT, the folder that has onnxruntime-node installed, they are computed anew.
func TestQLinearAgainstRuntime(t *testing.T) {
	want := map[string][]sample{}
	file := filepath.Join("testdata", "qoperator.json")
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	ort := os.Getenv("QUERN_ORT")
	if err != nil && ort == "" {
		t.Fatal(err)
	}
	var hist [2]int
	for _, c := range qopModels {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.model, "QLinearReduceMean") {
				return // onnxruntime has no kernel of it
			}
			m := qopModel(t, c.name, c.model)
			g, low := hardware(t, m)
			if low.Tail != nil {
				t.Fatal("a part is left to the host")
			}
			if ort != "" {
				want[c.name] = runtimeSamples(t, ort, m, g, c.name)
			}
			machine, err := sim.New(low.Prog)
			if err != nil {
				t.Fatal(err)
			}
			if len(want[c.name]) == 0 {
				t.Fatal("onnxruntime's results are missing: set QUERN_ORT")
			}
			for _, s := range want[c.name] {
				in := make([][]float32, len(low.Prog.Inputs))
				for i, b := range low.Prog.Inputs {
					for _, x := range s.In[b.Port.Name] {
						if g.Inputs[0].Type.IsQuant() {
							x = float64(b.Port.Quant.Dequantize(int64(x), 0))
						}
						in[i] = append(in[i], float32(x))
					}
				}
				out, err := machine.NewState().RunFloat(in)
				if err != nil {
					t.Fatal(err)
				}
				for i, b := range low.Prog.Outputs {
					q := b.Port.Quant
					if len(out[i]) != len(s.Out[b.Port.Name]) {
						t.Fatalf("output %q: %d elements, want %d", b.Port.Name, len(out[i]), len(s.Out[b.Port.Name]))
					}
					for k, x := range s.Out[b.Port.Name] {
						if strings.Contains(c.model, "y = Deq") {
							x = float64(q.Quantize(x, 0))
						}
						d := math.Abs(float64(q.Quantize(float64(out[i][k]), 0)) - x)
						if d > 1 {
							t.Fatalf("output %q: element %d: got %v, want %v", b.Port.Name, k, q.Quantize(float64(out[i][k]), 0), x)
						}
						hist[int(d)]++
					}
				}
			}
		})
	}
	t.Logf("differences from onnxruntime in steps: %d none, %d one", hist[0], hist[1])
	if hist[0] < 100*hist[1] {
		t.Errorf("%d of %d integers differ from onnxruntime's, want 1 %% at most", hist[1], hist[0]+hist[1])
	}
	if ort == "" || t.Failed() {
		return
	}
	if b, err = json.Marshal(want); err == nil {
		err = os.WriteFile(file, append(bytes.ReplaceAll(b, []byte("},{"), []byte("},\n{")), '\n'), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}
