package quant

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// Propagate moves Quants through operators that move or select values and leave them as they are. Forward: a result without a Quant
// takes that of the input. Backward: an input without one, read only here, takes that of the result. Both are exact: quantization is
// monotone and elementwise, so it commutes with selecting the maximum and with moving.
func Propagate(g *ir.Graph) error {
	uses := g.UseCounts()
	names := g.Names()
	for round := true; round; {
		round = false
		for _, n := range g.Nodes {
			if !moves(n) || len(n.Out) == 0 {
				continue
			}
			if q := commonQuant(n.In); q != nil {
				for _, o := range n.Out {
					if !o.Type.IsQuant() {
						o.Type.Elem, o.Type.Quant = q.Elem, q.Quant.Clone()
						round = true
					}
				}
			}
		}
		for _, n := range slices.Backward(g.Nodes) {
			if !moves(n) || !n.Out[0].Type.IsQuant() || len(n.Out) > 1 && commonQuant(n.Out) == nil {
				continue
			}
			for i, v := range n.In {
				if v == nil || v.Type.IsQuant() || !v.Type.Elem.IsFloat() {
					continue
				}
				t := ir.Type{Elem: n.Out[0].Type.Elem, Shape: v.Type.Shape, Quant: n.Out[0].Type.Quant.Clone()}
				switch {
				case v.Const != nil:
					n.In[i] = &ir.Value{Name: names.New(v.Name), Type: t, Const: t.Quant.Integers(t.Elem, v.Const)}
				case v.Def == nil || uses[v] > 1:
					k := &ir.Node{Op: &op.Quantize{}, In: []*ir.Value{v}, Pos: n.Pos}
					k.Out = []*ir.Value{{Name: names.New(v.Name), Type: t, Def: k}}
					g.InsertBefore(n, k)
					n.In[i] = k.Out[0]
					uses[k.Out[0]] = 1
				default:
					v.Type = t
				}
				round = true
			}
			if round {
				break // the list of nodes may have changed
			}
		}
	}
	return Absorb(g) // Quantize nodes put on values with several readers
}

// moves reports whether a node only moves or selects values. A Pad with another value than 0, and one of a value whose zero is not
// representable, is not: its padding has a meaning of its own.
func moves(n *ir.Node) bool {
	switch o := n.Op.(type) {
	case *op.Relu, *op.Clip:
		return false
	case *op.Resize:
		return o.Mode == "nearest" && o.Coordinates != "tf_crop_and_resize"
	case *op.Pad:
		return o.Mode != "constant" || o.Value == 0
	}
	return op.Of(n.Op).Class == op.SameScale
}

// commonQuant is the type that all float or quantized values share; nil if one has no Quant or they differ.
func commonQuant(vs []*ir.Value) *ir.Type {
	var t *ir.Type
	for _, v := range vs {
		if v == nil || !v.Type.Elem.IsFloat() && !v.Type.IsQuant() {
			continue // indices
		}
		if !v.Type.IsQuant() || !v.Type.Quant.PerTensor() || t != nil && (t.Elem != v.Type.Elem || !t.Quant.Equal(v.Type.Quant)) {
			return nil
		}
		t = &v.Type
	}
	return t
}
