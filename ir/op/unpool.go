package op

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

type (
	// MaxUnpool is ONNX MaxUnpool (9, 11, 22; output_shape is an input there): zeros, but the values of input 0 at the offsets of input 1.
	// OutputShape, of all axes, stands for what the window gives: (n-1)*stride + kernel - pads.
	MaxUnpool struct {
		KernelShape []int `attr:"kernel_shape"`
		Strides     []int `attr:"strides"`
		Pads        []int `attr:"pads"`
		OutputShape []int `attr:"output_shape"`
	}
	// Col2Im is ONNX Col2Im (18; both shapes are inputs there): [N, C*block, L] summed into images [N,C,ImageShape...], where the L columns
	// are the positions of a window of BlockShape.
	Col2Im struct {
		ImageShape []int `attr:"image_shape"`
		BlockShape []int `attr:"block_shape"`
		Strides    []int `attr:"strides"`
		Pads       []int `attr:"pads"`
		Dilations  []int `attr:"dilations"`
	}
)

func (*MaxUnpool) OpName() string { return "MaxUnpool" }
func (*Col2Im) OpName() string    { return "Col2Im" }

func (o *MaxUnpool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 2, 2); err != nil {
		return nil, err
	}
	x, at := in[0], in[1]
	if !x.Elem.IsFloat() || len(x.Shape) < 3 {
		return nil, fmt.Errorf("input 0: want reals of 3 or more dims, got %v", *x)
	}
	if at.Elem != tensor.I64 || len(at.Shape) != len(x.Shape) {
		return nil, fmt.Errorf("input 1 (indices): want i64 of the shape of input 0, %v, got %v", *x, *at)
	}
	for i, d := range x.Shape {
		if !mayEqual(d, at.Shape[i]) {
			return nil, fmt.Errorf("input 1 (indices): want i64 of the shape of input 0, %v, got %v", *x, *at)
		}
	}
	if len(o.KernelShape) != len(x.Shape)-2 {
		return nil, fmt.Errorf("kernel %v: want %d axes for %v", o.KernelShape, len(x.Shape)-2, *x)
	}
	shape, err := o.shape(x.Shape)
	if err != nil {
		return nil, err
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *MaxUnpool) shape(x []int) ([]int, error) {
	if s := o.OutputShape; len(s) > 0 {
		if len(s) != len(x) || !mayEqual(s[0], x[0]) || !mayEqual(s[1], x[1]) || slices.ContainsFunc(s[2:], func(d int) bool { return d < 0 || d > maxSize }) {
			return nil, fmt.Errorf("output_shape %s: want %d sizes, batch and channels those of %s", FormatAttr(s), len(x), FormatAttr(x))
		}
		return append([]int{x[0], x[1]}, s[2:]...), nil
	}
	s, err := NewSpatial(o.KernelShape, o.Strides, nil, o.Pads)
	if err != nil {
		return nil, err
	}
	shape := slices.Clone(x[:2])
	for i, d := range x[2:] {
		n, err := (&ConvTranspose{}).Out(s, i, d)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	return shape, nil
}

func (o *MaxUnpool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	y := out[0].F
	for i, at := range in[1].I {
		if at < 0 || at >= int64(len(y)) {
			return nil, fmt.Errorf("index %d is outside of the %d elements of the result", at, len(y))
		}
		y[at] = in[0].F[i]
	}
	return out, nil
}

func (o *Col2Im) window() (Spatial, []int, error) {
	s, err := NewSpatial(o.BlockShape, o.Strides, o.Dilations, o.Pads)
	if err == nil && len(o.ImageShape) != len(o.BlockShape) {
		err = fmt.Errorf("image_shape %v and block_shape %v: want as many axes", o.ImageShape, o.BlockShape)
	}
	if err == nil && len(o.ImageShape) == 0 {
		err = fmt.Errorf("image_shape: want one or more axes")
	}
	if err != nil {
		return s, nil, err
	}
	var pos []int
	for i, d := range o.ImageShape {
		if max(d, s.Kernel[i], s.Dilation[i], s.Begin[i], s.End[i], s.Stride[i]) > maxSize {
			return s, nil, fmt.Errorf("image_shape %v and window: want at most %d", o.ImageShape, maxSize)
		}
		n, err := s.Out(i, d, false)
		if err != nil {
			return s, nil, err
		}
		pos = append(pos, n)
	}
	return s, pos, nil
}

func (o *Col2Im) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	s, pos, err := o.window()
	if err != nil {
		return nil, err
	}
	x := in[0]
	block, err := product(s.Kernel)
	if err != nil {
		return nil, err
	}
	cols, err := product(pos)
	if err != nil {
		return nil, err
	}
	if len(x.Shape) != 3 || ir.IsSymbol(x.Shape[1]) || x.Shape[1]%block != 0 || x.Shape[2] != cols {
		return nil, fmt.Errorf("input 0: want [N, a multiple of %d, %d], got %v", block, cols, *x)
	}
	return []ir.Type{{Elem: x.Elem, Shape: append([]int{x.Shape[0], x.Shape[1] / block}, o.ImageShape...)}}, nil
}

func (o *Col2Im) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	s, pos, err := o.window()
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	size := tensor.Numel(o.ImageShape)
	col := tensor.Numel(s.Kernel) * tensor.Numel(pos)
	for i := range y.Shape[0] * y.Shape[1] {
		s.scatter(y.F[i*size:][:size], x.F[i*col:][:col], pos, o.ImageShape)
	}
	return out, nil
}

// BindDims is the operator with sizes in place of symbols.
func (o *MaxUnpool) BindDims(size func(int) int) ir.Op {
	return &MaxUnpool{o.KernelShape, o.Strides, o.Pads, bindAll(o.OutputShape, size)}
}
