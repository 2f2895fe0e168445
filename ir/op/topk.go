package op

import (
	"cmp"
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// TopK is ONNX TopK (1, 10, 11, 24; K is an input since 10): the K greatest elements along an axis, or the least, and their indices as
// int64. They come in order, of equals the first before; ONNX leaves that open if they need not be sorted.
type TopK struct {
	Axis    int  `attr:"axis"`
	K       int  `attr:"k"`
	Largest bool `attr:"largest"`
	Sorted  bool `attr:"sorted"`
}

func (*TopK) OpName() string { return "TopK" }

func (o *TopK) Infer(in []*ir.Type) ([]ir.Type, error) {
	if _, err := arith(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	if ir.IsSymbol(x.Shape[a]) {
		return nil, fmt.Errorf("dimension %s must be known", ir.DimString(x.Shape[a]))
	}
	if o.K < 0 || o.K > x.Shape[a] {
		return nil, fmt.Errorf("k %s: want 0 to %d, the size of axis %d", ir.DimString(o.K), x.Shape[a], a)
	}
	shape := slices.Clone(x.Shape)
	shape[a] = o.K
	return []ir.Type{{Elem: x.Elem, Shape: shape}, {Elem: tensor.I64, Shape: slices.Clone(shape)}}, nil
}

func (o *TopK) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	outer, inner := block(x.Shape, a)
	n := x.Shape[a]
	order := make([]int, n)
	for q := range outer {
		for i := range inner {
			at := func(k int) int { return (q*n+k)*inner + i }
			for k := range order {
				order[k] = k
			}
			slices.SortStableFunc(order, func(j, k int) int {
				if o.Largest {
					j, k = k, j
				}
				if x.F != nil {
					return cmp.Compare(x.F[at(j)], x.F[at(k)])
				}
				return cmp.Compare(x.I[at(j)], x.I[at(k)])
			})
			for k := range o.K {
				to := (q*o.K+k)*inner + i
				copyRange(out[0], to, x, at(order[k]), 1)
				out[1].I[to] = int64(order[k])
			}
		}
	}
	return out, nil
}

// ArgMin is ONNX ArgMin (1, 11, 12, 13): the index of the least element along an axis as int64; of equals the first, or the last if
// SelectLastIndex.
type ArgMin struct {
	Axis            int  `attr:"axis"`
	KeepDims        bool `attr:"keepdims"`
	SelectLastIndex bool `attr:"select_last_index"`
}

func (*ArgMin) OpName() string { return "ArgMin" }

func (o *ArgMin) Infer(in []*ir.Type) ([]ir.Type, error) { return (*ArgMax)(o).Infer(in) }

func (o *ArgMin) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return argBest((*ArgMax)(o), in, func(v, best float64) bool { return v < best })
}
