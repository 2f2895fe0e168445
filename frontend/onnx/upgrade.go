package onnx

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// upgrades bring what is special about an operator's ONNX form into the one form of the IR: parameters that are inputs become
// attributes, old attributes their successors, defaults that depend on the input become explicit. They take what they use out of the
// node; plain attributes are set afterwards.
var upgrades = map[string]func(n *node, o op.Op) error{
	"ArgMax":             func(n *node, o op.Op) error { return n.axisAttr(0) },
	"AveragePool":        upgradePool,
	"BatchNormalization": upgradeBatchNorm,
	"Cast":               upgradeCast,
	"Clip":               upgradeClip,
	"Concat":             func(n *node, o op.Op) error { return n.axisAttr(0) },
	"Conv":               upgradeConv,
	"Dropout":            upgradeDropout,
	"Expand":             func(n *node, o op.Op) error { return n.listParam(&o.(*op.Expand).Shape, 1, "shape") },
	"Flatten":            func(n *node, o op.Op) error { return n.axisAttr(1) },
	"Gather":             func(n *node, o op.Op) error { return n.axisAttr(0) },
	"LogSoftmax":         upgradeSoftmax,
	"MaxPool":            upgradePool,
	"Pad":                upgradePad,
	"ReduceMax":          upgradeReduce,
	"ReduceMean":         upgradeReduce,
	"ReduceMin":          upgradeReduce,
	"ReduceSum":          upgradeReduce,
	"Reshape":            func(n *node, o op.Op) error { return n.listParam(&o.(*op.Reshape).Shape, 1, "shape") },
	"Slice":              upgradeSlice,
	"Softmax":            upgradeSoftmax,
	"Split":              upgradeSplit,
	"Squeeze":            upgradeAxes,
	"Tile":               func(n *node, o op.Op) error { return n.listParam(&o.(*op.Tile).Repeats, 1, "repeats") },
	"Transpose":          upgradeTranspose,
	"Unsqueeze":          upgradeAxes,
}

// listParam moves a constant input of integers into an attribute; it must be there.
func (n *node) listParam(dst *[]int, i int, name string) error {
	v, ok, err := n.intsParam(i, name)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("input %d (%s) is missing", i, name)
	}
	*dst = v
	n.in = n.in[:i]
	return nil
}

// axisAttr makes the attribute "axis" count from the front. def is ONNX's default.
func (n *node) axisAttr(def int) error {
	axis, err := take(n, "axis", def)
	if err != nil {
		return err
	}
	n.setInt("axis", n.positive(axis))
	return nil
}

// positive counts an axis of input 0 from the front; one that is out of range is left for the operator to report.
func (n *node) positive(axis int) int {
	if axis < 0 && len(n.in) > 0 && n.in[0] != nil {
		return axis + len(n.in[0].Type.Shape)
	}
	return axis
}

func (n *node) positives(axes []int, rank int) []int {
	r := slices.Clone(axes)
	for i, a := range r {
		if a < 0 {
			r[i] = a + rank
		}
	}
	return r
}

func upgradeBatchNorm(n *node, _ op.Op) error {
	mode, err := take(n, "training_mode", 0)
	if err == nil && mode != 0 {
		err = fmt.Errorf("training_mode %d: want 0, a model for inference", mode)
	}
	return err
}

func upgradeDropout(n *node, _ op.Op) error {
	if len(n.in) > 2 && n.in[2] != nil {
		if t, err := n.param(2, "training_mode"); err != nil || t.Len() != 1 || t.I[0] != 0 {
			return fmt.Errorf("input 2 (training_mode): want the constant false, a model for inference")
		}
	}
	n.in = n.in[:1]
	return nil
}

func upgradeCast(n *node, o op.Op) error {
	to, err := take(n, "to", 0)
	if err != nil {
		return err
	}
	e, err := elemOf(int32(to))
	o.(*op.Cast).To = e.String()
	return err
}

func upgradeClip(n *node, o op.Op) error {
	c := o.(*op.Clip)
	var err error
	if c.Min, err = n.scalarParam(1, "min", c.Min); err != nil {
		return err
	}
	c.Max, err = n.scalarParam(2, "max", c.Max)
	n.in = n.in[:1]
	return err
}

