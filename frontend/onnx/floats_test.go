package onnx

import (
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/backends/interp"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
)

// TestFloatTypes: LeNet with weights, input and output of another float type gives the same classes, with differences of the size that the
// type's precision explains. Types that are mixed need Casts, which change nothing.
func TestFloatTypes(t *testing.T) {
	file := "../../testdata/models/lenet_mnist_e10.onnx"
	m, err := onnxpb.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	float := classify(t, m)
	for _, c := range []struct {
		typ       onnxpb.TensorProto_DataType
		tolerance float64
	}{
		{onnxpb.TensorProto_DOUBLE, 0},
		{onnxpb.TensorProto_FLOAT16, 0x1p-9},
		{onnxpb.TensorProto_BFLOAT16, 0x1p-5},
	} {
		t.Run(c.typ.String(), func(t *testing.T) {
			k := proto.CloneOf(m)
			for _, p := range k.Graph.Initializer {
				convert(t, p, c.typ)
			}
			for _, v := range append(k.Graph.Input, k.Graph.Output...) {
				v.Type.GetTensorType().ElemType = proto.Int32(int32(c.typ))
			}
			check(t, classify(t, k), float, c.tolerance)

			// Input and output as float32, a Cast behind the one and one before the other.
			k.Graph.Input[0].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_FLOAT))
			k.Graph.Output[0].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_FLOAT))
			x, y := k.Graph.Input[0].GetName(), k.Graph.Output[0].GetName()
			for _, n := range k.Graph.Node {
				for i, s := range n.Input {
					if s == x {
						n.Input[i] = "cast_x"
					}
				}
				for i, s := range n.Output {
					if s == y {
						n.Output[i] = "cast_y"
					}
				}
			}
			cast := func(in, out string, to onnxpb.TensorProto_DataType) {
				k.Graph.Node = append(k.Graph.Node, &onnxpb.NodeProto{OpType: proto.String("Cast"), Input: []string{in}, Output: []string{out},
					Attribute: []*onnxpb.AttributeProto{intAttr("to", int(to))}})
			}
			cast(x, "cast_x", c.typ)
			cast("cast_y", y, onnxpb.TensorProto_FLOAT)
			check(t, classify(t, k), float, c.tolerance)
		})
	}
}

// convert stores a tensor of float32 as another float type.
func convert(t *testing.T, p *onnxpb.TensorProto, typ onnxpb.TensorProto_DataType) {
	if p.GetDataType() != int32(onnxpb.TensorProto_FLOAT) {
		return
	}
	d, err := onnxpb.Decode(p, "")
	if err != nil {
		t.Fatal(err)
	}
	d.Type = int32(typ)
	q, err := onnxpb.Encode(p.GetName(), d)
	if err != nil {
		t.Fatal(err)
	}
	proto.Reset(p)
	proto.Merge(p, q)
}

// classify is what a model makes of 200 random images.
func classify(t *testing.T, m *onnxpb.ModelProto) [][]float32 {
	t.Helper()
	g, err := FromProto(m, "lenet.onnx", Options{Dims: map[string]int{"N": 1}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	shape := append([]int(nil), g.Inputs[0].Type.Shape...)
	if ir.IsSymbol(shape[0]) {
		shape[0] = 1
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all [][]float32
	for range 200 {
		x := tensor.New(tensor.F32, shape...)
		for i := range x.F {
			x.F[i] = float32(r.IntN(256)) / 256 * float32(r.IntN(2)) // exact in all types
		}
		y, err := run.Run([]*tensor.T{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, y[0].F)
	}
	return all
}

// check compares results, relative to the greatest of an image, and the classes unless two are closer than the tolerance.
func check(t *testing.T, got, want [][]float32, tolerance float64) {
	t.Helper()
	for i := range want {
		top, best, second := 0.0, 0, math.Inf(-1)
		for k, x := range want[i] {
			top = max(top, math.Abs(float64(x)))
			if x > want[i][best] {
				best = k
			}
		}
		class := 0
		for k, x := range want[i] {
			if k != best {
				second = max(second, float64(x))
			}
			if got[i][k] > got[i][class] {
				class = k
			}
			if d := math.Abs(float64(got[i][k]) - float64(x)); d > tolerance*top {
				t.Fatalf("image %d, class %d: got %v, want %v within %v of %v", i, k, got[i][k], x, tolerance, top)
			}
		}
		if class != best && float64(want[i][best])-second > 2*tolerance*top {
			t.Errorf("image %d: class %d, want %d", i, class, best)
		}
	}
}
