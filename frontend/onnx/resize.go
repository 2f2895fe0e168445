package onnx

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// resizeNode is Resize and Upsample.
func resizeNode(n *node) {
	o := op.ByName("Resize").New().(*op.Resize)
	name, first := "Resize", 10
	if n.p.GetOpType() == "Upsample" {
		name, first = "Upsample", 7
	}
	if n.opset < first {
		n.fail("it is supported as of opset %d, the file has %d", first, n.opset)
		return
	}
	roi, scales, sizes := 1, 2, 3 // inputs
	switch {
	case name == "Upsample" && n.opset < 9:
		roi, scales, sizes = -1, -1, -1
	case n.opset < 11 || name == "Upsample":
		roi, scales, sizes = -1, 1, -1
	}
	if !n.arity(1, max(1, scales+1, sizes+1)) {
		return
	}
	var old []float32
	if scales < 0 {
		old = take[[]float32](n, "scales", nil)
	}
	if n.opset < 11 || name == "Upsample" {
		o.Coordinates, o.Nearest = "asymmetric", "floor"
	}
	n.setAttrs(o)
	if len(o.Scales)+len(o.Sizes)+len(o.Roi) > 0 {
		n.fail("roi, scales and sizes are inputs as of opset 9, the file has %d with attributes", n.opset)
	}
	o.Scales = append(old, n.floatsInput(scales, "scales")...)
	o.Roi = n.floatsInput(roi, "roi")
	if sizes > 0 {
		o.Sizes = n.intsInput(sizes, "sizes")
	}
	if n.failed || !n.noMoreAttrs() {
		return
	}
	if o.Coordinates != "tf_crop_and_resize" {
		o.Roi = nil // ignored
	}
	if n.opset < 11 && name == "Resize" {
		n.oldNearest(o)
	}
	n.plainResize(o)
	n.finish(o, n.in[:1])
}

// floatsInput are the numbers of a constant input; none if it is omitted.
func (n *node) floatsInput(i int, what string) []float32 {
	if i < 0 {
		return nil
	}
	t := n.constInput(i, what)
	switch {
	case t == nil || t.Len() == 0:
		return nil
	case !t.Elem.IsFloat() || len(t.Shape) != 1:
		n.fail("input %d (%s): want a list of reals, got %v", i, what, t)
		return nil
	}
	return slices.Clone(t.F)
}

// intsInput are the numbers of a constant input; none if it is omitted.
func (n *node) intsInput(i int, what string) []int {
	t := n.constInput(i, what)
	if t == nil {
		return nil
	}
	r, err := intsOf(t)
	if err != nil {
		n.fail("input %d (%s): %w", i, what, err)
	}
	return r
}

// oldNearest: before opset 11 there are no modes of rounding. Positions are rounded down when enlarging and up when reducing.
func (n *node) oldNearest(o *op.Resize) {
	larger, smaller := false, false
	for _, s := range o.Scales {
		larger = larger || s > 1
		smaller = smaller || s < 1
	}
	switch {
	case o.Mode == "nearest" && larger && smaller:
		n.fail("scales %v: want all of at least 1 or all of at most 1 before opset 11, where each rounds another way", o.Scales)
	case smaller:
		o.Nearest = "ceil"
	}
}

// plainResize leaves out axes whose size is a symbol that stays as it is, so that the attributes have only numbers.
func (n *node) plainResize(o *op.Resize) {
	shape := n.shape()
	if !slices.ContainsFunc(o.Sizes, ir.IsSymbol) || o.Aspect != "stretch" {
		return
	}
	if len(o.Axes) == 0 {
		for i := range shape {
			o.Axes = append(o.Axes, i)
		}
	}
	if err := positive(o.Axes, len(shape)); err != nil || len(o.Axes) != len(o.Sizes) {
		return // Infer says so
	}
	var keep []int
	for i, a := range o.Axes {
		if k := len(o.Axes); !ir.IsSymbol(o.Sizes[i]) || o.Sizes[i] != shape[a] ||
			len(o.Roi) == 2*k && (o.Roi[i] != 0 || o.Roi[k+i] != 1) {
			keep = append(keep, i)
		}
	}
	if len(keep) == 0 {
		return
	}
	old := *o
	o.Axes, o.Sizes, o.Roi = nil, nil, nil
	for _, i := range keep {
		o.Axes = append(o.Axes, old.Axes[i])
		o.Sizes = append(o.Sizes, old.Sizes[i])
	}
	if k := len(old.Axes); len(old.Roi) == 2*k {
		for _, part := range [][]float32{old.Roi[:k], old.Roi[k:]} {
			for _, i := range keep {
				o.Roi = append(o.Roi, part[i])
			}
		}
	}
}

