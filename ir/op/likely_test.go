package op

import (
	"math/rand/v2"

	"quern/ir/tensor"
)

// likely makes cases for TestAnything that fit operators which chance hardly hits: most of them are good.
var likely = map[string]func(r *rand.Rand) (Op, []*tensor.T){
	"Conv": func(r *rand.Rand) (Op, []*tensor.T) {
		size := randShape(r, 1+r.IntN(2), 4)
		w := randWindow(r, size, true)
		return &Conv{Group: 1, Strides: w.stride, Pads: w.pads, Dilations: w.dil}, []*tensor.T{
			randT(r, tensor.F32, append([]int{r.IntN(3), 2}, size...)...), randT(r, tensor.F32, append([]int{3, 2}, w.kernel...)...)}
	},
	"ConvTranspose": func(r *rand.Rand) (Op, []*tensor.T) {
		size := randShape(r, 1+r.IntN(3), 4)
		w := randWindow(r, size, true)
		group, cg, mg := 1+r.IntN(2), 1+r.IntN(2), 1+r.IntN(3)
		o := &ConvTranspose{Group: group, Strides: w.stride, Pads: w.pads, Dilations: w.dil, OutputPadding: randShape(r, len(size), 3)}
		in := []*tensor.T{randT(r, tensor.F32, append([]int{r.IntN(3), group * cg}, size...)...),
			randT(r, tensor.F32, append([]int{group * cg, mg}, w.kernel...)...)}
		if r.IntN(2) == 0 {
			in = append(in, randT(r, tensor.F32, group*mg))
		}
		return o, in
	},
	"Resize": func(r *rand.Rand) (Op, []*tensor.T) {
		x := randT(r, tensor.F32, randShape(r, 1+r.IntN(4), 5)...)
		return randResize(r, x.Shape), []*tensor.T{x}
	},
}

func randResize(r *rand.Rand, shape []int) *Resize {
	word := func(s ...string) string { return s[r.IntN(len(s))] }
	o := &Resize{
		Mode:        word("nearest", "linear", "cubic"),
		Coordinates: word("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"),
		Nearest:     word("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
		CubicA:      -0.75, Exclude: r.IntN(2) == 0, Extrapolate: 9, Antialias: r.IntN(2) == 0,
		Aspect: word("stretch", "stretch", "not_larger", "not_smaller"),
	}
	n := len(shape)
	if r.IntN(2) == 0 {
		o.Axes = r.Perm(n)[:1+r.IntN(n)]
		n = len(o.Axes)
	}
	sizes := r.IntN(2) == 0
	for range n {
		if sizes {
			o.Sizes = append(o.Sizes, 1+r.IntN(8))
		} else {
			o.Scales = append(o.Scales, []float32{0.4, 0.5, 0.75, 1, 1, 1.25, 2, 2.6}[r.IntN(8)])
		}
		o.Roi = append(o.Roi, float32(r.IntN(3))/4, 1-float32(r.IntN(3))/8)
	}
	return o
}
