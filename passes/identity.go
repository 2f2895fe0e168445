package passes

import (
	"quern/ir"
	"quern/ir/op"
)

// identity removes operators that change nothing. Between an input or a constant of the graph and an output there has to be a node: it
// becomes an Identity.
func identity(g *ir.Graph) error {
	return rounds(g, func(n *ir.Node) (bool, error) {
		x := unchanged(n)
		if x == nil {
			return false, nil
		}
		if forward(g, n.Out[0], x) {
			return true, nil
		}
		if _, ok := n.Op.(*op.Identity); ok || !g.IsOutput(n.Out[0]) {
			return false, nil
		}
		n.Op, n.In = &op.Identity{}, []*ir.Value{x}
		return true, nil
	})
}

// unchanged is the input that a node gives back as its only result, type and all; nil if it does something.
func unchanged(n *ir.Node) *ir.Value {
	x := input(n, 0)
	if x == nil || len(n.Out) != 1 {
		return nil
	}
	if k, ok := neutral(n.Op); ok {
		_, sub := n.Op.(*op.Sub)
		_, div := n.Op.(*op.Div)
		switch {
		case isConst(n.In[1]) && all(n.In[1].Const.F, k):
		case isConst(x) && all(x.Const.F, k) && !sub && !div:
			x = n.In[1]
		default:
			return nil
		}
	} else if !noop(n.Op, x, len(n.In)) {
		return nil
	}
	if !sameType(x.Type, n.Out[0].Type) {
		return nil
	}
	return x
}

// neutral is the operand that makes an operator do nothing.
func neutral(o ir.Op) (float32, bool) {
	switch o.(type) {
	case *op.Add, *op.Sub:
		return 0, true
	case *op.Mul, *op.Div:
		return 1, true
	}
	return 0, false
}

// noop reports whether an operator with so many inputs, the first of them x, does nothing if its result has the type of x.
func noop(o ir.Op, x *ir.Value, inputs int) bool {
	switch o := o.(type) {
	case *op.Identity, *op.Dropout, *op.Cast, *op.Reshape, *op.Flatten, *op.Squeeze, *op.Unsqueeze, *op.Expand, *op.Split:
		return true // there is no way for these to give the same type and other elements
	case *op.Sum, *op.Concat, *op.Max, *op.Min:
		return inputs == 1
	case *op.Tile:
		return all(o.Repeats, 1)
	case *op.Pad:
		return all(o.Pads, 0)
	case *op.Transpose:
		perm, err := o.Order(len(x.Type.Shape))
		return err == nil && increasing(perm)
	case *op.Slice:
		r, err := o.Ranges(x.Type.Shape)
		for i := range r {
			if r[i].Start != 0 || r[i].Step != 1 {
				return false
			}
		}
		return err == nil
	case *op.MaxPool:
		s, err := o.Spatial()
		return err == nil && single(s)
	case *op.AveragePool:
		s, err := o.Spatial()
		return err == nil && single(s)
	}
	return false
}

func increasing(perm []int) bool {
	for i, p := range perm {
		if p != i {
			return false
		}
	}
	return true
}

// single reports whether each window is one element and all are taken.
func single(s op.Spatial) bool {
	return all(s.Kernel, 1) && all(s.Stride, 1) && all(s.Begin, 0) && all(s.End, 0)
}
