package irtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// GraphOptions bound a random graph.
type GraphOptions struct {
	MaxNodes int  // the greatest number of nodes, 1 or more; 0 means 12
	Partial  bool // operators, too, that are not defined everywhere: a Div or Pow that is no number on a random grid
}

// RandomGraph is a small float convolutional network with weights of realistic size: input [N,C,H,W] with an open batch and at most 8
// channels of 12 by 12, layers of all the kinds that lower, residual sums and concatenations, and now and then a classifier at the
// end. Every node counts for the output. The same r gives the same graph.
func RandomGraph(r *rand.Rand, o GraphOptions) *ir.Graph {
	if o.MaxNodes == 0 {
		o.MaxNodes = 12
	}
	x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, ir.Symbol("N"), 1+r.IntN(8), 3+r.IntN(10), 3+r.IntN(10))}
	b := &builder{r: r, partial: o.Partial, g: &ir.Graph{Name: "random", Inputs: []*ir.Value{x}}}
	v := b.conv(x)
	vals := []*ir.Value{x, v}
	head := 0
	if r.IntN(2) == 0 && o.MaxNodes >= 5 {
		head = 4
	}
	for n := 1 + r.IntN(o.MaxNodes-head); len(b.g.Nodes) < n; {
		if w := b.layer(v, vals); w != nil {
			v = w
			vals = append(vals, v)
		}
	}
	if head > 0 {
		v = b.classifier(v)
	}
	b.g.Outputs = []*ir.Value{v}
	return b.g
}

type builder struct {
	r       *rand.Rand
	g       *ir.Graph
	partial bool
	values  int // values named so far
}

func (b *builder) name(prefix string) string {
	b.values++
	return fmt.Sprintf("%s%d", prefix, b.values)
}

// add appends a node; nil where the operator refuses the shapes.
func (b *builder) add(o ir.Op, in ...*ir.Value) *ir.Value {
	pos := ir.Pos{File: "random", Node: len(b.g.Nodes), Name: fmt.Sprintf("node%d", len(b.g.Nodes))}
	n, err := b.g.Append(o, pos, in, b.name("v"))
	if err != nil {
		return nil
	}
	return n.Out[0]
}

// must is add where the operator cannot refuse.
func (b *builder) must(o ir.Op, in ...*ir.Value) *ir.Value {
	v := b.add(o, in...)
	if v == nil {
		panic("irtest: " + o.OpName() + " was refused")
	}
	return v
}

