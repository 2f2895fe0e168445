package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Functions of one real, elementwise: ONNX's of the same names, at all versions that the table lists. They are computed in float64 and
// rounded to float32 once, so that a table made from them has no second rounding. Abs and Neg also take integers.
type (
	Abs        struct{}
	Ceil       struct{}
	Erf        struct{}
	Exp        struct{}
	Floor      struct{}
	HardSwish  struct{} // x*clamp(x/6+1/2, 0, 1)
	Log        struct{}
	Mish       struct{} // x*tanh(log(1+exp(x)))
	Neg        struct{}
	Reciprocal struct{}
	Round      struct{} // ties to even
	Sigmoid    struct{} // 1/(1+exp(-x))
	Softplus   struct{} // log(1+exp(x))
	Softsign   struct{} // x/(1+|x|)
	Sqrt       struct{}
	Tanh       struct{}
)

// Elu is x, or Alpha*(exp(x)-1) for negative x.
type Elu struct {
	Alpha float32 `attr:"alpha"`
}

// Selu is Gamma times Elu.
type Selu struct {
	Alpha float32 `attr:"alpha"`
	Gamma float32 `attr:"gamma"`
}

// LeakyRelu is x, or Alpha*x for negative x.
type LeakyRelu struct {
	Alpha float32 `attr:"alpha"`
}

// HardSigmoid is clamp(Alpha*x+Beta, 0, 1).
type HardSigmoid struct {
	Alpha float32 `attr:"alpha"`
	Beta  float32 `attr:"beta"`
}

// Gelu is x times the normal distribution function of x, or with "tanh" an approximation of that.
type Gelu struct {
	Approximate string `attr:"approximate"` // "none" or "tanh"
}

func (*Abs) OpName() string         { return "Abs" }
func (*Ceil) OpName() string        { return "Ceil" }
func (*Elu) OpName() string         { return "Elu" }
func (*Erf) OpName() string         { return "Erf" }
func (*Exp) OpName() string         { return "Exp" }
func (*Floor) OpName() string       { return "Floor" }
func (*Gelu) OpName() string        { return "Gelu" }
func (*HardSigmoid) OpName() string { return "HardSigmoid" }
func (*HardSwish) OpName() string   { return "HardSwish" }
func (*LeakyRelu) OpName() string   { return "LeakyRelu" }
func (*Log) OpName() string         { return "Log" }
func (*Mish) OpName() string        { return "Mish" }
func (*Neg) OpName() string         { return "Neg" }
func (*Reciprocal) OpName() string  { return "Reciprocal" }
func (*Round) OpName() string       { return "Round" }
func (*Selu) OpName() string        { return "Selu" }
func (*Sigmoid) OpName() string     { return "Sigmoid" }
func (*Softplus) OpName() string    { return "Softplus" }
func (*Softsign) OpName() string    { return "Softsign" }
func (*Sqrt) OpName() string        { return "Sqrt" }
func (*Tanh) OpName() string        { return "Tanh" }

func (*Abs) Infer(in []*ir.Type) ([]ir.Type, error)         { return arith(in, 1, 1) }
func (*Ceil) Infer(in []*ir.Type) ([]ir.Type, error)        { return realMap(in) }
func (*Elu) Infer(in []*ir.Type) ([]ir.Type, error)         { return realMap(in) }
func (*Erf) Infer(in []*ir.Type) ([]ir.Type, error)         { return realMap(in) }
func (*Exp) Infer(in []*ir.Type) ([]ir.Type, error)         { return realMap(in) }
func (*Floor) Infer(in []*ir.Type) ([]ir.Type, error)       { return realMap(in) }
func (*HardSigmoid) Infer(in []*ir.Type) ([]ir.Type, error) { return realMap(in) }
func (*HardSwish) Infer(in []*ir.Type) ([]ir.Type, error)   { return realMap(in) }
func (*LeakyRelu) Infer(in []*ir.Type) ([]ir.Type, error)   { return realMap(in) }
func (*Log) Infer(in []*ir.Type) ([]ir.Type, error)         { return realMap(in) }
func (*Mish) Infer(in []*ir.Type) ([]ir.Type, error)        { return realMap(in) }
func (*Neg) Infer(in []*ir.Type) ([]ir.Type, error)         { return arith(in, 1, 1) }
func (*Reciprocal) Infer(in []*ir.Type) ([]ir.Type, error)  { return realMap(in) }
func (*Round) Infer(in []*ir.Type) ([]ir.Type, error)       { return realMap(in) }
func (*Selu) Infer(in []*ir.Type) ([]ir.Type, error)        { return realMap(in) }
func (*Sigmoid) Infer(in []*ir.Type) ([]ir.Type, error)     { return realMap(in) }
func (*Softplus) Infer(in []*ir.Type) ([]ir.Type, error)    { return realMap(in) }
func (*Softsign) Infer(in []*ir.Type) ([]ir.Type, error)    { return realMap(in) }
func (*Sqrt) Infer(in []*ir.Type) ([]ir.Type, error)        { return realMap(in) }
func (*Tanh) Infer(in []*ir.Type) ([]ir.Type, error)        { return realMap(in) }

