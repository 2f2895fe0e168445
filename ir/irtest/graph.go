// Package irtest makes random graphs and inputs for tests of all layers.
package irtest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// GraphOptions bound a random graph.
type GraphOptions struct {
	MaxNodes int // layers before the head; 0 means 8
}

// RandomGraph is a small float convolutional network with weights of realistic size: input [N,C,H,W] with an open batch, layers of all
// the kinds that lower, residual sums and concatenations, and now and then a classifier at the end. The same r gives the same graph.
func RandomGraph(r *rand.Rand, o GraphOptions) *ir.Graph {
	if o.MaxNodes == 0 {
		o.MaxNodes = 8
	}
	x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, ir.Symbol("N"), 1+r.IntN(6), 4+r.IntN(9), 4+r.IntN(9))}
	b := &builder{r: r, g: &ir.Graph{Name: "random", Inputs: []*ir.Value{x}}}
	vals := []*ir.Value{x}
	v := b.conv(x)
	vals = append(vals, v)
	for range 1 + r.IntN(o.MaxNodes) {
		if w := b.layer(v, vals); w != nil {
			v = w
			vals = append(vals, v)
		}
	}
	if r.IntN(2) == 0 {
		if r.IntN(2) == 0 {
			v = b.add(&op.GlobalAveragePool{}, v)
		}
		v = b.add(&op.Flatten{Axis: 1}, v)
		k, m := v.Type.Shape[1], 2+r.IntN(6)
		v = b.add(&op.Gemm{Alpha: 1, Beta: 1, TransB: true}, v, b.weights(k, m, k), b.bias(m))
	}
	b.g.Outputs = []*ir.Value{v}
	return b.g
}

type builder struct {
	r *rand.Rand
	g *ir.Graph
	n int
}

// add appends a node; nil where the operator refuses the shapes.
func (b *builder) add(o ir.Op, in ...*ir.Value) *ir.Value {
	b.n++
	n, err := b.g.Append(o, ir.Pos{File: "random", Node: len(b.g.Nodes), Name: fmt.Sprintf("node%d", b.n)}, in, fmt.Sprintf("v%d", b.n))
	if err != nil {
		return nil
	}
	return n.Out[0]
}

func (b *builder) constant(t *tensor.T) *ir.Value {
	b.n++
	return &ir.Value{Name: fmt.Sprintf("c%d", b.n), Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// weights are Gaussian with the variance 2/fanIn, channels of different size.
func (b *builder) weights(fanIn int, shape ...int) *ir.Value {
	t := tensor.New(tensor.F32, shape...)
	per := t.Len() / shape[0]
	for c := range shape[0] {
		s := math.Sqrt(2/float64(fanIn)) * math.Exp(b.r.NormFloat64()/2)
		for i := range per {
			t.F[c*per+i] = float32(b.r.NormFloat64() * s)
		}
	}
	return b.constant(t)
}

func (b *builder) bias(n int) *ir.Value {
	t := tensor.New(tensor.F32, n)
	for i := range t.F {
		t.F[i] = float32(b.r.NormFloat64() * 0.2)
	}
	return b.constant(t)
}

func (b *builder) conv(x *ir.Value) *ir.Value {
	r, c := b.r, x.Type.Shape[1]
	o := &op.Conv{Group: 1}
	m := 1 + r.IntN(8)
	switch r.IntN(4) {
	case 0:
		o.Group, m = c, c // depthwise
	case 1:
		if c%2 == 0 {
			o.Group, m = 2, 2*(1+r.IntN(3))
		}
	}
	kh, kw := 1+r.IntN(3), 1+r.IntN(3)
	o.Strides = []int{1 + r.IntN(2), 1 + r.IntN(2)}
	o.Dilations = []int{1 + r.IntN(2), 1}
	o.Pads = []int{r.IntN(3), r.IntN(3), r.IntN(3), r.IntN(3)}
	in := []*ir.Value{x, b.weights(c/o.Group*kh*kw, m, c/o.Group, kh, kw)}
	if r.IntN(3) > 0 {
		in = append(in, b.bias(m))
	}
	y := b.add(o, in...)
	if y == nil { // the window does not fit: the simplest convolution does
		return b.add(&op.Conv{Group: 1}, x, b.weights(c, m, c, 1, 1))
	}
	return y
}

func (b *builder) layer(x *ir.Value, vals []*ir.Value) *ir.Value {
	r, s := b.r, x.Type.Shape
	pads := func() []int { return []int{r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2)} }
	same := func(axes ...int) []*ir.Value { // earlier values with the same size on these axes
		var l []*ir.Value
		for _, v := range vals {
			ok := len(v.Type.Shape) == len(s)
			for _, a := range axes {
				ok = ok && v.Type.Shape[a] == s[a]
			}
			if ok {
				l = append(l, v)
			}
		}
		return l
	}
	switch r.IntN(14) {
	case 0, 1, 2, 3:
		return b.conv(x)
	case 4, 5:
		return b.add(&op.Relu{}, x)
	case 6:
		return b.add(&op.Clip{Min: 0, Max: 6}, x)
	case 7:
		return b.add([]ir.Op{&op.LeakyRelu{Alpha: 0.1}, &op.Sigmoid{}, &op.Tanh{}}[r.IntN(3)], x)
	case 8:
		c := s[1]
		variance := tensor.New(tensor.F32, c)
		for i := range variance.F {
			variance.F[i] = float32(0.5 + r.Float64())
		}
		return b.add(&op.BatchNormalization{Epsilon: 1e-5}, x, b.constant(ones(c)), b.bias(c), b.bias(c), b.constant(variance))
	case 9:
		return b.add(&op.MaxPool{KernelShape: []int{2, 2}, Strides: []int{1 + r.IntN(2), 1 + r.IntN(2)}, Pads: pads()}, x)
	case 10:
		return b.add(&op.AveragePool{KernelShape: []int{2, 2}, Strides: []int{1 + r.IntN(2), 2}, Pads: pads(), CountIncludePad: r.IntN(2) == 0}, x)
	case 11, 12:
		l := same(1, 2, 3)
		return b.add(&op.Add{}, x, l[r.IntN(len(l))])
	default:
		if r.IntN(3) == 0 {
			return b.add(&op.Pad{Pads: append(append([]int{0, 0}, pads()[:2]...), append([]int{0, 0}, pads()[:2]...)...), Mode: "constant"}, x)
		}
		l := same(2, 3)
		return b.add(&op.Concat{Axis: 1}, x, l[r.IntN(len(l))])
	}
}

func ones(n int) *tensor.T {
	t := tensor.New(tensor.F32, n)
	for i := range t.F {
		t.F[i] = 1
	}
	return t
}

// RandomInputs are n samples with a batch of 1, Gaussian.
func RandomInputs(r *rand.Rand, g *ir.Graph, n int) [][]*tensor.T {
	var l [][]*tensor.T
	for range n {
		var in []*tensor.T
		for _, v := range g.Inputs {
			s := append([]int(nil), v.Type.Shape...)
			if ir.IsSymbol(s[0]) {
				s[0] = 1
			}
			t := tensor.New(tensor.F32, s...)
			for i := range t.F {
				t.F[i] = float32(r.NormFloat64())
			}
			in = append(in, t)
		}
		l = append(l, in)
	}
	return l
}
