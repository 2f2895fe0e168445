package quant

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// FuseAct makes a Relu or Clip with a quantized result the clamp of the value before it, if nothing else reads that value. Exact:
// quantization is monotone, so quantize(clip(x, lo, hi)) = clamp(quantize(x), quantize(lo), quantize(hi)).
func FuseAct(g *ir.Graph) error {
	uses := g.UseCounts()
	for _, n := range slices.Clone(g.Nodes) {
		lo, hi, ok := Activation(n.Op)
		if !ok || !n.Out[0].Type.IsQuant() {
			continue
		}
		v := n.In[0]
		t := n.Out[0].Type
		if v.Def == nil || uses[v] != 1 || v.Type.IsQuant() && !sameGrid(v.Type, t) {
			continue
		}
		q := t.Quant.Clone()
		if from := v.Type.Quant; from != nil { // already clamped on the same grid
			q.Min, q.Max = max(q.Min, from.Min), min(q.Max, from.Max)
		}
		// The bounds on the whole grid of the result: q would pull a bound outside it to its own end.
		q.Min, q.Max = max(q.Min, t.Quant.Quantize(lo, 0)), min(q.Max, t.Quant.Quantize(hi, 0))
		if q.Min > q.Max {
			continue // a constant
		}
		n.Out[0].Type.Quant = q
		g.TakeOver(v, n)
	}
	return nil
}

// Activation is the range that an operator clips to, if that is all it does.
func Activation(o ir.Op) (lo, hi float64, ok bool) {
	switch o := o.(type) {
	case *op.Relu:
		return 0, 1e38, true
	case *op.Clip:
		return max(-1e38, float64(o.Min)), min(1e38, float64(o.Max)), true
	}
	return 0, 0, false
}

// sameGrid reports whether two types stand for the same reals, up to clamping.
func sameGrid(a, b ir.Type) bool {
	x, y := a.Quant, b.Quant
	return slices.Equal(x.Scale, y.Scale) && slices.Equal(x.Zero, y.Zero) && x.PerTensor() && x.Round == y.Round
}
