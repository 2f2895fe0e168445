// Package onnx reads ONNX model files into the graph IR and writes them back.
//
//	g, err := onnx.Import("resnet8.onnx", onnx.Options{})
//
// The importer takes opsets 1 to 24, float models and three quantized forms: QuantizeLinear and DequantizeLinear (QDQ), operators on
// integers such as QLinearConv (QOperator), and the Quant nodes of QONNX (Brevitas, FINN). It keeps the names of values and nodes and
// the order of nodes. What it changes:
//
//   - old forms of operators become the one form of the IR (upgrade.go);
//   - a node that has only constants as inputs is computed at once, and so is Shape, as every value has a type: the chains of Shape,
//     Gather, Concat that exporters write vanish, with symbolic dimensions passed through (see ir.Symbol);
//   - float16, bfloat16 and double become float32;
//   - QuantizeLinear is a Quantize node whose result has the Quant, DequantizeLinear a Dequantize node; a QONNX Quant node is both. Of a
//     constant they are a constant of integers and a Dequantize node. An operator of the QOperator form becomes the operator over reals
//     between Dequantize and Quantize nodes.
//
// All problems of a file are reported together, each with the position of its node. What a failed node would have computed is taken as
// unknown, so that one problem is one message.
package onnx

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
)

// The opsets of the default domain that the importer knows.
const (
	minOpset = 1
	maxOpset = 24
)

// Options of an import.
type Options struct {
	// Dims are sizes for symbolic dimensions, by name: the dim_param of the file or, for a dimension without one, input_axis.
	Dims map[string]int
	// Consts are graph inputs that are to be constants: a conformance test passes the parameters of its node as inputs.
	Consts map[string]*tensor.T
}

// Import reads an ONNX file. Tensors that it keeps in other files are looked for in its folder and below.
func Import(path string, o Options) (*ir.Graph, error) {
	m, err := onnxpb.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return fromProto(m, filepath.Base(path), filepath.Dir(path), o)
}

// FromProto imports a model in memory; file is the name for messages and positions. Tensors kept in other files are refused.
func FromProto(m *onnxpb.ModelProto, file string, o Options) (*ir.Graph, error) {
	return fromProto(m, file, "", o)
}

func fromProto(m *onnxpb.ModelProto, file, dir string, o Options) (*ir.Graph, error) {
	im := &importer{
		g: &ir.Graph{}, file: file, dir: dir, o: o, opsets: map[string]int{}, vals: map[string]*ir.Value{}, bad: map[string]bool{},
		reads: map[string]int{}, defined: map[string]string{}, reals: map[*ir.Value]*ir.Value{}, quantized: map[*ir.Value][]*ir.Value{},
		carriers: map[*ir.Value]tensor.Elem{},
	}
	if err := im.header(m); err != nil {
		return nil, err
	}
	im.graph(m.Graph)
	im.errs = append(im.errs, im.missing.errors()...)
	if len(im.errs) > 0 {
		if im.needSize {
			im.fail("inputs have dimensions without a size: %s; give sizes to those that nodes have to know (--dim NAME=SIZE of the quern "+
				"command), or export the model with fixed ones", strings.Join(openDims(m.Graph), ", "))
		}
		return nil, errors.Join(im.errs...)
	}
	if err := ir.Verify(im.g); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return im.g, nil
}

type importer struct {
	g         *ir.Graph
	file, dir string
	o         Options
	opsets    map[string]int // by domain; "" is ai.onnx
	functions []string       // domain.name of the functions that the file defines

	vals     map[string]*ir.Value // by name in the file
	bad      map[string]bool      // values that could not be made: what reads them is passed over silently
	reads    map[string]int       // how often a name is read, by nodes and as a graph output
	defined  map[string]string    // what defines a name
	names    *ir.Names            // of the file, and those made up beside
	missing  missing              // operators that are not supported
	needSize bool                 // a node failed that reads values of open size, see openInside

	reals     map[*ir.Value]*ir.Value   // Dequantize results of values, for operators of the QOperator form
	quantized map[*ir.Value][]*ir.Value // constants of integers as quantized ones
	carriers  map[*ir.Value]tensor.Elem // types in the file of what QuantizeLinear made, where metadata may say a narrower one
	annotated map[string]tensor.Elem    // FINN's types of initializers that hold integers as reals, see annotations
	errs      []error
}

// fail notes a problem of the file as a whole.
func (im *importer) fail(format string, args ...any) {
	im.errs = append(im.errs, fmt.Errorf("%s: %w", im.file, fmt.Errorf(format, args...)))
}

// header checks what has to be right before the graph can be read at all.
func (im *importer) header(m *onnxpb.ModelProto) error {
	if m.GetGraph() == nil {
		return fmt.Errorf("%s: the model has no graph", im.file)
	}
	for _, s := range m.OpsetImport {
		d, v := domain(s.GetDomain()), s.GetVersion()
		if _, twice := im.opsets[d]; twice {
			im.fail("opset_import names the domain %q twice", d)
		}
		if d == "" && (v < minOpset || v > maxOpset) {
			return fmt.Errorf("%s: opset %d is not supported; want %d to %d", im.file, v, minOpset, maxOpset)
		}
		im.opsets[d] = int(v)
	}
	if _, ok := im.opsets[""]; !ok {
		return fmt.Errorf("%s: opset_import does not say which version of the ONNX operators the model uses", im.file)
	}
	if n := len(m.TrainingInfo); n > 0 {
		im.fail("training information (%d entries) is not supported; want a model for inference", n)
	}
	for _, f := range m.Functions {
		im.functions = append(im.functions, domain(f.GetDomain())+"."+f.GetName())
	}
	for _, p := range m.MetadataProps {
		im.g.Meta = append(im.g.Meta, [2]string{p.GetKey(), p.GetValue()})
	}
	return nil
}

