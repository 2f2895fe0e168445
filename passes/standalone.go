package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// standalone is the part of affine for functions that no layer takes and that are none themselves: Div by a constant becomes Mul, Sub of a
// constant becomes Add, BatchNormalization becomes Mul and Add, and of two Mul or Add by constants in a row it makes one, or brings them
// into the order Mul, Add. The constants may have any shape that does not enlarge the value.
func standalone(g *ir.Graph, names *ir.Names, n *ir.Node) (bool, error) {
	switch o := n.Op.(type) {
	case *op.BatchNormalization:
		l, x := linearOf(n, 1)
		if x == nil {
			return false, nil
		}
		shape := slices.Repeat([]int{1}, len(x.Type.Shape)-1)
		shape[0] = len(l.mul)
		name := n.Out[0].Name
		y, err := insert(g, n, &op.Mul{}, names.New(name+"_scaled"), x, constant(names, name+"_mul", vector(l.mul, shape...)))
		if err != nil {
			return false, err
		}
		n.Op, n.In = &op.Add{}, []*ir.Value{y, constant(names, name+"_add", vector(l.add, shape...))}
		return true, nil
	case *op.Div:
		return convert(g, names, n, &op.Mul{}, func(x float64) float64 { return 1 / x }), nil
	case *op.Sub:
		return convert(g, names, n, &op.Add{}, func(x float64) float64 { return -x }), nil
	case *op.Mul, *op.Add:
		return join(g, names, n, o)
	}
	return false, nil
}

// convert replaces an operator with a constant second operand by another with f of that.
func convert(g *ir.Graph, names *ir.Names, n *ir.Node, to ir.Op, f func(float64) float64) bool {
	k := n.In[1]
	if !isConst(k) || n.In[0].Const != nil {
		return false
	}
	v := make([]float64, k.Const.Len())
	for i := range v {
		v[i] = f(k.Const.Float(i))
	}
	if !finite(v) {
		return false
	}
	n.Op, n.In = to, []*ir.Value{n.In[0], instead(g, names, k, vector(v, k.Type.Shape...))}
	return true
}

// join deals with n behind another Mul or Add that nothing else reads, both by constants:
//
//	(x*a)*b = x*(a*b)    (x+a)+b = x+(a+b)    (x+a)*b = x*b + a*b
func join(g *ir.Graph, names *ir.Names, n *ir.Node, o ir.Op) (bool, error) {
	x, b := operand(n)
	if x == nil || x.Def == nil || sole(g, x) != n {
		return false, nil
	}
	p := x.Def
	y, a := operand(p)
	if y == nil {
		return false, nil
	}
	_, mul := o.(*op.Mul)
	_, first := p.Op.(*op.Mul)
	if !mul && first {
		return false, nil // the order is right
	}
	k, err := op.Eval(o, []*tensor.T{a.Const, b.Const})
	if err != nil {
		return false, n.Wrap(err)
	}
	if k[0].Len() > max(a.Const.Len(), b.Const.Len()) || slices.ContainsFunc(k[0].F, func(v float32) bool { return v-v != 0 }) {
		return false, nil // too large, or not finite
	}
	ab := constant(names, b.Name, k[0])
	if mul == first {
		n.In = []*ir.Value{y, ab}
		return true, nil
	}
	p.Op, p.In = &op.Mul{}, []*ir.Value{y, b}
	n.Op, n.In = &op.Add{}, []*ir.Value{x, ab}
	return true, nil
}

// operand splits the inputs of a Mul or Add of a real value by a constant that does not change its shape; x is nil if n is not that.
func operand(n *ir.Node) (x, k *ir.Value) {
	switch n.Op.(type) {
	case *op.Mul, *op.Add:
	default:
		return nil, nil
	}
	x, k = n.In[0], n.In[1]
	if x.Const != nil {
		x, k = k, x
	}
	if x.Const != nil || !isConst(k) || !isReal(x) || !slices.Equal(x.Type.Shape, n.Out[0].Type.Shape) {
		return nil, nil
	}
	return x, k
}