func (o *Gelu) Infer(in []*ir.Type) ([]ir.Type, error) {
	if o.Approximate != "none" && o.Approximate != "tanh" {
		return nil, fmt.Errorf("approximate %q: want none or tanh", o.Approximate)
	}
	return realMap(in)
}

func (*Ceil) Eval(in []*tensor.T) ([]*tensor.T, error)     { return mapReal(in, math.Ceil) }
func (*Erf) Eval(in []*tensor.T) ([]*tensor.T, error)      { return mapReal(in, math.Erf) }
func (*Exp) Eval(in []*tensor.T) ([]*tensor.T, error)      { return mapReal(in, math.Exp) }
func (*Floor) Eval(in []*tensor.T) ([]*tensor.T, error)    { return mapReal(in, math.Floor) }
func (*Log) Eval(in []*tensor.T) ([]*tensor.T, error)      { return mapReal(in, math.Log) }
func (*Round) Eval(in []*tensor.T) ([]*tensor.T, error)    { return mapReal(in, math.RoundToEven) }
func (*Sigmoid) Eval(in []*tensor.T) ([]*tensor.T, error)  { return mapReal(in, sigmoid) }
func (*Softplus) Eval(in []*tensor.T) ([]*tensor.T, error) { return mapReal(in, softplus) }
func (*Sqrt) Eval(in []*tensor.T) ([]*tensor.T, error)     { return mapReal(in, math.Sqrt) }
func (*Tanh) Eval(in []*tensor.T) ([]*tensor.T, error)     { return mapReal(in, math.Tanh) }

func (*Abs) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapNumber(in[0], math.Abs, func(x int64) int64 { return max(x, -x) })
}

func (*Neg) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapNumber(in[0], func(x float64) float64 { return -x }, func(x int64) int64 { return -x })
}

func (*HardSwish) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return x * clamp01(x/6+0.5) })
}

func (*Mish) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return x * math.Tanh(softplus(x)) })
}

func (*Reciprocal) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return 1 / x })
}

func (*Softsign) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return x / (1 + math.Abs(x)) })
}

func (o *Elu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return elu(x, o.Alpha) })
}

func (o *Selu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return float64(o.Gamma) * elu(x, o.Alpha) })
}

func (o *HardSigmoid) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return mapReal(in, func(x float64) float64 { return clamp01(float64(o.Alpha)*x + float64(o.Beta)) })
}

func (o *Gelu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	if o.Approximate == "tanh" {
		return mapReal(in, func(x float64) float64 {
			return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
		})
	}
	return mapReal(in, func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) })
}

func (o *LeakyRelu) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	y := tensor.New(x.Elem, x.Shape...)
	alpha := o.Alpha
	for i, v := range x.F {
		if v < 0 {
			v *= alpha
		}
		y.F[i] = v
	}
	return []*tensor.T{y}, nil
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1+exp(x)) without overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func clamp01(x float64) float64 { return min(max(x, 0), 1) }

func elu(x float64, alpha float32) float64 {
	if x < 0 {
		return float64(alpha) * math.Expm1(x)
	}
	return x
}

// mapReal applies a function of a real in float64.
func mapReal(in []*tensor.T, f func(float64) float64) ([]*tensor.T, error) {
	x := in[0]
	y := tensor.New(x.Elem, x.Shape...)
	for i, v := range x.F {
		y.F[i] = float32(f(float64(v)))
	}
	return []*tensor.T{y}, nil
}

// mapNumber applies one function to reals and another to integers.
func mapNumber(x *tensor.T, f func(float64) float64, g func(int64) int64) ([]*tensor.T, error) {
	if err := noSymbols(x); err != nil {
		return nil, err
	}
	out, err := mapReal([]*tensor.T{x}, f)
	for i, v := range x.I {
		out[0].I[i] = g(v)
	}
	wrap(out[0])
	return out, err
}
