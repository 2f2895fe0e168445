package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

type (
	// LpPool is ONNX LpPool (2, 11, 18, 22): (sum of |x|^P)^(1/P) of each window. Pads are begins then ends and always explicit.
	LpPool struct {
		KernelShape []int `attr:"kernel_shape"`
		Strides     []int `attr:"strides"`
		Pads        []int `attr:"pads"`
		Dilations   []int `attr:"dilations"`
		CeilMode    bool  `attr:"ceil_mode"`
		P           int   `attr:"p"`
	}
	// GlobalLpPool is ONNX's (2, 22): the same of each channel.
	GlobalLpPool struct {
		P int `attr:"p"`
	}
	// LpNormalization is ONNX's (1, 22): x divided by (sum of |x|^P)^(1/P) along an axis, P 1 or 2; 0 where that is 0.
	LpNormalization struct {
		Axis int `attr:"axis"`
		P    int `attr:"p"`
	}
	// LRN is ONNX LRN (1, 13): x / (Bias + Alpha/Size * sum of squares)^Beta, the sum over the Size channels around that of x in
	// [N,C,spatial...].
	LRN struct {
		Alpha float32 `attr:"alpha"`
		Beta  float32 `attr:"beta"`
		Bias  float32 `attr:"bias"`
		Size  int     `attr:"size"`
	}
)

func (*LpPool) OpName() string          { return "LpPool" }
func (*GlobalLpPool) OpName() string    { return "GlobalLpPool" }
func (*LpNormalization) OpName() string { return "LpNormalization" }
func (*LRN) OpName() string             { return "LRN" }

func checkP(p int) error {
	if p < 1 {
		return fmt.Errorf("p %d: want 1 or more", p)
	}
	return nil
}

// Spatial is the window with all defaults filled in.
func (o *LpPool) Spatial() (Spatial, error) {
	return NewSpatial(o.KernelShape, o.Strides, o.Dilations, o.Pads)
}

func (o *LpPool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	if err := checkP(o.P); err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	return inferPool(in, s, err, o.CeilMode)
}

func (o *GlobalLpPool) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := checkP(o.P); err != nil {
		return nil, err
	}
	return inferGlobal(in)
}

func (o *LpNormalization) Infer(in []*ir.Type) ([]ir.Type, error) {
	if o.P != 1 && o.P != 2 {
		return nil, fmt.Errorf("p %d: want 1 or 2", o.P)
	}
	return alongAxis(in, o.Axis)
}

func (o *LRN) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	if x := in[0]; len(x.Shape) < 2 {
		return nil, fmt.Errorf("input 0: want 2 or more dims, got %v", *x)
	}
	if o.Size < 1 {
		return nil, fmt.Errorf("size %d: want 1 or more", o.Size)
	}
	return sameType(in[0]), nil
}

// powers are |x|^p.
func powers(x []float32, p int) []float32 {
	y := make([]float32, len(x))
	switch p {
	case 1:
		for i, v := range x {
			y[i] = float32(math.Abs(float64(v)))
		}
	case 2:
		for i, v := range x {
			y[i] = v * v
		}
	default:
		for i, v := range x {
			y[i] = float32(math.Pow(math.Abs(float64(v)), float64(p)))
		}
	}
	return y
}

// root is the p-th root.
func root(v float64, p int) float32 {
	switch p {
	case 1:
		return float32(v)
	case 2:
		return float32(math.Sqrt(v))
	}
	return float32(math.Pow(v, 1/float64(p)))
}

// Eval is the mean of powers, not divided.
func (o *LpPool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	s, err := o.Spatial()
	if err != nil {
		return nil, err
	}
	sums(out[0].F, powers(in[0].F, o.P), s, in[0].Shape, out[0].Shape)
	for i, v := range out[0].F {
		out[0].F[i] = root(float64(v), o.P)
	}
	return out, nil
}

func (o *GlobalLpPool) Eval(in []*tensor.T) ([]*tensor.T, error) {
	return globalPool(o, in, func(x []float32) float32 {
		sum := 0.0
		for _, v := range x {
			sum += math.Pow(math.Abs(float64(v)), float64(o.P))
		}
		return root(sum, o.P)
	})
}

func (o *LpNormalization) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	a, err := axisOf(o.Axis, len(x.Shape))
	if err != nil {
		return nil, err
	}
	y := tensor.New(x.Elem, x.Shape...)
	outer, inner := block(x.Shape, a)
	n := x.Shape[a] * inner
	for q := range outer {
		for i := range inner {
			sum := 0.0
			for k := q*n + i; k < (q+1)*n; k += inner {
				v := math.Abs(float64(x.F[k]))
				if o.P == 2 {
					v *= v
				}
				sum += v
			}
			if o.P == 2 {
				sum = math.Sqrt(sum)
			}
			if sum == 0 {
				continue
			}
			for k := q*n + i; k < (q+1)*n; k += inner {
				y.F[k] = float32(float64(x.F[k]) / sum)
			}
		}
	}
	return []*tensor.T{y}, nil
}

// Eval goes over the channels with the sums for all pixels at once.
func (o *LRN) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	x, y := in[0], out[0]
	c := x.Shape[1]
	_, inner := block(x.Shape, 1)
	sum := make([]float64, inner)
	before := (o.Size - 1) / 2
	after := o.Size - 1 - before
	for n := range x.Shape[0] {
		img, dst := x.F[n*c*inner:][:c*inner], y.F[n*c*inner:][:c*inner]
		for i := range c {
			clear(sum)
			for k := max(0, i-before); k <= min(c-1, i+after); k++ {
				for j, v := range img[k*inner : (k+1)*inner] {
					sum[j] += float64(v) * float64(v)
				}
			}
			for j, s := range sum {
				v := float64(img[i*inner+j])
				dst[i*inner+j] = float32(v * math.Pow(float64(o.Bias)+float64(o.Alpha)/float64(o.Size)*s, -float64(o.Beta)))
			}
		}
	}
	return out, nil
}
