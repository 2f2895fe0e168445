package op

import (
	"fmt"
	"slices"
	"sort"

	"quern/ir"
	"quern/ir/tensor"
)

// MultiThreshold is MultiThreshold of QONNX and FINN (qonnx.custom_op.general): Bias + Scale * (how many thresholds are at most x). The second
// input has the thresholds: [C,n], n for each index of Axis, or [1,n] for all; their order does not matter.
type MultiThreshold struct {
	Scale float32 `attr:"out_scale"`
	Bias  float32 `attr:"out_bias"`
	Axis  int     `attr:"axis"` // of the channels
}

func (*MultiThreshold) OpName() string { return "MultiThreshold" }

func (o *MultiThreshold) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 2); err != nil {
		return nil, err
	}
	a, err := axisOf(o.Axis, len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	if t := in[1].Shape; len(t) != 2 || t[0] != 1 && t[0] != in[0].Shape[a] {
		return nil, fmt.Errorf("input 1 (thresholds): want [1,n] or [%s,n], got %v", ir.DimString(in[0].Shape[a]), *in[1])
	}
	return sameType(in[0]), nil
}

func (o *MultiThreshold) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	rows := make([][]float32, in[1].Shape[0])
	n := in[1].Shape[1]
	for c := range rows {
		rows[c] = slices.Clone(in[1].F[c*n : (c+1)*n])
		slices.Sort(rows[c])
	}
	_, inner := block(x.Shape, a)
	for i, f := range x.F {
		t := rows[i/inner%x.Shape[a]%len(rows)]
		k := sort.Search(n, func(k int) bool { return !(f >= t[k]) })
		y.F[i] = o.Bias + o.Scale*float32(k)
	}
	return out, nil
}
