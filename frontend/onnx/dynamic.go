package onnx

import (
	"quern/ir"
	"quern/ir/op"
)

// Operators of com.microsoft (1) that onnxruntime makes of dynamically quantized products are written out as the standard ones they stand
// for:
//
//	A_int, A_scale, A_zero = DynamicQuantizeLinear(A)
//	Y = Cast(MatMulInteger(A_int, B, A_zero, B_zero)) * (A_scale * B_scale) + bias

// dynamicQuantizeMatMul is DynamicQuantizeMatMul: A in reals, B, its scale, and optionally its zero point and a bias.
func dynamicQuantizeMatMul(n *node) {
	if !n.needs(5, 0, 1, 2) {
		return
	}
	out := n.p.Output[0]
	names := []string{n.im.names.New(out + "_a"), n.im.names.New(out + "_scale"), n.im.names.New(out + "_zero")}
	if n.emit(op.ByName("DynamicQuantizeLinear").New(), n.in[:1:1], names) == nil {
		return
	}
	a, s, z := n.im.vals[names[0]], n.im.vals[names[1]], n.im.vals[names[2]]
	n.integerProduct(a, n.in[1], s, n.in[2], z, n.input(3), n.input(4))
}

// matMulIntegerToFloat is MatMulIntegerToFloat: A and B, both scales, and optionally both zero points and a bias.
func matMulIntegerToFloat(n *node) {
	if n.needs(7, 0, 1, 2, 3) {
		n.integerProduct(n.in[0], n.in[1], n.in[2], n.in[3], n.input(4), n.input(5), n.input(6))
	}
}

// needs checks the number of inputs and those that are not optional.
func (n *node) needs(most int, required ...int) bool {
	if len(n.in) > most {
		n.fail("want at most %d inputs, got %d", most, len(n.in))
	}
	for _, i := range required {
		if n.input(i) == nil && !n.failed {
			n.fail("input %d: it is not optional, but omitted", i)
		}
	}
	return n.noMoreAttrs()
}

func (n *node) integerProduct(a, b, as, bs, az, bz, bias *ir.Value) {
	out := n.outputs(1)
	if n.failed {
		return
	}
	in := []*ir.Value{a, b, az, bz}
	for len(in) > 2 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	step := func(o ir.Op, what string, in ...*ir.Value) *ir.Value {
		if n.failed {
			return nil
		}
		name := out[0]
		if what != "" {
			name = n.im.names.New(name + what)
		}
		return n.emit(o, in, []string{name})
	}
	last := "_product"
	if bias == nil {
		last = ""
	}
	y := step(op.ByName("MatMulInteger").New(), "_int", in...)
	y = step(&op.Cast{To: "f32"}, "_float", y)
	y = step(&op.Mul{}, last, y, step(&op.Mul{}, "_scales", as, bs))
	if bias != nil {
		step(&op.Add{}, "", y, bias)
	}
}
