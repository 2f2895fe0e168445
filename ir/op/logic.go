package op

import (
	"errors"
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// And, Or, Xor (7) and Not (1) are ONNX's functions of truth values, elementwise with numpy's broadcasting.
type (
	And struct{}
	Or  struct{}
	Xor struct{}
	Not struct{}
)

// BitwiseAnd, BitwiseOr, BitwiseXor and BitwiseNot are ONNX's (18): of the bits of integers, elementwise with numpy's broadcasting.
type (
	BitwiseAnd struct{}
	BitwiseOr  struct{}
	BitwiseXor struct{}
	BitwiseNot struct{}
)

// BitShift is ONNX BitShift (11): unsigned integers shifted "LEFT" or "RIGHT" by the second input, with numpy's broadcasting. What
// leaves the width is lost.
type BitShift struct {
	Direction string `attr:"direction"`
}

func (*And) OpName() string        { return "And" }
func (*Or) OpName() string         { return "Or" }
func (*Xor) OpName() string        { return "Xor" }
func (*Not) OpName() string        { return "Not" }
func (*BitwiseAnd) OpName() string { return "BitwiseAnd" }
func (*BitwiseOr) OpName() string  { return "BitwiseOr" }
func (*BitwiseXor) OpName() string { return "BitwiseXor" }
func (*BitwiseNot) OpName() string { return "BitwiseNot" }
func (*BitShift) OpName() string   { return "BitShift" }

func (*And) Infer(in []*ir.Type) ([]ir.Type, error) { return pair(in, "bool", isBool) }
func (*Or) Infer(in []*ir.Type) ([]ir.Type, error)  { return pair(in, "bool", isBool) }
func (*Xor) Infer(in []*ir.Type) ([]ir.Type, error) { return pair(in, "bool", isBool) }

func (*BitwiseAnd) Infer(in []*ir.Type) ([]ir.Type, error) { return pair(in, "integers", isInt) }
func (*BitwiseOr) Infer(in []*ir.Type) ([]ir.Type, error)  { return pair(in, "integers", isInt) }
func (*BitwiseXor) Infer(in []*ir.Type) ([]ir.Type, error) { return pair(in, "integers", isInt) }

func isBool(e tensor.Elem) bool { return e == tensor.B }
func isInt(e tensor.Elem) bool  { return e.IsInt() }
func isUint(e tensor.Elem) bool { return e.Kind == tensor.Uint }

func (*Not) Infer(in []*ir.Type) ([]ir.Type, error)        { return oneOf(in, "bool", isBool) }
func (*BitwiseNot) Infer(in []*ir.Type) ([]ir.Type, error) { return oneOf(in, "integers", isInt) }

// oneOf is the inference of operators that keep the type of their only input.
func oneOf(in []*ir.Type, want string, ok func(tensor.Elem) bool) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	if !ok(in[0].Elem) {
		return nil, fmt.Errorf("input 0: want %s, got %v", want, *in[0])
	}
	return sameType(in[0]), nil
}

func (o *BitShift) Infer(in []*ir.Type) ([]ir.Type, error) {
	if o.Direction != "LEFT" && o.Direction != "RIGHT" {
		return nil, fmt.Errorf("direction %q: want LEFT or RIGHT", o.Direction)
	}
	return pair(in, "unsigned integers", isUint)
}

func (o *And) Eval(in []*tensor.T) ([]*tensor.T, error)        { return zipInts(o, in, bitAnd) }
func (o *Or) Eval(in []*tensor.T) ([]*tensor.T, error)         { return zipInts(o, in, bitOr) }
func (o *Xor) Eval(in []*tensor.T) ([]*tensor.T, error)        { return zipInts(o, in, bitXor) }
func (o *BitwiseAnd) Eval(in []*tensor.T) ([]*tensor.T, error) { return zipInts(o, in, bitAnd) }
func (o *BitwiseOr) Eval(in []*tensor.T) ([]*tensor.T, error)  { return zipInts(o, in, bitOr) }
func (o *BitwiseXor) Eval(in []*tensor.T) ([]*tensor.T, error) { return zipInts(o, in, bitXor) }

func bitAnd(a, b int64) int64 { return a & b }
func bitOr(a, b int64) int64  { return a | b }
func bitXor(a, b int64) int64 { return a ^ b }

// zipInts runs a function of two integers; the result is brought into its width.
func zipInts(o ir.Op, in []*tensor.T, f func(a, b int64) int64) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	a, b, y := in[0], in[1], out[0]
	zip(y.I, a.I, b.I, y.Shape, a.Shape, b.Shape, func(dst, a, b []int64) {
		for i := range dst {
			dst[i] = f(a[i], b[i])
		}
	})
	return out, wrapAll(y)
}

// wrapAll is wrap, and refuses what tensors cannot hold: unsigned integers of 64 bits.
func wrapAll(t *tensor.T) error {
	wrap(t)
	if isUint(t.Elem) && t.Elem.Bits == 64 {
		for _, v := range t.I {
			if v < 0 {
				return errors.New("a result of 64 bits without sign: only those below 2^63 are supported")
			}
		}
	}
	return nil
}

func (*Not) Eval(in []*tensor.T) ([]*tensor.T, error) {
	y := tensor.New(in[0].Elem, in[0].Shape...)
	for i, v := range in[0].I {
		y.I[i] = 1 - v
	}
	return []*tensor.T{y}, nil
}

func (*BitwiseNot) Eval(in []*tensor.T) ([]*tensor.T, error) {
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	y := tensor.New(in[0].Elem, in[0].Shape...)
	for i, v := range in[0].I {
		y.I[i] = ^v
	}
	return []*tensor.T{y}, wrapAll(y)
}

func (o *BitShift) Eval(in []*tensor.T) ([]*tensor.T, error) {
	bits := int64(in[0].Elem.Bits)
	return zipInts(o, in, func(a, b int64) int64 {
		switch {
		case b >= bits:
			return 0
		case o.Direction == "LEFT":
			return a << b
		}
		return a >> b
	})
}

// Mod is ONNX Mod (10, 13): the remainder of a division, elementwise with numpy's broadcasting. It has the sign of the divisor, or with
// FMod that of the dividend; reals need FMod.
type Mod struct {
	FMod bool `attr:"fmod"`
}

func (*Mod) OpName() string { return "Mod" }

func (o *Mod) Infer(in []*ir.Type) ([]ir.Type, error) {
	types, err := arith(in, 2, 2)
	if err == nil && !o.FMod && types[0].Elem.IsFloat() {
		return nil, fmt.Errorf("reals with fmod 0: want fmod 1, or integers")
	}
	return types, err
}

func (o *Mod) Eval(in []*tensor.T) ([]*tensor.T, error) {
	if in[0].Elem.IsFloat() {
		return fold(in, fmod, nil)
	}
	for _, v := range in[1].I {
		if v == 0 {
			return nil, errors.New("input 1: division of integers by zero")
		}
	}
	return zipInts(o, in, func(a, b int64) int64 {
		r := a % b
		if !o.FMod && r != 0 && (r < 0) != (b < 0) {
			r += b
		}
		return r
	})
}