// upgradeConv makes pads explicit. kernel_shape must say what the weights say.
func upgradeConv(n *node, o op.Op) error {
	w := n.in[1].Type.Shape
	if len(w) < 3 {
		return fmt.Errorf("input 1 (weights): want 3 or 4 dims, got %v", n.in[1].Type)
	}
	k, err := take(n, "kernel_shape", w[2:])
	if err != nil {
		return err
	}
	if !slices.Equal(k, w[2:]) {
		return fmt.Errorf("kernel_shape %v, but the weights are %v", k, n.in[1].Type)
	}
	c := o.(*op.Conv)
	c.Strides, c.Dilations, c.Pads, err = n.window(k)
	return err
}

func upgradePool(n *node, o op.Op) error {
	if order, err := take(n, "storage_order", 0); err != nil || order != 0 {
		return fmt.Errorf("storage_order %d: want 0", order)
	}
	k, err := take(n, "kernel_shape", []int(nil))
	if err != nil {
		return err
	}
	strides, dilations, pads, err := n.window(k)
	switch o := o.(type) {
	case *op.MaxPool:
		o.KernelShape, o.Strides, o.Dilations, o.Pads = k, strides, dilations, pads
	case *op.AveragePool:
		o.KernelShape, o.Strides, o.Dilations, o.Pads = k, strides, dilations, pads
	}
	return err
}

// window takes strides, dilations, pads and auto_pad; pads come out explicit. Lists that say the default come out empty.
func (n *node) window(kernel []int) (strides, dilations, pads []int, err error) {
	if strides, err = take(n, "strides", []int(nil)); err != nil {
		return
	}
	if dilations, err = take(n, "dilations", []int(nil)); err != nil {
		return
	}
	if pads, err = take(n, "pads", []int(nil)); err != nil {
		return
	}
	auto, err := take(n, "auto_pad", "NOTSET")
	if err != nil {
		return
	}
	x := n.in[0].Type
	if len(x.Shape) != len(kernel)+2 {
		return nil, nil, nil, fmt.Errorf("kernel %v needs an input of %d dims, got %v", kernel, len(kernel)+2, x)
	}
	switch auto {
	case "NOTSET", "":
	case "VALID":
		pads = nil
	case "SAME_UPPER", "SAME_LOWER":
		pads = make([]int, 2*len(kernel))
		s, err := op.NewSpatial(kernel, strides, dilations, pads)
		if err != nil {
			return nil, nil, nil, err
		}
		for i, d := range x.Shape[2:] {
			if d < 0 {
				return nil, nil, nil, fmt.Errorf("auto_pad %s: spatial dimension %s must be known", auto, ir.DimString(d))
			}
			out := (d + s.Stride[i] - 1) / s.Stride[i]
			total := max(0, (out-1)*s.Stride[i]+s.Extent(i)-d)
			small, large := total/2, total-total/2
			pads[i], pads[len(kernel)+i] = small, large
			if auto == "SAME_LOWER" {
				pads[i], pads[len(kernel)+i] = large, small
			}
		}
	default:
		return nil, nil, nil, fmt.Errorf("auto_pad %q: want NOTSET, VALID, SAME_UPPER or SAME_LOWER", auto)
	}
	if allEqual(strides, 1) {
		strides = nil
	}
	if allEqual(dilations, 1) {
		dilations = nil
	}
	if allEqual(pads, 0) {
		pads = nil
	}
	return strides, dilations, pads, nil
}

