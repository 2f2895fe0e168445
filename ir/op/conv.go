package op

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir"
	"quern/ir/tensor"
)

// Conv is ONNX Conv (1, 11, 22): x [N,C,spatial...], weights [M,C/group,kernel...], bias [M] or none; any number of spatial
// axes. Pads are begins then ends and always explicit: the importer resolves auto_pad.
type Conv struct {
	Strides   []int `attr:"strides"`   // empty: 1
	Pads      []int `attr:"pads"`      // empty: 0
	Dilations []int `attr:"dilations"` // empty: 1
	Group     int   `attr:"group"`
}

func (*Conv) OpName() string { return "Conv" }

// Spatial is the geometry of a sliding window with all defaults filled in.
type Spatial struct {
	Kernel, Stride, Dilation, Begin, End []int
}

// NewSpatial fills in the defaults of a window over len(kernel) axes and checks lengths and signs.
func NewSpatial(kernel, strides, dilations, pads []int) (Spatial, error) {
	n := len(kernel)
	s := Spatial{kernel, strides, dilations, nil, nil}
	if len(strides) == 0 {
		s.Stride = ones(n)
	}
	if len(dilations) == 0 {
		s.Dilation = ones(n)
	}
	if len(pads) == 0 {
		pads = make([]int, 2*n)
	}
	if len(s.Stride) != n || len(s.Dilation) != n || len(pads) != 2*n {
		return s, fmt.Errorf("%d spatial axes: want as many strides and dilations and twice as many pads, got %v, %v, %v", n, s.Stride,
			s.Dilation, pads)
	}
	for i := range n {
		if kernel[i] < 1 || s.Stride[i] < 1 || s.Dilation[i] < 1 {
			return s, fmt.Errorf("kernel %v, strides %v, dilations %v: want 1 or more", kernel, s.Stride, s.Dilation)
		}
	}
	for _, p := range pads {
		if p < 0 {
			return s, fmt.Errorf("pads %v: want 0 or more", pads)
		}
	}
	s.Begin, s.End = pads[:n], pads[n:]
	return s, nil
}

func ones(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

// Extent is the size of the dilated kernel on axis i.
func (s *Spatial) Extent(i int) int { return (s.Kernel[i]-1)*s.Dilation[i] + 1 }

// Out is the output size on axis i for an input size; ceil rounds the last partial window up (pooling's ceil_mode), but drops
// a window that would start in the end padding.
func (s *Spatial) Out(i, in int, ceil bool) (int, error) {
	if in < 0 {
		return 0, fmt.Errorf("spatial dimension %s must be known", ir.DimString(in))
	}
	room := in + s.Begin[i] + s.End[i] - s.Extent(i)
	if room < 0 {
		return 0, fmt.Errorf("window of %d does not fit an input of %d with pads %d and %d", s.Extent(i), in, s.Begin[i], s.End[i])
	}
	n := room/s.Stride[i] + 1
	if ceil && room%s.Stride[i] != 0 && n*s.Stride[i] < in+s.Begin[i] {
		n++
	}
	return n, nil
}

// Spatial is the window of the convolution for a weight shape.
func (o *Conv) Spatial(weights []int) (Spatial, error) {
	return NewSpatial(weights[2:], o.Strides, o.Dilations, o.Pads)
}

func (o *Conv) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 3); err != nil {
		return nil, err
	}
	x, w := in[0], in[1]
	if len(x.Shape) < 3 {
		return nil, fmt.Errorf("input 0: want 3 or more dims, got %v", *x)
	}
	if len(w.Shape) != len(x.Shape) || !w.Known() {
		return nil, fmt.Errorf("input 1 (weights): want %d known dims, got %v", len(x.Shape), *w)
	}
	if o.Group < 1 || w.Shape[0]%o.Group != 0 || x.Shape[1] != w.Shape[1]*o.Group {
		return nil, fmt.Errorf("%v channels and weights %v do not fit %d groups", ir.DimString(x.Shape[1]), *w, o.Group)
	}
	if b := given(in, 2); b != nil && (len(b.Shape) != 1 || b.Shape[0] != w.Shape[0]) {
		return nil, fmt.Errorf("input 2 (bias): want [%d], got %v", w.Shape[0], *b)
	}
	s, err := o.Spatial(w.Shape)
	if err != nil {
		return nil, err
	}
	shape := []int{x.Shape[0], w.Shape[0]}
	for i, d := range x.Shape[2:] {
		n, err := s.Out(i, d, false)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

// Eval multiplies with gonum's Gemm: the weights of a group with the unfolded input (im2col), or with the input itself where the kernel
// is one tap that reads every pixel once. Depthwise groups have a loop of their own.
func (o *Conv) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, w, y := in[0], in[1], out[0]
	s, err := o.Spatial(w.Shape)
	if err != nil {
		return nil, err
	}
	if bias := given(in, 2); bias != nil {
		pix := tensor.Numel(y.Shape[2:])
		for i := range x.Shape[0] * w.Shape[0] {
			fill(y.F[i*pix:(i+1)*pix], bias.F[i%w.Shape[0]])
		}
	}
	if len(s.Kernel) > 2 {
		convolve(y.F, x.F, w.F, s, x.Shape, w.Shape, y.Shape, o.Group)
		return out, nil
	}
	g := conv2d(s, x.Shape, y.Shape)
	cg, mg := w.Shape[1], w.Shape[0]/o.Group
	k, pix, size := cg*g.kh*g.kw, g.oh*g.ow, g.h*g.w
	if pix == 0 || k == 0 || mg == 0 {
		return out, nil
	}
	direct := k == cg && pix == size && g.sh == 1 && g.sw == 1
	loop := cg == 1 && mg <= 4 // with more results for each input Gemm is faster
	var col []float32
	if !loop && !direct {
		col = make([]float32, k*pix)
	}
	taps := newTaps(&g)
	for n := range x.Shape[0] {
		for q := range o.Group {
			src := x.F[(n*o.Group+q)*cg*size:][:cg*size]
			dst := y.F[(n*o.Group+q)*mg*pix:][:mg*pix]
			kernels := w.F[q*mg*k:][:mg*k]
			switch {
			case loop:
				for m := range mg {
					g.depthwise(taps, dst[m*pix:][:pix], src, kernels[m*k:][:k])
				}
				continue
			case direct:
				col = src
			default:
				g.im2col(taps, col, src, cg)
			}
			blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, general(mg, k, kernels), general(k, pix, col), 1, general(mg, pix, dst))
		}
	}
	return out, nil
}

