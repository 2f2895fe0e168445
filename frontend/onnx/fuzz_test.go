package onnx

import (
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
)

// FuzzFromProto: no file crashes the importer; what it takes is a valid graph, which the exporter takes or refuses, and whose export can
// be imported.
func FuzzFromProto(f *testing.F) {
	for _, text := range []string{`
		in x f32[N,2,4,4]
		const w f32[1,2,1,1] = 1 2
		y = Conv<auto_pad="SAME_UPPER",kernel_shape=[1,1]>(x, w)
		z, i = MaxPool<kernel_shape=[2,2],ceil_mode=1>(y)
		s = Shape(z)
		k = Gather(s, j)
		const j i64[1] = 0
		c = Concat<axis=0>(k, m)
		m = Constant<value_ints=[-1]>()
		r = Reshape(z, c)
		out r`, `
		opset 11
		in x f32[1,2,3]
		y = Softmax(x)
		a, b = Split<axis=1>(y)
		const p i64[6] = 1 0 0 0 0 1
		c = Pad(a, p)
		d = Clip(c, _, v)
		const v f32[] = 1
		e = Transpose(d)
		f = Unsqueeze<axes=[-1]>(e)
		out f`, `
		opset onnx.brevitas 1
		in x f32[N,2]
		const s f32[] = 0.5
		const z f32[] = 0
		const b f32[] = 4
		const w f32[2,2] = 1 2 3 4
		a = onnx.brevitas::Quant<signed=0,narrow=1>(x, s, z, b)
		v = onnx.brevitas::Quant<rounding_mode="FLOOR",quern_min=-3>(w, s, z, b)
		y = MatMul(a, v)
		q = QuantizeLinear(y, s)
		r = Relu(q)
		o = DequantizeLinear(r, s)
		out o`, `
		const c i64[2] = 2 3
		in x i8[2,3]
		a = ConstantOfShape<value=f32[1]{1}>(c)
		t = Tile(a, c)
		e = Expand(a, c)
		d = DequantizeLinear(x, s)
		const s f32[1] = 1
		u = Add(d, e)
		m = ReduceMean<axes=[-1],keepdims=0>(u)
		k = Slice(m, n, h)
		const n i64[1] = -1
		const h i64[1] = 9223372036854775807
		g = ArgMax(k)
		l = Cast<to=1>(g)
		out l
		out t`,
	} {
		b, err := proto.Marshal(parseModel(f, text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	if b, err := os.ReadFile("../../testdata/models/lenet_mnist_e10.onnx"); err == nil {
		f.Add(b[:64]) // the whole would only slow the search
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &onnxpb.ModelProto{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		g, err := FromProto(m, "f.onnx", Options{})
		if err != nil {
			return
		}
		if err := ir.Verify(g); err != nil {
			t.Fatal(err)
		}
		p, err := ToProto(g, QONNX)
		if err != nil {
			return
		}
		r, err := FromProto(p, "f.onnx", Options{})
		if err != nil {
			t.Fatalf("import of the export: %v", err)
		}
		if len(r.Outputs) != len(g.Outputs) {
			t.Fatalf("%d outputs became %d", len(g.Outputs), len(r.Outputs))
		}
	})
}
