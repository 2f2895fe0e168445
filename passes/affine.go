package passes

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// gemm makes MatMul and Gemm with constant float weights a Gemm with alpha = beta = 1, transB and weights [out,in], bias [out] or none.
func gemm(g *ir.Graph) error {
	names := g.Names()
	for _, n := range g.Nodes {
		w := (*ir.Value)(nil)
		if len(n.In) > 1 {
			w = n.In[1]
		}
		if w == nil || w.Const == nil || w.Type.IsQuant() || n.Out[0].Type.IsQuant() || len(w.Type.Shape) != 2 || len(n.In[0].Type.Shape) != 2 {
			continue
		}
		o, ok := n.Op.(*op.Gemm)
		if _, mm := n.Op.(*op.MatMul); mm {
			o = &op.Gemm{Alpha: 1, Beta: 1}
		} else if !ok || o.TransA {
			continue
		}
		if o.TransB && o.Alpha == 1 && o.Beta == 1 && (len(n.In) < 3 || len(n.In[2].Type.Shape) == 1) {
			continue
		}
		out := n.Out[0].Type.Shape[1]
		t := w.Const
		if !o.TransB {
			t = t.Permute([]int{1, 0})
		}
		in := []*ir.Value{n.In[0], scaled(names, w.Name, t, o.Alpha)}
		if len(n.In) > 2 && n.In[2] != nil {
			b := perChannel(n.In[2], out, 1, 2)
			if b == nil {
				continue
			}
			in = append(in, scaled(names, n.In[2].Name, tensor.Floats([]int{out}, b...), o.Beta))
		}
		n.Op, n.In = &op.Gemm{Alpha: 1, Beta: 1, TransB: true}, in
	}
	return nil
}

func scaled(names *ir.Names, name string, t *tensor.T, by float32) *ir.Value {
	t = t.Clone()
	for i := range t.F {
		t.F[i] *= by
	}
	return constant(names, name, t)
}

func constant(names *ir.Names, name string, t *tensor.T) *ir.Value {
	return &ir.Value{Name: names.New(name), Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// perChannel is a constant as one number for each of n channels on an axis of a result with so many dims; nil if it is not that.
func perChannel(v *ir.Value, n, axis, rank int) []float32 {
	if v == nil || v.Const == nil || v.Type.IsQuant() || !v.Type.Elem.IsFloat() || len(v.Type.Shape) > rank {
		return nil
	}
	r := make([]float32, n)
	for i, d := range v.Type.Shape {
		if d != 1 && (i+rank-len(v.Type.Shape) != axis || d != n) {
			return nil
		}
	}
	for i := range r {
		r[i] = v.Const.F[i%v.Const.Len()]
	}
	return r
}

// linear is y = mul*x + add for each channel.
type linear struct{ mul, add []float32 }

// linearOf reads a node as a function of channels of one of its inputs, x.
func linearOf(n *ir.Node) (l linear, x *ir.Value) {
	shape := n.Out[0].Type.Shape
	if len(shape) < 2 || n.Out[0].Type.IsQuant() || shape[1] < 1 || len(n.In) < 2 {
		return l, nil
	}
	c := shape[1]
	if o, ok := n.Op.(*op.BatchNormalization); ok {
		var p [4][]float32
		for i := range p {
			if p[i] = perChannel(n.In[i+1], c, 0, 1); p[i] == nil {
				return l, nil
			}
		}
		for i := range c {
			m := float64(p[0][i]) / math.Sqrt(float64(p[3][i])+float64(o.Epsilon))
			l.mul = append(l.mul, float32(m))
			l.add = append(l.add, float32(float64(p[1][i])-float64(p[2][i])*m))
		}
		return l, n.In[0]
	}
	at := 1 // the constant operand
	if n.In[0] != nil && n.In[0].Const != nil {
		at = 0
	}
	x = n.In[1-at]
	k := perChannel(n.In[at], c, 1, len(shape))
	if k == nil || x == nil || x.Const != nil || !slices.Equal(x.Type.Shape, shape) {
		return l, nil
	}
	one := slices.Repeat([]float32{1}, c)
	zero := make([]float32, c)
	neg := func(s []float32) []float32 {
		r := make([]float32, len(s))
		for i, v := range s {
			r[i] = -v
		}
		return r
	}
	switch n.Op.(type) {
	case *op.Add:
		return linear{one, k}, x
	case *op.Sub:
		if at == 1 {
			return linear{one, neg(k)}, x
		}
		return linear{neg(one), k}, x
	case *op.Mul:
		return linear{k, zero}, x
	case *op.Div:
		if at == 0 {
			return l, nil
		}
		for i := range k {
			zero[i], k[i] = 0, 1/k[i]
		}
		return linear{k, zero}, x
	}
	return l, nil
}

// affine folds linear functions of channels into the Conv or Gemm before them, where nothing else reads its result; elsewhere, on
// values with channels and space, they become a depthwise convolution of kernel 1.
func affine(g *ir.Graph) error {
	names := g.Names()
	uses := g.UseCounts()
	for _, n := range slices.Clone(g.Nodes) {
		l, x := linearOf(n)
		if x == nil {
			continue
		}
		if d := x.Def; d != nil && uses[x] == 1 && !x.Type.IsQuant() && d.Out[0] == x && foldInto(names, d, l) {
			uses[x] = uses[n.Out[0]]
			g.ReplaceUses(n.Out[0], x)
			if !g.IsOutput(x) {
				x.Name, n.Out[0].Name = n.Out[0].Name, x.Name
			}
			g.Remove(n)
			continue
		}
		if r := len(x.Type.Shape); (r == 3 || r == 4) && !x.Type.IsQuant() {
			c := len(l.mul)
			shape := append([]int{c, 1}, slices.Repeat([]int{1}, r-2)...)
			n.Op = &op.Conv{Group: c}
			n.In = []*ir.Value{x, constant(names, n.Out[0].Name+"_mul", tensor.Floats(shape, l.mul...)),
				constant(names, n.Out[0].Name+"_add", tensor.Floats([]int{c}, l.add...))}
		}
	}
	return nil
}

// foldInto puts a linear function behind a layer into its weights and bias; false where it cannot.
func foldInto(names *ir.Names, n *ir.Node, l linear) bool {
	switch o := n.Op.(type) {
	case *op.Conv:
	case *op.Gemm:
		if !o.TransB || o.Alpha != 1 || o.Beta != 1 || o.TransA {
			return false
		}
	default:
		return false
	}
	w := n.In[1]
	if w.Const == nil || w.Type.IsQuant() || w.Type.Shape[0] != len(l.mul) {
		return false
	}
	bias := make([]float32, len(l.mul))
	if len(n.In) > 2 && n.In[2] != nil {
		if n.In[2].Const == nil || n.In[2].Type.IsQuant() || n.In[2].Const.Len() != len(bias) {
			return false
		}
		copy(bias, n.In[2].Const.F)
	}
	t := w.Const.Clone()
	k := t.Len() / len(bias)
	for i := range t.F {
		t.F[i] *= l.mul[i/k]
	}
	for i := range bias {
		bias[i] = bias[i]*l.mul[i] + l.add[i]
	}
	n.In = []*ir.Value{n.In[0], constant(names, w.Name, t), constant(names, n.Out[0].Name+"_bias", tensor.Floats([]int{len(bias)}, bias...))}
	return true
}
