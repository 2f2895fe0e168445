package op

import (
	"quern/ir"
	"quern/ir/tensor"
)

// Relu is ONNX Relu (6, 13, 14): max(x, 0).
type Relu struct{}

func (*Relu) OpName() string { return "Relu" }

func (*Relu) Infer(in []*ir.Type) ([]ir.Type, error) { return sameType(in[0]), nil }

func (o *Relu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapFloat(in[0], func(x float32) float32 { return max(x, 0) }), nil
}

// sameType is the inference of operators that keep element type and shape.
func sameType(x *ir.Type) []ir.Type { return []ir.Type{{Elem: x.Elem, Shape: x.Shape}} }

// mapFloat applies f to every element.
func mapFloat(x *tensor.T, f func(float32) float32) []*tensor.T {
	y := tensor.New(x.Elem, x.Shape...)
	for i, v := range x.F {
		y.F[i] = f(v)
	}
	return []*tensor.T{y}
}
