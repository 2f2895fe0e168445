package op

import (
	"quern/ir"
	"quern/ir/tensor"
)

// Clip is ONNX Clip (6, 11, 12, 13) on reals: min(max(x, Min), Max); the bounds are inputs in ONNX since 11. Without a bound it is the
// greatest float32, as in ONNX.
type Clip struct {
	Min float32 `attr:"min"`
	Max float32 `attr:"max"`
}

func (*Clip) OpName() string { return "Clip" }

func (*Clip) Infer(in []*ir.Type) ([]ir.Type, error) { return realMap(in) }

func (o *Clip) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	y := tensor.New(x.Elem, x.Shape...)
	lo, hi := o.Min, o.Max
	for i, v := range x.F {
		y.F[i] = min(max(v, lo), hi)
	}
	return []*tensor.T{y}, nil
}
