package onnx

import (
	"fmt"
	"slices"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// node is one node of the file while it is imported. Its methods note problems and go on; the node makes nothing if there were any.
type node struct {
	im     *importer
	p      *onnxpb.NodeProto
	pos    ir.Pos
	opset  int         // of the node's domain; 0 if the file does not say
	in     []*ir.Value // nil: omitted; trailing omitted ones are cut off
	attrs  map[string]*onnxpb.AttributeProto
	failed bool
}

// node imports node i of the file.
func (im *importer) node(i int, p *onnxpb.NodeProto) {
	n := &node{im: im, p: p, pos: im.pos(i, p), opset: im.opsets[domain(p.GetDomain())], attrs: map[string]*onnxpb.AttributeProto{}}
	build := n.builder()
	if build != nil {
		n.prepare()
		n.annotated()
		if !n.failed {
			build(n)
			im.needSize = im.needSize || n.failed && slices.ContainsFunc(n.in, openInside)
		}
	}
	for _, o := range p.Output {
		if o != "" && im.vals[o] == nil {
			im.bad[o] = true
		}
	}
}

// openInside reports whether a value has a dimension without a size that is not the first: few operators mind an open batch.
func openInside(v *ir.Value) bool {
	return v != nil && len(v.Type.Shape) > 1 && slices.ContainsFunc(v.Type.Shape[1:], ir.IsSymbol)
}

// builder finds what imports the operator. If there is nothing, the operator is noted as missing.
func (n *node) builder() func(*node) {
	name, dom := n.p.GetOpType(), domain(n.p.GetDomain())
	if b := builders[dom][name]; b != nil && dom != "" { // a function of that name says for others what is known here
		return b
	}
	if name == "Add" && dom == "" && n.meta(metaType) != "" {
		return wideConstant
	}
	if slices.Contains(n.im.functions, dom+"."+name) {
		n.im.missing.add(n, "functions that the file defines are not supported: the model has to be exported with them inlined")
		return nil
	}
	if b := builders[dom][name]; b != nil {
		return b
	}
	def := op.ByName(name)
	switch {
	case dom != "" || def == nil || def.Since == nil:
		n.im.missing.add(n, "")
	case n.opset < def.Since[0]:
		n.im.missing.add(n, fmt.Sprintf("it exists as of opset %d", def.Since[0]))
	case name == "Tile" && n.opset < 6:
		return tile1
	default:
		return func(n *node) { n.standard(def) }
	}
	return nil
}

// builders are the operators that need more than a row in op.Table, by domain and name.
var builders map[string]map[string]func(*node)

func init() { // these functions lead back to the table
	quant := map[string]func(*node){
		"Quant": quantNode, "IntQuant": quantNode, "BipolarQuant": bipolarNode, "Trunc": truncNode,
		"FloatQuant":     refused("it rounds to small floats; want Quant nodes, which make integers"),
		"MultiThreshold": multiThresholdNode, "QuantAvgPool2d": quantAvgPool2dNode,
	}
	last := map[string]func(*node){"Conv": channelsLastNode, "MaxPool": channelsLastNode, "BatchNormalization": channelsLastNode}
	builders = map[string]map[string]func(*node){
		"": {
			"Constant": constantNode, "ConstantOfShape": constantOfShapeNode, "Shape": shapeNode,
			"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear,
			"Resize": resizeNode, "Upsample": resizeNode,
			"CastLike": castLikeNode, "CenterCropPad": centerCropPadNode, "Compress": compressNode, "EyeLike": eyeLikeNode,
			"Mean": meanNode, "NonZero": nonZeroNode, "Range": rangeNode, "Scatter": scatterNode, "Size": sizeNode, "Unique": uniqueNode,
		},
		// the same as the standard ones, for more types at lower opsets
		"com.microsoft": {
			"QuantizeLinear": quantizeLinear, "DequantizeLinear": dequantizeLinear,
			"DynamicQuantizeMatMul": dynamicQuantizeMatMul, "MatMulIntegerToFloat": matMulIntegerToFloat,
		},
		"qonnx.custom_op.channels_last": last, "finn.custom_op.channels_last": last,
		"onnx.brevitas": quant, "qonnx.custom_op.general": quant, "finn.custom_op.general": quant,
	}
	for name := range qlinears {
		builders["com.microsoft"][name] = qlinearNode
	}
	builders[""]["ConvInteger"], builders[""]["MatMulInteger"] = integerProduct, integerProduct
	for _, name := range []string{"QLinearConv", "QLinearMatMul"} {
		builders[""][name] = qlinearNode
	}
}

func (n *node) fail(format string, args ...any) {
	n.failed = true
	n.im.errs = append(n.im.errs, &ir.Error{Pos: n.pos, Op: n.p.GetOpType(), Err: fmt.Errorf(format, args...)})
}

// failErr notes an error, which may have the node's position already.
func (n *node) failErr(err error) {
	n.failed = true
	if _, ok := err.(*ir.Error); !ok {
		err = &ir.Error{Pos: n.pos, Op: n.p.GetOpType(), Err: err}
	}
	n.im.errs = append(n.im.errs, err)
}

// prepare resolves inputs and attributes. A node that reads an unknown value fails without a message.
func (n *node) prepare() {
	for i, name := range n.p.Input {
		v := n.im.vals[name]
		switch {
		case name == "":
		case n.im.bad[name]:
			n.failed = true
		case v == nil:
			n.fail("input %d: %q is not defined by an input, an initializer or a node", i, name)
		}
		n.in = append(n.in, v)
	}
	for len(n.in) > 0 && n.in[len(n.in)-1] == nil {
		n.in = n.in[:len(n.in)-1]
	}
	for _, a := range n.p.Attribute {
		name := n.attrName(a)
		if n.attrs[name] != nil {
			n.fail("attribute %s is given twice", name)
		}
		n.attrs[name] = a
	}
	if n.opset < 6 && domain(n.p.GetDomain()) == "" {
		delete(n.attrs, "consumed_inputs")
	}
	if len(n.p.Output) == 0 {
		n.fail("it has no outputs")
	}
}

// input is input i, nil if it is omitted.
func (n *node) input(i int) *ir.Value {
	if i < len(n.in) {
		return n.in[i]
	}
	return nil
}

// arity checks the number of inputs as ONNX counts them; the first least have to be there.
func (n *node) arity(least, most int) bool {
	switch k := len(n.in); {
	case k >= least && (most < 0 || k <= most):
	case most < 0:
		n.fail("want at least %d inputs, got %d", least, k)
	case least == most:
		n.fail("want %d inputs, got %d", least, k)
	default:
		n.fail("want %d to %d inputs, got %d", least, most, k)
	}
	for i, v := range n.in {
		if v == nil && (i < least || most < 0) {
			n.fail("input %d: it is not optional, but omitted", i)
		}
	}
	return !n.failed
}

// constInput is the data of input i, which has to be a constant without a Quant; nil if it is omitted or not.
func (n *node) constInput(i int, what string) *tensor.T {
	v := n.input(i)
	switch {
	case v == nil:
		return nil
	case v.Const == nil || v.Type.Quant != nil:
		n.failErr(&NotConstant{Input: i, What: what, Value: v.Name})
		return nil
	}
	return v.Const
}

// NotConstant is the problem of a parameter that is computed when the model runs. Where Value is a graph input, Options.Consts can give it.
type NotConstant struct {
	Input       int
	What, Value string
}

func (e *NotConstant) Error() string {
	return fmt.Sprintf("input %d (%s): %q has to be a constant, but it is computed when the model runs", e.Input, e.What, e.Value)
}

// NotConstants finds all of them in what Import returned, in the order of the nodes.
func NotConstants(err error) []*NotConstant {
	switch e := err.(type) {
	case *NotConstant:
		return []*NotConstant{e}
	case interface{ Unwrap() error }:
		return NotConstants(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*NotConstant
		for _, x := range e.Unwrap() {
			all = append(all, NotConstants(x)...)
		}
		return all
	}
	return nil
}

// standard imports a node of an operator of op.Table.
func (n *node) standard(def *op.Def) {
	most := n.mostInputs(def)
	least := def.MinIn
	if most >= 0 {
		least = min(least, most)
	}
	if !n.arity(least, most) {
		return
	}
	var o ir.Op = def.New()
	r := rules[def.Name]
	for _, a := range r.needs {
		if n.attrs[a] == nil {
			n.fail("attribute %s is missing", a)
		}
	}
	n.setAttrs(o)
	n.setParams(o)
	if n.failed {
		return
	}
	if r.run != nil {
		o = r.run(n, o)
	}
	if o == nil || n.failed || !n.noMoreAttrs(r.harmless...) {
		return
	}
	data := n.dataOf(def.Name)
	if err := normalizeAxes(o, data); err != nil {
		n.failErr(err)
		return
	}
	n.finish(o, data)
}

// mostInputs leaves out inputs that an old opset does not have yet.
func (n *node) mostInputs(def *op.Def) int {
	most := def.MaxIn
	for _, p := range params[def.Name] {
		if !n.isInput(p) {
			most = min(most, p.input)
		}
	}
	return most
}

// finish emits the node that computes all outputs of the file's node.
func (n *node) finish(o ir.Op, in []*ir.Value) { n.emit(o, in, n.outputs(results(o))) }

// results is how many results an operator has in the IR.
func results(o ir.Op) int {
	switch o := o.(type) {
	case *op.Split:
		return len(o.Split)
	case *op.TopK:
		return 2
	case *op.DynamicQuantizeLinear, *op.LayerNormalizationStats:
		return 3
	}
	return 1
}

// outputs are the names of the first k outputs, made up where the file gives none. Any more must not be read by anything.
func (n *node) outputs(k int) []string {
	var names []string
	for i, o := range n.p.Output {
		switch {
		case i >= k && n.im.reads[o] > 0 && o != "":
			n.fail("output %d: %q is read, but only %s supported", i, o, plural(k, "output is", "outputs are"))
		case i >= k:
		case o == "":
			names = append(names, n.im.names.New(n.p.Output[0]+".unused"))
		default:
			names = append(names, o)
		}
	}
	for len(names) < k && len(names) > 0 {
		names = append(names, n.im.names.New(n.p.Output[0]+".unused"))
	}
	return names
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// emit adds a node whose results get the given names; those that the file knows become values of the file. A node with only constant
// inputs is computed instead. It returns the first result, nil if it failed.
func (n *node) emit(o ir.Op, in []*ir.Value, names []string) *ir.Value {
	if n.failed {
		return nil
	}
	quant, err := keepQuant(o, in)
	if err != nil {
		n.failErr(err)
		return nil
	}
	k, err := n.newNode(o, in, names)
	if err != nil {
		n.failErr(err)
		return nil
	}
	for _, v := range k.Out {
		if quant != nil {
			v.Type.Elem, v.Type.Quant = quant.Elem, quant.Quant.Clone()
		}
	}
	if out := n.fold(k); out != nil {
		for i, v := range k.Out {
			n.im.constant(v.Name, out[i])
		}
		return n.im.vals[names[0]]
	}
	if n.failed {
		return nil
	}
	n.im.g.Nodes = append(n.im.g.Nodes, k)
	for _, v := range k.Out {
		n.im.vals[v.Name] = v
	}
	return k.Out[0]
}

// newNode is ir.NewNode for nodes out of files: what breaks the inference of shapes is an error of the node, not of the program.
func (n *node) newNode(o ir.Op, in []*ir.Value, names []string) (k *ir.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the shape of the result cannot be inferred: %v", r)
		}
	}()
	if k, err = ir.NewNode(o, n.pos, in, names...); err != nil {
		return nil, err
	}
	for i, v := range k.Out {
		if _, ok := elements(v.Type.Shape); !ok {
			return nil, fmt.Errorf("output %d: %v is too large", i, v.Type)
		}
	}
	return k, nil
}

// maxElements bounds tensors: 2^40 elements are more than any machine has room for, and keep sizes far from overflow.
const maxElements = 1 << 40

// elements is the number of elements of a shape, symbols taken as 1; false if it is beyond maxElements.
func elements(shape []int) (int, bool) {
	n := 1
	for _, d := range shape {
		if ir.IsSymbol(d) || d == 1 {
			continue
		}
		if d < 0 || d > 0 && n > maxElements/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// maxFold is the number of elements up to which results are computed at import: a Tile or Expand of a constant must not fill the memory.
const maxFold = 1 << 26

// fold computes a node whose inputs are all constants; nil if they are not. Arithmetic on symbolic dimensions is left in the graph: it
// can be computed only once they have sizes.
func (n *node) fold(k *ir.Node) []*tensor.T {
	var in []*tensor.T
	for _, v := range k.In {
		if v == nil {
			in = append(in, nil)
			continue
		}
		if v.Const == nil || v.Type.Quant != nil {
			return nil
		}
		in = append(in, v.Const)
	}
	total := 0
	for _, v := range k.Out {
		c, _ := elements(v.Type.Shape)
		total += c
		if !v.Type.Known() {
			return nil
		}
	}
	if len(in) == 0 || total > maxFold {
		return nil
	}
	out, err := op.Eval(k.Op, in)
	if err != nil {
		for _, t := range in {
			if t != nil && slices.ContainsFunc(t.I, func(x int64) bool { return ir.IsSymbol(int(x)) }) {
				return nil
			}
		}
		n.failErr(err)
		return nil
	}
	return out
}
