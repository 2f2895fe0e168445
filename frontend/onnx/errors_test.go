package onnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
)

// TestErrors compares all messages of faulty models, in order.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"opset", "opset 0", `t.onnx: opset 0 is not supported; want 1 to 24`},
		{"opset of the future", "opset 25", `t.onnx: opset 25 is not supported; want 1 to 24`},
		{"unknown operators, each once", `
			opset 17
			opset my.ops 3
			in x f32[2]
			a = Convv(x)  ; first
			b = my.ops::Foo(a)
			c = my.ops::Foo(x)
			d = LSTM(c, b)
			e = Relu(d)
			f = Gelu(x)
			out e`, `
			t.onnx: node 0 "first" (Convv): operator Convv (domain ai.onnx, opset 17) is not supported: did you mean Conv?
			t.onnx: node 1 (Foo): operator Foo (domain my.ops, opset 3) is not supported (2 nodes, this is the first)
			t.onnx: node 3 (LSTM): operator LSTM (domain ai.onnx, opset 17) is not supported: recurrent networks; want a feed-forward one
			t.onnx: node 5 (Gelu): operator Gelu (domain ai.onnx, opset 17) is not supported: it exists as of opset 20`},
		{"names", `
			in x f32[2]
			in x f32[2]
			a = Relu(y)
			a = Relu(x)
			b = Add(a, x)
			out c`, `
			t.onnx: "x" is defined twice: by graph input and by graph input
			t.onnx: "a" is defined twice: by t.onnx: node 0 and by t.onnx: node 1
			t.onnx: node 0 (Relu): input 0: "y" is not defined by an input, an initializer or a node
			t.onnx: graph output "c" is not defined by an input, an initializer or a node`},
		{"cycle", `
			in x f32[2]
			a = Relu(x)
			d = Relu(c)
			b = Add(a, c)  ; second
			c = Relu(b)  ; third
			out d`, `
			t.onnx: node 2 "second" (Add): nodes depend on each other in a cycle: 2 "second" (Add), 3 "third" (Relu)`},
		{"several problems, none a consequence of another", `
			in x f32[N,3,8,8]
			const w f32[1,2,1,1] = 1 1
			a = Conv(x, w)
			b = Relu(a)
			c = Flatten<axis=5>(x)
			d = Add(b, c)
			e = Relu<alpha=1.0>(x)
			out d
			out e`, `
			t.onnx: node 0 (Conv): 3 channels and weights f32[1,2,1,1] do not fit 1 groups
			t.onnx: node 2 (Flatten): axis 5 of 4 dims: want -4 to 3
			t.onnx: node 4 (Relu): attribute alpha is not supported`},
		{"arity", `
			in x f32[2]
			a = Conv(x)
			b = Relu(x, x)
			c = Add(x, _)
			d = Conv(_, x)
			e = Concat<axis=0>()
			f = Gemm(x)
			g = Clip<min=0.0>(x, x, x, x)
			out a`, `
			t.onnx: node 0 (Conv): want 2 to 3 inputs, got 1
			t.onnx: node 1 (Relu): want 1 inputs, got 2
			t.onnx: node 2 (Add): want 2 inputs, got 1
			t.onnx: node 3 (Conv): input 0: it is not optional, but omitted
			t.onnx: node 4 (Concat): want at least 1 inputs, got 0
			t.onnx: node 5 (Gemm): want 2 to 3 inputs, got 1
			t.onnx: node 6 (Clip): want 1 to 3 inputs, got 4`},
		{"attributes", `
			in x f32[N,1,4,4]
			const w f32[1,1,3,3] = 1 1 1 1 1 1 1 1 1
			a = Clip<min=0.0>(x)
			b = Conv<strides=2>(x, w)
			c = Conv<kernel_shape=[3,1]>(x, w)
			d = Conv<auto_pad="SAME">(x, w)
			e = Conv<auto_pad="VALID",pads=[1,1,1,1]>(x, w)
			f = MaxPool<storage_order="rows",kernel_shape=[2,2]>(x)
			g = MaxPool(x)
			h = Concat(x, x)
			i = Flatten<axis=1.0>(x)
			j = Transpose<perm=[0,0,1,2]>(x)
			k = Cast<to=8>(x)
			l = Dropout<foo=1,bar=[1]>(x)
			m = Relu<v=f32[1]{1}>(x)
			n = Flatten<axis=1,axis=1>(x)
			out a`, `
			t.onnx: node 0 (Clip): attribute min: it is input 1 as of opset 11, the file has 13
			t.onnx: node 1 (Conv): attribute strides: want a list of integers, got an integer
			t.onnx: node 2 (Conv): kernel_shape [3 1], but the weights are f32[1,1,3,3]
			t.onnx: node 3 (Conv): auto_pad "SAME": want NOTSET, VALID, SAME_UPPER or SAME_LOWER
			t.onnx: node 4 (Conv): auto_pad VALID together with pads [1 1 1 1]: want one of them
			t.onnx: node 5 (MaxPool): attribute storage_order: want an integer, got a string
			t.onnx: node 6 (MaxPool): attribute kernel_shape is missing
			t.onnx: node 7 (Concat): attribute axis is missing
			t.onnx: node 8 (Flatten): attribute axis: want an integer, got a float
			t.onnx: node 9 (Transpose): perm [0 0 1 2]: want a permutation of 4 axes
			t.onnx: node 10 (Cast): attribute to: element type STRING is not supported
			t.onnx: node 11 (Dropout): attribute foo, bar is not supported
			t.onnx: node 12 (Relu): attribute v is not supported
			t.onnx: node 13 (Flatten): attribute axis is given twice`},
		{"parameters", `
			in x f32[2,4]
			in p i64[2]
			const f f32[2] = 1 2
			const m i64[1,1] = 1
			const pads i64[2] = 1 1
			const axes i64[1] = 0
			a = Reshape(x, p)
			b = Reshape(x, f)
			c = Reshape(x, m)
			d = Reshape(x)
			e = Clip(x, f)
			g = Slice(x, pads)
			h = Pad(x, pads)
			i = Unsqueeze(x)
			j = Squeeze(x, axes)
			k = Split<axis=1,split=[2,2]>(x)
			l, n, o = Split<axis=1>(x)
			q, r = Split<axis=2>(x)
			s = Tile(x, pads, axes)
			out a`, `
			t.onnx: node 0 (Reshape): input 1 (shape): "p" has to be a constant, but it is computed when the model runs
			t.onnx: node 1 (Reshape): input 1 (shape): want a vector of integers, got f32[2]
			t.onnx: node 2 (Reshape): input 1 (shape): want a vector of integers, got i64[1 1]
			t.onnx: node 3 (Reshape): want 2 inputs, got 1
			t.onnx: node 4 (Clip): input 1 (min): want one number, got f32[2]
			t.onnx: node 5 (Slice): input 2 (ends) is missing
			t.onnx: node 6 (Pad): pads [1 1]: want 4, two for each axis of f32[2,4]
			t.onnx: node 7 (Unsqueeze): input 1 (axes) is missing
			t.onnx: node 8 (Squeeze): axis 0 of f32[2,4]: want size 1
			t.onnx: node 9 (Split): attribute split: it is input 1 as of opset 13, the file has 13
			t.onnx: node 10 (Split): axis 1 of f32[2,4] cannot be split into 3 equal parts
			t.onnx: node 11 (Split): axis 2 of 2 dims: want -2 to 1
			t.onnx: node 12 (Tile): want 2 inputs, got 3`},
		{"windows and pads", `
			opset 18
			in x f32[N,1,4,4]
			in y f32[4]
			const w f32[2,2] = 1 1 1 1
			const v f32[1,1,2,2] = 1 1 1 1
			const p i64[2] = 1 1
			const p3 i64[3] = 1 1 1
			const a i64[1] = 4
			const f f32[1] = 1
			a1 = Conv(x, w)
			a2 = Conv<auto_pad="SAME_UPPER",strides=[1]>(x, v)
			a3 = Conv<auto_pad="SAME_UPPER">(y, v)
			a4 = Pad(x, p, _, a)
			a5 = Pad(x, p3, _, p)
			a6 = Pad(x, p, _, f)
			a7 = Pad<mode="mirror">(y, p)
			a8 = Softmax<axis=4>(x)
			out a1`, `
			t.onnx: node 0 (Conv): input 1 (weights): want 3 or 4 dims, got f32[2,2]
			t.onnx: node 1 (Conv): 2 spatial axes: want as many strides and dilations and twice as many pads, got [1], [1 1], [0 0 0 0]
			t.onnx: node 2 (Conv): kernel [2 2] needs an input of 4 dims, got f32[4]
			t.onnx: node 3 (Pad): input 3 (axes): axis 4 of 4 dims: want -4 to 3
			t.onnx: node 4 (Pad): input 3 (axes): axes [1 1]: axis 1 is given twice
			t.onnx: node 5 (Pad): input 3 (axes): want a vector of integers, got f32[1]
			t.onnx: node 6 (Pad): mode "mirror": want constant, reflect, edge or wrap
			t.onnx: node 7 (Softmax): axis 4 of 4 dims: want -4 to 3`},
		{"old forms have no inputs", `
			opset 10
			in x f32[2,1]
			const a i64[1] = 1
			b = Squeeze(x, a)
			c = Clip(x, a)
			d = Unsqueeze(x)
			e = Pad(x)
			out b`, `
			t.onnx: node 0 (Squeeze): want 1 inputs, got 2
			t.onnx: node 1 (Clip): want 1 inputs, got 2
			t.onnx: node 2 (Unsqueeze): attribute axes is missing
			t.onnx: node 3 (Pad): attribute pads is missing`},
		{"training", `
			in x f32[2,1]
			in on bool[]
			const a f32[1] = 1
			const t bool[] = 1
			b = BatchNormalization<training_mode=1>(x, a, a, a, a)
			c = Dropout(x, _, t)
			d = Dropout(x, _, on)
			e, f = Dropout(x)
			g = Add(e, f)
			out g`, `
			t.onnx: node 0 (BatchNormalization): training_mode 1: want 0, a model for inference
			t.onnx: node 1 (Dropout): input 2 (training_mode): want false, a model for inference
			t.onnx: node 2 (Dropout): input 2 (training_mode): "on" has to be a constant, but it is computed when the model runs
			t.onnx: node 4 (Add): input 1: want numbers, got bool[2,1]`},
		{"statistics per element", `
			opset 8
			in x f32[2,1]
			const a f32[1] = 1
			b = BatchNormalization<spatial=0>(x, a, a, a, a)
			out b`, `
			t.onnx: node 0 (BatchNormalization): spatial 0: want 1, statistics per channel`},
		{"symbolic dimensions", `
			opset 12
			in x f32[N,3,H,W]
			const w f32[1,3,1,1] = 1 1 1
			const two i64[1] = 2
			a = Conv<auto_pad="SAME_UPPER",strides=[2,2]>(x, w)
			s = Shape(x)
			d = Mul(s, two)
			b = Reshape(x, d)
			c = ConstantOfShape(s)
			e, f = Split<axis=2>(x)
			g = Softmax<axis=0>(x)
			out a`, `
			t.onnx: node 0 (Conv): auto_pad: spatial dimension H must be known
			t.onnx: node 3 (Reshape): input 1 (shape): "d" has to be a constant, but it is computed when the model runs
			t.onnx: node 4 (ConstantOfShape): dimension N of the shape must be known
			t.onnx: node 4 (ConstantOfShape): dimension H of the shape must be known
			t.onnx: node 4 (ConstantOfShape): dimension W of the shape must be known
			t.onnx: node 5 (Split): dimension H must be known to split it into 2 parts
			t.onnx: node 6 (Flatten): dimension H must be known
			t.onnx: inputs have dimensions without a size: N, H, W; give sizes to those that nodes have to know (--dim NAME=SIZE of the quern command), or export the model with fixed ones`},
		{"Constant", `
			a = Constant<value_string="a">()
			b = Constant()
			c = Constant<value=1>()
			d = Constant<value_int=1,value_float=2.0>()
			e = Constant<value_int=-1099511627776>()
			f = ConstantOfShape<value=f32[2]{1 2}>(g)
			g = Constant<value_ints=[3]>()
			const big i64[2] = 1073741824 1073741824
			h = ConstantOfShape(big)
			out a`, `
			t.onnx: node 0 (Constant): attribute value_string is not supported, want value, value_float, value_floats, value_int or value_ints
			t.onnx: node 1 (Constant): want one attribute, the value, got 0
			t.onnx: node 2 (Constant): attribute value: want type TENSOR, got INT
			t.onnx: node 3 (Constant): want one attribute, the value, got 2
			t.onnx: node 4 (Constant): element 0 is -1099511627776: numbers of that size stand for symbolic dimensions here
			t.onnx: node 5 (ConstantOfShape): attribute value: want one element, got f32[2]
			t.onnx: node 7 (ConstantOfShape): shape [1073741824 1073741824]: want at most 67108864 elements`},
		{"sizes beyond all bounds", `
			in x f32[2147483647,2147483647]
			in y f32[65536,65536]
			const r i64[2] = 2147483647 2147483647
			a = Tile(y, r)
			out a`, `
			t.onnx: node 0 (Tile): output 0: f32[140737488289792,140737488289792] is too large`},
		{"an index of a constant", `
			const c f32[2] = 1 2
			const i i64[] = 2
			a = Gather(c, i)
			out a`, `
			t.onnx: node 0 (Gather): input 1 (indices): element 0 is 2, want -2 to 1`},
		{"output types", `
			in x f32[2]
			a = Cast<to=7>(x)
			out a f32[2]`, `
			t.onnx: graph output "a": it is declared as FLOAT, but computed as i64[2]`},
		{"no outputs", `
			in x f32[2]
			a = Relu(x)`, `
			t.onnx: the graph has no outputs`},
		{"a domain that has the operator elsewhere", `
			opset ai.onnx.ml 2
			in x f32[2]
			a = ai.onnx.ml::Relu(x)
			b = com.microsoft::FusedConv(x)
			out a`, `
			t.onnx: node 0 (Relu): operator Relu (domain ai.onnx.ml, opset 2) is not supported: only that of ai.onnx is
			t.onnx: node 1 (FusedConv): operator FusedConv (domain com.microsoft, of no opset) is not supported: onnxruntime's optimizer makes operators of this domain; want the model from before`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := importText(t, c.model)
			checkError(t, err, c.want)
		})
	}
}

