package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

type (
	// GridSample is ONNX's (16, 20, 22; the names of the modes are those of 20): x [N,C,spatial...] at the places of a grid
	// [N,positions...,axes], whose coordinates are -1 to 1 with the last spatial axis first. One to three spatial axes; cubic two.
	GridSample struct {
		Mode         string `attr:"mode"`          // linear, nearest, cubic
		PaddingMode  string `attr:"padding_mode"`  // zeros, border, reflection
		AlignCorners bool   `attr:"align_corners"` // -1 and 1 are the middles of the outermost pixels, rather than their edges
	}
	// AffineGrid is ONNX's (20; the size is an input there): a grid for GridSample, made by the matrices [N,2,3] or [N,3,4]. Size is
	// that of the image, [N,C,spatial...].
	AffineGrid struct {
		Size         []int `attr:"size"`
		AlignCorners bool  `attr:"align_corners"`
	}
)

func (*GridSample) OpName() string { return "GridSample" }
func (*AffineGrid) OpName() string { return "AffineGrid" }

// BindDims is the operator with sizes in place of symbols.
func (o *AffineGrid) BindDims(size func(int) int) ir.Op {
	return &AffineGrid{bindAll(o.Size, size), o.AlignCorners}
}

func (o *GridSample) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 2); err != nil {
		return nil, err
	}
	if err := wantOneOf("mode", o.Mode, "linear", "nearest", "cubic"); err != nil {
		return nil, err
	}
	if err := wantOneOf("padding_mode", o.PaddingMode, "zeros", "border", "reflection"); err != nil {
		return nil, err
	}
	x, grid := in[0], in[1]
	k := len(x.Shape) - 2
	if k < 1 || k > 3 || o.Mode == "cubic" && k != 2 {
		return nil, fmt.Errorf("input 0: want 3 to 5 dims (one to three spatial axes; cubic: two), got %v", *x)
	}
	for _, d := range x.Shape[2:] {
		if d < 1 {
			return nil, fmt.Errorf("input 0: want known spatial dimensions of 1 or more, got %v", *x)
		}
	}
	if len(grid.Shape) != k+2 || grid.Shape[k+1] != k || !mayEqual(grid.Shape[0], x.Shape[0]) {
		return nil, fmt.Errorf("input 1 (grid): want [%s,%d positions...,%d], got %v", ir.DimString(x.Shape[0]), k, k, *grid)
	}
	shape := append([]int{unify(x.Shape[0], grid.Shape[0]), x.Shape[1]}, grid.Shape[1:k+1]...)
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

// pad brings a place, in pixels, into the image as the padding mode says; with zeros it may stay outside.
func (o *GridSample) pad(v float64, n int) float64 {
	lo, hi := -0.5, float64(n)-0.5
	if o.AlignCorners {
		lo, hi = 0, float64(n-1)
	}
	switch {
	case v >= lo && v <= hi:
	case o.PaddingMode == "border":
		return min(max(v, 0), float64(n-1))
	case o.PaddingMode == "reflection":
		if hi == lo {
			return lo
		}
		d := math.Mod(math.Abs(v-lo), 2*(hi-lo))
		if d > hi-lo {
			d = 2*(hi-lo) - d
		}
		return lo + d
	}
	return v
}

// pixel is the pixel that stands for pixel i of an axis; -1: zero.
func (o *GridSample) pixel(i float64, n int) int {
	if o.PaddingMode == "zeros" {
		if i < 0 || i >= float64(n) {
			return -1
		}
		return int(i)
	}
	if i < 0 || i >= float64(n) {
		i = o.pad(i, n)
	}
	return min(max(int(i), 0), n-1)
}

