package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// GatherElements is ONNX GatherElements (11, 13): for each index the element of data at the same place, but at that index of Axis.
// Indices may count from the end. Symbolic dimensions pass as data.
type GatherElements struct {
	Axis int `attr:"axis"`
}

// GatherND is ONNX GatherND (11, 12, 13): the last axis of the indices holds places in the axes of data behind the first BatchDims, which
// both inputs share; the result has what stands at each place.
type GatherND struct {
	BatchDims int `attr:"batch_dims"`
}

func (*GatherElements) OpName() string { return "GatherElements" }
func (*GatherND) OpName() string       { return "GatherND" }

// elementwiseIndices checks indices that stand for elements along an axis of data.
func elementwiseIndices(x, idx *ir.Type, axis int) error {
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return err
	}
	ok := idx.Elem.IsInt() && len(idx.Shape) == len(x.Shape)
	for i := 0; ok && i < len(x.Shape); i++ {
		d, n := x.Shape[i], idx.Shape[i]
		ok = i == a || ir.IsSymbol(d) || ir.IsSymbol(n) || n <= d
	}
	if !ok {
		return fmt.Errorf("input 1 (indices): want integers, in all axes but %d at most as many as in %v, got %v", a, *x, *idx)
	}
	return nil
}

func (o *GatherElements) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	if err := elementwiseIndices(in[0], in[1], o.Axis); err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: slices.Clone(in[1].Shape)}}, nil
}

func (o *GatherElements) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	err = places(x.Shape, in[1], o.Axis, func(i, at int) { copyRange(y, i, x, at, 1) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// places calls f with each element i of the indices and the offset in a tensor of the given shape that it stands for.
func places(shape []int, idx *tensor.T, axis int, f func(i, at int)) error {
	a, err := axisOf(axis, len(shape))
	if err != nil {
		return err
	}
	strides := tensor.Strides(shape)
	step := strides[a]
	strides[a] = 0
	i := 0
	tensor.Walk(idx.Shape, strides, func(off int) {
		k, e := indexOf(idx.I[i], shape[a])
		if e != nil {
			if err == nil {
				err = fmt.Errorf("input 1 (indices): element %d %w", i, e)
			}
		} else {
			f(i, off+k*step)
		}
		i++
	})
	return err
}

// indexOf turns an index that may count from the end into 0..n-1.
func indexOf(i int64, n int) (int, error) {
	if i < -int64(n) || i >= int64(n) {
		return 0, fmt.Errorf("is %s, want %d to %d", ir.DimString(int(i)), -n, n-1)
	}
	if i < 0 {
		i += int64(n)
	}
	return int(i), nil
}

func (o *GatherND) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, idx := in[0], in[1]
	k, err := tupleLen(x, idx, o.BatchDims)
	if err != nil {
		return nil, err
	}
	q := len(idx.Shape) - 1
	shape := slices.Concat(idx.Shape[:q], x.Shape[o.BatchDims+k:])
	for i := range o.BatchDims {
		if !mayEqual(idx.Shape[i], x.Shape[i]) {
			return nil, fmt.Errorf("input 1 (indices): want the first %d dims of %v, got %v", o.BatchDims, *x, *idx)
		}
		shape[i] = unify(idx.Shape[i], x.Shape[i])
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

// tupleLen is how many axes of x each entry of the indices names: the size of their last axis.
func tupleLen(x, idx *ir.Type, batch int) (int, error) {
	q := len(idx.Shape) - 1
	if !idx.Elem.IsInt() || q < 0 {
		return 0, fmt.Errorf("input 1 (indices): want integers in 1 or more dims, got %v", *idx)
	}
	if batch < 0 || batch > q || batch > len(x.Shape) {
		return 0, fmt.Errorf("batch_dims %d: want 0 or more, and fewer than the dims of %v and %v", batch, *x, *idx)
	}
	k := idx.Shape[q]
	if k < 1 || batch+k > len(x.Shape) {
		return 0, fmt.Errorf("input 1 (indices): want a last axis of 1 to %d, an index for each axis of %v, got %v", len(x.Shape)-batch, *x, *idx)
	}
	return k, nil
}

func (o *GatherND) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	err = tuples(x.Shape, in[1], o.BatchDims, func(i, at, n int) { copyRange(y, i*n, x, at, n) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// tuples calls f with each entry i of the indices and the n elements from offset at on that it stands for.
func tuples(shape []int, idx *tensor.T, batch int, f func(i, at, n int)) error {
	q := len(idx.Shape) - 1
	k := idx.Shape[q]
	strides := tensor.Strides(shape)
	n := tensor.Numel(shape[batch+k:])
	per := tensor.Numel(idx.Shape[batch:q]) // entries under one index of the batch
	size := tensor.Numel(shape[batch:])     // elements under one index of the batch
	for i := range tensor.Numel(idx.Shape[:q]) {
		at := i / per * size
		for j := range k {
			p, err := indexOf(idx.I[i*k+j], shape[batch+j])
			if err != nil {
				return fmt.Errorf("input 1 (indices): element %d %w", i*k+j, err)
			}
			at += p * strides[batch+j]
		}
		f(i, at, n)
	}
	return nil
}
