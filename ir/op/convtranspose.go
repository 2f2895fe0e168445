package op

import (
	"fmt"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir"
	"quern/ir/tensor"
)

// ConvTranspose is ONNX ConvTranspose (1, 11, 22), the gradient of Conv with respect to its input: x [N,C,spatial...], weights
// [C,M/group,kernel...], bias [M] or none; one to three spatial axes. Input pixel i and tap k add to result pixel
// i*stride + k*dilation - begin, where there is one. Pads are begins then ends and always explicit: the importer resolves auto_pad and
// output_shape. OutputPadding makes the result larger at the end of each axis.
type ConvTranspose struct {
	Strides       []int `attr:"strides"`        // empty: 1
	Pads          []int `attr:"pads"`           // empty: 0
	Dilations     []int `attr:"dilations"`      // empty: 1
	OutputPadding []int `attr:"output_padding"` // empty: 0
	Group         int   `attr:"group"`
}

func (*ConvTranspose) OpName() string { return "ConvTranspose" }

// Spatial is the window of the convolution for a weight shape.
func (o *ConvTranspose) Spatial(weights []int) (Spatial, error) {
	s, err := NewSpatial(weights[2:], o.Strides, o.Dilations, o.Pads)
	if err != nil {
		return s, err
	}
	if p := o.OutputPadding; len(p) != 0 && len(p) != len(s.Kernel) {
		return s, fmt.Errorf("output_padding %v: want %d, one for each spatial axis", p, len(s.Kernel))
	}
	for _, p := range o.OutputPadding {
		if p < 0 {
			return s, fmt.Errorf("output_padding %v: want 0 or more", o.OutputPadding)
		}
	}
	return s, nil
}

// maxSize bounds the size of an axis that is worked out from attributes, far from any overflow.
const maxSize = 1 << 31

// Out is the size of the result on spatial axis i for an input size.
func (o *ConvTranspose) Out(s Spatial, i, in int) (int, error) {
	if in < 0 {
		return 0, fmt.Errorf("spatial dimension %s must be known", ir.DimString(in))
	}
	if max(s.Stride[i], s.Dilation[i], s.Begin[i], s.End[i], in, s.Kernel[i]) > maxSize {
		return 0, fmt.Errorf("strides %v, dilations %v, pads %v and %v: want at most %d", s.Stride, s.Dilation, s.Begin, s.End, maxSize)
	}
	n := (in-1)*s.Stride[i] + s.Extent(i) - s.Begin[i] - s.End[i]
	if len(o.OutputPadding) > 0 {
		n += min(o.OutputPadding[i], maxSize+1)
	}
	if n < 0 || n > maxSize {
		return 0, fmt.Errorf("axis %d of %d pixels gets the size %d: want 0 to %d", i+2, in, n, maxSize)
	}
	return n, nil
}

func (o *ConvTranspose) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 3); err != nil {
		return nil, err
	}
	x, w := in[0], in[1]
	if r := len(x.Shape); r < 3 || r > 5 {
		return nil, fmt.Errorf("input 0: want 3 to 5 dims (one to three spatial axes), got %v", *x)
	}
	if len(w.Shape) != len(x.Shape) || !w.Known() {
		return nil, fmt.Errorf("input 1 (weights): want %d known dims, got %v", len(x.Shape), *w)
	}
	if o.Group < 1 || w.Shape[0]%o.Group != 0 || x.Shape[1] != w.Shape[0] {
		return nil, fmt.Errorf("%v channels and weights %v do not fit %d groups", ir.DimString(x.Shape[1]), *w, o.Group)
	}
	m := w.Shape[1] * o.Group
	if b := given(in, 2); b != nil && (len(b.Shape) != 1 || b.Shape[0] != m) {
		return nil, fmt.Errorf("input 2 (bias): want [%d], got %v", m, *b)
	}
	s, err := o.Spatial(w.Shape)
	if err != nil {
		return nil, err
	}
	shape := []int{x.Shape[0], m}
	for i, d := range x.Shape[2:] {
		n, err := o.Out(s, i, d)
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

// Eval multiplies the transposed weights of a group with the pixels of an image (gonum's Gemm), which gives what every tap adds, and
// scatters that.
func (o *ConvTranspose) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, w, y := in[0], in[1], out[0]
	s, err := o.Spatial(w.Shape)
	if err != nil {
		return nil, err
	}
	cg, mg := w.Shape[0]/o.Group, w.Shape[1]
	pix, size := tensor.Numel(x.Shape[2:]), tensor.Numel(y.Shape[2:])
	taps := tensor.Numel(s.Kernel)
	if bias := given(in, 2); bias != nil {
		for i := range y.Shape[0] * y.Shape[1] {
			fill(y.F[i*size:(i+1)*size], bias.F[i%y.Shape[1]])
		}
	}
	if pix*size*cg*mg == 0 {
		return out, nil
	}
	k := mg * taps
	col := make([]float32, k*pix)
	for n := range x.Shape[0] {
		for q := range o.Group {
			src := x.F[(n*o.Group+q)*cg*pix:][:cg*pix]
			dst := y.F[(n*o.Group+q)*mg*size:][:mg*size]
			blas32.Gemm(blas.Trans, blas.NoTrans, 1, general(cg, k, w.F[q*cg*k:][:cg*k]), general(cg, pix, src), 0, general(k, pix, col))
			for m := range mg {
				s.scatter(dst[m*size:][:size], col[m*taps*pix:][:taps*pix], x.Shape[2:], y.Shape[2:])
			}
		}
	}
	return out, nil
}

// scatter is col2im for one plane: it adds col [taps, positions], whose sizes are pos on each axis, to the plane dst, where tap k of
// position p belongs to pixel p*stride + k*dilation - begin; what lies outside is dropped.
func (s *Spatial) scatter(dst, col []float32, pos, size []int) {
	last, all := len(pos)-1, tensor.Numel(pos)
	stride, dil, begin := s.Stride[last], s.Dilation[last], s.Begin[last]
	n, w := pos[last], size[last]
	// rows adds the taps of the last axis under one tap, one row of positions and one row of pixels of the axes before.
	rows := func(tap, from, to int) {
		line := dst[to*w:][:w]
		for k := range s.Kernel[last] {
			off := k*dil - begin
			lo := 0
			if off < 0 {
				lo = (-off + stride - 1) / stride
			}
			hi := min(n, (w-off+stride-1)/stride)
			if off >= w || lo >= hi {
				continue
			}
			src := col[(tap*s.Kernel[last]+k)*all+from*n:][lo:hi]
			if stride == 1 {
				d := line[lo+off:][:len(src)]
				for i, v := range src {
					d[i] += v
				}
				continue
			}
			at := lo*stride + off
			for _, v := range src {
				line[at] += v
				at += stride
			}
		}
	}
	var walk func(axis, tap, from, to int)
	walk = func(axis, tap, from, to int) {
		if axis == last {
			rows(tap, from, to)
			return
		}
		for k := range s.Kernel[axis] {
			for p := range pos[axis] {
				if i := p*s.Stride[axis] + k*s.Dilation[axis] - s.Begin[axis]; i >= 0 && i < size[axis] {
					walk(axis+1, tap*s.Kernel[axis]+k, from*pos[axis]+p, to*size[axis]+i)
				}
			}
		}
	}
	walk(0, 0, 0, 0)
}
