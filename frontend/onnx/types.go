package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/tensor"
)

// elemOf is the element type that stands for an ONNX data type. All floats are float32 in the IR: there is one arithmetic on reals.
func elemOf(typ int32) (tensor.Elem, error) {
	switch onnxpb.TensorProto_DataType(typ) {
	case onnxpb.TensorProto_FLOAT, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16, onnxpb.TensorProto_DOUBLE:
		return tensor.F32, nil
	case onnxpb.TensorProto_INT64:
		return tensor.I64, nil
	case onnxpb.TensorProto_INT32:
		return tensor.I32, nil
	case onnxpb.TensorProto_INT16:
		return tensor.I(16), nil
	case onnxpb.TensorProto_INT8:
		return tensor.I(8), nil
	case onnxpb.TensorProto_INT4:
		return tensor.I(4), nil
	case onnxpb.TensorProto_INT2:
		return tensor.I(2), nil
	case onnxpb.TensorProto_UINT64:
		return tensor.U(64), nil
	case onnxpb.TensorProto_UINT32:
		return tensor.U(32), nil
	case onnxpb.TensorProto_UINT16:
		return tensor.U(16), nil
	case onnxpb.TensorProto_UINT8:
		return tensor.U(8), nil
	case onnxpb.TensorProto_UINT4:
		return tensor.U(4), nil
	case onnxpb.TensorProto_UINT2:
		return tensor.U(2), nil
	case onnxpb.TensorProto_BOOL:
		return tensor.B, nil
	}
	return tensor.Elem{}, fmt.Errorf("element type %s is not supported", dataTypeName(typ))
}

func dataTypeName(typ int32) string {
	if s, ok := onnxpb.TensorProto_DataType_name[typ]; ok {
		return s
	}
	return fmt.Sprintf("number %d", typ)
}

// dataTypeOf is the ONNX data type of an element type that ONNX has.
func dataTypeOf(e tensor.Elem) (int32, error) {
	for typ := range int32(len(onnxpb.TensorProto_DataType_name)) { // in order: FLOAT before the other floats
		if got, err := elemOf(typ); err == nil && got == e {
			return typ, nil
		}
	}
	return 0, fmt.Errorf("ONNX has no element type %v", e)
}

// decodeTensor reads a tensor of a model. dir is the folder for data kept in other files; empty: there is none.
func decodeTensor(t *onnxpb.TensorProto, dir string) (*tensor.T, error) {
	e, err := elemOf(t.GetDataType())
	if err != nil && t.GetDataType() != 0 { // Decode has a better message for no type at all
		return nil, err
	}
	d, err := onnxpb.Decode(t, dir)
	if err != nil {
		return nil, err
	}
	r := &tensor.T{Elem: e, Shape: d.Dims, F: d.F32, I: d.I64}
	if e.IsFloat() && r.F == nil {
		r.F = []float32{}
	}
	if !e.IsFloat() && r.I == nil {
		r.I = []int64{}
	}
	return r, noSymbols(r)
}

// noSymbols refuses integers of a file that look like handles of symbolic dimensions.
func noSymbols(t *tensor.T) error {
	for i, v := range t.I {
		if ir.IsSymbol(int(v)) {
			return fmt.Errorf("element %d is %d: numbers of that size stand for symbolic dimensions here", i, v)
		}
	}
	return nil
}

// encodeTensor is the inverse of decodeTensor.
func encodeTensor(name string, t *tensor.T) (*onnxpb.TensorProto, error) {
	typ, err := dataTypeOf(t.Elem)
	if err != nil {
		return nil, err
	}
	for i, v := range t.I {
		if ir.IsSymbol(int(v)) {
			return nil, fmt.Errorf("element %d is the symbolic dimension %s, which ONNX cannot keep in a constant", i, ir.DimString(int(v)))
		}
	}
	return onnxpb.Encode(name, &onnxpb.Data{Type: typ, Dims: t.Shape, F32: t.F, I64: t.I})
}

