package onnx

import (
	"slices"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
)

// What only opsets 1 to 7 have. The attribute consumed_inputs of opsets 1 to 5, a hint to work in place, is dropped by prepare.

// broadcastRule: before opset 7 both shapes are equal, or with broadcast=1 input 1 is repeated along the axes of input 0 that it does not
// have: its own begin at axis, without axis they are the last ones, as with numpy.
func broadcastRule(n *node, o ir.Op) ir.Op {
	if n.opset >= 7 {
		return o
	}
	broadcast, axis := take(n, "broadcast", 0), take(n, "axis", -1)
	a, b := n.shape(), n.in[1].Type.Shape
	if broadcast == 0 {
		if !slices.Equal(a, b) {
			n.fail("shapes %v and %v differ, and opset %d broadcasts only with broadcast=1", n.in[0].Type, n.in[1].Type, n.opset)
		}
		return o
	}
	if len(b) > len(a) {
		n.fail("opset %d broadcasts input 1 only: want at most the %d dims of input 0, got %v", n.opset, len(a), n.in[1].Type)
		return nil
	}
	if axis < 0 {
		axis = len(a) - len(b)
	}
	if axis+len(b) > len(a) {
		n.fail("axis %d: %v does not fit from there into %v", axis, n.in[1].Type, n.in[0].Type)
		return nil
	}
	n.in[1] = n.trailing(n.in[1], len(a)-len(b)-axis)
	return o
}

// trailing puts axes of size 1 behind those of x.
func (n *node) trailing(x *ir.Value, axes int) *ir.Value {
	if axes <= 0 || x == nil {
		return x
	}
	u := &op.Unsqueeze{}
	for i := range axes {
		u.Axes = append(u.Axes, len(x.Type.Shape)+i)
	}
	return n.emit(u, []*ir.Value{x}, []string{n.im.names.New(n.p.Output[0] + "_wide")})
}

// isTest is the attribute is_test, until opset 6: 0, the default, means training.
func (n *node) isTest() {
	if n.opset < 7 && take(n, "is_test", 0) == 0 {
		n.fail("is_test 0: want 1, a model for inference")
	}
}

// gemmRule: broadcast, until opset 6, says what the shapes say as well.
func gemmRule(n *node, o ir.Op) ir.Op {
	if n.opset < 7 {
		take(n, "broadcast", 0)
	}
	return o
}

// preluRule: before opset 7 a vector of slopes is one for each channel, axis 1.
func preluRule(n *node, o ir.Op) ir.Op {
	if s := n.in[1].Type.Shape; n.opset < 7 && len(s) == 1 && s[0] != 1 {
		n.in[1] = n.trailing(n.in[1], len(n.shape())-2)
	}
	return o
}

// concatRule: before opset 4 the axis is 1 where none is given.
func concatRule(n *node, o ir.Op) ir.Op {
	if n.attrs["axis"] == nil && n.opset >= 4 {
		n.fail("attribute axis is missing")
	}
	o.(*op.Concat).Axis = take(n, "axis", 1)
	return o
}

// seluRule: before opset 6 the defaults have four digits.
func seluRule(n *node, o ir.Op) ir.Op {
	s := o.(*op.Selu)
	if n.opset < 6 {
		s.Alpha, s.Gamma = take(n, "alpha", float32(1.6732)), take(n, "gamma", float32(1.0507))
	} else {
		s.Alpha, s.Gamma = take(n, "alpha", s.Alpha), take(n, "gamma", s.Gamma)
	}
	return o
}

// castName: before opset 6 the type is a string, the name of the data type.
func castName(n *node) int {
	name := take(n, "to", "")
	typ, ok := onnxpb.TensorProto_DataType_value[name]
	if !ok {
		n.fail("attribute to: no element type %q", name)
	}
	return int(typ)
}

// attrName is the name that an attribute of the file has in later versions.
func (n *node) attrName(a *onnxpb.AttributeProto) string {
	if n.opset == 1 && n.p.GetOpType() == "Pad" && a.GetName() == "paddings" {
		return "pads"
	}
	return a.GetName()
}

// isInput reports whether a parameter is an input. The sizes of Split were one in opset 1 as well, or an attribute.
func (n *node) isInput(p param) bool {
	return n.opset >= p.since || n.opset == 1 && n.p.GetOpType() == "Split" && len(n.in) > 1
}

// tile1 is Tile of opset 1: inputs x, tiles, axis, both single numbers.
func tile1(n *node) {
	if !n.arity(3, 3) {
		return
	}
	t := &op.Tile{Repeats: make([]int, len(n.shape()))}
	for i := range t.Repeats {
		t.Repeats[i] = 1
	}
	var v [2]int
	for i, what := range []string{"tiles", "axis"} {
		c := n.constInput(1+i, what)
		if c == nil {
			continue
		}
		x, err := scalarOf(c)
		if err != nil {
			n.fail("input %d (%s): %w", 1+i, what, err)
		}
		v[i] = int(x)
	}
	axis := []int{v[1]}
	if err := positive(axis, len(t.Repeats)); err != nil {
		n.failErr(err)
	}
	if n.failed || !n.noMoreAttrs() {
		return
	}
	t.Repeats[axis[0]] = v[0]
	n.finish(t, n.in[:1])
}
