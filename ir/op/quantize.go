package op

import (
	"quern/ir"
	"quern/ir/tensor"
)

// Quantize turns reals into a quantized value: all it does is said by the Quant of its result's type. It is ONNX QuantizeLinear and
// the first half of QONNX Quant. Since every node with a quantized result rounds (see package ir), its kernel is the identity.
type Quantize struct{}

// Dequantize turns a quantized value into the reals it stands for: ONNX DequantizeLinear, the second half of QONNX Quant.
type Dequantize struct{}

func (*Quantize) OpName() string   { return "Quantize" }
func (*Dequantize) OpName() string { return "Dequantize" }

func (*Quantize) Infer(in []*ir.Type) ([]ir.Type, error)   { return realMap(in) }
func (*Dequantize) Infer(in []*ir.Type) ([]ir.Type, error) { return realMap(in) }

func (*Quantize) Eval(in []*tensor.T) ([]*tensor.T, error)   { return in[:1], nil }
func (*Dequantize) Eval(in []*tensor.T) ([]*tensor.T, error) { return in[:1], nil }
