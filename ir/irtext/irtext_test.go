package irtext

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

const convText = `graph tiny(%x f32[N,2,4,4], %"in 2" i64[3]) {
  meta "quern.scale" "255"
  meta "note" "two\nlines \"quoted\""
  const %w i8[2,1,1,2]{s=[0.5,0.1] z=0 axis=0 min=-127 max=127} = [1 2 -3 4]
  const %b f32[2] = [0.1 -inf]
  %h f32[N,2,4,3] = Conv<group=2>(%x, %w, %b)  # node 3 "fc1" tiny.onnx
  %y u8[N,2,4,3]{s=0.1 z=[0,3] axis=1 round=floor} = Relu(%h)  # node 4 tiny.onnx
  const %w2 f32[4,2,2,2] = [1e-45 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 1.6777216e+07 3.4028235e+38 18 -0 20 21 22 23 24 25 26 27 28 29 30 nan]
  %"a b" f32[N,4,2,2] = Conv<strides=[2,1],pads=[1,0,0,0],dilations=[2,1]>(%y, %w2, _)  # node 5 "" "my file.onnx"
  const %shape i64[3] = [N "2 b" -9223372036854775808]
  const %s bool[] = [1]
  const %empty u3[2,0] = []
  return %"a b", %h, %shape, %s, %empty
}
`

