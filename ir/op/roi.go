package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

type (
	// MaxRoiPool is ONNX's (1, 22): of x [N,C,H,W] the maxima of a grid of PooledShape over each region; regions [R,5] are image number,
	// x1, y1, x2, y2 (inclusive), times SpatialScale. A cell without pixels is 0.
	MaxRoiPool struct {
		PooledShape  []int   `attr:"pooled_shape"`
		SpatialScale float32 `attr:"spatial_scale"`
	}
	// RoiAlign is ONNX's (10, 16, 22): as MaxRoiPool with regions [R,4], image numbers in input 2 [R], and values between the pixels:
	// each cell is the mean (Mode avg) or maximum (max) of SamplingRatio^2 places; 0: as many as the cell has pixels. The coordinates are
	// shifted by half a pixel (half_pixel, the default since 16) or not (output_half_pixel).
	RoiAlign struct {
		Mode          string  `attr:"mode"`
		OutputHeight  int     `attr:"output_height"`
		OutputWidth   int     `attr:"output_width"`
		SamplingRatio int     `attr:"sampling_ratio"`
		SpatialScale  float32 `attr:"spatial_scale"`
		Coordinates   string  `attr:"coordinate_transformation_mode"`
	}
)

func newRoiAlign() Op {
	return &RoiAlign{Mode: "avg", OutputHeight: 1, OutputWidth: 1, SpatialScale: 1, Coordinates: "half_pixel"}
}

func (*MaxRoiPool) OpName() string { return "MaxRoiPool" }
func (*RoiAlign) OpName() string   { return "RoiAlign" }

func inferRoi(in []*ir.Type, columns, h, w int) ([]ir.Type, error) {
	x, roi := in[0], in[1]
	if len(x.Shape) != 4 || ir.IsSymbol(x.Shape[2]) || ir.IsSymbol(x.Shape[3]) {
		return nil, fmt.Errorf("input 0: want [N,C,H,W] with a known height and width, got %v", *x)
	}
	if len(roi.Shape) != 2 || roi.Shape[1] != columns {
		return nil, fmt.Errorf("input 1 (regions): want [R,%d], got %v", columns, *roi)
	}
	if h < 1 || w < 1 || h > maxSize || w > maxSize {
		return nil, fmt.Errorf("result of %d rows and %d columns: want 1 or more", h, w)
	}
	return []ir.Type{{Elem: x.Elem, Shape: []int{roi.Shape[0], x.Shape[1], h, w}}}, nil
}

func (o *MaxRoiPool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 2, 2); err != nil {
		return nil, err
	}
	if len(o.PooledShape) != 2 {
		return nil, fmt.Errorf("pooled_shape %v: want 2 sizes", o.PooledShape)
	}
	return inferRoi(in, 5, o.PooledShape[0], o.PooledShape[1])
}

func (o *RoiAlign) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 3, 3); err != nil {
		return nil, err
	}
	if err := reals(in[:2], 2, 2); err != nil {
		return nil, err
	}
	if n := in[2]; !n.Elem.IsInt() || len(n.Shape) != 1 || len(in[1].Shape) > 0 && !mayEqual(n.Shape[0], in[1].Shape[0]) {
		return nil, fmt.Errorf("input 2 (images): want an integer for each region of %v, got %v", *in[1], *n)
	}
	if err := wantOneOf("mode", o.Mode, "avg", "max"); err != nil {
		return nil, err
	}
	if err := wantOneOf("coordinate_transformation_mode", o.Coordinates, "half_pixel", "output_half_pixel"); err != nil {
		return nil, err
	}
	if o.SamplingRatio < 0 || o.SamplingRatio > 1<<10 {
		return nil, fmt.Errorf("sampling_ratio %d: want 0 to 1024", o.SamplingRatio)
	}
	return inferRoi(in, 4, o.OutputHeight, o.OutputWidth)
}

