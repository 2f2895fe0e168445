package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// maxExact is the greatest integer up to which float32 has all of them.
const maxExact = 1 << 24

// qonnxDomain holds the Quant operator (QONNX, custom_op.general version 1).
const qonnxDomain = "qonnx.custom_op.general"

// nameReals decides the names of the reals of quantized values in the file: an output keeps its name, else a Dequantize node gives its
// result's, since it is nothing but this name; else it is the value's own. A quantized input has that already for what comes in.
func (e *exporter) nameReals() {
	for _, n := range e.g.Nodes {
		if _, ok := n.Op.(*op.Dequantize); !ok {
			continue
		}
		v, r := n.In[0], n.Out[0]
		if _, named := e.dequants[v]; !named {
			e.dequants[v] = n.Pos.Name
		}
		if _, named := e.file[v]; v.Type.Quant != nil && !named && (v.Def == nil && v.Const == nil || !e.g.IsOutput(v)) {
			e.file[v] = r.Name
		}
	}
	for _, v := range e.g.Inputs {
		if v.Type.Quant != nil && e.file[v] == "" {
			e.file[v] = e.names.New(v.Name + "_q")
		}
	}
}

// dequantize makes the result of a Dequantize node another name of the reals in the file. Only a graph output has to have its own.
func (e *exporter) dequantize(n *ir.Node, real string) {
	r := n.Out[0]
	if real == r.Name {
		return
	}
	if e.g.IsOutput(r) {
		e.add("Identity", "", n.Pos.Name, []string{real}, []string{r.Name})
		return
	}
	e.file[r] = real
}

// quant writes what makes the reals of v out of the float value from; name is that of the node which quantizes.
func (e *exporter) quant(from string, v *ir.Value, name string) error {
	if e.format == QDQ {
		return e.quantizeLinear(from, v, name)
	}
	return e.quantNode(from, v, name)
}

// quantNode writes the QONNX Quant node that makes the reals of v out of the float value from. Where v has a range of its own, such as that of a
// Relu on signed integers, attributes say it for the importer, and a Clip before the node for everybody else.
func (e *exporter) quantNode(from string, v *ir.Value, name string) error {
	q, elem := v.Type.Quant, v.Type.Elem
	mode := ""
	for _, r := range roundings {
		if r.mode == q.Round && mode == "" {
			mode = r.name
		}
	}
	switch {
	case mode == "":
		return fmt.Errorf("%%%s: QONNX has no rounding mode %v", v.Name, q.Round)
	case elem == tensor.I(1):
		return fmt.Errorf("%%%s: one signed bit is -1 and 1 in QONNX, not -1 and 0", v.Name)
	}
	if !slices.Contains(e.modes, mode) {
		e.modes = append(e.modes, mode)
	}
	attrs := []*onnxpb.AttributeProto{boolAttr("signed", elem.Kind == tensor.Int)}
	lo, hi := elem.Range()
	narrow := false
	switch {
	case elem.Kind == tensor.Int && q.Min == lo+1 && q.Max == hi:
		narrow, lo = true, lo+1
	case elem.Kind == tensor.Uint && q.Max == hi-1 && q.Min == lo:
		narrow, hi = true, hi-1
	}
	attrs = append(attrs, boolAttr("narrow", narrow), stringAttr("rounding_mode", mode))
	if q.Min != lo || q.Max != hi {
		attrs = append(attrs, intAttr("quern_min", int(q.Min)), intAttr("quern_max", int(q.Max)))
		if v.Const == nil {
			var err error
			if from, err = e.clip(from, v); err != nil {
				return err
			}
		}
	}
	in := []string{from}
	real := e.realName(v)
	scale, zero, err := quantTensors(v)
	if err != nil {
		return err
	}
	for i, t := range []*tensor.T{scale, zero, tensor.Floats([]int{}, float32(elem.Bits))} {
		p, err := e.parameter(real, []string{"_scale", "_zero", "_bits"}[i], t)
		if err != nil {
			return err
		}
		in = append(in, p)
	}
	e.add("Quant", qonnxDomain, name, in, []string{real}, attrs...)
	if e.g.IsOutput(v) {
		return nil
	}
	return e.info(&e.p.ValueInfo, real, v.Type) // ONNX's own shape inference does not see through foreign operators
}

