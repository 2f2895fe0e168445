package onnx

import (
	"fmt"
	"slices"
	"strings"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// node converts one node of the file. A node that fails marks its results as bad, so that what reads them is passed over.
func (im *importer) node(i int, p *onnxpb.NodeProto) {
	pos := im.pos(i, p)
	n := &node{im: im, p: p, pos: pos, attrs: map[string]*onnxpb.AttributeProto{}}
	err := n.read()
	if err == nil && !n.skip {
		err = n.convert()
	}
	if err == nil && !n.skip {
		return
	}
	for _, o := range p.Output {
		im.bad[o] = true
	}
	if err != nil {
		im.errs = append(im.errs, &ir.Error{Pos: pos, Op: p.GetOpType(), Err: err})
	}
}

// node is a node of the file on its way into the IR. Converters take attributes and parameters out of it; what is left over at the end
// is an error.
type node struct {
	im    *importer
	p     *onnxpb.NodeProto
	pos   ir.Pos
	attrs map[string]*onnxpb.AttributeProto // not yet taken
	in    []*ir.Value                       // nil: omitted
	skip  bool                              // a consequence of an earlier problem
}

// read collects attributes and inputs.
func (n *node) read() error {
	for _, a := range n.p.Attribute {
		if n.attrs[a.GetName()] != nil {
			return fmt.Errorf("attribute %q is given twice", a.GetName())
		}
		n.attrs[a.GetName()] = a
	}
	for i, name := range n.p.Input {
		v := n.im.vals[name]
		switch {
		case name == "":
			v = nil
		case n.im.bad[name]:
			n.skip = true
			return nil
		case v == nil:
			return fmt.Errorf("input %d: %q is not defined by an input, an initializer or a node", i, name)
		}
		n.in = append(n.in, v)
	}
	for len(n.in) > 0 && n.in[len(n.in)-1] == nil {
		n.in = n.in[:len(n.in)-1]
	}
	return nil
}

// harmless are attributes that change nothing at inference: they are dropped. consumed_inputs, spatial and momentum are leftovers
// of training and of opset 1.
var harmless = map[string][]string{
	"BatchNormalization": {"momentum", "spatial"},
	"Dropout":            {"ratio", "seed", "is_test"},
	"Cast":               {"saturate", "round_mode"},
}

// convert finds the operator and adds its nodes.
func (n *node) convert() error {
	typ, dom := n.p.GetOpType(), domain(n.p.GetDomain())
	if special := specials[dom+"."+typ]; special != nil {
		return special(n)
	}
	d := op.ByName(typ)
	if dom != "" || d == nil || d.Domain != "" {
		n.im.missing.add(dom, typ, n.im.opsets[dom], n.pos)
		n.skip = true
		return nil
	}
	if len(n.in) < d.MinIn || d.MaxIn >= 0 && len(n.in) > d.MaxIn {
		return fmt.Errorf("want %s inputs, got %d", arity(d.MinIn, d.MaxIn), len(n.in))
	}
	for _, a := range harmless[typ] {
		delete(n.attrs, a)
	}
	o := d.New()
	if up := upgrades[typ]; up != nil {
		if err := up(n, o); err != nil {
			return err
		}
	}
	return n.finish(o)
}

func arity(lo, hi int) string {
	switch {
	case hi < 0:
		return fmt.Sprintf("at least %d", lo)
	case lo == hi:
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}

// finish sets the attributes that are left, adds the node under the names of the file, and folds it if it can.
func (n *node) finish(o op.Op) error {
	for _, a := range n.p.Attribute { // in the order of the file
		if n.attrs[a.GetName()] == nil {
			continue
		}
		v, err := attrValue(a)
		if err != nil {
			return err
		}
		if err := op.SetAttr(o, a.GetName(), v); err != nil {
			return err
		}
	}
	return n.emit(o, n.in, n.p.Output)
}

// emit adds an operator whose results have names of the file ("" is an unused one).
func (n *node) emit(o op.Op, in []*ir.Value, names []string) error {
	names = slices.Clone(names)
	for len(names) > 0 && (names[len(names)-1] == "" || len(names) > 1 && n.im.reads[names[len(names)-1]] == 0) {
		names = names[:len(names)-1] // results that nothing reads, such as a Dropout's mask
	}
	if len(names) == 0 {
		return nil
	}
	k, err := ir.NewNode(o, n.pos, in, make([]string, len(names))...)
	if err != nil {
		return unwrap(err)
	}
	for i, name := range names {
		if name == "" {
			name = n.im.names.New("unused")
		}
		k.Out[i].Name = name
		n.im.vals[name] = k.Out[i]
	}
	if folded, err := n.fold(k); folded || err != nil {
		return err
	}
	n.im.g.Nodes = append(n.im.g.Nodes, k)
	return nil
}

// unwrap drops the position from an error: node adds it.
func unwrap(err error) error {
	if e, ok := err.(*ir.Error); ok {
		return e.Err
	}
	return err
}

// fold replaces the results of a node by constants where all inputs are: at once, so that parameters computed from shapes are known
// when the node that takes them comes. Arithmetic on handles of symbolic dimensions is refused by the kernels: the node stays then.
func (n *node) fold(k *ir.Node) (bool, error) {
	var in []*tensor.T
	if s, ok := k.Op.(*op.Shape); ok {
		n.im.constant(k.Out[0].Name, s.Of(k.In[0].Type.Shape))
		return true, nil
	}
	for _, v := range k.In {
		switch {
		case v == nil:
			in = append(in, nil)
		case v.Const == nil || v.Type.IsQuant():
			return false, nil
		default:
			in = append(in, v.Const)
		}
	}
	out, err := op.Eval(k.Op, in)
	if err != nil {
		for _, t := range in {
			if t != nil && slices.ContainsFunc(t.I, func(x int64) bool { return ir.IsSymbol(int(x)) }) {
				return false, nil
			}
		}
		return false, err
	}
	for i, v := range k.Out {
		n.im.constant(v.Name, out[i])
	}
	return true, nil
}

// attrValue converts an attribute to the types that op.SetAttr takes.
func attrValue(a *onnxpb.AttributeProto) (any, error) {
	switch a.GetType() {
	case onnxpb.AttributeProto_INT:
		return int(a.GetI()), nil
	case onnxpb.AttributeProto_FLOAT:
		return a.GetF(), nil
	case onnxpb.AttributeProto_STRING:
		return string(a.GetS()), nil
	case onnxpb.AttributeProto_INTS:
		r := make([]int, len(a.Ints))
		for i, x := range a.Ints {
			r[i] = int(x)
		}
		return r, nil
	case onnxpb.AttributeProto_FLOATS:
		return slices.Clone(a.Floats), nil
	}
	return nil, fmt.Errorf("attribute %q: type %v is not supported", a.GetName(), a.GetType())
}

// take removes an attribute and returns its value, or the default where it is not given.
func take[T any](n *node, name string, def T) (T, error) {
	a := n.attrs[name]
	if a == nil {
		return def, nil
	}
	delete(n.attrs, name)
	v, err := attrValue(a)
	if err != nil {
		return def, err
	}
	x, ok := v.(T)
	if !ok {
		return def, fmt.Errorf("attribute %q: want %T, got %T", name, def, v)
	}
	return x, nil
}

// param is a constant input that becomes an attribute; nil where it is omitted.
func (n *node) param(i int, name string) (*tensor.T, error) {
	if i >= len(n.in) || n.in[i] == nil {
		return nil, nil
	}
	if n.in[i].Const == nil {
		return nil, fmt.Errorf("input %d (%s) is computed at run time, want a constant: hardware has fixed shapes and parameters", i, name)
	}
	return n.in[i].Const, nil
}

func (n *node) intsParam(i int, name string) ([]int, bool, error) {
	t, err := n.param(i, name)
	if t == nil || err != nil {
		return nil, false, err
	}
	v, err := intsOf(t)
	if err != nil {
		return nil, false, fmt.Errorf("input %d (%s): %w", i, name, err)
	}
	return v, true, nil
}

// scalarParam is a parameter of one float.
func (n *node) scalarParam(i int, name string, def float32) (float32, error) {
	t, err := n.param(i, name)
	if t == nil || err != nil {
		return def, err
	}
	if t.Len() != 1 {
		return def, fmt.Errorf("input %d (%s): want one number, got %v", i, name, t)
	}
	return float32(t.Float(0)), nil
}

// missing collects operators that are not supported, each once.
type missing struct{ list []missingOp }

type missingOp struct {
	domain, typ string
	opset, n    int
	pos         ir.Pos
}

func (m *missing) add(dom, typ string, opset int, pos ir.Pos) {
	for i := range m.list {
		if m.list[i].domain == dom && m.list[i].typ == typ {
			m.list[i].n++
			return
		}
	}
	m.list = append(m.list, missingOp{dom, typ, opset, 1, pos})
}

// recurrent and control-flow operators have no place in a feed-forward pipeline of fixed size.
var outOfScope = []string{"If", "Loop", "Scan", "LSTM", "GRU", "RNN", "SequenceConstruct", "Optional", "StringNormalizer"}

func (m *missing) errors() []error {
	var r []error
	for _, x := range m.list {
		name := x.typ
		if x.domain != "" {
			name = x.domain + "." + name
		}
		s := fmt.Sprintf("operator %s is not supported (opset %d)", name, x.opset)
		if slices.Contains(outOfScope, x.typ) {
			s = fmt.Sprintf("operator %s is not supported: control flow, recurrence and sequences have no form in hardware of fixed size", name)
		} else if near := nearest(x.typ); near != "" {
			s += "; the nearest supported one is " + near
		}
		if x.n > 1 {
			s += fmt.Sprintf("; %d nodes use it, this is the first", x.n)
		}
		r = append(r, &ir.Error{Pos: x.pos, Op: x.typ, Err: fmt.Errorf("%s", s)})
	}
	return r
}

// nearest is the supported operator with the most similar name, if one is similar at all.
func nearest(typ string) string {
	best, name := 3, ""
	for i := range op.Table {
		if d := distance(strings.ToLower(typ), strings.ToLower(op.Table[i].Name)); d < best && op.Table[i].Domain == "" {
			best, name = d, op.Table[i].Name
		}
	}
	for i := range op.Table {
		if name == "" && len(op.Table[i].Name) > 3 && strings.Contains(typ, op.Table[i].Name) {
			name = op.Table[i].Name
		}
	}
	return name
}

// distance is the edit distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diag := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diag+cost)
		}
	}
	return row[len(b)]
}
