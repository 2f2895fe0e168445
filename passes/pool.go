package passes

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// pool turns means and maxima over the whole of an image into GlobalAveragePool and GlobalMaxPool, which have integer forms: pools whose
// window is the image, and reductions over both spatial axes, also when written as one after the other. A reduction that drops the axes
// gets a Flatten behind it.
func pool(g *ir.Graph) error {
	names := g.Names()
	return rounds(g, func(n *ir.Node) (bool, error) {
		if len(n.In) == 0 || n.In[0] == nil {
			return false, nil
		}
		x := n.In[0].Type.Shape
		switch o := n.Op.(type) {
		case *op.AveragePool:
			if s, err := o.Spatial(); err == nil && covers(s, x) {
				n.Op = &op.GlobalAveragePool{}
				return true, nil
			}
		case *op.MaxPool:
			if s, err := o.Spatial(); err == nil && covers(s, x) && n.In[0].Type.Real().Elem.IsFloat() {
				n.Op = &op.GlobalMaxPool{}
				return true, nil
			}
		case *op.ReduceMean:
			if joined, ok := joinMeans(n, o); ok {
				n.Op, n.In = joined, []*ir.Value{n.In[0].Def.In[0]}
				return true, nil
			}
			return global(g, names, n, &op.GlobalAveragePool{}, o.Axes, o.KeepDims)
		case *op.ReduceMax:
			return global(g, names, n, &op.GlobalMaxPool{}, o.Axes, o.KeepDims)
		}
		return false, nil
	})
}

// covers reports whether one window takes all of an unpadded image. It cannot be dilated, or it would not fit.
func covers(s op.Spatial, x []int) bool {
	return len(x) == 2+len(s.Kernel) && slices.Equal(s.Kernel, x[2:]) && all(s.Begin, 0) && all(s.End, 0)
}

// global replaces a reduction over exactly the spatial axes of [N,C,H,W].
func global(g *ir.Graph, names *ir.Names, n *ir.Node, to ir.Op, axes []int, keep bool) (bool, error) {
	if len(n.In) != 1 || !n.In[0].Type.Real().Elem.IsFloat() || len(n.In[0].Type.Shape) != 4 || !slices.Equal(positive(axes, 4), []int{2, 3}) {
		return false, nil
	}
	if keep {
		n.Op = to
		return true, nil
	}
	if n.Out[0].Type.IsQuant() {
		return false, nil // the value between pool and Flatten would be float
	}
	y, err := insert(g, n, to, names.New(n.Out[0].Name+"_pool"), n.In...)
	if err != nil {
		return false, err
	}
	n.Op, n.In = &op.Flatten{Axis: 1}, []*ir.Value{y}
	return true, nil
}

// positive are axes as 0..rank-1, sorted; empty stays empty, which means all.
func positive(axes []int, rank int) []int {
	r := slices.Clone(axes)
	for i := range r {
		if r[i] < 0 {
			r[i] += rank
		}
	}
	slices.Sort(r)
	return r
}

// joinMeans is the mean over the axes of two means, one behind the other: all groups have the same size, so it is the mean of means.
func joinMeans(n *ir.Node, o *op.ReduceMean) (*op.ReduceMean, bool) {
	x := n.In[0]
	if x.Def == nil || !isReal(x) || len(o.Axes) == 0 {
		return nil, false
	}
	first, ok := x.Def.Op.(*op.ReduceMean)
	if !ok || len(first.Axes) == 0 || first.KeepDims != o.KeepDims {
		return nil, false
	}
	rank := len(x.Def.In[0].Type.Shape)
	axes := positive(first.Axes, rank)
	if first.KeepDims {
		axes = append(axes, positive(o.Axes, rank)...)
	} else {
		// Axes of what is left over: the n-th one that the first mean kept.
		var kept []int
		for i := range rank {
			if !slices.Contains(axes, i) {
				kept = append(kept, i)
			}
		}
		for _, a := range positive(o.Axes, len(kept)) {
			axes = append(axes, kept[a])
		}
	}
	slices.Sort(axes)
	return &op.ReduceMean{Axes: slices.Compact(axes), KeepDims: o.KeepDims}, true
}
