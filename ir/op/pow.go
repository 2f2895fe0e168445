package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Pow is ONNX Pow (7 and later) of real bases: x to the power of the second input, real or integer, with numpy's broadcasting.
type Pow struct{}

// PRelu is ONNX PRelu (7, 9, 16): x, or slope*x for negative x. The slope (second input) is broadcast to the shape of x.
type PRelu struct{}

func (*Pow) OpName() string   { return "Pow" }
func (*PRelu) OpName() string { return "PRelu" }

func (*Pow) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, e := in[0], in[1]
	if !x.Elem.IsFloat() {
		return nil, fmt.Errorf("input 0: want reals, got %v", *x)
	}
	if !e.Elem.IsFloat() && !e.Elem.IsInt() {
		return nil, fmt.Errorf("input 1: want numbers, got %v", *e)
	}
	shape, err := Broadcast(x.Shape, e.Shape)
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Pow) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	e := in[1].F
	if e == nil {
		e = make([]float32, len(in[1].I))
		for i, v := range in[1].I {
			e[i] = float32(v)
		}
	}
	zip(out[0].F, in[0].F, e, out[0].Shape, in[0].Shape, in[1].Shape, pow)
	return out, nil
}

func pow(dst, a, b []float32) {
	for i := range dst {
		if b[i] == 2 {
			dst[i] = a[i] * a[i]
		} else {
			dst[i] = float32(math.Pow(float64(a[i]), float64(b[i])))
		}
	}
}

func (*PRelu) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 2); err != nil {
		return nil, err
	}
	x := in[0]
	if err := broadcastTo(in[1].Shape, x.Shape); err != nil {
		return nil, fmt.Errorf("input 1 (slope): %w", err)
	}
	return sameType(x), nil
}

func (o *PRelu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	zip(out[0].F, in[0].F, in[1].F, out[0].Shape, in[0].Shape, in[1].Shape, prelu)
	return out, nil
}

func prelu(dst, a, b []float32) {
	for i, v := range a {
		if v < 0 {
			v *= b[i]
		}
		dst[i] = v
	}
}
