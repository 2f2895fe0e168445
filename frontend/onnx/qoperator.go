package onnx

import (
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// qlinear describes an operator of the QOperator form, which reads and writes integers with scales and zero points as inputs. It becomes
// what the QDQ form says in its place, with the integers, scales and zero points of the file:
//
//	%x = Dequantize(%x_int)
//	%y_real = Conv(%x, %w, %b)
//	%y_int = Quantize(%y_real)
//
// A result is rounded first, then the zero point is added: QuantizeLinear's order. The order matters for reals halfway between two steps
// where the zero point is odd. ONNX's reference of QLinearConv adds the zero point first. onnxruntime 1.30 does so in QLinearAdd,
// QLinearMul and QLinearAveragePool: of 1,022 ties with zero points 111 and -3, 914 came out one step beside ours. Of 768 in QLinearConv,
// QLinearMatMul and QLinearGlobalAveragePool none did, with and without its optimizations.
type qlinear struct {
	op     string // over reals
	data   []int  // inputs that begin a triple of data, scale, zero point
	axes   []int  // the axis along which each may have more than one scale; none: one scale
	out    int    // input that is the scale of the result; its zero point follows
	bias   int    // input of int32 at the product of the scales of data; 0: none
	least  int    // inputs that must be there
	images bool   // attribute channels_last says that the channels are the last axis
}

// qlinears are those of ai.onnx (QLinearConv and QLinearMatMul, 10 and later) and of com.microsoft (1), which has the two for more types.
var qlinears = map[string]qlinear{
	"QGemm":                    {op: "Gemm", data: []int{0, 3}, axes: []int{0, 1}, out: 7, bias: 6, least: 6},
	"QLinearAdd":               {op: "Add", data: []int{0, 3}, out: 6, least: 7},
	"QLinearAveragePool":       {op: "AveragePool", data: []int{0}, out: 3, least: 4, images: true},
	"QLinearConcat":            {op: "Concat", out: 0, least: 5},
	"QLinearConv":              {op: "Conv", data: []int{0, 3}, axes: []int{1, 0}, out: 6, bias: 8, least: 8, images: true},
	"QLinearGlobalAveragePool": {op: "GlobalAveragePool", data: []int{0}, out: 3, least: 4, images: true},
	"QLinearLeakyRelu":         {op: "LeakyRelu", data: []int{0}, out: 3, least: 4},
	"QLinearMatMul":            {op: "MatMul", data: []int{0, 3}, axes: []int{-2, -1}, out: 6, least: 8},
	"QLinearMul":               {op: "Mul", data: []int{0, 3}, out: 6, least: 7},
	"QLinearReduceMean":        {op: "ReduceMean", data: []int{0}, out: 3, least: 4},
	"QLinearSigmoid":           {op: "Sigmoid", data: []int{0}, out: 3, least: 4},
	"QLinearSoftmax":           {op: "Softmax", data: []int{0}, out: 3, least: 4},
}

// qlinearNode imports such an operator.
func qlinearNode(n *node) {
	l := qlinears[n.p.GetOpType()]
	most := max(l.out+2, l.bias+1)
	if l.data == nil { // Concat: the triples follow the result's scale and zero point
		most = -1
		for i := l.out + 2; i < len(n.in); i += 3 {
			l.data = append(l.data, i)
		}
	}
	if k := len(n.in); k < l.least || most >= 0 && k > most {
		n.fail("want %d inputs or more, got %d", l.least, k)
		return
	}
	last := l.images && n.flag("channels_last", false)
	in := make([]*ir.Value, len(l.data))
	for k, at := range l.data {
		axis := 0
		if l.axes != nil {
			axis = l.axes[k]
		}
		if a := n.attrs["transB"]; k == 1 && a.GetI() != 0 {
			axis = 0
		}
		if v := n.input(at); v == nil {
			n.fail("input %d: it is not optional, but omitted", at)
		} else if q := n.linearOf(v.Type, at+1, axis, l.axes != nil); q != nil {
			if l.op == "Gemm" && k == 1 {
				n.gemmAlpha(q)
			}
			in[k] = n.reals(at, q)
		}
	}
	if n.failed {
		return
	}
	if l.bias > 0 && n.input(l.bias) != nil && !n.failed {
		in = append(in, n.accumulatorBias(l, in))
	}
	if n.input(l.out) == nil && l.op == "Gemm" && !n.failed { // QGemm without a result scale gives reals
		n.real(l.op, in, n.p.Output[0])
		return
	}
	e := in[0].Def.In[0].Type.Elem
	if z := n.input(l.out + 1); z != nil {
		e = z.Type.Elem
	}
	out := n.outputs(1)
	if n.failed {
		return
	}
	name := n.im.names.New(out[0] + "_real")
	var y *ir.Value
	if last {
		x := n.emit(&op.Transpose{Perm: channelsFirst(len(in[0].Type.Shape))}, []*ir.Value{in[0]}, []string{n.im.names.New(in[0].Name + "_first")})
		if in[0] = x; x == nil {
			return
		}
		if y = n.real(l.op, in, n.im.names.New(out[0]+"_first")); y != nil {
			y = n.emit(&op.Transpose{Perm: channelsLast(len(y.Type.Shape))}, []*ir.Value{y}, []string{name})
		}
	} else {
		y = n.real(l.op, in, name)
	}
	if y == nil {
		return
	}
	if q := n.linearOf(ir.Type{Elem: e, Shape: y.Type.Shape}, l.out, 0, false); q != nil {
		n.in[0] = y
		n.quantize(y, e, q, out[0])
	}
}

// channelsFirst is the permutation that takes channels from the last axis to axis 1, channelsLast its inverse.
func channelsFirst(rank int) []int {
	p := []int{0, rank - 1}
	for i := 1; i < rank-1; i++ {
		p = append(p, i)
	}
	return p[:max(rank, 0)]
}

func channelsLast(rank int) []int {
	p := []int{0}
	for i := 2; i < rank; i++ {
		p = append(p, i)
	}
	return append(p, 1)
}

// linearOf is the Quant that inputs scale and scale+1 say for a value of integers. More than one scale must run along the axis, and only
// if many.
func (n *node) linearOf(t ir.Type, scale, axis int, many bool) *ir.Quant {
	s, z := n.constInput(scale, "scale"), n.constInput(scale+1, "zero point")
	if n.failed {
		return nil
	}
	e := t.Elem
	switch {
	case s == nil:
		n.fail("input %d (scale) is missing", scale)
	case !e.IsInt() || e.Bits > 32:
		n.fail("quantization to %v is not supported, want integers of up to 32 bits", e)
	case z != nil && z.Elem != e:
		n.fail("input %d (zero point): want the element type of the data, %v, got %v", scale+1, e, z)
	case s.Len() > 1 && (!many || len(s.Shape) > 1):
		n.fail("input %d (scale): want one number, got %v", scale, s)
	}
	if n.failed {
		return nil
	}
	return n.quantOf(t, scale, e, s, z, axis)
}

// reals is a Dequantize node of input i, one for all that read its reals. It takes the name of the file; the integers, which the
// passes give that name back, get _int behind it.
func (n *node) reals(i int, q *ir.Quant) *ir.Value {
	x := n.integers(i, q)
	if x == nil {
		return nil
	}
	if r := n.im.reals[x]; r != nil {
		return r
	}
	if x.Def == nil && x.Const == nil {
		r := n.emit(&op.Dequantize{}, []*ir.Value{x}, []string{n.im.names.New(x.Name + "_real")})
		n.im.reals[x] = r
		return r
	}
	r := n.emit(&op.Dequantize{}, []*ir.Value{x}, []string{n.im.names.New(x.Name + "_int")})
	if r != nil {
		r.Name, x.Name = x.Name, r.Name
		n.im.reals[x] = r
	}
	return r
}

// real imports the operator over reals that a node stands for: the same attributes, other inputs and another name of the result.
func (n *node) real(name string, in []*ir.Value, out string) *ir.Value {
	opset := n.im.opsets[""]
	switch name {
	case "ReduceMean":
		opset = 13 // axes are an attribute
	case "Softmax":
		opset = take(n, "opset", opset)
	}
	k := &node{im: n.im, pos: n.pos, opset: opset, in: in, attrs: n.attrs,
		p: &onnxpb.NodeProto{OpType: n.p.OpType, Name: n.p.Name, Output: []string{out}, Attribute: n.p.Attribute}}
	if !n.failed {
		k.standard(op.ByName(name))
	}
	n.failed = n.failed || k.failed
	return n.im.vals[out]
}

// accumulatorBias is the bias as reals: integers at the product of the scales of the two operands, without a zero point.
func (n *node) accumulatorBias(l qlinear, in []*ir.Value) *ir.Value {
	b := n.input(l.bias)
	x, w := in[0].Def.In[0].Type.Quant, in[1].Def.In[0].Type.Quant
	if b.Type.Elem != tensor.I32 {
		n.fail("input %d (bias): want i32, got %v", l.bias, b.Type)
		return nil
	}
	if !x.PerTensor() {
		n.fail("input %d (scale): want one number, as the bias has its scale, got %d", l.data[0]+1, len(x.Scale))
		return nil
	}
	s := tensor.New(tensor.F32, len(w.Scale))
	for i, v := range w.Scale {
		s.F[i] = float32(v * x.Scale[0])
	}
	if s.Len() == 1 {
		s.Shape = []int{}
	}
	if q := n.quantOf(b.Type, l.bias, tensor.I32, s, nil, -1); q != nil {
		return n.reals(l.bias, q)
	}
	return nil
}

// gemmAlpha takes the factor of QGemm into the scale of its weights: alpha * (integers * scale) is integers * (alpha * scale).
func (n *node) gemmAlpha(q *ir.Quant) {
	alpha := take(n, "alpha", float32(1))
	if !(alpha > 0) {
		n.fail("alpha %v: want a positive number", alpha)
		return
	}
	for i, s := range q.Scale {
		q.Scale[i] = float64(alpha * float32(s))
	}
}
