package op

import (
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
)

// Slice is ONNX Slice (1, 10, 11, 13; parameters are inputs since 10): on each of Axes the elements from Starts to Ends (exclusive) by
// Steps. Starts and ends may count from the end and lie outside, where they are clamped; an end may be the symbol of its dimension.
type Slice struct {
	Starts []int `attr:"starts"`
	Ends   []int `attr:"ends"`
	Axes   []int `attr:"axes"`  // empty: 0, 1, ...
	Steps  []int `attr:"steps"` // empty: 1
}

func (*Slice) OpName() string { return "Slice" }

// BindDims is the operator with sizes in place of symbols.
func (o *Slice) BindDims(size func(int) int) ir.Op {
	return &Slice{bindAll(o.Starts, size), bindAll(o.Ends, size), o.Axes, o.Steps}
}

// Range is a slice of one axis, resolved: Count elements from Start by Step. A whole axis has Start 0 and Step 1; its Count may be a
// symbol.
type Range struct{ Start, Step, Count int }

// Ranges resolves the slices of all axes of a shape.
func (o *Slice) Ranges(shape []int) ([]Range, error) {
	r := make([]Range, len(shape))
	for i, d := range shape {
		r[i] = Range{0, 1, d}
	}
	axes, steps := o.Axes, o.Steps
	if len(axes) == 0 {
		for i := range o.Starts {
			axes = append(axes, i)
		}
	}
	if len(steps) == 0 {
		steps = ones(len(o.Starts))
	}
	if len(o.Ends) != len(o.Starts) || len(axes) != len(o.Starts) || len(steps) != len(o.Starts) {
		return nil, fmt.Errorf("want as many starts, ends, axes and steps, got %v, %s, %v, %v", o.Starts, FormatAttr(o.Ends), axes, steps)
	}
	if _, err := axisSet(axes, len(shape)); err != nil {
		return nil, err
	}
	for i, a := range axes {
		a, _ = axisOf(a, len(shape))
		var err error
		if r[a], err = slice1(o.Starts[i], o.Ends[i], steps[i], shape[a]); err != nil {
			return nil, fmt.Errorf("axis %d: %w", a, err)
		}
	}
	return r, nil
}

func slice1(start, end, step, d int) (Range, error) {
	if step == 0 {
		return Range{}, fmt.Errorf("step 0")
	}
	if start == 0 && step == 1 && (end == d || end >= math.MaxInt32) {
		return Range{0, 1, d}, nil
	}
	for _, v := range []int{d, start, end} {
		if ir.IsSymbol(v) {
			return Range{}, fmt.Errorf("slice %s:%s of %s: dimension %s must be known", ir.DimString(start), ir.DimString(end), ir.DimString(d),
				ir.DimString(v))
		}
	}
	step = min(max(step, -math.MaxInt32), math.MaxInt32)
	if start < 0 {
		start += d
	}
	if end < 0 {
		end += d
	}
	if step > 0 {
		start, end = min(max(start, 0), d), min(max(end, 0), d)
		return Range{start, step, max(0, (end-start+step-1)/step)}, nil
	}
	start, end = min(max(start, -1), d-1), min(max(end, -1), d-1)
	return Range{start, step, max(0, (start-end-step-1)/-step)}, nil
}

func (o *Slice) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := inputs(in, 1, 1); err != nil {
		return nil, err
	}
	x := in[0]
	r, err := o.Ranges(x.Shape)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(r))
	for i := range r {
		shape[i] = r[i].Count
	}
	return []ir.Type{{Elem: x.Elem, Shape: shape}}, nil
}

func (o *Slice) Eval(in []*tensor.T) ([]*tensor.T, error) {
	r, err := o.Ranges(in[0].Shape)
	if err != nil {
		return nil, err
	}
	from := make([][]int, len(r))
	for i, s := range r {
		from[i] = make([]int, s.Count)
		for k := range from[i] {
			from[i][k] = s.Start + k*s.Step
		}
	}
	return []*tensor.T{pick(in[0], from, 0)}, nil
}
