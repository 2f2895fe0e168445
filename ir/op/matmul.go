package op

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir"
	"quern/ir/tensor"
)

// MatMul is ONNX MatMul (1, 9, 13), numpy.matmul: the last two axes are matrices, the axes before them broadcast. A 1-d first input is
// a row and a 1-d second input a column, whose axis of size 1 does not appear in the result.
type MatMul struct{}

func (*MatMul) OpName() string { return "MatMul" }

// matrices gives both shapes two or more dims.
func matrices(a, b []int) ([]int, []int) {
	if len(a) == 1 {
		a = []int{1, a[0]}
	}
	if len(b) == 1 {
		b = []int{b[0], 1}
	}
	return a, b
}

func (*MatMul) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 2); err != nil {
		return nil, err
	}
	for i, t := range in {
		if len(t.Shape) == 0 {
			return nil, fmt.Errorf("input %d: want 1 or more dims, got %v", i, *t)
		}
	}
	a, b := matrices(in[0].Shape, in[1].Shape)
	p, q := len(a)-2, len(b)-2
	if !mayEqual(a[p+1], b[q]) {
		return nil, fmt.Errorf("inner dimensions %s and %s of %v and %v differ", ir.DimString(a[p+1]), ir.DimString(b[q]), *in[0], *in[1])
	}
	shape, err := Broadcast(a[:p], b[:q])
	if err != nil {
		return nil, err
	}
	if len(in[0].Shape) > 1 {
		shape = append(shape, a[p])
	}
	if len(in[1].Shape) > 1 {
		shape = append(shape, b[q+1])
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: shape}}, nil
}

func (o *MatMul) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	a, b := matrices(in[0].Shape, in[1].Shape)
	p, q := len(a)-2, len(b)-2
	m, k, n := a[p], a[p+1], b[q+1]
	y := out[0].F
	if len(y) == 0 || k == 0 {
		return out, nil
	}
	product := func(rows int, x, w, y []float32) {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, general(rows, k, x), general(k, n, w), 0, general(rows, n, y))
	}
	if q == 0 { // one matrix for all: the leading axes are further rows
		product(len(in[0].F)/k, in[0].F, in[1].F, y)
		return out, nil
	}
	ao, bo, err := matrixOffsets(a, b)
	if err != nil {
		return nil, err
	}
	for i := range ao {
		product(m, in[0].F[ao[i]:][:m*k], in[1].F[bo[i]:][:k*n], y[i*m*n:][:m*n])
	}
	return out, nil
}

// matrixOffsets are the offsets in both inputs of the matrices that are multiplied, in the order of the results.
func matrixOffsets(a, b []int) (ao, bo []int, err error) {
	p, q := len(a)-2, len(b)-2
	batch, err := Broadcast(a[:p], b[:q])
	if err != nil {
		return nil, nil, err
	}
	offsets := func(shape []int, size int) []int {
		stride := make([]int, len(batch))
		for i, s := range slices.Backward(tensor.Strides(shape)) {
			if shape[i] != 1 {
				stride[i+len(batch)-len(shape)] = s * size
			}
		}
		var r []int
		tensor.Walk(batch, stride, func(off int) { r = append(r, off) })
		return r
	}
	return offsets(a[:p], a[p]*a[p+1]), offsets(b[:q], b[q]*b[q+1]), nil
}
