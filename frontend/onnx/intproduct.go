package onnx

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// integerProduct imports ConvInteger and MatMulInteger (10). Where they read what QuantizeLinear made, less its own zero point, with constant
// weights, the integers are reals over the scale s of that:
//
//	(x_int - z) * (w_int - wz) = x * w    with weights of scale 1/s and zero point wz
//
// So they are layers over reals, whose results happen to be integers; the Cast that follows in files changes nothing. Plain integers stay what
// they are.
func integerProduct(n *node) {
	name := n.p.GetOpType()
	x, w := n.input(0), n.input(1)
	if n.failed || x == nil || w == nil || !x.Type.IsQuant() {
		n.standard(op.ByName(name))
		return
	}
	if !n.arity(2, 4) {
		return
	}
	q := x.Type.Quant
	z := n.constInput(2, "zero point")
	zero := tensor.New(tensor.I64)
	if z != nil {
		zero = z
	}
	wz := n.constInput(3, "zero point of the weights")
	switch {
	case n.failed:
	case !q.PerTensor() || len(q.Zero) != 1:
		n.fail("input 0: %q has %d scales, want one", x.Name, len(q.Scale))
	case zero.Len() != 1 || zero.I[0] != q.Zero[0]:
		n.fail("input 2 (zero point): want the one that %q was quantized with, %d, got %v", x.Name, q.Zero[0], zero.I)
	case w.Const == nil || !w.Type.Elem.IsInt():
		n.fail("input 1: want constant integers beside the quantized %q, got %v", x.Name, w.Type)
	case wz != nil && wz.Elem != w.Type.Elem:
		n.fail("input 3 (zero point of the weights): want %v, got %v", w.Type.Elem, wz.Elem)
	}
	if n.failed {
		return
	}
	over, axis := "Conv", 0
	if name == "MatMulInteger" {
		over, axis = "MatMul", len(w.Type.Shape)-1
	}
	wq := &ir.Quant{Scale: []float64{float64(float32(1 / q.Scale[0]))}, Zero: []int64{0}}
	wq.Min, wq.Max = w.Type.Elem.Range()
	if wz != nil && wz.Len() > 1 {
		if axis < 0 || wz.Len() != w.Type.Shape[axis] {
			n.fail("input 3 (zero point of the weights): want one, or one for each of the output channels, got %v", wz.Shape)
			return
		}
		wq.Scale, wq.Axis = slices.Repeat(wq.Scale, wz.Len()), axis
	}
	if wz != nil {
		wq.Zero = slices.Clone(wz.I)
	}
	in := []*ir.Value{n.reals(0, q), n.reals(1, wq)}
	out := n.outputs(1)
	if n.failed || in[0] == nil || in[1] == nil {
		return
	}
	n.real(over, in, out[0])
}
