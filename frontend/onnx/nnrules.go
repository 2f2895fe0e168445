package onnx

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// roundsOfSums is an attribute of normalizations that has no meaning where all reals are float32.
var roundsOfSums = []string{"stash_type"}

// layerNormRule: means and deviations are results only if something reads them.
func layerNormRule(n *node, o ir.Op) ir.Op {
	if l := o.(*op.LayerNormalization); n.readsOutput(1) || n.readsOutput(2) {
		return &op.LayerNormalizationStats{Axis: l.Axis, Epsilon: l.Epsilon}
	}
	return o
}

// groupNormRule: until opset 20 scale and bias are for groups.
func groupNormRule(n *node, o ir.Op) ir.Op {
	g := o.(*op.GroupNormalization)
	if n.opset >= 21 {
		return o
	}
	x := n.in[0].Type
	if len(x.Shape) < 2 || ir.IsSymbol(x.Shape[1]) || g.NumGroups < 1 || x.Shape[1]%g.NumGroups != 0 {
		n.fail("input 0 of %v cannot be split into %d groups of channels", x, g.NumGroups)
		return nil
	}
	if !n.noMoreAttrs(roundsOfSums...) {
		return nil
	}
	in := slices.Clone(n.in)
	out := n.outputs(1)
	for i, what := range []string{"_scale", "_bias"} {
		name := func() []string { return []string{n.im.names.New(out[0] + what)} }
		v := n.emit(&op.Reshape{Shape: []int{g.NumGroups, 1}}, []*ir.Value{in[i+1]}, name())
		if v != nil {
			v = n.emit(&op.Expand{Shape: []int{g.NumGroups, x.Shape[1] / g.NumGroups}}, []*ir.Value{v}, name())
		}
		if v != nil {
			v = n.emit(&op.Reshape{Shape: []int{x.Shape[1]}}, []*ir.Value{v}, name())
		}
		in[i+1] = v
	}
	n.emit(g, in, out)
	return nil
}

// roiAlignRule: until opset 15 there is no half pixel.
func roiAlignRule(n *node, o ir.Op) ir.Op {
	if n.opset < 16 {
		o.(*op.RoiAlign).Coordinates = "output_half_pixel"
	}
	return o
}

// gridSampleRule: until opset 19 the modes have other names.
func gridSampleRule(n *node, o ir.Op) ir.Op {
	g := o.(*op.GridSample)
	if n.opset >= 20 {
		return g
	}
	switch mode := g.Mode; {
	case n.attrs["mode"] == nil && mode == "linear": // the default
	case mode == "bilinear":
		g.Mode = "linear"
	case mode == "bicubic":
		g.Mode = "cubic"
	case mode != "nearest":
		n.fail("mode %q: want bilinear, nearest or bicubic before opset 20", mode)
	}
	return g
}

func unpoolRule(n *node, o ir.Op) ir.Op {
	u := o.(*op.MaxUnpool)
	dropDefault(&u.Strides, len(u.KernelShape), 1)
	dropDefault(&u.Pads, 2*len(u.KernelShape), 0)
	return u
}

func convIntegerRule(n *node, o ir.Op) ir.Op {
	c, w := o.(*op.ConvInteger), n.in[1].Type
	if len(w.Shape) < 3 {
		n.fail("input 1 (weights): want 3 or more dims, got %v", w)
		return nil
	}
	n.weightWindow(w, &c.Strides, &c.Dilations, &c.Pads)
	return c
}
