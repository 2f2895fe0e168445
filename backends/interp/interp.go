// Package interp runs the graph IR in float32: a float model as it is, a quantized one as fake quantization, where each node computes
// over the reals that its inputs stand for and rounds its result to the grid of its type. It walks the nodes; the kernels are
// the Eval methods of ir/op, and for the most frequent ones those of backends/kernels, which add in the same order and so give the same bits on
// every amd64 CPU, whatever instructions it has. Only Sigmoid, Tanh, Swish, Exp and Elu of reals are not ir/op's, but the same on all levels, too.
//
//	m, err := interp.New(g)
//	out, err := m.Run([]*tensor.T{x}, nil)
package interp

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Interp is a graph ready to run. It is safe for concurrent use.
type Interp struct {
	g       *ir.Graph
	values  []*ir.Value // of g, in the order of g.Values; slots of a run have the same order
	consts  []*tensor.T // by slot: data of constants as reals, nil for other values
	inputs  []int       // slots
	outputs []int
	steps   []step
	level   kernels.Level
	gemms   []*kernels.FloatProduct // by node; nil where op.Eval does the work

	last       atomic.Pointer[bound]
	mu         sync.Mutex
	plans      map[string]*plan // by the sizes of the symbolic dimensions
	convs      map[fieldKey]*kernels.FieldConv
	transposed map[fieldKey]*kernels.FieldTranspose
}

// step is a node with its values as slots.
type step struct {
	in, out []int // -1 is an omitted input
	dead    []int // slots that nothing reads after this step
	last    bool  // the first input is one of them, and no other step ever reads it
}

// plan is the graph for fixed sizes of the symbolic dimensions. Slots are those of the graph given to New.
type plan struct {
	g      *ir.Graph
	values []*ir.Value
	consts []*tensor.T
	level  kernels.Level
	convs  []*kernels.FloatConv // by node; nil where op.Eval does the work
	gemms  []*kernels.FloatProduct
	moved  []*move // by node

	regions []*region // by their first node; used where nothing is observed
	alone   []*region // by node: convolutions of them

	memories sync.Pool // of *memory
}

// memory is what one run needs and the next can use again.
type memory struct {
	env  []*tensor.T // by slot; between runs it holds the constants only
	own  []bool      // by slot: made by native code, which gives no views: where no other step reads it, its memory can be used again
	args []*tensor.T // of the step being run
	res  []*tensor.T

	made    []*tensor.T // by slot: what native code wrote to in the run before
	again   bool        // write there again; not where somebody may keep what he observed
	outputs []int       // slots that are the caller's
}

// tensor is memory for what native code computes for a slot. The numbers in it are left from another run.
func (m *memory) tensor(slot int, e tensor.Elem, shape []int) *tensor.T {
	if t := m.made[slot]; m.again && t != nil && t.Elem == e {
		return t
	}
	t := tensor.New(e, shape...)
	if m.again && !slices.Contains(m.outputs, slot) {
		m.made[slot] = t
	}
	return t
}

func (p *plan) memory(outputs []int) *memory {
	if m, ok := p.memories.Get().(*memory); ok {
		return m
	}
	return p.newMemory(outputs)
}

func (p *plan) newMemory(outputs []int) *memory {
	m := &memory{env: slices.Clone(p.consts), own: make([]bool, len(p.consts)), made: make([]*tensor.T, len(p.consts)), outputs: outputs}
	for _, n := range p.g.Nodes {
		m.args = slices.Grow(m.args, len(n.In))
		m.res = slices.Grow(m.res, len(n.Out))
	}
	return m
}

// free keeps no tensors of the run but those made for it.
func (p *plan) free(m *memory) {
	copy(m.env, p.consts)
	clear(m.own)
	clear(m.args[:cap(m.args)])
	clear(m.res[:cap(m.res)])
	p.memories.Put(m)
}

// New verifies a graph and prepares it: constants are turned into reals, once. The graph must not be changed afterwards.
func New(g *ir.Graph) (*Interp, error) {
	if err := ir.Verify(g); err != nil {
		return nil, err
	}
	level, err := kernels.Best()
	if err != nil {
		return nil, fmt.Errorf("interp: %w", err)
	}
	m := &Interp{g: g, values: g.Values(), level: level, plans: map[string]*plan{}, convs: map[fieldKey]*kernels.FieldConv{},
		transposed: map[fieldKey]*kernels.FieldTranspose{}}
	slot := map[*ir.Value]int{}
	m.consts = make([]*tensor.T, len(m.values))
	for i, v := range m.values {
		slot[v] = i
		if v.Const != nil {
			m.consts[i] = reals(v)
		}
	}
	slots := func(vs []*ir.Value) []int {
		r := make([]int, len(vs))
		for i, v := range vs {
			r[i] = -1
			if v != nil {
				r[i] = slot[v]
			}
		}
		return r
	}
	m.inputs, m.outputs = slots(g.Inputs), slots(g.Outputs)
	last := make([]int, len(m.values)) // the step that touches a slot last
	readers := make([]int, len(m.values))
	for i, n := range g.Nodes {
		s := step{in: slots(n.In), out: slots(n.Out)}
		for _, k := range slices.Concat(s.in, s.out) {
			if k >= 0 {
				last[k] = i
			}
		}
		for _, k := range s.in {
			if k >= 0 {
				readers[k]++
			}
		}
		m.steps = append(m.steps, s)
	}
	for k, v := range m.values {
		if len(m.steps) > 0 && v.Const == nil && !slices.Contains(m.outputs, k) {
			s := &m.steps[last[k]]
			s.dead = append(s.dead, k)
		}
	}
	for i := range m.steps {
		s := &m.steps[i]
		s.last = len(s.in) > 0 && slices.Contains(s.dead, s.in[0]) && readers[s.in[0]] == 1
	}
	m.products()
	return m, nil
}

