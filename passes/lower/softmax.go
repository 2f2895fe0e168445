package lower

import (
	"fmt"
	"math"
	"math/bits"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// softmaxRule: Softmax and LogSoftmax along an axis, inside a network, without a float:
//
//	max      a reduction
//	e        2^F * exp(s*(x - max)) by a table over x - max <= 0
//	sum      of e, at least 2^F since one x is the maximum
//	Softmax     e * (N / sum) >> T: one division for each sum, N = 2^T / scale of the result
//	LogSoftmax  (x - max)*m - ln(sum) >> T, the logarithm by tables over the leading bits of the sum
//
// F and T follow from the width of the result and the number of elements, so that all roundings but the last stay well below one step.
func softmaxRule(l *lowerer, n *ir.Node) error {
	x, y := n.In[0], n.Out[0]
	in, s, _, q, err := l.ends(x, y)
	if err != nil {
		return err
	}
	axis, logarithm := 0, false
	switch o := n.Op.(type) {
	case *op.Softmax:
		axis = o.Axis
	case *op.LogSoftmax:
		axis, logarithm = o.Axis, true
	}
	shape := x.Type.Shape
	if axis < 0 {
		axis += len(shape)
	}
	size, err := tableSize(x, in.Range)
	if err != nil {
		return err
	}
	one := append([]int{}, shape...)
	one[axis] = 1
	top := &ir.Value{Name: y.Name + "_max", Type: ir.Type{Elem: x.Type.Elem, Shape: one}}
	err = l.reduce(n, in, shape, []int{axis}, top, hw.ReduceMax, func(*hw.Prog, int) error { return nil })
	if err != nil {
		return err
	}
	tops, err := l.expanded(n, l.bufs[top], y.Name+"_maxs", one, shape)
	if err != nil {
		return err
	}
	sx := &softmax{l: l, n: n, in: in, tops: tops, shape: shape, one: one, axis: axis, s: s, q: q}
	sx.digits = (hw.Interval{Lo: q.Min, Hi: q.Max}).Bits() + bits.Len(uint(shape[axis])) + 3
	sx.f = min(sx.digits, 28)
	e := &ir.Value{Name: y.Name + "_exp", Type: ir.Type{Shape: shape}}
	table := make([]int64, size)
	for i := range table {
		table[i] = int64(math.RoundToEven(math.Ldexp(math.Exp(s*float64(i-size+1)), sx.f)))
	}
	p := hw.NewProg(in.Range, tops.Range)
	p.Lookup(p.OpI(hw.MinI, p.Op(hw.Sub, 0, 1), hw.Scalar(0)), int64(1-size), table)
	if err := l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{in, tops}, Prog: p}, e, in.Shape); err != nil {
		return err
	}
	sx.e = l.bufs[e]
	if logarithm {
		return sx.log()
	}
	return sx.quotient()
}

// softmax is a Softmax or LogSoftmax in the making.
type softmax struct {
	l          *lowerer
	n          *ir.Node
	in, tops   *hw.Buffer // x and, in its shape, the maxima
	e          *hw.Buffer // 2^f * exp(s*(x - max))
	shape, one []int      // of x; with size 1 along the axis
	axis       int
	s          float64
	q          *ir.Quant // of the result
	digits, f  int       // bits of precision that intermediate numbers need; of the exponentials
}

// perSum is a function of the sum, in the shape of x.
func (x *softmax) perSum(name string, f func(p *hw.Prog, sum int)) (*hw.Buffer, error) {
	v := &ir.Value{Name: x.n.Out[0].Name + name, Type: ir.Type{Shape: x.one}}
	err := x.l.reduce(x.n, x.e, x.shape, []int{x.axis}, v, hw.ReduceSum, func(p *hw.Prog, _ int) error {
		f(p, p.OpI(hw.MaxI, 0, hw.Scalar(1<<x.f)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return x.l.expanded(x.n, x.l.bufs[v], x.n.Out[0].Name+name+"s", x.one, x.shape)
}

func (x *softmax) quotient() error {
	so, _ := x.q.At(0)
	// N / sum has so many digits where the sum is the least, 2^f; its product with e stays below 2^60.
	t := shiftFor(1/so, min(x.digits+x.f, 60)+1) - 1
	r, err := x.perSum("_scale", func(p *hw.Prog, sum int) {
		p.OpI(hw.DivInto, sum, hw.Scalar(int64(math.RoundToEven(math.Ldexp(1/so, t)))))
	})
	if err != nil {
		return err
	}
	p := hw.NewProg(x.e.Range, r.Range)
	finish(p, p.Op(hw.Mul, 0, 1), hw.Scalar(int64(t)), x.q)
	return x.l.mapped(x.n, []*hw.Buffer{x.e, r}, p, x.n.Out[0])
}

func (x *softmax) log() error {
	so, _ := x.q.At(0)
	width, err := x.l.multiplierBits(x.q, x.in.Range.Bits()+2)
	if err != nil {
		return err
	}
	t := shiftFor(x.s/so, width)
	// One table for each four bits of the sum's size: entries are runs of 2^k sums. Half a run moves the logarithm by 8/entries at most,
	// which shall be a quarter of a step. Sums above a table get its last entry, and those below the next one 0, so that the greatest of
	// all entries is the one that counts.
	entries := min(x.f+4, max(8, bits.Len(uint(32/so))), 16)
	r, err := x.perSum("_log", func(p *hw.Prog, sum int) {
		n := float64(x.shape[x.axis])
		best := -1
		for j := 0; best < 0 || math.Ldexp(1, 4*j) < n; j++ {
			k := x.f + 4*(j+1) - entries
			table := make([]int64, 1<<entries)
			for i := range table {
				s := math.Ldexp(float64(i)+0.5, k-x.f)
				if k == 0 {
					s = math.Ldexp(float64(i), -x.f)
				}
				if s > 1 && s >= math.Ldexp(1, 4*j) {
					table[i] = int64(math.RoundToEven(math.Ldexp(math.Log(s)/so, t)))
				}
			}
			v := p.OpI(hw.RshFloor, sum, hw.Scalar(int64(k)))
			v = p.Lookup(p.OpI(hw.MinI, v, hw.Scalar(int64(len(table)-1))), 0, table)
			if best >= 0 {
				v = p.Op(hw.Max, best, v)
			}
			best = v
		}
	})
	if err != nil {
		return err
	}
	p := hw.NewProg(x.in.Range, x.tops.Range, r.Range)
	d := p.OpI(hw.MinI, p.Op(hw.Sub, 0, 1), hw.Scalar(0))
	d = p.OpI(hw.MulI, d, hw.Scalar(int64(math.RoundToEven(math.Ldexp(x.s/so, t)))))
	if r.Range.Hi >= 1<<61 {
		return fmt.Errorf("scales %v of the operand and %v of the result are too far apart", x.s, so)
	}
	finish(p, p.Op(hw.Sub, d, 2), hw.Scalar(int64(t)), x.q)
	return x.l.mapped(x.n, []*hw.Buffer{x.in, x.tops, r}, p, x.n.Out[0])
}
