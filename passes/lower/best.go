package lower

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// keys are a value's integers with their places along an axis: x*2^k + place. The greatest key belongs to the greatest integer and, of equals,
// to the first, whose place is the greatest (2^k-1, and down from there), or to the last. So places need no comparison of their own:
// one maximum finds both, out of primitives that are there anyway.
type keys struct {
	l    *lowerer
	n    *ir.Node
	x    *ir.Value
	buf  *hw.Buffer // the keys, in the shape of x
	axis int
	sign int64 // -1: the least integer is looked for
	k    int   // bits of a place
	last bool  // places ascend
}

// newKeys adds the kernel that makes the keys.
func (l *lowerer) newKeys(n *ir.Node, axis int, least, last bool) (*keys, error) {
	x := n.In[0]
	in, err := l.buffer(x)
	if err != nil {
		return nil, err
	}
	if _, _, err := inQuant(x); err != nil {
		return nil, err
	}
	if axis < 0 {
		axis += len(x.Type.Shape)
	}
	size := x.Type.Shape[axis]
	k := &keys{l: l, n: n, x: x, axis: axis, sign: 1, k: bits.Len(uint(size - 1)), last: last}
	if least {
		k.sign = -1
	}
	places := make([]int64, size)
	for i := range places {
		if places[i] = int64(i); !last {
			places[i] = 1<<k.k - 1 - int64(i)
		}
	}
	v := k.value("keys", x.Type.Shape)
	addend, err := alongAxis(&ir.Node{Out: []*ir.Value{v}}, "places", axis, places)
	if err != nil {
		return nil, err
	}
	p := hw.NewProg(in.Range)
	p.OpI(hw.AddI, p.OpI(hw.MulI, 0, hw.Scalar(k.sign<<k.k)), vec(addend))
	if err := l.mapped(n, []*hw.Buffer{in}, p, v); err != nil {
		return nil, err
	}
	k.buf = l.bufs[v]
	return k, nil
}

// value is a new value of the lowering, named after the node's first result.
func (k *keys) value(name string, shape []int) *ir.Value {
	return &ir.Value{Name: k.n.Out[0].Name + "_" + name, Type: ir.Type{Shape: shape}}
}

// place appends the place along the axis out of key v.
func (k *keys) place(p *hw.Prog, v int) {
	if k.k == 0 {
		p.OpI(hw.MulI, v, hw.Scalar(0))
		return
	}
	half := int64(1) << (k.k - 1)
	v = p.OpI(hw.AddI, p.OpI(hw.Wrap, p.OpI(hw.AddI, v, hw.Scalar(-half)), hw.Scalar(int64(k.k))), hw.Scalar(half)) // the low k bits
	if !k.last {
		v = p.OpI(hw.AddI, p.OpI(hw.MulI, v, hw.Scalar(-1)), hw.Scalar(2*half-1))
	}
	p.Clamp(v, 0, int64(k.x.Type.Shape[k.axis]-1))
}

// integer appends the integer of x out of key v, on the grid of q.
func (k *keys) integer(p *hw.Prog, v int, q *ir.Quant) error {
	v = p.OpI(hw.MulI, p.OpI(hw.RshFloor, v, hw.Scalar(int64(k.k))), hw.Scalar(k.sign))
	_, err := k.l.toGrid(p, v, (hw.Interval{Lo: k.x.Type.Quant.Min, Hi: k.x.Type.Quant.Max}).Bits()+1, k.x, q)
	return err
}

// argMaxRule: ArgMax and ArgMin, the place in the greatest key.
func argMaxRule(l *lowerer, n *ir.Node) error {
	o, most := n.Op.(*op.ArgMax)
	if !most {
		o = (*op.ArgMax)(n.Op.(*op.ArgMin))
	}
	k, err := l.newKeys(n, o.Axis, !most, o.SelectLastIndex)
	if err != nil {
		return err
	}
	return l.reduce(n, k.buf, k.x.Type.Shape, []int{k.axis}, n.Out[0], hw.ReduceMax, func(p *hw.Prog, _ int) error {
		k.place(p, 0)
		return nil
	})
}

