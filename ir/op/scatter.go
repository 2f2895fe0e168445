package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// ScatterElements is ONNX ScatterElements (11, 13, 16, 18) and Scatter (9): data (first input) with the updates (third input) put in where
// the indices say, along Axis as for GatherElements. With a Reduction the update is combined with what stands there; without one
// the last of several updates of one place stays, and symbolic dimensions pass.
type ScatterElements struct {
	Axis      int    `attr:"axis"`
	Reduction string `attr:"reduction"` // none, add, mul, max or min
}

// ScatterND is ONNX ScatterND (11, 13, 16, 18): data with the updates put in where the indices say, as for GatherND.
type ScatterND struct {
	Reduction string `attr:"reduction"` // none, add, mul, max or min
}

func (*ScatterElements) OpName() string { return "ScatterElements" }
func (*ScatterND) OpName() string       { return "ScatterND" }

// scatterTypes checks what all scatter operators have in common.
func scatterTypes(in []*ir.Type, reduction string) error {
	if err := inputs(in, 3, 3); err != nil {
		return err
	}
	if in[2].Elem != in[0].Elem {
		return fmt.Errorf("input 2 (updates): want the element type of input 0, %v, got %v", in[0].Elem, *in[2])
	}
	switch reduction {
	case "none":
		return nil
	case "add", "mul", "max", "min":
		_, err := arith(in[:1], 1, 1)
		return err
	}
	return fmt.Errorf("reduction %q: want none, add, mul, max or min", reduction)
}

func (o *ScatterElements) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := scatterTypes(in, o.Reduction); err != nil {
		return nil, err
	}
	if err := elementwiseIndices(in[0], in[1], o.Axis); err != nil {
		return nil, err
	}
	if !sameDims(in[1].Shape, in[2].Shape) {
		return nil, fmt.Errorf("input 2 (updates): want the shape of the indices, %v, got %v", *in[1], *in[2])
	}
	return sameType(in[0]), nil
}

func sameDims(a, b []int) bool {
	ok := len(a) == len(b)
	for i := 0; ok && i < len(a); i++ {
		ok = mayEqual(a[i], b[i])
	}
	return ok
}

func (o *ScatterElements) Eval(in []*tensor.T) ([]*tensor.T, error) {
	y, put, err := scatter(o, in, o.Reduction)
	if err != nil {
		return nil, err
	}
	if err := places(y.Shape, in[1], o.Axis, func(i, at int) { put(i, at, 1) }); err != nil {
		return nil, err
	}
	wrap(y)
	return []*tensor.T{y}, nil
}

func (o *ScatterND) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := scatterTypes(in, o.Reduction); err != nil {
		return nil, err
	}
	x, idx := in[0], in[1]
	k, err := tupleLen(x, idx, 0)
	if err != nil {
		return nil, err
	}
	want := append(append([]int{}, idx.Shape[:len(idx.Shape)-1]...), x.Shape[k:]...)
	if !sameDims(want, in[2].Shape) {
		return nil, fmt.Errorf("input 2 (updates): want %s, got %v", FormatAttr(want), *in[2])
	}
	return sameType(x), nil
}

func (o *ScatterND) Eval(in []*tensor.T) ([]*tensor.T, error) {
	y, put, err := scatter(o, in, o.Reduction)
	if err != nil {
		return nil, err
	}
	if err := tuples(y.Shape, in[1], 0, func(i, at, n int) { put(i*n, at, n) }); err != nil {
		return nil, err
	}
	wrap(y)
	return []*tensor.T{y}, nil
}

// scatter starts with a copy of data, and a function that combines n updates from offset from on with it at offset at.
func scatter(o ir.Op, in []*tensor.T, reduction string) (y *tensor.T, put func(from, at, n int), err error) {
	if _, err := inferT(o, in); err != nil {
		return nil, nil, err
	}
	y, u := in[0].Clone(), in[2]
	if reduction == "none" {
		return y, func(from, at, n int) { copyRange(y, at, u, from, n) }, nil
	}
	if err := noSymbols(in...); err != nil {
		return nil, nil, err
	}
	f, g := combine[float32](reduction), combine[int64](reduction)
	return y, func(from, at, n int) {
		if y.Elem.IsFloat() {
			f(y.F[at:at+n], y.F[at:at+n], u.F[from:from+n])
		} else {
			g(y.I[at:at+n], y.I[at:at+n], u.I[from:from+n])
		}
	}, nil
}

func combine[T number](reduction string) func(dst, a, b []T) {
	switch reduction {
	case "add":
		return add[T]
	case "mul":
		return mul[T]
	case "max":
		return maxOf[T]
	}
	return minOf[T]
}