// inputType reads the declared type of a graph input. Dimensions without a size become symbols: by their name in the file, else by
// the input's name and the axis.
func inputType(v *onnxpb.ValueInfoProto, sizes map[string]int) (ir.Type, error) {
	var none ir.Type
	tt, err := tensorType(v.GetType())
	if err != nil {
		return none, err
	}
	e, err := elemOf(tt.GetElemType())
	if err != nil {
		return none, err
	}
	if tt.Shape == nil {
		return none, errors.New("its shape is not given; want at least the number of dims")
	}
	shape := make([]int, len(tt.Shape.Dim))
	for i, d := range tt.Shape.Dim {
		n := d.GetDimValue()
		switch {
		case n > math.MaxInt32 || n < -1:
			return none, fmt.Errorf("dimension %d is %d, want 1 to %d", i, n, math.MaxInt32)
		case n > 0:
			shape[i] = int(n)
			continue
		}
		named := dimName(v, i)
		shape[i] = ir.Symbol(named)
		if size, ok := sizes[named]; ok {
			if size < 1 || size > math.MaxInt32 {
				return none, fmt.Errorf("size %d for dimension %q: want 1 to %d", size, named, math.MaxInt32)
			}
			shape[i] = size
		}
	}
	return ir.Type{Elem: e, Shape: shape}, nil
}

// dimName is the name of a dimension that may be without a size.
func dimName(v *onnxpb.ValueInfoProto, axis int) string {
	if s := v.GetType().GetTensorType().GetShape().GetDim()[axis].GetDimParam(); s != "" {
		return s
	}
	return fmt.Sprintf("%s_%d", v.GetName(), axis)
}

// openDims are the names of the dimensions of inputs that have no size, each once.
func openDims(p *onnxpb.GraphProto) []string {
	var r []string
	for _, v := range p.Input {
		for i, d := range v.GetType().GetTensorType().GetShape().GetDim() {
			if name := dimName(v, i); d.GetDimValue() <= 0 && !slices.Contains(r, name) {
				r = append(r, name)
			}
		}
	}
	return r
}

// InputShape is the shape that an import gives to a graph input that is declared so.
func InputShape(v *onnxpb.ValueInfoProto, o Options) ([]int, error) {
	t, err := inputType(v, o.Dims)
	return t.Shape, err
}

func tensorType(t *onnxpb.TypeProto) (*onnxpb.TypeProto_Tensor, error) {
	switch v := t.GetValue().(type) {
	case *onnxpb.TypeProto_TensorType:
		if v.TensorType != nil {
			return v.TensorType, nil
		}
	case *onnxpb.TypeProto_SequenceType:
		return nil, errors.New("sequences are not supported, want a tensor")
	case *onnxpb.TypeProto_OptionalType:
		return nil, errors.New("optional values are not supported, want a tensor")
	case *onnxpb.TypeProto_SparseTensorType:
		return nil, errors.New("sparse tensors are not supported, want a dense one")
	case *onnxpb.TypeProto_MapType:
		return nil, errors.New("maps are not supported, want a tensor")
	}
	return nil, errors.New("it has no type, want a tensor type")
}

// valueInfo declares a value of the file.
func valueInfo(name string, t ir.Type) (*onnxpb.ValueInfoProto, error) {
	t = t.Real()
	typ, err := dataTypeOf(t.Elem)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range t.Shape {
		dim := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}}
		if ir.IsSymbol(d) {
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: ir.DimString(d)}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{
		Name: &name,
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{ElemType: &typ, Shape: shape}}},
	}, nil
}

// ints converts a constant of integers. Handles of symbolic dimensions pass.
func intsOf(t *tensor.T) ([]int, error) {
	if !t.Elem.IsInt() || len(t.Shape) > 1 {
		return nil, fmt.Errorf("want a vector of integers, got %v", t)
	}
	r := make([]int, len(t.I))
	for i, v := range t.I {
		r[i] = int(v)
	}
	return r, nil
}

func int64s(v []int) []int64 {
	r := make([]int64, len(v))
	for i, x := range v {
		r[i] = int64(x)
	}
	return r
}

// allEqual reports whether all elements are v.
func allEqual[T comparable](s []T, v T) bool {
	return !slices.ContainsFunc(s, func(x T) bool { return x != v })
}
