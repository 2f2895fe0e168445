package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// MaxPool is ONNX MaxPool (1 and later) with one result: the maximum of each window over the spatial axes of [N,C,spatial...], of
// reals or integers. Padding never wins. Pads are begins then ends and always explicit.
type MaxPool struct {
	KernelShape []int `attr:"kernel_shape"`
	Strides     []int `attr:"strides"`   // empty: 1
	Pads        []int `attr:"pads"`      // empty: 0
	Dilations   []int `attr:"dilations"` // empty: 1
	CeilMode    bool  `attr:"ceil_mode"` // a last window may reach beyond the padded input
}

// AveragePool is ONNX AveragePool (1 and later): the mean of each window. The divisor counts the taps inside the input, with
// CountIncludePad also those in the padding; taps beyond the padding (CeilMode) never count.
type AveragePool struct {
	KernelShape     []int `attr:"kernel_shape"`
	Strides         []int `attr:"strides"`
	Pads            []int `attr:"pads"`
	Dilations       []int `attr:"dilations"`
	CeilMode        bool  `attr:"ceil_mode"`
	CountIncludePad bool  `attr:"count_include_pad"`
}

func (*MaxPool) OpName() string     { return "MaxPool" }
func (*AveragePool) OpName() string { return "AveragePool" }

// Spatial is the window with all defaults filled in.
func (o *MaxPool) Spatial() (Spatial, error) {
	return NewSpatial(o.KernelShape, o.Strides, o.Dilations, o.Pads)
}

// Spatial is the window with all defaults filled in.
func (o *AveragePool) Spatial() (Spatial, error) {
	return NewSpatial(o.KernelShape, o.Strides, o.Dilations, o.Pads)
}

func (o *MaxPool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if _, err := arith(in, 1, 1); err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	return inferPool(in, s, err, o.CeilMode)
}

func (o *AveragePool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	return inferPool(in, s, err, o.CeilMode)
}

