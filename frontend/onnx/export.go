package onnx

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// qonnxDomain holds the Quant operator (QONNX, custom_op.general version 1).
const qonnxDomain = "qonnx.custom_op.general"

// exportOpset is the version of ai.onnx that files are written for, unless an operator is younger.
const exportOpset = 13

// Export writes a graph as an ONNX file, which appears whole or not at all. A quantized value NAME is written as the float value NAME_f
// and a QONNX Quant node that makes NAME of it; so is a quantized constant. Importing the file, and running the passes absorb,
// propagate and fuse-act, gives the same graph back.
func Export(path string, g *ir.Graph) error {
	m, err := ToProto(g)
	if err != nil {
		return err
	}
	return onnxpb.WriteFile(path, m)
}

// ToProto is Export into memory.
func ToProto(g *ir.Graph) (*onnxpb.ModelProto, error) {
	e := &exporter{g: g, names: g.Names(), done: map[*ir.Value]bool{}, opset: exportOpset, p: &onnxpb.GraphProto{Name: proto.String(g.Name)}}
	for _, v := range g.Inputs {
		if v.Type.IsQuant() {
			return nil, fmt.Errorf("%s: input %%%s is quantized itself: files have float inputs and a Quantize behind them", g.Name, v.Name)
		}
		if err := e.info(&e.p.Input, v); err != nil {
			return nil, err
		}
	}
	for _, n := range g.Nodes {
		if err := e.node(n); err != nil {
			return nil, n.Wrap(err)
		}
	}
	for _, v := range g.Outputs {
		if err := e.constant(v); err != nil {
			return nil, err
		}
		if err := e.info(&e.p.Output, v); err != nil {
			return nil, err
		}
	}
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(8), ProducerName: proto.String("quern"), Graph: e.p,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(int64(e.opset))}}}
	if e.quants {
		m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String(qonnxDomain), Version: proto.Int64(1)})
	}
	for _, kv := range g.Meta {
		m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(kv[0]), Value: proto.String(kv[1])})
	}
	return m, nil
}

type exporter struct {
	g      *ir.Graph
	p      *onnxpb.GraphProto
	names  *ir.Names
	done   map[*ir.Value]bool // constants that are written
	opset  int
	quants bool
}

func (e *exporter) info(list *[]*onnxpb.ValueInfoProto, v *ir.Value) error {
	p, err := valueInfo(v.Name, v.Type)
	*list = append(*list, p)
	return err
}

// initializer writes a tensor under a new name like base and returns the name.
func (e *exporter) initializer(base string, t *tensor.T) (string, error) {
	name := e.names.New(base)
	p, err := encodeTensor(name, t)
	e.p.Initializer = append(e.p.Initializer, p)
	return name, err
}

func (e *exporter) add(typ, dom, name string, in, out []string, attrs ...*onnxpb.AttributeProto) {
	n := &onnxpb.NodeProto{OpType: proto.String(typ), Name: proto.String(name), Input: in, Output: out, Attribute: attrs}
	if dom != "" {
		n.Domain = proto.String(dom)
	}
	e.p.Node = append(e.p.Node, n)
}

// constant writes a constant once: as it is, or as reals behind a Quant node.
func (e *exporter) constant(v *ir.Value) error {
	if v.Const == nil || e.done[v] {
		return nil
	}
	e.done[v] = true
	q := v.Type.Quant
	if q == nil {
		p, err := encodeTensor(v.Name, v.Const)
		if err != nil {
			return fmt.Errorf("constant %%%s: %w", v.Name, err)
		}
		e.p.Initializer = append(e.p.Initializer, p)
		return nil
	}
	t := tensor.New(tensor.F32, v.Const.Shape...)
	bad := -1
	q.Channels(t.Shape, func(c, lo, hi int) {
		for i := lo; i < hi; i++ {
			t.F[i] = q.Dequantize(v.Const.I[i], c)
			if q.Quantize(float64(t.F[i]), c) != v.Const.I[i] && bad < 0 {
				bad = i
			}
		}
	})
	if bad >= 0 {
		return fmt.Errorf("constant %%%s: element %d, %d, does not survive as float32", v.Name, bad, v.Const.I[bad])
	}
	from, err := e.initializer(v.Name+"_f", t)
	if err != nil {
		return err
	}
	return e.quant(from, v)
}

