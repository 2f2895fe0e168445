package passes

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// streamline lets no arithmetic over reals stand between quantized values, so that a quantized model goes to the hardware with the integers
// it came with. A linear function of the channels (see affine) goes, in this order,
//
//   - into the thresholds of the MultiThreshold that reads its result, if it increases,
//   - into the scales of the weights and the bias of the layer before it (quantLayer), also through what only selects or moves values; a
//     negative factor turns the signs of a channel's integers,
//   - if it is one factor for all channels, into those of the layer behind it; an addend, too, where nothing is padded,
//   - if it leaves the integers of a quantized value as they are, into the scale and the zero point of that value, and into the layer or the
//     MultiThreshold that makes it,
//   - into the Quantize of a graph input.
//
// What is left stands between two quantized values of different grids: neighbours join, and the lowering multiplies and rounds once.
//
// Besides, a MultiThreshold counts before what moves or selects the accumulators of a layer, not behind it.
func streamline(g *ir.Graph) error {
	names := g.Names()
	return rounds(g, func(n *ir.Node) (bool, error) {
		if len(n.Out) != 1 {
			return false, nil
		}
		if o, ok := n.Op.(*op.MultiThreshold); ok {
			return countFirst(g, names, n, o)
		}
		f, x := linearIn(n, 1)
		if x == nil {
			return false, nil
		}
		if moveThresholds(g, names, n, f, x) || intoLayer(g, names, n, f, x) || intoNext(g, names, n, f, x) ||
			intoType(g, names, n, f, x) || joinLinear(g, names, n, f, x) {
			return true, nil
		}
		return intoInput(g, names, n, f, x)
	})
}

// single reports whether a function is the same for all channels.
func (f linear) single() bool { return all(f.mul, f.mul[0]) && all(f.add, f.add[0]) }

// increases reports whether the function of every channel does.
func (f linear) increases() bool {
	return !slices.ContainsFunc(f.mul, func(m float64) bool { return m <= 0 })
}

// passes reports whether the function may stand before a node that selects or moves values as well as behind it.
func (f linear) passes(n *ir.Node) bool {
	switch o := n.Op.(type) {
	case *op.MaxPool, *op.GlobalMaxPool:
		return f.increases() && len(n.Out) == 1
	case *op.Relu:
		return f.increases() && all(f.add, 0)
	case *op.Transpose:
		return f.single() || o.Perm[1] == 1
	}
	return isView(n.Op) && f.single()
}

// countFirst swaps a MultiThreshold with the node before it that selects or moves the accumulators of a layer: the same counts, and fewer
// bits to move.
func countFirst(g *ir.Graph, names *ir.Names, n *ir.Node, o *op.MultiThreshold) (bool, error) {
	x := n.In[0]
	if !isReal(x) || x.Def == nil || sole(g, x) != n || !n.Out[0].Type.IsQuant() {
		return false, nil
	}
	p := x.Def
	if !isReal(p.In[0]) || p.In[0].Def == nil {
		return false, nil
	}
	k := *o
	if k.Axis < 0 {
		k.Axis += len(x.Type.Shape)
	}
	switch m := p.Op.(type) {
	case *op.MaxPool, *op.GlobalMaxPool:
		if o.Scale < 0 || len(p.Out) != 1 || k.Axis != 1 {
			return false, nil
		}
	case *op.Transpose:
		k.Axis = m.Perm[k.Axis]
	default:
		if !isView(p.Op) || n.In[1].Type.Shape[0] != 1 {
			return false, nil
		}
		k.Axis = 1
	}
	v, err := insert(g, p, &k, names.New(n.Out[0].Name+"_count"), p.In[0], n.In[1])
	if err != nil {
		return false, err
	}
	v.Type.Elem, v.Type.Quant = n.Out[0].Type.Elem, n.Out[0].Type.Quant.Clone()
	p.In = slices.Clone(p.In)
	p.In[0] = v
	g.TakeOver(x, n)
	return true, nil
}

// moveThresholds puts a function in front of a MultiThreshold into its thresholds: mul*x + add >= t is x >= (t-add)/mul.
func moveThresholds(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	m := sole(g, n.Out[0])
	if m == nil || !isReal(n.Out[0]) || !f.increases() {
		return false
	}
	o, ok := m.Op.(*op.MultiThreshold)
	if !ok || m.In[0] != n.Out[0] || !isConst(m.In[1]) || !f.single() && o.Axis != 1 && o.Axis != 1-len(x.Type.Shape) {
		return false
	}
	t := m.In[1].Const
	rows, k := t.Shape[0], t.Shape[1]
	if !f.single() {
		rows = len(f.mul)
	}
	r := make([]float64, rows*k)
	for i := range r {
		c := i / k % len(f.mul)
		r[i] = (float64(t.F[i%len(t.F)]) - f.add[c]) / f.mul[c]
	}
	if !finite(r) {
		return false
	}
	m.In = []*ir.Value{x, instead(g, names, m.In[1], vector(r, rows, k))}
	g.Remove(n)
	return true
}

// intoLayer puts a function into the quantLayer before it.
func intoLayer(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	if !isReal(x) || sole(g, x) != n {
		return false
	}
	from := x
	for from.Def != nil && f.passes(from.Def) && isReal(from.Def.In[0]) && sole(g, from.Def.In[0]) == from.Def {
		from = from.Def.In[0]
	}
	axis, ok := quantLayer(from.Def)
	if !ok {
		return false
	}
	if c := from.Def.In[1].Type.Shape[axis]; f.single() {
		f = linear{slices.Repeat(f.mul[:1], c), slices.Repeat(f.add[:1], c)}
	}
	if !rescale(names, from.Def, axis, f) {
		return false
	}
	g.TakeOver(x, n)
	return true
}

