package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// identity removes operators that change nothing. A node between an input or a constant and an output of the graph stays.
func identity(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		if !changesNothing(n) || n.Out[0].Type.Quant != nil && !n.Out[0].Type.Quant.Equal(n.In[0].Type.Quant) {
			continue
		}
		if g.IsOutput(n.Out[0]) && (n.In[0].Def == nil || g.IsOutput(n.In[0])) {
			continue
		}
		g.ReplaceUses(n.Out[0], n.In[0])
		g.Remove(n)
	}
	return nil
}

func changesNothing(n *ir.Node) bool {
	same := n.In[0] != nil && slices.Equal(n.In[0].Type.Shape, n.Out[0].Type.Shape) && n.In[0].Type.Elem == n.Out[0].Type.Elem
	switch o := n.Op.(type) {
	case *op.Identity, *op.Dropout:
		return same
	case *op.Cast, *op.Reshape, *op.Flatten, *op.Squeeze, *op.Unsqueeze, *op.Slice, *op.Expand:
		return same
	case *op.Pad:
		return same && !slices.ContainsFunc(o.Pads, func(p int) bool { return p != 0 })
	case *op.Transpose:
		return same && slices.IsSorted(o.Perm)
	}
	return false
}

// fold computes nodes whose inputs are all constant reals or integers without a Quant.
func fold(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		in := make([]*tensor.T, len(n.In))
		ok := op.Of(n.Op).Class != op.Boundary && !slices.ContainsFunc(n.Out, func(v *ir.Value) bool { return g.IsOutput(v) || v.Type.IsQuant() })
		for i, v := range n.In {
			if v == nil {
				continue
			}
			ok = ok && v.Const != nil && !v.Type.IsQuant() && !slices.ContainsFunc(v.Const.I, func(x int64) bool { return ir.IsSymbol(int(x)) })
			in[i] = v.Const
		}
		if !ok {
			continue
		}
		out, err := op.Eval(n.Op, in)
		if err != nil {
			return n.Wrap(err)
		}
		for i, v := range n.Out {
			g.ReplaceUses(v, &ir.Value{Name: v.Name, Type: v.Type, Const: out[i]})
		}
		g.Remove(n)
	}
	return nil
}

// pool turns means over the whole of an image into GlobalAveragePool.
func pool(g *ir.Graph) error {
	names := g.Names()
	for _, n := range slices.Clone(g.Nodes) {
		x := n.In[0].Type.Shape
		if n.Out[0].Type.IsQuant() {
			continue
		}
		switch o := n.Op.(type) {
		case *op.AveragePool:
			if len(o.KernelShape) == len(x)-2 && slices.Equal(o.KernelShape, x[2:]) && len(o.Pads) == 0 && len(o.Dilations) == 0 {
				n.Op = &op.GlobalAveragePool{}
			}
		case *op.ReduceMean:
			axes := slices.Sorted(slices.Values(o.Axes))
			if len(x) != 4 || !slices.Equal(axes, []int{2, 3}) {
				continue
			}
			if o.KeepDims {
				n.Op = &op.GlobalAveragePool{}
				continue
			}
			k, err := ir.NewNode(&op.GlobalAveragePool{}, n.Pos, n.In, names.New(n.Out[0].Name+"_pool"))
			if err != nil {
				return err
			}
			g.InsertBefore(n, k)
			n.Op, n.In = &op.Flatten{Axis: 1}, []*ir.Value{k.Out[0]}
		}
	}
	return nil
}

// act gives activations their simplest form.
func act(g *ir.Graph) error {
	for _, n := range slices.Clone(g.Nodes) {
		if c, ok := n.Op.(*op.Clip); ok && c.Min == 0 && c.Max > 3e38 {
			n.Op = &op.Relu{}
		}
		if _, ok := n.Op.(*op.Relu); !ok || n.In[0].Def == nil || n.Out[0].Type.IsQuant() || n.In[0].Type.IsQuant() || g.IsOutput(n.Out[0]) {
			continue
		}
		if _, ok := n.In[0].Def.Op.(*op.Relu); ok {
			g.ReplaceUses(n.Out[0], n.In[0])
			g.Remove(n)
		}
	}
	return nil
}

// dce removes nodes none of whose results are read.
func dce(g *ir.Graph) error {
	live := map[*ir.Value]bool{}
	for _, v := range g.Outputs {
		live[v] = true
	}
	for _, n := range slices.Backward(slices.Clone(g.Nodes)) {
		if !slices.ContainsFunc(n.Out, func(v *ir.Value) bool { return live[v] }) {
			g.Remove(n)
			continue
		}
		for _, v := range n.In {
			if v != nil {
				live[v] = true
			}
		}
	}
	return nil
}
