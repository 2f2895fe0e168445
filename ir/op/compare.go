package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Comparisons, elementwise with numpy's broadcasting; the result is bool. Equal is ONNX's (7, 11, 13, 19), Greater and Less (7, 9, 13),
// GreaterOrEqual and LessOrEqual (12, 16). A comparison with NaN is false. A symbolic dimension stands for 1 or more, so that the
// comparisons with -1 and 0 in exporters' shape chains have a result; others with a number are refused.
type (
	Equals         struct{} // Equal is a function of this package
	Greater        struct{}
	GreaterOrEqual struct{}
	Less           struct{}
	LessOrEqual    struct{}
)

func (*Equals) OpName() string         { return "Equal" }
func (*Greater) OpName() string        { return "Greater" }
func (*GreaterOrEqual) OpName() string { return "GreaterOrEqual" }
func (*Less) OpName() string           { return "Less" }
func (*LessOrEqual) OpName() string    { return "LessOrEqual" }

func (*Equals) Infer(in []*ir.Type) ([]ir.Type, error) { return asBool(pair(in, "", anything)) }

func (*Greater) Infer(in []*ir.Type) ([]ir.Type, error)        { return asBool(arith(in, 2, 2)) }
func (*GreaterOrEqual) Infer(in []*ir.Type) ([]ir.Type, error) { return asBool(arith(in, 2, 2)) }
func (*Less) Infer(in []*ir.Type) ([]ir.Type, error)           { return asBool(arith(in, 2, 2)) }
func (*LessOrEqual) Infer(in []*ir.Type) ([]ir.Type, error)    { return asBool(arith(in, 2, 2)) }

func (o *Equals) Eval(in []*tensor.T) ([]*tensor.T, error)         { return compare(o, in, 0) }
func (o *Greater) Eval(in []*tensor.T) ([]*tensor.T, error)        { return compare(o, in, 1) }
func (o *GreaterOrEqual) Eval(in []*tensor.T) ([]*tensor.T, error) { return compare(o, in, 0, 1) }
func (o *Less) Eval(in []*tensor.T) ([]*tensor.T, error)           { return compare(o, in, -1) }
func (o *LessOrEqual) Eval(in []*tensor.T) ([]*tensor.T, error)    { return compare(o, in, -1, 0) }

// pair is the inference of elementwise operators on two broadcast inputs of one element type, which ok has to take.
func pair(in []*ir.Type, want string, ok func(tensor.Elem) bool) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	for i, t := range in {
		if !ok(t.Elem) {
			return nil, fmt.Errorf("input %d: want %s, got %v", i, want, *t)
		}
	}
	if in[0].Elem != in[1].Elem {
		return nil, fmt.Errorf("input 1: want the element type of input 0, %v, got %v", in[0].Elem, *in[1])
	}
	shape, err := Broadcast(in[0].Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: shape}}, nil
}

func anything(tensor.Elem) bool { return true }

// asBool makes inferred types those of truth values.
func asBool(types []ir.Type, err error) ([]ir.Type, error) {
	for i := range types {
		types[i].Elem = tensor.B
	}
	return types, err
}

// compare is true where the order of a and b (-1, 0 or 1) is one of those given.
func compare(o ir.Op, in []*tensor.T, orders ...int) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	a, b, y := in[0], in[1], out[0]
	var truth [4]float32 // by order + 1; the last is for NaN
	for _, c := range orders {
		truth[c+1] = 1
	}
	if a.Elem.IsFloat() {
		f := make([]float32, len(y.I))
		zip(f, a.F, b.F, y.Shape, a.Shape, b.Shape, func(dst, a, b []float32) {
			for i := range dst {
				switch {
				case a[i] < b[i]:
					dst[i] = truth[0]
				case a[i] == b[i]:
					dst[i] = truth[1]
				case a[i] > b[i]:
					dst[i] = truth[2]
				default:
					dst[i] = truth[3]
				}
			}
		})
		for i, v := range f {
			y.I[i] = int64(v)
		}
		return out, nil
	}
	zip(y.I, a.I, b.I, y.Shape, a.Shape, b.Shape, func(dst, a, b []int64) {
		for i := range dst {
			c, known := order(int(a[i]), int(b[i]))
			if !known && err == nil {
				err = fmt.Errorf("comparison of %s and %s: the dimension must be known", ir.DimString(int(a[i])), ir.DimString(int(b[i])))
			}
			dst[i] = int64(truth[c+1])
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// order is -1, 0 or 1 as a is less than, equal to or greater than b, either of which may be a symbolic dimension.
func order(a, b int) (c int, known bool) {
	switch {
	case a == b:
		return 0, true
	case ir.IsSymbol(a) && ir.IsSymbol(b) || ir.IsSymbol(a) && b > 0 || ir.IsSymbol(b) && a > 0:
		return 0, false
	case ir.IsSymbol(b) || !ir.IsSymbol(a) && a < b:
		return -1, true
	}
	return 1, true
}

// Where is ONNX Where (9, 16): elements of the second input where the first is true, else of the third, with numpy's broadcasting.
// Symbolic dimensions pass.
type Where struct{}

func (*Where) OpName() string { return "Where" }

func (*Where) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 3, 3); err != nil {
		return nil, err
	}
	if in[0].Elem != tensor.B {
		return nil, fmt.Errorf("input 0 (condition): want bool, got %v", *in[0])
	}
	types, err := pair(in[1:], "", anything)
	if err != nil {
		return nil, fmt.Errorf("inputs 1 and 2: %w", err)
	}
	shape, err := Broadcast(types[0].Shape, in[0].Shape)
	if err != nil {
		return nil, fmt.Errorf("input 0 (condition): %w", err)
	}
	types[0].Shape = shape
	return types, nil
}

func (o *Where) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	y := out[0]
	full := make([]*tensor.T, 3)
	for i, x := range in {
		r, err := (&Expand{y.Shape}).Eval([]*tensor.T{x})
		if err != nil {
			return nil, err
		}
		full[i] = r[0]
	}
	y.F, y.I = slices.Clone(full[2].F), slices.Clone(full[2].I)
	for i, c := range full[0].I {
		if c != 0 {
			copyRange(y, i, full[1], i, 1)
		}
	}
	return out, nil
}
