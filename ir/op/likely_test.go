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

func init() {
	type kind = func(r *rand.Rand) (Op, []*tensor.T)
	real := func(r *rand.Rand, shape ...int) *tensor.T { return randT(r, tensor.F32, shape...) }
	byte8 := func(r *rand.Rand, shape ...int) *tensor.T { return randT(r, tensor.U(8), shape...) }
	pick := func(r *rand.Rand, s ...string) string { return s[r.IntN(len(s))] }
	axis := func(r *rand.Rand, shape []int) int { return r.IntN(2*len(shape)) - len(shape) }
	layer := func(make func(axis int) Op, bias bool) kind {
		return func(r *rand.Rand) (Op, []*tensor.T) {
			x := real(r, randShape(r, 1+r.IntN(3), 4)...)
			a := r.IntN(len(x.Shape))
			in := []*tensor.T{x, real(r, x.Shape[a:]...)}
			if bias && r.IntN(2) == 0 {
				in = append(in, real(r, x.Shape[len(x.Shape)-1]))
			}
			return make(a - len(x.Shape)*r.IntN(2)), in
		}
	}
	channels := func(make func(c int) Op) kind {
		return func(r *rand.Rand) (Op, []*tensor.T) {
			x := real(r, randShape(r, 3+r.IntN(2), 4)...)
			c := x.Shape[1]
			return make(c), []*tensor.T{x, real(r, c), real(r, c)}
		}
	}
	pool := func(make func(w window2) Op) kind {
		return func(r *rand.Rand) (Op, []*tensor.T) {
			size := randShape(r, 1+r.IntN(2), 5)
			return make(randWindow(r, size, false)), []*tensor.T{real(r, append([]int{r.IntN(3), 1 + r.IntN(2)}, size...)...)}
		}
	}
	for name, k := range map[string]kind{
		"LayerNormalization":      layer(func(a int) Op { return &LayerNormalization{a, 0.5} }, true),
		"LayerNormalizationStats": layer(func(a int) Op { return &LayerNormalizationStats{a, 0.5} }, true),
		"RMSNormalization":        layer(func(a int) Op { return &RMSNormalization{a, 0.5} }, false),
		"InstanceNormalization":   channels(func(int) Op { return &InstanceNormalization{0.5} }),
		"GroupNormalization":      channels(func(c int) Op { return &GroupNormalization{c, 0.5} }),
		"MeanVarianceNormalization": func(r *rand.Rand) (Op, []*tensor.T) {
			x := real(r, randShape(r, 1+r.IntN(3), 4)...)
			return &MeanVarianceNormalization{r.Perm(len(x.Shape))[:r.IntN(len(x.Shape)+1)]}, []*tensor.T{x}
		},
		"LpNormalization": func(r *rand.Rand) (Op, []*tensor.T) {
			x := real(r, randShape(r, 1+r.IntN(3), 4)...)
			return &LpNormalization{axis(r, x.Shape), 1 + r.IntN(2)}, []*tensor.T{x}
		},
		"LRN": func(r *rand.Rand) (Op, []*tensor.T) {
			return &LRN{0.5, 0.75, 1, 1 + r.IntN(6)}, []*tensor.T{real(r, randShape(r, 2+r.IntN(3), 5)...)}
		},
		"LpPool": pool(func(w window2) Op {
			return &LpPool{w.kernel, w.stride, w.pads, w.dil, w.pads[0] == 1, 1 + w.kernel[0]%3}
		}),
		"MaxUnpool": func(r *rand.Rand) (Op, []*tensor.T) {
			x := real(r, append([]int{1, 1}, randShape(r, 2, 3)...)...)
			at := tensor.New(tensor.I64, x.Shape...)
			for i := range at.I {
				at.I[i] = int64(r.IntN(x.Len()))
			}
			return &MaxUnpool{KernelShape: []int{2, 2}, Strides: []int{1 + r.IntN(3), 2}}, []*tensor.T{x, at}
		},
		"Col2Im": func(r *rand.Rand) (Op, []*tensor.T) {
			size := randShape(r, 1+r.IntN(3), 4)
			w := randWindow(r, size, true)
			n := 1
			for i, d := range size {
				n *= w.outSize(i, d, false)
			}
			return &Col2Im{size, w.kernel, w.stride, w.pads, w.dil},
				[]*tensor.T{real(r, r.IntN(3), 2*tensor.Numel(w.kernel), n)}
		},
		"MaxRoiPool": func(r *rand.Rand) (Op, []*tensor.T) {
			x, roi := real(r, append([]int{2, 2}, randShape(r, 2, 6)...)...), real(r, r.IntN(3), 5)
			for i := range roi.Shape[0] {
				roi.F[i*5] = float32(r.IntN(2))
			}
			return &MaxRoiPool{randShape(r, 2, 3), 0.5}, []*tensor.T{x, roi}
		},
		"RoiAlign": func(r *rand.Rand) (Op, []*tensor.T) {
			x, roi := real(r, append([]int{2, 2}, randShape(r, 2, 6)...)...), real(r, r.IntN(3), 4)
			o := &RoiAlign{pick(r, "avg", "max"), 1 + r.IntN(3), 1 + r.IntN(3), r.IntN(3), 0.5, pick(r, "half_pixel", "output_half_pixel")}
			images := randT(r, tensor.I64, roi.Shape[0])
			for i := range images.I {
				images.I[i] &= 1
			}
			return o, []*tensor.T{x, roi, images}
		},
		"GridSample": func(r *rand.Rand) (Op, []*tensor.T) {
			k := 1 + r.IntN(3)
			x := real(r, append([]int{1 + r.IntN(2), 2}, randShape(r, k, 4)...)...)
			grid := real(r, append(append([]int{x.Shape[0]}, randShape(r, k, 3)...), k)...)
			for i := range grid.F {
				grid.F[i] /= 6
			}
			o := &GridSample{pick(r, "linear", "nearest", "cubic"), pick(r, "zeros", "border", "reflection"), r.IntN(2) == 0}
			return o, []*tensor.T{x, grid}
		},
		"AffineGrid": func(r *rand.Rand) (Op, []*tensor.T) {
			k := 2 + r.IntN(2)
			o := &AffineGrid{append([]int{r.IntN(3), 1}, randShape(r, k, 4)...), r.IntN(2) == 0}
			return o, []*tensor.T{real(r, o.Size[0], k, k+1)}
		},
		"MatMulInteger": func(r *rand.Rand) (Op, []*tensor.T) {
			m, k, n := 1+r.IntN(3), r.IntN(4), 1+r.IntN(3)
			in := []*tensor.T{byte8(r, 2, m, k), byte8(r, k, n), byte8(r), byte8(r, n), byte8(r, m)}
			in[2] = in[[]int{2, 4}[r.IntN(2)]]
			return &MatMulInteger{}, in[:2+r.IntN(3)]
		},
		"ConvInteger": func(r *rand.Rand) (Op, []*tensor.T) {
			o, in := likely["Conv"](r)
			c := o.(*Conv)
			in = []*tensor.T{byte8(r, in[0].Shape...), byte8(r, in[1].Shape...), byte8(r), byte8(r, in[1].Shape[0])}
			return &ConvInteger{c.Strides, c.Pads, c.Dilations, c.Group}, in[:2+r.IntN(3)]
		},
	} {
		likely[name] = k
	}
}
