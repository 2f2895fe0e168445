package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// carrier is the least element type that a file in QDQ has for the integers and the zero points of v: 8 or 16 bits; 4 for constants
// alone, as onnxruntime 1.30 takes nodes between integers of 4 bits to be operators on 4 bits and then refuses the model. A constant may
// have int32 as well, for which ONNX wants the zero point 0.
func carrier(v *ir.Value) (tensor.Elem, error) {
	q, e := v.Type.Quant, v.Type.Elem
	zero := true
	for _, bits := range []uint8{4, 8, 16} {
		c := tensor.Elem{Kind: e.Kind, Bits: bits}
		lo, hi := c.Range()
		zero = slices.Min(q.Zero) >= lo && slices.Max(q.Zero) <= hi
		if e.Bits <= bits && zero && (bits > 4 || v.Const != nil) {
			return c, nil
		}
	}
	switch {
	case v.Const != nil && e.Kind == tensor.Int && e.Bits <= 32 && allEqual(q.Zero, 0):
		return tensor.I32, nil
	case !zero:
		return e, fmt.Errorf("%%%s: QuantizeLinear has no type for %v with zero point %d; format qonnx has", v.Name, e, q.Zero[0])
	}
	return e, fmt.Errorf("%%%s: QuantizeLinear has no type for %v, the widest are int16 and uint16; format qonnx has any width up to 32 bits", v.Name, e)
}

// DefaultFormat is QDQ, which most tools read, where all quantized values have 4, 8 or 16 bits and no other rounding than ties to even.
// Else it is QONNX, which says the width by itself; QDQ needs a Clip and metadata for it.
func DefaultFormat(g *ir.Graph) Format {
	for _, v := range g.Values() {
		if !v.Type.IsQuant() || v.Const != nil && v.Type.Elem.Bits >= 32 { // biases
			continue
		}
		_, err := carrier(v)
		if b := v.Type.Elem.Bits; err != nil || b != 4 && b != 8 && b != 16 || v.Type.Quant.Round != ir.HalfEven {
			return QONNX
		}
	}
	return QDQ
}

// qdqOpset is the opset that the element types need.
func qdqOpset(g *ir.Graph) int {
	for _, v := range g.Values() {
		if v.Type.IsQuant() {
			if c, err := carrier(v); err == nil && (c.Bits == 4 || c.Bits == 16) {
				return 21
			}
		}
	}
	return exportOpset
}

// Metadata of a QuantizeLinear node, or of the DequantizeLinear node of a constant: the type of which ONNX's type is the carrier.
const (
	metaType = "quern.type" // i5
	metaMin  = "quern.min"
	metaMax  = "quern.max"
)

// quantizeLinear writes a QuantizeLinear node that makes integers of the float value from, and a DequantizeLinear node that makes the
// reals of v of them. A range that is less than the carrier's is a Clip before both, and metadata for the importer.
func (e *exporter) quantizeLinear(from string, v *ir.Value, name string) error {
	q, real := v.Type.Quant, e.realName(v)
	c, err := carrier(v)
	if err != nil {
		return err
	}
	if q.Round != ir.HalfEven {
		return fmt.Errorf("%%%s: QuantizeLinear rounds half_even, not %v; format qonnx has more modes", v.Name, q.Round)
	}
	if lo, hi := c.Range(); q.Min != lo || q.Max != hi {
		if from, err = e.clip(from, v); err != nil {
			return err
		}
	}
	params, attrs, err := e.linearParams(v, c)
	if err != nil {
		return err
	}
	ints := e.intsName(v)
	e.add("QuantizeLinear", "", name, append([]string{from}, params...), []string{ints}, attrs...)
	e.describe(v, c)
	name, ok := e.dequants[v]
	if !ok {
		name = real + "_dequant"
	}
	e.add("DequantizeLinear", "", name, append([]string{ints}, params...), []string{real}, attrs...)
	return nil
}

// intsName is the name in the file of the integers of v: its own, unless that goes to the reals.
func (e *exporter) intsName(v *ir.Value) string {
	if real := e.realName(v); v.Name == real || v.Def == nil && v.Const == nil {
		return e.names.New(real + "_int")
	}
	return v.Name
}

// describe adds the metadata to the last node, where the carrier's whole range is not that of v.
func (e *exporter) describe(v *ir.Value, c tensor.Elem) {
	q, elem := v.Type.Quant, v.Type.Elem
	n := e.p.Node[len(e.p.Node)-1]
	if lo, hi := c.Range(); elem == c && q.Min == lo && q.Max == hi {
		return
	}
	for _, kv := range [][2]string{{metaType, elem.String()}, {metaMin, strconv.FormatInt(q.Min, 10)}, {metaMax, strconv.FormatInt(q.Max, 10)}} {
		n.MetadataProps = append(n.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(kv[0]), Value: proto.String(kv[1])})
	}
}

// linearParams are scale and zero point as ONNX has them: one number, or a vector along the attribute axis. int32 has no zero point.
func (e *exporter) linearParams(v *ir.Value, c tensor.Elem) ([]string, []*onnxpb.AttributeProto, error) {
	q, real := v.Type.Quant, e.realName(v)
	shape, attrs := []int{}, []*onnxpb.AttributeProto(nil)
	if !q.PerTensor() {
		shape = []int{len(q.Scale)}
		attrs = append(attrs, intAttr("axis", q.Axis))
	}
	scale, zero := tensor.New(tensor.F32, shape...), tensor.New(c, shape...)
	for i, s := range q.Scale {
		_, z := q.At(i)
		scale.F[i], zero.I[i] = float32(s), z
	}
	name, err := e.parameter(real, "_scale", scale)
	if err != nil || c.Bits == 32 {
		return []string{name}, attrs, err
	}
	z, err := e.parameter(real, "_zero", zero)
	return []string{name, z}, attrs, err
}