func (o *MaxRoiPool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, rois, y := in[0], in[1], out[0]
	c, h, w := x.Shape[1], x.Shape[2], x.Shape[3]
	ph, pw := o.PooledShape[0], o.PooledShape[1]
	round := func(v float32) int { return int(math.Round(float64(v * o.SpatialScale))) }
	// cell is the range of pixels of cell i of n over first..last, inside 0..size.
	cell := func(i, n, first, last, size int) (int, int) {
		bin := float32(max(last-first+1, 1)) / float32(n)
		lo := int(math.Floor(float64(float32(i) * bin)))
		hi := int(math.Ceil(float64(float32(i+1) * bin)))
		return min(max(lo+first, 0), size), min(max(hi+first, 0), size)
	}
	for r := range rois.Shape[0] {
		roi := rois.F[r*5:][:5]
		n := int(roi[0])
		if n < 0 || n >= x.Shape[0] {
			return nil, fmt.Errorf("region %d is of image %d: want 0 to %d", r, n, x.Shape[0]-1)
		}
		for ch := range c {
			img := x.F[(n*c+ch)*h*w:][:h*w]
			dst := y.F[(r*c+ch)*ph*pw:][:ph*pw]
			for i := range dst {
				y0, y1 := cell(i/pw, ph, round(roi[2]), round(roi[4]), h)
				x0, x1 := cell(i%pw, pw, round(roi[1]), round(roi[3]), w)
				if y1 <= y0 || x1 <= x0 {
					continue
				}
				top := float32(math.Inf(-1))
				for row := y0; row < y1; row++ {
					for _, v := range img[row*w+x0 : row*w+x1] {
						top = max(top, v)
					}
				}
				dst[i] = top
			}
		}
	}
	return out, nil
}

// roiTap is a place between four pixels.
type roiTap struct {
	at [4]int
	w  [4]float32
}

// between is the place (y, x) of an image; more than a pixel outside it has no weight, else it is moved to the edge.
func between(y, x float32, h, w int) roiTap {
	if y < -1 || y > float32(h) || x < -1 || x > float32(w) {
		return roiTap{}
	}
	split := func(v float32, n int) (lo, hi int, f float32) {
		v = max(v, 0)
		if lo = int(v); lo >= n-1 {
			return n - 1, n - 1, 0
		}
		return lo, lo + 1, v - float32(lo)
	}
	y0, y1, fy := split(y, h)
	x0, x1, fx := split(x, w)
	return roiTap{[4]int{y0*w + x0, y0*w + x1, y1*w + x0, y1*w + x1}, [4]float32{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}}
}

// Eval works out the places of a region once for all channels.
func (o *RoiAlign) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, y := in[0], out[0]
	c, h, w := x.Shape[1], x.Shape[2], x.Shape[3]
	if h*w == 0 {
		return out, nil
	}
	cells := o.OutputHeight * o.OutputWidth
	for r := range in[1].Shape[0] {
		n := int(in[2].I[r])
		if n < 0 || n >= x.Shape[0] {
			return nil, fmt.Errorf("region %d is of image %d: want 0 to %d", r, n, x.Shape[0]-1)
		}
		taps, each, err := o.places(in[1].F[r*4:][:4], h, w)
		if err != nil {
			return nil, fmt.Errorf("region %d: %w", r, err)
		}
		for ch := range c {
			img, dst := x.F[(n*c+ch)*h*w:][:h*w], y.F[(r*c+ch)*cells:][:cells]
			for i := range dst {
				sum, top := float32(0), float32(math.Inf(-1))
				for _, t := range taps[i*each : (i+1)*each] {
					for k, at := range t.at {
						v := t.w[k] * img[at]
						sum += v
						top = max(top, v) // of the weighted pixels, as ONNX has it
					}
				}
				switch {
				case each == 0:
				case o.Mode == "max":
					dst[i] = top
				default:
					dst[i] = sum / float32(each)
				}
			}
		}
	}
	return out, nil
}

// places are those of all cells of a region, each of them the same number.
func (o *RoiAlign) places(roi []float32, h, w int) ([]roiTap, int, error) {
	half := float32(0)
	if o.Coordinates == "half_pixel" {
		half = 0.5
	}
	x0, y0 := roi[0]*o.SpatialScale-half, roi[1]*o.SpatialScale-half
	rw, rh := roi[2]*o.SpatialScale-half-x0, roi[3]*o.SpatialScale-half-y0
	if half == 0 {
		rw, rh = max(rw, 1), max(rh, 1)
	}
	bh, bw := rh/float32(o.OutputHeight), rw/float32(o.OutputWidth)
	ny, nx := o.SamplingRatio, o.SamplingRatio
	if ny == 0 {
		ny, nx = int(math.Ceil(float64(bh))), int(math.Ceil(float64(bw)))
	}
	if ny = max(ny, 0); ny > 1<<16 || nx > 1<<16 {
		return nil, 0, fmt.Errorf("%v is too large", roi)
	}
	nx = max(nx, 0)
	var taps []roiTap
	for i := range o.OutputHeight {
		for j := range o.OutputWidth {
			for a := range ny {
				for b := range nx {
					y := y0 + float32(i)*bh + (float32(a)+0.5)*bh/float32(ny)
					x := x0 + float32(j)*bw + (float32(b)+0.5)*bw/float32(nx)
					taps = append(taps, between(y, x, h, w))
				}
			}
		}
	}
	return taps, ny * nx, nil
}
