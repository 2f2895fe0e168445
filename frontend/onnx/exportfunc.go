package onnx

import (
	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
)

// functionsIR is the version of the file format that has functions.
const functionsIR = 8

// quantFunction defines Quant by standard operators, as a function of the model: with it onnx.checker and onnxruntime know what a file in
// QONNX means. Tools that know Quant themselves, as our importer, pass it over. A function cannot choose by a string, so there is
// none (nil) where the nodes of a file have different rounding modes.
//
// The order is QONNX's: the zero point is added, then clamped, then rounded.
func quantFunction(modes []string, opset int) *onnxpb.FunctionProto {
	if len(modes) != 1 {
		return nil
	}
	f := &onnxpb.FunctionProto{
		Name: proto.String("Quant"), Domain: proto.String(qonnxDomain), Input: []string{"x", "scale", "zeropt", "bitwidth"}, Output: []string{"y"},
		Attribute:   []string{"signed", "narrow", "rounding_mode", "quern_min", "quern_max"},
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(int64(opset))}},
		DocString:   proto.String("QONNX quantization to integers of any width, and back to reals."),
	}
	add := func(out, typ string, in []string, attrs ...*onnxpb.AttributeProto) {
		f.Node = append(f.Node, &onnxpb.NodeProto{OpType: &typ, Input: in, Output: []string{out}, Attribute: attrs})
	}
	number := func(out string, x float32) {
		add(out, "Constant", nil, floatAttr("value_float", x))
	}
	flag := func(out, name string) {
		add(out+"_int", "Constant", nil, &onnxpb.AttributeProto{
			Name: proto.String("value_int"), Type: onnxpb.AttributeProto_INT.Enum(), RefAttrName: &name})
		add(out, "Cast", []string{out + "_int"}, intAttr("to", int(onnxpb.TensorProto_FLOAT)))
	}
	number("one", 1)
	number("two", 2)
	flag("s", "signed")
	flag("n", "narrow")
	// signed: -2^(b-1)+narrow to 2^(b-1)-1; unsigned: 0 to 2^b-1-narrow.
	add("bits", "Sub", []string{"bitwidth", "s"})
	add("top", "Pow", []string{"two", "bits"})
	add("below", "Sub", []string{"n", "top"})
	add("lo", "Mul", []string{"s", "below"})
	add("u", "Sub", []string{"one", "s"})
	add("un", "Mul", []string{"u", "n"})
	add("last", "Sub", []string{"top", "one"})
	add("hi", "Sub", []string{"last", "un"})
	add("steps", "Div", []string{"x", "scale"})
	add("moved", "Add", []string{"steps", "zeropt"})
	add("least", "Max", []string{"moved", "lo"})
	add("inside", "Min", []string{"least", "hi"})
	switch modes[0] {
	case "ROUND":
		add("q", "Round", []string{"inside"})
	case "FLOOR":
		add("q", "Floor", []string{"inside"})
	case "CEIL":
		add("q", "Ceil", []string{"inside"})
	case "HALF_UP", "HALF_DOWN", "UP", "DOWN": // by magnitude
		number("half", 0.5)
		add("sign", "Sign", []string{"inside"})
		add("abs", "Abs", []string{"inside"})
		add("more", "Add", []string{"abs", "half"})
		add("less", "Sub", []string{"abs", "half"})
		how := map[string][2]string{"HALF_UP": {"Floor", "more"}, "HALF_DOWN": {"Ceil", "less"}, "UP": {"Ceil", "abs"}, "DOWN": {"Floor", "abs"}}[modes[0]]
		add("whole", how[0], []string{how[1]})
		add("q", "Mul", []string{"sign", "whole"})
	default:
		return nil
	}
	add("rest", "Sub", []string{"q", "zeropt"})
	add("y", "Mul", []string{"rest", "scale"})
	return f
}
