package lower

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
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

// addRule: Add, Sub, Sum of any number of operands: sum of x_i*m_i, one shift, one rounding. Constants join the zero points in one addend;
// one that is real goes to linear.
func addRule(l *lowerer, n *ir.Node) error {
	if k, x := realConstant(n); k != nil {
		return l.linearOperands(n, k, x)
	}
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	bufs, err := l.operands(n)
	if err != nil {
		return err
	}
	terms, err := l.terms(n, q)
	if err != nil {
		return err
	}
	in, p := variables(bufs)
	if len(in) == 0 {
		return fmt.Errorf("all operands are constant")
	}
	sum, k := -1, 0
	addend := []int64{0}
	plus := func(a, b int64) int64 { return a + b }
	for i, v := range n.In {
		m := terms.m[i]
		if bufs[i] == nil {
			c, err := l.ints(n, v)
			if err != nil {
				return err
			}
			addend = join(addend, join(c, m, func(x, m int64) int64 { return x * m }), plus)
			continue
		}
		addend = join(addend, terms.shift[i], plus)
		x := p.OpI(hw.MulI, k, vec(m))
		k++
		if sum < 0 {
			sum = x
		} else {
			sum = p.Op(hw.Add, sum, x)
		}
	}
	sum = p.OpI(hw.AddI, sum, vec(addend))
	finish(p, sum, hw.Scalar(terms.t), q)
	return l.mapped(n, in, p, n.Out[0])
}

// mulRule: Mul of two operands, (x1-z1)*(x2-z2) at the scale s1*s2. A constant that is real goes to linear.
func mulRule(l *lowerer, n *ir.Node) error {
	if k, x := realConstant(n); k != nil {
		return l.linearOperands(n, k, x)
	}
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
	factor := []int64{1}
	for i, x := range n.In {
		if bufs[i] == nil {
			if factor, err = l.ints(n, x); err != nil {
				return err
			}
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
	if !slices.Equal(factor, []int64{1}) {
		v = p.OpI(hw.MulI, v, vec(factor))
	}
	if _, err := l.requant(p, v, width, []float64{scale}, hw.ByChannel, q); err != nil {
		return err
	}
	return l.mapped(n, in, p, n.Out[0])
}