// intoNext puts a single factor, and an addend where nothing is padded, into the quantLayer that alone reads the result.
func intoNext(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	y := n.Out[0]
	if !isReal(y) || !f.single() || f.mul[0] == 0 {
		return false
	}
	m, v := sole(g, y), y
	var first *ir.Node // of those in between
	for m != nil && f.passes(m) && isReal(m.Out[0]) {
		if first == nil {
			first = m
		}
		v = m.Out[0]
		m = sole(g, v)
	}
	axis, ok := quantLayer(m)
	if !ok || m.In[0] != v {
		return false
	}
	if !f.through(names, m, axis) {
		return false
	}
	if first == nil {
		first = m
	}
	first.In = slices.Clone(first.In)
	first.In[0] = x
	g.Remove(n)
	return true
}

// intoType makes a single function of a quantized value its type, where the integers stay: the scale becomes mul*scale, the zero point
// moves by the addend in steps, if that is whole. What makes the value takes the function, too. Where that cannot be, or others read the
// value, the result has its own type, and the lowering lets both share a buffer.
func intoType(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	q := x.Type.Quant
	if q == nil || !q.PerTensor() || len(q.Zero) != 1 || !f.single() || !f.increases() || !isReal(n.Out[0]) {
		return false
	}
	r := q.Clone()
	r.Scale[0] = float64(float32(q.Scale[0] * f.mul[0]))
	k, ok := whole(f.add[0] / r.Scale[0])
	if !ok || !(r.Scale[0] > 1e-37 && r.Scale[0] < 1e37) {
		return false
	}
	r.Zero[0] -= k
	var chain []*ir.Value // from x up to the result of what makes it
	for v, reader := x, n; sole(g, v) == reader && v.Def != nil && q.Equal(v.Type.Quant); {
		chain = append(chain, v)
		d := v.Def
		if f.passes(d) {
			v, reader = d.In[0], d
			continue
		}
		if !f.intoMaker(names, d) {
			break
		}
		for _, v := range chain {
			v.Type.Quant = r.Clone()
		}
		n.Out[0].Type = x.Type
		g.TakeOver(x, n)
		return true
	}
	n.Out[0].Type.Elem, n.Out[0].Type.Quant = x.Type.Elem, r
	return true
}

// intoMaker puts a single function into the node whose result it is a function of, before that is rounded.
func (f linear) intoMaker(names *ir.Names, d *ir.Node) bool {
	if o, ok := d.Op.(*op.MultiThreshold); ok {
		k := *o
		k.Scale, k.Bias = float32(float64(o.Scale)*f.mul[0]), float32(float64(o.Bias)*f.mul[0]+f.add[0])
		d.Op = &k
		return true
	}
	axis, ok := quantLayer(d)
	if !ok {
		return false
	}
	c := d.In[1].Type.Shape[axis]
	return rescale(names, d, axis, linear{slices.Repeat(f.mul[:1], c), slices.Repeat(f.add[:1], c)})
}

// intoInput quantizes a graph input before a single increasing function of it, not behind that: at the scale in the input's units, the zero
// point moved by the addend, if that is a whole number of steps. The function then leaves the integers as they are.
func intoInput(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) (bool, error) {
	q := n.Out[0].Type.Quant
	if !isReal(x) || x.Def != nil || q == nil || !q.PerTensor() || len(q.Zero) != 1 || !f.single() || !f.increases() {
		return false, nil
	}
	r := q.Clone()
	r.Scale[0] = float64(float32(q.Scale[0] / f.mul[0]))
	k, ok := whole(f.add[0] / q.Scale[0])
	if !ok || !(r.Scale[0] > 1e-37 && r.Scale[0] < 1e37) {
		return false, nil
	}
	r.Zero[0] += k
	v, err := insert(g, n, &op.Quantize{}, names.New(n.Out[0].Name+"_input"), x)
	if err != nil {
		return false, err
	}
	v.Type = ir.Type{Elem: n.Out[0].Type.Elem, Shape: x.Type.Shape, Quant: r}
	n.In = slices.Clone(n.In)
	n.In[slices.Index(n.In, x)] = v
	return true, nil
}

// joinLinear makes two functions in a row, of which only the second is read, one BatchNormalization of a quantized value or of a graph input.
func joinLinear(g *ir.Graph, names *ir.Names, n *ir.Node, f linear, x *ir.Value) bool {
	if !isReal(x) || x.Def == nil || sole(g, x) != n {
		return false
	}
	h, v := linearIn(x.Def, 1)
	if v == nil || !v.Type.IsQuant() && (v.Def != nil || !n.Out[0].Type.IsQuant()) {
		return false
	}
	c := len(f.mul)
	for i := range c {
		f.mul[i], f.add[i] = f.mul[i]*h.mul[i], f.mul[i]*h.add[i]+f.add[i]
	}
	if !finite(f.mul, f.add) {
		return false
	}
	name := n.Out[0].Name
	n.Op, n.In = &op.BatchNormalization{}, []*ir.Value{v, constant(names, name+"_mul", vector(f.mul, c)), constant(names, name+"_add", vector(f.add, c)),
		constant(names, name+"_mean", vector(make([]float64, c), c)), constant(names, name+"_var", vector(slices.Repeat([]float64{1}, c), c))}
	return true
}

// whole is x as an integer if it is one but for the rounding of float32 numbers.
func whole(x float64) (int64, bool) {
	k := math.RoundToEven(x)
	return int64(k), math.Abs(k) < 1<<24 && math.Abs(x-k) <= math.Abs(k)*0x1p-21
}