// convTransposeRule resolves auto_pad and output_shape, of which the latter wins over pads.
func convTransposeRule(n *node, o ir.Op) ir.Op {
	c, w := o.(*op.ConvTranspose), n.in[1].Type
	if len(w.Shape) < 3 || !w.Known() {
		n.fail("input 1 (weights): want 3 to 5 known dims, got %v", w)
		return nil
	}
	kernel := n.weightKernel(w)
	if n.failed {
		return nil
	}
	k := len(kernel)
	auto, size := take(n, "auto_pad", "NOTSET"), take[[]int](n, "output_shape", nil)
	switch auto {
	case "NOTSET", "", "VALID", "SAME_UPPER", "SAME_LOWER":
	default:
		n.fail("auto_pad %q: want NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
		return nil
	}
	if auto != "NOTSET" && auto != "" && !allEqual(c.Pads, 0) {
		n.fail("auto_pad %s together with pads %v: want one of them", auto, c.Pads)
		return nil
	}
	if len(size) == len(n.shape()) && k > 0 { // with batch and channels, as some write it
		size = size[2:]
	}
	same := auto == "SAME_UPPER" || auto == "SAME_LOWER"
	switch {
	case len(size) != 0 && len(size) != k:
		n.fail("output_shape %v: want %d, one for each spatial axis", size, k)
	case len(n.shape()) != k+2:
		n.fail("weights %v need an input of %d dims, got %v", w, k+2, n.in[0].Type)
	case len(size) > 0 || same:
		n.transposePads(c, kernel, size, auto)
	}
	dropDefault(&c.Strides, k, 1)
	dropDefault(&c.Dilations, k, 1)
	dropDefault(&c.Pads, 2*k, 0)
	dropDefault(&c.OutputPadding, k, 0)
	return c
}

// transposePads are the pads for a given size of the output, which for SAME is input * stride. Of an odd number the larger half is at the
// end for SAME_UPPER and at the beginning otherwise; what the window does not reach is output padding.
func (n *node) transposePads(c *op.ConvTranspose, kernel, size []int, auto string) {
	k := len(kernel)
	c.Pads = nil
	s, err := c.Spatial(append([]int{1, 1}, kernel...))
	if err != nil {
		n.failErr(err)
		return
	}
	extra := make([]int, k)
	copy(extra, c.OutputPadding)
	pads := make([]int, 2*k)
	for i, d := range n.shape()[2:] {
		full, err := c.Out(s, i, d)
		if err != nil {
			n.failErr(err)
			return
		}
		want := d * s.Stride[i]
		if len(size) > 0 {
			want = size[i]
		}
		if want < 0 || want > math.MaxInt32 {
			n.fail("output_shape %v: want 0 or more", size)
			return
		}
		total := max(0, full-want)
		extra[i] += max(0, want-full)
		begin := total - total/2
		if auto == "SAME_UPPER" {
			begin = total / 2
		}
		pads[i], pads[k+i] = begin, total-begin
	}
	c.Pads, c.OutputPadding = pads, extra
}

// resizeOpset is the version of ai.onnx that a Resize needs.
func resizeOpset(o *op.Resize) int {
	switch {
	case o.Coordinates == "half_pixel_symmetric":
		return 19
	case len(o.Axes) > 0 || o.Antialias || o.Aspect != "stretch":
		return 18
	}
	return 13
}

// paramList is a list of reals as an input.
func paramList(x []float32) *tensor.T {
	if len(x) == 0 {
		return nil
	}
	return tensor.Floats([]int{len(x)}, x...)
}
