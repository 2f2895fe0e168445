package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// CumSum is ONNX CumSum (11, 14; the axis is an input there): running sums along an axis. Exclusive leaves out the element itself, Reverse
// sums from the end.
type CumSum struct {
	Axis      int  `attr:"axis"`
	Exclusive bool `attr:"exclusive"`
	Reverse   bool `attr:"reverse"`
}

// ReverseSequence is ONNX ReverseSequence (10): for each index of BatchAxis the first elements along TimeAxis, as many as the second
// input (int64[batch]) says, in reverse order.
type ReverseSequence struct {
	BatchAxis int `attr:"batch_axis"` // BatchAxis and TimeAxis are 0 and 1, or 1 and 0
	TimeAxis  int `attr:"time_axis"`
}

// Trilu is ONNX Trilu (14; K is an input there): of the matrices in the last two axes the upper triangle, or the lower one, with the
// diagonal K above the main one; 0 elsewhere.
type Trilu struct {
	K     int  `attr:"k"`
	Upper bool `attr:"upper"`
}

func (*CumSum) OpName() string          { return "CumSum" }
func (*ReverseSequence) OpName() string { return "ReverseSequence" }
func (*Trilu) OpName() string           { return "Trilu" }

func (o *CumSum) Infer(in []*ir.Type) ([]ir.Type, error) {
	types, err := arith(in, 1, 1)
	if err != nil {
		return nil, err
	}
	if _, err := axisOf(o.Axis, len(in[0].Shape)); err != nil {
		return nil, err
	}
	return types, nil
}

func (o *CumSum) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	outer, inner := block(x.Shape, a)
	n := x.Shape[a]
	for q := range outer {
		for i := range inner {
			at := func(k int) int {
				if o.Reverse {
					k = n - 1 - k
				}
				return (q*n+k)*inner + i
			}
			if x.Elem.IsFloat() {
				running(n, at, o.Exclusive, func(k int, acc float64) float64 { return acc + float64(x.F[k]) },
					func(k int, acc float64) { y.F[k] = float32(acc) })
			} else {
				running(n, at, o.Exclusive, func(k int, acc int64) int64 { return acc + x.I[k] }, func(k int, acc int64) { y.I[k] = acc })
			}
		}
	}
	wrap(y)
	return out, nil
}

func running[A float64 | int64](n int, at func(int) int, exclusive bool, add func(int, A) A, put func(int, A)) {
	var acc A
	for k := range n {
		before := acc
		if acc = add(at(k), acc); exclusive {
			put(at(k), before)
		} else {
			put(at(k), acc)
		}
	}
}

func (o *ReverseSequence) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, lens := in[0], in[1]
	if o.BatchAxis+o.TimeAxis != 1 || o.BatchAxis*o.TimeAxis != 0 {
		return nil, fmt.Errorf("batch_axis %d and time_axis %d: want 0 and 1, or 1 and 0", o.BatchAxis, o.TimeAxis)
	}
	if len(x.Shape) < 2 {
		return nil, fmt.Errorf("input 0: want 2 or more dims, got %v", *x)
	}
	if !lens.Elem.IsInt() || len(lens.Shape) != 1 || !mayEqual(lens.Shape[0], x.Shape[o.BatchAxis]) {
		return nil, fmt.Errorf("input 1 (sequence_lens): want integers, one for each index of axis %d of %v, got %v", o.BatchAxis, *x, *lens)
	}
	return sameType(x), nil
}

func (o *ReverseSequence) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y, lens := in[0], out[0], in[1].I
	n := x.Shape[o.TimeAxis]
	_, inner := block(x.Shape, 1)
	for b, l := range lens {
		if l < 0 || l > int64(n) {
			return nil, fmt.Errorf("input 1 (sequence_lens): element %d is %s, want 0 to %d", b, ir.DimString(int(l)), n)
		}
		at := func(t int) int {
			if o.BatchAxis == 0 {
				return (b*n + t) * inner
			}
			return (t*len(lens) + b) * inner
		}
		for t := range n {
			from := t
			if t < int(l) {
				from = int(l) - 1 - t
			}
			copyRange(y, at(t), x, at(from), inner)
		}
	}
	return out, nil
}

