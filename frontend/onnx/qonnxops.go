package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// bipolarNode is QONNX BipolarQuant: x, scale. The result is scale where x >= 0, else -scale.
func bipolarNode(n *node) {
	if !n.arity(2, 2) {
		return
	}
	if s := n.constInput(1, "scale"); !n.failed && n.noMoreAttrs() {
		n.bipolar(s)
	}
}

// bipolar makes -1 and 1 of the signs of input 0: integers of 2 bits. A constant has them at once. Another value b = floor(x / 2s), clamped to
// -1 and 0, is the sign; the result is 2b + 1, which is exact in reals of the scale s.
func (n *node) bipolar(s *tensor.T) {
	e, x := tensor.I(2), n.in[0]
	q := n.quant(e, s, nil, n.quantAxis(s))
	out := n.outputs(1)
	if n.failed {
		return
	}
	q.Min = -1
	name := n.im.names.New(out[0] + "_int")
	if x.Const != nil {
		if x.Const.F == nil || x.Type.Quant != nil {
			n.fail("input 0: want reals, got %v", x.Type)
			return
		}
		c := tensor.New(e, x.Const.Shape...)
		for i, f := range x.Const.F {
			if f != f {
				n.fail("input 0: element %d is not a number", i)
				return
			}
			if c.I[i] = -1; f >= 0 {
				c.I[i] = 1
			}
		}
		n.emit(&op.Dequantize{}, []*ir.Value{{Name: name, Type: ir.Type{Elem: e, Shape: c.Shape, Quant: q}, Const: c}}, out)
		return
	}
	if !q.PerTensor() {
		n.fail("input 1 (scale): want one number where the input is not constant, got %v", s)
		return
	}
	sign := ir.NewQuant(e, 2*q.Scale[0], 0)
	sign.Max, sign.Round = 0, ir.Floor
	b := n.quantize(x, e, sign, n.im.names.New(out[0]+"_sign_int"))
	if b == nil {
		return
	}
	one := &ir.Value{Name: n.im.names.New(out[0] + "_one_int"), Type: ir.Type{Elem: e, Quant: q.Clone()}, Const: tensor.Ints(e, nil, 1)}
	reals := n.emit(&op.Dequantize{}, []*ir.Value{b}, []string{n.im.names.New(out[0] + "_sign")})
	step := n.emit(&op.Dequantize{}, []*ir.Value{one}, []string{n.im.names.New(out[0] + "_one")})
	if n.failed {
		return
	}
	sum := n.emit(&op.Add{}, []*ir.Value{reals, step}, []string{n.im.names.New(out[0] + "_sum")})
	if n.failed {
		return
	}
	if v := n.quantize(sum, e, q, name); v != nil {
		n.emit(&op.Dequantize{}, []*ir.Value{v}, out)
	}
}

// truncNode is QONNX Trunc: it drops the low bits of integers that stand for reals. Inputs: x, scale, zero point, input width, then either
// the output width (the result keeps the scale: it is smaller by a power of two), or output scale and output width (it keeps its size).
func truncNode(n *node) {
	if !n.arity(5, 6) {
		return
	}
	var p []*tensor.T
	names := []string{"scale", "zero point", "input bitwidth", "output bitwidth"}
	if len(n.in) == 6 {
		names = []string{"scale", "zero point", "input bitwidth", "output scale", "output bitwidth"}
	}
	for i, name := range names {
		t := n.constInput(i+1, name)
		if t == nil || t.Len() != 1 {
			n.fail("input %d (%s): want one number", i+1, name)
			return
		}
		p = append(p, t)
	}
	round := n.rounding(take(n, "rounding_mode", "FLOOR"))
	signed, narrow := n.flag("signed", true), n.flag("narrow", false)
	if n.failed || !n.noMoreAttrs() {
		return
	}
	last := len(p) - 1
	scale, in, width := p[0].Float(0), p[2].Float(0), p[last].Float(0)
	if p[1].Float(0) != 0 {
		n.fail("input 2 (zero point) is %v, want 0", p[1].Float(0))
	}
	if width != math.Trunc(width) || in != math.Trunc(in) || width < 1 || width >= 32 || in < width || in > 32 {
		n.fail("input 3 (input bitwidth) is %v, input %d (output bitwidth) %v: want integers up to 32, the first not less", in, last+1, width)
	}
	steps := math.Ldexp(1, int(in-width))
	e := tensor.U(int(width))
	if signed {
		e = tensor.I(int(width))
	}
	if len(n.in) == 5 {
		e = tensor.I(int(width) + 1) // it does not say whether it is signed, and does not clamp: both fit
	} else {
		steps = p[3].Float(0) / scale
		if f, _ := math.Frexp(steps); f != 0.5 || steps < 1 {
			n.fail("input 4 (output scale) is %v times input 1 (scale), want a power of two", steps)
		}
	}
	if n.failed {
		return
	}
	out := n.outputs(1)
	q := n.quant(e, tensor.Floats(nil, float32(scale*steps)), nil, 0)
	if n.failed {
		return
	}
	q.Round = round
	if narrow && signed {
		q.Min++
	} else if narrow {
		q.Max--
	}
	name := n.im.names.New(out[0] + "_int")
	if len(n.in) == 6 || steps == 1 {
		if v := n.quantize(n.in[0], e, q, name); v != nil {
			n.emit(&op.Dequantize{}, []*ir.Value{v}, out)
		}
		return
	}
	// The same integers at the scale of the input: times 1/steps, which is exact.
	v := n.quantize(n.in[0], e, q, n.im.names.New(out[0]+"_high_int"))
	if v == nil {
		return
	}
	two := tensor.I(2)
	k := &ir.Value{Name: n.im.names.New(out[0] + "_factor_int"), Type: ir.Type{Elem: two, Quant: ir.NewQuant(two, 1/steps, 0)}, Const: tensor.Ints(two, nil, 1)}
	high := n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{n.im.names.New(out[0] + "_high")})
	factor := n.emit(&op.Dequantize{}, []*ir.Value{k}, []string{n.im.names.New(out[0] + "_factor")})
	if n.failed {
		return
	}
	y := n.emit(&op.Mul{}, []*ir.Value{high, factor}, []string{n.im.names.New(out[0] + "_small")})
	if n.failed {
		return
	}
	same := q.Clone()
	same.Scale, same.Round = []float64{float64(float32(scale))}, ir.HalfEven
	if r := n.quantize(y, e, same, name); r != nil {
		n.emit(&op.Dequantize{}, []*ir.Value{r}, out)
	}
}

