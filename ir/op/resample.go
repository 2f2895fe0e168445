package op

import "math"

// Taps are what a position of the result along one axis is made of: the sum of Weight[k] times the input at Index[k]. No taps: outside
// (see Resize.Extrapolate).
type Taps struct {
	Index  []int
	Weight []float32
}

// Sources are, for mode nearest, the input positions that the positions of the result along each axis are taken from; -1: outside.
func (o *Resize) Sources(shape []int) ([][]int, error) {
	axes, err := o.axes(shape)
	if err != nil {
		return nil, err
	}
	from := make([][]int, len(axes))
	for i, a := range axes {
		from[i] = make([]int, a.out)
		for k := range from[i] {
			if a.same {
				from[i][k] = k
				continue
			}
			x := o.coordinate(&a, k)
			if o.isOutside(&a, x) {
				from[i][k] = -1
			} else {
				from[i][k] = min(max(o.round(x), 0), a.in-1)
			}
		}
	}
	return from, nil
}

// Taps are, for modes linear and cubic, what the positions of the result along each axis are made of; nil for an axis that stays as it
// is. The result is the same whichever axis is made first, but for rounding.
func (o *Resize) Taps(shape []int) ([][]Taps, error) {
	axes, err := o.axes(shape)
	if err != nil {
		return nil, err
	}
	all := make([][]Taps, len(axes))
	for i, a := range axes {
		if a.same {
			continue
		}
		all[i] = make([]Taps, a.out)
		for k := range all[i] {
			if x := o.coordinate(&a, k); !o.isOutside(&a, x) {
				all[i][k] = o.taps(&a, float64(x))
			}
		}
	}
	return all, nil
}

// coordinate is the place in the input, in pixels, of position k of the result. It is computed in float32, as onnxruntime does: where it
// lies between two pixels the nearest depends on the last bit.
func (o *Resize) coordinate(a *resized, k int) float32 {
	x, in, out := float32(k), float32(a.in), float32(a.out)
	half := (x+0.5)/a.scale - 0.5
	switch o.Coordinates {
	case "half_pixel_symmetric": // the middles of both match, though the size is rounded
		return in/2*(1-out/(in*a.scale)) + half
	case "pytorch_half_pixel":
		if a.out <= 1 {
			return 0
		}
	case "align_corners":
		if a.out <= 1 {
			return 0
		}
		return x * (in - 1) / (out - 1)
	case "asymmetric":
		return x / a.scale
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / a.scale
	case "tf_crop_and_resize":
		if a.out <= 1 {
			return 0.5 * (a.start + a.end) * (in - 1)
		}
		return a.start*(in-1) + x*(a.end-a.start)*(in-1)/(out-1)
	}
	return half
}

func (o *Resize) isOutside(a *resized, x float32) bool {
	return o.Coordinates == "tf_crop_and_resize" && (x < 0 || x > float32(a.in-1))
}

func (o *Resize) round(x float32) int {
	v := float64(x)
	switch o.Nearest {
	case "round_prefer_floor":
		return int(math.Ceil(v - 0.5))
	case "round_prefer_ceil":
		return int(math.Floor(v + 0.5))
	case "floor":
		return int(math.Floor(v))
	}
	return int(math.Ceil(v))
}

// taps weighs the pixels around x with the filter of the mode, which is as wide as a pixel of the result if that is the larger one and
// Antialias is set. Pixels beyond an edge count for the pixel at the edge, or not at all (Exclude).
func (o *Resize) taps(a *resized, x float64) Taps {
	support, filter := 1.0, linearFilter
	if o.Mode == "cubic" {
		c := float64(o.CubicA)
		support, filter = 2, func(d float64) float64 { return cubicFilter(c, d) }
	}
	width := 1.0
	if o.Antialias {
		width = min(1, float64(a.scale))
	}
	weights := map[int]float64{}
	var order []int
	sum := 0.0
	for i := int(math.Ceil(x - support/width)); float64(i) <= x+support/width; i++ {
		w := filter(math.Abs(float64(i)-x) * width)
		at := min(max(i, 0), a.in-1)
		if w == 0 || o.Exclude && at != i {
			continue
		}
		if _, ok := weights[at]; !ok {
			order = append(order, at)
		}
		weights[at] += w
		sum += w
	}
	t := Taps{order, make([]float32, len(order))}
	for k, at := range order {
		t.Weight[k] = float32(weights[at] / sum)
	}
	return t
}

// The filters take a distance of 0 or more, in pixels.

func linearFilter(d float64) float64 { return max(0, 1-d) }

// cubicFilter is Keys's with the parameter a.
func cubicFilter(a, d float64) float64 {
	switch {
	case d <= 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}
