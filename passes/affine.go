package passes

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// affine deals with linear functions of channels: Add, Sub, Mul, Div by a constant for each channel, BatchNormalization, and the depthwise
// convolution of kernel 1 that is the form of those that stay. In this order:
//
//   - a function that changes nothing goes away,
//   - it goes into weights and bias of the Conv or Gemm (or, as a mere scale, MatMul) before it, if nothing else reads that,
//   - or into those of the Gemm or the Conv without padding behind it,
//   - or it becomes a depthwise convolution where there are channels and one or two spatial axes, so that scale and shift cost one
//     rounding,
//   - elsewhere Div becomes Mul, Sub becomes Add, BatchNormalization both, and neighbours join (standalone.go).
//
// Constants are computed in float64 and rounded once.
func affine(g *ir.Graph) error {
	names := g.Names()
	return rounds(g, func(n *ir.Node) (bool, error) {
		if len(n.Out) != 1 || !isReal(n.Out[0]) || len(n.In) < 2 {
			return false, nil
		}
		if l, x := linearOf(n, 1); x != nil {
			if all(l.mul, 1) && all(l.add, 0) && forward(g, n.Out[0], x) || foldBack(g, names, n, l, x) ||
				foldAhead(g, names, n, l, x) || depthwise(names, n, l, x) {
				return true, nil
			}
		}
		if scaleMatMul(g, names, n) {
			return true, nil
		}
		return standalone(g, names, n)
	})
}

// linear is y = mul*x + add for each channel.
type linear struct{ mul, add []float64 }

// linearOf is linearIn of a real input.
func linearOf(n *ir.Node, axis int) (l linear, x *ir.Value) {
	if l, x = linearIn(n, axis); x != nil && !isReal(x) {
		x = nil
	}
	return l, x
}

// linearIn reads a node as a function of the channels, on an axis of the result, of an input x, real or quantized, that has the shape of the
// result; x is nil if it is not one.
func linearIn(n *ir.Node, axis int) (l linear, x *ir.Value) {
	shape := n.Out[0].Type.Shape
	if axis < 0 || axis >= len(shape) || shape[axis] < 1 {
		return l, nil
	}
	c := shape[axis]
	x = n.In[0]
	switch o := n.Op.(type) {
	case *op.BatchNormalization:
		if axis == 1 {
			l = normalization(n, o, c)
		}
	case *op.Conv:
		if axis == 1 {
			l = pointwise(n, o, c)
		}
	case *op.Add, *op.Sub, *op.Mul, *op.Div:
		at := 1 // the constant operand
		if x.Const != nil {
			at, x = 0, n.In[1]
		}
		if k := perChannel(n.In[at], c, axis, len(shape)); k != nil {
			l = arithmetic(o, k, at)
		}
	}
	if l.mul == nil || x.Const != nil || !slices.Equal(x.Type.Shape, shape) || !finite(l.mul, l.add) {
		return l, nil
	}
	return l, x
}

func normalization(n *ir.Node, o *op.BatchNormalization, c int) (l linear) {
	var p [4][]float64 // scale, bias, mean, variance
	for i := range p {
		if p[i] = perChannel(n.In[i+1], c, 0, 1); p[i] == nil {
			return l
		}
	}
	l = linear{make([]float64, c), make([]float64, c)}
	for i := range c {
		l.mul[i] = p[0][i] / math.Sqrt(p[3][i]+float64(o.Epsilon))
		l.add[i] = p[1][i] - p[2][i]*l.mul[i]
	}
	return l
}

// pointwise is a depthwise convolution of kernel 1 as a linear function.
func pointwise(n *ir.Node, o *op.Conv, c int) (l linear) {
	w, b := n.In[1], input(n, 2)
	if !isConst(w) || o.Group != c || w.Const.Len() != c || b != nil && !isConst(b) || !all(o.Strides, 1) || !all(o.Pads, 0) {
		return l
	}
	l = linear{make([]float64, c), make([]float64, c)}
	for i := range c {
		l.mul[i] = w.Const.Float(i)
		if b != nil {
			l.add[i] = b.Const.Float(i)
		}
	}
	return l
}

// arithmetic is an elementwise operator with k as operand number at.
func arithmetic(o ir.Op, k []float64, at int) linear {
	c := len(k)
	fill := func(x float64) []float64 { return slices.Repeat([]float64{x}, c) }
	each := func(f func(float64) float64) []float64 {
		r := make([]float64, c)
		for i, x := range k {
			r[i] = f(x)
		}
		return r
	}
	switch o.(type) {
	case *op.Add:
		return linear{fill(1), k}
	case *op.Sub:
		if at == 0 {
			return linear{fill(-1), k}
		}
		return linear{fill(1), each(func(x float64) float64 { return -x })}
	case *op.Mul:
		return linear{k, fill(0)}
	case *op.Div:
		if at == 1 {
			return linear{each(func(x float64) float64 { return 1 / x }), fill(0)}
		}
	}
	return linear{}
}

// finite reports whether all numbers are, also as float32.
func finite(s ...[]float64) bool {
	for _, s := range s {
		for _, x := range s {
			if !(math.Abs(x) <= math.MaxFloat32) {
				return false
			}
		}
	}
	return true
}

// layer is a Conv or normal Gemm with constants, opened up: weights [out][in of the group, kernel], bias [out].
type layer struct {
	n         *ir.Node
	w, bias   []float64
	out, rest int // weights are out rows of rest numbers
}

