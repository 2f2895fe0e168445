package interp

import (
	"slices"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// convolutions prepares those nodes that kernels.FloatConv can run: convolutions over one or two spatial axes with constant weights.
// Without native code op.Conv, which computes the same bits, is faster.
func (p *plan) convolutions(steps []step) {
	p.convs = make([]*kernels.FloatConv, len(steps))
	for i, s := range steps {
		o, ok := p.g.Nodes[i].Op.(*op.Conv)
		if !ok || p.level == kernels.Generic || p.alone[i] != nil || p.consts[s.in[1]] == nil {
			continue
		}
		x, w, y := p.g.Nodes[i].In[0].Type.Shape, p.consts[s.in[1]], p.g.Nodes[i].Out[0].Type.Shape
		var bias []float32
		if len(s.in) > 2 && s.in[2] >= 0 {
			b := p.consts[s.in[2]]
			if b == nil {
				continue
			}
			bias = b.F
		}
		win, err := o.Spatial(w.Shape)
		if err != nil || len(win.Kernel) > 2 || len(w.F) == 0 {
			continue
		}
		g := geometry(win, x, y)
		g.Groups = o.Group
		if size := g.C * (g.H + g.KH*g.DH) * (g.W + g.KW*g.DW); size >= 1<<28 || g.OH*g.OW == 0 {
			continue // offsets are 32-bit numbers
		}
		p.convs[i] = kernels.NewFloatConv(p.level, g, w.F, bias)
	}
}

// products prepares the Gemm nodes whose matrix is constant, as is what is added to each row.
func (m *Interp) products() {
	m.gemms = make([]*kernels.FloatProduct, len(m.steps))
	for i, s := range m.steps {
		o, ok := m.g.Nodes[i].Op.(*op.Gemm)
		if !ok || m.level == kernels.Generic || o.TransA || o.Alpha != 1 || m.consts[s.in[1]] == nil || m.consts[s.in[1]].Len() == 0 {
			continue
		}
		w := m.consts[s.in[1]]
		depth, width := w.Shape[0], w.Shape[1]
		if o.TransB {
			depth, width = width, depth
		}
		var bias []float32
		if len(s.in) > 2 && s.in[2] >= 0 {
			c := m.consts[s.in[2]]
			if c == nil || len(c.F) != width || len(c.Shape) == 0 || c.Shape[len(c.Shape)-1] != width {
				continue
			}
			for _, v := range c.F {
				bias = append(bias, v*o.Beta)
			}
		}
		m.gemms[i] = kernels.NewFloatProduct(m.level, o.Matrix(w), depth, width, bias)
	}
}

// geometry is a window over one spatial axis, which counts as the width of a single row, or two; x and y are shapes [N,C,spatial...].
func geometry(s op.Spatial, x, y []int) kernels.FloatGeometry {
	i := len(s.Kernel) - 1
	g := kernels.FloatGeometry{C: x[1], H: 1, W: x[2+i], OC: y[1], OH: 1, OW: y[2+i], KH: 1, KW: s.Kernel[i], SH: 1, SW: s.Stride[i], DH: 1, DW: s.Dilation[i],
		PW: s.Begin[i]}
	if i == 1 {
		g.H, g.OH, g.KH, g.SH, g.DH, g.PH = x[2], y[2], s.Kernel[0], s.Stride[0], s.Dilation[0], s.Begin[0]
	}
	return g
}

// native is the result of node i, step s, by the kernels of backends/kernels; nil where they have none for it. With over it may lie in the
// first argument, else it shares memory with none.
func (p *plan) native(mem *memory, i int, n *ir.Node, s *step, over bool) *tensor.T {
	args := mem.args
	if len(args) == 0 || args[0] == nil {
		return nil
	}
	x := args[0]
	result := func() *tensor.T { return mem.tensor(s.out[0], x.Elem, n.Out[0].Type.Shape) }
	inPlace := func() *tensor.T {
		if over {
			return x
		}
		return result()
	}
	switch o := n.Op.(type) {
	case *op.Conv:
		if r := p.alone[i]; r != nil {
			return r.run(mem, func(int) *tensor.T { return x })[0]
		}
		if f := p.convs[i]; f != nil {
			y := result()
			convolve(f, y, x)
			return y
		}
	case *op.Gemm:
		if f := p.gemms[i]; f != nil && x.F != nil {
			y := result()
			f.Run(y.F, x.F)
			return y
		}
	case *op.Slice, *op.Pad, *op.Transpose, *op.Resize:
		if m := p.moved[i]; m != nil && x.F != nil {
			y := result()
			m.run(y.F, x.F)
			return y
		}
	case *op.Relu, *op.Clip, *op.LeakyRelu, *op.HardSwish, *op.HardSigmoid:
		if x.F != nil {
			y := inPlace()
			pointwise(p.level, n.Op, y.F, x.F)
			return y
		}
	case *op.Sigmoid, *op.Tanh, *op.Swish, *op.Exp, *op.Elu:
		// Tables of integer programs are made by op.Eval, and fake quantization is to give the same.
		if n.In[0].Type.Quant == nil && n.Out[0].Type.Quant == nil && !stretched(n.Op) {
			y := inPlace()
			pointwise(p.level, n.Op, y.F, x.F)
			return y
		}
	case *op.Add:
		if b := args[1]; x.F != nil && b.F != nil && slices.Equal(x.Shape, b.Shape) {
			y := inPlace()
			kernels.AddFloats(p.level, y.F, x.F, b.F)
			return y
		}
	case *op.Mul:
		if b := args[1]; x.F != nil && b.F != nil && slices.Equal(x.Shape, b.Shape) {
			y := inPlace()
			kernels.MulFloats(p.level, y.F, x.F, b.F)
			return y
		}
	case *op.Softmax:
		if y := result(); o.Write(y.F, x) == nil {
			return y
		}
	}
	return nil
}

// convolve runs a convolution over a batch.
func convolve(f *kernels.FloatConv, y, x *tensor.T) {
	in, out := f.C*f.H*f.W, f.OC*f.OH*f.OW
	for n := range y.Shape[0] {
		f.Run(y.F[n*out:(n+1)*out], x.F[n*in:(n+1)*in])
	}
}
