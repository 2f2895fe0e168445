package onnx

import (
	"fmt"
	"path/filepath"

	"quern/frontend/onnx/onnxpb"
	"quern/ir/tensor"
)

// ReadTensor reads a file that holds one ONNX TensorProto, as in ONNX's conformance data.
func ReadTensor(path string) (*tensor.T, error) {
	p, err := onnxpb.ReadTensorFile(path)
	if err != nil {
		return nil, err
	}
	t, err := decodeTensor(p, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
