package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Gather is ONNX Gather (1, 11, 13): slices of data along Axis at the indices, which may count from the end. The axis is replaced by
// the axes of the indices (none for a scalar index).
type Gather struct {
	Axis int `attr:"axis"`
}

func (*Gather) OpName() string { return "Gather" }

func (o *Gather) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, idx := in[0], in[1]
	if !idx.Elem.IsInt() {
		return nil, fmt.Errorf("input 1 (indices): want integers, got %v", *idx)
	}
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: x.Elem, Shape: slices.Concat(x.Shape[:a], idx.Shape, x.Shape[a+1:])}}, nil
}

func (o *Gather) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, idx, y := in[0], in[1].I, out[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	n := x.Shape[a]
	outer, inner := block(x.Shape, a)
	for k, i := range idx {
		if i < -int64(n) || i >= int64(n) {
			return nil, fmt.Errorf("input 1 (indices): element %d is %s, want %d to %d", k, ir.DimString(int(i)), -n, n-1)
		}
		if i < 0 {
			i += int64(n)
		}
		for q := range outer {
			copyRange(y, (q*len(idx)+k)*inner, x, (q*n+int(i))*inner, inner)
		}
	}
	return out, nil
}
