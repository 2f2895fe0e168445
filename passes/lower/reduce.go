package lower

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// reduceRule: ReduceSum, ReduceMean, ReduceL1, ReduceSumSquare, ReduceMax and ReduceMin over any axes.
func reduceRule(l *lowerer, n *ir.Node) error {
	in, err := l.buffer(n.In[0])
	if err != nil {
		return err
	}
	x, y := n.In[0], n.Out[0]
	axes, kind, sign := []int(nil), hw.ReduceSum, int64(1)
	mean := false
	s, z, err := inQuant(x)
	if err != nil {
		return err
	}
	switch o := n.Op.(type) {
	case *op.ReduceSum:
		axes = o.Axes
	case *op.ReduceMean:
		axes, mean = o.Axes, true
	case *op.ReduceL1:
		axes = o.Axes
		in, err = l.each(n, in, "_abs", func(p *hw.Prog) {
			v := p.OpI(hw.AddI, 0, hw.Scalar(-z))
			p.Op(hw.Max, v, p.OpI(hw.MulI, v, hw.Scalar(-1)))
		})
		z = 0
	case *op.ReduceSumSquare:
		axes = o.Axes
		in, err = l.each(n, in, "_square", func(p *hw.Prog) {
			v := p.OpI(hw.AddI, 0, hw.Scalar(-z))
			p.OpI(hw.MaxI, p.Op(hw.Mul, v, v), hw.Scalar(0)) // which intervals do not know
		})
		s, z = s*s, 0
	case *op.ReduceMax:
		axes, kind = o.Axes, hw.ReduceMax
	case *op.ReduceMin: // the maximum of the negated integers, negated
		axes, kind, sign = o.Axes, hw.ReduceMax, -1
		in, err = l.each(n, in, "_neg", func(p *hw.Prog) { p.OpI(hw.MulI, 0, hw.Scalar(-1)) })
	}
	if err != nil {
		return err
	}
	if kind == hw.ReduceSum {
		return l.sum(n, in, s, z, axes, mean)
	}
	return l.reduce(n, in, x.Type.Shape, axes, y, kind, func(p *hw.Prog, _ int) error {
		v := p.OpI(hw.MulI, 0, hw.Scalar(sign))
		return l.rescale(n, p, v, in.Range.Bits()+1)
	})
}

// each is a buffer of a function of each element of a buffer.
func (l *lowerer) each(n *ir.Node, in *hw.Buffer, name string, f func(p *hw.Prog)) (*hw.Buffer, error) {
	p := hw.NewProg(in.Range)
	f(p)
	v := &ir.Value{Name: n.Out[0].Name + name}
	err := l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{in}, Prog: p}, v, in.Shape)
	return l.bufs[v], err
}

// sum is the sum or mean over axes of a buffer of scale s and zero point z, rounded once.
func (l *lowerer) sum(n *ir.Node, in *hw.Buffer, s float64, z int64, axes []int, mean bool) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	return l.reduce(n, in, n.In[0].Type.Shape, axes, n.Out[0], hw.ReduceSum, func(p *hw.Prog, count int) error {
		v := p.OpI(hw.AddI, 0, hw.Scalar(-z*int64(count)))
		scale := s
		if mean {
			scale /= float64(count)
		}
		_, err := l.requant(p, v, p.In[0].Bits()+1, []float64{scale}, hw.ByChannel, q)
		return err
	})
}

