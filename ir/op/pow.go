package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Pow is ONNX Pow (1 and later): x to the power of the second input, with numpy's broadcasting. Each may be real or integer; the result
// has the element type of x. A power of integers wraps around in its width; one with a real or negative exponent is truncated toward 0.
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
	for i, t := range in {
		if !t.Elem.IsFloat() && !t.Elem.IsInt() {
			return nil, fmt.Errorf("input %d: want numbers, got %v", i, *t)
		}
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
	y, x, e := out[0], in[0], in[1]
	switch {
	case x.F != nil:
		zip(y.F, x.F, floatsOf(e), y.Shape, x.Shape, e.Shape, pow)
	case e.I != nil:
		zip(y.I, x.I, e.I, y.Shape, x.Shape, e.Shape, ipow)
		wrap(y)
	default:
		f := &tensor.T{Elem: tensor.F32, Shape: y.Shape, F: make([]float32, y.Len())}
		zip(f.F, floatsOf(x), e.F, y.Shape, x.Shape, e.Shape, pow)
		return (&Cast{To: y.Elem.String()}).Eval([]*tensor.T{f})
	}
	return out, nil
}

// floatsOf are the elements as reals.
func floatsOf(t *tensor.T) []float32 {
	if t.F != nil {
		return t.F
	}
	f := make([]float32, len(t.I))
	for i, v := range t.I {
		f[i] = float32(v)
	}
	return f
}

func ipow(dst, a, b []int64) {
	for i, base := range a[:len(dst)] {
		e := b[i]
		if e < 0 { // 0 to a negative power is infinite, which no integer is
			switch base {
			case 1:
			case -1:
				e &= 1
			default:
				dst[i] = 0
				continue
			}
			e = max(e, 0)
		}
		r := int64(1)
		for ; e > 0; e >>= 1 {
			if e&1 != 0 {
				r *= base
			}
			base *= base
		}
		dst[i] = r
	}
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
