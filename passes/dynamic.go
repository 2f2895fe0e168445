package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// dynamic turns products of a dynamically quantized activation into products of reals, with weights that stay the integers of the file:
//
//	%q, %s, %z = DynamicQuantizeLinear(%x)
//	%y = Cast(MatMulInteger(%q, %w, %z, %wz)) * (%s * %ws)    becomes    %y = MatMul(%x, %w{s=%ws z=%wz})
//
// and likewise ConvInteger, with an Add of a constant for each channel as the bias. It is the form of onnxruntime's quantize_dynamic.
// Hardware has fixed scales, so the activation needs a range from calibration; until then it is not rounded, which is the one change of
// values that a pass makes.
func dynamic(g *ir.Graph) error {
	names := g.Names()
	for _, n := range slices.Backward(slices.Clone(g.Nodes)) { // the last of a chain of Mul first
		if _, ok := n.Op.(*op.Mul); !ok || !slices.Contains(g.Nodes, n) {
			continue
		}
		f := &scaled{}
		if !f.collect(n.Out[0]) || f.product == nil || f.scale != f.product.In[0].Def.Out[1] {
			continue
		}
		if w := f.weights(g, names, n); w != nil {
			overReals(g, names, n, f.product, w)
		}
	}
	return dce(g)
}

// scaled is what a tree of Mul multiplies: the product of integers, the scale of the activation, and constants.
type scaled struct {
	product *ir.Node
	scale   *ir.Value
	consts  []*ir.Value
}

// collect adds the factors of a value and reports whether they are of the form.
func (f *scaled) collect(v *ir.Value) bool {
	if isConst(v) {
		f.consts = append(f.consts, v)
		return true
	}
	n := v.Def
	if n == nil || v.Type.IsQuant() {
		return false
	}
	switch n.Op.OpName() {
	case "Mul":
		return f.collect(n.In[0]) && f.collect(n.In[1])
	case "DynamicQuantizeLinear":
		ok := f.scale == nil && v == n.Out[1]
		f.scale = v
		return ok
	case "Cast":
		k := n.In[0].Def
		if k == nil || f.product != nil || k.Op.OpName() != "MatMulInteger" && k.Op.OpName() != "ConvInteger" {
			return false
		}
		q, z := k.In[0].Def, input(k, 2)
		f.product = k
		return q != nil && q.Op.OpName() == "DynamicQuantizeLinear" && k.In[0] == q.Out[0] && z == q.Out[2] && k.In[1].Const != nil
	}
	return false
}

// weights are the constant integers with the constants as their scale; nil if those are not positive numbers, one or one for each output
// channel.
func (f *scaled) weights(g *ir.Graph, names *ir.Names, n *ir.Node) *ir.Value {
	w, rank := f.product.In[1], len(n.Out[0].Type.Shape)
	channels, axis, at := w.Type.Shape[0], 0, 1 // of a convolution
	if f.product.Op.OpName() == "MatMulInteger" {
		axis, at = len(w.Type.Shape)-1, rank-1
		channels = w.Type.Shape[axis]
	}
	scale := slices.Repeat([]float64{1}, channels)
	for _, c := range f.consts {
		s := perChannel(c, channels, at, rank)
		if s == nil {
			return nil
		}
		for i := range scale {
			scale[i] = float64(float32(scale[i] * s[i]))
		}
	}
	if slices.ContainsFunc(scale, func(s float64) bool { return !(s > 0 && s < 1e38) }) {
		return nil
	}
	q := &ir.Quant{Scale: scale, Zero: []int64{0}, Axis: axis}
	q.Min, q.Max = w.Type.Elem.Range()
	if z := input(f.product, 3); z != nil {
		if z.Const == nil || z.Const.Len() != 1 && z.Const.Len() != channels {
			return nil
		}
		q.Zero = slices.Clone(z.Const.I)
	}
	if all(scale, scale[0]) && all(q.Zero, q.Zero[0]) {
		q.Scale, q.Zero, q.Axis = scale[:1], q.Zero[:1], 0
	}
	name := w.Name
	if g.Uses(w) != 1 {
		name = names.New(name)
	}
	return &ir.Value{Name: name, Type: ir.Type{Elem: w.Type.Elem, Shape: w.Type.Shape, Quant: q}, Const: w.Const}
}

// overReals makes n, or the Add of a bias that is its only reader, the layer over reals.
func overReals(g *ir.Graph, names *ir.Names, n, product *ir.Node, w *ir.Value) {
	in := []*ir.Value{product.In[0].Def.In[0], w}
	rank, at, channels := len(n.Out[0].Type.Shape), 1, w.Type.Shape[0]
	var o ir.Op = &op.MatMul{}
	if product.Op.OpName() == "ConvInteger" {
		c := op.ByName("Conv").New()
		for _, a := range op.Attrs(product.Op) {
			if err := op.SetAttr(c, a.Name, a.Value); err != nil {
				panic("passes: ConvInteger has an attribute that Conv has not: " + err.Error())
			}
		}
		o = c
	} else {
		at, channels = rank-1, w.Type.Shape[len(w.Type.Shape)-1]
	}
	matrix := len(w.Type.Shape) == 2 && len(in[0].Type.Shape) == 2
	if k := sole(g, n.Out[0]); k != nil && (at == 1 && rank > 2 || matrix) {
		if _, add := k.Op.(*op.Add); add && isReal(k.Out[0]) && slices.Equal(k.Out[0].Type.Shape, n.Out[0].Type.Shape) {
			bias := k.In[1]
			if bias == n.Out[0] {
				bias = k.In[0]
			}
			if b := perChannel(bias, channels, at, rank); b != nil {
				if matrix {
					o = &op.Gemm{Alpha: 1, Beta: 1}
				}
				k.Op, k.In = o, append(in, instead(g, names, bias, vector(b, channels)))
				return
			}
		}
	}
	n.Op, n.In = o, in
}
