package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Products of plain integers of 8 bits, as ONNX has them beside QuantizeLinear: the zero points are optional inputs, the result is int32,
// modulo 2^32.
type (
	// MatMulInteger is ONNX's (10): (A - a_zero) * (B - b_zero), shapes as MatMul. a_zero is one number or one for each row, b_zero one
	// number or one for each column.
	MatMulInteger struct{}
	// ConvInteger is ONNX's (10): as Conv, x with a zero point, which is also what padding has, weights with one zero point or one for each
	// result channel.
	ConvInteger struct {
		Strides   []int `attr:"strides"`
		Pads      []int `attr:"pads"`
		Dilations []int `attr:"dilations"`
		Group     int   `attr:"group"`
	}
	// DynamicQuantizeLinear is ONNX's (11): three results, x as uint8 over its own range widened to 0, the scale and the zero point.
	DynamicQuantizeLinear struct{}
)

func (*MatMulInteger) OpName() string         { return "MatMulInteger" }
func (*ConvInteger) OpName() string           { return "ConvInteger" }
func (*DynamicQuantizeLinear) OpName() string { return "DynamicQuantizeLinear" }

// inferBytes checks two inputs of 8-bit integers and their zero points, and gives real types of the shapes of the two.
func inferBytes(in []*ir.Type) ([]*ir.Type, error) {
	if err := inputs(in, 2, 4); err != nil {
		return nil, err
	}
	for i, t := range in {
		if t == nil {
			continue
		}
		if !t.Elem.IsInt() || t.Elem.Bits > 8 {
			return nil, fmt.Errorf("input %d: want integers of at most 8 bits, got %v", i, *t)
		}
		if i >= 2 && t.Elem != in[i-2].Elem {
			return nil, fmt.Errorf("input %d (zero point): want the element type of input %d, got %v", i, i-2, *t)
		}
	}
	a, b := ir.T(tensor.F32, in[0].Shape...), ir.T(tensor.F32, in[1].Shape...)
	return []*ir.Type{&a, &b}, nil
}

// checkZero wants one number, or n of them.
func checkZero(in []*ir.Type, i, n int, what string) error {
	z := given(in, i)
	if z == nil || len(z.Shape) == 0 || len(z.Shape) == 1 && (z.Shape[0] == 1 || mayEqual(z.Shape[0], n)) {
		return nil
	}
	return fmt.Errorf("input %d (zero point): want one number or one for each of %s %s, got %v", i, ir.DimString(n), what, *z)
}

func (o *MatMulInteger) Infer(in []*ir.Type) ([]ir.Type, error) {
	ab, err := inferBytes(in)
	if err != nil {
		return nil, err
	}
	t, err := (&MatMul{}).Infer(ab)
	if err != nil {
		return nil, err
	}
	a, b := matrices(in[0].Shape, in[1].Shape)
	if err := checkZero(in, 2, a[len(a)-2], "rows"); err != nil {
		return nil, err
	}
	if err := checkZero(in, 3, b[len(b)-1], "columns"); err != nil {
		return nil, err
	}
	t[0].Elem = tensor.I32
	return t, nil
}

// zeros are n zero points; none are 0.
func zeros(in []*tensor.T, i, n int) []int64 {
	r := make([]int64, n)
	if z := given(in, i); z != nil {
		for k := range r {
			r[k] = z.I[k%len(z.I)]
		}
	}
	return r
}

func (o *MatMulInteger) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil || out[0].Len() == 0 {
		return out, err
	}
	a, b := matrices(in[0].Shape, in[1].Shape)
	m, k, n := a[len(a)-2], a[len(a)-1], b[len(b)-1]
	za, zb := zeros(in, 2, m), zeros(in, 3, n)
	ao, bo, err := matrixOffsets(a, b)
	if err != nil {
		return nil, err
	}
	for i := range ao {
		x, w, y := in[0].I[ao[i]:][:m*k], in[1].I[bo[i]:][:k*n], out[0].I[i*m*n:][:m*n]
		for r := range m {
			row := y[r*n : (r+1)*n]
			for q, v := range x[r*k : (r+1)*k] {
				v -= za[r]
				if v == 0 {
					continue
				}
				for c, u := range w[q*n : (q+1)*n] {
					row[c] += v * (u - zb[c])
				}
			}
		}
	}
	wrap(out[0])
	return out, nil
}

