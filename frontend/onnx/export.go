package onnx

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// exportOpset is the version of ai.onnx that files are written for, unless an operator is younger.
const exportOpset = 13

// Format is how a file says what is quantized.
type Format string

// The formats. Both hold the same integers, and a file of either comes back as the same hardware program.
const (
	QDQ   Format = "qdq"   // QuantizeLinear and DequantizeLinear on the integer types of ONNX
	QONNX Format = "qonnx" // Quant nodes, which name any width
)

// ParseFormat reads what a user writes; the empty string stands for DefaultFormat's choice.
func ParseFormat(s string) (Format, error) {
	switch f := Format(s); f {
	case "", QDQ, QONNX:
		return f, nil
	}
	return "", fmt.Errorf("format %q: want qdq or qonnx", s)
}

// Export writes a graph as an ONNX file, which appears whole or not at all. An empty format stands for DefaultFormat(g).
//
// A quantized value NAME is written as the float value NAME_f and, in QONNX, a Quant node that makes NAME of it: the reals that the
// integers stand for. So is a quantized constant. In QDQ a QuantizeLinear node makes integers of NAME_f and a DequantizeLinear node NAME of
// these; a constant is its integers and a DequantizeLinear node. A Quantize node is what comes between NAME_f and NAME alone, a
// Dequantize node nothing. Importing the file, and running the passes absorb, propagate and fuse-act, gives the same graph back; a
// graph that was imported comes back as it is.
func Export(path string, g *ir.Graph, f Format) error {
	m, err := ToProto(g, f)
	if err != nil {
		return err
	}
	return onnxpb.WriteFile(path, m)
}

// ToProto is Export into memory.
func ToProto(g *ir.Graph, f Format) (*onnxpb.ModelProto, error) {
	if err := ir.Verify(g); err != nil {
		return nil, fmt.Errorf("%s cannot be exported: %w", g.Name, err)
	}
	if f == "" {
		f = DefaultFormat(g)
	}
	e := &exporter{
		format: f, dequants: map[*ir.Value]string{},
		g: g, p: &onnxpb.GraphProto{Name: proto.String(g.Name)}, names: g.Names(), file: map[*ir.Value]string{}, done: map[*ir.Value]bool{},
		shared: map[string]string{}, nodes: map[string]bool{}, opset: exportOpset,
	}
	for _, n := range g.Nodes {
		e.opset = max(e.opset, opsetFor(n.Op))
	}
	if f == QDQ {
		e.opset = max(e.opset, qdqOpset(g))
	}
	e.nameReals()
	for _, v := range g.Inputs {
		if err := e.input(v); err != nil {
			return nil, fmt.Errorf("%s: input %%%s: %w", g.Name, v.Name, err)
		}
	}
	for _, n := range g.Nodes {
		if err := e.node(n); err != nil {
			return nil, n.Wrap(err)
		}
	}
	for _, v := range g.Outputs {
		err := e.constant(v, v.Name+"_quant")
		if v.Type.Quant != nil && v.Def == nil && v.Const == nil {
			err = fmt.Errorf("it is a quantized input of the graph as well")
		}
		if err == nil {
			err = e.info(&e.p.Output, v.Name, v.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: output %%%s: %w", g.Name, v.Name, err)
		}
	}
	return e.model(), nil
}

type exporter struct {
	format   Format
	g        *ir.Graph
	p        *onnxpb.GraphProto
	names    *ir.Names
	file     map[*ir.Value]string // the name under which the file has a value's reals, where it is not the value's own
	dequants map[*ir.Value]string // names of Dequantize nodes, by what they read
	done     map[*ir.Value]bool   // constants that are written
	shared   map[string]string    // names of parameters of Quant, QuantizeLinear and DequantizeLinear nodes, by content
	nodes    map[string]bool      // names of the nodes of the file
	opset    int
	modes    []string // rounding modes of the Quant nodes of the file
}

func (e *exporter) model() *onnxpb.ModelProto {
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(irVersion(e.opset)), ProducerName: proto.String("quern"), Graph: e.p}
	imports := func(domain string, version int) {
		m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String(domain), Version: proto.Int64(int64(version))})
	}
	imports("", e.opset)
	if len(e.modes) > 0 {
		imports(qonnxDomain, 1)
		if f := quantFunction(e.modes, e.opset); f != nil {
			m.Functions = append(m.Functions, f)
			m.IrVersion = proto.Int64(max(m.GetIrVersion(), functionsIR))
		}
	}
	for _, kv := range e.g.Meta {
		m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(kv[0]), Value: proto.String(kv[1])})
	}
	return m
}

