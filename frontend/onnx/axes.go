package onnx

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// normalizeAxes makes axes count from the front and puts sets of axes in order, so that one operator has one form.
func normalizeAxes(o ir.Op, in []*ir.Value) error {
	rank := len(in[0].Type.Shape)
	one := func(axis *int) error {
		a := []int{*axis}
		err := positive(a, rank)
		*axis = a[0]
		return err
	}
	set := func(axes []int, rank int) error {
		err := positive(axes, rank)
		slices.Sort(axes)
		return err
	}
	switch o := o.(type) {
	case *op.ArgMax:
		return one(&o.Axis)
	case *op.ArgMin:
		return one(&o.Axis)
	case *op.Concat:
		return one(&o.Axis)
	case *op.CumSum:
		return one(&o.Axis)
	case *op.Flatten:
		if o.Axis == rank {
			return nil
		}
		return one(&o.Axis)
	case *op.Gather:
		return one(&o.Axis)
	case *op.GatherElements:
		return one(&o.Axis)
	case *op.Hardmax:
		return one(&o.Axis)
	case *op.LayerNormalization:
		return one(&o.Axis)
	case *op.LayerNormalizationStats:
		return one(&o.Axis)
	case *op.LogSoftmax:
		return one(&o.Axis)
	case *op.LpNormalization:
		return one(&o.Axis)
	case *op.MeanVarianceNormalization:
		return set(o.Axes, rank)
	case *op.OneHot:
		rank++
		return one(&o.Axis)
	case *op.RMSNormalization:
		return one(&o.Axis)
	case *op.ReduceL1:
		return set(o.Axes, rank)
	case *op.ReduceL2:
		return set(o.Axes, rank)
	case *op.ReduceLogSum:
		return set(o.Axes, rank)
	case *op.ReduceLogSumExp:
		return set(o.Axes, rank)
	case *op.ReduceMax:
		return set(o.Axes, rank)
	case *op.ReduceMean:
		return set(o.Axes, rank)
	case *op.ReduceMin:
		return set(o.Axes, rank)
	case *op.ReduceProd:
		return set(o.Axes, rank)
	case *op.ReduceSum:
		return set(o.Axes, rank)
	case *op.ReduceSumSquare:
		return set(o.Axes, rank)
	case *op.ScatterElements:
		return one(&o.Axis)
	case *op.Slice:
		return positive(o.Axes, rank)
	case *op.Softmax:
		return one(&o.Axis)
	case *op.Split:
		return one(&o.Axis)
	case *op.Squeeze:
		return set(o.Axes, rank)
	case *op.TopK:
		return one(&o.Axis)
	case *op.Unsqueeze:
		return set(o.Axes, rank+len(o.Axes))
	}
	return nil
}

// positive makes axes count from the front, in place, and reports those out of range and twice given ones.
func positive(axes []int, rank int) error {
	for i, a := range axes {
		if a < -rank || a >= rank {
			return fmt.Errorf("axis %d of %d dims: want %d to %d", a, rank, -rank, rank-1)
		}
		if a < 0 {
			axes[i] = a + rank
		}
		if slices.Contains(axes[:i], axes[i]) {
			return fmt.Errorf("axes %v: axis %d is given twice", axes, axes[i])
		}
	}
	return nil
}
