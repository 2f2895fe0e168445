package ir

import (
	"fmt"
	"slices"
	"strconv"
)

// Uses is the number of inputs of nodes, and of graph outputs, that read v.
func (g *Graph) Uses(v *Value) int {
	n := 0
	for _, node := range g.Nodes {
		for _, in := range node.In {
			if in == v {
				n++
			}
		}
	}
	for _, o := range g.Outputs {
		if o == v {
			n++
		}
	}
	return n
}

// Users are the nodes that read v, each once, in order.
func (g *Graph) Users(v *Value) []*Node {
	var r []*Node
	for _, node := range g.Nodes {
		if slices.Contains(node.In, v) {
			r = append(r, node)
		}
	}
	return r
}

// UseCounts is Uses for all values at once.
func (g *Graph) UseCounts() map[*Value]int {
	n := map[*Value]int{}
	for _, node := range g.Nodes {
		for _, in := range node.In {
			if in != nil {
				n[in]++
			}
		}
	}
	for _, o := range g.Outputs {
		n[o]++
	}
	return n
}

// ReplaceUses makes every reader of old (nodes and graph outputs) read v. A replaced graph output takes the output's name along,
// so that the interface of the graph stays: v must not be an input or a constant then, and must not already be an output.
func (g *Graph) ReplaceUses(old, v *Value) {
	for _, node := range g.Nodes {
		for i, in := range node.In {
			if in == old {
				node.In[i] = v
			}
		}
	}
	for i, o := range g.Outputs {
		if o == old {
			g.Outputs[i] = v
			if v.Def != nil {
				old.Name, v.Name = v.Name, old.Name
			}
		}
	}
}

// IsOutput reports whether v is an output of the graph.
func (g *Graph) IsOutput(v *Value) bool { return slices.Contains(g.Outputs, v) }

// Remove takes a node out. Its results must have no readers.
func (g *Graph) Remove(n *Node) {
	i := slices.Index(g.Nodes, n)
	if i < 0 {
		panic("ir: Remove of a node that is not in the graph")
	}
	g.Nodes = slices.Delete(g.Nodes, i, i+1)
}

// TakeOver lets the node that computes v compute the result of n instead, and removes n: a reader of v, the only one, that does no
// more than v's node can do itself. The result keeps its name and type.
func (g *Graph) TakeOver(v *Value, n *Node) {
	r := n.Out[0]
	v.Def.Out[slices.Index(v.Def.Out, v)] = r
	r.Def = v.Def
	g.Remove(n)
}

// InsertBefore puts a new node before another.
func (g *Graph) InsertBefore(at, n *Node) {
	i := slices.Index(g.Nodes, at)
	if i < 0 {
		panic("ir: InsertBefore a node that is not in the graph")
	}
	g.Nodes = slices.Insert(g.Nodes, i, n)
}

// InsertAfter puts a new node after another; after nil means at the start.
func (g *Graph) InsertAfter(at, n *Node) {
	i := -1
	if at != nil {
		if i = slices.Index(g.Nodes, at); i < 0 {
			panic("ir: InsertAfter a node that is not in the graph")
		}
	}
	g.Nodes = slices.Insert(g.Nodes, i+1, n)
}

// Append adds a node at the end and infers the types of its results, which are named by the given names (one result for each).
// Results get no Quant.
func (g *Graph) Append(op Op, pos Pos, in []*Value, names ...string) (*Node, error) {
	n, err := NewNode(op, pos, in, names...)
	if err != nil {
		return nil, err
	}
	g.Nodes = append(g.Nodes, n)
	return n, nil
}

// NewNode makes a node that is in no graph yet, with the types of its results inferred.
func NewNode(op Op, pos Pos, in []*Value, names ...string) (*Node, error) {
	n := &Node{Op: op, In: in, Pos: pos}
	types, err := n.Infer()
	if err != nil {
		return nil, err
	}
	if len(types) < len(names) {
		return nil, n.Errorf("want at most %d outputs, got %d", len(types), len(names))
	}
	for i, name := range names {
		n.Out = append(n.Out, &Value{Name: name, Type: types[i], Def: n})
	}
	return n, nil
}

// Infer derives the types of the results from those of the inputs, as reals: quantized inputs count as float32.
func (n *Node) Infer() ([]Type, error) {
	in := make([]*Type, len(n.In))
	for i, v := range n.In {
		if v != nil {
			t := v.Type.Real()
			in[i] = &t
		}
	}
	types, err := n.Op.Infer(in)
	return types, n.Wrap(err)
}

// Names gives names that are not yet in the graph.
type Names struct{ used map[string]bool }

// Names collects the names in use.
func (g *Graph) Names() *Names {
	s := &Names{map[string]bool{}}
	for _, v := range g.Values() {
		s.used[v.Name] = true
	}
	return s
}

