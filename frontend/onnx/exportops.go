package onnx

import (
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// onnxName is the operator of ONNX that an operator is; "" if there is none.
func onnxName(o ir.Op) string {
	switch o.(type) {
	case *op.MaxPoolIndices:
		return "MaxPool"
	case *op.LayerNormalizationStats:
		return "LayerNormalization"
	}
	if d := op.Of(o); d.Since != nil {
		return d.Name
	}
	return ""
}

// opsetFor is the version of ai.onnx that an operator needs.
func opsetFor(o ir.Op) int {
	switch o := o.(type) {
	case *op.AveragePool:
		if len(o.Dilations) > 0 {
			return 19
		}
	case *op.Pad:
		if o.Mode == "wrap" {
			return 19
		}
	case *op.GridSample:
		return 20 // the names of the modes
	case *op.GroupNormalization:
		return 21 // scale and bias of channels
	case *op.LayerNormalizationStats:
		return 17
	case *op.LpPool:
		if len(o.Dilations) > 0 || o.CeilMode {
			return 18
		}
	case *op.RoiAlign:
		return 16
	case *op.Reshape:
		if o.AllowZero {
			return 14
		}
	case *op.Resize:
		return resizeOpset(o)
	case *op.ScatterElements:
		return sinceReduction(o.Reduction)
	case *op.ScatterND:
		return sinceReduction(o.Reduction)
	case *op.Swish:
		return 0 // see exporter.swish
	case *op.Shape:
		if slices.ContainsFunc(op.Attrs(o), func(a op.Attr) bool { return !a.Default }) {
			return 15
		}
	}
	if since := op.Of(o).Since; len(since) > 0 {
		return since[0]
	}
	return 0
}

// sinceReduction is the version of the scatter operators that has a reduction.
func sinceReduction(s string) int {
	switch s {
	case "add", "mul":
		return 16
	case "max", "min":
		return 18
	}
	return 11
}

// swish writes x*sigmoid(alpha*x) as arithmetic: the operator came with opset 24 only, and few programs read that. The pass functions finds
// it again.
func (e *exporter) swish(n *ir.Node, o *op.Swish, x, out string) error {
	gate := x
	if o.Alpha != 1 {
		alpha, err := e.initializer(out+"_alpha", tensor.Floats(nil, o.Alpha))
		if err != nil {
			return err
		}
		gate = e.names.New(out + "_scaled")
		e.add("Mul", "", "", []string{x, alpha}, []string{gate})
	}
	s := e.names.New(out + "_sigmoid")
	e.add("Sigmoid", "", "", []string{gate}, []string{s})
	e.add("Mul", "", n.Pos.Name, []string{x, s}, []string{out})
	return nil
}
