package lower

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// terms are the operands of a sum on the grid of its result: operand i is (x*m[i] + shift[i]) / 2^t in steps of the result. Lists have one
// number or one for each element of the result.
type terms struct {
	m, shift [][]int64
	t        int64
}

// exact is the part of a step, as a power of two, that the multiplier of an operand may move a sum by.
const exact = 6

// terms finds the multipliers of a sum. Its operands are quantized values, or the accumulators that a layer left: those add before they
// round, as in residual blocks in the manner of TensorRT. Accumulators have many bits, so their multipliers need a finer grid.
func (l *lowerer) terms(n *ir.Node, q *ir.Quant) (*terms, error) {
	so, _ := q.At(0)
	ratio := make([][]float64, len(n.In))
	offset := make([][]float64, len(n.In))
	width, most, fine := 1, 0.0, 0
	for i, v := range n.In {
		scale, o, err := l.summand(n, v)
		if err != nil {
			return nil, err
		}
		if v.Type.IsQuant() {
			width = max(width, hw.Interval{Lo: v.Type.Quant.Min, Hi: v.Type.Quant.Max}.Bits())
		} else {
			fine = max(fine, l.bufs[v].Range.Bits()+exact)
		}
		ratio[i], offset[i] = join(scale, []float64{so}, func(s, so float64) float64 { return s / so }), o
		most = max(most, slices.Max(ratio[i]))
	}
	bits, err := l.multiplierBits(q, width+1+len(n.In))
	if err != nil {
		return nil, err
	}
	t := shiftFor(most, bits)
	r := &terms{t: int64(max(t, min(fine, shiftFor(most, 61-width-len(n.In)))))}
	common := r.t
	for i := range ratio {
		var m []int64
		for _, f := range ratio[i] {
			m = append(m, int64(math.RoundToEven(math.Ldexp(f, int(r.t)))))
		}
		if _, sub := n.Op.(*op.Sub); sub && i > 0 {
			m = join(m, []int64{-1}, func(a, b int64) int64 { return a * b })
		}
		r.m = append(r.m, m)
		common = halvings(m, common)
	}
	for i, m := range r.m {
		for k := range m {
			m[k] >>= common
		}
		shift := make([]int64, max(len(offset[i]), len(m)))
		for k := range shift {
			shift[k] = int64(math.RoundToEven(offset[i][k%len(offset[i])] * float64(m[k%len(m)])))
		}
		r.shift = append(r.shift, shift)
	}
	r.t -= common
	return r, nil
}

// summand is an operand x of a sum as (x + offset) * scale, with lists as those of terms: a quantized value, or what a layer left in its
// accumulators, whose biases may lack a part of a step.
func (l *lowerer) summand(n *ir.Node, v *ir.Value) (scale, offset []float64, err error) {
	if !l.accumulates(n, v) {
		s, z, err := inQuant(v)
		return []float64{s}, []float64{float64(-z)}, err
	}
	if scale, err = alongAxis(n, v.Name, 1, accQuant(v.Def).Scale); err != nil {
		return nil, nil, err
	}
	part := l.parts[v]
	if part == nil {
		part = []float64{0}
	}
	offset, err = alongAxis(n, v.Name, 1, part)
	return scale, offset, err
}

// accumulates reports whether an operand of the result's shape is what a layer left in its accumulators.
func (l *lowerer) accumulates(n *ir.Node, v *ir.Value) bool {
	if v.Type.IsQuant() || v.Def == nil || l.bufs[v] == nil || l.fractions[v] != 0 || !slices.Equal(v.Type.Shape, n.Out[0].Type.Shape) {
		return false
	}
	return op.Of(v.Def.Op).Class == op.MAC && v.Def.In[1].Type.IsQuant()
}
