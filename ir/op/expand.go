package op

import (
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Expand is ONNX Expand (8, 13; the shape is an input there): the input broadcast with Shape by numpy's rule, so a 1 in Shape keeps the
// input's dimension. Entries may be symbolic dimensions.
type Expand struct {
	Shape []int `attr:"shape"`
}

// Tile is ONNX Tile (6, 13; the repeats are an input there): each axis repeated so many times. A repeat may be a symbolic dimension
// where the axis has size 1.
type Tile struct {
	Repeats []int `attr:"repeats"`
}

func (*Expand) OpName() string { return "Expand" }
func (*Tile) OpName() string   { return "Tile" }

// BindDims is the operator with sizes in place of symbols.
func (o *Expand) BindDims(size func(int) int) ir.Op { return &Expand{bindAll(o.Shape, size)} }

// BindDims is the operator with sizes in place of symbols.
func (o *Tile) BindDims(size func(int) int) ir.Op { return &Tile{bindAll(o.Repeats, size)} }

func (o *Expand) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	for i, d := range o.Shape {
		if d < 0 && !ir.IsSymbol(d) || d > math.MaxInt32 {
			return nil, fmt.Errorf("shape %s: entry %d: want 0 to %d", FormatAttr(o.Shape), i, math.MaxInt32)
		}
	}
	shape, err := Broadcast(in[0].Shape, o.Shape)
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: shape}}, nil
}

func (o *Expand) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	shape, err := Broadcast(x.Shape, o.Shape)
	if err != nil {
		return nil, err
	}
	if slices.Equal(shape, x.Shape) {
		return in[:1], nil
	}
	if slices.Contains(shape, 0) {
		return []*tensor.T{tensor.New(x.Elem, shape...)}, nil
	}
	x = x.Reshape(append(ones(len(shape)-len(x.Shape)), x.Shape...)...)
	from := make([][]int, len(shape))
	for i, n := range shape {
		from[i] = make([]int, n)
		if x.Shape[i] > 1 {
			for k := range from[i] {
				from[i][k] = k
			}
		}
	}
	return []*tensor.T{pick(x, from, 0)}, nil
}

func (o *Tile) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if len(o.Repeats) != len(x.Shape) {
		return nil, fmt.Errorf("repeats %s: want %d, one for each axis of %v", FormatAttr(o.Repeats), len(x.Shape), *x)
	}
	shape := make([]int, len(x.Shape))
	for i, r := range o.Repeats {
		if r < 0 && !ir.IsSymbol(r) || r > math.MaxInt32 {
			return nil, fmt.Errorf("repeats %s: entry %d: want 0 to %d", FormatAttr(o.Repeats), i, math.MaxInt32)
		}
		var err error
		if shape[i], err = product([]int{x.Shape[i], r}); err != nil {
			return nil, err
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Tile) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x := in[0]
	if out[0].Len() == 0 {
		return out, nil
	}
	from := make([][]int, len(x.Shape))
	for i, n := range out[0].Shape {
		from[i] = make([]int, n)
		for k := range from[i] {
			from[i][k] = k % x.Shape[i]
		}
	}
	return []*tensor.T{pick(x, from, 0)}, nil
}
