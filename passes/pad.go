package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// pad folds a Pad of zeros around an image into the padding of the Conv or AveragePool that reads it. An AveragePool then has to count
// the padding. MaxPool is not such a layer: its padding never wins, a zero may. Other readers keep the Pad alive. A Concat of one value and
// zeros, the way in which exporters write a Pad of channels, becomes a Pad first.
func pad(g *ir.Graph) error {
	return rounds(g, func(n *ir.Node) (bool, error) { return zerosToPad(n) || padInto(n), nil })
}

// zerosToPad makes a Pad of a Concat of one value with real constants that are all zero.
func zerosToPad(n *ir.Node) bool {
	c, ok := n.Op.(*op.Concat)
	if !ok || !isReal(n.Out[0]) || len(n.In) == 1 {
		return false
	}
	r, axis := len(n.Out[0].Type.Shape), c.Axis
	if axis < 0 {
		axis += r
	}
	var x *ir.Value
	var around [2]int // zeros before and behind x
	for _, v := range n.In {
		switch {
		case !isReal(v):
			return false
		case v.Const == nil && x == nil:
			x = v
		case v.Const == nil || slices.ContainsFunc(v.Const.F, func(f float32) bool { return f != 0 }):
			return false
		case x == nil:
			around[0] += v.Type.Shape[axis]
		default:
			around[1] += v.Type.Shape[axis]
		}
	}
	if x == nil {
		return false
	}
	o := &op.Pad{Pads: make([]int, 2*r), Mode: "constant"}
	o.Pads[axis], o.Pads[r+axis] = around[0], around[1]
	if !infers(o, x, n.Out[0].Type.Shape) {
		return false // the constants fix a dimension that x leaves open
	}
	n.Op, n.In = o, []*ir.Value{x}
	return true
}

// padInto lets a node read the input of the Pad before it.
func padInto(n *ir.Node) bool {
	if len(n.In) == 0 || !isReal(n.In[0]) || n.In[0].Def == nil {
		return false
	}
	p := n.In[0].Def
	extra := imagePads(p)
	if extra == nil {
		return false
	}
	var layer ir.Op
	switch l := n.Op.(type) {
	case *op.Conv:
		c := *l
		c.Pads = sum(l.Pads, extra)
		layer = &c
	case *op.AveragePool:
		if !l.CountIncludePad && !all(l.Pads, 0) {
			return false // pads that do not count cannot become some that do
		}
		c := *l
		c.Pads, c.CountIncludePad = sum(l.Pads, extra), true
		if !infers(&c, p.In[0], n.Out[0].Type.Shape) {
			return false // pads must be smaller than the window; with ceil mode no window starts in them
		}
		layer = &c
	default:
		return false
	}
	n.Op = layer
	n.In = slices.Clone(n.In)
	n.In[0] = p.In[0]
	return true
}

// imagePads are the pads of the axes behind [N,C], begins and then ends, of a node that puts zeros around a real image; nil if it is not
// such a Pad, pads other axes or crops.
func imagePads(n *ir.Node) []int {
	o, ok := n.Op.(*op.Pad)
	if !ok || !isReal(n.In[0]) || !isReal(n.Out[0]) || o.Mode != "constant" || o.Value != 0 {
		return nil
	}
	r := len(o.Pads) / 2
	if r < 3 || slices.Min(o.Pads) < 0 || !all(o.Pads[:2], 0) || !all(o.Pads[r:r+2], 0) {
		return nil
	}
	return append(slices.Clone(o.Pads[2:r]), o.Pads[r+2:]...)
}

// sum adds elementwise; a nil a counts as zeros.
func sum(a, b []int) []int {
	r := slices.Clone(b)
	for i := range a {
		r[i] += a[i]
	}
	return r
}
