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

func (o *Softmax) Eval(in []*tensor.T) ([]*tensor.T, error)    { return softmax(in[0], o.Axis, false) }
func (o *LogSoftmax) Eval(in []*tensor.T) ([]*tensor.T, error) { return softmax(in[0], o.Axis, true) }

func softmax(x *tensor.T, axis int, log bool) ([]*tensor.T, error) {
	y := tensor.New(x.Elem, x.Shape...)
	if err := writeSoftmax(y.F, x, axis, log); err != nil {
		return nil, err
	}
	return []*tensor.T{y}, nil
}

// Write is Eval into memory that is there.
func (o *Softmax) Write(y []float32, x *tensor.T) error { return writeSoftmax(y, x, o.Axis, false) }

// writeSoftmax makes Softmax or its logarithm in float64, from exponentials of x less the largest.
func writeSoftmax(y []float32, x *tensor.T, axis int, log bool) error {
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return err
	}
	outer, inner := block(x.Shape, a)
	n := x.Shape[a] * inner
	var few [32]float64 // spares an allocation
	exps := append(few[:0], make([]float64, x.Shape[a])...)
	for o := range outer {
		for i := range inner {
			at := func(k int) int { return o*n + i + k*inner }
			top := math.Inf(-1)
			for k := range exps {
				top = max(top, float64(x.F[at(k)]))
			}
			sum := 0.0
			for k := range exps {
				exps[k] = math.Exp(float64(x.F[at(k)]) - top)
				sum += exps[k]
			}
			if log {
				sum = math.Log(sum)
			}
			for k, e := range exps {
				if y[at(k)] = float32(e / sum); log {
					y[at(k)] = float32(float64(x.F[at(k)]) - top - sum)
				}
			}
		}
	}
	return nil
}