func parse(t *testing.T, text string) *ir.Graph {
	t.Helper()
	g, err := Parse("dir/x.ir", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestRoundTrip(t *testing.T) {
	// One zero point for each of two scales is the valid form; several zero points need several scales.
	text := strings.Replace(convText, "{s=0.1 z=[0,3] axis=1 round=floor}", "{s=[0.1,3e-05] z=[0,3] axis=1 round=floor}", 1)
	g := parse(t, text)
	if got := String(g); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	if want := (ir.Pos{File: "tiny.onnx", Node: 3, Name: "fc1"}); g.Nodes[0].Pos != want {
		t.Errorf("position %#v, want %#v", g.Nodes[0].Pos, want)
	}
	if want := (ir.Pos{File: "my file.onnx", Node: 5}); g.Nodes[2].Pos != want {
		t.Errorf("position %#v, want %#v", g.Nodes[2].Pos, want)
	}
	q := g.Nodes[1].Out[0].Type.Quant
	if q.Scale[0] != float64(float32(0.1)) || q.Round != ir.Floor || q.Axis != 1 || q.Min != 0 || q.Max != 255 {
		t.Errorf("quant %+v", q)
	}
	if o := g.Nodes[2].Op.(*op.Conv); o.Group != 1 || o.Strides[0] != 2 || g.Nodes[2].In[2] != nil {
		t.Errorf("conv %+v of %v", o, g.Nodes[2].In)
	}
}

// A text by hand: blanks and line breaks anywhere, comments, no positions, defaults written out, constants far from their use.
func TestHandWritten(t *testing.T) {
	g := parse(t, "# a comment\r\ngraph \"tiny\" ( %x f32 [ 1,2 ] )\r\n{ # another\n\tconst %unread f32[1] = [7]\n"+
		"\t%y i4[1,2] {z=+1 s=0.50\n max=5 min=-3} = Relu (%x) # not a position\n%z f32[1,2] = Relu(\n%y)\nreturn\n%z}")
	want := `graph tiny(%x f32[1,2]) {
  %y i4[1,2]{s=0.5 z=1 min=-3 max=5} = Relu(%x)  # node 5 x.ir
  %z f32[1,2] = Relu(%y)  # node 7 x.ir
  return %z
}
`
	if got := String(g); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := String(g, NoPos); strings.Contains(got, "#") || strings.Count(got, "\n") != 5 {
		t.Errorf("without positions:\n%s", got)
	}
}

// Every float32 comes back with its bits.
func TestFloatsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32,
		math.SmallestNonzeroFloat32}
	for len(data) < 5000 {
		if x := math.Float32frombits(r.Uint32()); x == x {
			data = append(data, x)
		}
	}
	v := &ir.Value{Name: "c", Type: ir.T(tensor.F32, len(data)), Const: tensor.Floats([]int{len(data)}, data...)}
	text := String(&ir.Graph{Name: "g", Outputs: []*ir.Value{v}})
	for _, line := range strings.Split(text, "\n") {
		if len(line) > 120 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
	g := parse(t, text)
	if !g.Outputs[0].Const.Equal(v.Const) {
		t.Error("floats changed")
	}
}

func TestShort(t *testing.T) {
	g := &ir.Graph{Name: "g"}
	for _, n := range []int{64, 65} {
		c := tensor.New(tensor.I(8), n)
		c.I[3], c.I[7] = -5, 100
		g.Outputs = append(g.Outputs, &ir.Value{Name: string(rune('a' + n - 64)), Type: ir.T(c.Elem, n), Const: c})
	}
	text := String(g, Short)
	if !strings.Contains(text, "%a i8[64] = [0 0 0 -5 ") || !strings.Contains(text, "%b i8[65] = #") || !strings.Contains(text, " -5..100\n") {
		t.Errorf("got\n%s", text)
	}
	_, err := Parse("s.ir", []byte(text))
	if err == nil || err.Error() != "s.ir:3:9: constant %b: the data was left out when this was printed in short form" {
		t.Errorf("parse of a short form: %v", err)
	}
	g.Outputs[1].Const.I[64] = 1
	if String(g, Short) == text {
		t.Error("the hash does not depend on the data")
	}
}

func TestErrors(t *testing.T) {
	head := "graph g(%x f32[1,2,4,4], %n f32[N,2,4,4]) {\n"
	tests := []struct{ body, want string }{
		{"  %y f32[1,2,4,4] = Relu(%x)\n return %y }", ""},
		{"  %y f32[1,2,4,5] = Relu(%x)\n return %y }", "x.ir:2:21: Relu: result 0, %y: want f32[1,2,4,4], got f32[1,2,4,5]"},
		{"  %y f32[M,2,4,4] = Relu(%n)\n return %y }", "x.ir:2:21: Relu: result 0, %y: want f32[N,2,4,4], got f32[M,2,4,4]"},
		{"  %y f32[1] = Conv<group=2>(%x, %x)\n return %y }", "x.ir:2:15: Conv: 2 channels and weights f32[1,2,4,4] do not fit 2 groups"},
		{"  %y f32[1] = Conv(%x)\n return %y }", "x.ir:2:15: Conv: want 2 to 3 inputs, got 1"},
		{"  %y f32[1] = Conv(%x, %x, %x, %x)\n return %y }", "x.ir:2:15: Conv: want 2 to 3 inputs, got 4"},
		{"  %y f32[1,2,4,4], %z f32[1] = Relu(%x)\n return %y }", "x.ir:2:32: Relu: want at most 1 results, got 2"},
		{"  %y f32[1] = Convv(%x)\n return %y }", `x.ir:2:15: no operator "Convv"`},
		{"  %y f32[1] = Conv<group=1,group=2>(%x)\n return %y }", "x.ir:2:28: attribute group is given twice"},
		{"  %y f32[1] = Conv<grp=1>(%x)\n return %y }", `x.ir:2:20: no attribute "grp"; Conv has strides, pads, dilations, group`},
		{"  %y f32[1] = Conv<group=[1]>(%x)\n return %y }", "x.ir:2:26: want an integer, got '['"},
		{"  %y f32[1] = Conv<strides=[1.5]>(%x)\n return %y }", `x.ir:2:29: want an integer, got "1.5"`},
		{"  %y f32[1] = Conv<pads=[-1099511627776]>(%x)\n return %y }", "x.ir:2:26: -1099511627776 is reserved for symbolic dimensions"},
		{"  %y f32[1,2,4,4] = Relu(%z)\n %v f32[2] = Relu(%y)\n return %y, %z }", "x.ir:2:26: %z is not defined above\n" +
			"x.ir:3:14: Relu: result 0, %v: want f32[1,2,4,4], got f32[2]"},
		{"  %x f32[1,2,4,4] = Relu(%x)\n return %x }", "x.ir:2:3: %x is defined twice, first in line 1"},
		{"  %y f33[1] = Relu(%x)\n %z f32[1] = Relu(%y)\n return %y }",
			`x.ir:2:6: element type "f33": want f16, f32, f64, bf16, bool, or i or u with a width from 1 to 64`},
		{"  %y f32[1,-2] = Relu(%x)\n return %y }", "x.ir:2:6: type f32[1,-2]: dimension 1 is -2, want 0 or more"},
		{"  %y f32[0,65536,65536] = Relu(%x)\n return %y }", "x.ir:2:6: type f32[0,65536,65536]: more than 2147483647 elements"},
		{"  const %y f32[1000000000] = [1]\n return %y }", "x.ir:2:9: constant %y: want 1000000000 elements for f32[1000000000], got 1"},
		{"  const %y f32[N] = [1]\n return %y }", "x.ir:2:9: constant %y: type f32[N] has symbolic dimensions"},
		{"  const %y i8[1] = [128]\n return %y }", "x.ir:2:9: constant %y: tensor i8[1]: element 0 is 128, outside -128..127"},
		{"  const %y f32[1] = [1e50]\n return %y }", `x.ir:2:22: want a number that float32 holds, got "1e50"`},
		{"  const %y i8[1] = [1.0]\n return %y }", `x.ir:2:21: want an integer, got "1.0"`},
		{"  const %y i8[1]{s=1 z=0 max=3} = [4]\n return %y }", "x.ir: %y: element 0 is 4, want -128..3"},
		{"  %y f32[1]{s=1 z=0} = Relu(%x)\n return %y }", "x.ir:2:12: scale and zero point on element type f32, want an integer"},
		{"  %y i8[1]{s=1} = Relu(%x)\n return %y }", "x.ir:2:17: a quantized type needs both s and z"},
		{"  %y i8[1]{s=1 q=0} = Relu(%x)\n return %y }", `x.ir:2:16: want s, z, axis, min, max or round, got "q"`},
		{"  %y i8[1]{s=1 s=1} = Relu(%x)\n return %y }", "x.ir:2:16: s is given twice"},
		{"  %y i8[1]{s=1 z=0 round=up} = Relu(%x)\n return %y }",
			`x.ir:2:26: rounding mode "up": want one of half_even, half_up, half_away, floor, ceil, away, to_zero, half_to_zero`},
		{"  %y i8[1,2,4,4]{s=-1 z=0} = Relu(%x)\n return %y }", "x.ir:2: Relu: %y: scale -1, want a positive finite number"},
		{"  %y f32[1,2,4,4] = Relu(%x)  # node 9 \"r\" m.onnx\n return %y }\n graph", `x.ir:4:2: want nothing behind the graph, got "graph"`},
		{"  %y f32[1,2,4,4] = Relu(%x)\n}", `x.ir:3:1: want "return" before the end of the graph`},
		{"  %y f32[1,2,4,4] = Relu(%x)\n return %y", "x.ir:3:11: want '}', got the end of the text"},
		{"  return %x, }", "x.ir:2:14: want a value, got '}'"},
		{"  return }", "x.ir: graph has no outputs, want at least one"},
		{"  return %x\n meta \"a\" \"b\"}", `x.ir:3:2: want '}' after return, got "meta"`},
		{"  meta a \"b\"\n return %x}", `x.ir:2:8: want a quoted key, got "a"`},
		{"  hello\n return %x}", `x.ir:2:3: want a statement (%name, const, meta or return), got "hello"`},
		{"  %\"abc\n return %x}", "x.ir:2:3: a quoted text that does not end or has a bad escape"},
		{"  % f32\n return %x}", "x.ir:2:3: % without a name"},
		{"  $\n return %x}", "x.ir:2:3: character '$' is not part of the language"},
		// All problems of a text, without those that follow from others.
		{"  %a f32[1] = Relu(%x\n  %b f32[1 = Relu(%a)\n  %c f32[1,2,4,4] = Relu(%b)\n  %c f32[1,2,4,4] = Rlu(%b)\n return %c, %d }",
			"x.ir:3:3: want ',', got %b\nx.ir:3:12: want ',', got '='\nx.ir:5:21: no operator \"Rlu\"\nx.ir:6:13: %d is not defined above"},
	}
	for _, tt := range tests {
		_, err := Parse("x.ir", []byte(head+tt.body))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if strings.TrimSpace(got) != strings.TrimSpace(tt.want) {
			t.Errorf("%s\ngot  %s\nwant %s", tt.body, got, tt.want)
		}
	}
	for text, want := range map[string]string{
		"":                     `y.ir:1:1: want "graph", got the end of the text`,
		"graph":                "y.ir:1:6: want the name of the graph, got the end of the text",
		"graph g(%x f32[1] %y": "y.ir:1:19: want ',', got %y",
		"graph g(%x f32[1], %x f32[1]) { return %x }": "y.ir:1:20: %x is defined twice, first in line 1",
	} {
		if _, err := Parse("y.ir", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	many := head + strings.Repeat("  %\n", 100)
	if _, err := Parse("x.ir", []byte(many)); strings.Count(err.Error(), "\n") != maxErrors || !strings.HasSuffix(err.Error(), "too many errors") {
		t.Errorf("100 bad lines: %v", err)
	}
}
