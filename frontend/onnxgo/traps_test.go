package onnxgo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	onnxgo "github.com/owulveryck/onnx-go"
	"google.golang.org/protobuf/encoding/prototext"

	"quern/frontend/onnx"
	"quern/frontend/onnx/onnxpb"
)

// model writes a model with opset 13 and the graph in protobuf's text form.
func model(t *testing.T, graph string) string {
	t.Helper()
	m := &onnxpb.ModelProto{}
	if err := prototext.Unmarshal([]byte("opset_import { version: 13 } graph {"+graph+"}"), m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := onnxpb.WriteFile(path, m); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	f23 = ` type { tensor_type { elem_type: 1 shape { dim { dim_value: 2 } dim { dim_value: 3 } } } } `
	in  = `input { name: "x"` + f23 + `} input { name: "y"` + f23 + `} `
	out = `output { name: "z"` + f23 + `} `
)

// TestTraps: what onnx-go's graph of values could get wrong.
func TestTraps(t *testing.T) {
	for _, c := range []struct {
		name, graph string
		want        outcome
	}{
		{"the same input twice", in + `node { op_type: "Mul" input: ["x", "x"] output: "z" }` + out, equal},
		{"order of inputs", in + `node { op_type: "Sub" input: ["y", "x"] output: "z" }` + out, equal},
		{"order in the file", in + `node { op_type: "Relu" input: "t" output: "z" } node { op_type: "Sub" input: ["y", "x"] output: "t" }` + out, equal},
		{"a node without inputs", in + `node { op_type: "Constant" output: "c" attribute { name: "value_float" type: FLOAT f: 2 } }
			node { op_type: "Constant" output: "d" attribute { name: "value" type: TENSOR t { data_type: 1 dims: [1] float_data: 3 } } }
			node { op_type: "Add" input: ["x", "c"] output: "t" } node { op_type: "Add" input: ["t", "d"] output: "z" }` + out, equal},
		{"inputs left out", in + `node { op_type: "Clip" input: ["x", "", "hi"] output: "z" } initializer { name: "hi" data_type: 1 float_data: 6 }` + out, equal},
		{"two outputs", in + `node { op_type: "Split" input: ["x", "s"] output: ["a", "b"] attribute { name: "axis" type: INT i: 1 } }
			node { op_type: "Concat" input: ["b", "a"] output: "z" attribute { name: "axis" type: INT i: 1 } }
			initializer { name: "s" data_type: 7 dims: 2 int64_data: [1, 2] }` + out, equal},
		{"an initializer among the inputs", in + `input { name: "w"` + f23 + `} node { op_type: "Sub" input: ["w", "x"] output: "z" }
			initializer { name: "w" data_type: 1 dims: [2, 3] float_data: [1, 2, 3, 4, 5, 6] }` + out, equal},
		{"a declared initializer", in + `value_info { name: "w"` + f23 + `} node { op_type: "Sub" input: ["w", "x"] output: "z" }
			initializer { name: "w" data_type: 1 dims: [2, 3] float_data: [1, 2, 3, 4, 5, 6] }` + out, equal},
		{"an input that is an output", in + `node { op_type: "Add" input: ["x", "y"] output: "z" }` + out + `output { name: "x"` + f23 + `}`, equal},
		{"a declared value in between", in + `value_info { name: "t"` + f23 + `} node { op_type: "Neg" input: "x" output: "t" }
			node { op_type: "Add" input: ["t", "y"] output: "z" }` + out, equal},
		{"double", in + `node { op_type: "Mul" input: ["x", "w"] output: "z" } initializer { name: "w" data_type: 11 dims: [1] double_data: 0.5 }` + out, equal},
		{"opset", in + `node { op_type: "Softmax" input: "x" output: "z" }` + out, equal},
		{"a dimension without a number", `input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } dim { dim_value: 3 } } } } }
			node { op_type: "Softmax" input: "x" output: "z" } output { name: "z" }`, shapes},
		{"int8", in + `node { op_type: "Mul" input: ["x", "w"] output: "z" } initializer { name: "w" data_type: 3 dims: [1] int32_data: 5 }` + out, undecode},
		{"raw bool", in + `node { op_type: "Where" input: ["c", "x", "y"] output: "z" }
			initializer { name: "c" data_type: 9 dims: [3] raw_data: "\001\000\001" }` + out, undecode},
		{"another domain", in + `node { op_type: "Relu" domain: "my.own" input: "x" output: "z" }` + out, only},
		{"a value that only is declared", in + `value_info { name: "w"` + f23 + `} node { op_type: "Sub" input: ["w", "x"] output: "z" }` + out, refused},
		{"a cycle of one", in + `node { op_type: "Add" input: ["x", "z"] output: "z" }` + out, refused},
	} {
		if got, why := compare(t, model(t, c.graph), onnx.Options{}); got != c.want {
			t.Errorf("%s: %s, want: %s\n%s", c.name, got, c.want, why)
		}
	}
}

// TestErrors: problems are those of the lossless importer, all of them, with the position in the file.
func TestErrors(t *testing.T) {
	path := model(t, in+`node { op_type: "Relu" input: "x" output: "a" } node { op_type: "Foo" input: "a" output: "b" }
		node { op_type: "Add" input: ["x", "nowhere"] output: "z" }`+out)
	_, err := Import(path, onnx.Options{})
	for _, want := range []string{"m.onnx: node 1 (Foo): operator Foo", `m.onnx: node 2 (Add): input 1: "nowhere" is not defined`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := Import(model(t, in+out), onnx.Options{}); err == nil || !strings.Contains(err.Error(), "m.onnx: onnx-go cannot decode the model: Graph is empty") {
		t.Errorf("no nodes: %v", err)
	}
}

// TestBackend is how a program that uses onnx-go reaches the graph; values can be looked up in the graph of the backend.
func TestBackend(t *testing.T) {
	path := model(t, in+`node { op_type: "Sub" input: ["y", "x"] output: "z" }`+out)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := New(Options{File: "m.onnx"})
	m := onnxgo.NewModel(b)
	if err := m.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	z, _ := m.GetNodeByName("z")
	if to := b.From(z.ID()); to.Len() != 2 {
		t.Errorf("z is computed from %d values, want 2", to.Len())
	}
	g, err := b.Graph(m)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Inputs) != 2 || len(g.Nodes) != 1 || g.Nodes[0].In[0] != g.Inputs[1] || g.Name != "m" {
		t.Errorf("got %v", g)
	}
	other := New(Options{File: "m.onnx"})
	if _, err := other.Graph(m); err == nil || !strings.Contains(err.Error(), "not decoded into this backend") {
		t.Errorf("another backend: %v", err)
	}
	if _, err := New(Options{}).Graph(onnxgo.NewModel(b)); err == nil {
		t.Error("no error before anything is decoded")
	}
}
