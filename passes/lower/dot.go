package lower

import (
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// convRule: Conv with one or two spatial axes.
func convRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.Conv)
	if scaling(n, o) {
		return l.scalingConv(n)
	}
	in, err := l.buffer(n.In[0])
	if err != nil {
		return err
	}
	ws := n.In[1].Type.Shape
	s, err := o.Spatial(ws)
	if err != nil {
		return err
	}
	if err := planar(s); err != nil {
		return err
	}
	g := geometry(s, n.In[0].Type.Shape, n.Out[0].Type.Shape)
	g.OC = ws[0]
	w, err := weights(n.In[1], 0)
	if err != nil {
		return err
	}
	// [OC][C/group][KH][KW] becomes [OC][KH][KW][C/group].
	w = w.Reshape(ws[0], ws[1], g.KH, g.KW).Permute([]int{0, 2, 3, 1})
	return l.dot(n, in, g, o.Group, w)
}

// planar refuses windows over more axes than a hardware kernel has.
func planar(s op.Spatial) error {
	if len(s.Kernel) > 2 {
		return fmt.Errorf("a window over %d axes, %v: hardware has one or two", len(s.Kernel), s.Kernel)
	}
	return nil
}

// geometry fills in a 2-d window; one spatial axis is a single row.
func geometry(s op.Spatial, x, y []int) hw.Geometry {
	i := len(s.Kernel) - 1
	g := hw.Geometry{H: 1, W: x[2+i], C: x[1], OH: 1, OW: y[2+i], OC: x[1], KH: 1, KW: s.Kernel[i], SH: 1, SW: s.Stride[i], DH: 1, DW: s.Dilation[i], PW: s.Begin[i]}
	if i == 1 {
		g.H, g.OH, g.KH, g.SH, g.DH, g.PH = x[2], y[2], s.Kernel[0], s.Stride[0], s.Dilation[0], s.Begin[0]
	}
	return g
}

// gemmRule: x [1,K] or [M,K] times constant weights. Behind a Flatten it is a convolution whose kernel covers the whole input, so that no
// element moves: the weights are permuted instead.
func gemmRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.Gemm)
	if o.TransA || o.Alpha != 1 || o.Beta != 1 {
		return fmt.Errorf("alpha %v, beta %v, transA %v: want 1, 1, false (pass affine)", o.Alpha, o.Beta, o.TransA)
	}
	axis := 1
	if o.TransB {
		axis = 0
	}
	w, err := weights(n.In[1], axis)
	if err != nil {
		return err
	}
	if !o.TransB {
		w = w.Permute([]int{1, 0})
	}
	return l.matrix(n, w)
}

// matmulRule: as gemmRule, without bias; the weights are [K,N].
func matmulRule(l *lowerer, n *ir.Node) error {
	if n.In[1].Const == nil {
		return fmt.Errorf("input 1 (%%%s) is not constant: products of two activations have no integer form here", n.In[1].Name)
	}
	if len(n.In[1].Type.Shape) != 2 {
		return fmt.Errorf("input 1: want 2 dims, got %v", n.In[1].Type)
	}
	w, err := weights(n.In[1], 1)
	if err != nil {
		return err
	}
	return l.matrix(n, w.Permute([]int{1, 0}))
}

// matrix lowers a product with weights [OC,K] over the last axis of the input.
func (l *lowerer) matrix(n *ir.Node, w *tensor.T) error {
	oc, k := w.Shape[0], w.Shape[1]
	x := n.In[0]
	if l.merged(x) {
		src := x.Def.In[0]
		in, err := l.buffer(src)
		if err != nil {
			return err
		}
		s := src.Type.Shape // [1,C,spatial...]
		h, wd := 1, s[len(s)-1]
		if len(s) == 4 {
			h = s[2]
		}
		w = w.Reshape(oc, s[1], h, wd).Permute([]int{0, 2, 3, 1})
		return l.dot(n, in, hw.Geometry{H: h, W: wd, C: s[1], OH: 1, OW: 1, OC: oc, KH: h, KW: wd, SH: 1, SW: 1, DH: 1, DW: 1}, 1, w)
	}
	in, err := l.buffer(x)
	if err != nil {
		return err
	}
	if rows := noBatch(x.Type.Shape); len(rows) > 1 {
		return fmt.Errorf("input %%%s is %v: want one row for each sample", x.Name, x.Type)
	}
	return l.dot(n, in, hw.Geometry{H: 1, W: 1, C: k, OH: 1, OW: 1, OC: oc, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}, 1, w)
}

