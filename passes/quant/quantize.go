package quant

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Quantize gives types with a Quant to a prepared float graph: its inputs, the constants of its layers and the results of all nodes
// up to the host's tail (Tail). Run FuseAct afterwards.
//
// Weights are symmetric, one scale for each output channel unless PerTensor, narrow range. Biases are integers at the scale of
// the accumulator. A value that goes only into a Relu or Clip stays float: FuseAct merges the two. What has a Quant keeps it: of a model
// that is quantized in part the rest is filled in.
func Quantize(g *ir.Graph, c *Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Whole {
		g.SetMeta(wholeKey, "true")
	}
	tail := Tail(g)
	q := &quantizer{g: g, c: c, uses: g.UseCounts(), names: g.Names(), forced: map[*ir.Value]*ir.Value{}, outputs: map[*ir.Value]bool{}}
	if err := q.unsupported(tail); err != nil {
		return err
	}
	for _, v := range g.Outputs {
		q.outputs[v] = true
	}
	for _, n := range g.Nodes {
		if tail[n] || op.Of(n.Op).Class == op.Index {
			for _, v := range n.In {
				if v != nil && v.Const == nil && (v.Def == nil || !tail[v.Def]) {
					q.outputs[v] = true // the hardware ends here, or but for a comparison
				}
			}
		}
	}
	q.force(tail)
	for _, v := range slices.Clone(g.Inputs) {
		if err := q.input(v, tail); err != nil {
			return err
		}
	}
	var errs []error
	for _, n := range g.Nodes {
		if _, ok := n.Op.(*op.Quantize); ok || tail[n] {
			continue
		}
		if err := q.node(n); err != nil {
			errs = append(errs, n.Wrap(err))
		}
	}
	return errors.Join(errs...)
}

type quantizer struct {
	g       *ir.Graph
	c       *Config
	uses    map[*ir.Value]int
	names   *ir.Names
	forced  map[*ir.Value]*ir.Value // takes its Quant from the range of another value: inputs of a Concat
	outputs map[*ir.Value]bool      // leave the hardware
}

// unsupported reports layers behind a float node: their work would silently run on the host.
func (q *quantizer) unsupported(tail map[*ir.Node]bool) error {
	var errs []error
	for _, n := range q.g.Nodes {
		if !tail[n] || op.Of(n.Op).Class != op.MAC {
			continue
		}
		for _, v := range n.In {
			if v != nil && v.Def != nil && tail[v.Def] {
				errs = append(errs, n.Errorf("cannot be quantized: its input %%%s comes through an operator that has no integer form: %s", v.Name, blame(v.Def, tail)))
			}
		}
	}
	return errors.Join(errs...)
}

// force lets the inputs of a Concat share the Quant of its result where nothing else reads them.
func (q *quantizer) force(tail map[*ir.Node]bool) {
	for _, n := range slices.Backward(q.g.Nodes) {
		if _, ok := n.Op.(*op.Concat); !ok || tail[n] {
			continue
		}
		to := n.Out[0]
		if f := q.forced[to]; f != nil {
			to = f
		}
		for _, v := range n.In {
			for v.Def != nil && q.uses[v] == 1 && moves(v.Def) && len(v.Def.In) == 1 {
				v = v.Def.In[0] // through pools and reshapes, to the node that chooses
			}
			if v.Def != nil && q.uses[v] == 1 {
				q.forced[v] = to
			}
		}
	}
}

// choose is the activation type of a value.
func (q *quantizer) choose(v *ir.Value, bits int) (tensor.Elem, *ir.Quant, error) {
	if q.outputs[v] {
		bits = q.c.OutputBits
		if bits == 0 {
			bits = max(q.c.A, 8)
		}
	}
	from := v
	if f := q.forced[v]; f != nil {
		if f.Type.IsQuant() { // given by the model
			return f.Type.Elem, f.Type.Quant.Clone(), nil
		}
		from = f
	}
	lo, hi, err := q.c.Range(from, bits)
	if err != nil {
		return tensor.Elem{}, nil, err
	}
	if math.IsNaN(lo) || math.IsNaN(hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0) || lo > hi {
		return tensor.Elem{}, nil, fmt.Errorf("%%%s: calibrated range %v to %v", v.Name, lo, hi)
	}
	c := q.c
	if v.Def != nil {
		c = c.For(owner(v.Def, q.fuses, func(name string) bool { _, ok := c.Scalings[name]; return ok }))
	}
	e, t := c.activation(lo, hi, bits)
	return e, t, nil
}

