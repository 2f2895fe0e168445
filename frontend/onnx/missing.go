package onnx

import (
	"fmt"
	"strings"

	"quern/ir"
	"quern/ir/op"
)

// missing collects operators that are not supported, each once.
type missing struct{ ops []missingOp }

type missingOp struct {
	dom, name, why string
	opset, count   int
	first          ir.Pos
}

func (m *missing) add(n *node, why string) {
	dom, name := n.p.GetDomain(), n.p.GetOpType()
	for i := range m.ops {
		if o := &m.ops[i]; o.dom == dom && o.name == name {
			o.count++
			return
		}
	}
	m.ops = append(m.ops, missingOp{dom, name, why, n.opset, 1, n.pos})
}

func (m *missing) errors() []error {
	var errs []error
	for _, o := range m.ops {
		dom := o.dom
		if dom == "" {
			dom = "ai.onnx"
		}
		opset := fmt.Sprintf("opset %d", o.opset)
		if o.opset == 0 {
			opset = "of no opset"
		}
		s := fmt.Sprintf("operator %s (domain %s, %s) is not supported", o.name, dom, opset)
		why := o.why
		if why == "" {
			why = whyMissing[o.name]
		}
		if why == "" {
			switch near := nearest(o.name); {
			case near == "" && dom == "com.microsoft":
				why = "onnxruntime's optimizer makes operators of this domain; want the model from before"
			case near == "":
			case near != o.name:
				why = "did you mean " + near + "?"
			case o.dom == "":
				why = "only that of the QONNX domains is"
			default:
				why = "only that of ai.onnx is"
			}
		}
		if why != "" {
			s += ": " + why
		}
		if o.count > 1 {
			s += fmt.Sprintf(" (%d nodes, this is the first)", o.count)
		}
		errs = append(errs, &ir.Error{Pos: o.first, Op: o.name, Err: fmt.Errorf("%s", s)})
	}
	return errs
}

// whyMissing explains whole families that are left out.
var whyMissing = map[string]string{}

func init() {
	for _, f := range []struct{ why, names string }{
		{"control flow with subgraphs; want a model without: exporters and onnx-simplifier resolve conditions that are constant", "If Loop Scan SequenceMap"},
		{"recurrent networks; want a feed-forward one", "RNN LSTM GRU"},
		{"sequences and optional values", "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SplitToSequence " +
			"ConcatFromSequence Optional OptionalGetElement OptionalHasElement"},
		{"random numbers", "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli"},
		{"the shape of the result depends on data", "NonMaxSuppression"},
		{"export the model in the form with QuantizeLinear and DequantizeLinear (QDQ)", "QAttention QLinearWhere QLinearSub QLinearDiv"},
	} {
		for _, name := range strings.Fields(f.names) {
			whyMissing[name] = f.why
		}
	}
}

// nearest is the supported operator with the most similar name, if one is close: a third of the letters may differ.
func nearest(name string) string {
	best, least := "", len(name)/3+1
	if len(name) > 64 { // the distance takes time
		return ""
	}
	try := func(s string) {
		if d := distance(strings.ToLower(name), strings.ToLower(s)); d < least {
			best, least = s, d
		}
	}
	for i := range op.Table {
		if op.Table[i].Since != nil {
			try(op.Table[i].Name)
		}
	}
	for _, s := range []string{"Constant", "ConstantOfShape", "QuantizeLinear", "DequantizeLinear", "Quant", "IntQuant", "CastLike", "CenterCropPad", "Compress",
		"EyeLike", "Mean", "NonZero", "Range", "Scatter", "Unique"} {
		try(s)
	}
	return best
}

// distance is Levenshtein's: insertions, deletions and substitutions of bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diag
			if a[i] != b[j] {
				d = 1 + min(diag, row[j], row[j+1])
			}
			diag, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
