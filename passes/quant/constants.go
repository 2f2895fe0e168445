package quant

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Constants computes nodes that only move the elements of a quantized constant: a Transpose or a Reshape between the DequantizeLinear of
// weights and their layer. The scales of channels go along, as long as they run along one axis of the result.
func Constants(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		switch n.Op.(type) {
		case *op.Flatten, *op.Identity, *op.Reshape, *op.Slice, *op.Squeeze, *op.Transpose, *op.Unsqueeze:
		default:
			continue
		}
		v, out := n.In[0], n.Out[0]
		if v.Const == nil || !v.Type.IsQuant() || out.Type.IsQuant() || g.IsOutput(out) {
			continue
		}
		t, q, err := moved(n.Op, v)
		if err != nil {
			return n.Wrap(err)
		}
		if t == nil {
			continue
		}
		g.ReplaceUses(out, &ir.Value{Name: out.Name, Type: ir.Type{Elem: v.Type.Elem, Shape: t.Shape, Quant: q}, Const: t})
		g.Remove(n)
	}
	return nil
}

// moved is a quantized constant after an operator that moves its elements; nil if the scales of the result do not run along one axis.
func moved(o ir.Op, v *ir.Value) (*tensor.T, *ir.Quant, error) {
	r, err := op.Eval(o, []*tensor.T{v.Const})
	if err != nil {
		return nil, nil, err
	}
	t, q := r[0].Clone(), v.Type.Quant.Clone()
	if q.PerTensor() {
		return t, q, nil
	}
	at := tensor.New(tensor.I64, v.Type.Shape...) // the channel of each element
	q.Channels(v.Type.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			at.I[i] = int64(c)
		}
	})
	if r, err = op.Eval(o, []*tensor.T{at}); err != nil {
		return nil, nil, err
	}
	for axis, d := range t.Shape {
		if channels := along(r[0], axis); channels != nil {
			s := &ir.Quant{Axis: axis, Min: q.Min, Max: q.Max, Round: q.Round}
			for _, c := range channels {
				scale, zero := q.At(c)
				s.Scale, s.Zero = append(s.Scale, scale), append(s.Zero, zero)
			}
			if len(q.Zero) == 1 {
				s.Zero = q.Zero
			}
			if d == 1 {
				s.Axis, s.Zero = 0, s.Zero[:1]
			}
			return t, s, nil
		}
	}
	return nil, nil, nil
}

// along is the element at each index of an axis, if all elements with that index are equal; else nil.
func along(t *tensor.T, axis int) []int {
	d, inner := t.Shape[axis], tensor.Numel(t.Shape[axis+1:])
	r := slices.Repeat([]int{-1}, d)
	for i, x := range t.I {
		k := i / inner % d
		if r[k] >= 0 && r[k] != int(x) {
			return nil
		}
		r[k] = int(x)
	}
	return r
}
