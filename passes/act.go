package passes

import (
	"math"

	"quern/ir"
	"quern/ir/op"
)

// act gives activations their simplest form: two clips in a row are one, a Clip from 0 without an upper bound is a Relu, one without
// bounds is nothing.
func act(g *ir.Graph) error {
	return rounds(g, func(n *ir.Node) (bool, error) {
		lo, hi, ok := clip(n)
		if !ok {
			return false, nil
		}
		x := n.In[0]
		if x.Def != nil && isReal(x) {
			// clip(clip(x, l, h), lo, hi) = clip(x, clip(l, lo, hi), clip(h, lo, hi)), since clips are monotone
			if l, h, ok := clip(x.Def); ok && l <= h && lo <= hi {
				n.In = []*ir.Value{x.Def.In[0]}
				n.Op = simplest(min(max(l, lo), hi), min(max(h, lo), hi))
				return true, nil
			}
		}
		if _, relu := n.Op.(*op.Relu); !relu && lo == 0 && hi == math.MaxFloat32 {
			n.Op = &op.Relu{}
			return true, nil
		}
		if lo == -math.MaxFloat32 && hi == math.MaxFloat32 && sameType(x.Type, n.Out[0].Type) {
			return forward(g, n.Out[0], x), nil
		}
		return false, nil
	})
}

// clip is the range that a Relu or Clip clips to. An infinite bound counts as the greatest float32, which ONNX takes for "none".
func clip(n *ir.Node) (lo, hi float32, ok bool) {
	switch o := n.Op.(type) {
	case *op.Relu:
		return 0, math.MaxFloat32, true
	case *op.Clip:
		lo, hi = max(o.Min, -math.MaxFloat32), min(o.Max, math.MaxFloat32)
		return lo, hi, lo == lo && hi == hi
	}
	return 0, 0, false
}

func simplest(lo, hi float32) ir.Op {
	if lo == 0 && hi == math.MaxFloat32 {
		return &op.Relu{}
	}
	return &op.Clip{Min: lo, Max: hi}
}