// irVersion is the version of the file format that came with an opset.
func irVersion(opset int) int64 {
	switch {
	case opset < 15:
		return 7
	case opset < 19:
		return 8
	case opset < 21:
		return 9
	case opset < 23:
		return 10
	}
	return 11
}

// realName is the name in the file of the reals that a value stands for.
func (e *exporter) realName(v *ir.Value) string {
	if name, ok := e.file[v]; ok {
		return name
	}
	return v.Name
}

// input declares a graph input. One that is quantized itself is written as reals with a Quant node behind: files have no inputs of
// integers of any width.
func (e *exporter) input(v *ir.Value) error {
	if err := e.info(&e.p.Input, v.Name, v.Type); err != nil || v.Type.Quant == nil {
		return err
	}
	return e.quant(v.Name, v, v.Name+"_quant")
}

func (e *exporter) info(list *[]*onnxpb.ValueInfoProto, name string, t ir.Type) error {
	p, err := valueInfo(name, t)
	*list = append(*list, p)
	return err
}

// initializer writes a tensor under a new name like base and returns the name.
func (e *exporter) initializer(base string, t *tensor.T) (string, error) {
	name := e.names.New(base)
	p, err := encodeTensor(name, t)
	e.p.Initializer = append(e.p.Initializer, p)
	return name, err
}

func (e *exporter) add(typ, dom, name string, in, out []string, attrs ...*onnxpb.AttributeProto) {
	n := &onnxpb.NodeProto{OpType: proto.String(typ), Input: in, Output: out, Attribute: attrs}
	if name != "" { // onnxruntime refuses two nodes of one name
		unique := name
		for i := 2; e.nodes[unique]; i++ {
			unique = fmt.Sprintf("%s_%d", name, i)
		}
		e.nodes[unique] = true
		n.Name = proto.String(unique)
	}
	if dom != "" {
		n.Domain = proto.String(dom)
	}
	e.p.Node = append(e.p.Node, n)
}

// node writes a node, and Quant nodes for its quantized results.
func (e *exporter) node(n *ir.Node) error {
	in := make([]string, len(n.In))
	for i, v := range n.In {
		if v == nil {
			continue
		}
		name := e.realName(v) + "_quant"
		if _, ok := n.Op.(*op.Dequantize); ok {
			name = n.Pos.Name // the two make one node of the file
		}
		if err := e.constant(v, name); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		in[i] = e.realName(v)
	}
	switch n.Op.(type) {
	case *op.Quantize:
		if out := n.Out[0]; out.Type.Quant != nil {
			return e.quant(in[0], out, n.Pos.Name)
		}
		return fmt.Errorf("its result %%%s is not quantized", n.Out[0].Name)
	case *op.Dequantize:
		e.dequantize(n, in[0])
		return nil
	}
	typ := onnxName(n.Op)
	if typ == "" {
		return fmt.Errorf("ONNX has no such operator")
	}
	attrs, in, err := e.attributes(n, in)
	if err != nil {
		return err
	}
	var out []string
	for _, v := range n.Out {
		name := v.Name
		if v.Type.Quant != nil {
			name = e.names.New(e.realName(v) + "_f")
		}
		out = append(out, name)
	}
	if _, ok := n.Op.(*op.MaxPoolIndices); ok { // the second result of ONNX's
		out = append([]string{e.names.New(out[0] + "_max")}, out...)
	}
	if o, ok := n.Op.(*op.Swish); ok && e.opset < 24 {
		if err := e.swish(n, o, in[0], out[0]); err != nil {
			return err
		}
	} else {
		e.add(typ, "", n.Pos.Name, in, out, attrs...)
	}
	for i, v := range n.Out {
		if v.Type.Quant == nil {
			continue
		}
		if err := e.quant(out[i], v, e.realName(v)+"_quant"); err != nil {
			return err
		}
	}
	return nil
}