func (o *Trilu) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	if len(in[0].Shape) < 2 {
		return nil, fmt.Errorf("input 0: want 2 or more dims, got %v", *in[0])
	}
	return sameType(in[0]), nil
}

func (o *Trilu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	y := tensor.New(x.Elem, x.Shape...)
	r := len(x.Shape)
	rows, cols := x.Shape[r-2], x.Shape[r-1]
	for m := range tensor.Numel(x.Shape[:r-2]) * rows {
		edge := o.K + m%rows // the first column of the upper triangle
		lo, hi := min(max(edge, 0), cols), cols
		if !o.Upper {
			lo, hi = 0, min(max(edge+1, 0), cols)
		}
		copyRange(y, m*cols+lo, x, m*cols+lo, hi-lo)
	}
	return []*tensor.T{y}, nil
}

// Hardmax is ONNX Hardmax as of 13: 1 at the first greatest element along an axis, 0 elsewhere. (Before 13 it is over all axes from Axis
// on: the importer reshapes.)
type Hardmax struct {
	Axis int `attr:"axis"`
}

func (*Hardmax) OpName() string { return "Hardmax" }

func (o *Hardmax) Infer(in []*ir.Type) ([]ir.Type, error) { return alongAxis(in, o.Axis) }

func (o *Hardmax) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	y := tensor.New(x.Elem, x.Shape...)
	if x.Len() == 0 {
		return []*tensor.T{y}, nil
	}
	best, err := (&ArgMax{Axis: a}).Eval(in)
	if err != nil {
		return nil, err
	}
	_, inner := block(x.Shape, a)
	for i, k := range best[0].I {
		y.F[(i/inner*x.Shape[a]+int(k))*inner+i%inner] = 1
	}
	return []*tensor.T{y}, nil
}

// OneHot is ONNX OneHot (9, 11; the depth is an input there): a new axis of Depth elements, at which the second entry of values (second
// input, [off, on]) stands at the place that the indices say, the first elsewhere. Indices may count from the end; those beyond are
// nowhere.
type OneHot struct {
	Axis  int `attr:"axis"` // of the result
	Depth int `attr:"depth"`
}

func (*OneHot) OpName() string { return "OneHot" }

func (o *OneHot) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, v := in[0], in[1]
	if !x.Elem.IsFloat() && !x.Elem.IsInt() {
		return nil, fmt.Errorf("input 0 (indices): want numbers, got %v", *x)
	}
	if len(v.Shape) != 1 || !mayEqual(v.Shape[0], 2) {
		return nil, fmt.Errorf("values: want two, off and on, got %v", *v)
	}
	if o.Depth < 1 {
		return nil, fmt.Errorf("depth %s: want 1 or more", ir.DimString(o.Depth))
	}
	a, err := axisOf(o.Axis, len(x.Shape)+1)
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: v.Elem, Shape: slices.Insert(slices.Clone(x.Shape), a, o.Depth)}}, nil
}

func (o *OneHot) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in[0]); err != nil {
		return nil, err
	}
	x, v, y := in[0], in[1], out[0]
	a, err := axisOf(o.Axis, len(x.Shape)+1)
	if err != nil {
		return nil, err
	}
	for i := range y.Len() {
		copyRange(y, i, v, 0, 1)
	}
	_, inner := block(y.Shape, a)
	for i := range x.Len() {
		k := int(x.Float(i))
		if k < 0 {
			k += o.Depth
		}
		if k >= 0 && k < o.Depth {
			copyRange(y, (i/inner*o.Depth+k)*inner+i%inner, v, 1, 1)
		}
	}
	return out, nil
}