func inferPool(in []*ir.Type, s Spatial, err error, ceil bool) ([]ir.Type, error) {
	if err != nil {
		return nil, err
	}
	x := in[0]
	if len(x.Shape) < 3 {
		return nil, fmt.Errorf("input 0: want 3 or more dims, got %v", *x)
	}
	if len(s.Kernel) != len(x.Shape)-2 {
		return nil, fmt.Errorf("kernel %v: want %d axes for %v", s.Kernel, len(x.Shape)-2, *x)
	}
	shape := []int{x.Shape[0], x.Shape[1]}
	for i, d := range x.Shape[2:] {
		if e := s.Extent(i); s.Begin[i] >= e || s.End[i] >= e {
			return nil, fmt.Errorf("pads %d and %d: want less than the window of %d, which would lie in the padding", s.Begin[i], s.End[i], e)
		}
		n, err := s.Out(i, d, ceil)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *MaxPool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	switch {
	case x.I != nil:
		least, _ := x.Elem.Range()
		maxima(y.I, x.I, s, x.Shape, y.Shape, least)
		return out, nil
	case len(s.Kernel) > 2:
		maxima(y.F, x.F, s, x.Shape, y.Shape, leastReal)
		return out, nil
	}
	g := conv2d(s, x.Shape, y.Shape)
	if g.halves() {
		for p := range x.Shape[0] * x.Shape[1] {
			g.maxHalves(y.F[p*g.oh*g.ow:][:g.oh*g.ow], x.F[p*g.h*g.w:][:g.h*g.w])
		}
		return out, nil
	}
	taps := newTaps(&g)
	fill(y.F, leastReal)
	for p := range x.Shape[0] * x.Shape[1] {
		img, dst := x.F[p*g.h*g.w:][:g.h*g.w], y.F[p*g.oh*g.ow:][:g.oh*g.ow]
		taps.rows(&g, func(oy, iy int) {
			line, row := img[iy*g.w:(iy+1)*g.w], dst[oy*g.ow:(oy+1)*g.ow]
			for _, t := range taps {
				ix := t.first
				for ox := t.lo; ox < t.hi; ox++ {
					row[ox] = max(row[ox], line[ix])
					ix += g.sw
				}
			}
		})
	}
	return out, nil
}

// halves reports whether the window is the most frequent one of pools: 2 by 2 side by side, all of it inside the input.
func (g *geom) halves() bool {
	return g.kh == 2 && g.kw == 2 && g.sh == 2 && g.sw == 2 && g.dh == 1 && g.dw == 1 && g.ph == 0 && g.pw == 0 && 2*g.oh <= g.h && 2*g.ow <= g.w
}

func (g *geom) maxHalves(dst, src []float32) {
	for oy := range g.oh {
		row := dst[oy*g.ow:][:g.ow]
		a, b := src[2*oy*g.w:][:2*len(row)], src[(2*oy+1)*g.w:][:2*len(row)]
		for i := range row {
			row[i] = max(a[2*i], a[2*i+1], b[2*i], b[2*i+1])
		}
	}
}

func (o *AveragePool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	counts := o.Counts(s, x.Shape, y.Shape)
	if len(s.Kernel) > 2 {
		sums(y.F, x.F, s, x.Shape, y.Shape)
		for i := range y.F {
			y.F[i] /= float32(max(counts[i%len(counts)], 1))
		}
		return out, nil
	}
	g := conv2d(s, x.Shape, y.Shape)
	taps := newTaps(&g)
	for p := range x.Shape[0] * x.Shape[1] {
		img, dst := x.F[p*g.h*g.w:][:g.h*g.w], y.F[p*g.oh*g.ow:][:g.oh*g.ow]
		taps.rows(&g, func(oy, iy int) {
			line, row := img[iy*g.w:(iy+1)*g.w], dst[oy*g.ow:(oy+1)*g.ow]
			for _, t := range taps {
				ix := t.first
				for ox := t.lo; ox < t.hi; ox++ {
					row[ox] += line[ix]
					ix += g.sw
				}
			}
		})
		for i := range dst {
			dst[i] /= float32(max(counts[i], 1)) // the mean of nothing is 0
		}
	}
	return out, nil
}

// Counts are the taps that count at each position of a result plane, row major: the divisors. x and y are the shapes of input and result.
// It is 0 where dilated taps all miss the input.
func (o *AveragePool) Counts(s Spatial, x, y []int) []int {
	d := []int{1}
	for i := range s.Kernel {
		var next []int
		for _, r := range d {
			for _, c := range o.countsAlong(s, i, x[2+i], y[2+i]) {
				next = append(next, r*c)
			}
		}
		d = next
	}
	return d
}

// countsAlong are the taps that count for each of n output positions of axis i with an input of the given size.
func (o *AveragePool) countsAlong(s Spatial, i, in, n int) []int {
	lo, hi := 0, in
	if o.CountIncludePad {
		lo, hi = -s.Begin[i], in+s.End[i]
	}
	c := make([]int, n)
	for p := range c {
		for k := range s.Kernel[i] {
			if at := p*s.Stride[i] - s.Begin[i] + k*s.Dilation[i]; at >= lo && at < hi {
				c[p]++
			}
		}
	}
	return c
}

// tap is one column of a window: the output columns lo..hi-1 whose input column, first + (ox-lo)*stride, lies inside the image.
type tap struct{ lo, hi, first int }

type taps []tap

func newTaps(g *geom) taps {
	t := make(taps, g.kw)
	for kx := range t {
		off := kx*g.dw - g.pw // input column of output column 0
		lo := 0
		if off < 0 {
			lo = (-off + g.sw - 1) / g.sw
		}
		hi := min(g.ow, max(0, (g.w-off+g.sw-1)/g.sw))
		if t[kx] = (tap{lo, hi, off + lo*g.sw}); lo >= hi {
			t[kx] = tap{}
		}
	}
	return t
}

// rows calls f for every output row and each input row that its window reaches.
func (t taps) rows(g *geom, f func(oy, iy int)) {
	for oy := range g.oh {
		for ky := range g.kh {
			if iy := oy*g.sh - g.ph + ky*g.dh; iy >= 0 && iy < g.h {
				f(oy, iy)
			}
		}
	}
}

// GlobalAveragePool is ONNX's (1, 22): the mean of each channel of [N,C,spatial...], spatial sizes 1 in the result.
type GlobalAveragePool struct{}

// GlobalMaxPool is ONNX's (1, 22): the maximum of each channel.
type GlobalMaxPool struct{}

func (*GlobalAveragePool) OpName() string { return "GlobalAveragePool" }
func (*GlobalMaxPool) OpName() string     { return "GlobalMaxPool" }

func (*GlobalAveragePool) Infer(in []*ir.Type) ([]ir.Type, error) { return inferGlobal(in) }
func (*GlobalMaxPool) Infer(in []*ir.Type) ([]ir.Type, error)     { return inferGlobal(in) }

func inferGlobal(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if len(x.Shape) < 3 {
		return nil, fmt.Errorf("input 0: want 3 or more dims, got %v", *x)
	}
	shape := ones(len(x.Shape))
	copy(shape, x.Shape[:2])
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *GlobalAveragePool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return globalPool(o, in, func(x []float32) float32 {
		sum := 0.0
		for _, v := range x {
			sum += float64(v)
		}
		return float32(sum / float64(len(x)))
	})
}

func (o *GlobalMaxPool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return globalPool(o, in, func(x []float32) float32 {
		m := leastReal
		for _, v := range x {
			m = max(m, v)
		}
		return m
	})
}

func globalPool(o ir.Op, in []*tensor.T, f func([]float32) float32) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	_, inner := block(in[0].Shape, 1)
	for i := range out[0].F {
		out[0].F[i] = f(in[0].F[i*inner : (i+1)*inner])
	}
	return out, nil
}
