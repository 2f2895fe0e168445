package lower

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// phase is one axis of a transposed convolution at every stride-th result pixel, from first: a convolution of stride 1 with some of the
// taps, in reverse order.
type phase struct {
	first, out int
	taps       []int // numbers of the taps; -1 is a tap of weight 0
	dilation   int
	pad        int
}

// phasesOf: result pixel first + stride*j gets from tap k what input pixel j + (first + begin - k*dilation)/stride holds, if that is whole.
func phasesOf(kernel, stride, dilation, begin, out int) []phase {
	var ps []phase
	for first := range min(stride, out) {
		p := phase{first: first, out: (out - first + stride - 1) / stride, dilation: 1}
		var at []int
		for k := kernel - 1; k >= 0; k-- {
			if d := first + begin - k*dilation; d%stride == 0 {
				p.taps, at = append(p.taps, k), append(at, d/stride)
			}
		}
		if len(at) == 0 {
			p.taps, at = []int{-1}, []int{0}
		}
		if len(at) > 1 {
			p.dilation = at[1] - at[0]
		}
		lead := at[0]
		for ; lead > 0; lead -= p.dilation { // padding cannot be negative
			p.taps = append([]int{-1}, p.taps...)
		}
		p.pad = -lead
		ps = append(ps, p)
	}
	return ps
}

// convTransposeRule: one convolution of stride 1 for each phase of the strides, whose results are interleaved. No pixel is multiplied with a
// zero between pixels.
func convTransposeRule(l *lowerer, n *ir.Node) error {
	o := n.Op.(*op.ConvTranspose)
	x, y := n.In[0], n.Out[0]
	in, err := l.buffer(x)
	if err != nil {
		return err
	}
	if _, err := outQuant(y); err != nil {
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
	w, err := weights(n.In[1], 1)
	if err != nil {
		return err
	}
	// Scales run over the channels of one group, and are those of every group.
	wq := n.In[1].Type.Quant.Clone()
	if len(wq.Scale) > 1 {
		wq.Scale = slices.Repeat(wq.Scale, o.Group)
	}
	g := geometry(s, x.Type.Shape, y.Type.Shape)
	mg := ws[1]
	g.OC = mg * o.Group
	kw := g.KW
	i := len(s.Kernel) - 1
	cols := phasesOf(g.KW, s.Stride[i], s.Dilation[i], s.Begin[i], g.OW)
	rows := []phase{{out: 1, taps: []int{0}, dilation: 1}}
	if i == 1 {
		rows = phasesOf(g.KH, s.Stride[0], s.Dilation[0], s.Begin[0], g.OH)
	}
	cg := ws[0] / o.Group
	from := make([]int64, g.OH*g.OW*g.OC)
	var srcs []*hw.Buffer
	for _, r := range rows {
		for _, c := range cols {
			h := g
			h.OH, h.OW, h.SH, h.SW = r.out, c.out, 1, 1
			h.KH, h.KW, h.DH, h.DW, h.PH, h.PW = len(r.taps), len(c.taps), r.dilation, c.dilation, r.pad, c.pad
			k := tensor.New(tensor.I(32), g.OC, h.KH, h.KW, cg)
			j := 0
			for oc := range g.OC {
				for _, ky := range r.taps {
					for _, kx := range c.taps {
						for ic := range cg {
							if ky >= 0 && kx >= 0 {
								k.I[j] = w.I[(((oc/mg)*cg+ic)*mg+oc%mg)*g.KH*kw+ky*kw+kx]
							}
							j++
						}
					}
				}
			}
			v := y
			if len(rows)*len(cols) > 1 {
				v = &ir.Value{Name: fmt.Sprintf("%s_phase%d", y.Name, len(srcs)), Type: y.Type.Clone()}
				v.Type.Shape = []int{1, g.OC, h.OH, h.OW}
			}
			if err := l.dotTo(n, in, h, o.Group, k, wq, v); err != nil {
				return err
			}
			if v == y {
				return nil
			}
			for a := range r.out {
				for b := range c.out {
					to, at := ((r.first+a*len(rows))*g.OW+c.first+b*len(cols))*g.OC, (a*c.out+b)*g.OC
					for oc := range g.OC {
						from[to+oc] = int64(len(srcs))<<40 + int64(at+oc) + 1
					}
				}
			}
			srcs = append(srcs, l.bufs[v])
		}
	}
	shape, _ := layout(y.Type.Shape)
	l.move(n, y, srcs, from, shape, 0)
	return nil
}
