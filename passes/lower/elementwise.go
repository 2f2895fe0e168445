package lower

import (
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// requantRule: Relu, Clip and Quantize of a quantized value: a change of scale and a clamp. Exact, since quantization is monotone.
func requantRule(l *lowerer, n *ir.Node) error {
	in, err := l.buffer(n.In[0])
	if err != nil {
		return err
	}
	p := hw.NewProg(in.Range)
	if err := l.rescale(n, p, 0, in.Range.Bits()); err != nil {
		return err
	}
	if lo, hi, ok := quant.Activation(n.Op); ok {
		q := n.Out[0].Type.Quant
		p.Clamp(p.Last(), q.Quantize(lo, 0), q.Quantize(hi, 0))
	}
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{in}, Prog: p}, n.Out[0], in.Shape)
}

// operands are the buffers of an elementwise node's inputs, all in the shape of the result, nil for constants: broadcast ones are
// copied out.
func (l *lowerer) operands(n *ir.Node) ([]*hw.Buffer, error) {
	shape, _ := layout(n.Out[0].Type.Shape)
	var r []*hw.Buffer
	for _, v := range n.In {
		if v.Const != nil {
			r = append(r, nil)
			continue
		}
		b, err := l.buffer(v)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(v.Type.Shape, n.Out[0].Type.Shape) {
			e := &ir.Value{Name: n.Out[0].Name + "_b", Type: ir.Type{Elem: v.Type.Elem, Shape: n.Out[0].Type.Shape, Quant: v.Type.Quant}}
			x := &ir.Node{Op: &op.Expand{Shape: n.Out[0].Type.Shape}, In: []*ir.Value{v}, Out: []*ir.Value{e}, Pos: n.Pos}
			if err := moveRule(l, x); err != nil {
				return nil, err
			}
			b = l.bufs[e]
		}
		if !slices.Equal(b.Shape, shape) {
			return nil, fmt.Errorf("operand %%%s has layout %v, want %v", v.Name, b.Shape, shape)
		}
		r = append(r, b)
	}
	return r, nil
}

// variables are the operands that are not constant, and a program that has them as inputs.
func variables(operands []*hw.Buffer) (in []*hw.Buffer, p *hw.Prog) {
	p = hw.NewProg()
	for _, b := range operands {
		if b != nil {
			in, p.In = append(in, b), append(p.In, b.Range)
		}
	}
	return in, p
}

// constant is an operand's integers less the zero point as a vector by channel. It must be one number, or one for each channel.
func constant(v *ir.Value, out []int) (hw.Vec, error) {
	if !v.Type.IsQuant() {
		return hw.Vec{}, fmt.Errorf("operand %%%s is float, want a quantized constant", v.Name)
	}
	_, z, err := inQuant(v)
	if err != nil {
		return hw.Vec{}, err
	}
	ints := make([]int64, len(v.Const.I))
	for i, x := range v.Const.I {
		ints[i] = x - z
	}
	if len(ints) == 1 {
		return hw.Scalar(ints[0]), nil
	}
	// The channels are axis 1 of the result (or its only axis); every other axis of the constant must be 1.
	s := v.Type.Shape
	axis := 1
	if len(out) == 1 {
		axis = 0
	}
	for i, d := range s {
		if at := i + len(out) - len(s); d != 1 && at != axis {
			return hw.Vec{}, fmt.Errorf("operand %%%s: a constant of shape %v, want one number or one for each channel", v.Name, s)
		}
	}
	return hw.PerChannel(ints), nil
}

