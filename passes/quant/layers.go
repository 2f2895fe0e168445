package quant

import "quern/ir"

// LayerName is what Config.Layers knows a node by: its name, or that of its result if it has none.
func LayerName(n *ir.Node) string {
	if n.Pos.Name != "" || len(n.Out) == 0 {
		return n.Pos.Name
	}
	return n.Out[0].Name
}

// Moves reports whether a node only moves or selects values, and so has the type of its input.
func Moves(n *ir.Node) bool { return moves(n) }

// Scaling is how the scales of a layer are chosen.
type Scaling struct{ PerTensor, Pow2 bool }

// owner is the LayerName whose settings count for the result of a node: its own if it has any, else, for an activation that FuseAct
// will merge with the layer before it, that of the layer.
func owner(n *ir.Node, fused func(v *ir.Value) bool, has func(name string) bool) string {
	name := LayerName(n)
	if _, _, ok := Activation(n.Op); ok && !has(name) && fused(n.In[0]) {
		return LayerName(n.In[0].Def)
	}
	return name
}

// Owner is the LayerName that a value goes by where has says which layers have a setting of their own.
func Owner(g *ir.Graph, v *ir.Value, has func(name string) bool) string {
	if v.Def == nil {
		return ""
	}
	return owner(v.Def, func(v *ir.Value) bool { return fuses(g, v, g.Uses(v)) }, has)
}

// widths are those of a node: of its weights, and of its result.
func (q *quantizer) widths(n *ir.Node) Bits {
	b := q.c.of(LayerName(n))
	b.A = q.c.of(owner(n, q.fuses, func(name string) bool { return q.c.Layers[name].A != 0 })).A
	return b
}

// For is the Config with the Scaling of one layer.
func (c *Config) For(layer string) *Config {
	s, ok := c.Scalings[layer]
	if !ok {
		return c
	}
	r := *c
	r.PerTensor, r.Pow2 = s.PerTensor, s.Pow2
	return &r
}