// quant writes the Quant node that makes v of the float value from.
func (e *exporter) quant(from string, v *ir.Value) error {
	q, elem := v.Type.Quant, v.Type.Elem
	e.quants = true
	shape := []int{}
	if len(q.Scale) > 1 {
		for range v.Type.Shape {
			shape = append(shape, 1)
		}
		shape[q.Axis] = len(q.Scale)
	}
	scale, zero := tensor.New(tensor.F32, shape...), tensor.New(tensor.F32, shape...)
	for i := range scale.F {
		s, z := q.At(i)
		scale.F[i], zero.F[i] = float32(s), float32(z)
	}
	sn, err := e.initializer(v.Name+"_scale", scale)
	if err != nil {
		return err
	}
	zn, err := e.initializer(v.Name+"_zero", zero)
	if err != nil {
		return err
	}
	bn, err := e.initializer(v.Name+"_bits", tensor.Floats([]int{}, float32(elem.Bits)))
	if err != nil {
		return err
	}
	mode := map[ir.Round]string{ir.HalfEven: "ROUND", ir.HalfAway: "HALF_UP", ir.Floor: "FLOOR"}[q.Round]
	if mode == "" {
		return fmt.Errorf("%%%s: rounding mode %v has no name in QONNX", v.Name, q.Round)
	}
	signed, narrow := 0, 0
	lo, hi := elem.Range()
	if elem.Kind == tensor.Int {
		signed = 1
		if q.Min == lo+1 && q.Max == hi {
			narrow, lo = 1, lo+1
		}
	}
	attrs := []*onnxpb.AttributeProto{intAttr("signed", signed), intAttr("narrow", narrow), strAttr("rounding_mode", mode)}
	if q.Min != lo || q.Max != hi {
		// A range of its own, such as a Relu fused into a signed value: attributes for quern, a Clip for everybody else.
		attrs = append(attrs, intAttr("quern_min", int(q.Min)), intAttr("quern_max", int(q.Max)))
		if !q.PerTensor() {
			return fmt.Errorf("%%%s: a clamp to %d..%d along an axis has no form in QONNX", v.Name, q.Min, q.Max)
		}
		mn, err := e.initializer(v.Name+"_min", tensor.Floats([]int{}, q.Dequantize(q.Min, 0)))
		if err != nil {
			return err
		}
		mx, err := e.initializer(v.Name+"_max", tensor.Floats([]int{}, q.Dequantize(q.Max, 0)))
		if err != nil {
			return err
		}
		clipped := e.names.New(v.Name + "_c")
		e.add("Clip", "", v.Name+clipSuffix, []string{from, mn, mx}, []string{clipped})
		from = clipped
	}
	e.add("Quant", qonnxDomain, v.Name+"_quant", []string{from, sn, zn, bn}, []string{v.Name}, attrs...)
	return nil
}

func strAttr(name, v string) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_STRING.Enum(), S: []byte(v)}
}

