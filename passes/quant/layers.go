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

// Widths are the widths of a node of a graph: of its weights, and of its result. An activation that FuseAct will merge with the layer
// before it has the width of that layer, unless Layers has one for itself.
func (c *Config) Widths(n *ir.Node, fused func(v *ir.Value) bool) Bits {
	b := c.of(n)
	if _, _, ok := Activation(n.Op); ok && c.Layers[LayerName(n)].A == 0 && fused(n.In[0]) {
		b.A = c.of(n.In[0].Def).A
	}
	return b
}
