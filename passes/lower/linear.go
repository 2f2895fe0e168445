package lower

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// Linear functions with constants that are reals, which stand between two quantized values after pass streamline: each element is multiplied
// and shifted once. A function that leaves the integers as they are costs nothing.

// batchNormRule: BatchNormalization of a quantized value.
func batchNormRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.BatchNormalization)
	var p [4][]float64 // scale, bias, mean, variance
	for i := range p {
		var err error
		if p[i], err = channels(n, n.In[i+1]); err != nil {
			return err
		}
	}
	mul := join(p[0], p[3], func(s, v float64) float64 { return s / math.Sqrt(v+float64(o.Epsilon)) })
	add := join(p[1], join(p[2], mul, func(m, k float64) float64 { return m * k }), func(b, m float64) float64 { return b - m })
	return l.linear(n, n.In[0], mul, add)
}

// realConstant is the constant operand of a node that is an input of reals, and the other one; nil if there is none.
func realConstant(n *ir.Node) (k, x *ir.Value) {
	if len(n.In) != 2 {
		return nil, nil
	}
	for i, v := range n.In {
		if x := n.In[1-i]; v.Const != nil && !v.Type.IsQuant() && x.Const == nil && slices.Equal(x.Type.Shape, n.Out[0].Type.Shape) {
			return v, x
		}
	}
	return nil, nil
}

// linearOperands: Add, Sub and Mul of x with a constant of reals.
func (l *lowerer) linearOperands(n *ir.Node, k, x *ir.Value) error {
	c, err := l.reals(n, k)
	if err != nil {
		return err
	}
	negative := func(c []float64) []float64 {
		return join(c, []float64{-1}, func(x, m float64) float64 { return x * m })
	}
	switch n.Op.(type) {
	case *op.Mul:
		return l.linear(n, x, c, []float64{0})
	case *op.Sub:
		if k == n.In[0] {
			return l.linear(n, x, []float64{-1}, c)
		}
		c = negative(c)
	}
	return l.linear(n, x, []float64{1}, c)
}

// scaling reports whether a convolution is a linear function of each channel with constants that are reals.
func scaling(n *ir.Node, o *op.Conv) bool {
	w := n.In[1]
	one := func(s []int) bool { return !slices.ContainsFunc(s, func(k int) bool { return k != 1 }) }
	pads := slices.ContainsFunc(o.Pads, func(p int) bool { return p != 0 })
	return w.Const != nil && !w.Type.IsQuant() && o.Group == w.Type.Shape[0] && one(w.Type.Shape[1:]) && one(o.Strides) && !pads &&
		slices.Equal(n.In[0].Type.Shape, n.Out[0].Type.Shape)
}

func (l *lowerer) scalingConv(n *ir.Node) error {
	mul, err := channels(n, n.In[1])
	if err != nil {
		return err
	}
	add := []float64{0}
	if len(n.In) > 2 && n.In[2] != nil {
		if add, err = channels(n, n.In[2]); err != nil {
			return err
		}
	}
	return l.linear(n, n.In[0], mul, add)
}

// channels are the reals of a constant with one number for each channel, as a list for the elements of the result.
func channels(n *ir.Node, v *ir.Value) ([]float64, error) {
	t := v.Const
	if v.Type.IsQuant() {
		t = v.Type.Quant.Reals(t)
	}
	f := make([]float64, t.Len())
	for i := range f {
		f[i] = t.Float(i)
	}
	return alongAxis(n, v.Name, 1, f)
}

// linear is mul*x + add, one number or one for each element of the result: (x*M + A) >> T. A factor that cannot move a result by more than
// 2^-10 of a step is 0, and an addend beyond what x can bring back into the range of the result is cut.
func (l *lowerer) linear(n *ir.Node, x *ir.Value, mul, add []float64) error {
	in, sx, zx, q, err := l.ends(x, n.Out[0])
	if err != nil {
		return err
	}
	if l.unchanged(x.Type.Quant, q, in.Range, mul, add) {
		l.bufs[n.Out[0]] = in
		l.uses[n.Out[0]] = max(l.uses[n.Out[0]], 2*(l.uses[x]-1)) // as the readers of the buffer
		return nil
	}
	so, zo := q.At(0)
	bits, err := l.multiplierBits(q, in.Range.Bits()+1)
	if err != nil {
		return err
	}
	most := max(math.Abs(float64(in.Range.Lo-zx)), math.Abs(float64(in.Range.Hi-zx)))
	ratio := make([]float64, len(mul))
	reach := math.Abs(float64(zo)) + float64(max(q.Max, -q.Min)) + 1
	for i, m := range mul {
		if r := m * sx / so; math.Abs(r)*most >= 0x1p-10 {
			ratio[i] = r
		}
	}
	steps := join(add, ratio, func(a, r float64) float64 {
		limit := reach + math.Abs(r)*most
		return max(-limit, min(limit, a/so))
	})
	m := newMultiplier(ratio, bits, (hw.Interval{Lo: q.Min, Hi: q.Max}).Bits(), hw.ByChannel)
	if slices.ContainsFunc(steps, func(s float64) bool { return s != math.Trunc(s) }) {
		m = m.finer()
	}
	mv, tv := m.M.V, m.T.V
	size := max(len(steps), len(mv), len(tv))
	a := make([]int64, size)
	for i := range a {
		k, t := mv[i%len(mv)], tv[i%len(tv)]
		a[i] = int64(math.RoundToEven(math.Ldexp(steps[i%len(steps)], int(t)))) - zx*k
	}
	p := hw.NewProg(in.Range)
	v := p.OpI(hw.AddI, p.OpI(hw.MulI, 0, vec(mv)), vec(a))
	finish(p, v, vec(tv), q)
	return l.mapped(n, []*hw.Buffer{in}, p, n.Out[0])
}

// unchanged reports whether the integers of a range stand for the results as they are: the scales differ by the factor, the zero points by the
// addend, up to the rounding of float32.
func (l *lowerer) unchanged(x, y *ir.Quant, r hw.Interval, mul, add []float64) bool {
	if !periodic(mul, 1) || !periodic(add, 1) || r.Lo < y.Min || r.Hi > y.Max {
		return false
	}
	sx, zx := x.At(0)
	sy, zy := y.At(0)
	moved := add[0]/sy - float64(zx-zy)
	return math.Abs(sx*mul[0]-sy) <= sy*0x1p-22 && math.Abs(moved) <= math.Abs(float64(zx-zy))*0x1p-20
}
