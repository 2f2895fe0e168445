package op

import (
	"quern/ir"
	"quern/ir/tensor"
)

// Identity is ONNX Identity (1 and later) on any element type.
type Identity struct{}

// Dropout is ONNX Dropout (7 and later) at inference: the identity. Ratio, mask and training mode are left to the importer to drop or
// refuse.
type Dropout struct{}

func (*Identity) OpName() string { return "Identity" }
func (*Dropout) OpName() string  { return "Dropout" }

func (*Identity) Infer(in []*ir.Type) ([]ir.Type, error) { return same(in) }
func (*Dropout) Infer(in []*ir.Type) ([]ir.Type, error)  { return same(in) }

func (*Identity) Eval(in []*tensor.T) ([]*tensor.T, error) { return in[:1], nil }
func (*Dropout) Eval(in []*tensor.T) ([]*tensor.T, error)  { return in[:1], nil }

// same is the inference of the identity.
func same(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	return sameType(in[0]), nil
}
