package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// param is an attribute of the IR that newer ONNX versions pass as an input: as of opset since it is input number input. An empty name
// is an input that a rule takes care of.
type param struct {
	attr     string
	input    int
	since    int
	required bool
}

// params is read by the importer and by the exporter.
var params = map[string][]param{
	"AffineGrid":      {{"size", 1, 20, true}},
	"Clip":            {{"min", 1, 11, false}, {"max", 2, 11, false}},
	"Col2Im":          {{"image_shape", 1, 18, true}, {"block_shape", 2, 18, true}},
	"CumSum":          {{"axis", 1, 11, true}},
	"Dropout":         {{"", 1, 12, false}, {"", 2, 12, false}},
	"Expand":          {{"shape", 1, 8, true}},
	"MaxUnpool":       {{"output_shape", 2, 9, false}},
	"OneHot":          {{"depth", 1, 9, true}},
	"Pad":             {{"pads", 1, 11, true}, {"value", 2, 11, false}, {"", 3, 18, false}},
	"ReduceL1":        {{"axes", 1, 18, false}},
	"ReduceL2":        {{"axes", 1, 18, false}},
	"ReduceLogSum":    {{"axes", 1, 18, false}},
	"ReduceLogSumExp": {{"axes", 1, 18, false}},
	"ReduceMax":       {{"axes", 1, 18, false}},
	"ReduceMean":      {{"axes", 1, 18, false}},
	"ReduceMin":       {{"axes", 1, 18, false}},
	"ReduceProd":      {{"axes", 1, 18, false}},
	"ReduceSum":       {{"axes", 1, 13, false}},
	"ReduceSumSquare": {{"axes", 1, 18, false}},
	"Reshape":         {{"shape", 1, 5, true}},
	"Resize":          {{"roi", 1, 11, false}, {"scales", 2, 11, false}, {"sizes", 3, 11, false}},
	"Slice":           {{"starts", 1, 10, true}, {"ends", 2, 10, true}, {"axes", 3, 10, false}, {"steps", 4, 10, false}},
	"Split":           {{"split", 1, 13, false}},
	"Squeeze":         {{"axes", 1, 13, false}},
	"Tile":            {{"repeats", 1, 6, true}},
	"TopK":            {{"k", 1, 10, true}},
	"Trilu":           {{"k", 1, 14, false}},
	"Unsqueeze":       {{"axes", 1, 13, true}},
}

// findParam is the row of an attribute, nil if ONNX has it as an attribute in all versions.
func findParam(opName, attr string) *param {
	for i, p := range params[opName] {
		if p.attr == attr {
			return &params[opName][i]
		}
	}
	return nil
}

// setAttrs sets the attributes of the file that the operator has under the same name. Others stay for the operator's rule.
func (n *node) setAttrs(o ir.Op) {
	r := rules[o.OpName()]
	for _, a := range n.p.Attribute { // in the order of the file
		name := n.attrName(a)
		if n.attrs[name] == nil || slices.Contains(r.takes, name) || !hasAttr(o, name) {
			continue
		}
		delete(n.attrs, name)
		if p := findParam(o.OpName(), name); p != nil && n.isInput(*p) {
			n.fail("attribute %s: it is input %d as of opset %d, the file has %d", name, p.input, p.since, n.opset)
			continue
		}
		v, err := attrValue(a)
		if err == nil {
			err = op.SetAttr(o, name, v)
		}
		if err != nil {
			n.failErr(err)
		}
	}
}

func hasAttr(o ir.Op, name string) bool {
	return slices.ContainsFunc(op.Attrs(o), func(a op.Attr) bool { return a.Name == name })
}

// setParams moves inputs that are parameters into attributes.
func (n *node) setParams(o ir.Op) {
	for _, p := range params[o.OpName()] {
		given := slices.ContainsFunc(n.p.Attribute, func(a *onnxpb.AttributeProto) bool { return n.attrName(a) == p.attr })
		switch {
		case p.attr == "":
		case !n.isInput(p) && p.required && !given:
			n.fail("attribute %s is missing", p.attr)
		case n.isInput(p) && n.input(p.input) != nil:
			n.setParam(o, p)
		case n.isInput(p) && p.required:
			n.fail("input %d (%s) is missing", p.input, p.attr)
		}
	}
}

