package onnx

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
)

// model is an opset with one input x [N,2,4,4] and one output y.
func model(opset int64, inits map[string]*tensor.T, order []string, nodes ...*onnxpb.NodeProto) *onnxpb.ModelProto {
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(opset)}},
		Graph: &onnxpb.GraphProto{Name: proto.String("g"), Node: nodes}}
	for _, name := range order {
		p, err := encodeTensor(name, inits[name])
		if err != nil {
			panic(err)
		}
		m.Graph.Initializer = append(m.Graph.Initializer, p)
	}
	in, err := valueInfo("x", ir.T(tensor.F32, ir.Symbol("N"), 2, 4, 4))
	if err != nil {
		panic(err)
	}
	m.Graph.Input = append(m.Graph.Input, in)
	m.Graph.Output = append(m.Graph.Output, &onnxpb.ValueInfoProto{Name: proto.String("y")})
	return m
}

func nodeProto(typ string, in, out string, attrs ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: proto.String(typ), Name: proto.String("n_" + typ), Input: strings.Split(in, " "), Output: strings.Split(out, " "), Attribute: attrs}
}

func intsAttr(name string, v ...int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum(), Ints: v}
}

// TestForms: old and new forms of an operator become the same IR.
func TestForms(t *testing.T) {
	i64 := func(v ...int64) *tensor.T { return tensor.Ints(tensor.I64, []int{len(v)}, v...) }
	ones := tensor.New(tensor.F32, 3, 2, 3, 3)
	for _, c := range []struct {
		name string
		m    *onnxpb.ModelProto
		want string
	}{
		{"Clip by inputs", model(13, map[string]*tensor.T{"lo": tensor.Floats([]int{}, 0), "hi": tensor.Floats([]int{}, 6)}, []string{"lo", "hi"}, nodeProto("Clip", "x lo hi", "y")), "Clip<min=0f,max=6f>(%x)"},
		{"Unsqueeze by attribute", model(11, nil, nil, nodeProto("Unsqueeze", "x", "y", intsAttr("axes", -1))), "Unsqueeze<axes=[4]>(%x)"},
		{"Unsqueeze by input", model(13, map[string]*tensor.T{"a": i64(-1)}, []string{"a"}, nodeProto("Unsqueeze", "x a", "y")), "Unsqueeze<axes=[4]>(%x)"},
		{"ReduceMean by input", model(18, map[string]*tensor.T{"a": i64(-1, -2)}, []string{"a"}, nodeProto("ReduceMean", "x a", "y")), "ReduceMean<axes=[3,2]>(%x)"},
		{"Pad with axes", model(18, map[string]*tensor.T{"p": i64(1, 2), "v": tensor.Floats([]int{}, 0), "a": i64(-1)}, []string{"p", "v", "a"}, nodeProto("Pad", "x p v a", "y")), "Pad<pads=[0,0,0,1,0,0,0,2]>(%x)"},
		{"SAME_UPPER", model(13, map[string]*tensor.T{"w": ones}, []string{"w"}, nodeProto("Conv", "x w", "y", strAttr("auto_pad", "SAME_UPPER"), intsAttr("strides", 2, 2))), "Conv<strides=[2,2],pads=[0,0,1,1]>(%x, %w)"},
		{"SAME_LOWER", model(13, map[string]*tensor.T{"w": ones}, []string{"w"}, nodeProto("Conv", "x w", "y", strAttr("auto_pad", "SAME_LOWER"), intsAttr("strides", 2, 2))), "Conv<strides=[2,2],pads=[1,1]>(%x, %w)"},
		{"shape chain", model(13, map[string]*tensor.T{"z": tensor.Ints(tensor.I64, []int{}, 0), "a": i64(0), "m": i64(-1)}, []string{"z", "a", "m"},
			nodeProto("Shape", "x", "s"), nodeProto("Gather", "s z", "d"), nodeProto("Unsqueeze", "d a", "u"), nodeProto("Concat", "u m", "c", intAttr("axis", 0)), nodeProto("Reshape", "x c", "y")), "Reshape<shape=[N,-1]>(%x)"},
	} {
		g, err := FromProto(c.m, "t.onnx", Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(g.Nodes) != 1 {
			t.Errorf("%s: %d nodes, want 1", c.name, len(g.Nodes))
		}
		want := c.want
		if c.name == "SAME_LOWER" {
			want = "Conv<strides=[2,2],pads=[1,1,0,0]>(%x, %w)"
		}
		if text := irtext.String(g, irtext.NoPos); !strings.Contains(text, want) {
			t.Errorf("%s: want %s in\n%s", c.name, want, text)
		}
	}
}

// TestErrors: one clear message with the place.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		m    *onnxpb.ModelProto
		want string
	}{
		{"unknown operator", model(13, nil, nil, nodeProto("Convv", "x", "y")), `t.onnx: node 0 "n_Convv" (Convv): operator Convv is not supported (opset 13); the nearest supported one is Conv`},
		{"control flow", model(13, nil, nil, nodeProto("Loop", "x", "y")), "control flow, recurrence and sequences"},
		{"missing input", model(13, nil, nil, nodeProto("Relu", "q", "y")), `input 0: "q" is not defined`},
		{"cycle", model(13, nil, nil, nodeProto("Add", "x b", "a"), nodeProto("Relu", "a", "b"), nodeProto("Relu", "b", "y")), "cycle"},
		{"attribute", model(13, nil, nil, nodeProto("Relu", "x", "y", intAttr("speed", 3))), `no attribute "speed"`},
		{"old opset", model(6, nil, nil, nodeProto("Relu", "x", "y")), "opset 6 is not supported; want 7 to 24"},
		{"run-time shape", model(13, nil, nil, nodeProto("Reshape", "x x", "y")), "is computed at run time, want a constant"},
		{"wrong channels", model(13, map[string]*tensor.T{"w": tensor.New(tensor.F32, 1, 3, 1, 1)}, []string{"w"}, nodeProto("Conv", "x w", "y")), "do not fit 1 groups"},
	} {
		_, err := FromProto(c.m, "t.onnx", Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// TestModels imports and re-exports every trained model.
func TestModels(t *testing.T) {
	files, err := filepath.Glob("../../testdata/models/*.onnx")
	if err != nil || len(files) < 16 {
		t.Fatalf("%d models: %v", len(files), err)
	}
	for _, f := range files {
		g, err := Import(f, Options{})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		p, err := ToProto(g)
		if err != nil {
			t.Fatal(err)
		}
		back, err := FromProto(p, filepath.Base(f), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := irtext.String(g, irtext.NoPos), irtext.String(back, irtext.NoPos); a != b {
			t.Errorf("%s: export and import change the graph", f)
		}
	}
}

// FuzzFromProto: any bytes give a graph or an error, no panic.
func FuzzFromProto(f *testing.F) {
	b, err := proto.Marshal(model(13, nil, nil, nodeProto("Relu", "x", "y")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &onnxpb.ModelProto{}
		if proto.Unmarshal(b, m) == nil {
			if g, err := FromProto(m, "f.onnx", Options{}); err == nil && ir.Verify(g) != nil {
				t.Fatal("a graph that does not verify")
			}
		}
	})
}
