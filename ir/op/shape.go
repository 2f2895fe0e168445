package op

import (
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Shape is ONNX Shape (1, 13, 15 and later): the dimensions Start to End (exclusive, both may count from the end) as an int64 vector.
type Shape struct {
	Start int `attr:"start"`
	End   int `attr:"end"` // shapeEnd: to the last
}

const shapeEnd = math.MaxInt32

func (*Shape) OpName() string { return "Shape" }

// Of is the result for a shape, which may be symbolic: a handle stands for itself. So a Shape node folds without data.
func (o *Shape) Of(shape []int) *tensor.T {
	lo, hi := o.bounds(len(shape))
	t := tensor.New(tensor.I64, hi-lo)
	for i := range t.I {
		t.I[i] = int64(shape[lo+i])
	}
	return t
}

func (o *Shape) bounds(rank int) (lo, hi int) {
	clamp := func(i int) int {
		if i < 0 {
			i += rank
		}
		return min(max(i, 0), rank)
	}
	lo, hi = clamp(o.Start), clamp(o.End)
	return lo, max(lo, hi)
}

func (o *Shape) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	lo, hi := o.bounds(len(in[0].Shape))
	return []ir.Type{ir.T(tensor.I64, hi-lo)}, nil
}

func (o *Shape) Eval(in []*tensor.T) ([]*tensor.T, error) { return []*tensor.T{o.Of(in[0].Shape)}, nil }
