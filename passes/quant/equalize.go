package quant

import (
	"math"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// maxEqualize is the number of times that Equalize goes over all pairs of layers.
const maxEqualize = 20

// Equalize scales the channels between two layers so that each has the same range in the weights that make it and in those that read it
// (cross-layer equalization, Nagel et al. 2019): the first layer's channel i is divided by s = sqrt(r1 r2)/r2, the second's weights for it
// are multiplied. The graph computes the same. Between the two may stand only what is positively homogeneous and keeps channels apart, read by
// nothing else: a Relu or a pool, not a Clip or a Sigmoid. It returns the number of pairs.
func Equalize(g *ir.Graph) int {
	pairs := findPairs(g)
	for range maxEqualize {
		most := 0.0
		for _, p := range pairs {
			most = max(most, p.balance())
		}
		if most < 1e-3 {
			break
		}
	}
	for _, p := range pairs {
		p.store()
	}
	return len(pairs)
}

// pair are two layers with channels in common. Pairs that share a layer share its arrays.
type pair struct {
	a, b       *plate
	inner      int // b's inputs for each channel: pixels of a Flatten
	group, sub int // b's input channel c is number c%sub of group c/sub
}

// plate is a layer's weights and bias while they change.
type plate struct {
	n       *ir.Node
	w, bias []float64
	rows, k int // all output channels, and inputs with taps of each
}

func findPairs(g *ir.Graph) []*pair {
	uses := g.UseCounts()
	plates := map[*ir.Node]*plate{}
	shared := map[*ir.Value]int{} // nodes that read a constant: weights of two layers stay as they are
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && v.Const != nil {
				shared[v]++
			}
		}
	}
	plateOf := func(n *ir.Node) *plate {
		if p, ok := plates[n]; ok {
			return p
		}
		p := newPlate(n)
		if p != nil {
			for _, v := range n.In[1:] {
				if v != nil && shared[v] > 1 {
					p = nil
					break
				}
			}
		}
		plates[n] = p
		return p
	}
	var pairs []*pair
	for _, n := range g.Nodes {
		a := plateOf(n)
		if a == nil {
			continue
		}
		v, inner := n.Out[0], 1
		for {
			if uses[v] != 1 || g.IsOutput(v) || v.Type.IsQuant() {
				break
			}
			users := g.Users(v)
			u := users[0]
			if b := plateOf(u); b != nil && u.In[0] == v {
				if p := newPair(a, b, inner); p != nil {
					pairs = append(pairs, p)
				}
				break
			}
			m, ok := homogeneous(u, v)
			if !ok {
				break
			}
			inner *= m
			v = u.Out[0]
		}
	}
	return pairs
}

// homogeneous reports whether f(s x) = s f(x) for s > 0 and each channel by itself, and how many elements of the result stand in the place of
// one channel.
func homogeneous(n *ir.Node, v *ir.Value) (inner int, ok bool) {
	if len(n.Out) != 1 || n.In[0] != v {
		return 0, false
	}
	switch o := n.Op.(type) {
	case *op.Relu, *op.LeakyRelu, *op.MaxPool, *op.AveragePool, *op.GlobalAveragePool, *op.GlobalMaxPool, *op.Identity, *op.Dropout:
		return 1, true
	case *op.PRelu:
		return 1, n.In[1].Const != nil
	case *op.Flatten:
		if s := v.Type.Shape; o.Axis == 1 && len(s) >= 2 {
			m := 1
			for _, d := range s[2:] {
				if d < 0 {
					return 0, false
				}
				m *= d
			}
			return m, true
		}
	}
	return 0, false
}

func newPlate(n *ir.Node) *plate {
	switch o := n.Op.(type) {
	case *op.Conv:
	case *op.Gemm:
		if o.TransA || !o.TransB || o.Alpha != 1 || o.Beta != 1 {
			return nil
		}
	default:
		return nil
	}
	w := n.In[1]
	if w.Const == nil || w.Type.IsQuant() {
		return nil
	}
	p := &plate{n: n, w: double(w.Const.F), rows: w.Const.Shape[0], k: tensor.Numel(w.Const.Shape[1:])}
	if len(n.In) > 2 && n.In[2] != nil {
		b := n.In[2]
		if b.Const == nil || b.Type.IsQuant() || len(b.Const.F) != p.rows {
			return nil
		}
		p.bias = double(b.Const.F)
	}
	return p
}

func newPair(a, b *plate, inner int) *pair {
	p := &pair{a: a, b: b, inner: inner}
	channels := a.rows
	switch o := b.n.Op.(type) {
	case *op.Conv:
		w := b.n.In[1].Const.Shape
		if inner != 1 || w[1]*o.Group != channels {
			return nil
		}
		p.inner, p.group, p.sub = tensor.Numel(w[2:]), b.rows/o.Group, w[1]
	default:
		if b.k != channels*inner {
			return nil
		}
		p.group, p.sub = b.rows, channels
	}
	return p
}

// readers calls f with each stretch of b's weights that reads channel c.
func (p *pair) readers(c int, f func(w []float64)) {
	first := c / p.sub * p.group
	for r := first; r < first+p.group; r++ {
		f(p.b.w[r*p.b.k+c%p.sub*p.inner:][:p.inner])
	}
}

// balance equalizes all channels and returns the greatest change.
func (p *pair) balance() float64 {
	most := 0.0
	for c := range p.a.rows {
		row := p.a.w[c*p.a.k : (c+1)*p.a.k]
		r1, r2 := largest(row), 0.0
		p.readers(c, func(w []float64) { r2 = max(r2, largest(w)) })
		if r1 < 1e-8 || r2 < 1e-8 {
			continue // a dead channel
		}
		s := math.Sqrt(r1*r2) / r2
		most = max(most, math.Abs(s-1))
		for i := range row {
			row[i] /= s
		}
		if p.a.bias != nil {
			p.a.bias[c] /= s
		}
		p.readers(c, func(w []float64) {
			for i := range w {
				w[i] *= s
			}
		})
	}
	return most
}

// store gives both nodes their new constants.
func (p *pair) store() {
	for _, l := range []*plate{p.a, p.b} {
		put := func(i int, x []float64) {
			old := l.n.In[i]
			t := tensor.New(old.Const.Elem, old.Const.Shape...)
			for j, v := range x {
				t.F[j] = float32(v)
			}
			l.n.In[i] = &ir.Value{Name: old.Name, Type: old.Type.Clone(), Const: t}
		}
		put(1, l.w)
		if l.bias != nil {
			put(2, l.bias)
		}
	}
}

func double(x []float32) []float64 {
	r := make([]float64, len(x))
	for i, v := range x {
		r[i] = float64(v)
	}
	return r
}

func largest(x []float64) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(v))
	}
	return m
}
