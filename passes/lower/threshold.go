package lower

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Thresholds are counted by a table where that has at most tableEntries, one by one up to fewThresholds, else by a binary search.
const (
	tableEntries  = 4096
	fewThresholds = 7
)

// multiThresholdRule: MultiThreshold counts thresholds, which become integers on the grid of the input. It goes into the epilogue of the
// layer whose accumulators it alone reads.
func multiThresholdRule(l *lowerer, n *ir.Node) error {
	o, x, t := n.Op.(*op.MultiThreshold), n.In[0], n.In[1]
	if t.Const == nil {
		return fmt.Errorf("thresholds %%%s are not constant", t.Name)
	}
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	in, err := l.buffer(x)
	if err != nil {
		return err
	}
	axis := o.Axis
	if axis < 0 {
		axis += len(x.Type.Shape)
	}
	levels := t.Const
	if t.Type.IsQuant() {
		levels = t.Type.Quant.Reals(levels)
	}
	ths, err := l.thresholds(x, axis, levels, in.Range)
	if err != nil {
		return err
	}
	// each is a number of every channel as an immediate.
	each := func(f func(c int) int64) (hw.Vec, error) {
		v := make([]int64, len(ths))
		for c := range v {
			v[c] = f(c)
		}
		v, err := alongAxis(n, t.Name, axis, v)
		return vec(v), err
	}
	result := make([]int64, len(ths[0])+1)
	for k := range result {
		result[k] = q.Quantize(float64(o.Bias+o.Scale*float32(k)), 0)
	}
	p := hw.NewProg(in.Range)
	if err := reached(p, in.Range, ths, result, each); err != nil {
		return err
	}
	shape, _ := layout(n.Out[0].Type.Shape)
	at := slices.IndexFunc(l.prog.Kernels, func(k *hw.Kernel) bool { return k.Out == in })
	if at >= 0 && l.uses[x] == 1 && axis == min(1, len(x.Type.Shape)-1) {
		if k := l.prog.Kernels[at]; k.Kind == hw.KDot && len(k.Prog.Code) == 0 && at == len(l.prog.Kernels)-1 {
			for i := range p.Code {
				if v := &p.Code[i].Imm; len(v.V) > 1 {
					*v = hw.PerChannel(v.V[:in.Channels()])
				}
			}
			k.Prog = p
			l.prog.Kernels = l.prog.Kernels[:at]
			return l.kernel(n, k, n.Out[0], shape)
		}
	}
	return l.mapped(n, []*hw.Buffer{in}, p, n.Out[0])
}

// thresholds are the least integers of x that reach each threshold, sorted, for each channel of the axis or for all; inside r and one more,
// which none reaches.
func (l *lowerer) thresholds(x *ir.Value, axis int, t *tensor.T, r hw.Interval) ([][]int64, error) {
	q := x.Type.Quant
	if q == nil { // the accumulators of a layer
		if axis != min(1, len(x.Type.Shape)-1) {
			return nil, fmt.Errorf("input %%%s is float and its channels are on axis %d, want axis 1", x.Name, axis)
		}
		q = accQuant(x.Def)
	} else if !q.PerTensor() && q.Axis != axis {
		return nil, fmt.Errorf("input %%%s has scales along axis %d, want one, or one for each channel of axis %d", x.Name, q.Axis, axis)
	}
	part := l.parts[x]
	rows, n := t.Shape[0], t.Shape[1]
	if len(q.Scale) > 1 || len(q.Zero) > 1 || part != nil {
		rows = x.Type.Shape[axis]
	}
	r0 := make([][]int64, rows)
	for c := range r0 {
		s, z := q.At(c)
		row := t.F[c%t.Shape[0]*n:][:n]
		r0[c] = make([]int64, n)
		for i, f := range row {
			v := float64(f) / s
			if part != nil {
				v -= part[c]
			}
			if k := math.RoundToEven(v); math.Abs(v-k) <= math.Abs(float64(f)/s)*0x1p-22 { // float32 numbers
				v = k
			}
			r0[c][i] = int64(max(float64(r.Lo), min(float64(r.Hi+1), math.Ceil(v)+float64(z))))
		}
		slices.Sort(r0[c])
	}
	return r0, nil
}

// reached appends to a program, whose input has a range r, result[how many of ths[channel] the input reaches].
func reached(p *hw.Prog, r hw.Interval, ths [][]int64, result []int64, each func(func(c int) int64) (hw.Vec, error)) error {
	var err error
	imm := func(f func(c int) int64) hw.Vec {
		v, e := each(f)
		if e != nil {
			err = e
		}
		return v
	}
	size, n := r.Hi-r.Lo+1, len(ths[0])
	if size <= tableEntries && size*int64(len(ths)) <= tableEntries && n > 1 {
		table := make([]int64, 0, size*int64(len(ths)))
		for _, t := range ths {
			k := 0
			for v := r.Lo; v <= r.Hi; v++ {
				for k < n && t[k] <= v {
					k++
				}
				table = append(table, result[k])
			}
		}
		p.Lookup(p.OpI(hw.AddI, 0, imm(func(c int) int64 { return int64(c)*size - r.Lo })), 0, table)
		return err
	}
	reaches := func(v int) int { return p.OpI(hw.MinI, p.OpI(hw.MaxI, v, hw.Scalar(0)), hw.Scalar(1)) }
	compare := func(f func(c int) int64) int {
		return reaches(p.OpI(hw.AddI, 0, imm(func(c int) int64 { return 1 - f(c) })))
	}
	k := -1
	if n <= fewThresholds {
		for i := range n {
			v := compare(func(c int) int64 { return ths[c][i] })
			if k >= 0 {
				v = p.Op(hw.Add, k, v)
			}
			k = v
		}
	} else {
		levels := bits.Len(uint(n))
		if len(ths)<<(levels-1) > maxTable {
			return fmt.Errorf("%d thresholds for %d channels, want a table of at most %d", n, len(ths), maxTable)
		}
		// The search: k counts steps of 2*half thresholds that are reached, and whether half more are is the next bit.
		for level := range levels {
			half := 1 << (levels - 1 - level)
			at := func(c, k int) int64 {
				if i := k*2*half + half - 1; i < n {
					return ths[c][i]
				}
				return r.Hi + 1
			}
			if level == 0 {
				k = compare(func(c int) int64 { return at(c, 0) })
				continue
			}
			var table []int64
			for c := range ths {
				for i := range 1 << level {
					table = append(table, at(c, i))
				}
			}
			t := p.Lookup(p.OpI(hw.AddI, k, imm(func(c int) int64 { return int64(c) << level })), 0, table)
			v := reaches(p.OpI(hw.AddI, p.Op(hw.Sub, 0, t), hw.Scalar(1)))
			k = p.Op(hw.Add, p.OpI(hw.MulI, k, hw.Scalar(2)), v)
		}
		if n < 1<<levels-1 { // which the intervals do not see
			k = p.OpI(hw.MinI, k, hw.Scalar(int64(n)))
		}
	}
	if k < 0 {
		return fmt.Errorf("no thresholds: the result is constant")
	}
	for i, v := range result {
		if v != result[0]+int64(i) {
			p.Lookup(k, 0, result)
			return err
		}
	}
	p.OpI(hw.AddI, k, hw.Scalar(result[0]))
	return err
}
