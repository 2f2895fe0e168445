package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Split is ONNX Split (2 and later; the sizes are an input since 13): cuts an axis into parts, one result each. The sizes are always
// given: the importer works out those of equal parts.
type Split struct {
	Axis  int   `attr:"axis"`
	Split []int `attr:"split"`
}

func (*Split) OpName() string { return "Split" }

func (o *Split) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	if len(o.Split) == 0 {
		return nil, fmt.Errorf("split: want the size of each part")
	}
	var out []ir.Type
	sum := 0
	for i, n := range o.Split {
		if n < 0 {
			return nil, fmt.Errorf("split %s: entry %d: want 0 or more", FormatAttr(o.Split), i)
		}
		sum += n
		t := ir.Type{Elem: x.Elem, Shape: slices.Clone(x.Shape)}
		t.Shape[a] = n
		out = append(out, t)
	}
	if !mayEqual(sum, x.Shape[a]) {
		return nil, fmt.Errorf("split %v: want sizes that add up to axis %d of %v", o.Split, a, *x)
	}
	return out, nil
}

func (o *Split) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	outer, inner := block(x.Shape, a)
	row := x.Shape[a] * inner
	at := 0
	for _, y := range out {
		n := y.Shape[a] * inner
		for i := range outer {
			copyRange(y, i*n, x, i*row+at, n)
		}
		at += n
	}
	return out, nil
}
