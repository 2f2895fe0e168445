package quant

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Absorb turns the Quantize and Dequantize nodes of imported models into types. Readers of Dequantize read the quantized value itself
// (its reals are the same). A Quantize disappears into the type of the value it reads; where that value has other readers, its node
// is cloned, because the bits of "quantize the exact result" are not those of "requantize a quantized result". Quantize nodes stay on
// graph inputs (the host converts) and on values that are quantized already (a requantization).
func Absorb(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		if _, ok := n.Op.(*op.Dequantize); ok && n.In[0].Type.IsQuant() {
			v := n.In[0]
			if v.Def == nil || !g.IsOutput(n.Out[0]) {
				if v.Def != nil || v.Const != nil { // the file's name of the reals; an input keeps its own
					v.Name, n.Out[0].Name = n.Out[0].Name, v.Name
				}
			}
			g.ReplaceUses(n.Out[0], v)
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
			c := &ir.Value{Name: n.Out[0].Name, Type: t, Const: Integers(v.Const, t)}
			g.ReplaceUses(n.Out[0], c)
			g.Remove(n)
		case v.Def == nil || v.Type.IsQuant():
			// stays
		default:
			if uses[v] > 1 {
				v = clone(g, v, names)
				uses[n.In[0]]--
			}
			v.Type = t
			uses[v] = uses[n.Out[0]]
			g.ReplaceUses(n.Out[0], v)
			if !g.IsOutput(v) {
				v.Name, n.Out[0].Name = n.Out[0].Name, v.Name
			}
			g.Remove(n)
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

// Integers quantizes a float tensor to a type with a Quant.
func Integers(t *tensor.T, to ir.Type) *tensor.T {
	r := tensor.New(to.Elem, t.Shape...)
	to.Quant.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.I[i] = to.Quant.Quantize(float64(t.F[i]), c)
		}
	})
	return r
}

// Reals are the float32 numbers that a quantized constant stands for.
func Reals(t *tensor.T, q *ir.Quant) *tensor.T {
	r := tensor.New(tensor.F32, t.Shape...)
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.F[i] = q.Dequantize(t.I[i], c)
		}
	})
	return r
}
