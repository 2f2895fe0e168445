package lower

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// maxTable is the largest table that a function of one value becomes.
const maxTable = 1 << 16

// tableRule: a function of one value, beside which there may be constants of one number, becomes a table over the value's integers, computed
// by the operator's own float kernel.
func tableRule(l *lowerer, n *ir.Node) error {
	at := -1
	for i, v := range n.In {
		switch {
		case v == nil || v.Const != nil && v.Const.Len() == 1:
		case v.Const != nil:
			return fmt.Errorf("operand %%%s is a constant of shape %v, want one number", v.Name, v.Type.Shape)
		case at >= 0:
			return fmt.Errorf("%%%s and %%%s are both values of the graph: want a function of one value; the other operand must be constant",
				n.In[at].Name, v.Name)
		default:
			at = i
		}
	}
	if at < 0 {
		return fmt.Errorf("all operands are constant")
	}
	x := n.In[at]
	if len(x.Type.Shape) != len(n.Out[0].Type.Shape) {
		return fmt.Errorf("operand %%%s is %v, want the shape of the result, %v", x.Name, x.Type, n.Out[0].Type.Shape)
	}
	in, _, _, q, err := l.ends(x, n.Out[0])
	if err != nil {
		return err
	}
	size, err := tableSize(x, in.Range)
	if err != nil {
		return err
	}
	reals := tensor.New(tensor.F32, size)
	for i := range reals.F {
		reals.F[i] = x.Type.Quant.Dequantize(in.Range.Lo+int64(i), 0)
	}
	args := make([]*tensor.T, len(n.In))
	for i, v := range n.In {
		switch {
		case i == at:
			args[i] = reals
		case v != nil && v.Type.IsQuant():
			args[i] = v.Type.Quant.Reals(v.Const).Reshape(1)
		case v != nil:
			args[i] = v.Const.Reshape(1)
		}
	}
	y, err := op.Eval(n.Op, args)
	if err != nil {
		return err
	}
	table := make([]int64, size)
	for i, f := range y[0].F {
		if f != f {
			return fmt.Errorf("not a number at %v, the least range of input %%%s is %v..%v", reals.F[i], x.Name, reals.F[0], reals.F[size-1])
		}
		table[i] = q.Quantize(float64(f), 0)
	}
	p := hw.NewProg(in.Range)
	p.Lookup(0, in.Range.Lo, table)
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{in}, Prog: p}, n.Out[0], in.Shape)
}

// tableSize is the number of entries of a table over a range of v.
func tableSize(v *ir.Value, r hw.Interval) (int, error) {
	size := r.Hi - r.Lo + 1
	if size > maxTable {
		return 0, fmt.Errorf("a table of %d entries for input %%%s, want at most %d: give it fewer bits", size, v.Name, maxTable)
	}
	return int(size), nil
}

// divRule: Div by a constant is a multiplication with the reciprocals; Div of a constant number by a value is a table; Div of two values
// multiplies the dividend with an entry of a table over the divisor. There x/0 is the end of the result's range that has the sign of x, and
// 0/0 is 0.
func divRule(l *lowerer, n *ir.Node) error {
	x, y := n.In[0], n.In[1]
	if x.Const != nil {
		return tableRule(l, n)
	}
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	bufs, err := l.operands(n)
	if err != nil {
		return err
	}
	sx, zx, err := inQuant(x)
	if err != nil {
		return err
	}
	in, p := variables(bufs)
	width := bufs[0].Range.Bits() + 1
	v := p.OpI(hw.AddI, 0, hw.Scalar(-zx))
	if y.Const != nil {
		c, err := l.reals(n, y)
		if err != nil {
			return err
		}
		scale := make([]float64, len(c))
		for i, d := range c {
			if scale[i] = sx / d; d == 0 || math.IsInf(scale[i], 0) {
				return fmt.Errorf("operand %%%s: division by %v", y.Name, d)
			}
		}
		if _, err := l.requant(p, v, width, scale, hw.ByChannel, q); err != nil {
			return err
		}
		return l.mapped(n, in, p, n.Out[0])
	}
	sy, zy, err := inQuant(y)
	if err != nil {
		return err
	}
	size, err := tableSize(y, bufs[1].Range)
	if err != nil {
		return err
	}
	// The entry of a divisor of 1 step is the largest; that of the greatest divisor keeps 12 bits or more.
	so, _ := q.At(0)
	most := q.Max - q.Min + 1
	t := min(shiftFor(sx/sy/so, min(12+bufs[1].Range.Bits(), 60-width)), 60-width-hw.Interval{Hi: most}.Bits())
	table := make([]int64, size)
	for i := range table {
		d := bufs[1].Range.Lo + int64(i) - zy
		if d == 0 {
			table[i] = most << t
			continue
		}
		table[i] = int64(math.RoundToEven(math.Ldexp(sx/sy/so/float64(d), t)))
	}
	w := p.Lookup(1, bufs[1].Range.Lo, table)
	finish(p, p.Op(hw.Mul, v, w), hw.Scalar(int64(t)), q)
	return l.mapped(n, in, p, n.Out[0])
}
