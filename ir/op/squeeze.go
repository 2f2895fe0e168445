package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Squeeze is ONNX Squeeze (1 and later; the axes are an input since 13): takes out axes of size 1, all of them if Axes is empty.
type Squeeze struct {
	Axes []int `attr:"axes"`
}

// Unsqueeze is ONNX Unsqueeze (1 and later; the axes are an input since 13): puts in axes of size 1; Axes are those of the result.
type Unsqueeze struct {
	Axes []int `attr:"axes"`
}

func (*Squeeze) OpName() string   { return "Squeeze" }
func (*Unsqueeze) OpName() string { return "Unsqueeze" }

func (o *Squeeze) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	set, err := axisSet(o.Axes, len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for i, d := range x.Shape {
		switch {
		case len(o.Axes) == 0 && ir.IsSymbol(d):
			return nil, fmt.Errorf("no axes are given, so dimension %s must be known", ir.DimString(d))
		case set[i] && !mayEqual(d, 1):
			return nil, fmt.Errorf("axis %d of %v: want size 1", i, *x)
		case !set[i] && (len(o.Axes) > 0 || d != 1):
			shape = append(shape, d)
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Unsqueeze) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	set, err := axisSet(o.Axes, len(x.Shape)+len(o.Axes))
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(x.Shape)
	for i, s := range set {
		if s {
			shape = slices.Insert(shape, i, 1)
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Squeeze) Eval(in []*tensor.T) ([]*tensor.T, error)   { return view(o, in) }
func (o *Unsqueeze) Eval(in []*tensor.T) ([]*tensor.T, error) { return view(o, in) }