// upgradePad: pads and value are attributes until opset 10, inputs from 11, axes an input from 18.
func upgradePad(n *node, o op.Op) error {
	p := o.(*op.Pad)
	var err error
	if len(n.in) < 2 {
		if p.Pads, err = take(n, "pads", []int(nil)); err != nil {
			return err
		}
		p.Value, err = take(n, "value", float32(0))
		return err
	}
	pads, _, err := n.intsParam(1, "pads")
	if err != nil {
		return err
	}
	if p.Value, err = n.scalarParam(2, "constant_value", 0); err != nil {
		return err
	}
	rank := len(n.in[0].Type.Shape)
	axes, ok, err := n.intsParam(3, "axes")
	if err != nil {
		return err
	}
	if ok {
		axes = n.positives(axes, rank)
		all := make([]int, 2*rank)
		for i, a := range axes {
			if a < 0 || a >= rank || len(pads) != 2*len(axes) {
				return fmt.Errorf("axes %v and pads %v do not fit %v", axes, pads, n.in[0].Type)
			}
			all[a], all[rank+a] = pads[i], pads[len(axes)+i]
		}
		pads = all
	}
	p.Pads = pads
	n.in = n.in[:1]
	return nil
}

// upgradeReduce: axes are an attribute, and an input from opset 13 (ReduceSum) or 18.
func upgradeReduce(n *node, o op.Op) error {
	axes, err := take(n, "axes", []int(nil))
	if err != nil {
		return err
	}
	noop, err := take(n, "noop_with_empty_axes", 0)
	if err != nil {
		return err
	}
	if v, ok, err := n.intsParam(1, "axes"); err != nil {
		return err
	} else if ok {
		axes = v
	}
	if len(axes) == 0 && noop != 0 {
		return fmt.Errorf("noop_with_empty_axes %d without axes is not supported: the node does nothing", noop)
	}
	n.in = n.in[:1]
	return op.SetAttr(o, "axes", n.positives(axes, len(n.in[0].Type.Shape)))
}

// upgradeSlice: everything is an attribute until opset 9, an input from 10.
func upgradeSlice(n *node, o op.Op) error {
	s := o.(*op.Slice)
	var err error
	if len(n.in) == 1 {
		if s.Starts, err = take(n, "starts", s.Starts); err != nil {
			return err
		}
		if s.Ends, err = take(n, "ends", s.Ends); err != nil {
			return err
		}
		s.Axes, err = take(n, "axes", s.Axes)
	} else {
		for i, p := range []*[]int{&s.Starts, &s.Ends, &s.Axes, &s.Steps} {
			if *p, _, err = n.intsParam(i+1, []string{"starts", "ends", "axes", "steps"}[i]); err != nil {
				return err
			}
		}
		n.in = n.in[:1]
	}
	s.Axes = n.positives(s.Axes, len(n.in[0].Type.Shape))
	return err
}

// upgradeSoftmax: before opset 13 the function runs over all axes from axis (default 1) on, as one. Where that is one axis of more than
// one element, it is the new meaning.
func upgradeSoftmax(n *node, o op.Op) error {
	old := n.im.opsets[""] < 13
	def := -1
	if old {
		def = 1
	}
	axis, err := take(n, "axis", def)
	if err != nil {
		return err
	}
	axis = n.positive(axis)
	shape := n.in[0].Type.Shape
	if old && axis >= 0 && axis < len(shape)-1 {
		for _, d := range shape[axis+1:] {
			if d != 1 {
				return fmt.Errorf("axis %d of %v at opset %d runs over several axes: not supported", axis, n.in[0].Type, n.im.opsets[""])
			}
		}
	}
	return op.SetAttr(o, "axis", axis)
}

func upgradeSplit(n *node, o op.Op) error {
	s := o.(*op.Split)
	axis, err := take(n, "axis", 0)
	if err != nil {
		return err
	}
	s.Axis = n.positive(axis)
	if s.Split, err = take(n, "split", []int(nil)); err != nil {
		return err
	}
	if v, ok, err := n.intsParam(1, "split"); err != nil {
		return err
	} else if ok {
		s.Split = v
	}
	num, err := take(n, "num_outputs", len(n.p.Output))
	if err != nil {
		return err
	}
	shape := n.in[0].Type.Shape
	if len(s.Split) == 0 {
		if s.Axis < 0 || s.Axis >= len(shape) || shape[s.Axis] < 0 || num != len(n.p.Output) {
			return fmt.Errorf("axis %d of %v cannot be split into %d", axis, n.in[0].Type, num)
		}
		each := (shape[s.Axis] + num - 1) / num
		for left := shape[s.Axis]; left > 0; left -= each {
			s.Split = append(s.Split, min(each, left))
		}
	}
	n.in = n.in[:1]
	return nil
}