// quantTensors are scale and zero point as QONNX has them: reals, of a shape that broadcasts along the axis.
func quantTensors(v *ir.Value) (scale, zero *tensor.T, err error) {
	q := v.Type.Quant
	shape := func(n int) []int {
		s := []int{}
		if n == 1 {
			return s
		}
		for range v.Type.Shape {
			s = append(s, 1)
		}
		s[q.Axis] = n
		return s
	}
	scale, zero = tensor.New(tensor.F32, shape(len(q.Scale))...), tensor.New(tensor.F32, shape(len(q.Zero))...)
	for i, s := range q.Scale {
		scale.F[i] = float32(s)
	}
	for i, z := range q.Zero {
		if zero.F[i] = float32(z); z > maxExact || z < -maxExact {
			return nil, nil, fmt.Errorf("%%%s: zero point %d is not a float32 number", v.Name, z)
		}
	}
	return scale, zero, nil
}

// parameter is an initializer that nodes with the same scale, zero point or width share.
func (e *exporter) parameter(base, suffix string, t *tensor.T) (string, error) {
	key := suffix + t.Elem.String() + fmt.Sprint(t.Shape, t.I)
	for _, x := range t.F {
		key += string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
	}
	if name, ok := e.shared[key]; ok {
		return name, nil
	}
	name, err := e.initializer(base+suffix, t)
	e.shared[key] = name
	return name, err
}

// moved reports whether v is what an operator moved or selected among values of the same type: all are in its range.
func moved(v *ir.Value) bool {
	if v.Def == nil || op.Of(v.Def.Op).Class != op.SameScale {
		return false
	}
	switch v.Def.Op.(type) {
	case *op.Pad, *op.Quantize:
		return false
	}
	for _, in := range v.Def.In {
		if in != nil && in.Type.Elem.IsFloat() || in != nil && in.Type.IsQuant() && !in.Type.Quant.Equal(v.Type.Quant) {
			return false
		}
	}
	return true
}

// clip writes the Clip of reals that is the range of v, and returns its result.
//
// There is none behind an operator that moves values. That spares nodes, and onnxruntime 1.30 an error of its own: between DequantizeLinear
// and Clip it puts a QuantizeLinear with an output_dtype of int8, which it then refuses as of opset 21 (its issue 25526).
func (e *exporter) clip(from string, v *ir.Value) (string, error) {
	q, real := v.Type.Quant, e.realName(v)
	if moved(v) {
		return from, nil
	}
	if !q.PerTensor() {
		return "", fmt.Errorf("%%%s: a range of %d..%d along axis %d has no form in ONNX", v.Name, q.Min, q.Max, q.Axis)
	}
	in := []string{from}
	for i, b := range []int64{q.Min, q.Max} {
		x := q.Dequantize(b, 0)
		if q.Quantize(float64(x), 0) != b {
			s := strconv.FormatFloat(float64(x), 'g', -1, 32)
			return "", fmt.Errorf("%%%s: the bound %d does not survive as the float32 number %s", v.Name, b, s)
		}
		name, err := e.initializer(real+[]string{"_min", "_max"}[i], tensor.Floats([]int{}, x))
		if err != nil {
			return "", err
		}
		in = append(in, name)
	}
	out := e.names.New(real + "_c")
	e.add("Clip", "", real+clipSuffix, in, []string{out})
	return out, nil
}

// quantConstant writes a quantized constant. In QONNX it is reals and a Quant node; integers that float32 numbers cannot carry, which only
// wide biases have, are written as they are with a DequantizeLinear node, as everything is in QDQ.
func (e *exporter) quantConstant(v *ir.Value, name string) error {
	if e.format == QDQ {
		return e.linearConstant(v, name)
	}
	q, real := v.Type.Quant, e.realName(v)
	t := q.Reals(v.Const)
	bad := -1
	for i, x := range q.Integers(v.Type.Elem, t).I {
		if x != v.Const.I[i] && bad < 0 {
			bad = i
		}
	}
	if bad < 0 {
		from, err := e.initializer(real+"_f", t)
		if err != nil {
			return err
		}
		return e.quant(from, v, name)
	}
	lo, hi := v.Type.Elem.Range()
	if v.Type.Elem != tensor.I32 || q.Min != lo || q.Max != hi || q.Round != ir.HalfEven || !allEqual(q.Zero, 0) {
		return fmt.Errorf("constant %%%s: element %d, %d, does not survive as a float32 number", v.Name, bad, v.Const.I[bad])
	}
	return e.dequantizeConstant(v, v.Type.Elem, name)
}
