// Package interp runs the graph IR in float32: a float model as it is, a quantized one as fake quantization, where each node computes
// over the reals that its inputs stand for and rounds its result to the grid of its type. It walks the nodes; the kernels are
// the Eval methods of ir/op.
package interp

import (
	"fmt"
	"slices"
	"sync"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Interp is a graph ready to run. It is safe for concurrent use.
type Interp struct {
	g *ir.Graph

	mu    sync.Mutex
	bound map[string]*plan // by the sizes of the symbolic dimensions
}

// plan is the graph for fixed sizes.
type plan struct {
	g      *ir.Graph
	consts map[*ir.Value]*tensor.T
	orig   []*ir.Value   // results of all nodes in order, in the original graph
	dead   [][]*ir.Value // values that no later node reads, by node
}

// New checks a graph and prepares it. The graph must not be changed afterwards.
func New(g *ir.Graph) (*Interp, error) {
	if err := ir.Verify(g); err != nil {
		return nil, err
	}
	return &Interp{g: g, bound: map[string]*plan{}}, nil
}

// Run computes the outputs for one tensor for each graph input; quantized inputs are given as reals, too. Symbolic dimensions take the
// sizes of the tensors. observe, unless nil, sees every input and every node result with the value of the graph given to New; the
// tensors must not be changed.
func (m *Interp) Run(in []*tensor.T, observe func(v *ir.Value, t *tensor.T)) ([]*tensor.T, error) {
	p, err := m.plan(in)
	if err != nil {
		return nil, err
	}
	vals := map[*ir.Value]*tensor.T{}
	for i, v := range p.g.Inputs {
		t := in[i]
		if v.Type.IsQuant() {
			if t, err = fakeQuant(v.Type, t); err != nil {
				return nil, fmt.Errorf("%s: input %q: %w", m.g.Name, v.Name, err)
			}
		}
		vals[v] = t
		if observe != nil {
			observe(m.g.Inputs[i], t)
		}
	}
	k := 0
	for i, n := range p.g.Nodes {
		args := make([]*tensor.T, len(n.In))
		for j, v := range n.In {
			if v == nil {
				continue
			}
			if args[j] = vals[v]; args[j] == nil {
				args[j] = p.consts[v]
			}
		}
		out, err := op.Eval(n.Op, args)
		if err != nil {
			return nil, n.Wrap(err)
		}
		for j, v := range n.Out {
			t := out[j]
			if v.Type.IsQuant() {
				if t, err = fakeQuant(v.Type, t); err != nil {
					return nil, n.Wrap(err)
				}
			}
			vals[v] = t
			if observe != nil {
				observe(p.orig[k], t)
			}
			k++
		}
		for _, v := range p.dead[i] {
			delete(vals, v)
		}
	}
	r := make([]*tensor.T, len(p.g.Outputs))
	for i, v := range p.g.Outputs {
		if r[i] = vals[v]; r[i] == nil {
			r[i] = p.consts[v]
		}
	}
	return r, nil
}

// plan finds or makes the plan for the shapes of the inputs, which it checks.
func (m *Interp) plan(in []*tensor.T) (*plan, error) {
	if len(in) != len(m.g.Inputs) {
		return nil, fmt.Errorf("%s: want %d inputs, got %d", m.g.Name, len(m.g.Inputs), len(in))
	}
	dims := map[string]int{}
	key := ""
	for i, v := range m.g.Inputs {
		want, got := v.Type.Real(), in[i]
		bad := got.Elem != want.Elem || len(got.Shape) != len(want.Shape)
		for a := range want.Shape {
			if bad {
				break
			}
			d := want.Shape[a]
			if ir.IsSymbol(d) {
				name := ir.DimString(d)
				if have, ok := dims[name]; ok {
					d = have
				} else {
					d = got.Shape[a]
					dims[name] = d
					key += fmt.Sprintf("%d,", d)
				}
			}
			bad = d != got.Shape[a]
		}
		if bad {
			return nil, fmt.Errorf("%s: input %q: want %v, got %v", m.g.Name, v.Name, want, got)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.bound[key]; p != nil {
		return p, nil
	}
	g, err := m.g.Bind(dims)
	if err != nil {
		return nil, err
	}
	p := &plan{g: g, consts: map[*ir.Value]*tensor.T{}, dead: make([][]*ir.Value, len(g.Nodes))}
	for _, v := range g.Consts() {
		p.consts[v] = v.Const
		if q := v.Type.Quant; q != nil {
			p.consts[v] = reals(v.Const, q)
		}
	}
	for _, n := range m.g.Nodes {
		p.orig = append(p.orig, n.Out...)
	}
	last := map[*ir.Value]int{}
	for i, n := range g.Nodes {
		for _, v := range slices.Concat(n.In, n.Out) {
			if v != nil && v.Const == nil {
				last[v] = i
			}
		}
	}
	for _, v := range g.Values() {
		if i, ok := last[v]; ok && !g.IsOutput(v) {
			p.dead[i] = append(p.dead[i], v)
		}
	}
	m.bound[key] = p
	return p, nil
}

func reals(t *tensor.T, q *ir.Quant) *tensor.T {
	r := tensor.New(tensor.F32, t.Shape...)
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.F[i] = q.Dequantize(t.I[i], c)
		}
	})
	return r
}

// fakeQuant rounds reals to the grid of a type.
func fakeQuant(typ ir.Type, t *tensor.T) (*tensor.T, error) {
	q := typ.Quant
	r := tensor.New(tensor.F32, t.Shape...)
	bad := -1
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			x := t.F[i]
			if x != x && bad < 0 {
				bad = i
			}
			r.F[i] = q.Dequantize(q.Quantize(float64(x), c), c)
		}
	})
	if bad >= 0 {
		return nil, fmt.Errorf("element %d is not a number and cannot be quantized", bad)
	}
	return r, nil
}

// Integers are the integers behind a fake-quantized tensor of value v.
func Integers(v *ir.Value, t *tensor.T) (*tensor.T, error) {
	q := v.Type.Quant
	if q == nil {
		return nil, fmt.Errorf("%%%s is not quantized", v.Name)
	}
	r := tensor.New(v.Type.Elem, t.Shape...)
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			r.I[i] = q.Quantize(float64(t.F[i]), c)
		}
	})
	return r, nil
}
