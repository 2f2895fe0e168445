package lower

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// A constant operand is one number, or a number for each element of the node's result in the order of the result's buffer. While rules
// compute with such lists their Vecs have one entry for each element; mapped then looks what they depend on.

// ints are a constant's integers less the zero point.
func (l *lowerer) ints(n *ir.Node, v *ir.Value) ([]int64, error) {
	if !v.Type.IsQuant() {
		return nil, fmt.Errorf("operand %%%s is float, want a quantized constant", v.Name)
	}
	_, z, err := inQuant(v)
	if err != nil {
		return nil, err
	}
	ints := make([]int64, len(v.Const.I))
	for i, x := range v.Const.I {
		ints[i] = x - z
	}
	return inOrder(n, v, ints)
}

// reals are the numbers that a constant stands for.
func (l *lowerer) reals(n *ir.Node, v *ir.Value) ([]float64, error) {
	f := make([]float64, v.Const.Len())
	for i := range f {
		f[i] = v.Const.Float(i)
	}
	if q := v.Type.Quant; q != nil {
		q.Channels(v.Type.Shape, func(c, lo, hi int) {
			for i := lo; i < hi; i++ {
				f[i] = float64(q.Dequantize(v.Const.I[i], c))
			}
		})
	}
	return inOrder(n, v, f)
}

// inOrder brings numbers in the shape of v into the shape and the order of the result's buffer.
func inOrder[T any](n *ir.Node, v *ir.Value, x []T) ([]T, error) {
	if len(x) == 1 {
		return x, nil
	}
	at := count(v.Type.Shape)
	shape := n.Out[0].Type.Shape
	e, err := op.Eval(&op.Expand{Shape: shape}, []*tensor.T{at})
	if err != nil {
		return nil, fmt.Errorf("operand %%%s: %w", v.Name, err)
	}
	if !slices.Equal(e[0].Shape, shape) {
		return nil, fmt.Errorf("operand %%%s: a constant of shape %v for a result of shape %v", v.Name, v.Type.Shape, shape)
	}
	_, perm := layout(shape)
	order := e[0].Reshape(noBatch(shape)...).Permute(perm).I
	r := make([]T, len(order))
	for i, o := range order {
		r[i] = x[o]
	}
	return r, nil
}

// alongAxis brings numbers of the places on an axis of the result, or one for all, into the order of its buffer.
func alongAxis[T any](n *ir.Node, name string, axis int, x []T) ([]T, error) {
	shape := slices.Repeat([]int{1}, len(n.Out[0].Type.Shape))
	shape[axis] = len(x)
	return inOrder(n, &ir.Value{Name: name, Type: ir.Type{Shape: shape}}, x)
}

// count numbers the elements of a shape.
func count(shape []int) *tensor.T {
	t := tensor.New(tensor.I64, shape...)
	for i := range t.I {
		t.I[i] = int64(i)
	}
	return t
}

// join is f of two lists, entry by entry; one number stands for as many as it takes.
func join[T any](a, b []T, f func(a, b T) T) []T {
	r := make([]T, max(len(a), len(b)))
	for i := range r {
		r[i] = f(a[i%len(a)], b[i%len(b)])
	}
	return r
}

// vec is a Vec of one number or with an entry for each element, which mapped understands.
func vec(v []int64) hw.Vec { return hw.Vec{V: v} }

// mapped adds a Map kernel whose program has Vecs of one number or with an entry for each element. Numbers that depend on the channel
// alone or on the pixel alone become Vecs by channel or pixel. Where others are left every element is a pixel of one channel: the kernel
// works on buffers of another shape, which costs nothing in C.
func (l *lowerer) mapped(n *ir.Node, in []*hw.Buffer, p *hw.Prog, v *ir.Value) error {
	shape, _ := layout(v.Type.Shape)
	channels := in[0].Channels()
	k := &hw.Kernel{Kind: hw.KMap, In: in, Prog: p}
	flat := false
	for i := range p.Code {
		if !periodic(p.Code[i].Imm.V, channels) && !constantRuns(p.Code[i].Imm.V, channels) {
			flat = true
		}
	}
	for i := range p.Code {
		m := &p.Code[i].Imm
		switch {
		case len(m.V) < 2:
		case periodic(m.V, 1):
			*m = hw.Scalar(m.V[0])
		case flat:
			m.By = hw.ByPixel
		case periodic(m.V, channels):
			*m = hw.PerChannel(m.V[:channels])
		default:
			var px []int64
			for j := 0; j < len(m.V); j += channels {
				px = append(px, m.V[j])
			}
			*m = hw.Vec{V: px, By: hw.ByPixel}
		}
	}
	if !flat {
		return l.kernel(n, k, v, shape)
	}
	k.In = nil
	for _, b := range in {
		k.In = append(k.In, l.reshaped(n, b, v.Name+"_flat", []int{b.Len(), 1}))
	}
	t := &ir.Value{Name: v.Name + "_each"}
	if err := l.kernel(n, k, t, k.In[0].Shape); err != nil {
		return err
	}
	l.reshape(n, l.bufs[t], v, shape)
	return nil
}

// periodic reports whether a list repeats its first period entries.
func periodic[T comparable](v []T, period int) bool {
	for i := period; i < len(v); i++ {
		if v[i] != v[i-period] {
			return false
		}
	}
	return true
}

// constantRuns reports whether a list consists of runs of equal numbers of such a length.
func constantRuns(v []int64, length int) bool {
	for i := range v {
		if v[i] != v[i/length*length] {
			return false
		}
	}
	return true
}

// reshape makes v a buffer's elements under another shape of buffer.
func (l *lowerer) reshape(n *ir.Node, b *hw.Buffer, v *ir.Value, shape []int) {
	from := make([]int64, b.Len())
	for i := range from {
		from[i] = int64(i) + 1
	}
	l.move(n, v, []*hw.Buffer{b}, from, shape, 0)
}

// reshaped is reshape to a value that the graph does not have.
func (l *lowerer) reshaped(n *ir.Node, b *hw.Buffer, name string, shape []int) *hw.Buffer {
	v := &ir.Value{Name: name}
	l.reshape(n, b, v, shape)
	return l.bufs[v]
}
