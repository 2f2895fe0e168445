package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// gemm makes MatMul and Gemm of a matrix with constant weights a Gemm in normal form: alpha = beta = 1, transA false, transB true with
// weights [out,in], and a constant bias [out] or none. What the form cannot hold stands before (a Transpose for transA) or behind
// it (an Add for a bias that is not one number for each column). A MatMul of more dims stays.
func gemm(g *ir.Graph) error {
	names := g.Names()
	for _, n := range slices.Clone(g.Nodes) {
		w := input(n, 1)
		if !isConst(w) || !isReal(n.In[0]) || !isReal(n.Out[0]) || len(w.Type.Shape) != 2 || len(n.In[0].Type.Shape) != 2 {
			continue
		}
		switch o := n.Op.(type) {
		case *op.MatMul:
			n.Op, n.In = normal(), []*ir.Value{n.In[0], instead(g, names, w, w.Const.Permute([]int{1, 0}))}
		case *op.Gemm:
			if isNormal(n) || input(n, 2) != nil && !isReal(n.In[2]) {
				continue
			}
			if err := normalize(g, names, n, o); err != nil {
				return err
			}
		}
	}
	return nil
}

func normal() *op.Gemm { return &op.Gemm{Alpha: 1, Beta: 1, TransB: true} }

// isNormal reports whether a node is a Gemm in normal form.
func isNormal(n *ir.Node) bool {
	o, ok := n.Op.(*op.Gemm)
	if !ok || !op.Equal(o, normal()) || !isConst(n.In[1]) {
		return false
	}
	b := input(n, 2)
	return b == nil || isConst(b) && slices.Equal(b.Type.Shape, n.In[1].Type.Shape[:1])
}

func normalize(g *ir.Graph, names *ir.Names, n *ir.Node, o *op.Gemm) error {
	x, w, bias := n.In[0], n.In[1], input(n, 2)
	t := w.Const
	if !o.TransB {
		t = t.Permute([]int{1, 0})
	}
	in := []*ir.Value{x, instead(g, names, w, times(t, o.Alpha))}
	if o.TransA {
		xt, err := insert(g, n, &op.Transpose{Perm: []int{1, 0}}, names.New(x.Name+"_t"), x)
		if err != nil {
			return err
		}
		in[0] = xt
	}
	if bias == nil || o.Beta == 0 {
		n.Op, n.In = normal(), in
		return nil
	}
	if b := perChannel(bias, t.Shape[0], 1, 2); b != nil {
		n.Op, n.In = normal(), append(in, instead(g, names, bias, times(vector(b, t.Shape[0]), o.Beta)))
		return nil
	}
	y, err := insert(g, n, normal(), names.New(n.Out[0].Name+"_mm"), in...)
	if err != nil {
		return err
	}
	switch {
	case o.Beta == 1:
	case bias.Const != nil:
		bias = constant(names, bias.Name, times(bias.Const, o.Beta))
	default:
		beta := constant(names, n.Out[0].Name+"_beta", tensor.Floats([]int{}, o.Beta))
		if bias, err = insert(g, n, &op.Mul{}, names.New(bias.Name+"_beta"), bias, beta); err != nil {
			return err
		}
	}
	n.Op, n.In = &op.Add{}, []*ir.Value{y, bias}
	return nil
}

// times is a tensor multiplied by a number.
func times(t *tensor.T, by float32) *tensor.T {
	t = t.Clone()
	for i := range t.F {
		t.F[i] *= by
	}
	return t
}

// vector is a float32 tensor of the numbers, in a shape.
func vector(x []float64, shape ...int) *tensor.T {
	t := tensor.New(tensor.F32, shape...)
	for i, v := range x {
		t.F[i] = float32(v)
	}
	return t
}

// perChannel is a constant as one number for each of n channels on an axis of a result with so many dims; nil if it is not that.
func perChannel(v *ir.Value, n, axis, rank int) []float64 {
	if !isConst(v) || len(v.Type.Shape) > rank {
		return nil
	}
	for i, d := range v.Type.Shape {
		if d != 1 && (i+rank-len(v.Type.Shape) != axis || d != n) {
			return nil
		}
	}
	r := make([]float64, n)
	for i := range r {
		r[i] = float64(v.Const.F[i%v.Const.Len()])
	}
	return r
}