// dataOf are the inputs that are no parameters of the operator.
func (n *node) dataOf(name string) []*ir.Value {
	var data []*ir.Value
	for i, v := range n.in {
		if !slices.ContainsFunc(params[name], func(p param) bool { return p.input == i }) {
			data = append(data, v)
		}
	}
	return data
}

func (n *node) setParam(o ir.Op, p param) {
	t := n.constInput(p.input, p.attr)
	if t == nil {
		return
	}
	i := slices.IndexFunc(op.Attrs(o), func(a op.Attr) bool { return a.Name == p.attr })
	var v any
	var err error
	switch op.Attrs(o)[i].Value.(type) {
	case []int:
		v, err = intsOf(t)
	case int:
		v, err = intOf(t)
	case float32:
		v, err = scalarOf(t)
	default:
		panic("onnx: parameter " + p.attr + " of " + o.OpName())
	}
	if err == nil {
		err = op.SetAttr(o, p.attr, v)
	}
	if err != nil {
		n.fail("input %d (%s): %w", p.input, p.attr, err)
	}
}

// scalarOf is the one number of a constant.
func scalarOf(t *tensor.T) (float32, error) {
	if t.Len() != 1 {
		return 0, fmt.Errorf("want one number, got %v", t)
	}
	return float32(t.Float(0)), nil
}

// intOf is the one integer of a constant, which may be a handle of a symbolic dimension.
func intOf(t *tensor.T) (int, error) {
	if t.Len() != 1 || math.Abs(t.Float(0)) > 1<<62 || t.Float(0) != math.Trunc(t.Float(0)) {
		return 0, fmt.Errorf("want one integer, got %v", t)
	}
	if t.F != nil {
		return int(t.F[0]), nil
	}
	return int(t.I[0]), nil
}

// take removes an attribute that is not simply set and returns its value, or the default where it is not given.
func take[T any](n *node, name string, def T) T {
	a := n.attrs[name]
	if a == nil {
		return def
	}
	delete(n.attrs, name)
	v, err := attrValue(a)
	if err != nil {
		n.failErr(err)
		return def
	}
	if l, ok := v.([]int); ok && len(l) == 0 { // an empty list has no type in the file
		return def
	}
	x, ok := v.(T)
	if !ok {
		n.fail("attribute %s: want %s, got %s", name, op.TypeName(any(def)), op.TypeName(v))
		return def
	}
	return x
}

// noMoreAttrs reports attributes that nothing took.
func (n *node) noMoreAttrs(harmless ...string) bool {
	var known []string
	for _, a := range n.p.Attribute {
		name := n.attrName(a)
		if n.attrs[name] != nil && !slices.Contains(harmless, name) {
			known = append(known, name)
		}
	}
	if len(known) > 0 {
		n.fail("attribute %s is not supported", strings.Join(known, ", "))
	}
	return !n.failed
}

// attrValue converts an attribute to the types that op.SetAttr takes.
func attrValue(a *onnxpb.AttributeProto) (any, error) {
	if a.GetRefAttrName() != "" {
		return nil, fmt.Errorf("attribute %s: references to attributes of functions are not supported", a.GetName())
	}
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
	return nil, fmt.Errorf("attribute %s: type %v is not supported", a.GetName(), a.GetType())
}

// The reverse, for the exporter.

func intAttr(name string, v int) *onnxpb.AttributeProto {
	i := int64(v)
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INT.Enum(), I: &i}
}

func boolAttr(name string, v bool) *onnxpb.AttributeProto {
	if v {
		return intAttr(name, 1)
	}
	return intAttr(name, 0)
}

func floatAttr(name string, v float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_FLOAT.Enum(), F: &v}
}

func stringAttr(name, v string) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(v)}
}

func intsAttr(name string, v []int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_INTS.Enum(), Ints: int64s(v)}
}

func floatsAttr(name string, v []float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_FLOATS.Enum(), Floats: v}
}
