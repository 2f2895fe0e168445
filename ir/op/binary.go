package op

import (
	"errors"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Add, Sub, Mul and Div are ONNX's (7, 13, 14): elementwise with numpy's broadcasting, on reals and on integers. Integers wrap around
// in their width; integer division truncates toward zero.
type (
	Add struct{}
	Sub struct{}
	Mul struct{}
	Div struct{}
)

func (*Add) OpName() string { return "Add" }
func (*Sub) OpName() string { return "Sub" }
func (*Mul) OpName() string { return "Mul" }
func (*Div) OpName() string { return "Div" }

func (*Add) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 2, 2) }
func (*Sub) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 2, 2) }
func (*Mul) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 2, 2) }
func (*Div) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 2, 2) }

func (*Add) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, add[float32], add[int64]) }
func (*Sub) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, sub[float32], sub[int64]) }
func (*Mul) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, mul[float32], mul[int64]) }

func (*Div) Eval(in []*tensor.T) ([]*tensor.T, error) {
	if slices.Contains(in[1].I, 0) {
		return nil, errors.New("input 1: division of integers by zero")
	}
	return fold(in, div[float32], div[int64])
}

func add[T number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

func sub[T number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

func mul[T number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

func div[T number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

// Sum, Max and Min are ONNX's (8 and later): any number of inputs, elementwise with numpy's broadcasting. NaN wins in Max and Min.
type (
	Sum struct{}
	Max struct{}
	Min struct{}
)

func (*Sum) OpName() string { return "Sum" }
func (*Max) OpName() string { return "Max" }
func (*Min) OpName() string { return "Min" }

func (*Sum) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 1, -1) }
func (*Max) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 1, -1) }
func (*Min) Infer(in []*ir.Type) ([]ir.Type, error) { return arith(in, 1, -1) }

func (*Sum) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, add[float32], add[int64]) }
func (*Max) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, maxOf[float32], maxOf[int64]) }
func (*Min) Eval(in []*tensor.T) ([]*tensor.T, error) { return fold(in, minOf[float32], minOf[int64]) }

func maxOf[T number](dst, a, b []T) {
	for i := range dst {
		dst[i] = max(a[i], b[i])
	}
}

func minOf[T number](dst, a, b []T) {
	for i := range dst {
		dst[i] = min(a[i], b[i])
	}
}