func checkError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if got, w := strings.Join(lines(err.Error()), "\n  "), strings.Join(lines(want), "\n  "); got != w {
		t.Errorf("got\n  %s\nwant\n  %s", got, w)
	}
}

// TestErrorsOfTheFile are those that the notation of parseModel cannot make.
func TestErrorsOfTheFile(t *testing.T) {
	good := `
		in x f32[2]
		a = Relu(x)
		out a`
	for _, c := range []struct {
		name, model, want string
		change            func(m *onnxpb.ModelProto)
	}{
		{"no graph", good, "t.onnx: the model has no graph", func(m *onnxpb.ModelProto) { m.Graph = nil }},
		{"no opset", good, "t.onnx: opset_import does not say which version of the ONNX operators the model uses",
			func(m *onnxpb.ModelProto) { m.OpsetImport = nil }},
		{"two opsets", good, `t.onnx: opset_import names the domain "" twice`, func(m *onnxpb.ModelProto) {
			m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String("ai.onnx"), Version: proto.Int64(13)})
		}},
		{"training", good, "t.onnx: training information (1 entries) is not supported; want a model for inference",
			func(m *onnxpb.ModelProto) { m.TrainingInfo = []*onnxpb.TrainingInfoProto{{}} }},
		{"functions", good, `t.onnx: node 0 (Relu): operator Relu (domain ai.onnx, opset 13) is not supported: functions that the file defines are not supported: the model has to be exported with them inlined`,
			func(m *onnxpb.ModelProto) { m.Functions = []*onnxpb.FunctionProto{{Name: proto.String("Relu")}} }},
		{"sparse", good, `t.onnx: sparse initializers (1, the first is "s") are not supported; want dense ones`, func(m *onnxpb.ModelProto) {
			m.Graph.SparseInitializer = []*onnxpb.SparseTensorProto{{Values: &onnxpb.TensorProto{Name: proto.String("s")}}}
		}},
		{"sequence", good, `t.onnx: input "x": sequences are not supported, want a tensor`, func(m *onnxpb.ModelProto) {
			m.Graph.Input[0].Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{}}}
		}},
		{"no type", good, `t.onnx: input "x": it has no type, want a tensor type`, func(m *onnxpb.ModelProto) { m.Graph.Input[0].Type = nil }},
		{"no shape", good, `t.onnx: input "x": its shape is not given; want at least the number of dims`,
			func(m *onnxpb.ModelProto) { m.Graph.Input[0].Type.GetTensorType().Shape = nil }},
		{"string input", good, `t.onnx: input "x": element type STRING is not supported`,
			func(m *onnxpb.ModelProto) { m.Graph.Input[0].Type.GetTensorType().ElemType = proto.Int32(8) }},
		{"negative dimension", good, `t.onnx: input "x": dimension 0 is -7, want 1 to 2147483647`, func(m *onnxpb.ModelProto) {
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: -7}
		}},
		{"damaged initializer", good + "\nconst c f32[2] = 1 2", `t.onnx: initializer: tensor "c": 4 bytes of FLOAT data, but dims [2] take 8`,
			func(m *onnxpb.ModelProto) { m.Graph.Initializer[0].RawData = make([]byte, 4) }},
		{"subgraph", good, "t.onnx: node 0 (Relu): attribute body is not supported", func(m *onnxpb.ModelProto) {
			m.Graph.Node[0].Attribute = []*onnxpb.AttributeProto{{Name: proto.String("body"), Type: onnxpb.AttributeProto_GRAPH.Enum(), G: m.Graph}}
		}},
		{"If", good, "t.onnx: node 0 (If): operator If (domain ai.onnx, opset 13) is not supported: control flow with subgraphs; want a model without: exporters and onnx-simplifier resolve conditions that are constant",
			func(m *onnxpb.ModelProto) { m.Graph.Node[0].OpType = proto.String("If") }},
		{"no outputs of a node", good + "\nout x",
			"t.onnx: node 0 (Relu): it has no outputs\nt.onnx: graph output \"a\" is not defined by an input, an initializer or a node",
			func(m *onnxpb.ModelProto) { m.Graph.Node[0].Output = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := parseModel(t, c.model)
			c.change(m)
			_, err := FromProto(m, "t.onnx", Options{})
			checkError(t, err, c.want)
		})
	}
}

