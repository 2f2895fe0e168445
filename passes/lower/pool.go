package lower

import (
	"fmt"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
)

// maxPoolRule: the maximum of integers is the integer of the maximum. Padding is the least value, so it never wins.
func maxPoolRule(l *lowerer, n *ir.Node) error {
	s, err := n.Op.(*op.MaxPool).Spatial()
	if err != nil {
		return err
	}
	return l.maxPool(n, s)
}

func globalMaxRule(l *lowerer, n *ir.Node) error {
	s, err := op.NewSpatial(n.In[0].Type.Shape[2:], nil, nil, nil)
	if err != nil {
		return err
	}
	return l.maxPool(n, s)
}

func (l *lowerer) maxPool(n *ir.Node, s op.Spatial) error {
	if err := planar(s); err != nil {
		return err
	}
	in, err := l.buffer(n.In[0])
	if err != nil {
		return err
	}
	w := &hw.Window{Geometry: geometry(s, n.In[0].Type.Shape, n.Out[0].Type.Shape), Reduce: hw.ReduceMax}
	w.PadValue = in.Range.Lo
	if err := w.Bound(in.Range); err != nil {
		return err
	}
	p := hw.NewProg(w.Acc)
	if err := l.rescale(n, p, 0, w.Acc.Bits()); err != nil {
		return err
	}
	shape, _ := layout(n.Out[0].Type.Shape)
	return l.kernel(n, &hw.Kernel{Kind: hw.KWindow, In: []*hw.Buffer{in}, Window: w, Prog: p}, n.Out[0], shape)
}

// rescale appends the step from the Quant of input 0 to that of the result.
func (l *lowerer) rescale(n *ir.Node, p *hw.Prog, v, bits int) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	_, err = l.toGrid(p, v, bits, n.In[0], q)
	return err
}

// toGrid appends the step of a value of so many bits from the Quant of x to q: nothing but a clamp on the same grid, else a requantization.
func (l *lowerer) toGrid(p *hw.Prog, v, bits int, x *ir.Value, q *ir.Quant) (int, error) {
	s, z, err := inQuant(x)
	if err != nil {
		return 0, err
	}
	if so, zo := q.At(0); s == so && z == zo {
		return p.Clamp(v, q.Min, q.Max), nil
	}
	v = p.OpI(hw.AddI, v, hw.Scalar(-z))
	return l.requant(p, v, bits+1, []float64{s}, hw.ByChannel, q)
}

// averagePoolRule: a sum, then one multiplication that holds the division. Where windows count different numbers of elements (padding
// that does not count, a last window cut off) the multiplier depends on the pixel.
func averagePoolRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.AveragePool)
	s, err := o.Spatial()
	if err != nil {
		return err
	}
	if err := planar(s); err != nil {
		return err
	}
	x, y := n.In[0].Type.Shape, n.Out[0].Type.Shape
	return l.average(n, geometry(s, x, y), o.Counts(s, x, y))
}

func globalAverageRule(l *lowerer, n *ir.Node) error {
	s, err := op.NewSpatial(n.In[0].Type.Shape[2:], nil, nil, nil)
	if err != nil {
		return err
	}
	if err := planar(s); err != nil {
		return err
	}
	g := geometry(s, n.In[0].Type.Shape, n.Out[0].Type.Shape)
	return l.average(n, g, []int{g.KH * g.KW})
}

// average lowers a mean over windows of counts[pixel] elements. Elements outside the input are the zero point: real 0.
func (l *lowerer) average(n *ir.Node, g hw.Geometry, counts []int) error {
	in, s, z, q, err := l.ends(n.In[0], n.Out[0])
	if err != nil {
		return err
	}
	g.PadValue = z
	w := &hw.Window{Geometry: g, Reduce: hw.ReduceSum}
	if err := w.Bound(in.Range); err != nil {
		return err
	}
	scale := make([]float64, len(counts))
	same := true
	for i, c := range counts {
		if c == 0 {
			return fmt.Errorf("output pixel %d has no element to average", i)
		}
		scale[i] = s / float64(c)
		same = same && c == counts[0]
	}
	if same {
		scale = scale[:1]
	}
	p := hw.NewProg(w.Acc)
	v := p.OpI(hw.AddI, 0, hw.Scalar(-z*int64(g.KH*g.KW)))
	if _, err := l.requant(p, v, w.Acc.Bits()+1, scale, hw.ByPixel, q); err != nil {
		return err
	}
	shape, _ := layout(n.Out[0].Type.Shape)
	return l.kernel(n, &hw.Kernel{Kind: hw.KWindow, In: []*hw.Buffer{in}, Window: w, Prog: p}, n.Out[0], shape)
}