func (b *builder) constant(t *tensor.T) *ir.Value {
	return &ir.Value{Name: b.name("c"), Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// weights are Gaussian with the variance 2/fanIn, channels (along axis 0) of different size, now and then one of zeros.
func (b *builder) weights(fanIn int, shape ...int) *ir.Value {
	t := tensor.New(tensor.F32, shape...)
	per := t.Len() / shape[0]
	for c := range shape[0] {
		s := math.Sqrt(2/float64(fanIn)) * math.Exp(b.r.NormFloat64()/2)
		if b.r.IntN(40) == 0 {
			s = 0
		}
		for i := range per {
			t.F[c*per+i] = float32(b.r.NormFloat64() * s)
		}
	}
	return b.constant(t)
}

// vector is a constant of n numbers around a center.
func (b *builder) vector(n int, center, spread float64) *ir.Value {
	t := tensor.New(tensor.F32, n)
	for i := range t.F {
		t.F[i] = float32(center + b.r.NormFloat64()*spread)
	}
	return b.constant(t)
}

// positive is a constant of n numbers from 0.5 to 1.5.
func (b *builder) positive(n int) *ir.Value {
	t := tensor.New(tensor.F32, n)
	for i := range t.F {
		t.F[i] = float32(0.5 + b.r.Float64())
	}
	return b.constant(t)
}

// ints are n numbers from lo to hi, both included.
func (b *builder) ints(n, lo, hi int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = lo + b.r.IntN(hi-lo+1)
	}
	return s
}

func (b *builder) conv(x *ir.Value) *ir.Value {
	r, c := b.r, x.Type.Shape[1]
	o := &op.Conv{Group: 1}
	m := 1 + r.IntN(8)
	switch r.IntN(4) {
	case 0: // depthwise, one or two filters for each channel
		o.Group, m = c, c
		if c < 8 && r.IntN(3) == 0 {
			m = 2 * c
		}
	case 1:
		for o.Group = 1 + r.IntN(4); c%o.Group != 0; o.Group-- {
		}
		m = o.Group * (1 + r.IntN(3))
	}
	k := b.ints(2, 1, 3)
	o.Strides, o.Pads = b.ints(2, 1, 2), b.ints(4, 0, 2)
	if r.IntN(3) == 0 {
		o.Dilations = b.ints(2, 1, 2)
	}
	in := []*ir.Value{x, b.weights(c/o.Group*k[0]*k[1], m, c/o.Group, k[0], k[1])}
	if r.IntN(3) > 0 {
		in = append(in, b.vector(m, 0, 0.2))
	}
	if y := b.add(o, in...); y != nil {
		return y
	}
	// The window does not fit: the simplest convolution does.
	return b.must(&op.Conv{Group: 1}, x, b.weights(c, m, c, 1, 1))
}

// layer adds one node behind x; vals are all values so far, x the last. It gives nil if the node of its choice does not fit.
func (b *builder) layer(x *ir.Value, vals []*ir.Value) *ir.Value {
	r, s := b.r, x.Type.Shape
	switch r.IntN(24) {
	case 22, 23:
		return b.resampled(x)
	case 16, 17, 18:
		return b.special(x, vals)
	case 19:
		return b.moved(x)
	case 20:
		return b.reduced(x)
	case 21:
		c := b.shaped(s)
		return b.must([]ir.Op{&op.Add{}, &op.Mul{}, &op.Max{}, &op.Min{}}[r.IntN(4)], x, c)
	case 0, 1, 2, 3:
		return b.conv(x)
	case 4, 5:
		return b.must(&op.Relu{}, x)
	case 6:
		return b.must(&op.Clip{Min: float32(-r.IntN(2)), Max: float32(1 + r.IntN(6))}, x)
	case 7:
		return b.must([]ir.Op{&op.LeakyRelu{Alpha: 0.1}, &op.Sigmoid{}, &op.Tanh{}, &op.HardSwish{}}[r.IntN(4)], x)
	case 8:
		c := s[1]
		return b.must(&op.BatchNormalization{Epsilon: 1e-5}, x, b.positive(c), b.vector(c, 0, 0.3), b.vector(c, 0, 0.3), b.positive(c))
	case 9:
		k := b.ints(2, 1, 3)
		o := &op.MaxPool{KernelShape: k, Strides: b.ints(2, 1, 2), Pads: b.poolPads(k), CeilMode: r.IntN(4) == 0}
		if r.IntN(4) == 0 {
			o.Dilations, o.Pads = b.ints(2, 1, 2), nil
		}
		return b.add(o, x)
	case 10:
		k := b.ints(2, 1, 3)
		return b.add(&op.AveragePool{KernelShape: k, Strides: b.ints(2, 1, 2), Pads: b.poolPads(k), CountIncludePad: r.IntN(2) == 0,
			CeilMode: r.IntN(4) == 0}, x)
	case 11, 12:
		return b.must(&op.Add{}, x, b.partner(vals, 1, 2, 3))
	case 13, 14:
		if s[1] > 16 {
			return nil
		}
		in := []*ir.Value{x, b.partner(vals, 2, 3)}
		if r.IntN(2) == 0 {
			slices.Reverse(in)
		}
		return b.must(&op.Concat{Axis: 1}, in...)
	}
	if r.IntN(3) == 0 {
		return b.must(&op.Transpose{Perm: []int{0, 1, 3, 2}}, x)
	}
	if s[2]+s[3] > 24 {
		return nil
	}
	p := b.ints(4, 0, 1)
	return b.must(&op.Pad{Pads: []int{0, 0, p[0], p[1], 0, 0, p[2], p[3]}, Mode: "constant"}, x)
}

// poolPads are pads that are smaller than the window, so that no window lies wholly outside.
func (b *builder) poolPads(kernel []int) []int {
	p := make([]int, 4)
	for i := range p {
		p[i] = b.r.IntN(min(kernel[i%2], 2))
	}
	return p
}

// partner is an earlier value that has the size of the last one on the axes; the last one itself if there is no other.
func (b *builder) partner(vals []*ir.Value, axes ...int) *ir.Value {
	last := vals[len(vals)-1]
	var l []*ir.Value
	for _, v := range vals[:len(vals)-1] {
		if !slices.ContainsFunc(axes, func(a int) bool { return v.Type.Shape[a] != last.Type.Shape[a] }) {
			l = append(l, v)
		}
	}
	if len(l) == 0 {
		return last
	}
	return l[b.r.IntN(len(l))]
}

// classifier is up to four nodes: a pool over everything or not, Flatten, and a matrix product with or without bias.
func (b *builder) classifier(v *ir.Value) *ir.Value {
	r := b.r
	switch r.IntN(4) {
	case 0, 1:
		v = b.must(&op.GlobalAveragePool{}, v)
	case 2:
		v = b.must(&op.GlobalMaxPool{}, v)
	}
	v = b.must(&op.Flatten{Axis: 1}, v)
	k, m := v.Type.Shape[1], 2+r.IntN(6)
	switch r.IntN(4) {
	case 0:
		return b.must(&op.MatMul{}, v, b.weights(k, k, m))
	case 1:
		return b.must(&op.Add{}, b.must(&op.MatMul{}, v, b.weights(k, k, m)), b.vector(m, 0, 0.2))
	case 2:
		return b.must(&op.Gemm{Alpha: 1, Beta: 1}, v, b.weights(k, k, m), b.vector(m, 0, 0.2))
	}
	return b.must(&op.Gemm{Alpha: 1, Beta: 1, TransB: true}, v, b.weights(k, m, k), b.vector(m, 0, 0.2))
}

// RandomInputs are n samples for the float inputs of a graph: Gaussian, symbolic dimensions of size 1.
func RandomInputs(r *rand.Rand, g *ir.Graph, n int) [][]*tensor.T {
	l := make([][]*tensor.T, n)
	for i := range l {
		for _, v := range g.Inputs {
			typ := v.Type.Real().Clone()
			if !typ.Elem.IsFloat() {
				panic(fmt.Sprintf("irtest: input %q is %v, want reals", v.Name, v.Type))
			}
			for a, d := range typ.Shape {
				if ir.IsSymbol(d) {
					typ.Shape[a] = 1
				}
			}
			t := tensor.New(typ.Elem, typ.Shape...)
			for j := range t.F {
				t.F[j] = float32(r.NormFloat64())
			}
			l[i] = append(l[i], t)
		}
	}
	return l
}
