package lower

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// resizeRule: nearest only moves elements. Linear and cubic go through the axes one after the other: for each tap a copy of the elements
// that it weighs, then a Map with integer weights that add up to a power of two exactly. Nothing is rounded before the last axis is through.
func resizeRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.Resize)
	if o.Mode == "nearest" {
		return moveRule(l, n)
	}
	x, y := n.In[0], n.Out[0]
	cur, s, z, q, err := l.ends(x, y)
	if err != nil {
		return err
	}
	taps, err := o.Taps(x.Type.Shape)
	if err != nil {
		return err
	}
	left := 0
	for _, t := range taps {
		for i := range t {
			if len(t[i].Index) == 0 {
				return fmt.Errorf("mode %s with positions outside of the input: want them inside, or mode nearest", o.Mode)
			}
		}
		if t != nil {
			left++
		}
	}
	if left == 0 {
		return requantRule(l, n)
	}
	// Weights of 20 bits where that leaves room for the sums, with their overshoot, in 58 bits.
	bits := min(20, (56-cur.Range.Bits())/left)
	total := bits * left
	shape := x.Type.Shape
	for a, t := range taps {
		if t == nil {
			continue
		}
		left--
		v := &ir.Value{Name: fmt.Sprintf("%s_axis%d", y.Name, a), Type: ir.Type{Shape: append([]int{}, shape...)}}
		if v.Type.Shape[a] = len(t); left == 0 {
			v = y
		}
		in, p, err := l.weigh(n, cur, shape, a, t, bits, v)
		if err != nil {
			return err
		}
		if left == 0 {
			r := p.OpI(hw.AddI, p.Last(), hw.Scalar(-z<<total))
			guard := min(total, 10) // bits below one step of x that the requantization sees
			r = p.OpI(hw.RshHalfEven, r, hw.Scalar(int64(total-guard)))
			if _, err := l.requant(p, r, cur.Range.Bits()+guard+3, []float64{math.Ldexp(s, -guard)}, hw.ByChannel, q); err != nil {
				return err
			}
		}
		if err := l.mapped(n, in, p, v); err != nil {
			return err
		}
		cur, shape = l.bufs[v], v.Type.Shape
	}
	return nil
}

// weigh begins the Map that makes one axis of a buffer of a model's shape anew: the copies it reads, and the weighted sum.
func (l *lowerer) weigh(n *ir.Node, b *hw.Buffer, shape []int, axis int, taps []op.Taps, bits int, v *ir.Value) ([]*hw.Buffer, *hw.Prog, error) {
	most := 0
	for i := range taps {
		most = max(most, len(taps[i].Index))
	}
	dims, perm := layout(v.Type.Shape)
	order := count(v.Type.Shape).Reshape(noBatch(v.Type.Shape)...).Permute(perm).I
	inner := tensor.Numel(shape[axis+1:])
	weights := make([][]int64, len(taps))
	for i := range taps {
		weights[i] = wholeWeights(taps[i].Weight, bits)
	}
	var in []*hw.Buffer
	p := hw.NewProg()
	sums := make([][]int64, most)
	for k := range most {
		at := tensor.New(tensor.I64, len(taps))
		for i := range taps {
			at.I[i] = int64(taps[i].Index[min(k, len(taps[i].Index)-1)])
		}
		from, err := op.Eval(&op.Gather{Axis: axis}, []*tensor.T{offsets(shape, 1), at})
		if err != nil {
			return nil, nil, err
		}
		t := &ir.Value{Name: fmt.Sprintf("%s_tap%d", v.Name, k)}
		l.move(n, t, []*hw.Buffer{b}, from[0].Reshape(noBatch(v.Type.Shape)...).Permute(perm).I, dims, 0)
		in, p.In = append(in, l.bufs[t]), append(p.In, b.Range)
		sums[k] = make([]int64, len(order))
		for j, e := range order {
			if w := weights[int(e)/inner%len(taps)]; k < len(w) {
				sums[k][j] = w[k]
			}
		}
	}
	sum := -1
	for k := range in {
		x := p.OpI(hw.MulI, k, vec(sums[k]))
		if sum >= 0 {
			x = p.Op(hw.Add, sum, x)
		}
		sum = x
	}
	return in, p, nil
}

// wholeWeights are weights as multiples of 2^-bits that add up to 1; the largest one takes what rounding leaves.
func wholeWeights(w []float32, bits int) []int64 {
	r := make([]int64, len(w))
	rest, most := int64(1)<<bits, 0
	for i, x := range w {
		r[i] = int64(math.RoundToEven(math.Ldexp(float64(x), bits)))
		rest -= r[i]
		if math.Abs(float64(x)) > math.Abs(float64(w[most])) {
			most = i
		}
	}
	r[most] += rest
	return r
}