// domain gives the default domain its short name.
func domain(s string) string {
	if s == "ai.onnx" {
		return ""
	}
	return s
}

func (im *importer) graph(p *onnxpb.GraphProto) {
	g := im.g
	if g.Name = p.GetName(); g.Name == "" {
		g.Name = strings.TrimSuffix(im.file, filepath.Ext(im.file))
	}
	if n := len(p.SparseInitializer); n > 0 {
		im.fail("sparse initializers (%d, the first is %q) are not supported; want dense ones", n, p.SparseInitializer[0].GetValues().GetName())
	}
	im.collect(p)
	for _, t := range p.Initializer {
		im.initializer(t)
	}
	im.inputs(p)
	im.annotations(p)
	order, err := sortNodes(p, im.file)
	if err != nil {
		im.errs = append(im.errs, err)
		return
	}
	for _, i := range order {
		im.node(i, p.Node[i])
	}
	im.outputs(p)
}

// collect notes all names: who defines them, twice being an error, and how often they are read.
func (im *importer) collect(p *onnxpb.GraphProto) {
	im.names = im.g.Names()
	initializers := map[string]bool{}
	for _, t := range p.Initializer {
		initializers[t.GetName()] = true
		im.define(t.GetName(), "initializer")
	}
	for _, v := range p.Input {
		if !initializers[v.GetName()] { // IR version 3 lists initializers among the inputs as well
			im.define(v.GetName(), "graph input")
		}
	}
	for i, n := range p.Node {
		for _, o := range n.Output {
			if o != "" {
				im.define(o, im.pos(i, n).String())
			}
		}
		for _, in := range n.Input {
			im.reads[in]++
		}
	}
	for _, v := range p.Output {
		im.reads[v.GetName()]++
	}
}

func (im *importer) define(name, by string) {
	if name == "" {
		im.fail("%s without a name", by)
		return
	}
	if first, twice := im.defined[name]; twice {
		im.fail("%q is defined twice: by %s and by %s", name, first, by)
		im.bad[name] = true
		return
	}
	im.defined[name] = by
	im.names.New(name)
}

func (im *importer) pos(i int, n *onnxpb.NodeProto) ir.Pos {
	return ir.Pos{File: im.file, Node: i, Name: n.GetName()}
}

func (im *importer) initializer(p *onnxpb.TensorProto) {
	t, err := decodeTensor(p, im.dir)
	if err != nil {
		im.bad[p.GetName()] = true
		if s := fmt.Sprintf("tensor %q: ", p.GetName()); strings.HasPrefix(err.Error(), s) {
			im.fail("initializer: %w", err)
		} else {
			im.fail("initializer %q: %w", p.GetName(), err)
		}
		return
	}
	im.constant(p.GetName(), t)
}

// constant defines a name as a constant.
func (im *importer) constant(name string, t *tensor.T) {
	im.vals[name] = &ir.Value{Name: name, Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

func (im *importer) inputs(p *onnxpb.GraphProto) {
	given := maps.Clone(im.o.Consts)
	for _, v := range p.Input {
		name := v.GetName()
		if im.defined[name] == "initializer" || im.vals[name] != nil || name == "" {
			continue
		}
		if t := given[name]; t != nil {
			delete(given, name)
			im.constant(name, t)
			continue
		}
		t, err := inputType(v, im.o.Dims)
		if err != nil {
			im.fail("input %q: %w", name, err)
			im.bad[name] = true
			continue
		}
		x := &ir.Value{Name: name, Type: t}
		im.vals[name] = x
		im.g.Inputs = append(im.g.Inputs, x)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		im.fail("no input %q to be made a constant", name)
	}
	open := openDims(p)
	for _, name := range slices.Sorted(maps.Keys(im.o.Dims)) {
		if !slices.Contains(open, name) {
			im.fail("no input has a dimension %q without a size; those are: %s", name, strings.Join(open, ", "))
		}
	}
}

func (im *importer) outputs(p *onnxpb.GraphProto) {
	if len(p.Output) == 0 {
		im.fail("the graph has no outputs")
	}
	for _, o := range p.Output {
		name := o.GetName()
		v := im.vals[name]
		switch {
		case im.bad[name]:
		case v == nil:
			im.fail("graph output %q is not defined by an input, an initializer or a node", name)
		default:
			if err := checkOutput(o, v); err != nil {
				im.fail("graph output %q: %w", name, err)
			}
			if r := im.reals[v]; r != nil && r.Name == name { // the interface has the integers under this name
				r.Name, v.Name = v.Name, name
			}
			im.g.Outputs = append(im.g.Outputs, v)
		}
	}
}

// checkOutput compares the declared with the inferred element type. The declared shape does not count: exporters often leave a stale
// or a merely symbolic one, and the inferred one is exact.
func checkOutput(o *onnxpb.ValueInfoProto, v *ir.Value) error {
	if o.GetType() == nil {
		return nil
	}
	tt, err := tensorType(o.Type)
	if err != nil {
		return err
	}
	if tt.GetElemType() == 0 {
		return nil
	}
	if e, err := elemOf(tt.GetElemType()); err != nil {
		return err
	} else if e != v.Type.Elem {
		return fmt.Errorf("it is declared as %s, but computed as %v", dataTypeName(tt.GetElemType()), v.Type)
	}
	return nil
}
