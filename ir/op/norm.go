package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// The normalizations over groups of elements: (x - mean) / sqrt(variance + Epsilon), times a scale, plus a bias. Mean and variance are
// accumulated in float64.
type (
	// InstanceNormalization is ONNX's (6, 22): each channel of each image of [N,C,spatial...]; scale and bias are [C].
	InstanceNormalization struct {
		Epsilon float32 `attr:"epsilon"`
	}
	// GroupNormalization is ONNX's (18, 21): NumGroups groups of channels of each image; scale and bias are [C]. (In 18 they are for
	// groups: the importer repeats them.)
	GroupNormalization struct {
		NumGroups int     `attr:"num_groups"`
		Epsilon   float32 `attr:"epsilon"`
	}
	// LayerNormalization is ONNX's (17) with one result: the axes from Axis on; scale and bias (optional) broadcast to them.
	LayerNormalization struct {
		Axis    int     `attr:"axis"`
		Epsilon float32 `attr:"epsilon"`
	}
	// LayerNormalizationStats is LayerNormalization with three results: also the means and 1/sqrt(variance + Epsilon), the axes from Axis
	// on with size 1.
	LayerNormalizationStats struct {
		Axis    int     `attr:"axis"`
		Epsilon float32 `attr:"epsilon"`
	}
	// RMSNormalization is ONNX's (23): x / sqrt(mean of squares + Epsilon) * scale over the axes from Axis on.
	RMSNormalization struct {
		Axis    int     `attr:"axis"`
		Epsilon float32 `attr:"epsilon"`
	}
	// MeanVarianceNormalization is ONNX's (9, 13): (x - mean) / (deviation + 1e-9) over the given axes.
	MeanVarianceNormalization struct {
		Axes []int `attr:"axes"`
	}
)

func (*InstanceNormalization) OpName() string     { return "InstanceNormalization" }
func (*GroupNormalization) OpName() string        { return "GroupNormalization" }
func (*LayerNormalization) OpName() string        { return "LayerNormalization" }
func (*LayerNormalizationStats) OpName() string   { return "LayerNormalizationStats" }
func (*RMSNormalization) OpName() string          { return "RMSNormalization" }
func (*MeanVarianceNormalization) OpName() string { return "MeanVarianceNormalization" }

// inferChannelNorm checks x [N,C,...] and two vectors of C.
func inferChannelNorm(in []*ir.Type, rank int) ([]ir.Type, error) {
	if err := reals(in, 3, 3); err != nil {
		return nil, err
	}
	x := in[0]
	if len(x.Shape) < rank {
		return nil, fmt.Errorf("input 0: want %d or more dims, got %v", rank, *x)
	}
	for i, name := range []string{"scale", "bias"} {
		if t := in[i+1]; len(t.Shape) != 1 || !mayEqual(t.Shape[0], x.Shape[1]) {
			return nil, fmt.Errorf("input %d (%s): want [%s], got %v", i+1, name, ir.DimString(x.Shape[1]), *t)
		}
	}
	return sameType(x), nil
}

func (o *InstanceNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferChannelNorm(in, 3)
}

func (o *GroupNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	t, err := inferChannelNorm(in, 2)
	if err != nil {
		return nil, err
	}
	if c := in[0].Shape[1]; ir.IsSymbol(c) || o.NumGroups < 1 || c%o.NumGroups != 0 {
		return nil, fmt.Errorf("%s channels cannot be split into %d groups", ir.DimString(c), o.NumGroups)
	}
	return t, nil
}

// inferLayerNorm checks scale and bias against the axes from axis on.
func inferLayerNorm(in []*ir.Type, least, most, axis int) ([]ir.Type, error) {
	if err := reals(in, least, most); err != nil {
		return nil, err
	}
	x := in[0]
	a, err := axisOf(axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"scale", "bias"} {
		if t := given(in, i+1); t != nil {
			if err := broadcastTo(t.Shape, x.Shape[a:]); err != nil {
				return nil, fmt.Errorf("input %d (%s): %w", i+1, name, err)
			}
		}
	}
	return sameType(x), nil
}

func (o *LayerNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferLayerNorm(in, 2, 3, o.Axis)
}

func (o *LayerNormalizationStats) Infer(in []*ir.Type) ([]ir.Type, error) {
	t, err := inferLayerNorm(in, 2, 3, o.Axis)
	if err != nil {
		return nil, err
	}
	x := in[0].Shape
	a, _ := axisOf(o.Axis, len(x)) // checked above
	shape := ones(len(x))
	copy(shape, x[:a])
	stat := ir.Type{Elem: tensor.F32, Shape: shape}
	return append(t, stat, stat.Clone()), nil
}

