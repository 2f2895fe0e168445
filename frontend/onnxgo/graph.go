package onnxgo

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	onnxgo "github.com/owulveryck/onnx-go"
	"gorgonia.org/tensor"

	"quern/frontend/onnx"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
)

// DefaultOpset is the version of the operators where the options say none.
const DefaultOpset = 13

// Options say what onnx-go drops.
type Options struct {
	File   string           // name for messages and positions
	Opset  int              // version of the ai.onnx operators; 0: DefaultOpset
	Shapes map[string][]int // of graph inputs; dimensions may be symbols (see ir.Symbol). Others have the shape that onnx-go gives
	Import onnx.Options     // passed on
}

// Import reads an ONNX file with onnx-go. The opset and the declared shapes of the inputs are taken from the file's header beside it.
func Import(path string, o onnx.Options) (*ir.Graph, error) {
	p, err := onnxpb.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Decode(data, Header(p, Options{File: filepath.Base(path), Import: o}))
}

// Header completes options by what the header of a model says.
func Header(p *onnxpb.ModelProto, o Options) Options {
	for _, s := range p.OpsetImport {
		if d := s.GetDomain(); d == "" || d == "ai.onnx" {
			o.Opset = int(s.GetVersion())
		}
	}
	o.Shapes = maps.Clone(o.Shapes)
	if o.Shapes == nil {
		o.Shapes = map[string][]int{}
	}
	for _, v := range p.GetGraph().GetInput() {
		if s := v.GetType().GetTensorType().GetShape(); s != nil {
			if shape, err := onnx.InputShape(v, o.Import); err == nil { // else the import below has the message
				o.Shapes[v.GetName()] = shape
			}
		}
	}
	return o
}

// Decode decodes a model with onnx-go. What makes onnx-go panic is an error.
func Decode(data []byte, o Options) (g *ir.Graph, err error) {
	defer func() {
		if r := recover(); r != nil {
			g, err = nil, fmt.Errorf("%s: onnx-go cannot decode the model: %v", o.File, r)
		}
	}()
	b := New(o)
	m := onnxgo.NewModel(b)
	if err := m.UnmarshalBinary(data); err != nil {
		return nil, fmt.Errorf("%s: onnx-go cannot decode the model: %w", o.File, err)
	}
	return b.Graph(m)
}

// Graph is the graph of the model that was decoded into the backend. Problems are reported as by [onnx.Import], all at once.
func (b *Backend) Graph(m *onnxgo.Model) (*ir.Graph, error) {
	p, err := b.proto(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.o.File, err)
	}
	return onnx.FromProto(p, b.o.File, b.o.Import)
}

// proto writes down what onnx-go has shown.
func (b *Backend) proto(m *onnxgo.Model) (*onnxpb.ModelProto, error) {
	opset := int64(b.o.Opset)
	if opset == 0 {
		opset = DefaultOpset
	}
	p := &onnxpb.GraphProto{Node: b.nodes}
	// Inputs, declared values and outputs come first, the outputs last: what has an id above theirs is not declared.
	last := int64(-1)
	for _, id := range m.Output {
		last = max(last, id)
	}
	for _, id := range m.Input {
		info, err := b.info(id, true)
		if err != nil {
			return nil, err
		}
		p.Input = append(p.Input, info)
	}
	for _, id := range m.Output {
		info, err := b.info(id, false)
		if err != nil {
			return nil, err
		}
		p.Output = append(p.Output, info)
	}
	for _, v := range b.values {
		// An initializer of a declared name sets the tensor a second time. If the declaration had no type, it is taken for a
		// declaration, and its readers have an undefined input.
		if v.t == nil || v.id <= last && v.sets < 2 || slices.Contains(m.Input, v.id) || b.made[v.name] {
			continue
		}
		t, err := tensorProto(v.t)
		if err != nil {
			return nil, fmt.Errorf("initializer %q: %w", v.name, err)
		}
		t.Name = &v.name
		p.Initializer = append(p.Initializer, t)
	}
	return &onnxpb.ModelProto{Graph: p, OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: &opset}}}, nil
}

// info is the declaration of an input or output: of an output the element type only, as its shape is inferred.
func (b *Backend) info(id int64, withShape bool) (*onnxpb.ValueInfoProto, error) {
	if id < 0 || id >= int64(len(b.values)) {
		return nil, fmt.Errorf("onnx-go names value %d as an input or output: the model was not decoded into this backend", id)
	}
	v := b.values[id]
	info := &onnxpb.ValueInfoProto{Name: &v.name}
	if v.t == nil {
		return info, nil
	}
	typ, err := dataType(v.t.Dtype())
	if err != nil {
		return nil, fmt.Errorf("%q: %w", v.name, err)
	}
	tt := &onnxpb.TypeProto_Tensor{ElemType: &typ}
	info.Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: tt}}
	if !withShape {
		return info, nil
	}
	shape, ok := b.o.Shapes[v.name]
	if !ok {
		shape = v.t.Shape()
	}
	tt.Shape = &onnxpb.TensorShapeProto{}
	for _, d := range shape {
		dim := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}}
		if ir.IsSymbol(d) {
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: ir.DimString(d)}
		}
		tt.Shape.Dim = append(tt.Shape.Dim, dim)
	}
	return info, nil
}

// attributes converts those of an operation, sorted by name, as their order is lost.
func attributes(attrs map[string]any) ([]*onnxpb.AttributeProto, error) {
	var r []*onnxpb.AttributeProto
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := &onnxpb.AttributeProto{Name: &name}
		switch x := attrs[name].(type) {
		case struct{}: // the file does not say the type
			a.Type = onnxpb.AttributeProto_UNDEFINED.Enum()
		case int64:
			a.Type, a.I = onnxpb.AttributeProto_INT.Enum(), &x
		case float32:
			a.Type, a.F = onnxpb.AttributeProto_FLOAT.Enum(), &x
		case string:
			a.Type, a.S = onnxpb.AttributeProto_STRING.Enum(), []byte(x)
		case []int64:
			a.Type, a.Ints = onnxpb.AttributeProto_INTS.Enum(), x
		case []float32:
			a.Type, a.Floats = onnxpb.AttributeProto_FLOATS.Enum(), x
		case []string:
			a.Type = onnxpb.AttributeProto_STRINGS.Enum()
			for _, s := range x {
				a.Strings = append(a.Strings, []byte(s))
			}
		case tensor.Tensor:
			t, err := tensorProto(x)
			if err != nil {
				return nil, fmt.Errorf("attribute %s: %w", name, err)
			}
			a.Type, a.T = onnxpb.AttributeProto_TENSOR.Enum(), t
		default:
			return nil, fmt.Errorf("attribute %s: type %T is not supported", name, x)
		}
		r = append(r, a)
	}
	return r, nil
}
