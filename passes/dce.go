package passes

import (
	"slices"

	"quern/ir"
)

// dce removes nodes none of whose results are read.
func dce(g *ir.Graph) error {
	live := map[*ir.Value]bool{}
	for _, v := range g.Outputs {
		live[v] = true
	}
	dead := map[*ir.Node]bool{}
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Out, func(v *ir.Value) bool { return live[v] }) {
			dead[n] = true
			continue
		}
		for _, v := range n.In {
			live[v] = true
		}
	}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *ir.Node) bool { return dead[n] })
	return nil
}
