package lower

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// extremeRule: Max and Min of any number of operands, each brought to the grid of the result first. Quantization is monotone, so the
// maximum of the integers is the integer of the maximum. All constants together are one limit.
func extremeRule(l *lowerer, n *ir.Node) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	bufs, err := l.operands(n)
	if err != nil {
		return err
	}
	in, p := variables(bufs)
	if len(in) == 0 {
		return fmt.Errorf("all operands are constant")
	}
	two, limit, pick := hw.Max, hw.MaxI, func(a, b int64) int64 { return max(a, b) }
	if _, ok := n.Op.(*op.Min); ok {
		two, limit, pick = hw.Min, hw.MinI, func(a, b int64) int64 { return min(a, b) }
	}
	var limits []int64
	best, k := -1, 0
	for i, v := range n.In {
		if bufs[i] == nil {
			c, err := l.reals(n, v)
			if err != nil {
				return err
			}
			ints := make([]int64, len(c))
			for j, x := range c {
				ints[j] = q.Quantize(x, 0)
			}
			if limits != nil {
				ints = join(limits, ints, pick)
			}
			limits = ints
			continue
		}
		x, err := l.toGrid(p, k, bufs[i].Range.Bits(), v, q)
		if err != nil {
			return err
		}
		if k++; best >= 0 {
			x = p.Op(two, best, x)
		}
		best = x
	}
	if limits != nil {
		p.OpI(limit, best, vec(limits))
	}
	return l.mapped(n, in, p, n.Out[0])
}

// preluRule: max(x,0)*m + min(x,0)*m*slope with one rounding.
func preluRule(l *lowerer, n *ir.Node) error {
	x, s := n.In[0], n.In[1]
	if s.Const == nil {
		return fmt.Errorf("slope %%%s is not constant", s.Name)
	}
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	in, err := l.buffer(x)
	if err != nil {
		return err
	}
	sx, z, err := inQuant(x)
	if err != nil {
		return err
	}
	slope, err := l.reals(n, s)
	if err != nil {
		return err
	}
	so, _ := q.At(0)
	most := 1.0
	for _, f := range slope {
		most = max(most, math.Abs(f))
	}
	bits, err := l.multiplierBits(q, in.Range.Bits()+2)
	if err != nil {
		return err
	}
	t := shiftFor(most*sx/so, bits)
	m := make([]int64, len(slope)+1) // the last one is for positive numbers
	for i, f := range append(slope, 1) {
		m[i] = int64(math.RoundToEven(math.Ldexp(f*sx/so, t)))
	}
	common := halvings(m, int64(t))
	for i := range m {
		m[i] >>= common
	}
	p := hw.NewProg(in.Range)
	v := p.OpI(hw.AddI, 0, hw.Scalar(-z))
	a := p.OpI(hw.MulI, p.OpI(hw.MaxI, v, hw.Scalar(0)), hw.Scalar(m[len(slope)]))
	b := p.OpI(hw.MulI, p.OpI(hw.MinI, v, hw.Scalar(0)), vec(m[:len(slope)]))
	finish(p, p.Op(hw.Add, a, b), hw.Scalar(int64(t)-common), q)
	return l.mapped(n, []*hw.Buffer{in}, p, n.Out[0])
}