func (o *ConvInteger) conv() *Conv { return &Conv{o.Strides, o.Pads, o.Dilations, o.Group} }

func (o *ConvInteger) Infer(in []*ir.Type) ([]ir.Type, error) {
	ab, err := inferBytes(in)
	if err != nil {
		return nil, err
	}
	t, err := o.conv().Infer(ab)
	if err != nil {
		return nil, err
	}
	if err := checkZero(in, 2, 1, "inputs"); err != nil {
		return nil, err
	}
	if err := checkZero(in, 3, in[1].Shape[0], "channels"); err != nil {
		return nil, err
	}
	t[0].Elem = tensor.I32
	return t, nil
}

func (o *ConvInteger) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x, w, y := in[0], in[1], out[0]
	s, err := o.conv().Spatial(w.Shape)
	if err != nil {
		return nil, err
	}
	m, cg := w.Shape[0], w.Shape[1]
	if y.Len() == 0 || w.Len() == 0 {
		return out, nil
	}
	zx, zw := zeros(in, 2, 1)[0], zeros(in, 3, m)
	size, pos := x.Shape[2:], y.Shape[2:]
	n, pix, taps := tensor.Numel(size), tensor.Numel(pos), tensor.Numel(s.Kernel)
	mg := m / o.Group
	for b := range x.Shape[0] {
		for k := range m {
			dst := y.I[(b*m+k)*pix:][:pix]
			for c := range cg {
				img := x.I[((b*o.Group+k/mg)*cg+c)*n:][:n]
				kernel := w.I[(k*cg+c)*taps:][:taps]
				s.gather(pos, size, func(tap, from, to, count, step int) {
					v := kernel[tap] - zw[k]
					for i := range dst[to : to+count] {
						dst[to+i] += v * (img[from+i*step] - zx)
					}
				})
			}
		}
	}
	wrap(y)
	return out, nil
}

// gather calls f for each tap and row of window positions with the run of positions whose tap lies inside the input: count positions from
// offset to on in the plane of positions, which read the input from offset from on with a step.
func (s *Spatial) gather(pos, size []int, f func(tap, from, to, count, step int)) {
	last := len(pos) - 1
	var walk func(axis, tap, from, to int)
	walk = func(axis, tap, from, to int) {
		stride := s.Stride[axis]
		for k := range s.Kernel[axis] {
			off := k*s.Dilation[axis] - s.Begin[axis]
			t := tap*s.Kernel[axis] + k
			if axis < last {
				for p := range pos[axis] {
					if i := p*stride + off; i >= 0 && i < size[axis] {
						walk(axis+1, t, from*size[axis]+i, to*pos[axis]+p)
					}
				}
				continue
			}
			lo := 0
			if off < 0 {
				lo = (-off + stride - 1) / stride
			}
			if hi := min(pos[last], (size[last]-off+stride-1)/stride); off < size[last] && lo < hi {
				f(t, from*size[last]+lo*stride+off, to*pos[last]+lo, hi-lo, stride)
			}
		}
	}
	walk(0, 0, 0, 0)
}

func (o *DynamicQuantizeLinear) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	return []ir.Type{ir.T(tensor.U(8), in[0].Shape...), ir.T(tensor.F32), ir.T(tensor.U(8))}, nil
}

func (o *DynamicQuantizeLinear) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	lo, hi := float32(0), float32(0)
	for _, v := range in[0].F {
		lo, hi = min(lo, v), max(hi, v)
	}
	scale := (hi - lo) / 255
	if scale == 0 {
		scale = 1 // only zeros; onnxruntime's choice
	}
	byteOf := func(v float64) int64 { return int64(min(max(math.RoundToEven(v), 0), 255)) }
	zero := byteOf(float64(-lo / scale))
	for i, v := range in[0].F {
		out[0].I[i] = byteOf(math.RoundToEven(float64(v/scale)) + float64(zero))
	}
	out[1].F[0], out[2].I[0] = scale, zero
	return out, nil
}
