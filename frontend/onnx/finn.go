package onnx

import (
	"math"
	"math/bits"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// multiThresholdNode is MultiThreshold of QONNX and FINN: x, thresholds [C or 1,n]; out_bias + out_scale * (how many thresholds of the
// channel are at most x), which are integers on a grid of out_scale. out_dtype names the type that FINN stores them in; where that is BIPOLAR
// they are -1 and 1. An out_bias that is no multiple of half of out_scale is added behind the grid.
func multiThresholdNode(n *node) {
	if !n.arity(2, 2) {
		return
	}
	o := &op.MultiThreshold{Scale: take(n, "out_scale", float32(1)), Bias: take(n, "out_bias", float32(0)), Axis: 1}
	typ, layout := take(n, "out_dtype", ""), take(n, "data_layout", "NCHW")
	t := n.constInput(1, "thresholds")
	if n.failed || !n.noMoreAttrs() {
		return
	}
	switch layout {
	case "NHWC", "NWC":
		o.Axis = -1
	case "NCHW", "NCW", "NC":
	default:
		n.fail("data_layout %q: want NCHW, NCW, NC, NHWC or NWC", layout)
	}
	if len(t.Shape) != 2 || t.Len() == 0 || !t.Elem.IsFloat() {
		n.fail("input 1 (thresholds): want reals of shape [1,n] or [channels,n], got %v", t)
		return
	}
	for i, f := range t.F {
		if f != f {
			n.fail("input 1 (thresholds): element %d is not a number", i)
		}
	}
	step := math.Abs(float64(o.Scale))
	if !(step > 1e-37 && step < 1e37 && math.Abs(float64(o.Bias)) < 1e37) {
		n.fail("out_scale %v, out_bias %v: want finite numbers, the first not 0", o.Scale, o.Bias)
	}
	if typ == "BIPOLAR" && (o.Scale != 2 || o.Bias != -1 || t.Shape[1] != 1) {
		n.fail("out_dtype BIPOLAR with out_scale %v, out_bias %v and %s: want 2, -1 and 1", o.Scale, o.Bias, plural(t.Shape[1], "threshold", "thresholds"))
	}
	if n.failed {
		return
	}
	out := n.outputs(1)[0]
	count, first := int64(t.Shape[1]), float64(o.Bias)/step
	behind := float32(0)
	switch {
	case whole(first):
	case whole(2 * first):
		step, first, count = step/2, 2*first, 2*count
	default:
		behind, first, o.Bias = o.Bias, 0, 0
	}
	lo := int64(math.Round(first))
	hi := lo + count
	if o.Scale < 0 {
		lo, hi = lo-count, lo
	}
	zero := int64(0)
	if lo > 0 || hi < 0 { // 0 is none of them: the integers count
		zero, lo, hi = -lo, 0, count
	}
	e := tensor.U(max(1, bits.Len64(uint64(hi))))
	if lo < 0 {
		e = tensor.I(1 + bits.Len64(uint64(max(-lo-1, hi))))
	}
	q := ir.NewQuant(e, step, zero)
	q.Min, q.Max = lo, hi
	name := n.im.names.New(out + "_levels")
	y := n.emit(o, n.in, []string{name})
	if y == nil {
		return
	}
	v := n.quantize(y, e, q, n.im.names.New(out+"_int"))
	if v == nil {
		return
	}
	if behind == 0 {
		n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{out})
		return
	}
	r := n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{n.im.names.New(out + "_steps")})
	if r != nil {
		n.emit(&op.Add{}, []*ir.Value{r, n.constant(out+"_bias", tensor.Floats(nil, behind))}, []string{out})
	}
}

// whole reports whether x is an integer, but for the rounding of float32, of a moderate size.
func whole(x float64) bool {
	return math.Abs(x) < 1<<20 && math.Abs(x-math.Round(x)) <= math.Abs(x)*0x1p-22
}

// quantAvgPool2dNode is QuantAvgPool2d of QONNX and FINN: the sum of a kernel x kernel window of integers of ibits, shifted right until the
// largest one of unsigned integers has obits. It is a convolution with weights of 1, which stand for the shift, rounded down.
func quantAvgPool2dNode(n *node) {
	if !n.arity(1, 1) {
		return
	}
	stride, kernel, in, width := take(n, "stride", 1), take(n, "kernel", 1), take(n, "ibits", 1), take(n, "obits", 1)
	signed, layout := n.flag("signed", false), take(n, "data_layout", "NCHW")
	if n.failed || !n.noMoreAttrs() {
		return
	}
	if layout != "NCHW" && layout != "NHWC" {
		n.fail("data_layout %q: want NCHW or NHWC", layout)
	}
	if stride < 1 || kernel < 1 || kernel > 1<<10 || in < 1 || in > 16 || width < 1 || width > 32 {
		n.fail("stride %d, kernel %d, ibits %d, obits %d: want at least 1 each, and at most 1024, 16 and 32 for the last three", stride, kernel, in, width)
	}
	if len(n.shape()) != 4 {
		n.fail("input 0: want 4 dims, got %v", n.in[0].Type)
	}
	if n.failed {
		return
	}
	out, x := n.outputs(1)[0], n.in[0]
	if layout == "NHWC" {
		x = n.emit(&op.Transpose{Perm: []int{0, 3, 1, 2}}, []*ir.Value{x}, []string{n.im.names.New(out + "_channels_first")})
		if x == nil {
			return
		}
	}
	c := x.Type.Shape[1]
	if c < 1 {
		n.fail("input 0: want a fixed number of channels, got %v", n.in[0].Type)
		return
	}
	shift := max(0, bits.Len(uint((1<<in-1)*kernel*kernel))-width)
	e := tensor.I(2)
	ones := tensor.New(e, c, 1, kernel, kernel)
	for i := range ones.I {
		ones.I[i] = 1
	}
	w := &ir.Value{Name: n.im.names.New(out + "_ones"), Type: ir.Type{Elem: e, Shape: ones.Shape, Quant: ir.NewQuant(e, math.Ldexp(1, -shift), 0)}, Const: ones}
	r := n.emit(&op.Dequantize{}, []*ir.Value{w}, []string{n.im.names.New(out + "_shift")})
	if r == nil {
		return
	}
	sum := n.emit(&op.Conv{Group: c, Strides: []int{stride, stride}}, []*ir.Value{x, r}, []string{n.im.names.New(out + "_sum")})
	if sum == nil {
		return
	}
	if e = tensor.U(width); signed {
		e = tensor.I(width)
	}
	q := ir.NewQuant(e, 1, 0)
	q.Round = ir.Floor
	v := n.quantize(sum, e, q, n.im.names.New(out+"_int"))
	if v == nil {
		return
	}
	if layout == "NCHW" {
		n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{out})
		return
	}
	y := n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{n.im.names.New(out + "_pooled")})
	if y != nil {
		n.emit(&op.Transpose{Perm: []int{0, 2, 3, 1}}, []*ir.Value{y}, []string{out})
	}
}