// open reads a node as a layer.
func open(n *ir.Node) (*layer, bool) {
	if _, ok := n.Op.(*op.Conv); !ok && !isNormal(n) || !isConst(n.In[1]) {
		return nil, false
	}
	b := input(n, 2)
	if b != nil && !isConst(b) || !isReal(n.In[0]) || !isReal(n.Out[0]) || n.In[1].Const.Len() == 0 {
		return nil, false
	}
	t := n.In[1].Const
	l := &layer{n: n, out: t.Shape[0], rest: t.Len() / t.Shape[0], w: make([]float64, t.Len()), bias: make([]float64, t.Shape[0])}
	for i := range l.w {
		l.w[i] = t.Float(i)
	}
	for i := range l.bias {
		if b != nil {
			l.bias[i] = b.Const.Float(i)
		}
	}
	return l, true
}

// close writes changed weights back as new constants; false, and nothing done, if they are not finite. A bias of zeros that was not
// there is not made.
func (l *layer) close(g *ir.Graph, names *ir.Names, x *ir.Value) bool {
	if !finite(l.w, l.bias) {
		return false
	}
	w, b := l.n.In[1], input(l.n, 2)
	in := []*ir.Value{x, w}
	if t := vector(l.w, w.Type.Shape...); !t.Equal(w.Const) {
		in[1] = instead(g, names, w, t)
	}
	switch {
	case b != nil:
		in = append(in, instead(g, names, b, vector(l.bias, l.out)))
	case !all(l.bias, 0):
		in = append(in, constant(names, w.Name+"_bias", vector(l.bias, l.out)))
	}
	l.n.In = in
	return true
}

// foldBack puts a linear function of x into the layer that computes x, if nothing else reads that.
func foldBack(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	if x.Def == nil || sole(g, x) != n {
		return false
	}
	l, ok := open(x.Def)
	if !ok {
		return false
	}
	for i := range l.w {
		l.w[i] *= f.mul[i/l.rest]
	}
	for i := range l.bias {
		l.bias[i] = l.bias[i]*f.mul[i] + f.add[i]
	}
	if !l.close(g, names, l.n.In[0]) {
		return false
	}
	g.TakeOver(x, n)
	return true
}

// foldAhead puts a linear function into the only layer that reads its result, also through a Pad of zeros. Where there is padding, only a
// scale may go: the padding is zero behind the function, not before it.
func foldAhead(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	m := sole(g, n.Out[0])
	var pad *ir.Node
	if m != nil && imagePads(m) != nil && all(f.add, 0) {
		pad, m = m, sole(g, m.Out[0])
	}
	if m == nil || m.In[0] != n.Out[0] && pad == nil {
		return false
	}
	l, ok := open(m)
	if !ok || pad != nil && m.In[0] != pad.Out[0] {
		return false
	}
	group, kernel := l.out, 1 // outputs that share inputs, numbers for each input
	if o, ok := m.Op.(*op.Conv); ok {
		if !all(o.Pads, 0) && !all(f.add, 0) {
			return false
		}
		group = l.out / o.Group
		kernel = l.rest / m.In[1].Type.Shape[1]
	}
	per := l.rest / kernel // inputs of a group
	for i, w := range l.w {
		row := i / l.rest
		c := row/group*per + i%l.rest/kernel
		l.w[i] = w * f.mul[c]
		l.bias[row] += w * f.add[c]
	}
	from := x
	if pad != nil {
		from = pad.Out[0]
	}
	if !l.close(g, names, from) {
		return false
	}
	if pad != nil {
		pad.In = []*ir.Value{x}
	}
	g.Remove(n)
	return true
}

// depthwise makes a function of the channels of [N,C,spatial...] a convolution.
func depthwise(names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	r := len(x.Type.Shape)
	if _, ok := n.Op.(*op.Conv); ok || r != 3 && r != 4 || slices.Min(x.Type.Shape[2:]) < 1 {
		return false
	}
	c := len(f.mul)
	name := n.Out[0].Name
	shape := append([]int{c, 1}, slices.Repeat([]int{1}, r-2)...)
	n.Op, n.In = &op.Conv{Group: c}, []*ir.Value{x, constant(names, name+"_mul", vector(f.mul, shape...))}
	if !all(f.add, 0) {
		n.In = append(n.In, constant(names, name+"_add", vector(f.add, c)))
	}
	return true
}

// scaleMatMul puts a scale of the last axis into the constant matrix of the MatMul before it.
func scaleMatMul(g *ir.Graph, names *ir.Names, n *ir.Node) bool {
	f, x := linearOf(n, len(n.Out[0].Type.Shape)-1)
	if x == nil || x.Def == nil || sole(g, x) != n || !all(f.add, 0) {
		return false
	}
	m := x.Def
	if _, ok := m.Op.(*op.MatMul); !ok || !isConst(m.In[1]) || len(m.In[1].Type.Shape) != 2 || !isReal(m.In[0]) {
		return false
	}
	t := m.In[1].Const.Clone()
	w := make([]float64, t.Len())
	for i := range w {
		w[i] = t.Float(i) * f.mul[i%len(f.mul)]
	}
	if !finite(w) {
		return false
	}
	m.In = []*ir.Value{m.In[0], instead(g, names, m.In[1], vector(w, t.Shape...))}
	g.TakeOver(x, n)
	return true
}
