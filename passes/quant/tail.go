package quant

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// wholeKey is the metadata of a model that was quantized with Config.Whole: so all that lower it agree.
const wholeKey = "quern.whole"

// Tail is the set of nodes at the end of the graph that stay in float on the host: operators that are not for hardware, and all that
// follows them. Where the model was not quantized with Config.Whole, so are a Softmax or LogSoftmax with no layer behind it whose result is
// no quantized value, and ArgMax, ArgMin and TopK. A quantized value, or an operator that quantizes, reached through such a node is found
// by Quantize and by the lowering, which refuse it. What follows places is for the host in any case.
func Tail(g *ir.Graph) map[*ir.Node]bool {
	_, whole := g.MetaValue(wholeKey)
	// Layers behind each value.
	before := map[*ir.Value]bool{}
	for _, n := range slices.Backward(g.Nodes) {
		layer := op.Of(n.Op).Class == op.MAC || slices.ContainsFunc(n.Out, func(v *ir.Value) bool { return before[v] })
		for _, v := range n.In {
			if v != nil && layer {
				before[v] = true
			}
		}
	}
	tail := map[*ir.Node]bool{}
	for _, n := range g.Nodes {
		switch n.Op.(type) {
		case *op.Softmax, *op.LogSoftmax:
			tail[n] = !whole && !before[n.Out[0]] && !n.Out[0].Type.IsQuant()
		default:
			tail[n] = floatOnly(n) || !whole && op.Of(n.Op).Class == op.Index
		}
		for _, v := range n.In {
			if v != nil && v.Def != nil && (tail[v.Def] || op.Of(v.Def.Op).Class == op.Index) {
				tail[n] = true
			}
		}
	}
	return tail
}

// floatOnly reports whether a node has no integer form.
func floatOnly(n *ir.Node) bool {
	switch n.Op.(type) {
	case *op.Pow: // a table, so a function of one value
		return n.In[0].Const == nil && n.In[1].Const == nil
	case *op.PRelu, *op.Gather, *op.GatherElements, *op.GatherND, *op.ReverseSequence:
		return n.In[1].Const == nil // of moves: hardware knows from the start what goes where
	}
	return op.Of(n.Op).Class == op.None
}

// instead says what hardware can do in place of a float-only operator.
var instead = map[string]string{
	"InstanceNormalization":     normalizations,
	"LRN":                       normalizations,
	"LayerNormalization":        normalizations,
	"GroupNormalization":        normalizations,
	"LpNormalization":           normalizations,
	"MeanVarianceNormalization": normalizations,
	"RMSNormalization":          normalizations,
}

const normalizations = "its statistics change with each sample, supported is BatchNormalization, whose statistics are constant"

// blame finds a float-only operator at or above a node of the tail, and says what to do about it.
func blame(n *ir.Node, tail map[*ir.Node]bool) string {
	for !floatOnly(n) {
		i := slices.IndexFunc(n.In, func(v *ir.Value) bool { return v != nil && v.Def != nil && tail[v.Def] })
		if i < 0 {
			break // a Softmax
		}
		n = n.In[i].Def // a node of the tail without such an input is float-only itself
	}
	name := n.Op.OpName()
	if s := instead[name]; s != "" {
		return fmt.Sprintf("%v (%s): %s", n.Pos, name, s)
	}
	return fmt.Sprintf("%v (%s)", n.Pos, name)
}
