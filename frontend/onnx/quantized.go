package onnx

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

func intAttr(name string, v int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(v))}
}

// replaceAttr is the list with one attribute replaced or added; the list of the file is not changed.
func replaceAttr(list []*onnxpb.AttributeProto, a *onnxpb.AttributeProto) []*onnxpb.AttributeProto {
	r := slices.Clone(list)
	for i, x := range r {
		if x.GetName() == a.GetName() {
			r[i] = a
			return r
		}
	}
	return append(r, a)
}

// quantParams reads scale and zero point of a quantization over a shape: one number, or one for each index of an axis. axis < 0: the
// axis is where the scale's shape is not 1 (QONNX).
func (n *node) quantParams(shape []int, axis int) (*ir.Quant, error) {
	s, err := n.param(1, "scale")
	if err != nil {
		return nil, err
	}
	z, err := n.param(2, "zero point")
	if err != nil {
		return nil, err
	}
	q := &ir.Quant{Zero: []int64{0}}
	for i := range s.Len() {
		q.Scale = append(q.Scale, s.Float(i))
	}
	if z != nil {
		q.Zero = q.Zero[:0]
		for i := range z.Len() {
			f := z.Float(i)
			if f != float64(int64(f)) {
				return nil, fmt.Errorf("input 2 (zero point): element %d is %v, want an integer", i, f)
			}
			q.Zero = append(q.Zero, int64(f))
		}
		if !slices.ContainsFunc(q.Zero, func(x int64) bool { return x != q.Zero[0] }) {
			q.Zero = q.Zero[:1]
		}
	}
	if len(q.Scale) == 1 {
		if len(q.Zero) > 1 {
			return nil, fmt.Errorf("one scale and %d zero points", len(q.Zero))
		}
		return q, nil
	}
	if axis < 0 {
		for i, d := range s.Shape {
			if d != 1 && axis >= 0 {
				return nil, fmt.Errorf("input 1 (scale): shape %v runs along more than one axis (blocks), want one", s.Shape)
			} else if d != 1 {
				axis = i + len(shape) - len(s.Shape)
			}
		}
	} else if len(s.Shape) != 1 {
		return nil, fmt.Errorf("input 1 (scale): shape %v (blocked quantization) is not supported, want one scale or one for each index of an axis", s.Shape)
	}
	if axis < 0 || axis >= len(shape) || shape[axis] != len(q.Scale) || len(q.Zero) > 1 && len(q.Zero) != len(q.Scale) {
		return nil, fmt.Errorf("%d scales and %d zero points along axis %d of %v", len(q.Scale), len(q.Zero), axis, shape)
	}
	q.Axis = axis
	return q, nil
}

// quantize adds Quantize, or makes the constant, under the given name.
func (n *node) quantize(x *ir.Value, e tensor.Elem, q *ir.Quant, name string) error {
	t := ir.Type{Elem: e, Shape: x.Type.Shape, Quant: q}
	if !x.Type.Elem.IsFloat() {
		return fmt.Errorf("input 0: want reals, got %v", x.Type)
	}
	if x.Const != nil {
		c := tensor.New(e, x.Type.Shape...)
		q.Channels(c.Shape, func(ch, lo, hi int) {
			for i := lo; i < hi; i++ {
				c.I[i] = q.Quantize(float64(x.Const.F[i]), ch)
			}
		})
		n.im.vals[name] = &ir.Value{Name: name, Type: t, Const: c}
		return nil
	}
	k := &ir.Node{Op: &op.Quantize{}, In: []*ir.Value{x}, Pos: n.pos}
	k.Out = []*ir.Value{{Name: name, Type: t, Def: k}}
	n.im.g.Nodes = append(n.im.g.Nodes, k)
	n.im.vals[name] = k.Out[0]
	return nil
}

// quantizeLinear: x, scale, zero point; the type is that of the zero point, else output_dtype, else uint8.
func quantizeLinear(n *node) error {
	if len(n.in) < 2 || n.in[0] == nil {
		return fmt.Errorf("want 2 or 3 inputs, got %d", len(n.in))
	}
	e := tensor.U(8)
	if dt, err := take(n, "output_dtype", 0); err != nil {
		return err
	} else if dt != 0 {
		if e, err = elemOf(int32(dt)); err != nil {
			return err
		}
	}
	if len(n.in) > 2 && n.in[2] != nil {
		e = n.in[2].Type.Elem
	}
	if !e.IsInt() {
		return fmt.Errorf("quantization to %v is not supported, want an integer type", e)
	}
	q, err := n.linear()
	if err != nil {
		return err
	}
	q.Min, q.Max = e.Range()
	return n.quantize(n.in[0], e, q, n.p.Output[0])
}