// input puts a Quantize behind a graph input for its readers in hardware.
func (q *quantizer) input(v *ir.Value, tail map[*ir.Node]bool) error {
	if v.Type.IsQuant() || !v.Type.Elem.IsFloat() {
		return nil
	}
	users := slices.DeleteFunc(q.g.Users(v), func(n *ir.Node) bool {
		_, given := n.Op.(*op.Quantize)
		return tail[n] || given
	})
	if len(users) == 0 {
		return nil
	}
	bits := q.c.InputBits
	if bits == 0 {
		bits = max(q.c.A, 8)
	}
	e, t, err := q.choose(v, bits)
	if err != nil {
		return err
	}
	n := &ir.Node{Op: &op.Quantize{}, In: []*ir.Value{v}, Pos: ir.Pos{File: users[0].Pos.File, Node: users[0].Pos.Node, Name: "quantize " + v.Name}}
	out := &ir.Value{Name: q.names.New(v.Name + "_q"), Type: ir.Type{Elem: e, Shape: slices.Clone(v.Type.Shape), Quant: t}, Def: n}
	n.Out = []*ir.Value{out}
	q.g.InsertAfter(nil, n)
	for _, u := range users {
		for i, in := range u.In {
			if in == v {
				u.In[i] = out
			}
		}
	}
	return nil
}

// node chooses the types of one node's constants and results; its inputs are already typed.
func (q *quantizer) node(n *ir.Node) error {
	bits := q.widths(n)
	if op.Of(n.Op).Class == op.MAC {
		if err := q.weights(n, bits.W); err != nil {
			return err
		}
	}
	for i, v := range n.In {
		if v != nil && v.Const != nil && v.Type.Elem.IsFloat() && (i == 0 || op.Of(n.Op).Class != op.MAC) && !parameter(n.Op) {
			q.constant(n, i, bits.A)
		}
	}
	if moves(n) {
		if t := commonQuant(n.In); t != nil {
			for _, o := range n.Out {
				if !o.Type.IsQuant() {
					o.Type.Elem, o.Type.Quant = t.Elem, t.Quant.Clone()
				}
			}
			return nil
		}
	}
	if op.Of(n.Op).Class == op.Index {
		return nil // integers that stand for themselves; the values of a TopK keep the type of its input
	}
	for _, o := range n.Out {
		if o.Type.IsQuant() || q.fuses(o) {
			continue
		}
		e, t, err := q.choose(o, bits.A)
		if err != nil {
			return err
		}
		o.Type.Elem, o.Type.Quant = e, t
	}
	return nil
}

// parameter reports whether an operator's constant operands become numbers of its arithmetic, multipliers and limits, and lose nothing as
// long as they stay reals.
func parameter(o ir.Op) bool {
	switch o.(type) {
	case *op.PRelu, *op.Pow, *op.Div, *op.Max, *op.Min, *op.MultiThreshold, *op.BatchNormalization:
		return true
	}
	return false
}

// fuses reports whether v is read by a single Relu or Clip alone: FuseAct will merge the two.
func (q *quantizer) fuses(v *ir.Value) bool { return fuses(q.g, v, q.uses[v]) }

func fuses(g *ir.Graph, v *ir.Value, uses int) bool {
	if uses != 1 || g.IsOutput(v) || v.Def == nil {
		return false
	}
	if c := op.Of(v.Def.Op).Class; c != op.MAC && c != op.Pointwise {
		return false
	}
	_, _, ok := Activation(g.Users(v)[0].Op)
	return ok
}

// constant quantizes a constant operand of an elementwise operator over its own range.
func (q *quantizer) constant(n *ir.Node, i, bits int) {
	v := n.In[i]
	lo, hi := 0.0, 0.0
	for _, x := range v.Const.F {
		lo, hi = min(lo, float64(x)), max(hi, float64(x))
	}
	e, t := q.c.For(LayerName(n)).activation(lo, hi, max(bits, 8))
	n.In[i] = &ir.Value{Name: q.names.New(v.Name + "_q"), Type: ir.Type{Elem: e, Shape: v.Type.Shape, Quant: t}, Const: t.Integers(e, v.Const)}
}