// channelsLastNode imports an operator of qonnx.custom_op.channels_last: the standard one between two transpositions; the weights of a
// Conv have their channels last, too.
func channelsLastNode(n *node) {
	def := op.ByName(n.p.GetOpType())
	rank := len(n.shape())
	if rank < 3 || len(n.p.Output) != 1 {
		n.fail("want one output and an input of at least 3 dims, got %d and %v", len(n.p.Output), n.in[0].Type)
		return
	}
	first, last := []int{0, rank - 1}, []int{0}
	for i := 1; i < rank-1; i++ {
		first = append(first, i)
	}
	for i := 2; i < rank; i++ {
		last = append(last, i)
	}
	last = append(last, 1)
	move := func(i int) {
		x := n.in[i]
		name := n.im.names.New(x.Name + "_channels_first")
		if c := quantConstant(x); c != nil { // weights stay constant
			q := c.Type.Quant.Clone()
			for to, from := range first {
				if from == c.Type.Quant.Axis {
					q.Axis = to
				}
			}
			t := c.Const.Permute(first)
			c = &ir.Value{Name: n.im.names.New(name + "_int"), Type: ir.Type{Elem: c.Type.Elem, Shape: t.Shape, Quant: q}, Const: t}
			n.in[i] = n.emit(&op.Dequantize{}, []*ir.Value{c}, []string{name})
			return
		}
		n.in[i] = n.emit(&op.Transpose{Perm: first}, []*ir.Value{x}, []string{name})
	}
	move(0)
	if n.p.GetOpType() == "Conv" && !n.failed && len(n.in) > 1 {
		if len(n.in[1].Type.Shape) != rank {
			n.fail("input 1 (weights): want %d dims, got %v", rank, n.in[1].Type)
			return
		}
		move(1)
	}
	if n.failed {
		return
	}
	out := n.p.Output[0]
	inner := n.im.names.New(out + "_channels_first")
	p := proto.CloneOf(n.p)
	p.Output, p.Domain = []string{inner}, nil
	n.im.reads[inner] = 1
	n.p, n.opset = p, n.im.opsets[""]
	n.standard(def)
	if y := n.im.vals[inner]; y != nil && !n.failed {
		n.emit(&op.Transpose{Perm: last}, []*ir.Value{y}, []string{out})
	}
}

// quantConstant is the quantized constant of which x is the reals; nil if x is something else.
func quantConstant(x *ir.Value) *ir.Value {
	if x.Def == nil {
		return nil
	}
	if _, ok := x.Def.Op.(*op.Dequantize); ok && x.Def.In[0].Const != nil {
		return x.Def.In[0]
	}
	return nil
}

// refused is for operators of QONNX that have no form here; instead says what a model should have.
func refused(instead string) func(*node) {
	return func(n *node) { n.failErr(fmt.Errorf("it is not supported: %s", instead)) }
}
