package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// maxRounds bounds passes that go on until nothing changes. Chains are followed within a round, since nodes are visited in order;
// real models take two rounds, one to work and one to see that it is done.
const maxRounds = 20

// rounds calls f for each node, in order, and again until a round changes nothing. f reports whether it changed the graph; it may
// remove and insert nodes, and leave others without readers. That it never ends is a bug of the pass, reported with a node that
// still changes.
func rounds(g *ir.Graph, f func(n *ir.Node) (bool, error)) error {
	for range maxRounds - 1 {
		if n, err := round(g, f); n == nil || err != nil {
			return err
		}
	}
	n, err := round(g, f)
	if n != nil && err == nil {
		return n.Errorf("still changes after %d rounds: want an end", maxRounds)
	}
	return err
}

// round calls f once for each node and removes what nothing reads any more. It returns the last node that changed.
func round(g *ir.Graph, f func(n *ir.Node) (bool, error)) (*ir.Node, error) {
	var last *ir.Node
	for _, n := range slices.Clone(g.Nodes) {
		if !slices.Contains(g.Nodes, n) { // removed on the way
			continue
		}
		switch changed, err := f(n); {
		case err != nil:
			return n, err
		case changed:
			last = n
		}
	}
	if last != nil {
		return last, dce(g)
	}
	return nil, nil
}

// forward makes the readers of old read v, as far as they can: a graph output keeps its node where v, being an input, a constant or
// an output itself, cannot take its name. It reports whether anything changed; the node of old is removed when nothing reads it.
func forward(g *ir.Graph, old, v *ir.Value) bool {
	if !g.IsOutput(old) || v.Def != nil && !g.IsOutput(v) {
		g.ReplaceUses(old, v)
		if !slices.ContainsFunc(old.Def.Out, func(o *ir.Value) bool { return g.Uses(o) > 0 }) {
			g.Remove(old.Def)
		}
		return true
	}
	changed := false
	for _, n := range g.Users(old) {
		for i, in := range n.In {
			if in == old {
				n.In[i], changed = v, true
			}
		}
	}
	return changed
}

// isReal reports whether a value is float32 without a Quant.
func isReal(v *ir.Value) bool { return v != nil && !v.Type.IsQuant() && v.Type.Elem == tensor.F32 }

// isConst reports whether a value is a constant float32 without a Quant.
func isConst(v *ir.Value) bool { return isReal(v) && v.Const != nil }

// input is input i of a node; nil if it is omitted.
func input(n *ir.Node, i int) *ir.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return nil
}

// sole is the only node that reads v, once; nil if there is another reader.
func sole(g *ir.Graph, v *ir.Value) *ir.Node {
	if g.Uses(v) != 1 || g.IsOutput(v) {
		return nil
	}
	return g.Users(v)[0]
}

// constant is a new constant.
func constant(names *ir.Names, name string, t *tensor.T) *ir.Value {
	return &ir.Value{Name: names.New(name), Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// instead is a constant to put in the place of old in the one node that is being rewritten; it takes over the name if nothing else
// reads old.
func instead(g *ir.Graph, names *ir.Names, old *ir.Value, t *tensor.T) *ir.Value {
	v := &ir.Value{Name: old.Name, Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
	if g.Uses(old) != 1 {
		v.Name = names.New(old.Name)
	}
	return v
}

// insert puts a new node with one result before another, whose position it takes.
func insert(g *ir.Graph, before *ir.Node, o ir.Op, name string, in ...*ir.Value) (*ir.Value, error) {
	n, err := ir.NewNode(o, before.Pos, in, name)
	if err != nil {
		return nil, err
	}
	g.InsertBefore(before, n)
	return n.Out[0], nil
}

// infers reports whether an operator on x alone gives a shape.
func infers(o ir.Op, x *ir.Value, shape []int) bool {
	t := x.Type.Real()
	r, err := o.Infer([]*ir.Type{&t})
	return err == nil && slices.Equal(r[0].Shape, shape)
}

// isView reports whether an operator changes nothing but the shape.
func isView(o ir.Op) bool {
	switch o.(type) {
	case *op.Reshape, *op.Flatten, *op.Squeeze, *op.Unsqueeze:
		return true
	}
	return false
}

// sameType compares element type, shape and Quant.
func sameType(a, b ir.Type) bool {
	return a.Elem == b.Elem && slices.Equal(a.Shape, b.Shape) && a.Quant.Equal(b.Quant)
}

// all reports whether every element is x.
func all[E comparable](s []E, x E) bool {
	return !slices.ContainsFunc(s, func(e E) bool { return e != x })
}
