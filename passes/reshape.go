package passes

import (
	"quern/ir"
	"quern/ir/op"
)

// reshape joins operators that only change the shape (Reshape, Flatten, Squeeze, Unsqueeze) with one of their kind before them, and
// Transpose with Transpose; what then changes nothing goes away. A change from [N,C,...] to [N,C*...] is always a Flatten, the form that
// layers behind it know. Quantized values are left alone: their axis would have to move along.
func reshape(g *ir.Graph) error {
	return rounds(g, func(n *ir.Node) (bool, error) {
		if len(n.In) == 0 || n.In[0] == nil || n.In[0].Type.IsQuant() || n.Out[0].Type.IsQuant() {
			return false, nil
		}
		if t, ok := n.Op.(*op.Transpose); ok {
			return joinTransposes(g, n, t)
		}
		if !isView(n.Op) {
			return false, nil
		}
		x := n.In[0]
		if p := x.Def; p != nil && isView(p.Op) && !p.In[0].Type.IsQuant() {
			if o := view(n.Op, p.In[0], n.Out[0].Type.Shape); o != nil {
				n.Op, n.In = o, []*ir.Value{p.In[0]}
				if unchanged(n) != nil {
					return true, identityOf(g, n)
				}
				return true, nil
			}
		}
		if _, ok := n.Op.(*op.Flatten); !ok && len(x.Type.Shape) > 2 && infers(&op.Flatten{Axis: 1}, x, n.Out[0].Type.Shape) {
			n.Op = &op.Flatten{Axis: 1}
			return true, nil
		}
		return false, nil
	})
}

// view is an operator that gives x a shape: o itself if it does that, else a Reshape; nil if the shape cannot be written so that it is
// understood with open dimensions.
func view(o ir.Op, x *ir.Value, shape []int) ir.Op {
	if infers(o, x, shape) {
		return o
	}
	r := &op.Reshape{}
	for i, d := range shape {
		if d == 0 {
			return nil // means "copy"
		}
		if ir.IsSymbol(d) && i < len(x.Type.Shape) && x.Type.Shape[i] == d {
			d = 0
		}
		r.Shape = append(r.Shape, d)
	}
	if !infers(r, x, shape) {
		return nil
	}
	return r
}

// identityOf removes a node that changes nothing, or makes it an Identity where an output needs one.
func identityOf(g *ir.Graph, n *ir.Node) error {
	if !forward(g, n.Out[0], n.In[0]) || g.IsOutput(n.Out[0]) {
		n.Op = &op.Identity{}
	}
	return nil
}

func joinTransposes(g *ir.Graph, n *ir.Node, t *op.Transpose) (bool, error) {
	p := n.In[0].Def
	if p == nil || p.In[0].Type.IsQuant() {
		return false, nil
	}
	first, ok := p.Op.(*op.Transpose)
	if !ok {
		return false, nil
	}
	rank := len(n.Out[0].Type.Shape)
	a, err := first.Order(rank)
	if err != nil {
		return false, err
	}
	b, err := t.Order(rank)
	if err != nil {
		return false, err
	}
	perm := make([]int, rank)
	for i, k := range b {
		perm[i] = a[k]
	}
	n.Op, n.In = &op.Transpose{Perm: perm}, []*ir.Value{p.In[0]}
	if unchanged(n) != nil {
		return true, identityOf(g, n)
	}
	return true, nil
}
