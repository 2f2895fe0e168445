package onnxgo

import (
	"fmt"

	"gorgonia.org/tensor"

	"quern/frontend/onnx/onnxpb"
)

// dataType is the ONNX data type for an element type of gorgonia.
func dataType(d tensor.Dtype) (int32, error) {
	for _, t := range []struct {
		d   tensor.Dtype
		typ onnxpb.TensorProto_DataType
	}{
		{tensor.Float32, onnxpb.TensorProto_FLOAT}, {tensor.Float64, onnxpb.TensorProto_DOUBLE},
		{tensor.Int64, onnxpb.TensorProto_INT64}, {tensor.Int32, onnxpb.TensorProto_INT32},
		{tensor.Int16, onnxpb.TensorProto_INT16}, {tensor.Int8, onnxpb.TensorProto_INT8},
		{tensor.Uint64, onnxpb.TensorProto_UINT64}, {tensor.Uint32, onnxpb.TensorProto_UINT32},
		{tensor.Uint16, onnxpb.TensorProto_UINT16}, {tensor.Uint8, onnxpb.TensorProto_UINT8},
		{tensor.Bool, onnxpb.TensorProto_BOOL}, {tensor.String, onnxpb.TensorProto_STRING},
		{tensor.Complex64, onnxpb.TensorProto_COMPLEX64}, {tensor.Complex128, onnxpb.TensorProto_COMPLEX128},
	} {
		if t.d == d {
			return int32(t.typ), nil
		}
	}
	return 0, fmt.Errorf("element type %v is not supported", d)
}

// tensorProto is a tensor with its data, which it shares where it can. A scalar of gorgonia gives its element without a slice.
func tensorProto(t tensor.Tensor) (*onnxpb.TensorProto, error) {
	typ, err := dataType(t.Dtype())
	if err != nil {
		return nil, err
	}
	p := &onnxpb.TensorProto{DataType: &typ}
	for _, d := range t.Shape() {
		p.Dims = append(p.Dims, int64(d))
	}
	switch x := t.Data().(type) {
	case float32:
		p.FloatData = []float32{x}
	case []float32:
		p.FloatData = x
	case float64:
		p.DoubleData = []float64{x}
	case []float64:
		p.DoubleData = x
	case int64:
		p.Int64Data = []int64{x}
	case []int64:
		p.Int64Data = x
	case int32:
		p.Int32Data = []int32{x}
	case []int32:
		p.Int32Data = x
	case bool:
		p.Int32Data = bits([]bool{x})
	case []bool:
		p.Int32Data = bits(x)
	default:
		return nil, fmt.Errorf("data of type %T is not supported", x)
	}
	return p, nil
}

func bits(s []bool) []int32 {
	r := make([]int32, len(s))
	for i, b := range s {
		if b {
			r[i] = 1
		}
	}
	return r
}
