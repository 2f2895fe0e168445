package op

import (
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// More reductions: ONNX's of the same names (1 and later; the axes are an input since 18), over the given axes, or all if there are none.
// Reals are accumulated in float64. ReduceL1, ReduceProd and ReduceSumSquare also take integers.
type (
	ReduceL1 struct { // sum of |x|
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceL2 struct { // square root of the sum of x*x
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceLogSum struct { // logarithm of the sum
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceLogSumExp struct { // logarithm of the sum of exponentials
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceProd struct {
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
	ReduceSumSquare struct { // sum of x*x
		Axes     []int `attr:"axes"`
		KeepDims bool  `attr:"keepdims"`
	}
)

func (*ReduceL1) OpName() string        { return "ReduceL1" }
func (*ReduceL2) OpName() string        { return "ReduceL2" }
func (*ReduceLogSum) OpName() string    { return "ReduceLogSum" }
func (*ReduceLogSumExp) OpName() string { return "ReduceLogSumExp" }
func (*ReduceProd) OpName() string      { return "ReduceProd" }
func (*ReduceSumSquare) OpName() string { return "ReduceSumSquare" }

func (o *ReduceL1) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}
func (o *ReduceL2) Infer(in []*ir.Type) ([]ir.Type, error) {
	return reduceReals(in, o.Axes, o.KeepDims)
}
func (o *ReduceLogSum) Infer(in []*ir.Type) ([]ir.Type, error) {
	return reduceReals(in, o.Axes, o.KeepDims)
}
func (o *ReduceLogSumExp) Infer(in []*ir.Type) ([]ir.Type, error) {
	return reduceReals(in, o.Axes, o.KeepDims)
}
func (o *ReduceProd) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}
func (o *ReduceSumSquare) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferReduce(in, o.Axes, o.KeepDims)
}

func reduceReals(in []*ir.Type, axes []int, keep bool) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	return inferReduce(in, axes, keep)
}

func (o *ReduceL1) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, rows[float64, float32](func(acc, v float64) float64 { return acc + math.Abs(v) }),
		rows[int64, int64](func(acc, v int64) int64 { return acc + max(v, -v) }), toFloat)
}

func (o *ReduceL2) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, rows[float64, float32](plusSquare[float64]), nil,
		func(acc float64, _ int) float32 { return float32(math.Sqrt(acc)) })
}

func (o *ReduceLogSum) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, sumRow[float64, float32], nil, func(acc float64, _ int) float32 { return float32(math.Log(acc)) })
}

func (o *ReduceLogSumExp) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, math.Inf(-1), 0, rows[float64, float32](logAddExp), nil, toFloat)
}

func (o *ReduceProd) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 1, 1, rows[float64, float32](func(acc, v float64) float64 { return acc * v }),
		rows[int64, int64](func(acc, v int64) int64 { return acc * v }), toFloat)
}

func (o *ReduceSumSquare) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return reduce(o, in, o.Axes, 0, 0, rows[float64, float32](plusSquare[float64]), rows[int64, int64](plusSquare[int64]), toFloat)
}

func plusSquare[A float64 | int64](acc, v A) A { return acc + v*v }

// logAddExp is log(exp(a)+exp(b)) without overflow.
func logAddExp(a, b float64) float64 {
	if a == b { // infinite ones have no difference
		return a + math.Ln2
	}
	return max(a, b) + math.Log1p(math.Exp(-math.Abs(a-b)))
}

// rows is a rowFunc that takes elements into accumulators one at a time.
func rows[A float64 | int64, X number](f func(acc, v A) A) rowFunc[A, X] {
	return func(acc []A, x []X) {
		for i, v := range x {
			if len(acc) == 1 {
				i = 0
			}
			acc[i] = f(acc[i], A(v))
		}
	}
}

// Size is ONNX Size (1, 13, 19 and later): the number of elements as an int64 scalar. See Shape.
type Size struct{}

func (*Size) OpName() string { return "Size" }

// Of is the result for a shape, in which there may be one symbolic dimension if all others are 1.
func (*Size) Of(shape []int) (*tensor.T, error) {
	n, err := product(shape)
	if err != nil {
		return nil, err
	}
	return tensor.Ints(tensor.I64, []int{}, int64(n)), nil
}

func (*Size) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	return []ir.Type{ir.T(tensor.I64)}, nil
}

func (o *Size) Eval(in []*tensor.T) ([]*tensor.T, error) {
	y, err := o.Of(in[0].Shape)
	return []*tensor.T{y}, err
}
