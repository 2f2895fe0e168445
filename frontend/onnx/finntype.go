package onnx

import (
	"regexp"
	"strconv"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

var finnInteger = regexp.MustCompile(`^(U?)INT([1-9][0-9]?)$`)

// finnType is the integer type that FINN's name of a type stands for.
func finnType(name string) (e tensor.Elem, ok bool) {
	switch name {
	case "BINARY":
		return tensor.U(1), true
	case "BIPOLAR", "TERNARY":
		return tensor.I(2), true
	}
	m := finnInteger.FindStringSubmatch(name)
	if m == nil {
		return e, false
	}
	b, _ := strconv.Atoi(m[2])
	if b > 32 {
		return e, false
	}
	if m[1] == "" {
		return tensor.I(max(b, 2)), true
	}
	return tensor.U(b), true
}

// annotations reads finn_datatype of quantization_annotation: a graph input or initializer of reals that are integers. What an input holds is
// quantized with scale 1, which changes nothing; an initializer becomes integers where a layer takes it for weights.
func (im *importer) annotations(p *onnxpb.GraphProto) {
	im.annotated = map[string]tensor.Elem{}
	for _, a := range p.QuantizationAnnotation {
		for _, kv := range a.QuantParameterTensorNames {
			e, ok := finnType(kv.GetValue())
			if v := im.vals[a.GetTensorName()]; ok && kv.GetKey() == "finn_datatype" && v != nil && v.Type.Elem == tensor.F32 {
				im.annotated[v.Name] = e
			}
		}
	}
	for _, v := range im.g.Inputs {
		e, ok := im.annotated[v.Name]
		if !ok || im.bad[v.Name] {
			continue
		}
		n := &node{im: im, p: &onnxpb.NodeProto{}, pos: ir.Pos{File: im.file, Node: -1, Name: "annotation of " + v.Name}}
		q := n.quantize(v, e, ir.NewQuant(e, 1, 0), im.names.New(v.Name+"_int"))
		if y := n.emit(&op.Dequantize{}, []*ir.Value{q}, []string{im.names.New(v.Name + "_reals")}); y != nil {
			im.vals[v.Name] = y
		}
	}
}

// annotated makes the weights of a layer integers of scale 1 where FINN says that they are.
func (n *node) annotated() {
	switch n.p.GetOpType() {
	case "Conv", "Gemm", "MatMul", "ConvTranspose":
	default:
		return
	}
	w := n.input(1)
	if n.failed || w == nil || w.Const == nil {
		return
	}
	e, ok := n.im.annotated[w.Name]
	if !ok {
		return
	}
	t := tensor.New(e, w.Const.Shape...)
	lo, hi := e.Range()
	for i, f := range w.Const.F {
		if t.I[i] = int64(f); float64(t.I[i]) != float64(f) || t.I[i] < lo || t.I[i] > hi {
			n.fail("input 1 (weights): element %d is %v, but finn_datatype says %v", i, f, e)
			return
		}
	}
	v := &ir.Value{Name: n.im.names.New(w.Name + "_int"), Type: ir.Type{Elem: e, Shape: w.Type.Shape, Quant: ir.NewQuant(e, 1, 0)}, Const: t}
	if y := n.emit(&op.Dequantize{}, []*ir.Value{v}, []string{n.im.names.New(w.Name + "_reals")}); y != nil {
		n.in[1] = y
	}
}
