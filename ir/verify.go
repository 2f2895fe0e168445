package ir

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks every invariant of the graph: definitions before uses and only once, unique names, sizes of constants, the shape
// and element type of each result as the operator infers them, and each Quant. It returns all violations joined.
func Verify(g *Graph) error {
	c := checker{defined: map[*Value]bool{}, names: map[string]bool{}}
	for _, v := range g.Inputs {
		if v.Def != nil || v.Const != nil {
			c.fail(nil, "input %%%s has a definition, want none", v.Name)
		}
		c.define(nil, v)
	}
	for _, n := range g.Nodes {
		c.node(n)
	}
	for _, v := range g.Outputs {
		c.use(nil, v, "graph output")
	}
	if len(g.Outputs) == 0 {
		c.fail(nil, "graph has no outputs, want at least one")
	}
	return errors.Join(c.errs...)
}

type checker struct {
	defined map[*Value]bool
	names   map[string]bool
	errs    []error
}

func (c *checker) fail(n *Node, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if n != nil {
		err = n.Wrap(err)
	}
	c.errs = append(c.errs, err)
}

func (c *checker) define(n *Node, v *Value) {
	if c.defined[v] {
		c.fail(n, "%%%s is defined twice", v.Name)
	}
	c.defined[v] = true
	if v.Name == "" {
		c.fail(n, "a value has no name")
	} else if c.names[v.Name] {
		c.fail(n, "the name %%%s is taken twice", v.Name)
	}
	c.names[v.Name] = true
	for i, d := range v.Type.Shape {
		if d < 0 && (!IsSymbol(d) || v.Const != nil) {
			c.fail(n, "%%%s: dimension %d is %s, want 0 or more", v.Name, i, DimString(d))
		}
	}
	c.quant(n, v)
}

func (c *checker) use(n *Node, v *Value, what string) {
	if v == nil {
		c.fail(n, "%s: no value", what)
		return
	}
	if v.Const != nil && !c.defined[v] {
		c.define(n, v)
		if v.Def != nil {
			c.fail(n, "constant %%%s has a defining node", v.Name)
		}
		if v.Const.Elem != v.Type.Elem || !slices.Equal(v.Const.Shape, v.Type.Shape) {
			c.fail(n, "constant %%%s: type is %v, data is %v", v.Name, v.Type, v.Const)
		} else if !v.Type.Known() {
			return // reported above; such data cannot be counted
		} else if err := v.Const.Check(); err != nil {
			c.fail(n, "constant %%%s: %w", v.Name, err)
		}
	}
	if !c.defined[v] {
		c.fail(n, "%s: %%%s is used before it is defined", what, v.Name)
	}
}

func (c *checker) node(n *Node) {
	if n.Op == nil {
		c.errs = append(c.errs, fmt.Errorf("%v: node without an operator", n.Pos))
		return
	}
	for i, v := range n.In {
		if v != nil {
			c.use(n, v, fmt.Sprintf("input %d", i))
		}
	}
	types, err := n.Infer()
	if err != nil {
		c.errs = append(c.errs, err)
	}
	for i, v := range n.Out {
		c.define(n, v)
		if v.Def != n || v.Const != nil {
			c.fail(n, "output %d: %%%s does not point back to its node", i, v.Name)
		}
		if err != nil {
			continue
		}
		if i >= len(types) {
			c.fail(n, "want at most %d outputs, got %d", len(types), len(n.Out))
			break
		}
		if got := v.Type.Real(); got.Elem != types[i].Elem || !slices.Equal(got.Shape, types[i].Shape) {
			c.fail(n, "output %d: %%%s: want %v, got %v", i, v.Name, types[i], got)
		}
	}
	if len(n.Out) == 0 {
		c.fail(n, "want at least one output")
	}
}

func (c *checker) quant(n *Node, v *Value) {
	q := v.Type.Quant
	if q == nil {
		return
	}
	e := v.Type.Elem
	if !e.IsInt() || e.Bits > 48 {
		c.fail(n, "%%%s: a Quant on element type %v, want an integer of 1 to 48 bits", v.Name, e)
		return
	}
	if lo, hi := e.Range(); q.Min < lo || q.Max > hi || q.Min > q.Max {
		c.fail(n, "%%%s: range %d..%d, want inside %v's %d..%d", v.Name, q.Min, q.Max, e, lo, hi)
	}
	if int(q.Round) >= len(roundNames) {
		c.fail(n, "%%%s: rounding mode %d, want 0..%d", v.Name, int(q.Round), len(roundNames)-1)
	}
	for _, s := range q.Scale {
		if !(s > 0) || s > 1e38 {
			c.fail(n, "%%%s: scale %v, want a positive finite number", v.Name, s)
			break
		}
		if float64(float32(s)) != s {
			c.fail(n, "%%%s: scale %v is not a float32 number", v.Name, s)
			break
		}
	}
	if len(q.Scale) == 0 || (len(q.Zero) != 1 && len(q.Zero) != len(q.Scale)) {
		c.fail(n, "%%%s: %d scales and %d zero points", v.Name, len(q.Scale), len(q.Zero))
	}
	if len(q.Scale) > 1 {
		if q.Axis < 0 || q.Axis >= len(v.Type.Shape) {
			c.fail(n, "%%%s: quantization axis %d of %d dims", v.Name, q.Axis, len(v.Type.Shape))
		} else if d := v.Type.Shape[q.Axis]; d != len(q.Scale) {
			c.fail(n, "%%%s: want %d scales along axis %d, got %d", v.Name, d, q.Axis, len(q.Scale))
		}
	}
	if v.Const != nil {
		for i, x := range v.Const.I {
			if x < q.Min || x > q.Max {
				c.fail(n, "%%%s: element %d is %d, want %d..%d", v.Name, i, x, q.Min, q.Max)
				break
			}
		}
	}
}
