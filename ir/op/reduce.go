package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// ReduceMean, ReduceSum, ReduceMax and ReduceMin are ONNX's (1 and later; the axes are an input since 18, for ReduceSum since 13), over
// the given axes, or all if there are none. Sums and means are accumulated in float64; the mean is of reals only.
type (
	ReduceMean struct {
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"` // reduced axes stay with size 1
	}
	ReduceSum struct {
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceMax struct {
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceMin struct {
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
)

func (*ReduceMean) OpName() string { return "ReduceMean" }
func (*ReduceSum) OpName() string  { return "ReduceSum" }
func (*ReduceMax) OpName() string  { return "ReduceMax" }
func (*ReduceMin) OpName() string  { return "ReduceMin" }

func (o *ReduceMean) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	return inferReduce(in, o.Axes, o.KeepDims)
}

func (o *ReduceSum) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}
func (o *ReduceMax) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}
func (o *ReduceMin) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}

func inferReduce(in []*ir.Type, axes []int, keep bool) ([]ir.Type, error) {
	if _, err := arith(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	set, err := reduced(axes, len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := []int{}
	for i, d := range x.Shape {
		if !set[i] {
			shape = append(shape, d)
		} else if keep {
			shape = append(shape, 1)
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

// reduced marks the axes to reduce; none given means all.
func reduced(axes []int, rank int) ([]bool, error) {
	set, err := axisSet(axes, rank)
	if len(axes) == 0 {
		for i := range set {
			set[i] = true
		}
	}
	return set, err
}

func (o *ReduceMean) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, sumRow[float64, float32], nil, func(sum float64, n int) float32 { return float32(sum / float64(n)) })
}

func (o *ReduceSum) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, sumRow[float64, float32], sumRow[int64, int64], toFloat)
}

func (o *ReduceMax) Eval(in []*tensor.T) ([]*tensor.T, error) {
	lo, _ := rangeOf(in[0])
	return reduce(o, in, o.Axes, math.Inf(-1), lo, maxRow[float64, float32], maxRow[int64, int64], toFloat)
}

func (o *ReduceMin) Eval(in []*tensor.T) ([]*tensor.T, error) {
	_, hi := rangeOf(in[0])
	return reduce(o, in, o.Axes, math.Inf(1), hi, minRow[float64, float32], minRow[int64, int64], toFloat)
}

func toFloat(acc float64, _ int) float32 { return float32(acc) }

func rangeOf(x *tensor.T) (lo, hi int64) {
	if x.Elem.IsInt() {
		return x.Elem.Range()
	}
	return 0, 0
}

// A rowFunc takes x into accumulators: all of x into acc[0] if there is only one, else x[i] into acc[i].
type rowFunc[A float64 | int64, X number] func(acc []A, x []X)

func sumRow[A float64 | int64, X number](acc []A, x []X) {
	if len(acc) == 1 {
		s := acc[0]
		for _, v := range x {
			s += A(v)
		}
		acc[0] = s
		return
	}
	for i, v := range x {
		acc[i] += A(v)
	}
}

func maxRow[A float64 | int64, X number](acc []A, x []X) {
	if len(acc) == 1 {
		m := acc[0]
		for _, v := range x {
			m = max(m, A(v))
		}
		acc[0] = m
		return
	}
	for i, v := range x {
		acc[i] = max(acc[i], A(v))
	}
}

func minRow[A float64 | int64, X number](acc []A, x []X) {
	if len(acc) == 1 {
		m := acc[0]
		for _, v := range x {
			m = min(m, A(v))
		}
		acc[0] = m
		return
	}
	for i, v := range x {
		acc[i] = min(acc[i], A(v))
	}
}

// reduce runs a reduction whose accumulators start at f0 (reals) or i0 (integers); end makes the result from an accumulator of reals
// and the number of elements it took.
func reduce(o ir.Op, in []*tensor.T, axes []int, f0 float64, i0 int64, floats rowFunc[float64, float32], ints rowFunc[int64, int64],
	end func(acc float64, n int) float32) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	set, err := reduced(axes, len(x.Shape))
	if err != nil {
		return nil, err
	}
	if !x.Elem.IsFloat() {
		for i := range y.I {
			y.I[i] = i0
		}
		reduceInto(y.I, x.I, x.Shape, set, ints)
		wrap(y)
		return out, nil
	}
	acc := make([]float64, len(y.F))
	for i := range acc {
		acc[i] = f0
	}
	reduceInto(acc, x.F, x.Shape, set, floats)
	n := 1
	for i, d := range x.Shape {
		if set[i] {
			n *= d
		}
	}
	for i, a := range acc {
		y.F[i] = end(a, n)
	}
	return out, nil
}

func reduceInto[A float64 | int64, X number](acc []A, x []X, shape []int, set []bool, f rowFunc[A, X]) {
	type loop struct {
		n   int
		red bool
		acc int // stride of the accumulators
	}
	loops := []loop{{1, true, 0}} // innermost first; neighbours of one kind are merged
	stride := 1
	for i := len(shape) - 1; i >= 0; i-- {
		n, last := shape[i], &loops[len(loops)-1]
		switch {
		case n == 1:
		case last.n == 1:
			*last = loop{n: n, red: set[i]}
		case last.red == set[i]:
			last.n *= n
		default:
			loops = append(loops, loop{n: n, red: set[i]})
		}
		if l := &loops[len(loops)-1]; !set[i] {
			if !l.red && l.acc == 0 {
				l.acc = stride
			}
			stride *= n
		}
	}
	if len(x) == 0 {
		return
	}
	at := 0
	var walk func(level, a int)
	walk = func(level, a int) {
		l := loops[level]
		if level > 0 {
			for range l.n {
				walk(level-1, a)
				a += l.acc
			}
			return
		}
		row := x[at : at+l.n]
		at += l.n
		if l.red {
			f(acc[a:a+1], row)
		} else {
			f(acc[a:a+l.n], row)
		}
	}
	walk(len(loops)-1, 0)
}

// ArgMax is ONNX ArgMax (1, 11, 12, 13): the index of the greatest element along an axis as int64; of equals the first, or the last if
// SelectLastIndex.
type ArgMax struct {
	Axis            int  `attr:"axis"`
	KeepDims        bool `attr:"keepdims"`
	SelectLastIndex bool `attr:"select_last_index"`
}

func (*ArgMax) OpName() string { return "ArgMax" }

func (o *ArgMax) Infer(in []*ir.Type) ([]ir.Type, error) {
	r, err := inferReduce(in, []int{o.Axis}, o.KeepDims)
	if err != nil {
		return nil, err
	}
	if a, _ := axisOf(o.Axis, len(in[0].Shape)); in[0].Shape[a] == 0 {
		return nil, fmt.Errorf("input 0: axis %d of %v is empty", a, *in[0])
	}
	r[0].Elem = tensor.I64
	return r, nil
}

func (o *ArgMax) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return argBest(o, in, func(v, best float64) bool { return v > best })
}

// argBest is the index of the element along an axis that no other is better than.
func argBest(o *ArgMax, in []*tensor.T, better func(v, best float64) bool) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	x, y := in[0], out[0].I
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	n := x.Shape[a]
	outer, inner := block(x.Shape, a)
	for q := range outer {
		for i := range inner {
			best := 0
			for k := 1; k < n; k++ {
				v, b := x.Float((q*n+k)*inner+i), x.Float((q*n+best)*inner+i)
				if better(v, b) || o.SelectLastIndex && v == b {
					best = k
				}
			}
			y[q*inner+i] = int64(best)
		}
	}
	return out, nil
}
