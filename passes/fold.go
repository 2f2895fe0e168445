package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// foldLimit is the number of bytes that folding one node may add to the model: a tile of a constant stays a tile when it is huge.
const foldLimit = 64 << 20

// fold computes nodes whose inputs are all constants without a Quant, and Shape of anything. Handles of symbolic dimensions pass through
// operators that only move elements; where arithmetic would need their value the node stays. So do the nodes of graph outputs.
func fold(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		out, err := folded(g, n)
		if err != nil {
			return n.Wrap(err)
		}
		if out == nil {
			continue
		}
		for i, v := range n.Out {
			g.ReplaceUses(v, &ir.Value{Name: v.Name, Type: v.Type, Const: out[i]})
		}
		g.Remove(n)
	}
	return nil
}

// folded is the results of a node that can be computed now; nil if it cannot or should not be.
func folded(g *ir.Graph, n *ir.Node) ([]*tensor.T, error) {
	if slices.ContainsFunc(n.Out, g.IsOutput) {
		return nil, nil
	}
	if s, ok := n.Op.(*op.Shape); ok {
		return []*tensor.T{s.Of(n.In[0].Type.Shape)}, nil
	}
	size := 0
	for _, v := range n.Out {
		if v.Type.IsQuant() || !v.Type.Known() {
			return nil, nil
		}
		size += bytesOf(v.Type)
	}
	in := make([]*tensor.T, len(n.In))
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if v.Const == nil || v.Type.IsQuant() {
			return nil, nil
		}
		symbols := slices.ContainsFunc(v.Const.I, func(x int64) bool { return ir.IsSymbol(int(x)) })
		if symbols && !movesOnly(n.Op) {
			return nil, nil
		}
		in[i] = v.Const
		size -= bytesOf(v.Type)
	}
	if size > foldLimit {
		return nil, nil
	}
	return op.Eval(n.Op, in)
}

// bytesOf is the size of a tensor in memory.
func bytesOf(t ir.Type) int {
	if t.Elem.IsFloat() {
		return 4 * tensor.Numel(t.Shape)
	}
	return 8 * tensor.Numel(t.Shape)
}

// movesOnly reports whether an operator gives its elements as they are, so that they may be handles of open dimensions.
func movesOnly(o ir.Op) bool {
	switch o.(type) {
	case *op.Relu, *op.Clip, *op.Max, *op.Min, *op.MaxPool, *op.GlobalMaxPool, *op.ReduceMax, *op.ReduceMin:
		return false
	}
	return op.Of(o).Class == op.SameScale
}