// node writes a node, and Quant nodes for its quantized results.
func (e *exporter) node(n *ir.Node) error {
	in := make([]string, len(n.In))
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if err := e.constant(v); err != nil {
			return err
		}
		in[i] = v.Name
	}
	if _, ok := n.Op.(*op.Quantize); ok {
		return e.quant(in[0], n.Out[0])
	}
	var out []string
	for _, v := range n.Out {
		name := v.Name
		if v.Type.IsQuant() {
			name = e.names.New(v.Name + "_f")
		}
		out = append(out, name)
	}
	typ := n.Op.OpName()
	if _, ok := n.Op.(*op.Dequantize); ok {
		typ = "Identity"
	} else if d := op.Of(n.Op); d.Domain != "" {
		return fmt.Errorf("ONNX has no such operator")
	} else if d.Since[0] > e.opset {
		e.opset = d.Since[0]
	}
	attrs, params, err := e.attributes(n)
	if err != nil {
		return err
	}
	e.add(typ, "", n.Pos.Name, append(in, params...), out, attrs...)
	for i, v := range n.Out {
		if v.Type.IsQuant() {
			if err := e.quant(out[i], v); err != nil {
				return err
			}
		}
	}
	return nil
}

// params are the attributes that ONNX passes as inputs at opset 13, in the order of the inputs.
var params = map[string][]string{
	"Reshape": {"shape"}, "Expand": {"shape"}, "Tile": {"repeats"}, "Squeeze": {"axes"}, "Unsqueeze": {"axes"}, "ReduceSum": {"axes"},
	"Split": {"split"}, "Slice": {"starts", "ends", "axes", "steps"}, "Pad": {"pads", "value"}, "Clip": {"min", "max"},
}

// attributes are a node's attributes in the form of opset 13, and the names of its parameters.
func (e *exporter) attributes(n *ir.Node) (attrs []*onnxpb.AttributeProto, inputs []string, err error) {
	vals := map[string]op.Attr{}
	order := params[n.Op.OpName()]
	for _, a := range op.Attrs(n.Op) {
		vals[a.Name] = a
		isParam := false
		for _, p := range order {
			isParam = isParam || p == a.Name
		}
		if isParam {
			continue
		}
		p := &onnxpb.AttributeProto{Name: proto.String(a.Name)}
		switch x := a.Value.(type) {
		case int:
			if a.Default && x == math.MaxInt32 { // an open end
				continue
			}
			p = intAttr(a.Name, x)
		case bool:
			b := 0
			if x {
				b = 1
			}
			if a.Default {
				continue // attributes of younger versions, and their defaults are ours
			}
			p = intAttr(a.Name, b)
			if a.Name == "allowzero" {
				e.opset = max(e.opset, 14)
			}
		case float32:
			p.Type, p.F = onnxpb.AttributeProto_FLOAT.Enum(), proto.Float32(x)
		case string:
			if a.Name == "to" {
				elem, err := tensor.ParseElem(x)
				if err != nil {
					return nil, nil, err
				}
				dt, err := dataTypeOf(elem)
				if err != nil {
					return nil, nil, err
				}
				p = intAttr(a.Name, int(dt))
				break
			}
			p = strAttr(a.Name, x)
		case []int:
			if len(x) == 0 {
				continue
			}
			p.Type, p.Ints = onnxpb.AttributeProto_INTS.Enum(), int64s(x)
		case []float32:
			if len(x) == 0 {
				continue
			}
			p.Type, p.Floats = onnxpb.AttributeProto_FLOATS.Enum(), x
		}
		attrs = append(attrs, p)
	}
	if _, ok := n.Op.(*op.Conv); ok {
		p := &onnxpb.AttributeProto{Name: proto.String("kernel_shape"), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: int64s(n.In[1].Type.Shape[2:])}
		attrs = append(attrs, p)
	}
	for _, name := range order {
		var t *tensor.T
		switch x := vals[name].Value.(type) {
		case []int:
			if len(x) > 0 {
				t = tensor.Ints(tensor.I64, []int{len(x)}, int64s(x)...)
			}
		case float32:
			if !vals[name].Default || name == "value" && x != 0 {
				t = tensor.Floats([]int{}, x)
			}
		}
		if t == nil {
			inputs = append(inputs, "")
			continue
		}
		s, err := e.initializer(n.Out[0].Name+"_"+name, t)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		inputs = append(inputs, s)
	}
	for len(inputs) > 0 && inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	return attrs, inputs, nil
}