// attributes are the attributes of a node in the form of the file's opset, and its inputs with parameters added.
func (e *exporter) attributes(n *ir.Node, in []string) ([]*onnxpb.AttributeProto, []string, error) {
	var attrs []*onnxpb.AttributeProto
	type given struct {
		op.Attr
		*param
	}
	var inputs []given
	for _, a := range op.Attrs(n.Op) {
		if p := findParam(n.Op.OpName(), a.Name); p != nil && e.opset >= p.since {
			inputs = append(inputs, given{a, p})
			continue
		}
		p, err := exportAttr(n.Op, a)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		if p != nil {
			attrs = append(attrs, p)
		}
	}
	// In the order of the inputs: each is inserted among those there are.
	slices.SortStableFunc(inputs, func(a, b given) int { return cmp.Compare(a.input, b.input) })
	for _, p := range inputs {
		t, err := paramTensor(n, p.Attr, p.param)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		for len(in) < p.input {
			in = append(in, "")
		}
		in = slices.Insert(in, p.input, "") // data may follow
		if t == nil || t.Len() == 0 && !p.required {
			continue
		}
		if in[p.input], err = e.initializer(n.Out[0].Name+"_"+p.Name, t); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	if _, ok := n.Op.(*op.Conv); ok {
		attrs = append(attrs, intsAttr("kernel_shape", n.In[1].Type.Shape[2:]))
	}
	for len(in) > 0 && in[len(in)-1] == "" {
		in = in[:len(in)-1]
	}
	return attrs, in, nil
}

// paramTensor is an attribute as an input; nil leaves it out.
func paramTensor(n *ir.Node, a op.Attr, p *param) (*tensor.T, error) {
	switch x := a.Value.(type) {
	case []int:
		if len(x) == 0 && !p.required {
			return nil, nil
		}
		if r, ok := n.Op.(*op.Reshape); ok && !r.AllowZero {
			x = openShape(x, n.In[0].Type.Shape, tensor.F32)
		}
		t := tensor.New(tensor.I64, len(x))
		copy(t.I, int64s(x))
		return t, nil
	case []float32:
		return paramList(x), nil
	case int:
		if a.Default && !p.required {
			return nil, nil
		}
		if ir.IsSymbol(x) {
			return nil, fmt.Errorf("it is the symbolic dimension %s, which ONNX cannot keep in a constant", ir.DimString(x))
		}
		if _, ok := n.Op.(*op.TopK); ok {
			return tensor.Ints(tensor.I64, []int{1}, int64(x)), nil
		}
		return tensor.Ints(tensor.I64, []int{}, int64(x)), nil
	case float32:
		if a.Default {
			return nil, nil
		}
		t := tensor.New(n.In[0].Type.Real().Elem) // Pad's value has the type of its input
		if t.F != nil {
			t.F[0] = x
		} else {
			t.I[0] = int64(x)
		}
		return t, nil
	}
	panic(fmt.Sprintf("onnx: parameter %s of type %T", a.Name, a.Value))
}

// exportAttr is an attribute of the file; nil leaves it out. Lists that are empty and bools with their default, which is ONNX's, are
// left out, as they may be younger than the file's opset.
func exportAttr(o ir.Op, a op.Attr) (*onnxpb.AttributeProto, error) {
	switch x := a.Value.(type) {
	case int:
		if ir.IsSymbol(x) {
			return nil, fmt.Errorf("it is the symbolic dimension %s, which ONNX cannot keep in an attribute", ir.DimString(x))
		}
		if _, ok := o.(*op.Shape); ok && a.Default {
			return nil, nil
		}
		return intAttr(a.Name, x), nil
	case bool:
		if a.Default {
			return nil, nil
		}
		return boolAttr(a.Name, x), nil
	case float32:
		return floatAttr(a.Name, x), nil
	case string:
		if _, ok := o.(*op.Resize); a.Default && (ok || a.Name == "reduction") {
			return nil, nil
		}
		if _, ok := o.(*op.Cast); !ok {
			return stringAttr(a.Name, x), nil
		}
		elem, err := tensor.ParseElem(x)
		if err != nil {
			return nil, err
		}
		typ, err := dataTypeOf(elem)
		return intAttr(a.Name, int(typ)), err
	case []int:
		if len(x) == 0 {
			return nil, nil
		}
		return intsAttr(a.Name, x), nil
	case []float32:
		if len(x) == 0 {
			return nil, nil
		}
		return floatsAttr(a.Name, x), nil
	}
	panic(fmt.Sprintf("onnx: attribute %s of type %T", a.Name, a.Value))
}

// constant writes a constant once: as it is, or as reals behind a Quant node of the given name.
func (e *exporter) constant(v *ir.Value, name string) error {
	if v.Const == nil || e.done[v] {
		return nil
	}
	e.done[v] = true
	if v.Type.Quant != nil {
		return e.quantConstant(v, name)
	}
	p, err := encodeTensor(v.Name, v.Const)
	if err != nil {
		return fmt.Errorf("constant %%%s: %w", v.Name, err)
	}
	e.p.Initializer = append(e.p.Initializer, p)
	return nil
}
