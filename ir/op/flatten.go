package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// Flatten is ONNX Flatten (1 and later): two axes, the product of the dims before Axis and the product of those from it on.
type Flatten struct {
	Axis int `attr:"axis"` // -rank to rank
}

func (*Flatten) OpName() string { return "Flatten" }

func (o *Flatten) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	r, a := len(x.Shape), o.Axis
	if a < -r || a > r {
		return nil, fmt.Errorf("axis %d of %d dims: want %d to %d", a, r, -r, r)
	}
	if a < 0 {
		a += r
	}
	rows, err := product(x.Shape[:a])
	if err != nil {
		return nil, err
	}
	cols, err := product(x.Shape[a:])
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: x.Elem, Shape: []int{rows, cols}}}, nil
}

// product is the size of several axes taken as one: a symbolic dimension passes only among ones.
func product(shape []int) (int, error) {
	n, sym := 1, 0
	for _, d := range shape {
		switch {
		case !ir.IsSymbol(d):
			n *= d
		case sym != 0:
			return 0, fmt.Errorf("dimension %s must be known", ir.DimString(d))
		default:
			sym = d
		}
	}
	if sym == 0 {
		return n, nil
	}
	if n != 1 {
		return 0, fmt.Errorf("dimension %s must be known: it is multiplied by %d", ir.DimString(sym), n)
	}
	return sym, nil
}

func (o *Flatten) Eval(in []*tensor.T) ([]*tensor.T, error) { return view(o, in) }

// view is the kernel of operators that only change the shape.
func view(o ir.Op, in []*tensor.T) ([]*tensor.T, error) {
	types, err := o.Infer([]*ir.Type{{Elem: in[0].Elem, Shape: in[0].Shape}})
	if err != nil {
		return nil, err
	}
	return []*tensor.T{in[0].Reshape(types[0].Shape...)}, nil
}
