package op

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/ir"
	"quern/ir/tensor"
)

// Windows over any number of spatial axes, by a list of what each of them reads. Up to two axes of reals have faster loops of their own.

// offsets lists the input positions of the taps for one output position after the other, all row major; -1 lies in the padding. x and y
// are the shapes [N,C,spatial...] of input and output.
func (s *Spatial) offsets(x, y []int) []int {
	list, taps := []int{0}, 1
	for i, k := range s.Kernel {
		n, size := y[2+i], x[2+i]
		next := make([]int, 0, len(list)*n*k)
		for o := 0; o < len(list); o += taps {
			for p := range n {
				for _, base := range list[o : o+taps] {
					for t := range k {
						at := p*s.Stride[i] - s.Begin[i] + t*s.Dilation[i]
						if base < 0 || at < 0 || at >= size {
							next = append(next, -1)
						} else {
							next = append(next, base*size+at)
						}
					}
				}
			}
		}
		list, taps = next, taps*k
	}
	return list
}

// planes calls f for each of the N*C planes with the range of its input and output elements.
func planes(x, y []int, f func(x0, x1, y0, y1 int)) {
	in, out := tensor.Numel(x[2:]), tensor.Numel(y[2:])
	for p := range x[0] * x[1] {
		f(p*in, (p+1)*in, p*out, (p+1)*out)
	}
}

// argMaxes is the input position that wins in each window of a plane, the first of equals; -1 where all of the window is padding. NaN
// wins.
func argMaxes[T number](plane []T, offsets []int, win []int) {
	taps := len(offsets) / len(win)
	for o := range win {
		win[o] = -1
		for _, at := range offsets[o*taps : (o+1)*taps] {
			if at >= 0 && (win[o] < 0 || plane[at] > plane[win[o]] || plane[at] != plane[at] && plane[win[o]] == plane[win[o]]) {
				win[o] = at
			}
		}
	}
}

// maxima is a MaxPool; least is what a window has that is all padding.
func maxima[T number](dst, src []T, s Spatial, x, y []int, least T) {
	off := s.offsets(x, y)
	win := make([]int, tensor.Numel(y[2:]))
	if len(win) == 0 {
		return
	}
	planes(x, y, func(x0, x1, y0, y1 int) {
		argMaxes(src[x0:x1], off, win)
		for i, at := range win {
			dst[y0+i] = least
			if at >= 0 {
				dst[y0+i] = src[x0+at]
			}
		}
	})
}

// sums are the sums over the windows.
func sums(dst, src []float32, s Spatial, x, y []int) {
	off := s.offsets(x, y)
	taps := tensor.Numel(s.Kernel)
	planes(x, y, func(x0, _, y0, y1 int) {
		for o := range y1 - y0 {
			for _, at := range off[o*taps : (o+1)*taps] {
				if at >= 0 {
					dst[y0+o] += src[x0+at]
				}
			}
		}
	})
}

// convolve adds a convolution to dst by unfolding the input.
func convolve(dst, src, weights []float32, s Spatial, x, w, y []int, group int) {
	off := s.offsets(x, y)
	size, pix, taps := tensor.Numel(x[2:]), tensor.Numel(y[2:]), tensor.Numel(s.Kernel)
	cg, mg := w[1], w[0]/group
	k := cg * taps
	if k == 0 || pix == 0 || mg == 0 {
		return
	}
	col := make([]float32, k*pix)
	for g := range x[0] * group {
		for c := range cg {
			plane := src[(g*cg+c)*size:][:size]
			for t := range taps {
				row := col[(c*taps+t)*pix:][:pix]
				for o := range row {
					row[o] = 0
					if at := off[o*taps+t]; at >= 0 {
						row[o] = plane[at]
					}
				}
			}
		}
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, general(mg, k, weights[g%group*mg*k:][:mg*k]), general(k, pix, col), 1, general(mg, pix, dst[g*mg*pix:][:mg*pix]))
	}
}

// MaxPoolIndices is the second result of ONNX MaxPool (8 and later): for each window of [N,C,spatial...] the position of its greatest
// element, the first of equals, in the flattened input as int64. With StorageOrder 1 the first spatial axis runs fastest inside a plane.
type MaxPoolIndices struct {
	KernelShape  []int `attr:"kernel_shape"`
	Strides      []int `attr:"strides"`   // empty: 1
	Pads         []int `attr:"pads"`      // empty: 0
	Dilations    []int `attr:"dilations"` // empty: 1
	CeilMode     bool  `attr:"ceil_mode"`
	StorageOrder int   `attr:"storage_order"` // 0 or 1
}

func (*MaxPoolIndices) OpName() string { return "MaxPoolIndices" }

func (o *MaxPoolIndices) pool() *MaxPool {
	return &MaxPool{o.KernelShape, o.Strides, o.Pads, o.Dilations, o.CeilMode}
}

func (o *MaxPoolIndices) Infer(in []*ir.Type) ([]ir.Type, error) {
	r, err := o.pool().Infer(in)
	if err != nil {
		return nil, err
	}
	if o.StorageOrder != 0 && o.StorageOrder != 1 {
		return nil, fmt.Errorf("storage_order %d: want 0 or 1", o.StorageOrder)
	}
	r[0].Elem = tensor.I64
	return r, nil
}

func (o *MaxPoolIndices) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	s, err := o.pool().Spatial()
	if err != nil {
		return nil, err
	}
	x, y := in[0], out[0]
	if y.Len() == 0 {
		return out, nil
	}
	off := s.offsets(x.Shape, y.Shape)
	win := make([]int, tensor.Numel(y.Shape[2:]))
	order := planeOrder(x.Shape[2:], o.StorageOrder)
	empty := false
	planes(x.Shape, y.Shape, func(x0, x1, y0, y1 int) {
		if x.F != nil {
			argMaxes(x.F[x0:x1], off, win)
		} else {
			argMaxes(x.I[x0:x1], off, win)
		}
		for i, at := range win {
			if empty = empty || at < 0; at >= 0 {
				y.I[y0+i] = int64(x0 + order[at])
			}
		}
	})
	if empty {
		return nil, fmt.Errorf("a window has no element of the input")
	}
	return out, nil
}

// planeOrder is where the elements of a plane come in its storage order.
func planeOrder(shape []int, storage int) []int {
	order := make([]int, tensor.Numel(shape))
	stride := tensor.Strides(shape)
	if storage == 1 {
		rev := slices.Clone(shape)
		slices.Reverse(rev)
		stride = tensor.Strides(rev)
		slices.Reverse(stride)
	}
	i := 0
	tensor.Walk(shape, stride, func(off int) {
		order[i] = off
		i++
	})
	return order
}

// leastReal is below all reals.
var leastReal = float32(math.Inf(-1))
