package op

import (
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Softmax is ONNX Softmax as of 13: exp(x)/sum(exp(x)) along one axis. (Before 13 it is over all axes from Axis on: the importer
// reshapes.)
type Softmax struct {
	Axis int `attr:"axis"`
}

// LogSoftmax is ONNX LogSoftmax as of 13: the logarithm of Softmax.
type LogSoftmax struct {
	Axis int `attr:"axis"`
}

func (*Softmax) OpName() string    { return "Softmax" }
func (*LogSoftmax) OpName() string { return "LogSoftmax" }

func (o *Softmax) Infer(in []*ir.Type) ([]ir.Type, error)    { return alongAxis(in, o.Axis) }
func (o *LogSoftmax) Infer(in []*ir.Type) ([]ir.Type, error) { return alongAxis(in, o.Axis) }

// alongAxis is realMap for functions that work along an axis.
func alongAxis(in []*ir.Type, axis int) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	if _, err := axisOf(axis, len(in[0].Shape)); err != nil {
		return nil, err
	}
	return sameType(in[0]), nil
}

func (o *Softmax) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return softmax(in[0], o.Axis, func(e, sum float64) float32 { return float32(math.Exp(e) / sum) })
}

func (o *LogSoftmax) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return softmax(in[0], o.Axis, func(e, sum float64) float32 { return float32(e - math.Log(sum)) })
}

// softmax calls f with x - max and the sum of the exponentials of that.
func softmax(x *tensor.T, axis int, f func(e, sum float64) float32) ([]*tensor.T, error) {
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	y := tensor.New(x.Elem, x.Shape...)
	outer, inner := block(x.Shape, a)
	n := x.Shape[a] * inner
	for o := range outer {
		for i := range inner {
			lo, hi := o*n+i, (o+1)*n
			top := math.Inf(-1)
			for k := lo; k < hi; k += inner {
				top = max(top, float64(x.F[k]))
			}
			sum := 0.0
			for k := lo; k < hi; k += inner {
				sum += math.Exp(float64(x.F[k]) - top)
			}
			for k := lo; k < hi; k += inner {
				y.F[k] = f(float64(x.F[k])-top, sum)
			}
		}
	}
	return []*tensor.T{y}, nil
}
