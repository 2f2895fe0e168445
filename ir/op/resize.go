package op

import (
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// Resize is ONNX Resize (10, 11, 13, 18, 19; roi, scales and sizes are inputs there) and Upsample (7, 9): each axis sampled anew. The
// result has Sizes, or floor(size*scale). Without Axes the lists have an entry for every axis. Every mode works on one axis after the
// other: see Sources and Taps.
type Resize struct {
	Roi         []float32 `attr:"roi"`    // starts, then ends, 0 to 1: for tf_crop_and_resize
	Scales      []float32 `attr:"scales"` // result / input
	Sizes       []int     `attr:"sizes"`  // or this; the three stand in the order of ONNX's inputs, on which export relies
	Axes        []int     `attr:"axes"`
	Mode        string    `attr:"mode"` // nearest, linear, cubic
	Coordinates string    `attr:"coordinate_transformation_mode"`
	Nearest     string    `attr:"nearest_mode"`
	CubicA      float32   `attr:"cubic_coeff_a"`
	Exclude     bool      `attr:"exclude_outside"`     // taps outside have no weight, rather than the value at the edge
	Extrapolate float32   `attr:"extrapolation_value"` // outside of the input, for tf_crop_and_resize
	Antialias   bool      `attr:"antialias"`           // linear and cubic: when reducing, the filter is wider
	Aspect      string    `attr:"keep_aspect_ratio_policy"`
}

func newResize() Op {
	return &Resize{Mode: "nearest", Coordinates: "half_pixel", Nearest: "round_prefer_floor", CubicA: -0.75, Aspect: "stretch"}
}

func (*Resize) OpName() string { return "Resize" }

// resized is one axis of a Resize.
type resized struct {
	in, out    int
	scale      float32
	start, end float32 // of the region of interest
	same       bool    // the axis stays as it is; in may be a symbol only then
}

// wantOneOf refuses a word that is not in the list.
func wantOneOf(attr, got string, words ...string) error {
	if slices.Contains(words, got) {
		return nil
	}
	s := words[0]
	for i, w := range words[1:] {
		if i == len(words)-2 {
			s += " or " + w
		} else {
			s += ", " + w
		}
	}
	return fmt.Errorf("%s %q: want %s", attr, got, s)
}

func (o *Resize) checkWords() error {
	if err := wantOneOf("mode", o.Mode, "nearest", "linear", "cubic"); err != nil {
		return err
	}
	if err := wantOneOf("coordinate_transformation_mode", o.Coordinates, "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
		"align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"); err != nil {
		return err
	}
	if err := wantOneOf("nearest_mode", o.Nearest, "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"); err != nil {
		return err
	}
	return wantOneOf("keep_aspect_ratio_policy", o.Aspect, "stretch", "not_larger", "not_smaller")
}

// axes works out the size and scale of every axis.
func (o *Resize) axes(shape []int) ([]resized, error) {
	if err := o.checkWords(); err != nil {
		return nil, err
	}
	r := make([]resized, len(shape))
	for i, d := range shape {
		r[i] = resized{in: d, out: d, scale: 1, end: 1, same: true}
	}
	axes := slices.Clone(o.Axes)
	if len(axes) == 0 {
		for i := range shape {
			axes = append(axes, i)
		}
	} else if _, err := axisSet(axes, len(shape)); err != nil {
		return nil, err
	}
	for i, a := range axes {
		axes[i], _ = axisOf(a, len(shape)) // checked above
	}
	n := len(axes)
	if (len(o.Sizes) == 0) == (len(o.Scales) == 0) && n > 0 {
		return nil, fmt.Errorf("want either sizes or scales, got %s and %s", FormatAttr(o.Sizes), FormatAttr(o.Scales))
	}
	if l := len(o.Sizes) + len(o.Scales); l != n {
		return nil, fmt.Errorf("want a size or scale for each of %d axes, got %d", n, l)
	}
	crop := o.Coordinates == "tf_crop_and_resize"
	if crop && len(o.Roi) != 2*n {
		return nil, fmt.Errorf("tf_crop_and_resize: want %d entries in roi, got %d", 2*n, len(o.Roi))
	}
	for i, a := range axes {
		x := &r[a]
		if crop {
			x.start, x.end = o.Roi[i], o.Roi[n+i]
		}
		if len(o.Sizes) > 0 {
			x.out = o.Sizes[i]
			x.same = x.out == x.in
		} else if x.scale = o.Scales[i]; !(x.scale > 0 && x.scale < maxSize) {
			return nil, fmt.Errorf("scales %v: want more than 0", o.Scales)
		} else {
			x.same = x.scale == 1
		}
		if crop && (x.start != 0 || x.end != 1) {
			x.same = false
		}
		switch {
		case x.same:
		case ir.IsSymbol(x.in):
			return nil, fmt.Errorf("axis %d is resized, so dimension %s must be known", a, ir.DimString(x.in))
		case len(o.Scales) > 0:
			x.out = int(min(float64(float32(x.in)*x.scale), maxSize+1))
		}
		if !x.same && (x.out < 0 || x.out > maxSize || x.in == 0 && x.out > 0) {
			return nil, fmt.Errorf("axis %d cannot be resized from %s to %s", a, ir.DimString(x.in), ir.DimString(x.out))
		}
	}
	if len(o.Sizes) > 0 {
		return r, o.scaleAxes(r, axes)
	}
	return r, nil
}

// scaleAxes works out the scales of axes that have sizes.
func (o *Resize) scaleAxes(r []resized, axes []int) error {
	if o.Aspect == "stretch" {
		for _, a := range axes {
			if x := &r[a]; !x.same {
				x.scale = float32(x.out) / float32(x.in)
			}
		}
		return nil
	}
	best := float32(0)
	for i, a := range axes {
		x := r[a]
		if ir.IsSymbol(x.in) || ir.IsSymbol(x.out) {
			return fmt.Errorf("axis %d: keep_aspect_ratio_policy %s needs known sizes, got %s to %s", a, o.Aspect, ir.DimString(x.in),
				ir.DimString(x.out))
		}
		if x.in == 0 {
			return fmt.Errorf("axis %d cannot be resized from 0 to %d", a, x.out)
		}
		s := float32(x.out) / float32(x.in)
		if i == 0 || o.Aspect == "not_larger" && s < best || o.Aspect == "not_smaller" && s > best {
			best = s
		}
	}
	for _, a := range axes {
		x := &r[a]
		x.scale = best
		x.out = int(math.Floor(float64(best*float32(x.in)) + 0.5))
		x.same = best == 1 && x.start == 0 && x.end == 1
		if x.out > maxSize {
			return fmt.Errorf("axis %d cannot be resized from %d to %d", a, x.in, x.out)
		}
	}
	return nil
}

func (o *Resize) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	if o.Mode != "nearest" && !x.Elem.IsFloat() {
		return nil, fmt.Errorf("input 0: mode %s wants reals, got %v", o.Mode, *x)
	}
	axes, err := o.axes(x.Shape)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(axes))
	for i, a := range axes {
		shape[i] = a.out
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Resize) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	if o.Mode == "nearest" {
		from, err := o.Sources(x.Shape)
		if err != nil {
			return nil, err
		}
		return []*tensor.T{pick(x, from, o.Extrapolate)}, nil
	}
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	taps, err := o.Taps(x.Shape)
	if err != nil {
		return nil, err
	}
	y := x.F
	shape := slices.Clone(x.Shape)
	for a, t := range taps {
		if t == nil {
			continue
		}
		outer, inner := block(shape, a)
		y = resample(y, outer, shape[a], inner, t)
		shape[a] = len(t)
	}
	if &y[0] == &x.F[0] {
		return in[:1], nil
	}
	o.outside(y, taps, shape)
	out[0].F = y
	return out, nil
}