// linear reads what QuantizeLinear and DequantizeLinear share.
func (n *node) linear() (*ir.Quant, error) {
	axis, err := take(n, "axis", 1)
	if err != nil {
		return nil, err
	}
	if b, err := take(n, "block_size", 0); err != nil || b != 0 {
		return nil, fmt.Errorf("block_size %d: blocked quantization is not supported, want one scale or one for each index of an axis", b)
	}
	return n.quantParams(n.in[0].Type.Shape, n.positive(axis))
}

// dequantizeLinear: of a constant of integers, of a graph input of integers, or of what QuantizeLinear made.
func dequantizeLinear(n *node) error {
	if len(n.in) < 2 || n.in[0] == nil {
		return fmt.Errorf("want 2 or 3 inputs, got %d", len(n.in))
	}
	q, err := n.linear()
	if err != nil {
		return err
	}
	x := n.in[0]
	if !x.Type.Elem.IsInt() {
		return fmt.Errorf("input 0: want integers, got %v", x.Type)
	}
	q.Min, q.Max = x.Type.Elem.Range()
	switch {
	case x.Type.Quant != nil:
		if !x.Type.Quant.Equal(q) {
			return fmt.Errorf("scale and zero point differ from those that %%%s was quantized with", x.Name)
		}
	case x.Const != nil:
		x = &ir.Value{Name: x.Name, Type: ir.Type{Elem: x.Type.Elem, Shape: x.Type.Shape, Quant: q}, Const: x.Const}
		if n.im.reads[x.Name] > 1 {
			x.Name = n.im.names.New(x.Name)
		}
	case x.Def == nil:
		x.Type.Quant = q
	default:
		return fmt.Errorf("input 0 (%%%s) is an integer that no QuantizeLinear made", x.Name)
	}
	return n.emit(&op.Dequantize{}, []*ir.Value{x}, n.p.Output)
}

// quantNode is QONNX Quant: x, scale, zero point, bit width; reals in and out. Clamping before rounding, as QONNX has it, and after are
// the same for integer bounds.
func quantNode(n *node) error {
	if len(n.in) != 4 || slices.Contains(n.in, nil) {
		return fmt.Errorf("want 4 inputs, got %d", len(n.in))
	}
	width, err := n.scalarParam(3, "bitwidth", 0)
	if err != nil {
		return err
	}
	if width != float32(int(width)) || width < 2 || width > 48 {
		return fmt.Errorf("input 3 (bitwidth) is %v, want an integer from 2 to 48", width)
	}
	signed, err := take(n, "signed", 1)
	if err != nil {
		return err
	}
	narrow, err := take(n, "narrow", 0)
	if err != nil {
		return err
	}
	mode, err := take(n, "rounding_mode", "ROUND")
	if err != nil {
		return err
	}
	q, err := n.quantParams(n.in[0].Type.Shape, -1)
	if err != nil {
		return err
	}
	switch strings.ToUpper(mode) {
	case "ROUND", "HALF_EVEN":
	case "HALF_UP": // in QONNX: ties away from zero
		q.Round = ir.HalfAway
	case "FLOOR":
		q.Round = ir.Floor
	default:
		return fmt.Errorf("rounding_mode %q is not supported, want ROUND, HALF_EVEN, HALF_UP or FLOOR", mode)
	}
	e := tensor.U(int(width))
	if signed != 0 {
		e = tensor.I(int(width))
	}
	q.Min, q.Max = e.Range()
	if narrow != 0 && signed != 0 {
		q.Min++
	} else if narrow != 0 {
		q.Max--
	}
	x := n.in[0]
	lo, err := take(n, "quern_min", int(q.Min))
	if err != nil {
		return err
	}
	hi, err := take(n, "quern_max", int(q.Max))
	if err != nil {
		return err
	}
	if int64(lo) != q.Min || int64(hi) != q.Max {
		q.Min, q.Max = int64(lo), int64(hi)
		x = n.dropClip(x)
	}
	for i, s := range q.Scale { // stored as float32, but Quant needs it exact
		q.Scale[i] = float64(float32(s))
	}
	name := n.im.names.New(n.p.Output[0] + "_int")
	if err := n.quantize(x, e, q, name); err != nil {
		return err
	}
	return n.emit(&op.Dequantize{}, []*ir.Value{n.im.vals[name]}, n.p.Output)
}

// clipSuffix ends the names of the Clip nodes that the exporter puts before a Quant node for tools that do not know quern_min.
const clipSuffix = "_quern_clip"

// dropClip takes such a Clip out of the graph and returns what it reads.
func (n *node) dropClip(x *ir.Value) *ir.Value {
	k := x.Def
	if k == nil || !strings.HasSuffix(k.Pos.Name, clipSuffix) || n.im.reads[x.Name] != 1 {
		return x
	}
	n.im.g.Remove(k)
	return k.In[0]
}