// upgradeAxes: Squeeze and Unsqueeze have axes as an attribute until opset 12, as an input from 13.
func upgradeAxes(n *node, o op.Op) error {
	axes, err := take(n, "axes", []int(nil))
	if err != nil {
		return err
	}
	if v, ok, err := n.intsParam(1, "axes"); err != nil {
		return err
	} else if ok {
		axes = v
	}
	rank := len(n.in[0].Type.Shape)
	if _, un := o.(*op.Unsqueeze); un {
		rank += len(axes)
	}
	n.in = n.in[:1]
	return op.SetAttr(o, "axes", n.positives(axes, rank))
}

func upgradeTranspose(n *node, o op.Op) error {
	perm, err := take(n, "perm", []int(nil))
	if len(perm) == 0 {
		for i := range n.in[0].Type.Shape {
			perm = append([]int{i}, perm...)
		}
	}
	o.(*op.Transpose).Perm = perm
	return err
}

// setInt puts an attribute back.
func (n *node) setInt(name string, v int) {
	n.attrs[name] = intAttr(name, v)
	n.p.Attribute = replaceAttr(n.p.Attribute, n.attrs[name])
}

// specials are operators that become something else than the operator of their name, by domain and name.
var specials = map[string]func(n *node) error{
	".Constant":         constantNode,
	".ConstantOfShape":  constantOfShape,
	".QuantizeLinear":   quantizeLinear,
	".DequantizeLinear": dequantizeLinear,

	"onnx.brevitas.Quant":              quantNode,
	"onnx.brevitas.IntQuant":           quantNode,
	"qonnx.custom_op.general.Quant":    quantNode,
	"qonnx.custom_op.general.IntQuant": quantNode,
	"finn.custom_op.general.Quant":     quantNode,
	"finn.custom_op.general.IntQuant":  quantNode,
}

func constantNode(n *node) error {
	a := n.p.Attribute
	if len(a) != 1 || len(n.p.Output) != 1 {
		return fmt.Errorf("want one attribute and one output, got %d and %d", len(a), len(n.p.Output))
	}
	var t *tensor.T
	var err error
	switch a[0].GetName() {
	case "value":
		t, err = decodeTensor(a[0].GetT(), n.im.dir)
	case "value_float":
		t = tensor.Floats([]int{}, a[0].GetF())
	case "value_int":
		t = tensor.Ints(tensor.I64, []int{}, a[0].GetI())
	case "value_floats":
		t = tensor.Floats([]int{len(a[0].Floats)}, a[0].Floats...)
	case "value_ints":
		t = tensor.Ints(tensor.I64, []int{len(a[0].Ints)}, a[0].Ints...)
	default:
		err = fmt.Errorf("attribute %q is not supported, want value, value_float(s) or value_int(s)", a[0].GetName())
	}
	if err == nil {
		n.im.constant(n.p.Output[0], t)
	}
	return err
}

func constantOfShape(n *node) error {
	if len(n.in) != 1 {
		return fmt.Errorf("want 1 input, got %d", len(n.in))
	}
	shape, _, err := n.intsParam(0, "shape")
	if err != nil {
		return err
	}
	v := tensor.Floats([]int{1}, 0)
	if a := n.attrs["value"]; a != nil {
		if v, err = decodeTensor(a.GetT(), n.im.dir); err != nil {
			return err
		}
	}
	size := 1
	for _, d := range shape {
		if d < 0 || size > 1<<28/max(d, 1) {
			return fmt.Errorf("shape %v: want known dims, and at most 2^28 elements", shape)
		}
		size *= d
	}
	if v.Len() != 1 {
		return fmt.Errorf("value %v: want one element", v)
	}
	t := tensor.New(v.Elem, shape...)
	for i := range t.F {
		t.F[i] = v.F[0]
	}
	for i := range t.I {
		t.I[i] = v.I[0]
	}
	n.im.constant(n.p.Output[0], t)
	return nil
}
