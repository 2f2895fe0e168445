package onnx

import (
	"slices"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// rule is what is special about the ONNX form of an operator, beyond attributes of the same name and params: it makes old forms, and
// defaults that depend on the input, the one form of the IR.
type rule struct {
	takes    []string // attributes that the rule reads itself, though the operator has one of that name
	needs    []string // attributes that ONNX requires
	harmless []string // attributes that change nothing at inference
	// run may change o, return another operator, or emit nodes itself and return nil.
	run func(n *node, o ir.Op) ir.Op
}

// aboutFloat8 are attributes of Cast that have no meaning for other types.
var aboutFloat8 = []string{"saturate", "round_mode"}

// rules are by operator. They are filled at start because some lead back to this table.
var rules map[string]rule

func init() {
	rules = map[string]rule{
		"And":                {run: broadcastRule},
		"AveragePool":        {needs: []string{"kernel_shape"}, run: poolRule},
		"BatchNormalization": {harmless: []string{"momentum"}, run: batchNormRule},
		"BitShift":           {needs: []string{"direction"}},
		"Cast":               {takes: []string{"to"}, needs: []string{"to"}, harmless: aboutFloat8, run: castRule},
		"Clip":               {run: clipRule},
		"Concat":             {takes: []string{"axis"}, run: concatRule},
		"Conv":               {run: convRule},
		"ConvInteger":        {run: convIntegerRule},
		"ConvTranspose":      {run: convTransposeRule},
		"DepthToSpace":       {needs: []string{"blocksize"}},
		"Dropout":            {harmless: []string{"ratio", "seed"}, run: dropoutRule},
		"Expand":             {run: expandRule},
		"Einsum":             {needs: []string{"equation"}},
		"Equal":              {run: broadcastRule},
		"Gemm":               {run: gemmRule},
		"Greater":            {run: broadcastRule},
		"GridSample":         {run: gridSampleRule},
		"GroupNormalization": {needs: []string{"num_groups"}, harmless: roundsOfSums, run: groupNormRule},
		"Hardmax":            {takes: []string{"axis"}, run: softmaxRule},
		"LRN":                {needs: []string{"size"}},
		"LayerNormalization": {harmless: roundsOfSums, run: layerNormRule},
		"Less":               {run: broadcastRule},
		"LogSoftmax":         {takes: []string{"axis"}, run: softmaxRule},
		"LpPool":             {needs: []string{"kernel_shape"}, run: poolRule},
		"MaxPool":            {needs: []string{"kernel_shape"}, run: poolRule},
		"MaxRoiPool":         {needs: []string{"pooled_shape"}},
		"MaxUnpool":          {needs: []string{"kernel_shape"}, run: unpoolRule},
		"Or":                 {run: broadcastRule},
		"PRelu":              {run: preluRule},
		"Pad":                {run: padRule},
		"RMSNormalization":   {harmless: roundsOfSums},
		"ReduceL1":           {run: reduceRule},
		"ReduceL2":           {run: reduceRule},
		"ReduceLogSum":       {run: reduceRule},
		"ReduceLogSumExp":    {run: reduceRule},
		"ReduceMax":          {run: reduceRule},
		"ReduceMean":         {run: reduceRule},
		"ReduceMin":          {run: reduceRule},
		"ReduceProd":         {run: reduceRule},
		"ReduceSum":          {run: reduceRule},
		"ReduceSumSquare":    {run: reduceRule},
		"Reshape":            {run: reshapeRule},
		"Selu":               {takes: []string{"alpha", "gamma"}, run: seluRule},
		"RoiAlign":           {run: roiAlignRule},
		"Slice":              {run: sliceRule},
		"Softmax":            {takes: []string{"axis"}, run: softmaxRule},
		"SpaceToDepth":       {needs: []string{"blocksize"}},
		"Split":              {run: splitRule},
		"Transpose":          {run: transposeRule},
		"Xor":                {run: broadcastRule},
	}
	for _, name := range []string{"Add", "Div", "Mul", "Pow", "Sub"} {
		rules[name] = rule{run: broadcastRule}
	}
}

// shape is that of input 0.
func (n *node) shape() []int { return n.in[0].Type.Shape }

// batchNormRule: spatial (until opset 8) must say per channel, training_mode (from 14) inference.
func batchNormRule(n *node, o ir.Op) ir.Op {
	n.isTest()
	if n.opset < 9 {
		if s := take(n, "spatial", 1); s != 1 {
			n.fail("spatial %d: want 1, statistics per channel", s)
		}
	}
	if m := take(n, "training_mode", 0); m != 0 {
		n.fail("training_mode %d: want 0, a model for inference", m)
	}
	return o
}

// castRule: all floats are float32 here.
func castRule(n *node, o ir.Op) ir.Op {
	var to int
	if n.opset < 6 {
		to = castName(n)
	} else {
		to = take(n, "to", 0)
	}
	if n.failed {
		return nil
	}
	e, err := elemOf(int32(to))
	if err != nil {
		n.fail("attribute to: %w", err)
	}
	return &op.Cast{To: e.String()}
}

func dropoutRule(n *node, o ir.Op) ir.Op {
	n.isTest()
	if t := n.constInput(2, "training_mode"); t != nil && (t.Len() != 1 || t.Float(0) != 0) {
		if r := n.constInput(1, "ratio"); r == nil || r.Len() != 1 || r.Float(0) != 0 { // ratio 0 drops nothing
			n.fail("input 2 (training_mode): want false, a model for inference")
		}
	}
	if !n.readsOutput(1) || !n.noMoreAttrs("ratio", "seed") {
		return o
	}
	n.emit(o, n.in[:1], n.p.Output[:1])
	keep := tensor.Ints(tensor.B, []int{1}, 1)
	if n.opset < 10 { // the mask has the type of the input
		keep = tensor.Floats([]int{1}, 1)
	}
	c := &ir.Value{Name: n.im.names.New(n.p.Output[1] + "_keep"), Type: ir.Type{Elem: keep.Elem, Shape: keep.Shape}, Const: keep}
	n.emit(&op.Expand{Shape: n.shape()}, []*ir.Value{c}, n.p.Output[1:2])
	return nil
}

// clipRule: the bounds of integers are exact in Max and Min, as reals they are not.
func clipRule(n *node, o ir.Op) ir.Op {
	x := n.in[0]
	if !x.Type.Elem.IsInt() || x.Type.Quant != nil || n.opset < 11 || !n.noMoreAttrs() {
		return o
	}
	out := n.outputs(1)
	for i, c := range []struct {
		what string
		op   ir.Op
	}{{"min", &op.Max{}}, {"max", &op.Min{}}} {
		b := n.input(1 + i)
		if b == nil {
			continue
		}
		name := out
		if i == 0 && n.input(2) != nil {
			name = []string{n.im.names.New(out[0] + "_low")}
		}
		if n.constInput(1+i, c.what) == nil {
			return nil
		}
		if x = n.emit(c.op, []*ir.Value{x, b}, name); x == nil {
			return nil
		}
	}
	if x == n.in[0] {
		return &op.Identity{}
	}
	return nil
}

// readsOutput reports whether anything reads output i of the node.
func (n *node) readsOutput(i int) bool {
	return i < len(n.p.Output) && n.p.Output[i] != "" && n.im.reads[n.p.Output[i]] > 0
}

// padRule: as of opset 18 pads may be for some axes only.
func padRule(n *node, o ir.Op) ir.Op {
	t := n.constInput(3, "axes")
	if t == nil {
		return o
	}
	p, rank := o.(*op.Pad), len(n.shape())
	axes, err := intsOf(t)
	if err != nil {
		n.fail("input 3 (axes): %w", err)
		return nil
	}
	if err := positive(axes, rank); err != nil {
		n.fail("input 3 (axes): %w", err)
		return nil
	}
	if len(p.Pads) != 2*len(axes) {
		n.fail("input 1 (pads): want two for each of the axes %v, got %v", axes, p.Pads)
		return nil
	}
	all := make([]int, 2*rank)
	for i, a := range axes {
		all[a], all[rank+a] = p.Pads[i], p.Pads[len(axes)+i]
	}
	p.Pads = all
	return p
}

// reduceRule: no axes mean all of them, unless noop_with_empty_axes says none.
func reduceRule(n *node, o ir.Op) ir.Op {
	noop := take(n, "noop_with_empty_axes", 0)
	axes := op.Attrs(o)[0].Value.([]int)
	if noop != 0 && len(axes) == 0 {
		return notReduced(n, o)
	}
	return o
}

// notReduced is what a reduction over no axes does to each element.
func notReduced(n *node, o ir.Op) ir.Op {
	switch o.(type) {
	case *op.ReduceL1, *op.ReduceL2:
		return &op.Abs{}
	case *op.ReduceLogSum:
		return &op.Log{}
	case *op.ReduceSumSquare:
		if n.noMoreAttrs() {
			n.finish(&op.Mul{}, []*ir.Value{n.in[0], n.in[0]})
		}
		return nil
	}
	return &op.Identity{}
}

func reshapeRule(n *node, o ir.Op) ir.Op {
	r := o.(*op.Reshape)
	if !r.AllowZero {
		r.Shape = openShape(r.Shape, n.shape(), n.in[0].Type.Elem)
	}
	return r
}

// openShape replaces symbolic dimensions of a reshape by 0 where they copy a dimension of the input and one of them by -1, as far as the
// result stays the same: such a shape holds for every size, and a model file can keep it.
func openShape(shape, from []int, e tensor.Elem) []int {
	r := slices.Clone(shape)
	for i, d := range r {
		if ir.IsSymbol(d) && i < len(from) && from[i] == d {
			r[i] = 0
		}
	}
	if i := slices.IndexFunc(r, ir.IsSymbol); i >= 0 && !slices.Contains(r, -1) {
		try := slices.Clone(r)
		try[i] = -1
		t, err := (&op.Reshape{Shape: try}).Infer([]*ir.Type{{Elem: e, Shape: from}})
		if err == nil && t[0].Shape[i] == r[i] {
			return try
		}
	}
	return r
}

// expandRule: a symbolic dimension that the input has already need not be named.
func expandRule(n *node, o ir.Op) ir.Op {
	e := o.(*op.Expand)
	for i, d := range e.Shape {
		if k := i - len(e.Shape) + len(n.shape()); ir.IsSymbol(d) && k >= 0 && n.shape()[k] == d {
			e.Shape[i] = 1
		}
	}
	return e
}

// sliceRule: steps of 1 are the default.
func sliceRule(n *node, o ir.Op) ir.Op {
	s := o.(*op.Slice)
	if allEqual(s.Steps, 1) && len(s.Steps) == len(s.Starts) {
		s.Steps = nil
	}
	return s
}

// softmaxRule: before opset 13 the function runs over all axes from axis (default 1) on, taken as one.
func softmaxRule(n *node, o ir.Op) ir.Op {
	def := -1
	if n.opset < 13 {
		def = 1
	}
	axis, rank := take(n, "axis", def), len(n.shape())
	if axis < -rank || axis >= rank {
		n.fail("axis %d of %d dims: want %d to %d", axis, rank, -rank, rank-1)
		return nil
	}
	if axis < 0 {
		axis += rank
	}
	if n.opset >= 13 || allEqual(n.shape()[axis+1:], 1) {
		if err := op.SetAttr(o, "axis", axis); err != nil {
			n.failErr(err)
		}
		return o
	}
	if err := op.SetAttr(o, "axis", 1); err != nil {
		n.failErr(err)
	}
	if !n.noMoreAttrs() {
		return nil
	}
	out := n.outputs(1)
	x := n.emit(&op.Flatten{Axis: axis}, n.in, []string{n.im.names.New(out[0] + "_flat")})
	if x == nil {
		return nil
	}
	y := n.emit(o, []*ir.Value{x}, []string{n.im.names.New(out[0] + "_rows")})
	if y == nil {
		return nil
	}
	n.emit(&op.Reshape{Shape: openShape(n.shape(), y.Type.Shape, y.Type.Elem)}, []*ir.Value{y}, out)
	return nil
}

// splitRule works out the sizes of equal parts: the last is smaller if the axis does not divide (as of opset 18).
func splitRule(n *node, o ir.Op) ir.Op {
	s, rank := o.(*op.Split), len(n.shape())
	k := len(n.p.Output)
	num := k
	if n.opset >= 18 {
		num = take(n, "num_outputs", k)
	}
	axis := []int{s.Axis}
	if err := positive(axis, rank); err != nil {
		n.failErr(err)
		return nil
	}
	d := n.shape()[axis[0]]
	switch {
	case num != k:
		n.fail("num_outputs %d: the node has %s", num, plural(k, "output", "outputs"))
	case len(s.Split) == k:
	case len(s.Split) > 0:
		n.fail("split %v: want a size for each of the %s", s.Split, plural(k, "output", "outputs"))
	case ir.IsSymbol(d):
		n.fail("dimension %s must be known to split it into %d parts", ir.DimString(d), k)
	case d%k != 0 && (n.opset < 18 || (d+k-1)/k*(k-1) > d):
		n.fail("axis %d of %v cannot be split into %d equal parts", axis[0], n.in[0].Type, k)
	default:
		each := (d + k - 1) / k
		for i := range k {
			s.Split = append(s.Split, min(each, d-i*each))
		}
	}
	return s
}

// transposeRule: without perm the axes are reversed.
func transposeRule(n *node, o ir.Op) ir.Op {
	t := o.(*op.Transpose)
	if len(t.Perm) == 0 {
		t.Perm, _ = t.Order(len(n.shape())) // the default has no errors
	}
	return t
}

// constantNode is Constant: no node in the IR.
func constantNode(n *node) {
	if !n.arity(0, 0) {
		return
	}
	if len(n.p.Attribute) != 1 {
		n.fail("want one attribute, the value, got %d", len(n.p.Attribute))
		return
	}
	a := n.p.Attribute[0]
	want := map[string]onnxpb.AttributeProto_AttributeType{
		"value": onnxpb.AttributeProto_TENSOR, "value_float": onnxpb.AttributeProto_FLOAT, "value_int": onnxpb.AttributeProto_INT,
		"value_floats": onnxpb.AttributeProto_FLOATS, "value_ints": onnxpb.AttributeProto_INTS,
	}[a.GetName()]
	if want == 0 {
		n.fail("attribute %s is not supported, want value, value_float, value_floats, value_int or value_ints", a.GetName())
		return
	}
	if a.GetType() != want {
		n.fail("attribute %s: want type %v, got %v", a.GetName(), want, a.GetType())
		return
	}
	var t *tensor.T
	switch a.GetName() {
	case "value":
		t = n.tensorAttr(a)
	case "value_float":
		t = tensor.Floats([]int{}, a.GetF())
	case "value_floats":
		t = tensor.New(tensor.F32, len(a.Floats))
		copy(t.F, a.Floats)
	case "value_int":
		t = tensor.Ints(tensor.I64, []int{}, a.GetI())
	case "value_ints":
		t = tensor.New(tensor.I64, len(a.Ints))
		copy(t.I, a.Ints)
	}
	n.constants(t)
}

// tensorAttr decodes an attribute that is a tensor.
func (n *node) tensorAttr(a *onnxpb.AttributeProto) *tensor.T {
	t, err := decodeTensor(a.GetT(), n.im.dir)
	if err != nil {
		n.fail("attribute %s: %w", a.GetName(), err)
		return nil
	}
	return t
}

// constants makes the only output a constant.
func (n *node) constants(t *tensor.T) {
	if names := n.outputs(1); !n.failed {
		if err := noSymbols(t); err != nil {
			n.failErr(err)
			return
		}
		n.im.constant(names[0], t)
	}
}

// constantOfShapeNode is computed at import: hardware has no use for a constant that it makes itself.
func constantOfShapeNode(n *node) {
	if !n.arity(1, 1) {
		return
	}
	s := n.constInput(0, "shape")
	if s == nil {
		return
	}
	shape, err := intsOf(s)
	if err != nil {
		n.fail("input 0 (shape): %w", err)
		return
	}
	v := tensor.Floats([]int{1}, 0)
	if a := n.attrs["value"]; a != nil {
		delete(n.attrs, "value")
		if v = n.tensorAttr(a); v == nil {
			return
		}
	}
	if v.Len() != 1 {
		n.fail("attribute value: want one element, got %v", v)
		return
	}
	for i, d := range shape {
		if ir.IsSymbol(d) {
			n.fail("dimension %s of the shape must be known", ir.DimString(d))
		} else if d < 0 {
			n.fail("input 0 (shape): dimension %d is %d, want 0 or more", i, d)
		}
	}
	if n.failed || !n.noMoreAttrs() {
		return
	}
	if size, ok := elements(shape); !ok || size > maxFold {
		n.fail("shape %v: want at most %d elements", shape, maxFold)
		return
	}
	t := tensor.New(v.Elem, shape...)
	for i := range t.F {
		t.F[i] = v.F[0]
	}
	for i := range t.I {
		t.I[i] = v.I[0]
	}
	n.constants(t)
}

// shapeNode is a constant, too, since every value has a type: symbolic dimensions are handles in it.
func shapeNode(n *node) {
	if !n.arity(1, 1) {
		return
	}
	o := op.ByName("Shape").New()
	n.setAttrs(o)
	if !n.noMoreAttrs() {
		return
	}
	if names := n.outputs(1); !n.failed {
		n.im.constant(names[0], o.(*op.Shape).Of(n.shape()))
	}
}