func (o *RMSNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	return inferLayerNorm(in, 2, 2, o.Axis)
}

func (o *MeanVarianceNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	t, err := realMap(in)
	if err == nil {
		_, err = axisSet(o.Axes, len(in[0].Shape))
	}
	return t, err
}

// standardize computes dst = (src - mean) * inv, where inv is 1/sqrt(variance + eps).
func standardize(dst, src []float32, eps float32) (mean, inv float64) {
	n := float64(len(src))
	for _, v := range src {
		mean += float64(v)
	}
	mean /= n
	sum := 0.0
	for _, v := range src {
		d := float64(v) - mean
		sum += d * d
	}
	inv = 1 / math.Sqrt(sum/n+float64(eps))
	for i, v := range src {
		dst[i] = float32((float64(v) - mean) * inv)
	}
	return mean, inv
}

// affine multiplies each plane of [N,C,...] with its channel's scale and adds the bias.
func affine(y *tensor.T, scale, bias []float32) {
	_, inner := block(y.Shape, 1)
	for i, c := 0, 0; i < len(y.F); i += inner {
		m, a := scale[c], bias[c]
		row := y.F[i : i+inner]
		for k, v := range row {
			row[k] = v*m + a
		}
		if c++; c == len(scale) {
			c = 0
		}
	}
}

func (o *InstanceNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return channelNorm(o, in, in[0].Shape[1], o.Epsilon)
}

func (o *GroupNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return channelNorm(o, in, o.NumGroups, o.Epsilon)
}

func channelNorm(o ir.Op, in []*tensor.T, groups int, eps float32) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, y := in[0], out[0]
	n := len(x.F) / (x.Shape[0] * groups)
	for i := 0; i < len(x.F); i += n {
		standardize(y.F[i:i+n], x.F[i:i+n], eps)
	}
	affine(y, in[1].F, in[2].F)
	return out, nil
}

func (o *LayerNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := (&LayerNormalizationStats{o.Axis, o.Epsilon}).Eval(in)
	return out[:min(1, len(out))], err
}

func (o *LayerNormalizationStats) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, y := in[0], out[0]
	n := len(x.F) / len(out[1].F)
	for i := range out[1].F {
		mean, inv := standardize(y.F[i*n:(i+1)*n], x.F[i*n:(i+1)*n], o.Epsilon)
		out[1].F[i], out[2].F[i] = float32(mean), float32(inv)
	}
	scaleBy(y, in[1])
	if b := given(in, 2); b != nil {
		zip(y.F, y.F, b.F, y.Shape, y.Shape, b.Shape, add[float32])
	}
	return out, nil
}

// scaleBy multiplies by a tensor that broadcasts to y.
func scaleBy(y, s *tensor.T) { zip(y.F, y.F, s.F, y.Shape, y.Shape, s.Shape, mul[float32]) }

func (o *RMSNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, y := in[0], out[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	n := tensor.Numel(x.Shape[a:])
	for i := 0; i < len(x.F); i += n {
		sum := 0.0
		for _, v := range x.F[i : i+n] {
			sum += float64(v) * float64(v)
		}
		inv := 1 / math.Sqrt(sum/float64(n)+float64(o.Epsilon))
		for k, v := range x.F[i : i+n] {
			y.F[i+k] = float32(float64(v) * inv)
		}
	}
	scaleBy(y, in[1])
	return out, nil
}

// Eval brings the axes to the end, so that what is normalized together lies together.
func (o *MeanVarianceNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	set, err := axisSet(o.Axes, len(x.Shape))
	if err != nil {
		return nil, err
	}
	var perm []int
	n := 1
	for i, s := range set {
		if !s {
			perm = append(perm, i)
		}
	}
	for i, s := range set {
		if s {
			perm = append(perm, i)
			n *= x.Shape[i]
		}
	}
	p := x.Permute(perm) // a copy
	for i := 0; i < len(p.F); i += n {
		row := p.F[i : i+n]
		_, inv := standardize(row, row, 0)
		k := float32(1 / (1 + 1e-9*inv)) // 1/(deviation + 1e-9) rather than 1/deviation
		for j := range row {
			if math.IsInf(inv, 1) {
				row[j] = 0
			} else {
				row[j] *= k
			}
		}
	}
	back := make([]int, len(perm))
	for i, a := range perm {
		back[a] = i
	}
	return []*tensor.T{p.Permute(back)}, nil
}
