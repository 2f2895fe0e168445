package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// BatchNormalization is ONNX's (7, 9, 14, 15) for inference: inputs x [N,C,...] and scale, bias, mean, variance [C] each;
// y = scale*(x-mean)/sqrt(variance+Epsilon) + bias.
type BatchNormalization struct {
	Epsilon float32 `attr:"epsilon"`
}

func (*BatchNormalization) OpName() string { return "BatchNormalization" }

func (*BatchNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 5, 5); err != nil {
		return nil, err
	}
	x := in[0]
	if len(x.Shape) < 2 {
		return nil, fmt.Errorf("input 0: want 2 or more dims, got %v", *x)
	}
	for i, p := range in[1:] {
		if len(p.Shape) != 1 || !mayEqual(p.Shape[0], x.Shape[1]) {
			return nil, fmt.Errorf("input %d: want [%s], got %v", i+1, ir.DimString(x.Shape[1]), *p)
		}
	}
	return sameType(x), nil
}

// Affine is the operator as y = mul*x + add per channel, in float32.
func (o *BatchNormalization) Affine(scale, bias, mean, variance []float32) (mul, add []float32) {
	mul, add = make([]float32, len(scale)), make([]float32, len(scale))
	for c := range scale {
		mul[c] = scale[c] / float32(math.Sqrt(float64(variance[c]+o.Epsilon)))
		add[c] = bias[c] - mean[c]*mul[c]
	}
	return mul, add
}

func (o *BatchNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y := in[0].F, out[0].F
	mul, add := o.Affine(in[1].F, in[2].F, in[3].F, in[4].F)
	_, inner := block(in[0].Shape, 1)
	for lo, c := 0, 0; lo < len(x); lo += inner {
		m, a := mul[c], add[c]
		dst := y[lo : lo+inner]
		for i, v := range x[lo : lo+inner] {
			dst[i] = v*m + a
		}
		if c++; c == len(mul) {
			c = 0
		}
	}
	return out, nil
}
