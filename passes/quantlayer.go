package passes

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// quantLayer reports whether a node is a layer with quantized constant weights, one scale for all of them or one for each output channel, and a
// constant bias or none; axis is that of the output channels in the weights.
func quantLayer(n *ir.Node) (axis int, ok bool) {
	if n == nil || len(n.In) < 2 || n.In[1] == nil || n.In[1].Const == nil {
		return 0, false
	}
	switch o := n.Op.(type) {
	case *op.Conv:
	case *op.ConvTranspose:
		if axis = 1; o.Group != 1 {
			return 0, false
		}
	case *op.Gemm:
		if o.Alpha != 1 || o.Beta != 1 || o.TransA {
			return 0, false
		}
		if !o.TransB {
			axis = 1
		}
	case *op.MatMul:
		axis = 1
		if len(n.In[1].Type.Shape) != 2 || len(n.In[0].Type.Shape) != 2 {
			return 0, false
		}
	default:
		return 0, false
	}
	w, b := n.In[1].Type.Quant, input(n, 2)
	if w == nil || len(w.Scale)+len(w.Zero) > 2 && w.Axis != axis {
		return 0, false
	}
	return axis, b == nil || b.Const != nil && len(b.Type.Shape) == 1 && b.Type.Shape[0] == n.In[1].Type.Shape[axis]
}

// rescale makes the results of a quantLayer y those of a function of them. The integers of weights stay, but for the signs of channels with a
// negative factor; those of a dead channel become the zero point.
func rescale(names *ir.Names, n *ir.Node, axis int, f linear) bool {
	if input(n, 2) == nil && all(f.add, 0) {
		return replace(names, n, axis, f.mul, nil)
	}
	return replace(names, n, axis, f.mul, &f)
}

// replace multiplies the scales of the weights of a quantLayer and makes its bias a function of it; nil leaves the bias as it is. It does nothing
// where numbers leave their range.
func replace(names *ir.Names, n *ir.Node, axis int, mul []float64, bias *linear) bool {
	w, b := n.In[1], input(n, 2)
	weights := rescaled(w, axis, mul)
	if weights == nil {
		return false
	}
	if bias != nil {
		v := rescaledBias(b, *bias)
		if v == nil {
			return false
		}
		v.Name = names.New(biasName(w, b))
		b = v
	}
	weights.Name = names.New(w.Name)
	in := []*ir.Value{n.In[0], weights}
	if b != nil {
		in = append(in, b)
	}
	setInputs(n, in)
	return true
}

// biasName is the name for a bias in the place of b, which may be none.
func biasName(w, b *ir.Value) string {
	if b != nil {
		return b.Name
	}
	return w.Name + "_bias"
}

// setInputs gives a layer other inputs; a MatMul that has a bias now is a Gemm.
func setInputs(n *ir.Node, in []*ir.Value) {
	if _, ok := n.Op.(*op.MatMul); ok && len(in) > 2 {
		n.Op = &op.Gemm{Alpha: 1, Beta: 1}
	}
	n.In = in
}

// dead is the part of the greatest factor at which a channel counts as multiplied by 0, as networks leave channels that training has switched
// off. At its own scale the bias would have more steps than an accumulator.
const dead = 0x1p-30

// rescaled are the weights w with the scales of output channels multiplied; without a name. nil if a scale leaves the range of float32.
func rescaled(w *ir.Value, axis int, mul []float64) *ir.Value {
	was, t, e := w.Type.Quant, w.Const.Clone(), w.Type.Elem
	q := was.Clone()
	q.Axis, q.Scale = axis, make([]float64, len(mul))
	most := 0.0
	for c, m := range mul {
		s, _ := was.At(c)
		q.Scale[c] = s * math.Abs(m)
		most = max(most, q.Scale[c])
	}
	zeroed := make([]bool, len(mul))
	for c, s := range q.Scale {
		if s <= most*dead {
			zeroed[c] = true
			if s = most; s == 0 {
				s = 1
			}
		}
		if q.Scale[c] = float64(float32(s)); !(q.Scale[c] > 1e-37 && q.Scale[c] < 1e37) {
			return nil
		}
	}
	inner := tensor.Numel(t.Shape[axis+1:])
	for i, v := range t.I {
		c := i / inner % t.Shape[axis]
		switch _, z := was.At(c); {
		case zeroed[c]:
			t.I[i] = z
		case mul[c] < 0:
			t.I[i] = 2*z - v
		}
		q.Min, q.Max = min(q.Min, t.I[i]), max(q.Max, t.I[i])
	}
	for { // minus the least integer may need one bit more
		if lo, hi := e.Range(); lo <= q.Min && q.Max <= hi {
			break
		}
		if q.Min < 0 {
			e = tensor.I(max(int(e.Bits)+1, 2))
		} else {
			e.Bits++
		}
		if e.Bits > 32 {
			return nil
		}
	}
	if was.PerTensor() && all(q.Scale, q.Scale[0]) {
		q.Scale = q.Scale[:1]
		if len(q.Zero) == 1 {
			q.Axis = was.Axis
		}
	}
	t.Elem = e
	return &ir.Value{Type: ir.Type{Elem: e, Shape: w.Type.Shape, Quant: q}, Const: t}
}

// rescaledBias is f of a bias b or of none: its integers at other scales where nothing is added, else reals; without a name. nil if they are not
// finite.
func rescaledBias(b *ir.Value, f linear) *ir.Value {
	if b != nil && b.Type.IsQuant() && all(f.add, 0) {
		if v := rescaled(b, 0, f.mul); v != nil {
			return v
		}
	}
	r := slices.Clone(f.add)
	if b != nil {
		t := b.Const
		if q := b.Type.Quant; q != nil {
			t = q.Reals(t)
		}
		for c, m := range f.mul {
			r[c] += t.Float(c) * m
		}
	}
	if !finite(r) {
		return nil
	}
	t := vector(r, len(r))
	return &ir.Value{Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// through puts a single function in front of a quantLayer into that: the factor into the scales, the sum of the weights times the addend
// into the bias, unless zeros are padded to what the function makes.
func (f linear) through(names *ir.Names, n *ir.Node, axis int) bool {
	w := n.In[1]
	c := w.Type.Shape[axis]
	one := linear{slices.Repeat([]float64{1}, c), make([]float64, c)}
	if f.add[0] != 0 {
		if o, ok := n.Op.(*op.Conv); ok && !all(o.Pads, 0) {
			return false
		}
		if _, ok := n.Op.(*op.ConvTranspose); ok { // a sum of some taps
			return false
		}
		r, inner := w.Type.Quant.Reals(w.Const), tensor.Numel(w.Type.Shape[axis+1:])
		for i := range r.F {
			one.add[i/inner%c] += r.Float(i) * f.add[0]
		}
	}
	mul := slices.Repeat(f.mul[:1], c)
	if all(one.add, 0) {
		return replace(names, n, axis, mul, nil)
	}
	return replace(names, n, axis, mul, &one)
}