// depthwise adds the convolution of one plane with one kernel.
func (g *geom) depthwise(taps taps, dst, src, kernel []float32) {
	for oy := range g.oh {
		row := dst[oy*g.ow : (oy+1)*g.ow]
		for ky := range g.kh {
			iy := oy*g.sh - g.ph + ky*g.dh
			if iy < 0 || iy >= g.h {
				continue
			}
			line := src[iy*g.w : (iy+1)*g.w]
			for kx, t := range taps {
				v, ix := kernel[ky*g.kw+kx], t.first
				for ox := t.lo; ox < t.hi; ox++ {
					row[ox] += v * line[ix]
					ix += g.sw
				}
			}
		}
	}
}

func fill(s []float32, v float32) {
	for i := range s {
		s[i] = v
	}
}

func general(rows, cols int, data []float32) blas32.General {
	return blas32.General{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// geom is a 2-D window; one spatial axis counts as the width of a single row.
type geom struct {
	h, w, kh, kw, sh, sw, dh, dw, ph, pw, oh, ow int
}

func conv2d(s Spatial, x, y []int) geom {
	i := len(s.Kernel) - 1
	g := geom{h: 1, w: x[2+i], kh: 1, kw: s.Kernel[i], sh: 1, sw: s.Stride[i], dh: 1, dw: s.Dilation[i], pw: s.Begin[i], oh: 1, ow: y[2+i]}
	if i == 1 {
		g.h, g.kh, g.sh, g.dh, g.ph, g.oh = x[2], s.Kernel[0], s.Stride[0], s.Dilation[0], s.Begin[0], y[2]
	}
	return g
}

// im2col writes c*kh*kw rows of oh*ow columns; what lies outside the image is 0.
func (g *geom) im2col(taps taps, col, x []float32, c int) {
	i := 0
	for ch := range c {
		img := x[ch*g.h*g.w:][:g.h*g.w]
		for ky := range g.kh {
			for _, t := range taps {
				for oy := range g.oh {
					iy := oy*g.sh - g.ph + ky*g.dh
					row := col[i : i+g.ow]
					i += g.ow
					if iy < 0 || iy >= g.h {
						fill(row, 0)
						continue
					}
					line := img[iy*g.w : (iy+1)*g.w]
					fill(row[:t.lo], 0)
					fill(row[t.hi:], 0)
					if g.sw == 1 {
						copy(row[t.lo:t.hi], line[t.first:])
						continue
					}
					ix := t.first
					for ox := t.lo; ox < t.hi; ox++ {
						row[ox] = line[ix]
						ix += g.sw
					}
				}
			}
		}
	}
}

// inferT allocates the results that Infer promises for the tensors at hand.
func inferT(o ir.Op, in []*tensor.T) ([]*tensor.T, error) {
	types := make([]*ir.Type, len(in))
	for i, t := range in {
		if t != nil {
			types[i] = &ir.Type{Elem: t.Elem, Shape: t.Shape}
		}
	}
	r, err := o.Infer(types)
	if err != nil {
		return nil, err
	}
	out := make([]*tensor.T, len(r))
	for i, t := range r {
		out[i] = tensor.New(t.Elem, t.Shape...)
	}
	return out, nil
}