// topKRule: one maximum of the keys after the other, each taken out before the next. Values keep the grid of the operand unless the model
// says another.
func topKRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.TopK)
	k, err := l.newKeys(n, o.Axis, !o.Largest, false)
	if err != nil {
		return err
	}
	if o.K == 0 {
		return fmt.Errorf("k is 0, want 1 or more")
	}
	lo, hi := k.buf.Range.Lo, k.buf.Range.Hi
	one := slices.Clone(k.x.Type.Shape)
	one[k.axis] = 1
	var tops []*ir.Value
	for i := range o.K {
		top := k.value(fmt.Sprintf("top%d", i), one)
		// Keys that are taken out are lo-1, less than all others, of which there is one at least.
		err := l.reduce(n, k.buf, k.x.Type.Shape, []int{k.axis}, top, hw.ReduceMax, func(p *hw.Prog, _ int) error {
			p.OpI(hw.MaxI, 0, hw.Scalar(lo))
			return nil
		})
		if err != nil {
			return err
		}
		top.Type.Elem, top.Type.Quant = k.x.Type.Elem, places(hi)
		top.Type.Quant.Min = lo
		if tops = append(tops, top); i == o.K-1 {
			break
		}
		e, err := l.expanded(n, l.bufs[top], top.Name+"s", one, k.x.Type.Shape)
		if err != nil {
			return err
		}
		rest := k.value(fmt.Sprintf("rest%d", i), k.x.Type.Shape)
		p := hw.NewProg(k.buf.Range, e.Range)
		is := p.Clamp(p.OpI(hw.AddI, p.Op(hw.Sub, 0, 1), hw.Scalar(1)), 0, 1) // 1 where the key is the greatest
		p.OpI(hw.MaxI, p.Op(hw.Sub, 0, p.OpI(hw.MulI, is, hw.Scalar(hi-lo+2))), hw.Scalar(lo-1))
		if err := l.mapped(n, []*hw.Buffer{k.buf, e}, p, rest); err != nil {
			return err
		}
		k.buf = l.bufs[rest]
	}
	all := &ir.Value{Name: n.Out[0].Name + "_tops", Type: n.Out[0].Type.Clone()}
	all.Type.Quant = tops[0].Type.Quant
	if err := moveRule(l, &ir.Node{Op: &op.Concat{Axis: k.axis}, In: tops, Out: []*ir.Value{all}, Pos: n.Pos}); err != nil {
		return err
	}
	q := n.Out[0].Type.Quant
	if q == nil {
		q = k.x.Type.Quant
	}
	in := l.bufs[all]
	p := hw.NewProg(in.Range)
	if err := k.integer(p, 0, q); err != nil {
		return err
	}
	if err := l.mapped(n, []*hw.Buffer{in}, p, n.Out[0]); err != nil {
		return err
	}
	p = hw.NewProg(in.Range)
	k.place(p, 0)
	return l.mapped(n, []*hw.Buffer{in}, p, n.Out[1])
}

// places is the Quant of integers 0..last that stand for themselves.
func places(last int64) *ir.Quant {
	return &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Max: last}
}

// portQuant says what the integers of an output stand for.
func (l *lowerer) portQuant(v *ir.Value) *ir.Quant {
	if v.Type.Quant != nil {
		return v.Type.Quant
	}
	switch {
	case op.Of(v.Def.Op).Class != op.Index:
	case v.Type.Elem.IsFloat(): // the values of a TopK
		return v.Def.In[0].Type.Quant
	default:
		return places(l.bufs[v].Range.Hi)
	}
	q := accQuant(v.Def)
	for i, s := range q.Scale {
		q.Scale[i] = math.Ldexp(s, -l.fractions[v])
	}
	return q
}
