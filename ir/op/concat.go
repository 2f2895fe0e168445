package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Concat is ONNX Concat (4, 11, 13): one or more inputs, one behind the other along Axis.
type Concat struct {
	Axis int `attr:"axis"`
}

func (*Concat) OpName() string { return "Concat" }

func (o *Concat) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, -1); err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(x.Shape)
	for i, t := range in[1:] {
		if t.Elem != x.Elem || len(t.Shape) != len(shape) {
			return nil, fmt.Errorf("input %d: want the element type and %d dims of input 0, %v, got %v", i+1, len(shape), *x, *t)
		}
		for k, d := range t.Shape {
			switch {
			case k == a && (ir.IsSymbol(d) || ir.IsSymbol(shape[a])):
				return nil, fmt.Errorf("input %d: the dimensions along axis %d must be known, got %v after %v", i+1, a, *t, *x)
			case k == a:
				shape[a] += d
			case !mayEqual(d, shape[k]):
				return nil, fmt.Errorf("input %d: want %s along axis %d, got %v", i+1, ir.DimString(shape[k]), k, *t)
			default:
				shape[k] = unify(shape[k], d)
			}
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Concat) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	y := out[0]
	a, err := axisOf(o.Axis, len(y.Shape))
	if err != nil {
		return nil, err
	}
	outer, inner := block(y.Shape, a)
	row := y.Shape[a] * inner
	at := 0
	for _, x := range in {
		n := x.Shape[a] * inner
		for i := range outer {
			copyRange(y, i*row+at, x, i*n, n)
		}
		at += n
	}
	return out, nil
}

// copyRange copies n elements.
func copyRange(dst *tensor.T, to int, src *tensor.T, from, n int) {
	if dst.F != nil {
		copy(dst.F[to:to+n], src.F[from:from+n])
	} else {
		copy(dst.I[to:to+n], src.I[from:from+n])
	}
}