// Run computes the outputs for one tensor for each graph input. Symbolic dimensions take the sizes of the tensors. A quantized input
// is given as reals, which are rounded to its grid, or as the integers of its element type; outputs are reals.
//
// observe, unless nil, sees every graph input and every node result, rounded if it is quantized, with the value of the graph given to
// New, in the order of the nodes. It must not change the tensors; those of outputs belong to the caller when Run is through.
func (m *Interp) Run(in []*tensor.T, observe func(v *ir.Value, t *tensor.T)) ([]*tensor.T, error) {
	p, err := m.planFor(in)
	if err != nil {
		return nil, err
	}
	mem := p.memory(m.outputs)
	defer p.free(mem)
	mem.again = observe == nil
	if err := m.run(p, mem, in, observe); err != nil {
		return nil, err
	}
	return m.results(p, mem, in), nil
}

// run leaves the outputs in mem.
func (m *Interp) run(p *plan, mem *memory, in []*tensor.T, observe func(v *ir.Value, t *tensor.T)) (err error) {
	env, own := mem.env, mem.own
	for i, k := range m.inputs {
		if env[k], err = input(p.level, p.values[k], in[i]); err != nil {
			return fmt.Errorf("%s: input %q: %w", m.g.Name, m.values[k].Name, err)
		}
		if observe != nil {
			observe(m.values[k], env[k])
		}
	}
	for i := 0; i < len(m.steps); i++ {
		if r := p.regions[i]; r != nil && observe == nil {
			for j, y := range r.run(mem, func(slot int) *tensor.T { return env[slot] }) {
				env[r.out[j].slot], own[r.out[j].slot] = y, true
			}
			for _, s := range m.steps[i : i+r.steps] {
				for _, k := range s.dead {
					env[k] = nil
				}
			}
			i += r.steps - 1
			continue
		}
		n, s := p.g.Nodes[i], &m.steps[i]
		mem.args, mem.res = mem.args[:len(s.in)], mem.res[:len(s.out)]
		for j, k := range s.in {
			if mem.args[j] = nil; k >= 0 {
				mem.args[j] = env[k]
			}
		}
		native, err := p.eval(mem, i, n, s, observe == nil && s.last && own[s.in[0]])
		if err != nil {
			return err
		}
		for j, k := range s.out {
			env[k], own[k] = mem.res[j], native
			if observe != nil {
				observe(m.values[k], mem.res[j])
			}
		}
		for _, k := range s.dead {
			env[k] = nil
		}
	}
	return nil
}

// results collects the outputs. They belong to the caller, so they must not share data with constants, its own inputs or the next run.
func (m *Interp) results(p *plan, mem *memory, in []*tensor.T) []*tensor.T {
	r := make([]*tensor.T, len(m.outputs))
	for i, k := range m.outputs {
		r[i] = mem.env[k]
		if aliases(r[i], in) || aliases(r[i], p.consts) || aliases(r[i], r[:i]) || mem.again && aliases(r[i], mem.made) {
			r[i] = r[i].Clone()
		}
	}
	return r
}

// eval runs node i, step s, on the arguments in mem and brings its results into the form that their types say. With over, the result may lie in the first argument. It
// says whether the result is by native code.
func (p *plan) eval(mem *memory, i int, n *ir.Node, s *step, over bool) (native bool, err error) {
	args, res := mem.args, mem.res
	if y := p.native(mem, i, n, s, over); y != nil {
		res[0], native = y, true
	} else {
		got, err := op.Eval(n.Op, args)
		if err != nil {
			return false, n.Wrap(err)
		}
		if len(got) < len(n.Out) {
			return false, n.Errorf("the kernel gave %d results, want %d", len(got), len(n.Out))
		}
		copy(res, got)
	}
	for i, v := range n.Out {
		t := res[i]
		if want := v.Type.Real(); t.Elem != want.Elem || !slices.Equal(t.Shape, want.Shape) {
			return false, n.Errorf("result %d, %%%s: the kernel gave %v, want %v", i, v.Name, t, want)
		}
		if !v.Type.IsQuant() {
			continue
		}
		if !over && aliases(t, args) {
			t = tensor.New(t.Elem, t.Shape...)
		}
		if bad := round(p.level, t.F, res[i].F, v.Type.Quant, t.Shape); bad >= 0 {
			return false, n.Errorf("result %d, %%%s: element %d is not a number and cannot be quantized", i, v.Name, bad)
		}
		res[i] = t
	}
	return native, nil
}

// aliases reports whether t shares data with one of the tensors: whether both are parts of one array, which ends at the same place.
func aliases(t *tensor.T, with []*tensor.T) bool {
	for _, u := range with {
		if u != nil && (sameArray(t.F, u.F) || sameArray(t.I, u.I)) {
			return true
		}
	}
	return false
}

func sameArray[E any](a, b []E) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}
