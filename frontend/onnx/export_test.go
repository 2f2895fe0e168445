package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// parseIR reads textual IR and verifies it.
func parseIR(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse("t.ir", []byte(text))
	if err == nil {
		err = ir.Verify(g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestExportQuantized: graphs in the form that passes/quant makes come back the same through import, absorb, propagate and fuse-act.
func TestExportQuantized(t *testing.T) {
	for _, c := range []struct{ name, formats, text string }{
		{"layers", "qdq qonnx", `graph net(%x f32[N,1,4,4]) {
			meta "quern.scale" "255"
			const %w i4[2,1,3,3]{s=[0.1,0.2] z=0 axis=0 min=-7 max=7} = [1 2 3 4 5 6 7 -7 -6 5 4 3 2 1 0 -1 -2 -3]
			const %b i32[2]{s=[0.01,0.02] z=0 axis=0} = [100 -100]
			%x_q u8[N,1,4,4]{s=0.1 z=0} = Quantize(%x)  # node 0 "quantize x" t.ir
			%h i8[N,2,4,4]{s=0.05 z=-3 min=-3 max=127} = Conv<pads=[1,1,1,1]>(%x_q, %w, %b)  # node 1 "conv" t.ir
			%p i8[N,2,2,2]{s=0.05 z=-3 min=-3 max=127} = MaxPool<kernel_shape=[2,2],strides=[2,2]>(%h)  # node 2 "pool" t.ir
			%f i8[N,8]{s=0.05 z=-3 min=-3 max=127} = Flatten(%p)  # node 3 t.ir
			const %v i8[3,8]{s=0.5 z=0 min=-127 max=127} = [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 -23 -24]
			%y i16[N,3]{s=0.001 z=5} = Gemm<transB=true>(%f, %v)  # node 4 "fc" t.ir
			return %y
		}`},
		{"modes, wide integers, tail on the host", "qonnx", `graph net(%x f32[4]) {
			%q u5[4]{s=0.5 z=3 min=0 max=30 round=half_away} = Quantize(%x)  # node 0 "q" t.ir
			%r u5[4]{s=0.25 z=0 min=1 max=7 round=floor} = Quantize(%q)  # node 1 "r" t.ir
			const %c u3[4]{s=0.5 z=7 min=2 max=6} = [2 3 4 6]
			%s i20[4]{s=1 z=0} = Add(%r, %c)  # node 2 "s" t.ir
			%t f32[4] = Softmax<axis=0>(%s)  # node 3 "t" t.ir
			return %t, %s
		}`},
		{"unsigned ranges, odd widths, tail on the host", "qdq qonnx", `graph net(%x f32[4]) {
			%q u5[4]{s=0.5 z=3 min=0 max=30} = Quantize(%x)  # node 0 "q" t.ir
			%r u5[4]{s=0.25 z=0 min=1 max=7} = Quantize(%q)  # node 1 "r" t.ir
			const %c u3[4]{s=0.5 z=7 min=2 max=6} = [2 3 4 6]
			const %d u9[4]{s=0.5 z=200} = [0 3 4 511]
			%s i2[4]{s=1 z=0} = Sum(%r, %c, %d)  # node 2 "s" t.ir
			%o u13[4]{s=1 z=8191} = Add(%s, %s)  # node 3 "o" t.ir
			%t f32[4] = Softmax<axis=0>(%o)  # node 4 "t" t.ir
			return %t, %s
		}`},
		{"weights with zero points", "qdq qonnx", `graph net(%x f32[N,2]) {
			%q u8[N,2]{s=0.5 z=3 min=1 max=200} = Quantize(%x)  # node 0 "q" t.ir
			const %w i6[3,2]{s=[0.1,0.2,0.3] z=[1,2,3] axis=0 min=-30 max=31} = [1 2 3 4 -30 31]
			%y i16[N,3]{s=0.001 z=5} = Gemm<transB=true>(%q, %w)  # node 1 "fc" t.ir
			return %y
		}`},
		{"a wide bias", "qdq qonnx", `graph net(%x f32[1,2]) {
			%q i16[1,2]{s=1e-04 z=0} = Quantize(%x)  # node 0 "q" t.ir
			const %w i8[2,2]{s=0.01 z=0} = [1 2 3 4]
			const %b i32[2]{s=[1e-06,2e-06] z=0 axis=0} = [2147483647 -123456789]
			%y i16[1,2]{s=0.1 z=0} = Gemm(%q, %w, %b)  # node 1 "y" t.ir
			return %y
		}`},
		{"a bias of 40 bits", "qdq", `graph net(%x f32[1,2]) {
			%q i16[1,2]{s=1e-04 z=0} = Quantize(%x)  # node 0 "q" t.ir
			const %w i8[3,2]{s=0.01 z=0} = [1 2 3 4 5 6]
			const %b i40[3]{s=[1e-06,2e-06,3e-06] z=0 axis=0} = [549755748352 -12345678848 -5]
			%y i16[1,3]{s=0.1 z=0} = Gemm<transB=true>(%q, %w, %b)  # node 1 "y" t.ir
			return %y
		}`},
		{"a wide bias of one scale", "qdq qonnx", `graph net(%x f32[1,2]) {
			%q i16[1,2]{s=1e-04 z=0} = Quantize(%x)  # node 0 "q" t.ir
			const %w i8[2,2]{s=0.01 z=0} = [1 2 3 4]
			const %b i32[2]{s=1e-06 z=0} = [2147483647 -123456789]
			%y i16[1,2]{s=0.1 z=0} = Gemm(%q, %w, %b)  # node 1 "y" t.ir
			return %y
		}`},
	} {
		for _, f := range strings.Fields(c.formats) {
			t.Run(c.name+" "+f, func(t *testing.T) {
				g := parseIR(t, c.text)
				r := again(t, g, Format(f))
				checkSame(t, again(t, r, Format(f)), r)
				for _, pass := range []func(*ir.Graph) error{quant.Absorb, quant.Propagate, quant.FuseAct} {
					if err := pass(r); err != nil {
						t.Fatal(err)
					}
				}
				checkSame(t, r, g)
			})
		}
	}
}

// TestExportForm is the file for one quantized layer, as other tools see it.
func TestExportForm(t *testing.T) {
	g := parseIR(t, `graph net(%x f32[N,2]) {
		meta "k" "v"
		%q u4[N,2]{s=0.5 z=0 min=0 max=12} = Quantize(%x)  # node 0 "in" t.ir
		const %w i4[2,1]{s=0.25 z=0 min=-7 max=7} = [3 -2]
		%y i8[N,1]{s=1 z=1} = MatMul(%q, %w)  # node 1 "mm" t.ir
		return %y
	}`)
	m, err := ToProto(g, QONNX)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"q_c = .Clip(x,q_min,q_max) q_quern_clip",
		"q = qonnx.custom_op.general.Quant(q_c,q_scale,q_zero,q_bits) in",
		"w = qonnx.custom_op.general.Quant(w_f,w_scale,q_zero,q_bits) w_quant",
		"y_f = .MatMul(q,w) mm",
		"y = qonnx.custom_op.general.Quant(y_f,y_scale,y_zero,y_bits) y_quant",
	}
	if len(m.Graph.Node) != len(want) {
		t.Errorf("got %d nodes, want %d", len(m.Graph.Node), len(want))
	}
	for i, n := range m.Graph.Node {
		s := strings.Join(n.Output, ",") + " = " + n.GetDomain() + "." + n.GetOpType() + "(" + strings.Join(n.Input, ",") + ") " + n.GetName()
		if i >= len(want) || s != want[i] {
			t.Errorf("node %d: got %s", i, s)
		}
	}
	attrs := ""
	for _, a := range m.Graph.Node[1].Attribute {
		v, err := attrValue(a)
		if err != nil {
			t.Fatal(err)
		}
		attrs += fmt.Sprintf("%s:%v ", a.GetName(), v)
	}
	if want := "signed:0 narrow:0 rounding_mode:ROUND quern_min:0 quern_max:12 "; attrs != want {
		t.Errorf("attributes: got %q, want %q", attrs, want)
	}
	if m.GetProducerName() != "quern" || m.OpsetImport[0].GetVersion() != 13 || m.OpsetImport[1].GetDomain() != qonnxDomain {
		t.Errorf("header: %v %v", m.GetProducerName(), m.OpsetImport)
	}
	if d := m.Graph.Output[0].Type.GetTensorType(); d.GetElemType() != 1 || d.Shape.Dim[0].GetDimParam() != "N" || d.Shape.Dim[1].GetDimValue() != 1 {
		t.Errorf("output: %v", d)
	}
}

// TestExportLinearForm is the same in QDQ: 4 bits have 8 with a Clip, weights their own type, what only moves no Clip.
func TestExportLinearForm(t *testing.T) {
	g := parseIR(t, `graph net(%x f32[N,2]) {
		%q u4[N,2]{s=0.5 z=0 min=0 max=12} = Quantize(%x)  # node 0 "in" t.ir
		const %w i4[2,1]{s=0.25 z=0} = [3 -8]
		%y i8[N,1]{s=1 z=1} = MatMul(%q, %w)  # node 1 "mm" t.ir
		%a i7[N,1]{s=1 z=1} = Sigmoid(%y)  # node 2 "a" t.ir
		%r i7[1,N]{s=1 z=1} = Transpose<perm=[1,0]>(%a)  # node 3 "r" t.ir
		return %r
	}`)
	m, err := ToProto(g, QDQ)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"q_c = Clip(x,q_min,q_max) q_quern_clip map[]",
		"q_int = QuantizeLinear(q_c,q_scale,q_zero) in map[quern.max:12 quern.min:0 quern.type:u4]",
		"q = DequantizeLinear(q_int,q_scale,q_zero) q_dequant map[]",
		"w = DequantizeLinear(w_int,w_scale,w_zero) w_quant map[]",
		"y_f = MatMul(q,w) mm map[]",
		"y_int = QuantizeLinear(y_f,y_scale,y_zero) y_quant map[]",
		"y = DequantizeLinear(y_int,y_scale,y_zero) y_dequant map[]",
		"a_f = Sigmoid(y) a map[]",
		"a_c = Clip(a_f,a_min,a_max) a_quern_clip map[]",
		"a_int = QuantizeLinear(a_c,y_scale,y_zero) a_quant map[quern.max:63 quern.min:-64 quern.type:i7]",
		"a = DequantizeLinear(a_int,y_scale,y_zero) a_dequant map[]",
		"r_f = Transpose(a) r map[]",
		"r_int = QuantizeLinear(r_f,y_scale,y_zero) r_quant map[quern.max:63 quern.min:-64 quern.type:i7]",
		"r = DequantizeLinear(r_int,y_scale,y_zero) r_dequant map[]",
	}
	for i, n := range m.Graph.Node {
		meta := map[string]string{}
		for _, kv := range n.MetadataProps {
			meta[kv.GetKey()] = kv.GetValue()
		}
		s := fmt.Sprintf("%s = %s(%s) %s %v", n.Output[0], n.GetOpType(), strings.Join(n.Input, ","), n.GetName(), meta)
		if i >= len(want) || s != want[i] {
			t.Errorf("node %d: got %s", i, s)
		}
	}
	if m.OpsetImport[0].GetVersion() != 21 || len(m.OpsetImport) != 1 || len(m.Functions) != 0 || DefaultFormat(g) != QONNX {
		t.Errorf("opsets %v, %d functions, default format %s", m.OpsetImport, len(m.Functions), DefaultFormat(g))
	}
}

// TestExportDequantize: the reals of a value that several Dequantize nodes read have one name, and every output keeps its own.
func TestExportDequantize(t *testing.T) {
	g := parseIR(t, `graph net(%x f32[2]) {
		const %k i8[2]{s=1 z=0} = [1 2]
		%q u4[2]{s=0.5 z=0} = Quantize(%x)
		%a f32[2] = Dequantize(%q)
		%b f32[2] = Dequantize(%q)
		%c f32[2] = Add(%a, %b)
		%r u4[2]{s=2 z=0} = Quantize(%c)
		%d f32[2] = Dequantize(%r)
		%e f32[2] = Dequantize(%r)
		%l f32[2] = Dequantize(%k)
		%f f32[2] = Mul(%d, %e)
		%h f32[2] = Mul(%f, %l)
		return %h, %q, %b
	}`)
	checkText(t, again(t, g), `
		%q_int u4[2]{s=0.5 z=0} = Quantize(%x)
		%q f32[2] = Dequantize(%q_int)
		%b f32[2] = Identity(%q)
		%c f32[2] = Add(%q, %b)
		%d_int u4[2]{s=2 z=0} = Quantize(%c)
		%d f32[2] = Dequantize(%d_int)
		const %l_int i8[2]{s=1 z=0} = [1 2]
		%l f32[2] = Dequantize(%l_int)
		%f f32[2] = Mul(%d, %d)
		%h f32[2] = Mul(%f, %l)
		return %h, %q, %b`)
}

func TestReadTensor(t *testing.T) {
	x := tensor.Ints(tensor.I(4), []int{3}, -8, 0, 7)
	p, err := encodeTensor("x", x)
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "input_0.pb")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTensor(path); err != nil || !got.Equal(x) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := os.WriteFile(path, b[:len(b)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTensor(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestExportErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"qdq: rounding", `graph net(%x f32[2]) {
			%q u4[2]{s=0.5 z=0 round=floor} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: QuantizeLinear rounds half_even, not floor; format qonnx has more modes`},
		{"qdq: width", `graph net(%x f32[2]) {
			%q u17[2]{s=0.5 z=0} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: QuantizeLinear has no type for u17, the widest are int16 and uint16; format qonnx has any width up to 32 bits`},
		{"qdq: zero point", `graph net(%x f32[2]) {
			%q u4[2]{s=0.5 z=-1} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: QuantizeLinear has no type for u4 with zero point -1; format qonnx has`},
		{"rounding", `graph net(%x f32[2]) {
			%q u4[2]{s=0.5 z=0 round=half_up} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: QONNX has no rounding mode half_up`},
		{"range along an axis", `graph net(%x f32[2]) {
			%q u4[2]{s=[0.5,1] z=0 axis=0 min=0 max=3} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: a range of 0..3 along axis 0 has no form in ONNX`},
		{"one bit", `graph net(%x f32[2]) {
			%q i1[2]{s=0.5 z=0} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: one signed bit is -1 and 1 in QONNX, not -1 and 0`},
		{"zero point", `graph net(%x f32[2]) {
			%q i32[2]{s=0.5 z=16777217} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: zero point 16777217 is not a float32 number`},
		{"constant", `graph net(%x f32[1]) {
			const %c i31[1]{s=0.1 z=0} = [1000000007]
			%y f32[1] = Add(%x, %c)  # node 3 "add" t.ir
			return %y
		}`, `t.ir: node 3 "add" (Add): input 1: constant %c: element 0, 1000000007, does not survive as a float32 number`},
		{"bound", `graph net(%x f32[1]) {
			%q i31[1]{s=0.1 z=0 min=0 max=1000000007} = Quantize(%x)  # node 3 "in" t.ir
			return %q
		}`, `t.ir: node 3 "in" (Quantize): %q: the bound 1000000007 does not survive as the float32 number 1e+08`},
		{"symbolic dimension", `graph net(%x f32[N,M]) {
			%y f32[M,N] = Reshape<shape=[M,N]>(%x)  # node 3 "e" t.ir
			return %y
		}`, `t.ir: node 3 "e" (Reshape): shape: element 1 is the symbolic dimension N, which ONNX cannot keep in a constant`},
		{"element type", `graph net(%x i7[2]) {
			%y i7[2] = Identity(%x)  # node 3 "e" t.ir
			return %y
		}`, `net: input %x: "x": ONNX has no element type i7`},
		{"input and output", `graph net(%x u8[2]{s=1 z=0}) {
			%y f32[2] = Dequantize(%x)  # node 3 "e" t.ir
			return %y, %x
		}`, `net: output %x: it is a quantized input of the graph as well`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := irtext.Parse("t.ir", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			f := QONNX
			if strings.HasPrefix(c.name, "qdq") {
				f = QDQ
			}
			_, err = ToProto(g, f)
			checkError(t, err, c.want)
		})
	}
}

// TestExportFile: a failed export leaves what is there, a good one replaces it, and nothing else stays in the folder.
func TestExportFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := parseIR(t, `graph net(%x f32[2]) {
		%q u4[2]{s=0.5 z=0 round=half_up} = Quantize(%x)
		return %q
	}`)
	if err := Export(path, bad, ""); err == nil {
		t.Error("no error")
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("the failed export left %q", b)
	}
	g := mustImport(t, `
		in x f32[N,2]
		y = Relu(x)  ; r
		out y`)
	if err := Export(path, g, ""); err != nil {
		t.Fatal(err)
	}
	r, err := Import(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, r, g)
	if e, _ := os.ReadDir(dir); len(e) != 1 {
		t.Errorf("%d files in the folder, want 1", len(e))
	}
}

// TestModels imports every model under testdata, exports it and imports it again.
func TestModels(t *testing.T) {
	files, err := filepath.Glob("../../testdata/models/*.onnx")
	if err != nil || len(files) < 16 {
		t.Fatalf("models: %d, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			g, err := Import(f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, again(t, g), g)
		})
	}
}

// TestExportNames: nodes of one name, as some tools write them, get names of their own, which onnxruntime wants.
func TestExportNames(t *testing.T) {
	m := parseModel(t, `
		in x f32[1,2]
		a = Relu(x)
		b = Exp(a)
		y = Sqrt(b)
		out y`)
	for _, n := range m.Graph.Node[:2] {
		n.Name = proto.String("same")
	}
	g, err := FromProto(m, "t.onnx", Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ToProto(g, QDQ)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range p.Graph.Node {
		names = append(names, n.GetName())
	}
	if names[0] != "same" || names[1] != "same_2" {
		t.Errorf("names %q", names)
	}
}