func TestDamagedFiles(t *testing.T) {
	b, err := proto.Marshal(parseModel(t, `
		in x f32[N,2]
		const w f32[2,2] = 1 2 3 4
		y = MatMul(x, w)
		out y`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	check := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Import(path, Options{})
		if err == nil {
			t.Errorf("%d bytes: no error", len(data))
		} else if s := err.Error(); strings.Contains(s, "\n") || !strings.Contains(s, "m.onnx: ") {
			t.Errorf("%d bytes: want one line that names the file, got %q", len(data), s)
		}
	}
	for n := range len(b) - 8 { // the very end is only the opset
		check(b[:n])
	}
	check([]byte("this is not a model at all"))
	check([]byte("\x89PNG\r\n\x1a\n"))
	if _, err := Import(filepath.Join(dir, "none.onnx"), Options{}); err == nil || !strings.Contains(err.Error(), "none.onnx") {
		t.Errorf("missing file: %v", err)
	}
}

func TestOptions(t *testing.T) {
	m := parseModel(t, `
		in x f32[N,?,3]
		in s i64[2]
		y = Reshape(x, s)
		out y`)
	s := tensor.Ints(tensor.I64, []int{2}, -1, 3)
	g, err := FromProto(m, "t.onnx", Options{Consts: map[string]*tensor.T{"s": s}, Dims: map[string]int{"N": 4, "x_1": 2}})
	if err != nil {
		t.Fatal(err)
	}
	checkText(t, g, `
		%y f32[8,3] = Reshape<shape=[-1,3]>(%x)
		return %y`)
	if len(g.Inputs) != 1 || g.Inputs[0].Type.String() != "f32[4,2,3]" {
		t.Errorf("inputs %v", g.Inputs[0].Type)
	}
	_, err = FromProto(m, "t.onnx", Options{Consts: map[string]*tensor.T{"s": s, "u": s, "t": s}, Dims: map[string]int{"N": 0, "M": 3}})
	checkError(t, err, `
		t.onnx: input "x": size 0 for dimension "N": want 1 to 2147483647
		t.onnx: no input "t" to be made a constant
		t.onnx: no input "u" to be made a constant
		t.onnx: no input has a dimension "M" without a size; those are: N, x_1`)
}

// TestInputs: IR version 3 lists initializers among the inputs; dimensions without a size get a name; floats become float32.
func TestInputs(t *testing.T) {
	m := parseModel(t, `
		meta quern.scale 255
		meta a b
		in w f32[2]
		in x f32[?,2]
		const w f32[2] = 1 2
		y = Add(x, w)
		out y f32[?,2]`)
	m.Graph.Name = nil
	m.Graph.Input[1].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_FLOAT16))
	m.Graph.Output[0].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_DOUBLE))
	zero, minus := m.Graph.Input[1].Type.GetTensorType().Shape.Dim[0], int64(-1)
	for _, v := range []*int64{nil, new(int64), &minus} {
		zero.Value = nil
		if v != nil {
			zero.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: *v}
		}
		g, err := FromProto(m, "dir.x/net.onnx", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Inputs) != 1 || g.Inputs[0].Type.String() != "f32[x_0,2]" || g.Outputs[0].Type.String() != "f32[x_0,2]" {
			t.Errorf("inputs %v", g.Inputs[0].Type)
		}
		if len(g.Meta) != 2 || g.Meta[0] != [2]string{"quern.scale", "255"} {
			t.Errorf("meta %q", g.Meta)
		}
		if g.Name != "dir.x/net" {
			t.Errorf("name %q", g.Name)
		}
		checkSame(t, again(t, g), g)
	}
}

// TestSort: a file that is not sorted is sorted, each node as early as it can be.
func TestSort(t *testing.T) {
	g := mustImport(t, `
		in x f32[2]
		d = Relu(c)
		b = Relu(a)
		a = Relu(x)
		c = Add(b, a)
		e = Relu(x)
		out d
		out e`)
	checkText(t, g, `
		%a f32[2] = Relu(%x)
		%b f32[2] = Relu(%a)
		%c f32[2] = Add(%b, %a)
		%d f32[2] = Relu(%c)
		%e f32[2] = Relu(%x)
		return %d, %e`)
	if p := g.Nodes[0].Pos; p != (ir.Pos{File: "t.onnx", Node: 2}) {
		t.Errorf("position %v: want that in the file", p)
	}
}
