package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Reshape is ONNX Reshape (5 and later; the shape is an input there): the same elements under another shape. An entry 0 copies the
// input's dimension of the same axis (unless AllowZero), one entry may be -1: what is left. Entries may be symbolic dimensions.
type Reshape struct {
	Shape     []int `attr:"shape"`
	AllowZero bool  `attr:"allowzero"`
}

func (*Reshape) OpName() string { return "Reshape" }

// BindDims is the operator with sizes in place of symbols.
func (o *Reshape) BindDims(size func(int) int) ir.Op {
	return &Reshape{bindAll(o.Shape, size), o.AllowZero}
}

func bindAll(dims []int, size func(int) int) []int {
	r := slices.Clone(dims)
	for i, d := range r {
		r[i] = size(d)
	}
	return r
}

func (o *Reshape) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	shape := slices.Clone(o.Shape)
	left := -1 // axis of the -1
	n := 1     // product of the known sizes of the result
	for i, d := range shape {
		switch {
		case d == 0 && !o.AllowZero:
			if i >= len(x.Shape) {
				return nil, fmt.Errorf("shape %s: entry %d copies a dimension that %v lacks", FormatAttr(o.Shape), i, *x)
			}
			shape[i] = x.Shape[i]
		case d == -1 && left >= 0:
			return nil, fmt.Errorf("shape %s: want at most one -1", FormatAttr(o.Shape))
		case d == -1:
			left = i
		case d < 0 && !ir.IsSymbol(d):
			return nil, fmt.Errorf("shape %s: entry %d: want -1 or more", FormatAttr(o.Shape), i)
		}
		if i != left && !ir.IsSymbol(shape[i]) {
			n *= shape[i]
		}
	}
	// Symbols on both sides cancel.
	m := 1
	var syms []int // those of the input that are not in the result
	rest := slices.Clone(shape)
	for _, d := range x.Shape {
		if !ir.IsSymbol(d) {
			m *= d
		} else if i := slices.Index(rest, d); i >= 0 {
			rest[i] = 1
		} else {
			syms = append(syms, d)
		}
	}
	open := slices.ContainsFunc(rest, ir.IsSymbol)
	bad := fmt.Errorf("%v does not fit the shape %s", *x, FormatAttr(o.Shape))
	switch {
	case left < 0:
		// With symbols left over on one side, the other side has to be a multiple.
		if len(syms) == 0 && !open && m != n || len(syms) > 0 && !open && m > 0 && n%m != 0 || open && len(syms) == 0 && n > 0 && m%n != 0 {
			return nil, bad
		}
	case n == 0:
		return nil, fmt.Errorf("shape %s: the size of the -1 is not determined beside a 0", FormatAttr(o.Shape))
	case len(syms) == 0 && !open:
		if m%n != 0 {
			return nil, bad
		}
		shape[left] = m / n
	case len(syms) == 1 && !open && m == n:
		shape[left] = syms[0]
	default:
		return nil, fmt.Errorf("%v to shape %s: the dimensions must be known to find the -1", *x, FormatAttr(o.Shape))
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Reshape) Eval(in []*tensor.T) ([]*tensor.T, error) { return view(o, in) }