// linearConstant writes a quantized constant as integers and a DequantizeLinear node. One of more than 32 bits, which only biases have, is
// the sum of two such: the high bits at a scale of 2^wideShift steps, the low bits at the constant's. (As one constant of reals it
// would become one of 32 bits in onnxruntime, which quantizes biases itself and lets them overflow.)
func (e *exporter) linearConstant(v *ir.Value, name string) error {
	if e, q := v.Type.Elem, v.Type.Quant; q.Round != ir.HalfEven && e.Bits < 32 {
		return fmt.Errorf("constant %%%s: QuantizeLinear rounds half_even, not %v; format qonnx has more modes", v.Name, q.Round)
	}
	if v.Type.Elem.Bits <= 32 {
		c, err := carrier(v)
		if err != nil {
			return err
		}
		return e.dequantizeConstant(v, c, name)
	}
	if v.Type.Elem.Kind != tensor.Int || v.Type.Elem.Bits > 32+wideShift || !allEqual(v.Type.Quant.Zero, 0) {
		return fmt.Errorf("constant %%%s: %v with zero point %d has no form in QDQ; want at most i%d with zero point 0", v.Name, v.Type.Elem,
			v.Type.Quant.Zero[0], 32+wideShift)
	}
	ints := e.intsName(v)
	part := func(name, node string, shift int, of func(x int64) int64) (string, error) {
		q := &ir.Quant{Zero: []int64{0}, Axis: v.Type.Quant.Axis}
		q.Min, q.Max = tensor.I32.Range()
		for _, s := range v.Type.Quant.Scale {
			q.Scale = append(q.Scale, float64(float32(math.Ldexp(s, shift))))
		}
		w := &ir.Value{Name: name, Type: ir.Type{Elem: tensor.I32, Shape: v.Type.Shape, Quant: q}, Const: tensor.New(tensor.I32, v.Type.Shape...)}
		for i, x := range v.Const.I {
			w.Const.I[i] = of(x)
		}
		e.file[w] = e.names.New(name + "_f")
		return e.file[w], e.dequantizeConstant(w, tensor.I32, node)
	}
	low, err := part(ints, name+"_low", 0, func(x int64) int64 { return x - wideHigh(x)<<wideShift })
	if err != nil {
		return err
	}
	high, err := part(e.names.New(ints+"_high"), name+"_high", wideShift, wideHigh)
	if err != nil {
		return err
	}
	e.add("Add", "", name, []string{low, high}, []string{e.realName(v)})
	e.describe(v, tensor.I32)
	return nil
}

// wideShift is how many low bits of a wide constant make a constant of their own: as many as float32 holds, or sums would be less exact.
const wideShift = 24

// wideHigh are the high bits of x, rounded.
func wideHigh(x int64) int64 { return (x + 1<<(wideShift-1)) >> wideShift }

// wideConstant is the reverse: an Add with metadata, of two constants, as one constant.
func wideConstant(n *node) {
	if !n.arity(2, 2) {
		return
	}
	var part [2]*ir.Value
	for i, v := range n.in {
		if d := v.Def; d == nil || d.Op.OpName() != "Dequantize" || d.In[0].Const == nil || d.In[0].Type.Elem != tensor.I32 || n.im.reads[v.Name] != 1 {
			n.fail("input %d: with metadata %s, want constants of int32 that nothing else reads", i, metaType)
			return
		}
		part[i] = v.Def.In[0]
	}
	low, high := part[0], part[1]
	q, e := low.Type.Quant.Clone(), tensor.I(32+wideShift)
	q.Min, q.Max = e.Range()
	for i, s := range q.Scale {
		if len(high.Type.Quant.Scale) != len(q.Scale) || high.Type.Quant.Scale[i] != math.Ldexp(s, wideShift) || !slices.Equal(low.Type.Shape, high.Type.Shape) {
			n.fail("input 1: %v, want that of input 0, %v, with scales times 2^%d", high.Type, low.Type, wideShift)
			return
		}
	}
	if n.carried(&e, q); n.failed {
		return
	}
	c := tensor.New(e, low.Type.Shape...)
	for i := range c.I {
		if c.I[i] = low.Const.I[i] + high.Const.I[i]<<wideShift; c.I[i] < q.Min || c.I[i] > q.Max {
			n.fail("element %d is %d, want %d..%d", i, c.I[i], q.Min, q.Max)
			return
		}
	}
	for _, v := range n.in {
		n.im.g.Remove(v.Def)
	}
	n.emit(&op.Dequantize{}, []*ir.Value{{Name: low.Name, Type: ir.Type{Elem: e, Shape: c.Shape, Quant: q}, Const: c}}, n.outputs(1))
}

// dequantizeConstant writes the integers of a constant with element type c, and the DequantizeLinear node that makes reals of them.
func (e *exporter) dequantizeConstant(v *ir.Value, c tensor.Elem, name string) error {
	ints := e.intsName(v)
	p, err := encodeTensor(ints, &tensor.T{Elem: c, Shape: v.Const.Shape, I: v.Const.I})
	if err != nil {
		return err
	}
	e.p.Initializer = append(e.p.Initializer, p)
	params, attrs, err := e.linearParams(v, c)
	if err != nil {
		return err
	}
	e.add("DequantizeLinear", "", name, append([]string{ints}, params...), []string{e.realName(v)}, attrs...)
	e.describe(v, c)
	return nil
}