// taps are the pixels of one axis around a coordinate.
func (o *GridSample) taps(g float32, n int, t *Taps) {
	v := float64(((g+1)*float32(n) - 1) / 2) // in float32 as onnxruntime does: between two pixels the last bit counts
	if o.AlignCorners {
		v = float64((g + 1) / 2 * float32(n-1))
	}
	t.Index, t.Weight = t.Index[:0], t.Weight[:0]
	if math.IsNaN(v) || math.Abs(v) > 1<<40 {
		v = -1 << 40
	}
	add := func(i, w float64) {
		if at := o.pixel(i, n); at >= 0 && w != 0 {
			t.Index, t.Weight = append(t.Index, at), append(t.Weight, float32(w))
		}
	}
	if o.Mode == "nearest" {
		add(o.pad(math.RoundToEven(v), n), 1)
		return
	}
	if o.Mode == "linear" {
		v = o.pad(v, n)
		first := math.Floor(v)
		add(first, 1-(v-first))
		add(first+1, v-first)
		return
	}
	first := math.Floor(v) // the pixels are padded, not the place
	for i := first - 1; i <= first+2; i++ {
		add(i, cubicFilter(-0.75, math.Abs(v-i)))
	}
}

// Eval works out the taps of a position once for all channels.
func (o *GridSample) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, grid, y := in[0], in[1], out[0]
	k := len(x.Shape) - 2
	size, c := tensor.Numel(x.Shape[2:]), x.Shape[1]
	pix := tensor.Numel(y.Shape[2:])
	axes := make([]Taps, k)
	var all, next Taps // of all axes together
	for n := range x.Shape[0] {
		img, dst := x.F[n*c*size:][:c*size], y.F[n*c*pix:][:c*pix]
		for p := range pix {
			at := grid.F[(n*pix+p)*k:][:k]
			all.Index, all.Weight = append(all.Index[:0], 0), append(all.Weight[:0], 1)
			for a := range axes {
				d := x.Shape[2+a]
				o.taps(at[k-1-a], d, &axes[a])
				next.Index, next.Weight = next.Index[:0], next.Weight[:0]
				for i, base := range all.Index {
					for j, q := range axes[a].Index {
						next.Index = append(next.Index, base*d+q)
						next.Weight = append(next.Weight, all.Weight[i]*axes[a].Weight[j])
					}
				}
				all, next = next, all
			}
			for ch := range c {
				plane := img[ch*size:][:size]
				sum := float32(0)
				for i, q := range all.Index {
					sum += all.Weight[i] * plane[q]
				}
				dst[ch*pix+p] = sum
			}
		}
	}
	return out, nil
}

func (o *AffineGrid) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	k := len(o.Size) - 2
	if k != 2 && k != 3 {
		return nil, fmt.Errorf("size %s: want 4 or 5 dims", FormatAttr(o.Size))
	}
	for _, d := range o.Size[2:] {
		if d < 0 || d > maxSize {
			return nil, fmt.Errorf("size %s: want known spatial dimensions", FormatAttr(o.Size))
		}
	}
	t := in[0]
	if len(t.Shape) != 3 || !mayEqual(t.Shape[0], o.Size[0]) || t.Shape[1] != k || t.Shape[2] != k+1 {
		return nil, fmt.Errorf("input 0: want [%s,%d,%d], got %v", ir.DimString(o.Size[0]), k, k+1, *t)
	}
	shape := append([]int{unify(t.Shape[0], o.Size[0])}, o.Size[2:]...)
	return []ir.Type{{Elem: t.Elem, Shape: append(shape, k)}}, nil
}

func (o *AffineGrid) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	k := len(o.Size) - 2
	size := o.Size[2:]
	pix := tensor.Numel(size)
	stride := tensor.Strides(size)
	for n := range out[0].Shape[0] {
		m := in[0].F[n*k*(k+1):][:k*(k+1)]
		for p := range pix {
			dst := out[0].F[(n*pix+p)*k:][:k]
			for r := range dst {
				row := m[r*(k+1):][:k+1]
				sum := float64(row[k])
				for j := range k { // coordinate j is on spatial axis k-1-j
					d := size[k-1-j]
					sum += float64(row[j]) * o.coordinate(p/stride[k-1-j]%d, d)
				}
				dst[r] = float32(sum)
			}
		}
	}
	return out, nil
}

// coordinate is that of pixel i of n, -1 to 1.
func (o *AffineGrid) coordinate(i, n int) float64 {
	if !o.AlignCorners {
		return (2*float64(i)+1)/float64(n) - 1
	}
	if n == 1 {
		return 0
	}
	return 2*float64(i)/float64(n-1) - 1
}