// findFlattened are the Flatten and Reshape nodes from [1,C,spatial] to [1,C*...] that only matrix products read.
func (l *lowerer) findFlattened() map[*ir.Node]bool {
	r := map[*ir.Node]bool{}
	for _, n := range l.g.Nodes {
		switch n.Op.(type) {
		case *op.Flatten, *op.Reshape:
		default:
			continue
		}
		from, to := n.In[0].Type, n.Out[0].Type
		if len(from.Shape) < 3 || len(from.Shape) > 4 || from.Shape[0] != 1 || len(to.Shape) != 2 || to.Shape[0] != 1 || n.In[0].Const != nil ||
			l.g.IsOutput(n.Out[0]) || !to.IsQuant() || !from.Quant.Equal(to.Quant) {
			continue
		}
		ok := true
		for _, u := range l.g.Users(n.Out[0]) {
			_, gemm := u.Op.(*op.Gemm)
			_, matmul := u.Op.(*op.MatMul)
			ok = ok && (gemm || matmul) && u.In[0] == n.Out[0] && u.In[1].Const != nil
		}
		r[n] = ok
	}
	return r
}

// weights are the integers of a constant, zero points subtracted. Its scales run along the axis of the output channels.
func weights(v *ir.Value, axis int) (*tensor.T, error) {
	q := v.Type.Quant
	if v.Const == nil || q == nil {
		return nil, fmt.Errorf("weights %%%s: want a quantized constant, got %v", v.Name, v.Type)
	}
	if len(q.Scale) > 1 && q.Axis != axis {
		return nil, fmt.Errorf("weights %%%s: scales along axis %d, want the output channels' axis %d", v.Name, q.Axis, axis)
	}
	w := tensor.New(tensor.I(32), v.Type.Shape...)
	q.Channels(v.Type.Shape, func(c, lo, hi int) {
		_, z := q.At(c)
		for i := lo; i < hi; i++ {
			w.I[i] = v.Const.I[i] - z
		}
	})
	return w, nil
}

// dot is dotTo with the weights' own scales for the result of the node.
func (l *lowerer) dot(n *ir.Node, in *hw.Buffer, g hw.Geometry, groups int, w *tensor.T) error {
	return l.dotTo(n, in, g, groups, w, n.In[1].Type.Quant, n.Out[0])
}

// dotTo adds the kernel: weights [OC,KH,KW,C/group]; wq has their scales. The bias is n.In[2] if
// there is one, and v takes the result.
func (l *lowerer) dotTo(n *ir.Node, in *hw.Buffer, g hw.Geometry, groups int, w *tensor.T, wq *ir.Quant, v *ir.Value) error {
	sx, zx, err := inQuant(n.In[0])
	if err != nil {
		return err
	}
	g.PadValue = zx
	d := &hw.Dot{Geometry: g, Groups: groups, Weights: make([]int32, len(w.I)), Bias: make([]int64, g.OC)}
	for i, x := range w.I {
		d.Weights[i] = int32(x)
	}
	var part []float64
	if len(n.In) > 2 && n.In[2] != nil {
		if part, err = bias(d.Bias, n.In[2], wq, sx); err != nil {
			return err
		}
	}
	k := len(w.I) / g.OC
	scale := make([]float64, g.OC)
	for o := range scale {
		for _, x := range w.I[o*k : (o+1)*k] {
			d.Bias[o] -= zx * x
		}
		s, _ := wq.At(o)
		scale[o] = s * sx
	}
	if len(wq.Scale) == 1 {
		scale = scale[:1]
	}
	if err := d.Bound(in.Range); err != nil {
		return err
	}
	all := d.AccRange()
	p := hw.NewProg(all)
	if v.Type.IsQuant() {
		q, err := outQuant(v)
		if err != nil {
			return err
		}
		if err := l.requantBias(p, all.Bits(), scale, part, q); err != nil {
			return err
		}
	} else if k := l.fraction(v, part, all.Bits()); k > 0 {
		l.fractions[v] = k
		add := make([]int64, len(part))
		for c, f := range part {
			add[c] = int64(math.RoundToEven(math.Ldexp(f, k)))
		}
		p.OpI(hw.AddI, p.OpI(hw.MulI, 0, hw.Scalar(1<<k)), hw.PerChannel(add))
	} else if part != nil {
		l.parts[v] = part
	}
	shape, _ := layout(v.Type.Shape)
	return l.kernel(n, &hw.Kernel{Kind: hw.KDot, In: []*hw.Buffer{in}, Dot: d, Prog: p}, v, shape)
}

