package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// Transpose is ONNX Transpose (1 and later): axis i of the result is axis Perm[i] of the input; empty reverses the axes.
type Transpose struct {
	Perm []int `attr:"perm"`
}

func (*Transpose) OpName() string { return "Transpose" }

// Order is the permutation for a rank, with the default filled in.
func (o *Transpose) Order(rank int) ([]int, error) {
	if len(o.Perm) == 0 {
		p := make([]int, rank)
		for i := range p {
			p[i] = rank - 1 - i
		}
		return p, nil
	}
	seen := make([]bool, rank)
	for _, a := range o.Perm {
		if len(o.Perm) != rank || a < 0 || a >= rank || seen[a] {
			return nil, fmt.Errorf("perm %v: want a permutation of %d axes", o.Perm, rank)
		}
		seen[a] = true
	}
	return o.Perm, nil
}

func (o *Transpose) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	perm, err := o.Order(len(x.Shape))
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(perm))
	for i, p := range perm {
		shape[i] = x.Shape[p]
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Transpose) Eval(in []*tensor.T) ([]*tensor.T, error) {
	perm, err := o.Order(len(in[0].Shape))
	if err != nil {
		return nil, err
	}
	return []*tensor.T{in[0].Permute(perm)}, nil
}
