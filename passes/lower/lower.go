// Package lower turns a quantized graph into a hardware program: the one place where scales become integer multipliers and shifts,
// zero points go into biases, and layouts become channels last.
//
// Each operator has a rule (see Rules). A value in hardware is a buffer in canonical layout: the batch axis (size 1) is dropped and
// axis 1 of the model, the channels, is last.
package lower

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// Options of the lowering.
type Options struct {
	// MultiplierBits is the width of the requantization multiplier as a signed number; 0 means 18 (one DSP48 port) for results of up to
	// 8 bits and 25 above. It is made smaller where product and accumulator would need more than 63 bits.
	MultiplierBits int
	// Pixels, if set, are what the one input of the model is made of.
	Pixels *Pixels
}

// Lowered is a program and what is left for the host.
type Lowered struct {
	Prog *hw.Program
	// Tail computes the model's outputs from those of the program, in float: a closing Softmax, say. nil when they are the same.
	Tail *ir.Graph
}

// Lower lowers a graph that Absorb, Propagate and FuseAct, or Quantize, have brought into quantized form. Symbolic batch dimensions
// are bound to 1: the hardware takes one sample at a time. All problems are reported at once.
func Lower(g *ir.Graph, o Options) (*Lowered, error) {
	one := map[string]int{}
	for _, v := range g.Inputs {
		for i, d := range v.Type.Shape {
			if ir.IsSymbol(d) && i > 0 {
				return nil, fmt.Errorf("%s: input %q: dimension %d (%s) is open, want a number: hardware has fixed sizes", g.Name, v.Name, i, ir.DimString(d))
			} else if ir.IsSymbol(d) {
				one[ir.DimString(d)] = 1
			}
		}
	}
	g, err := g.Bind(one)
	if err != nil {
		return nil, err
	}
	l := &lowerer{g: g, opt: o, bufs: map[*ir.Value]*hw.Buffer{}, names: map[string]bool{}, uses: g.UseCounts(), parts: map[*ir.Value][]float64{}, fractions: map[*ir.Value]int{},
		prog: &hw.Program{Name: ident(g.Name)}}
	l.flattened = l.findFlattened()
	tail, err := l.split()
	if err != nil {
		return nil, err
	}
	l.host = tail
	var errs []error
	failed := map[*ir.Node]bool{}
	for _, n := range g.Nodes {
		if tail[n] {
			continue
		}
		if slices.ContainsFunc(n.In, func(v *ir.Value) bool { return v != nil && v.Def != nil && failed[v.Def] }) {
			failed[n] = true // a consequence
			continue
		}
		if l.flattened[n] {
			continue
		}
		if err := l.node(n); err != nil {
			failed[n] = true
			errs = append(errs, n.Wrap(err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t, err := l.outputs(tail)
	if err != nil {
		return nil, err
	}
	l.prune()
	if err := hw.Verify(l.prog); err != nil {
		panic("lower: " + err.Error())
	}
	return &Lowered{l.prog, t}, nil
}

type lowerer struct {
	g         *ir.Graph
	opt       Options
	prog      *hw.Program
	bufs      map[*ir.Value]*hw.Buffer
	names     map[string]bool
	uses      map[*ir.Value]int
	flattened map[*ir.Node]bool       // merged into the Gemm that reads it
	parts     map[*ir.Value][]float64 // accumulators: what of the bias of each channel is no whole step
	fractions map[*ir.Value]int       // accumulators as results: bits behind the point
	host      map[*ir.Node]bool       // left to the host
}

// split is the host's tail (quant.Tail). A layer there is an error: its work would silently run on the host.
func (l *lowerer) split() (map[*ir.Node]bool, error) {
	tail := quant.Tail(l.g)
	var errs []error
	for _, n := range l.g.Nodes {
		i := slices.IndexFunc(n.In, func(v *ir.Value) bool { return v != nil && v.Def != nil && tail[v.Def] })
		if i >= 0 && op.Of(n.Op).Class == op.MAC {
			v := n.In[i]
			errs = append(errs, n.Errorf("input %%%s comes from %v (%s), which has no integer form", v.Name, v.Def.Pos, v.Def.Op.OpName()))
		}
	}
	return tail, errors.Join(errs...)
}

// node lowers one node by its rule.
func (l *lowerer) node(n *ir.Node) error {
	rule := Rules[n.Op.OpName()]
	if rule == nil {
		return errors.New("has no integer form; supported here: " + strings.Join(RuleNames(), ", "))
	}
	for i, v := range n.In {
		if v != nil && l.merged(v) {
			v = v.Def.In[0] // what the rule takes instead
		}
		if v == nil || v.Const != nil || l.bufs[v] != nil {
			continue
		}
		if _, ok := n.Op.(*op.Quantize); ok && v.Def == nil && !v.Type.IsQuant() {
			continue // a graph input: the host converts
		}
		if v.Def == nil && v.Type.IsQuant() {
			if err := l.port(n, v, v.Name, v.Type); err != nil {
				return err
			}
			continue
		}
		return fmt.Errorf("input %d (%%%s) is float, want a quantized value: quantize the model, or see which node above it has no Quant", i, v.Name)
	}
	return rule(l, n)
}

// merged reports whether v is the result of a Flatten that its Gemm has taken over.
func (l *lowerer) merged(v *ir.Value) bool { return v.Def != nil && l.flattened[v.Def] }

// quantizeRule: a graph input becomes a port; a quantized value is requantized.
func quantizeRule(l *lowerer, n *ir.Node) error {
	v := n.In[0]
	if v.Def == nil && v.Const == nil && !v.Type.IsQuant() {
		return l.port(n, n.Out[0], v.Name, n.Out[0].Type)
	}
	return requantRule(l, n)
}

// port makes a value an input of the program; n is the node that reads or makes it.
func (l *lowerer) port(n *ir.Node, v *ir.Value, name string, t ir.Type) error {
	if !t.Quant.PerTensor() {
		return fmt.Errorf("input %q: %d scales, want one", name, len(t.Quant.Scale))
	}
	shape, perm := layout(t.Shape)
	port := &hw.Port{Name: name, Shape: noBatch(t.Shape), Perm: perm, Quant: t.Quant}
	if l.opt.Pixels != nil {
		return l.pixelPort(n, v, port, shape)
	}
	b := l.prog.NewBuffer(l.ident(v.Name), shape, hw.Interval{Lo: t.Quant.Min, Hi: t.Quant.Max})
	b.Port = port
	l.prog.Inputs = append(l.prog.Inputs, b)
	l.bufs[v] = b
	return nil
}

// noBatch drops the leading axis of size 1 of shapes with at least two axes.
func noBatch(shape []int) []int {
	if len(shape) >= 2 && shape[0] == 1 {
		return slices.Clone(shape[1:])
	}
	return slices.Clone(shape)
}

// layout is the shape of the buffer of a model shape and which axis of noBatch(shape) stands where: the first becomes the last.
func layout(shape []int) (dims, perm []int) {
	s := noBatch(shape)
	for i := range s {
		perm = append(perm, (i+1)%len(s))
	}
	for _, p := range perm {
		dims = append(dims, s[p])
	}
	return dims, perm
}

// buffer is the buffer of an input value, which must not be a constant.
func (l *lowerer) buffer(v *ir.Value) (*hw.Buffer, error) {
	if b := l.bufs[v]; b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("%%%s is a constant, want a value of the graph", v.Name)
}

// kernel adds a kernel with a finished program: analysis, simplification, the output buffer.
func (l *lowerer) kernel(n *ir.Node, k *hw.Kernel, v *ir.Value, shape []int) error {
	in := k.ProgIn()
	if err := k.Prog.Analyze(in); err != nil {
		return err
	}
	k.Prog.Simplify()
	if err := k.Prog.Analyze(in); err != nil {
		return err
	}
	l.add(n, k, v, shape, k.Prog.Out())
	return nil
}

func (l *lowerer) add(n *ir.Node, k *hw.Kernel, v *ir.Value, shape []int, r hw.Interval) {
	name := l.ident(v.Name)
	k.Name, k.Pos = name, n.Pos
	k.Out = l.prog.NewBuffer(name, shape, r)
	l.prog.Kernels = append(l.prog.Kernels, k)
	l.bufs[v] = k.Out
}

// outputs makes the ports of the results and the host's tail.
func (l *lowerer) outputs(tail map[*ir.Node]bool) (*ir.Graph, error) {
	var cross []*ir.Value
	cut := func(v *ir.Value) {
		if v != nil && v.Const == nil && (v.Def == nil || !tail[v.Def]) && !slices.Contains(cross, v) {
			cross = append(cross, v)
		}
	}
	same := true
	for _, v := range l.g.Outputs {
		if v.Def != nil && tail[v.Def] {
			same = false
			continue
		}
		cut(v)
	}
	for _, n := range l.g.Nodes {
		if tail[n] {
			for _, v := range n.In {
				cut(v)
			}
		}
	}
	taken := map[*hw.Buffer]bool{}
	for _, v := range cross {
		b := l.bufs[v]
		if b == nil {
			return nil, fmt.Errorf("%s: output %%%s is not computed in hardware: the model has no quantized layer before it", l.g.Name, v.Name)
		}
		if b.Port != nil || taken[b] {
			p := hw.NewProg(b.Range)
			k := &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{b}, Prog: p}
			if err := l.kernel(&ir.Node{Op: &op.Identity{}}, k, v, b.Shape); err != nil {
				return nil, err
			}
			b = k.Out
		}
		_, perm := layout(v.Type.Shape)
		b.Port = &hw.Port{Name: v.Name, Shape: noBatch(v.Type.Shape), Perm: perm, Quant: l.portQuant(v)}
		taken[b] = true
		l.prog.Outputs = append(l.prog.Outputs, b)
	}
	if len(cross) == 0 {
		return nil, fmt.Errorf("%s: nothing to compute in hardware", l.g.Name)
	}
	if same {
		return nil, nil
	}
	return l.tail(cross, tail)
}

// tail cuts the host's part out of the graph; its inputs are the reals of the program's outputs.
func (l *lowerer) tail(cross []*ir.Value, tail map[*ir.Node]bool) (*ir.Graph, error) {
	c := l.g.Clone()
	at := map[*ir.Value]int{}
	for i, v := range l.g.Values() {
		at[v] = i
	}
	vals := c.Values()
	t := &ir.Graph{Name: l.g.Name + "_tail"}
	for _, v := range cross {
		k := vals[at[v]]
		k.Def = nil
		k.Type = k.Type.Real()
		t.Inputs = append(t.Inputs, k)
	}
	for i, n := range l.g.Nodes {
		if tail[n] {
			t.Nodes = append(t.Nodes, c.Nodes[i])
		}
	}
	t.Outputs = c.Outputs
	return t, ir.Verify(t)
}

// prune drops kernels whose results nobody reads, and renumbers the buffers.
func (l *lowerer) prune() {
	p := l.prog
	live := map[*hw.Buffer]bool{}
	for _, b := range p.Outputs {
		live[b] = true
	}
	var keep []*hw.Kernel
	for _, k := range slices.Backward(p.Kernels) {
		if live[k.Out] {
			keep = append(keep, k)
			for _, b := range k.In {
				live[b] = true
			}
		}
	}
	slices.Reverse(keep)
	p.Kernels = keep
	for _, b := range p.Inputs {
		live[b] = true
	}
	p.Buffers = slices.DeleteFunc(p.Buffers, func(b *hw.Buffer) bool { return !live[b] })
	for i, b := range p.Buffers {
		b.ID = i
	}
}

// ident makes a unique C identifier of a value's name.
func (l *lowerer) ident(name string) string {
	base := ident(name)
	s := base
	for i := 1; l.names[s]; i++ {
		s = fmt.Sprintf("%s_%d", base, i)
	}
	l.names[s] = true
	return s
}

func ident(name string) string {
	s := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	s = strings.Trim(s, "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "t" + s
	}
	return s
}

// accQuant describes a result that was left at the accumulator's scale.
func accQuant(n *ir.Node) *ir.Quant {
	sx, _ := n.In[0].Type.Quant.At(0)
	lo, hi := tensor.I(48).Range()
	q := &ir.Quant{Zero: []int64{0}, Min: lo, Max: hi}
	for _, s := range n.In[1].Type.Quant.Scale {
		q.Scale = append(q.Scale, s*sx)
	}
	return q
}
