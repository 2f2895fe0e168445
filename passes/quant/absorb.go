package quant

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// Absorb turns the Quantize and Dequantize nodes of imported models into types. Readers of Dequantize read the quantized value itself
// (its reals are the same). A Quantize disappears into the type of the value it reads; where that value has other readers, its node
// is cloned, because the bits of "quantize the exact result" are not those of "requantize a quantized result". Quantize nodes stay on
// graph inputs (the host converts) and on values that are quantized already (a requantization).
func Absorb(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		if _, ok := n.Op.(*op.Dequantize); ok && n.In[0].Type.IsQuant() {
			v, r := n.In[0], n.Out[0]
			input := v.Def == nil && v.Const == nil
			switch {
			case g.IsOutput(r) && (input || g.IsOutput(v)): // two names of the interface for one value
				n.Op, r.Type = &op.Identity{}, v.Type.Clone()
				continue
			case input || g.IsOutput(v): // keeps its name
			case !g.IsOutput(r) || v.Const != nil:
				v.Name, r.Name = r.Name, v.Name // the file's name of the reals
			}
			g.ReplaceUses(r, v)
			g.Remove(n)
		}
	}
	names := g.Names()
	uses := g.UseCounts()
	for _, n := range slices.Clone(g.Nodes) {
		if _, ok := n.Op.(*op.Quantize); !ok {
			continue
		}
		v, t := n.In[0], n.Out[0].Type
		switch {
		case v.Const != nil && !v.Type.IsQuant():
			c := &ir.Value{Name: n.Out[0].Name, Type: t, Const: t.Quant.Integers(t.Elem, v.Const)}
			g.ReplaceUses(n.Out[0], c)
			g.Remove(n)
		case v.Def == nil || v.Type.IsQuant():
			// stays
		default:
			if uses[v] > 1 {
				v = clone(g, v, names)
				uses[n.In[0]]--
			}
			g.TakeOver(v, n)
		}
	}
	return nil
}

// clone copies the node that defines v, right behind it, and returns the copy of v.
func clone(g *ir.Graph, v *ir.Value, names *ir.Names) *ir.Value {
	n := v.Def
	k := &ir.Node{Op: n.Op, In: slices.Clone(n.In), Pos: n.Pos}
	var r *ir.Value
	for _, o := range n.Out {
		c := &ir.Value{Name: names.New(o.Name), Type: o.Type.Clone(), Def: k}
		k.Out = append(k.Out, c)
		if o == v {
			r = c
		}
	}
	g.InsertAfter(n, k)
	return r
}
