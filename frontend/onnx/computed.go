package onnx

import (
	"cmp"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// This file has the operators without a row in op.Table: those that older operators express, and those whose result has a shape that
// depends on data, which are computed at import or refused.

// exists checks the opset for an operator that is not in op.Table.
func (n *node) exists(since int) bool {
	if n.opset < since {
		n.fail("it exists as of opset %d, the file has %d", since, n.opset)
	}
	return !n.failed
}

// data is the constant of input i, on which the shape of the result depends: no symbolic dimensions, no Quant; nil if it is not there.
func (n *node) data(i int, what string) *tensor.T {
	t := n.constInput(i, what+", which decides the shape of the result")
	if t == nil {
		return nil
	}
	for _, x := range t.I {
		if ir.IsSymbol(int(x)) {
			n.fail("input %d (%s): dimension %s must be known", i, what, ir.DimString(int(x)))
			return nil
		}
	}
	return t
}

// results makes the outputs constants, in the order of the file.
func (n *node) results(t ...*tensor.T) {
	names := n.outputs(len(t))
	if n.failed || !n.noMoreAttrs() {
		return
	}
	for i, name := range names {
		n.im.constant(name, t[i])
	}
}

// castLikeNode is Cast to the type of the second input (15 and later).
func castLikeNode(n *node) {
	if n.exists(15) && n.arity(2, 2) && n.noMoreAttrs(aboutFloat8...) {
		n.finish(&op.Cast{To: n.in[1].Type.Real().Elem.String()}, n.in[:1])
	}
}

// meanNode (8 and later; before, all shapes have to be equal) is a sum and a division.
func meanNode(n *node) {
	if !n.arity(1, -1) || !n.noMoreAttrs() {
		return
	}
	if len(n.in) == 1 {
		n.finish(&op.Identity{}, n.in)
		return
	}
	out := n.outputs(1)
	sum := n.emit(&op.Sum{}, n.in, []string{n.im.names.New(out[0] + "_sum")})
	if sum == nil {
		return
	}
	if !sum.Type.Elem.IsFloat() {
		n.fail("want reals, got %v", sum.Type)
		return
	}
	count := n.constant(out[0]+"_count", tensor.Floats([]int{}, float32(len(n.in))))
	n.emit(&op.Div{}, []*ir.Value{sum, count}, out)
}

// constant is a constant that the file does not have, under a name like base.
func (n *node) constant(base string, t *tensor.T) *ir.Value {
	return &ir.Value{Name: n.im.names.New(base), Type: ir.Type{Elem: t.Elem, Shape: t.Shape}, Const: t}
}

// scatterNode (9, 10) has another name since 11.
func scatterNode(n *node) {
	o := op.ByName("ScatterElements").New().(*op.ScatterElements)
	o.Axis = take(n, "axis", 0)
	if !n.exists(9) || !n.arity(3, 3) || !n.noMoreAttrs() {
		return
	}
	if err := normalizeAxes(o, n.in); err != nil {
		n.failErr(err)
		return
	}
	n.finish(o, n.in)
}

// sizeNode (1, 13, 19 and later) is a constant as Shape is, unless sizes have to be multiplied that are not known yet.
func sizeNode(n *node) {
	if !n.arity(1, 1) || !n.noMoreAttrs() {
		return
	}
	o := &op.Size{}
	if t, err := o.Of(n.shape()); err == nil {
		n.results(t)
		return
	}
	n.finish(o, n.in)
}

// eyeLikeNode (9, 22): ones on a diagonal, in the shape of the input.
func eyeLikeNode(n *node) {
	if !n.exists(9) || !n.arity(1, 1) {
		return
	}
	k := take(n, "k", 0)
	e := n.in[0].Type.Real().Elem
	if typ := take(n, "dtype", 0); typ != 0 {
		var err error
		if e, err = elemOf(int32(typ)); err != nil {
			n.fail("attribute dtype: %w", err)
			return
		}
	}
	shape := n.shape()
	if len(shape) != 2 || !n.in[0].Type.Known() {
		n.fail("input 0: want 2 known dims, got %v", n.in[0].Type)
		return
	}
	if size, ok := elements(shape); !ok || size > maxFold {
		n.fail("shape %v: want at most %d elements", shape, maxFold)
		return
	}
	t := tensor.New(e, shape...)
	for i := range shape[0] {
		if j := i + k; j >= 0 && j < shape[1] {
			if at := i*shape[1] + j; e.IsFloat() {
				t.F[at] = 1
			} else {
				t.I[at] = 1
			}
		}
	}
	n.results(t)
}

// rangeNode (11): the numbers from start up to, without, limit.
func rangeNode(n *node) {
	if !n.exists(11) || !n.arity(3, 3) {
		return
	}
	var in [3]*tensor.T
	for i, what := range []string{"start", "limit", "delta"} {
		if in[i] = n.data(i, what); in[i] == nil {
			continue
		}
		if in[i].Len() != 1 || in[i].Elem != n.in[0].Type.Elem || in[i].Elem == tensor.B {
			n.fail("input %d (%s): want one number of the type of input 0, got %v", i, what, in[i])
		}
	}
	if n.failed {
		return
	}
	start, delta := in[0].Float(0), in[2].Float(0)
	if delta == 0 {
		n.fail("input 2 (delta): want a step other than 0")
		return
	}
	size := math.Ceil((in[1].Float(0) - start) / delta)
	if !(size <= maxFold) {
		n.fail("%v elements: want at most %d", size, maxFold)
		return
	}
	t := tensor.New(in[0].Elem, max(int(size), 0))
	for i := range t.F {
		t.F[i] = float32(start + float64(i)*delta)
	}
	for i := range t.I {
		t.I[i] = in[0].I[0] + int64(i)*in[2].I[0]
	}
	n.results(t)
}

// centerCropPadNode (18) is Slice where the input is too large, Pad where it is too small. What does not divide by two is cut off, or added,
// at the end.
func centerCropPadNode(n *node) {
	if !n.exists(18) || !n.arity(2, 2) {
		return
	}
	s := n.constInput(1, "shape")
	axes := take(n, "axes", []int(nil))
	if s == nil || !n.noMoreAttrs() {
		return
	}
	want, err := intsOf(s)
	if err != nil {
		n.fail("input 1 (shape): %w", err)
		return
	}
	from := n.shape()
	if axes == nil {
		for i := range from {
			axes = append(axes, i)
		}
	}
	if err := positive(axes, len(from)); err != nil {
		n.failErr(err)
		return
	}
	if len(want) != len(axes) {
		n.fail("input 1 (shape): want %s, got %v", plural(len(axes), "size", "sizes"), want)
		return
	}
	crop := &op.Slice{}
	pad := &op.Pad{Pads: make([]int, 2*len(from)), Mode: "constant"}
	padded := false
	for i, a := range axes {
		d, w := from[a], want[i]
		switch {
		case d == w:
		case ir.IsSymbol(d) || ir.IsSymbol(w):
			n.fail("axis %d: size %s to %s: the dimensions must be known", a, ir.DimString(d), ir.DimString(w))
		case w < 0:
			n.fail("input 1 (shape): element %d is %d, want 0 or more", i, w)
		case d > w:
			lo := (d - w) / 2
			crop.Starts, crop.Ends, crop.Axes = append(crop.Starts, lo), append(crop.Ends, lo+w), append(crop.Axes, a)
		default:
			padded = true
			pad.Pads[a] = (w - d) / 2
			pad.Pads[len(from)+a] = w - d - pad.Pads[a]
		}
	}
	if n.failed {
		return
	}
	x := n.in[0]
	switch {
	case len(crop.Axes) == 0 && !padded:
		n.finish(&op.Identity{}, n.in[:1])
		return
	case !padded:
		n.finish(crop, n.in[:1])
		return
	case len(crop.Axes) > 0:
		if x = n.emit(crop, n.in[:1], []string{n.im.names.New(n.outputs(1)[0] + "_crop")}); x == nil {
			return
		}
	}
	n.finish(pad, []*ir.Value{x})
}

// compressNode (9, 11) is Gather at the indices where the condition is true.
func compressNode(n *node) {
	if !n.exists(9) || !n.arity(2, 2) {
		return
	}
	cond := n.data(1, "condition")
	flat := n.attrs["axis"] == nil
	axis := []int{take(n, "axis", 0)}
	if cond == nil || !n.noMoreAttrs() {
		return
	}
	if cond.Elem != tensor.B || len(cond.Shape) != 1 {
		n.fail("input 1 (condition): want a bool vector, got %v", cond)
		return
	}
	x := n.in[0]
	if flat {
		r := &op.Reshape{Shape: []int{-1}}
		if x = n.emit(r, n.in[:1], []string{n.im.names.New(n.outputs(1)[0] + "_flat")}); x == nil {
			return
		}
	}
	if err := positive(axis, len(x.Type.Shape)); err != nil {
		n.failErr(err)
		return
	}
	idx := tensor.New(tensor.I64, 0)
	for i, v := range cond.I {
		if v != 0 {
			idx.I = append(idx.I, int64(i))
		}
	}
	idx.Shape[0] = len(idx.I)
	if d := x.Type.Shape[axis[0]]; !ir.IsSymbol(d) && len(idx.I) > 0 && idx.I[len(idx.I)-1] >= int64(d) {
		n.fail("input 1 (condition): element %d is true, but axis %d has size %d", idx.I[len(idx.I)-1], axis[0], d)
		return
	}
	n.finish(&op.Gather{Axis: axis[0]}, []*ir.Value{x, n.constant(n.outputs(1)[0]+"_indices", idx)})
}

// nonZeroNode (9, 13): the indices of the elements that are not 0, one row for each axis.
func nonZeroNode(n *node) {
	if !n.exists(9) || !n.arity(1, 1) {
		return
	}
	x := n.data(0, "X")
	if x == nil {
		return
	}
	var at []int
	for i := range x.Len() {
		if x.Float(i) != 0 {
			at = append(at, i)
		}
	}
	t := tensor.New(tensor.I64, len(x.Shape), len(at))
	for k, s := range x.Strides() {
		for j, i := range at {
			t.I[k*len(at)+j] = int64(i / s % x.Shape[k])
		}
	}
	n.results(t)
}

// uniqueNode (11): the different elements, or slices of an axis; for each its first index, for each element the index of its like, and
// how many there are.
func uniqueNode(n *node) {
	if !n.exists(11) || !n.arity(1, 1) {
		return
	}
	x := n.data(0, "X")
	flat := n.attrs["axis"] == nil
	axis, sorted := []int{take(n, "axis", 0)}, take(n, "sorted", 1) != 0
	if x == nil {
		return
	}
	if flat {
		x = x.Reshape(x.Len())
	}
	if err := positive(axis, len(x.Shape)); err != nil {
		n.failErr(err)
		return
	}
	// Rows are the slices of the axis.
	perm := []int{axis[0]}
	for i := range x.Shape {
		if i != axis[0] {
			perm = append(perm, i)
		}
	}
	rows := x.Permute(perm)
	size, count := 0, rows.Shape[0]
	if count > 0 {
		size = rows.Len() / count
	}
	order := func(i, j int) int {
		for k := range size {
			if c := cmp.Compare(rows.Float(i*size+k), rows.Float(j*size+k)); c != 0 {
				return c
			}
		}
		return 0
	}
	by := make([]int, count)
	for i := range by {
		by[i] = i
	}
	slices.SortStableFunc(by, order)
	first := make([]int, count) // of each row, the first that is like it
	var firsts []int
	for k, i := range by {
		if first[i] = i; k > 0 && order(by[k-1], i) == 0 {
			first[i] = first[by[k-1]]
		} else {
			firsts = append(firsts, i)
		}
	}
	if !sorted {
		slices.Sort(firsts)
	}
	vector := func(k int) *tensor.T { return tensor.New(tensor.I64, k) }
	indices, inverse, counts := vector(len(firsts)), vector(count), vector(len(firsts))
	for k, i := range firsts {
		indices.I[k] = int64(i)
	}
	for i, f := range first {
		k := slices.Index(firsts, f)
		inverse.I[i] = int64(k)
		counts.I[k]++
	}
	y, err := op.Eval(&op.Gather{Axis: axis[0]}, []*tensor.T{x, indices})
	if err != nil {
		n.failErr(err)
		return
	}
	n.results(y[0], indices, inverse, counts)
}
