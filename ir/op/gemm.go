package op

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir"
	"quern/ir/tensor"
)

// Gemm is ONNX Gemm (7 and later): Alpha*A*B + Beta*C with A [M,K], B [K,N] (each transposed if so said) and C, optional, broadcast to
// [M,N].
type Gemm struct {
	Alpha  float32 `attr:"alpha"`
	Beta   float32 `attr:"beta"`
	TransA bool    `attr:"transA"`
	TransB bool    `attr:"transB"`
}

func (*Gemm) OpName() string { return "Gemm" }

func (o *Gemm) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 3); err != nil {
		return nil, err
	}
	for i, t := range in[:2] {
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("input %d: want 2 dims, got %v", i, *t)
		}
	}
	m, ka := swapIf(o.TransA, in[0].Shape[0], in[0].Shape[1])
	kb, n := swapIf(o.TransB, in[1].Shape[0], in[1].Shape[1])
	if !mayEqual(ka, kb) {
		return nil, fmt.Errorf("inner dimensions %s and %s of %v and %v differ", ir.DimString(ka), ir.DimString(kb), *in[0], *in[1])
	}
	if c := given(in, 2); c != nil {
		if err := broadcastTo(c.Shape, []int{m, n}); err != nil {
			return nil, fmt.Errorf("input 2: %w", err)
		}
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: []int{m, n}}}, nil
}

func swapIf(t bool, a, b int) (int, int) {
	if t {
		return b, a
	}
	return a, b
}

func (o *Gemm) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	a, b, y := in[0], in[1], out[0]
	m, n := y.Shape[0], y.Shape[1]
	if c := given(in, 2); c != nil {
		beta := []float32{o.Beta}
		zip(y.F, c.F, beta, y.Shape, c.Shape, nil, mul[float32])
	}
	if m*n*a.Len() == 0 {
		return out, nil
	}
	ta, w := blas.NoTrans, o.Matrix(b)
	if o.TransA {
		ta = blas.Trans
	}
	blas32.Gemm(ta, blas.NoTrans, o.Alpha, general(a.Shape[0], a.Shape[1], a.F), general(len(w)/n, n, w), 1, general(m, n, y.F))
	return out, nil
}

// Matrix is the second input of a Gemm as [K,N]. Of a transposed one gonum would take inner products, whose sums have the order of its registers.
func (o *Gemm) Matrix(b *tensor.T) []float32 {
	if o.TransB {
		return transposed(b.F, b.Shape[0])
	}
	return b.F
}

// transposed is a matrix of so many rows as one of so many columns.
func transposed(w []float32, rows int) []float32 {
	r, cols := make([]float32, len(w)), len(w)/rows
	for i := range rows {
		for j, v := range w[i*cols:][:cols] {
			r[j*rows+i] = v
		}
	}
	return r
}