// addRule: Add, Sub, Sum of any number of operands: sum of x_i*m_i, one shift, one rounding. Constants join the zero points in one addend.
func addRule(l *lowerer, n *ir.Node) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	bufs, err := l.operands(n)
	if err != nil {
		return err
	}
	so, _ := q.At(0)
	ratio := make([]float64, len(n.In))
	width := 1
	for i, v := range n.In {
		s, _, err := inQuant(v)
		if err != nil {
			return err
		}
		ratio[i] = s / so
		width = max(width, hw.Interval{Lo: v.Type.Quant.Min, Hi: v.Type.Quant.Max}.Bits())
	}
	bits, err := l.multiplierBits(q, width+1+len(n.In))
	if err != nil {
		return err
	}
	t := shiftFor(slices.Max(ratio), bits)
	m := make([]int64, len(ratio))
	for i, r := range ratio {
		m[i] = int64(math.RoundToEven(math.Ldexp(r, t)))
		if _, sub := n.Op.(*op.Sub); sub && i > 0 {
			m[i] = -m[i]
		}
	}
	common := halvings(m, int64(t))
	for i := range m {
		m[i] >>= common
	}
	t -= int(common)
	in, p := variables(bufs)
	if len(in) == 0 {
		return fmt.Errorf("all operands are constant")
	}
	sum, k := -1, 0
	addend := hw.Scalar(0)
	for i, v := range n.In {
		if bufs[i] == nil {
			c, err := constant(v, n.Out[0].Type.Shape)
			if err != nil {
				return err
			}
			addend = addVec(addend, c, m[i])
			continue
		}
		_, z := v.Type.Quant.At(0)
		addend = addVec(addend, hw.Scalar(-z), m[i])
		x := p.OpI(hw.MulI, k, hw.Scalar(m[i]))
		k++
		if sum < 0 {
			sum = x
		} else {
			sum = p.Op(hw.Add, sum, x)
		}
	}
	sum = p.OpI(hw.AddI, sum, addend)
	finish(p, sum, hw.Scalar(int64(t)), q)
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: in, Prog: p}, n.Out[0], in[0].Shape)
}

// addVec is a + b*m, entry by entry.
func addVec(a, b hw.Vec, m int64) hw.Vec {
	r := make([]int64, max(len(a.V), len(b.V)))
	for i := range r {
		r[i] = a.At(i, i) + b.At(i, i)*m
	}
	return hw.Vec{V: r}
}

// mulRule: Mul of two operands, (x1-z1)*(x2-z2) at the scale s1*s2.
func mulRule(l *lowerer, n *ir.Node) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	bufs, err := l.operands(n)
	if err != nil {
		return err
	}
	scale, width := 1.0, 0
	for _, v := range n.In {
		s, _, err := inQuant(v)
		if err != nil {
			return err
		}
		scale *= s
		width += hw.Interval{Lo: v.Type.Quant.Min, Hi: v.Type.Quant.Max}.Bits() + 1
	}
	in, p := variables(bufs)
	if len(in) == 0 {
		return fmt.Errorf("both operands are constant")
	}
	v, k := -1, 0
	var factor *hw.Vec
	for i, x := range n.In {
		if bufs[i] == nil {
			c, err := constant(x, n.Out[0].Type.Shape)
			if err != nil {
				return err
			}
			factor = &c
			continue
		}
		_, z := x.Type.Quant.At(0)
		y := p.OpI(hw.AddI, k, hw.Scalar(-z))
		k++
		if v < 0 {
			v = y
		} else {
			v = p.Op(hw.Mul, v, y)
		}
	}
	if factor != nil {
		v = p.OpI(hw.MulI, v, *factor)
	}
	if _, err := l.requant(p, v, width, []float64{scale}, hw.ByChannel, q); err != nil {
		return err
	}
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: in, Prog: p}, n.Out[0], in[0].Shape)
}

// maxTable is the largest table that a function of one value becomes.
const maxTable = 1 << 16

// tableRule: a function of one value becomes a table over the input's integers, computed by the operator's own float kernel.
func tableRule(l *lowerer, n *ir.Node) error {
	in, err := l.buffer(n.In[0])
	if err != nil {
		return err
	}
	if _, _, err := inQuant(n.In[0]); err != nil {
		return err
	}
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	size := in.Range.Hi - in.Range.Lo + 1
	if size > maxTable {
		return fmt.Errorf("a table of %d entries for input %%%s, want at most %d: give it fewer bits", size, n.In[0].Name, maxTable)
	}
	x := tensor.New(tensor.F32, int(size))
	for i := range x.F {
		x.F[i] = n.In[0].Type.Quant.Dequantize(in.Range.Lo+int64(i), 0)
	}
	y, err := op.Eval(n.Op, []*tensor.T{x})
	if err != nil {
		return err
	}
	table := make([]int64, size)
	for i, f := range y[0].F {
		if f != f {
			return fmt.Errorf("not a number at %v, the least range of input %%%s is %v..%v", x.F[i], n.In[0].Name, x.F[0], x.F[size-1])
		}
		table[i] = q.Quantize(float64(f), 0)
	}
	p := hw.NewProg(in.Range)
	p.Lookup(0, in.Range.Lo, table)
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{in}, Prog: p}, n.Out[0], in.Shape)
}