// New is base, or base with a number behind it.
func (s *Names) New(base string) string {
	name := base
	for i := 1; s.used[name]; i++ {
		name = base + "." + strconv.Itoa(i)
	}
	s.used[name] = true
	return name
}

// Values are all values of the graph in order: inputs, then for each node the constants it is the first to read and its results,
// then constants that are read only as outputs.
func (g *Graph) Values() []*Value {
	seen := map[*Value]bool{}
	var r []*Value
	add := func(v *Value) {
		if v != nil && !seen[v] {
			seen[v] = true
			r = append(r, v)
		}
	}
	for _, v := range g.Inputs {
		add(v)
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && v.Const != nil {
				add(v)
			}
		}
		for _, v := range n.Out {
			add(v)
		}
	}
	for _, v := range g.Outputs {
		add(v)
	}
	return r
}

// Consts are the constants that something reads, in the order of Values.
func (g *Graph) Consts() []*Value {
	var r []*Value
	for _, v := range g.Values() {
		if v.Const != nil {
			r = append(r, v)
		}
	}
	return r
}

// MetaValue is the value of a key of Meta.
func (g *Graph) MetaValue(key string) (value string, ok bool) {
	for _, kv := range g.Meta {
		if kv[0] == key {
			return kv[1], true
		}
	}
	return "", false
}

// SetMeta gives a key of Meta a value: at the place that it has, else at the end.
func (g *Graph) SetMeta(key, value string) {
	for i, kv := range g.Meta {
		if kv[0] == key {
			g.Meta[i][1] = value
			return
		}
	}
	g.Meta = append(g.Meta, [2]string{key, value})
}

// Clone copies graph, nodes, values and types; operators and constant data are shared: passes replace them, never write into them.
func (g *Graph) Clone() *Graph {
	m := map[*Value]*Value{}
	val := func(v *Value) *Value {
		if v == nil {
			return nil
		}
		if m[v] == nil {
			m[v] = &Value{Name: v.Name, Type: v.Type.Clone(), Const: v.Const}
		}
		return m[v]
	}
	vals := func(vs []*Value) []*Value {
		r := make([]*Value, len(vs))
		for i, v := range vs {
			r[i] = val(v)
		}
		return r
	}
	c := &Graph{Name: g.Name, Inputs: vals(g.Inputs), Meta: slices.Clone(g.Meta)}
	for _, n := range g.Nodes {
		k := &Node{Op: n.Op, In: vals(n.In), Out: vals(n.Out), Pos: n.Pos}
		for _, o := range k.Out {
			o.Def = k
		}
		c.Nodes = append(c.Nodes, k)
	}
	c.Outputs = vals(g.Outputs)
	return c
}

// Bind is a copy of the graph in which symbolic dimensions have sizes: every symbol that has an entry in dims. Types and int64
// constants are rewritten, attributes through the operator's BindDims if it has one; the types of results are inferred anew.
func (g *Graph) Bind(dims map[string]int) (*Graph, error) {
	size := func(d int) int {
		if IsSymbol(d) {
			if n, ok := dims[DimString(d)]; ok {
				return n
			}
		}
		return d
	}
	c := g.Clone()
	for _, v := range c.Values() {
		for i, d := range v.Type.Shape {
			v.Type.Shape[i] = size(d)
		}
		if v.Const != nil && slices.ContainsFunc(v.Const.I, func(x int64) bool { return IsSymbol(int(x)) }) {
			v.Const = v.Const.Clone()
			for i, x := range v.Const.I {
				v.Const.I[i] = int64(size(int(x)))
			}
		}
	}
	for _, n := range c.Nodes {
		if b, ok := n.Op.(interface{ BindDims(func(int) int) Op }); ok {
			n.Op = b.BindDims(size)
		}
		types, err := n.Infer()
		if err != nil {
			return nil, err
		}
		for i, o := range n.Out {
			if o.Type.Quant == nil {
				o.Type.Elem = types[i].Elem
			}
			o.Type.Shape = types[i].Shape
		}
	}
	return c, nil
}

// Symbols are the names of the symbolic dimensions of the inputs, in order.
func (g *Graph) Symbols() []string {
	var r []string
	for _, v := range g.Inputs {
		for _, d := range v.Type.Shape {
			if IsSymbol(d) && !slices.Contains(r, DimString(d)) {
				r = append(r, DimString(d))
			}
		}
	}
	return r
}

// Input finds a graph input by name.
func (g *Graph) Input(name string) (*Value, error) {
	for _, v := range g.Inputs {
		if v.Name == name {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%s: no input %q; there are %s", g.Name, name, nameList(g.Inputs))
}

func nameList(vs []*Value) string {
	s := ""
	for i, v := range vs {
		if i > 0 {
			s += ", "
		}
		s += strconv.Quote(v.Name)
	}
	return s
}
