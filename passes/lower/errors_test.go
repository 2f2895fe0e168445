package lower

import (
	"strings"
	"testing"

	"quern/backends/sim"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtext"
)

func parse(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse("m.ir", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func simulate(t testing.TB, p *hw.Program, in [][]int64) [][]int64 {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	y, err := m.NewState().Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// TestErrors: every refusal names the node and says what was expected.
func TestErrors(t *testing.T) {
	const (
		q    = "{s=0.5 z=0}"
		node = `node 7 "n"`
		pos  = `  # node 7 "n" m.onnx`
	)
	one := func(in, body string) string { return "graph g(" + in + ") {\n" + body + pos + "\n  return %y\n}" }
	for _, c := range []struct {
		name, graph string
		o           Options
		want        []string
	}{
		{"open size", "graph g(%x f32[N,3,H,4]) {\n  %y u8[N,3,H,4]{s=0.5 z=0} = Quantize(%x)\n  return %y\n}", Options{}, []string{`input "x": dimension 2 (H) is open`, "want a number"}},
		{"no rule", one("%x i8[1,2]"+q, "  %y f32[1,2] = Dequantize(%x)"), Options{}, []string{node, "(Dequantize)", "has no integer form; supported here: Abs, "}},
		{"float input", one("%x f32[1,2]", "  %y i8[1,2]"+q+" = Neg(%x)"), Options{}, []string{node, "input 0 (%x) is float, want a quantized value"}},
		{"float result", one("%x i8[1,2]"+q, "  %y f32[1,2] = Add(%x, %x)"), Options{}, []string{node, "result %y is float, want a quantized value"}},
		{"scales of an input", one("%x i8[1,2]{s=[0.5,1] z=0 axis=1}", "  %y i8[1,2]"+q+" = Neg(%x)"), Options{}, []string{node, `input "x": 2 scales, want one`}},
		{"scales of a result", one("%x i8[1,2]"+q, "  %y i8[1,2]{s=[0.5,1] z=0 axis=1} = Neg(%x)"), Options{}, []string{node, "result %y has 2 scales, want one"}},
		{"weights that are no constant", one("%x i8[1,2]"+q+", %w i8[2,3]"+q, "  %y i8[1,3]"+q+" = Gemm(%x, %w)"), Options{}, []string{node, "weights %w: want a quantized constant, got i8[2,3]"}},
		{"float weights", one("%x i8[1,2]"+q, "  const %w f32[2,1] = [1 2]\n  %y i8[1,1]"+q+" = Gemm(%x, %w)"), Options{}, []string{node, "weights %w: want a quantized constant, got f32[2,1]"}},
		{"axis of the scales", one("%x i8[1,2]"+q, "  const %w i8[2,2]{s=[1,2] z=0 axis=0} = [1 2 3 4]\n  %y i8[1,2]"+q+" = Gemm(%x, %w)"), Options{},
			[]string{node, "weights %w: scales along axis 0, want the output channels' axis 1"}},
		{"two activations", one("%x i8[1,2]"+q+", %w i8[2,3]"+q, "  %y i8[1,3]"+q+" = MatMul(%x, %w)"), Options{}, []string{node, "input 1 (%w) is not constant: products of two activations"}},
		{"weights of three dims", one("%x i8[1,2]"+q, "  const %w i8[1,2,1]"+q+" = [1 2]\n  %y i8[1,1,1]"+q+" = MatMul(%x, %w)"), Options{}, []string{node, "input 1: want 2 dims, got i8[1,2,1]"}},
		{"rows", one("%x i8[3,2]"+q, "  const %w i8[2,1]"+q+" = [1 2]\n  %y i8[3,1]"+q+" = Gemm(%x, %w)"), Options{}, []string{node, "input %x is i8[3,2]", "want one row for each sample"}},
		{"alpha", one("%x i8[1,2]"+q, "  const %w i8[2,1]"+q+" = [1 2]\n  %y i8[1,1]"+q+" = Gemm<alpha=2f>(%x, %w)"), Options{}, []string{node, "alpha 2, beta 1, transA false: want 1, 1, false"}},
		{"bias", one("%x i8[1,2]"+q+", %b i32[1]"+q, "  const %w i8[2,1]"+q+" = [1 2]\n  %y i8[1,1]"+q+" = Gemm(%x, %w, %b)"), Options{}, []string{node, "bias %b is not constant"}},
		{"constant to move", one("%x i8[1,2]"+q, "  const %k i8[1,2]"+q+" = [1 2]\n  %y i8[1,4]"+q+" = Concat<axis=1>(%x, %k)"), Options{}, []string{node, "input %k is a constant, want a value of the graph"}},
		{"constants only", one("%x i8[1,2]"+q, "  const %k i8[1,2]"+q+" = [1 2]\n  %y i8[1,2]"+q+" = Add(%k, %k)"), Options{}, []string{node, "all operands are constant"}},
		{"float constant", one("%x i8[1,2]"+q, "  const %k f32[2,2] = [1 2 3 4]\n  %y i8[2,2]"+q+" = Mul(%x, %k)"), Options{}, []string{node, "input %k is float, want a quantized value"}},
		{"two bases", one("%x i8[1,2]"+q, "  const %k f32[2] = [1 2]\n  %y i8[1,2]"+q+" = Pow(%x, %k)"), Options{}, []string{node, "operand %k is a constant of shape [2], want one number"}},
		{"division by 0", one("%x i8[1,2]"+q, "  const %k f32[2] = [1 0]\n  %y i8[1,2]"+q+" = Div(%x, %k)"), Options{}, []string{node, "operand %k: division by 0"}},
		{"table", one("%x i17[1,2]"+q, "  %y i8[1,2]"+q+" = Exp(%x)"), Options{}, []string{node, "a table of 131072 entries for input %x, want at most 65536: give it fewer bits"}},
		{"not a number", one("%x i8[1,2]"+q, "  %y i8[1,2]"+q+" = Log(%x)"), Options{}, []string{node, "not a number at -64"}},
		{"empty window", one("%x i8[1,1,3]"+q, "  %y i8[1,1,3]"+q+" = AveragePool<kernel_shape=[2],pads=[2,2],dilations=[4]>(%x)"), Options{},
			[]string{node, "output pixel 1 has no element to average"}},
		{"multiplier", one("%x i8[1,2]"+q, "  %y i8[1,2]{s=0.3 z=0} = Relu(%x)"), Options{MultiplierBits: 8}, []string{node, "accumulator of 9 bits leaves 7 bits for the requantization multiplier inside 63, want 8 at least"}},
		{"nothing", "graph g(%x f32[1,2]) {\n  %y f32[1,2] = Softmax(%x)\n  return %y\n}", Options{}, []string{"output %x is not computed in hardware: the model has no quantized layer before it"}},
		{"layer on the host", `graph g(%x i8[1,2]{s=0.5 z=0}) {
  const %w i8[2,1]{s=0.5 z=0} = [1 2]
  %s f32[1,2] = Hardmax(%x)  # node 3 "soft" m.onnx
  %y i8[1,1]{s=0.5 z=0} = Gemm(%s, %w)` + pos + "\n  return %y\n}", Options{}, []string{node, "input %s comes from", `node 3 "soft"`, "(Hardmax), which has no integer form"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Lower(parse(t, c.graph), c.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nwant %q in it", err, w)
				}
			}
		})
	}
}