// reduce adds the kernels that reduce a buffer x of a model's shape over axes (none: all) to v, whose shape has the reduced axes as 1 or not
// at all. end appends to the program that ends each element, whose input is the accumulator of count elements.
//
// The kernel is a Window over [1,count,kept], or over [kept,count,1] where that is the order of the elements already: a reduction over the
// channels. Else they are moved into the first order.
func (l *lowerer) reduce(n *ir.Node, x *hw.Buffer, shape, axes []int, v *ir.Value, kind hw.Reduce, end func(p *hw.Prog, count int) error) error {
	at, count, err := l.regroup(shape, axes, v.Type.Shape)
	if err != nil {
		return err
	}
	kept := len(at) / count
	rows := make([]int64, len(at)) // [kept,count]
	for i, f := range at {
		rows[i%kept*count+i/kept] = f
	}
	g := hw.Geometry{H: 1, W: count, C: kept, OH: 1, OW: 1, OC: kept, KH: 1, KW: count, SH: 1, SW: 1, DH: 1, DW: 1}
	if !ascending(at) && ascending(rows) {
		g.H, g.C, g.OH, g.OC = kept, 1, kept, 1
		at = rows
	}
	if !ascending(at) || x.Channels() != g.C {
		t := &ir.Value{Name: v.Name + "_in"}
		l.move(n, t, []*hw.Buffer{x}, at, []int{g.H, g.W, g.C}, 0)
		x = l.bufs[t]
	}
	g.PadValue = x.Range.Lo
	w := &hw.Window{Geometry: g, Reduce: kind}
	if err := w.Bound(x.Range); err != nil {
		return err
	}
	p := hw.NewProg(w.Acc)
	if err := end(p, count); err != nil {
		return err
	}
	out, _ := layout(v.Type.Shape)
	k := &hw.Kernel{Kind: hw.KWindow, In: []*hw.Buffer{x}, Window: w, Prog: p}
	if c := (&hw.Buffer{Shape: out}).Channels(); c == g.OC {
		return l.kernel(n, k, v, out)
	}
	t := &ir.Value{Name: v.Name + "_out"}
	if err := l.kernel(n, k, t, []int{g.OH, g.OW, g.OC}); err != nil {
		return err
	}
	l.reshape(n, l.bufs[t], v, out)
	return nil
}

// regroup is the order [count,kept] of the elements of a buffer that has a model's shape: where each comes from, as move wants it. Kept
// elements are in the order of the buffer of the result.
func (l *lowerer) regroup(shape, axes, out []int) (at []int64, count int, err error) {
	reduced := make([]bool, len(shape))
	for _, a := range axes {
		if a < 0 {
			a += len(shape)
		}
		if a < 0 || a >= len(shape) {
			return nil, 0, fmt.Errorf("axes %v of a value of %d axes", axes, len(shape))
		}
		reduced[a] = true
	}
	count = 1
	for i, d := range shape {
		if reduced[i] = reduced[i] || len(axes) == 0; reduced[i] {
			count *= d
		}
	}
	from, to := offsets(shape, 1).I, offsets(out, 0).I
	if count < 1 || len(from) != count*len(to) {
		return nil, 0, fmt.Errorf("shape %v reduced over axes %v: result has shape %v", shape, axes, out)
	}
	at = make([]int64, len(from))
	index := make([]int, len(shape))
	for _, f := range from {
		r, k := 0, 0
		for a, d := range shape {
			if reduced[a] {
				r = r*d + index[a]
			} else {
				k = k*d + index[a]
			}
		}
		at[r*len(to)+int(to[k])] = f
		for a := len(shape) - 1; a >= 0; a-- {
			if index[a]++; index[a] < shape[a] {
				break
			}
			index[a] = 0
		}
	}
	return at, count, nil
}

// ascending reports whether elements stay where they are.
func ascending(at []int64) bool {
	for i, f := range at {
		if f != int64(i)+1 {
			return false
		}
	}
	return true
}

// expanded is a buffer that holds a value of shape from, repeated to shape to.
func (l *lowerer) expanded(n *ir.Node, b *hw.Buffer, name string, from, to []int) (*hw.Buffer, error) {
	if slices.Equal(from, to) {
		return b, nil
	}
	e, err := op.Eval(&op.Expand{Shape: to}, []*tensor.T{offsets(from, 1)})
	if err != nil {
		return nil, err
	}
	dims, perm := layout(to)
	v := &ir.Value{Name: name}
	l.move(n, v, []*hw.Buffer{b}, e[0].Reshape(noBatch(to)...).Permute(perm).I, dims, 0)
	return l.bufs[v], nil
}
