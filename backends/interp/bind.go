package interp

import (
	"fmt"
	"slices"
	"strconv"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/tensor"
)

// maxPlans bounds the cache of plans: a server sees many batch sizes, and each plan is a copy of the graph (without the weights).
const maxPlans = 64

// bound is a plan with the inputs that it is for.
type bound struct {
	elems  []tensor.Elem
	shapes [][]int
	plan   *plan
}

// planFor is the plan for these inputs: most often that of the run before, without a lock.
func (m *Interp) planFor(in []*tensor.T) (*plan, error) {
	if b := m.last.Load(); b != nil && b.takes(in) {
		return b.plan, nil
	}
	key, dims, err := m.sizes(in)
	if err != nil {
		return nil, err
	}
	b := &bound{}
	if b.plan, err = m.plan(key, dims); err != nil {
		return nil, err
	}
	for _, t := range in {
		b.elems, b.shapes = append(b.elems, t.Elem), append(b.shapes, slices.Clone(t.Shape))
	}
	m.last.Store(b)
	return b.plan, nil
}

// takes reports whether sizes would find nothing else.
func (b *bound) takes(in []*tensor.T) bool {
	if len(in) != len(b.shapes) {
		return false
	}
	for i, t := range in {
		if t == nil || t.Elem != b.elems[i] || !slices.Equal(t.Shape, b.shapes[i]) || t.Check() != nil {
			return false
		}
	}
	return true
}

// sizes checks the types of the inputs and finds the sizes of the symbolic dimensions; the key tells sets of sizes apart.
func (m *Interp) sizes(in []*tensor.T) (key string, dims map[string]int, err error) {
	if len(in) != len(m.g.Inputs) {
		return "", nil, fmt.Errorf("%s: want %d inputs, got %d", m.g.Name, len(m.g.Inputs), len(in))
	}
	dims = map[string]int{}
	from := map[string]string{} // the input that a size is from
	for i, v := range m.g.Inputs {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s: input %q: want %v, got %v%s", m.g.Name, v.Name, v.Type, in[i], fmt.Sprintf(format, args...))
		}
		if in[i] == nil {
			return "", nil, fmt.Errorf("%s: input %q: want %v, got nothing", m.g.Name, v.Name, v.Type)
		}
		got := in[i].Shape
		if !accepts(v.Type, in[i].Elem) || len(got) != len(v.Type.Shape) {
			return "", nil, bad("")
		}
		for a, d := range v.Type.Shape {
			if got[a] < 0 {
				return "", nil, bad(": dimension %d is negative", a)
			}
			if !ir.IsSymbol(d) {
				if got[a] != d {
					return "", nil, bad("")
				}
				continue
			}
			name := ir.DimString(d)
			have, ok := dims[name]
			switch {
			case !ok:
				dims[name], from[name] = got[a], v.Name
				key += strconv.Itoa(got[a]) + ","
			case have != got[a]:
				return "", nil, bad(": %s is %d in input %q", name, have, from[name])
			}
		}
		if err := in[i].Check(); err != nil {
			return "", nil, fmt.Errorf("%s: input %q: %w", m.g.Name, v.Name, err)
		}
	}
	return key, dims, nil
}

// accepts reports whether a tensor with elements e can be the input of a type. All floats are stored as float32.
func accepts(t ir.Type, e tensor.Elem) bool {
	return e == t.Elem || e.IsFloat() && t.Real().Elem.IsFloat()
}

// input brings a tensor that accepts let pass into the form that the graph computes with.
func input(level kernels.Level, v *ir.Value, t *tensor.T) (*tensor.T, error) {
	q := v.Type.Quant
	switch {
	case q == nil && t.Elem == v.Type.Elem:
		return t, nil
	case q == nil:
		return &tensor.T{Elem: v.Type.Elem, Shape: t.Shape, F: t.F}, nil
	case t.I != nil:
		for i, x := range t.I {
			if x < q.Min || x > q.Max {
				return nil, fmt.Errorf("element %d is %d, want %d..%d", i, x, q.Min, q.Max)
			}
		}
		return reals(&ir.Value{Type: v.Type, Const: t}), nil
	}
	r := tensor.New(tensor.F32, t.Shape...)
	if bad := round(level, r.F, t.F, q, t.Shape); bad >= 0 {
		return nil, fmt.Errorf("element %d is not a number and cannot be quantized", bad)
	}
	return r, nil
}

// plan finds or makes the graph for the sizes.
func (m *Interp) plan(key string, dims map[string]int) (*plan, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.plans[key]; p != nil {
		return p, nil
	}
	g, err := m.g.Bind(dims)
	if err != nil {
		return nil, err
	}
	p := &plan{g: g, level: m.level, gemms: m.gemms, values: g.Values(), consts: slices.Clone(m.consts)}
	for i, v := range p.values {
		for _, d := range v.Type.Shape {
			if ir.IsSymbol(d) {
				return nil, fmt.Errorf("%s: %%%s is %v, and no input tells the size of %s", m.g.Name, v.Name, v.Type, ir.DimString(d))
			}
		}
		if v.Const != m.values[i].Const { // it held symbols
			p.consts[i] = reals(v)
		}
	}
	if len(m.plans) >= maxPlans {
		clear(m.plans)
		clear(m.convs)
		clear(m.transposed)
	}
	m.regions(p)
	p.convolutions(m.steps)
	p.moves()
	m.plans[key] = p
	return p, nil
}