// fraction is how many bits behind the point of the accumulators the results v of the program get, so that they have the bias that the model
// has and not one rounded to the scale of the accumulators: up to 16, in a word of 32 bits. 0 where nothing is missing of the bias.
func (l *lowerer) fraction(v *ir.Value, part []float64, accBits int) int {
	for _, n := range l.g.Users(v) {
		if !l.host[n] {
			return 0
		}
	}
	if !slices.ContainsFunc(part, func(f float64) bool { return math.Abs(f) > coarse }) {
		return 0
	}
	return max(0, min(16, 31-accBits))
}

// coarse is the part of a step of the result that the rounding of a bias to the accumulator's scale may move a result by. A result whose exact
// value is spread evenly between two steps becomes its neighbour's at most twice as often: in one of 2048 cases.
const coarse = 1.0 / 4096

// requantBias is requant of the accumulator. Where that has a scale so coarse that the rounding of the bias would show, as in layers of few bits
// behind a normalization, what is missing of the bias is added after the multiplication.
func (l *lowerer) requantBias(p *hw.Prog, accBits int, scale, part []float64, q *ir.Quant) error {
	so, _ := q.At(0)
	shows := false
	for c, f := range part {
		shows = shows || math.Abs(f*scale[c%len(scale)]/so) > coarse
	}
	if !shows {
		_, err := l.requant(p, 0, accBits, scale, hw.ByChannel, q)
		return err
	}
	bits, err := l.multiplierBits(q, accBits+fine)
	if err != nil {
		return err
	}
	ratio := make([]float64, len(scale))
	for i, s := range scale {
		ratio[i] = s / so
	}
	m := newMultiplier(ratio, bits, (hw.Interval{Lo: q.Min, Hi: q.Max}).Bits(), hw.ByChannel).finer()
	add := make([]int64, len(part))
	for c, f := range part {
		add[c] = int64(math.RoundToEven(f * float64(m.M.At(c, 0))))
	}
	v := p.OpI(hw.AddI, p.OpI(hw.MulI, 0, m.M), hw.PerChannel(add))
	finish(p, v, m.T, q)
	return nil
}

// bias fills in the bias at the accumulator's scale. A float bias, or one with another scale, is rounded to it; what is missing then, in steps
// of the accumulator, is the result.
func bias(dst []int64, b *ir.Value, w *ir.Quant, sx float64) ([]float64, error) {
	if b.Const == nil {
		return nil, fmt.Errorf("bias %%%s is not constant", b.Name)
	}
	q := b.Type.Quant
	if q != nil && sameScales(q, w, sx) {
		for i := range dst {
			_, z := q.At(i)
			dst[i] = b.Const.I[i] - z
		}
		return nil, nil
	}
	real := b
	if q != nil {
		real = &ir.Value{Name: b.Name, Type: b.Type.Real(), Const: q.Reals(b.Const)}
	}
	v, err := quant.Bias(real, w, sx, b.Name)
	if err != nil {
		return nil, err
	}
	copy(dst, v.Const.I)
	part := make([]float64, len(dst))
	for i, k := range dst {
		s, _ := w.At(i)
		part[i] = real.Const.Float(i)/(s*sx) - float64(k)
	}
	return part, nil
}

// sameScales reports whether a bias has the accumulator's scales, up to the rounding of float32.
func sameScales(b, w *ir.Quant, sx float64) bool {
	if len(b.Scale) != len(w.Scale) && len(b.Scale) != 1 {
		return false
	}
	for i, s := range w.Scale {
		have, _ := b.At(i)
		if want := s * sx; have < want*(1-1e-6) || have > want*(1+1e-6) {
			return false
		}
	}
	return true
}
