package op

import (
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Relu is ONNX Relu (6, 13, 14): max(x, 0), on reals and integers.
type Relu struct{}

func (*Relu) OpName() string { return "Relu" }

func (*Relu) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 1, 1) }

func (o *Relu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	if err := noSymbols(x); err != nil {
		return nil, err
	}
	y := tensor.New(x.Elem, x.Shape...)
	for i, v := range x.F {
		y.F[i] = max(v, 0)
	}
	for i, v := range x.I {
		y.I[i] = max(v, 0)
	}
	return []*tensor.T{y}, nil
}

// sameType is the inference of operators that keep element type and shape.
func sameType(x *ir.Type) []ir.Type { return []ir.Type{{Elem: x.Elem, Shape: slices.Clone(x.Shape)}} }
