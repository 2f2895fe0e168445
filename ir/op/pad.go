package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Pad is ONNX Pad (2 and later; pads and value are inputs since 11): Pads are the begins of all axes, then the ends; negative ones
// crop. Mode is "constant" (with Value), "reflect" (about the border element, which is not repeated), "edge" or,
// as of 19, "wrap" (the other end of the axis follows).
type Pad struct {
	Pads  []int   `attr:"pads"`
	Value float32 `attr:"value"`
	Mode  string  `attr:"mode"`
}

func (*Pad) OpName() string { return "Pad" }

func (o *Pad) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	r := len(x.Shape)
	if len(o.Pads) != 2*r {
		return nil, fmt.Errorf("pads %v: want %d, two for each axis of %v", o.Pads, 2*r, *x)
	}
	if o.Mode != "constant" && o.Mode != "reflect" && o.Mode != "edge" && o.Mode != "wrap" {
		return nil, fmt.Errorf("mode %q: want constant, reflect, edge or wrap", o.Mode)
	}
	shape := make([]int, r)
	for i, d := range x.Shape {
		b, e := o.Pads[i], o.Pads[r+i]
		shape[i] = d
		if b == 0 && e == 0 {
			continue
		}
		if ir.IsSymbol(d) {
			return nil, fmt.Errorf("axis %d is padded, so dimension %s must be known", i, ir.DimString(d))
		}
		if shape[i] = d + b + e; shape[i] < 0 || d+min(b, 0)+min(e, 0) < 0 {
			return nil, fmt.Errorf("pads %d and %d crop more than axis %d of %v has", b, e, i, *x)
		}
		if kept := d + min(b, 0) + min(e, 0); kept == 0 && shape[i] > 0 && o.Mode != "constant" {
			return nil, fmt.Errorf("mode %s: axis %d of %v has no elements to pad with", o.Mode, i, *x)
		}
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Pad) Eval(in []*tensor.T) ([]*tensor.T, error) {
	x := in[0]
	if _, err := o.Infer([]*ir.Type{{Elem: x.Elem, Shape: x.Shape}}); err != nil {
		return nil, err
	}
	if !x.Elem.IsFloat() {
		lo, hi := x.Elem.Range()
		if v := float64(o.Value); v != math.Trunc(v) || v < float64(lo) || v > float64(hi) {
			return nil, fmt.Errorf("value %v: want one of %v", o.Value, x.Elem)
		}
	}
	from := make([][]int, len(x.Shape))
	for i, d := range x.Shape {
		b, e := o.Pads[i], o.Pads[len(x.Shape)+i]
		lo := max(0, -b) // what is cropped is gone before padding starts
		n := d - lo - max(0, -e)
		from[i] = make([]int, d+b+e)
		for k := range from[i] {
			if j := o.source(k-max(0, b), n); j >= 0 {
				from[i][k] = lo + j
			} else {
				from[i][k] = -1
			}
		}
	}
	return []*tensor.T{pick(x, from, o.Value)}, nil
}

// source is the index, of n, that position i outside or inside gets its element from; -1: the value.
func (o *Pad) source(i, n int) int {
	switch {
	case i >= 0 && i < n:
		return i
	case o.Mode == "constant":
		return -1
	case o.Mode == "edge":
		return min(max(i, 0), n-1)
	case o.Mode == "wrap":
		return (i%n + n) % n
	case n == 1:
		return 0
	}
	period := 2 * (n - 1)
	i = (i%period + period) % period
	return min(i, period-i)
}
