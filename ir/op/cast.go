package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Cast is ONNX Cast (6 and later) to an element type given as in the textual IR: "f32", "i64", "bool". Reals become integers by
// truncation, those out of range the nearest end of it and NaN 0 (ONNX leaves both open); integers wrap around as in C; bool is x != 0.
// Half-precision results hold only values of that format.
type Cast struct {
	To string `attr:"to"`
}

func (*Cast) OpName() string { return "Cast" }

func (o *Cast) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	e, err := tensor.ParseElem(o.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	return []ir.Type{{Elem: e, Shape: in[0].Shape}}, nil
}

func (o *Cast) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	if x.Elem == y.Elem {
		return []*tensor.T{x}, nil
	}
	if err := noSymbols(x); err != nil {
		return nil, err
	}
	switch {
	case y.Elem.Kind == tensor.Bool:
		for i := range y.I {
			if x.Float(i) != 0 {
				y.I[i] = 1
			}
		}
	case y.Elem.IsFloat():
		for i := range y.F {
			if x.F != nil {
				y.F[i] = roundFloat(y.Elem, x.F[i])
			} else {
				y.F[i] = roundFloat(y.Elem, float32(x.I[i]))
			}
		}
	case x.Elem.IsFloat():
		lo, hi := y.Elem.Range()
		for i, v := range x.F {
			switch f := float64(v); {
			case f >= float64(hi):
				y.I[i] = hi
			case f <= float64(lo):
				y.I[i] = lo
			case f == f:
				y.I[i] = int64(f)
			}
		}
	default:
		copy(y.I, x.I)
		wrap(y)
	}
	return out, nil
}

// roundFloat is the nearest value, ties to even, of a 16-bit format; wider ones are kept as float32 anyway.
func roundFloat(e tensor.Elem, x float32) float32 {
	if e.Bits != 16 || x != x || math.IsInf(float64(x), 0) {
		return x
	}
	digits, least, limit := 11, -24, float32(65520) // f16: what rounds to 2^16 or more is infinite
	if e.Kind == tensor.BFloat {
		digits, least, limit = 8, -133, math.MaxFloat32
	}
	_, exp := math.Frexp(float64(x))
	unit := math.Ldexp(1, max(exp-digits, least)) // of the last binary digit
	r := float32(math.RoundToEven(float64(x)/unit) * unit)
	if x >= limit || x <= -limit {
		return float32(math.Inf(int(math.Copysign(1, float64(x)))))
	}
	return r
}