// resample makes one axis anew: [outer,n,inner] becomes [outer,len(taps),inner].
func resample(x []float32, outer, n, inner int, taps []Taps) []float32 {
	y := make([]float32, outer*len(taps)*inner)
	if inner == 1 {
		for o := range outer {
			line, row := x[o*n:(o+1)*n], y[o*len(taps):(o+1)*len(taps)]
			for i := range row {
				t := &taps[i]
				sum := float32(0)
				for k, at := range t.Index {
					sum += t.Weight[k] * line[at]
				}
				row[i] = sum
			}
		}
		return y
	}
	for o := range outer {
		for i, t := range taps {
			row := y[(o*len(taps)+i)*inner:][:inner]
			for k, at := range t.Index {
				w := t.Weight[k]
				for j, v := range x[(o*n+at)*inner:][:inner] {
					row[j] += w * v
				}
			}
		}
	}
	return y
}

// outside puts the extrapolation value where a position is outside on any axis.
func (o *Resize) outside(y []float32, taps [][]Taps, shape []int) {
	for a, t := range taps {
		outer, inner := block(shape, a)
		for i := range t {
			if len(t[i].Index) > 0 {
				continue
			}
			for k := range outer {
				fill(y[(k*len(t)+i)*inner:][:inner], o.Extrapolate)
			}
		}
	}
}
