package onnx

import (
	"fmt"
	"slices"
	"strconv"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// quantizeLinear is QuantizeLinear: x, scale, zero point or none. The type is that of the zero point, else output_dtype, else uint8. A
// constant is quantized at once.
func quantizeLinear(n *node) {
	if !n.arity(2, 3) {
		return
	}
	e := tensor.U(8)
	if typ := take(n, "output_dtype", 0); typ != 0 {
		n.element(&e, int32(typ), "output_dtype")
	}
	if z := n.input(2); z != nil {
		e = z.Type.Elem
	}
	if p := take(n, "precision", 0); p != 0 && p != int(onnxpb.TensorProto_FLOAT) {
		n.fail("precision %s: want FLOAT", dataTypeName(int32(p)))
	}
	q := n.linear(e)
	if q == nil || !n.noMoreAttrs("saturate") { // saturate is about float8
		return
	}
	x := n.in[0]
	carrier := e
	if n.carried(&e, q) {
		x = n.dropClip(x, q)
	}
	if v := n.quantize(x, e, q, n.outputs(1)[0]); v != nil {
		n.im.carriers[v] = carrier
	}
}

func (n *node) element(e *tensor.Elem, typ int32, attr string) {
	var err error
	if *e, err = elemOf(typ); err != nil {
		n.fail("attribute %s: %w", attr, err)
	}
}

// dequantizeLinear is DequantizeLinear: of a constant of integers, of a graph input of integers, which becomes a quantized one, or of a
// value that is quantized already.
func dequantizeLinear(n *node) {
	if !n.arity(2, 3) {
		return
	}
	out := tensor.F32
	if typ := take(n, "output_dtype", 0); typ != 0 {
		if n.element(&out, int32(typ), "output_dtype"); out != tensor.F32 {
			n.fail("output_dtype %s: want a float", dataTypeName(int32(typ)))
		}
	}
	x := n.in[0]
	e := x.Type.Elem
	if c, ok := n.im.carriers[x]; ok {
		e = c
	}
	if z := n.input(2); z != nil && z.Type.Elem != e {
		n.fail("input 2 (zero point): want the element type of input 0, %v, got %v", e, z.Type)
	}
	q := n.linear(x.Type.Elem)
	if q == nil || !n.noMoreAttrs() {
		return
	}
	if x := n.integers(0, q); x != nil {
		n.emit(&op.Dequantize{}, []*ir.Value{x}, n.outputs(1))
	}
}

// integers is input i as a quantized value: one that is quantized like that already, a constant, or a graph input, also behind nodes
// that only move its elements.
func (n *node) integers(i int, q *ir.Quant) *ir.Value {
	x := n.in[i]
	if was := x.Type.Quant; was != nil {
		if !sameReals(was, q) {
			n.fail("scale and zero point differ from those that %q was quantized with", x.Name)
			return nil
		}
		return x
	}
	if x.Const == nil {
		if err := n.im.adopt(x, q, 0); err != nil {
			n.fail("input %d: %w", i, err)
			return nil
		}
		return x
	}
	e := x.Type.Elem
	n.carried(&e, q)
	if k := slices.IndexFunc(x.Const.I, func(k int64) bool { return k < q.Min || k > q.Max }); k >= 0 {
		n.fail("input %d: element %d is %d, want %d..%d", i, k, x.Const.I[k], q.Min, q.Max)
		return nil
	}
	for _, v := range n.im.quantized[x] {
		if v.Type.Elem == e && v.Type.Quant.Equal(q) {
			return v
		}
	}
	name := x.Name
	if n.im.reads[name] > 1 {
		name = n.im.names.New(name)
	}
	c := &tensor.T{Elem: e, Shape: x.Const.Shape, I: x.Const.I}
	v := &ir.Value{Name: name, Type: ir.Type{Elem: e, Shape: x.Type.Shape, Quant: q}, Const: c}
	n.im.quantized[x] = append(n.im.quantized[x], v)
	return v
}

// adopt makes a graph input of plain integers, which so many nodes read, a quantized one: that of x, which only moves about what the
// input holds.
func (im *importer) adopt(x *ir.Value, q *ir.Quant, uses int) error {
	if x.Def == nil {
		if im.g.Uses(x) > uses {
			return fmt.Errorf("the graph input %q is read as plain integers by another node before", x.Name)
		}
		x.Type.Quant = q
		return nil
	}
	d := x.Def
	switch d.Op.(type) {
	case *op.Flatten, *op.Identity, *op.Reshape, *op.Slice, *op.Squeeze, *op.Transpose, *op.Unsqueeze:
		if q.PerTensor() && im.g.Uses(x) == uses {
			x.Type.Quant = q
			return im.adopt(d.In[0], q, 1)
		}
	}
	return fmt.Errorf("%q is computed with plain integers; want what QuantizeLinear made, a constant or a graph input", x.Name)
}

// carried reads the metadata that the exporter gives a node whose integers have a type or a range of their own inside the ONNX type e.
func (n *node) carried(e *tensor.Elem, q *ir.Quant) bool {
	name := n.meta(metaType)
	if name == "" {
		return false
	}
	own, err := tensor.ParseElem(name)
	if err != nil || own.Kind != e.Kind || own.Bits > e.Bits {
		n.fail("metadata %s is %q, want an integer type inside %v", metaType, name, *e)
		return false
	}
	lo, hi := own.Range()
	a, errA := strconv.ParseInt(n.meta(metaMin), 10, 64)
	b, errB := strconv.ParseInt(n.meta(metaMax), 10, 64)
	if errA != nil || errB != nil || a < lo || b > hi || a > b {
		n.fail("metadata %s %q, %s %q: want a range inside %d..%d", metaMin, n.meta(metaMin), metaMax, n.meta(metaMax), lo, hi)
		return false
	}
	*e, q.Min, q.Max = own, a, b
	return true
}

// meta is a string of the node's metadata, empty if it has none of that key.
func (n *node) meta(key string) string {
	for _, kv := range n.p.MetadataProps {
		if kv.GetKey() == key {
			return kv.GetValue()
		}
	}
	return ""
}

// sameReals reports whether integers stand for the same reals.
func sameReals(a, b *ir.Quant) bool {
	return slices.Equal(a.Scale, b.Scale) && slices.Equal(a.Zero, b.Zero) && (len(a.Scale) == 1 || a.Axis == b.Axis)
}

// linear reads what QuantizeLinear and DequantizeLinear share: scale and zero point are both single numbers or both vectors along axis.
func (n *node) linear(e tensor.Elem) *ir.Quant {
	if n.failed {
		return nil
	}
	if !e.IsInt() || e.Bits > 32 {
		n.fail("quantization to %v is not supported, want integers of up to 32 bits", e)
		return nil
	}
	axis, block := take(n, "axis", 1), take(n, "block_size", 0)
	s, z := n.constInput(1, "scale"), n.constInput(2, "zero point")
	if n.failed {
		return nil
	}
	if block != 0 || len(s.Shape) > 1 {
		n.fail("scale %v with block_size %d: blocks are not supported, want one scale or one for each index of an axis", s, block)
		return nil
	}
	if z != nil && z.Len() != s.Len() {
		n.fail("input 2 (zero point): want as many as scales, %d, got %d", s.Len(), z.Len())
		return nil
	}
	return n.quant(e, s, z, axis)
}

// quant is quantOf for input 0, with the scale as input 1.
func (n *node) quant(e tensor.Elem, s, z *tensor.T, axis int) *ir.Quant {
	return n.quantOf(n.in[0].Type, 1, e, s, z, axis)
}

// quantOf checks scale and zero point, inputs at and at+1, for a value of type t and makes a Quant over the whole range of the element
// type e. More than one scale runs along axis.
func (n *node) quantOf(t ir.Type, at int, e tensor.Elem, s, z *tensor.T, axis int) *ir.Quant {
	q := &ir.Quant{Zero: []int64{0}}
	q.Min, q.Max = e.Range()
	if !s.Elem.IsFloat() || s.Len() == 0 {
		n.fail("input %d (scale): want reals, got %v", at, s)
		return nil
	}
	for i, v := range s.F {
		if !(v > 0) || v > 1e38 {
			n.fail("input %d (scale): element %d is %v, want a positive finite number", at, i, v)
			return nil
		}
		q.Scale = append(q.Scale, float64(v))
	}
	if z != nil && z.Len() > 0 {
		q.Zero = make([]int64, z.Len())
		for i := range q.Zero {
			v := z.Float(i)
			if q.Zero[i] = int64(v); float64(q.Zero[i]) != v || v < -1<<32 || v > 1<<32 {
				n.fail("input %d (zero point): element %d is %v, want an integer", at+1, i, v)
				return nil
			}
		}
		if allEqual(q.Zero, q.Zero[0]) {
			q.Zero = q.Zero[:1]
		}
	}
	if k := max(len(q.Scale), len(q.Zero)); k > 1 {
		a := []int{axis}
		if err := positive(a, len(t.Shape)); err != nil {
			n.failErr(err)
			return nil
		}
		if q.Axis = a[0]; t.Shape[q.Axis] != k {
			n.fail("%d scales or zero points, but axis %d of %v has %s", k, q.Axis, t, ir.DimString(t.Shape[q.Axis]))
			return nil
		}
		if len(q.Scale) == 1 { // QONNX: zero points alone may differ
			q.Scale = slices.Repeat(q.Scale, k)
		}
	}
	return q
}

// quantize adds a Quantize node, or makes the constant, under the given name and returns its value.
func (n *node) quantize(x *ir.Value, e tensor.Elem, q *ir.Quant, name string) *ir.Value {
	if x.Type.Quant != nil || !x.Type.Elem.IsFloat() {
		n.fail("input 0: want reals, got %v", x.Type)
		return nil
	}
	t := ir.Type{Elem: e, Shape: x.Type.Shape, Quant: q}
	if x.Const == nil {
		v := n.emit(&op.Quantize{}, []*ir.Value{x}, []string{name})
		if v != nil {
			v.Type = t
		}
		return v
	}
	c, err := integersOf(x.Const, t)
	if err != nil {
		n.fail("input 0: %w", err)
		return nil
	}
	v := &ir.Value{Name: name, Type: t, Const: c}
	n.im.vals[name] = v
	return v
}

// integersOf quantizes a constant.
func integersOf(t *tensor.T, to ir.Type) (*tensor.T, error) {
	for i, f := range slices.Backward(t.F) {
		if f != f {
			return nil, fmt.Errorf("element %d is not a number", i)
		}
	}
	return to.Quant.Integers(to.Elem, t), nil
}

// keepQuant is the type of an operator's results if it reads quantized integers. The QDQ form has operators between QuantizeLinear and
// DequantizeLinear that move integers about or select them: their results stand for the same reals. Anything else would take
// integers as numbers, which a graph over reals cannot say.
func keepQuant(o ir.Op, in []*ir.Value) (*ir.Type, error) {
	if _, ok := o.(*op.Dequantize); ok {
		return nil, nil
	}
	var t *ir.Type
	for i, v := range in {
		if v == nil || v.Type.Quant == nil {
			continue
		}
		if t == nil && i > 0 {
			return nil, fmt.Errorf("input 0 holds plain numbers, but input %d, %q, is quantized", i, v.Name)
		}
		t = &in[0].Type
	}
	if t == nil {
		return nil, nil
	}
	q := t.Quant
	plain := fmt.Errorf("%q is quantized: its integers are not plain numbers; want DequantizeLinear, or an operator that only moves values",
		in[0].Name)
	switch o := o.(type) {
	case *op.Clip:
		return nil, plain
	case *op.Resize:
		if o.Mode != "nearest" {
			return nil, plain
		}
	case *op.Relu: // on integers it compares with 0, not with the zero point
		if !allEqual(q.Zero, 0) {
			return nil, plain
		}
	case *op.Pad:
		if q.PerTensor() { // the value is an integer, too
			o.Value = q.Dequantize(int64(o.Value), 0)
		}
	default:
		if op.Of(o).Class != op.SameScale {
			return nil, plain
		}
	}
	if _, ok := o.(*op.Gather); ok {
		in = in[:1]
	}
	for i, v := range in {
		if v != nil && (v.Type.Elem != t.Elem || !v.Type.Quant.Equal(q)) {
			return nil, fmt.Errorf("input %d: %q is not quantized like input 0", i, v.Name)
		}
	}
	switch o.(type) {
	case *op.Identity, *op.Dropout, *op.Relu:
	default:
		if !q.PerTensor() {
			return nil, fmt.Errorf("%q is quantized along axis %d: want one scale where values are moved", in[0].Name, q.Axis)
		}
	}
	return t, nil
}
