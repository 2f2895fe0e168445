package passes

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir"
	"quern/ir/op"
)

// cse computes equal nodes once: same operator and attributes, the same inputs or constants with equal data, and the same result types,
// Quants included. The first of them stays.
func cse(g *ir.Graph) error {
	ids := map[*ir.Value]int{}
	seen := map[string][]*ir.Node{}
	for _, n := range slices.Clone(g.Nodes) {
		key := nodeKey(n, ids)
		i := slices.IndexFunc(seen[key], func(m *ir.Node) bool { return sameConsts(m, n) })
		if i < 0 {
			seen[key] = append(seen[key], n)
			continue
		}
		for k, v := range n.Out {
			forward(g, v, seen[key][i].Out[k])
			if !slices.Contains(g.Nodes, n) {
				break
			}
		}
	}
	return nil
}

// nodeKey is equal for nodes that are equal up to the data of their constants.
func nodeKey(n *ir.Node, ids map[*ir.Value]int) string {
	var b strings.Builder
	b.WriteString(n.Op.OpName())
	for _, a := range op.Attrs(n.Op) {
		b.WriteString(" " + op.FormatAttr(a.Value))
	}
	for _, v := range n.In {
		switch {
		case v == nil:
			b.WriteString(" _")
		case v.Const != nil:
			b.WriteString(" " + v.Type.String())
		default:
			if ids[v] == 0 {
				ids[v] = len(ids) + 1
			}
			fmt.Fprintf(&b, " %%%d", ids[v])
		}
	}
	for _, v := range n.Out {
		b.WriteString(" -> " + v.Type.String())
	}
	return b.String()
}

// sameConsts compares the constants among the inputs of two nodes with the same key.
func sameConsts(a, b *ir.Node) bool {
	for i, v := range a.In {
		if v != nil && v.Const != nil && v != b.In[i] && !v.Const.Equal(b.In[i].Const) {
			return false
		}
	}
	return true
}
