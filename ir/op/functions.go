package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// More functions of one real, elementwise: ONNX's of the same names, at all versions that the table lists. See unary.go. Sign also takes
// integers.
type (
	Acos  struct{}
	Acosh struct{}
	Asin  struct{}
	Asinh struct{}
	Atan  struct{}
	Atanh struct{}
	Cos   struct{}
	Cosh  struct{}
	Sign  struct{} // -1, 0 or 1
	Sin   struct{}
	Sinh  struct{}
	Tan   struct{}
)

// Celu is x, or Alpha*(exp(x/Alpha)-1) for negative x.
type Celu struct {
	Alpha float32 `attr:"alpha"`
}

// Shrink is x moved toward 0 by Bias where |x| is greater than Lambd, else 0.
type Shrink struct {
	Lambd float32 `attr:"lambd"`
	Bias  float32 `attr:"bias"`
}

// Swish is x*sigmoid(Alpha*x).
type Swish struct {
	Alpha float32 `attr:"alpha"`
}

// ThresholdedRelu is x where it is greater than Alpha, else 0.
type ThresholdedRelu struct {
	Alpha float32 `attr:"alpha"`
}

func (*Acos) OpName() string            { return "Acos" }
func (*Acosh) OpName() string           { return "Acosh" }
func (*Asin) OpName() string            { return "Asin" }
func (*Asinh) OpName() string           { return "Asinh" }
func (*Atan) OpName() string            { return "Atan" }
func (*Atanh) OpName() string           { return "Atanh" }
func (*Celu) OpName() string            { return "Celu" }
func (*Cos) OpName() string             { return "Cos" }
func (*Cosh) OpName() string            { return "Cosh" }
func (*Shrink) OpName() string          { return "Shrink" }
func (*Sign) OpName() string            { return "Sign" }
func (*Sin) OpName() string             { return "Sin" }
func (*Sinh) OpName() string            { return "Sinh" }
func (*Swish) OpName() string           { return "Swish" }
func (*Tan) OpName() string             { return "Tan" }
func (*ThresholdedRelu) OpName() string { return "ThresholdedRelu" }

func (*Acos) Infer(in []*ir.Type) ([]ir.Type, error)            { return realMap(in) }
func (*Acosh) Infer(in []*ir.Type) ([]ir.Type, error)           { return realMap(in) }
func (*Asin) Infer(in []*ir.Type) ([]ir.Type, error)            { return realMap(in) }
func (*Asinh) Infer(in []*ir.Type) ([]ir.Type, error)           { return realMap(in) }
func (*Atan) Infer(in []*ir.Type) ([]ir.Type, error)            { return realMap(in) }
func (*Atanh) Infer(in []*ir.Type) ([]ir.Type, error)           { return realMap(in) }
func (*Cos) Infer(in []*ir.Type) ([]ir.Type, error)             { return realMap(in) }
func (*Cosh) Infer(in []*ir.Type) ([]ir.Type, error)            { return realMap(in) }
func (*Shrink) Infer(in []*ir.Type) ([]ir.Type, error)          { return realMap(in) }
func (*Sign) Infer(in []*ir.Type) ([]ir.Type, error)            { return arith(in, 1, 1) }
func (*Sin) Infer(in []*ir.Type) ([]ir.Type, error)             { return realMap(in) }
func (*Sinh) Infer(in []*ir.Type) ([]ir.Type, error)            { return realMap(in) }
func (*Swish) Infer(in []*ir.Type) ([]ir.Type, error)           { return realMap(in) }
func (*Tan) Infer(in []*ir.Type) ([]ir.Type, error)             { return realMap(in) }
func (*ThresholdedRelu) Infer(in []*ir.Type) ([]ir.Type, error) { return realMap(in) }

func (o *Celu) Infer(in []*ir.Type) ([]ir.Type, error) {
	if o.Alpha == 0 {
		return nil, fmt.Errorf("alpha 0: x is divided by it")
	}
	return realMap(in)
}

func (*Acos) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, math.Acos) }
func (*Acosh) Eval(in []*tensor.T) ([]*tensor.T, error) { return mapReal(in, math.Acosh) }
func (*Asin) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, math.Asin) }
func (*Asinh) Eval(in []*tensor.T) ([]*tensor.T, error) { return mapReal(in, math.Asinh) }
func (*Atan) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, math.Atan) }
func (*Atanh) Eval(in []*tensor.T) ([]*tensor.T, error) { return mapReal(in, math.Atanh) }
func (*Cos) Eval(in []*tensor.T) ([]*tensor.T, error)   { return mapReal(in, math.Cos) }
func (*Cosh) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, math.Cosh) }
func (*Sin) Eval(in []*tensor.T) ([]*tensor.T, error)   { return mapReal(in, math.Sin) }
func (*Sinh) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, math.Sinh) }
func (*Tan) Eval(in []*tensor.T) ([]*tensor.T, error)   { return mapReal(in, math.Tan) }

func (o *Celu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	a := float64(o.Alpha)
	return mapReal(in, func(x float64) float64 { return max(x, 0) + min(a*math.Expm1(x/a), 0) })
}

func (o *Shrink) Eval(in []*tensor.T) ([]*tensor.T, error) {
	l, b := float64(o.Lambd), float64(o.Bias)
	return mapReal(in, func(x float64) float64 {
		switch {
		case x < -l:
			return x + b
		case x > l:
			return x - b
		}
		return 0
	})
}

func (*Sign) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapNumber(in[0], signOf[float64], signOf[int64])
}

// signOf leaves 0 and NaN as they are.
func signOf[T float64 | int64](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

func (o *Swish) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return x * sigmoid(float64(o.Alpha)*x) })
}

func (o *ThresholdedRelu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 {
		if x > float64(o.Alpha) {
			return x
		}
		return 0
	})
}

// IsNaN is ONNX IsNaN (9, 13, 20): true where a real is not a number.
type IsNaN struct{}

// IsInf is ONNX IsInf (10, 20): true where a real is infinite, of the signs that are to be detected.
type IsInf struct {
	DetectNegative bool `attr:"detect_negative"`
	DetectPositive bool `attr:"detect_positive"`
}

func (*IsNaN) OpName() string { return "IsNaN" }
func (*IsInf) OpName() string { return "IsInf" }

func (*IsNaN) Infer(in []*ir.Type) ([]ir.Type, error) { return asBool(realMap(in)) }
func (*IsInf) Infer(in []*ir.Type) ([]ir.Type, error) { return asBool(realMap(in)) }

func (*IsNaN) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return test(in[0], func(x float64) bool { return x != x })
}

func (o *IsInf) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return test(in[0], func(x float64) bool {
		return o.DetectPositive && math.IsInf(x, 1) || o.DetectNegative && math.IsInf(x, -1)
	})
}

func test(x *tensor.T, f func(x float64) bool) ([]*tensor.T, error) {
	y := tensor.New(tensor.B, x.Shape...)
	for i, v := range x.F {
		if f(float64(v)) {
			y.I[i] = 1
		}
	}
	return []*tensor.T{y}, nil
}

func fmod(dst, a, b []float32) {
	for i := range dst {
		dst[i] = float32(math.Mod(float64(a[i]), float64(b[i])))
	}
}
