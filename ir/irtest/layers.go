package irtest

import (
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// special adds one of the operators with a rule of arithmetic of their own.
func (b *builder) special(x *ir.Value, vals []*ir.Value) *ir.Value {
	r, s := b.r, x.Type.Shape
	n := 5
	if b.partial {
		n = 8
	}
	switch r.IntN(n) {
	case 0, 1:
		slope := b.vector(s[1], 0.1, 0.4)
		slope.Type.Shape = []int{s[1], 1, 1}
		slope.Const.Shape = slope.Type.Shape
		if r.IntN(3) == 0 {
			slope = b.vector(1, 0.25, 0)
		}
		return b.must(&op.PRelu{}, x, slope)
	case 2:
		return b.must(&op.Max{}, x, b.partner(vals, 1, 2, 3))
	case 3:
		return b.must(&op.Min{}, x, b.partner(vals, 1, 2, 3), b.vector(1, 0.5, 0))
	case 4:
		return b.must([]ir.Op{&op.Softmax{Axis: 1 + r.IntN(3)}, &op.LogSoftmax{Axis: 1 + r.IntN(3)}}[r.IntN(2)], x)
	case 5:
		return b.must(&op.Pow{}, x, b.vector(1, 2, 0))
	case 6:
		c := b.shaped(s)
		for i := range c.Const.F {
			c.Const.F[i] = max(c.Const.F[i], 0.5)
		}
		return b.must(&op.Div{}, x, c)
	}
	return b.must(&op.Div{}, x, b.must(&op.Clip{Min: 2, Max: 3}, b.partner(vals, 1, 2, 3)))
}

// moved adds an operator that moves elements.
func (b *builder) moved(x *ir.Value) *ir.Value {
	r, s := b.r, x.Type.Shape
	a := 1 + r.IntN(3)
	switch r.IntN(4) {
	case 0:
		return b.must(&op.Slice{Starts: []int{-1}, Ends: []int{-100}, Axes: []int{a}, Steps: []int{-1 - r.IntN(2)}}, x)
	case 1:
		k := tensor.New(tensor.I64, 1+r.IntN(4))
		for i := range k.I {
			k.I[i] = int64(r.IntN(2*s[a]) - s[a])
		}
		return b.must(&op.Gather{Axis: a}, x, b.constant(k))
	case 2:
		if s[2]+s[3] > 24 {
			return nil
		}
		p := b.ints(4, 0, 2)
		return b.must(&op.Pad{Pads: []int{0, 0, p[0], p[1], 0, 0, p[2], p[3]}, Mode: []string{"reflect", "edge"}[r.IntN(2)]}, x)
	}
	if s[2]+s[3] > 24 {
		return nil
	}
	return b.must(&op.Pad{Pads: []int{0, 0, 1, 0, 0, 0, 0, 1}, Mode: "constant", Value: float32(r.NormFloat64())}, x)
}

// resampled adds a transposed convolution or a Resize; nil where the result would be large.
func (b *builder) resampled(x *ir.Value) *ir.Value {
	r, s := b.r, x.Type.Shape
	if s[2]+s[3] > 16 {
		return nil
	}
	if r.IntN(2) == 0 {
		k, m := b.ints(2, 1, 3), 1+r.IntN(4)
		o := &op.ConvTranspose{Group: 1, Strides: b.ints(2, 1, 2)}
		if min(s[2], s[3]) > 2 { // else nothing may be left
			o.Pads = b.poolPads(k)
		}
		return b.add(o, x, b.weights(s[1]*k[0]*k[1], s[1], m, k[0], k[1]), b.vector(m, 0, 0.2))
	}
	return b.add(&op.Resize{Mode: []string{"nearest", "linear", "cubic"}[r.IntN(3)], Scales: []float32{1, 1, 1 + r.Float32(), 1 + float32(r.IntN(2))},
		Coordinates: []string{"half_pixel", "align_corners", "asymmetric"}[r.IntN(3)], Nearest: "floor", CubicA: -0.75, Aspect: "stretch"}, x)
}

// reduced adds a reduction that keeps the axes.
func (b *builder) reduced(x *ir.Value) *ir.Value {
	r := b.r
	axes := [][]int{{1}, {2}, {3}, {-1, 1}, {2, 3}}[r.IntN(5)]
	return b.must([]ir.Op{&op.ReduceMean{Axes: axes, KeepDims: true}, &op.ReduceSum{Axes: axes, KeepDims: true},
		&op.ReduceMax{Axes: axes, KeepDims: true}, &op.ReduceMin{Axes: axes, KeepDims: true}}[r.IntN(4)], x)
}

// shaped is a constant that broadcasts to a shape [N,C,H,W], along axes of its own choice.
func (b *builder) shaped(s []int) *ir.Value {
	shape, n := []int{s[1], s[2], s[3]}, 1
	for i := range shape {
		if b.r.IntN(2) == 0 {
			shape[i] = 1
		}
		n *= shape[i]
	}
	t := tensor.New(tensor.F32, shape...)
	for i := range n {
		t.F[i] = float32(1 + b.r.NormFloat64()/3)
	}
	return b.constant(t)
}
