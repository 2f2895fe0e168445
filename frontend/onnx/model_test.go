package onnx

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
)

// parseModel makes a model of lines such as
//
//	opset 13                      of the default domain; 13 unless said
//	opset onnx.brevitas 1
//	meta key value
//	in x f32[N,3,?,8]             ? is a dimension without size and name
//	const s i64[2] = 1 -1
//	y, _ = Split<axis=1,split=[2,1]>(x, _)  ; node name
//	y = onnx.brevitas::Quant(x, s, z, b)
//	out y f32[N,2]                the type may be left out
//
// Attributes: 1 is an int, 1.0 a float, "a" a string, [1,2] ints, [1.0] floats, i8[2]{1 2} a tensor.
func parseModel(t testing.TB, text string) *onnxpb.ModelProto {
	t.Helper()
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(7), Graph: &onnxpb.GraphProto{Name: proto.String("t")}}
	opsets := map[string]int{"": 13}
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		f := strings.Fields(rest)
		switch word {
		case "opset":
			v, err := strconv.Atoi(f[len(f)-1])
			if err != nil {
				t.Fatal(err)
			}
			opsets[strings.Join(f[:len(f)-1], "")] = v
		case "meta":
			m.MetadataProps = append(m.MetadataProps, &onnxpb.StringStringEntryProto{Key: &f[0], Value: &f[1]})
		case "in":
			m.Graph.Input = append(m.Graph.Input, parseInfo(t, f))
		case "out":
			m.Graph.Output = append(m.Graph.Output, parseInfo(t, f))
		case "const":
			p, err := encodeTensor(f[0], parseTensor(t, f[1], f[3:]))
			if err != nil {
				t.Fatal(err)
			}
			m.Graph.Initializer = append(m.Graph.Initializer, p)
		default:
			m.Graph.Node = append(m.Graph.Node, parseNode(t, line))
		}
	}
	for _, d := range slices.Sorted(maps.Keys(opsets)) {
		m.OpsetImport = append(m.OpsetImport, &onnxpb.OperatorSetIdProto{Domain: proto.String(d), Version: proto.Int64(int64(opsets[d]))})
	}
	return m
}

func parseInfo(t testing.TB, f []string) *onnxpb.ValueInfoProto {
	if len(f) == 1 {
		return &onnxpb.ValueInfoProto{Name: &f[0]}
	}
	e, dims := parseType(t, f[1])
	shape := make([]int, len(dims))
	for i, d := range dims {
		n, err := strconv.Atoi(d)
		if shape[i] = n; err != nil {
			shape[i] = ir.Symbol(d)
		}
	}
	v, err := valueInfo(f[0], ir.Type{Elem: e, Shape: shape})
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range dims {
		if d == "?" {
			v.Type.GetTensorType().Shape.Dim[i].Value = nil
		}
	}
	return v
}

func parseType(t testing.TB, s string) (tensor.Elem, []string) {
	name, dims, ok := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	e, err := tensor.ParseElem(name)
	if err != nil || !ok {
		t.Fatalf("type %q: %v", s, err)
	}
	if dims == "" {
		return e, nil
	}
	return e, strings.Split(dims, ",")
}

func parseTensor(t testing.TB, typ string, data []string) *tensor.T {
	e, dims := parseType(t, typ)
	shape := make([]int, len(dims))
	for i, d := range dims {
		shape[i], _ = strconv.Atoi(d)
	}
	r := tensor.New(e, shape...)
	if len(data) != r.Len() {
		t.Fatalf("%s: %d elements", typ, len(data))
	}
	for i, s := range data {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		if r.F != nil {
			r.F[i] = float32(x)
		} else if r.I[i], err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

var nodeRE = regexp.MustCompile(`^(.*?) ?= (?:([\w.]+)::)?(\w+)(?:<(.*)>)?\((.*?)\)(?: *; (.*))?$`)

func parseNode(t testing.TB, line string) *onnxpb.NodeProto {
	m := nodeRE.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("line %q", line)
	}
	names := func(s string) []string {
		if s == "" {
			return nil
		}
		r := strings.Split(s, ",")
		for i := range r {
			if r[i] = strings.TrimSpace(r[i]); r[i] == "_" {
				r[i] = ""
			}
		}
		return r
	}
	n := &onnxpb.NodeProto{Output: names(m[1]), OpType: &m[3], Input: names(m[5])}
	if m[2] != "" {
		n.Domain = &m[2]
	}
	if m[6] != "" {
		n.Name = &m[6]
	}
	for _, a := range regexp.MustCompile(`\w+=("[^"]*"|\w+\[[\d,]*\]\{[^}]*\}|\[[^\]]*\]|[^,]*)`).FindAllString(m[4], -1) {
		n.Attribute = append(n.Attribute, parseAttr(t, a))
	}
	return n
}

func parseAttr(t testing.TB, s string) *onnxpb.AttributeProto {
	name, v, _ := strings.Cut(s, "=")
	if typ, data, ok := strings.Cut(v, "{"); ok {
		p, err := encodeTensor("", parseTensor(t, typ, strings.Fields(strings.TrimSuffix(data, "}"))))
		if err != nil {
			t.Fatal(err)
		}
		return &onnxpb.AttributeProto{Name: &name, Type: onnxpb.AttributeProto_TENSOR.Enum(), T: p}
	}
	if v[0] == '"' {
		return stringAttr(name, v[1:len(v)-1])
	}
	if v[0] != '[' {
		if i, err := strconv.Atoi(v); err == nil {
			return intAttr(name, i)
		}
		f, err := strconv.ParseFloat(v, 32)
		if err != nil {
			t.Fatalf("attribute %q", s)
		}
		return floatAttr(name, float32(f))
	}
	var ints []int
	var floats []float32
	for _, x := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("[], ", r) }) {
		if i, err := strconv.Atoi(x); err == nil {
			ints = append(ints, i)
			continue
		}
		f, err := strconv.ParseFloat(x, 32)
		if err != nil {
			t.Fatalf("attribute %q", s)
		}
		floats = append(floats, float32(f))
	}
	if floats != nil {
		return floatsAttr(name, floats)
	}
	return intsAttr(name, ints)
}

// importText imports a model given as for parseModel.
func importText(t testing.TB, text string) (*ir.Graph, error) {
	t.Helper()
	return FromProto(parseModel(t, text), "t.onnx", Options{})
}

// mustImport is importText of a good model.
func mustImport(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := importText(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// checkText compares a graph with the wanted lines of its text, without positions.
func checkText(t testing.TB, g *ir.Graph, want string) {
	t.Helper()
	got := lines(irtext.String(g, irtext.NoPos))
	got = got[1 : len(got)-1] // the header and the closing brace
	if w := lines(want); !slices.Equal(got, w) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(w, "\n  "))
	}
}

func lines(s string) []string {
	var r []string
	for _, l := range strings.Split(s, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			r = append(r, l)
		}
	}
	return r
}

// again exports a graph, in QONNX unless another format is given, and imports what was written.
func again(t testing.TB, g *ir.Graph, f ...Format) *ir.Graph {
	t.Helper()
	m, err := ToProto(g, append(f, QONNX)[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	m = &onnxpb.ModelProto{}
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	r, err := FromProto(m, g.Name+".onnx", Options{})
	if err != nil {
		t.Fatalf("import of the export: %v", err)
	}
	return r
}

// checkSame compares the texts of two graphs without positions, and the names of the nodes.
func checkSame(t testing.TB, got, want *ir.Graph) {
	t.Helper()
	a, b := irtext.String(got, irtext.NoPos, irtext.Short), irtext.String(want, irtext.NoPos, irtext.Short)
	if a != b {
		x, y := lines(a), lines(b)
		for i := range x {
			if i >= len(y) || x[i] != y[i] {
				t.Fatalf("line %d: got\n  %s\nwant\n  %s", i, x[i], strings.Join(y[min(i, len(y)):min(i+1, len(y))], ""))
			}
		}
		t.Fatalf("got %d lines, want %d", len(x), len(y))
	}
	for i, n := range got.Nodes {
		if w := want.Nodes[i].Pos.Name; n.Pos.Name != w {
			t.Fatalf("node %d: got name %q, want %q", i, n.Pos.Name, w)
		}
	}
}

func TestParseModel(t *testing.T) {
	m := parseModel(t, `
		opset a.b 2
		in x f32[N,?,3]
		const c i8[2] = 1 -2
		y, _ = a.b::Foo<i=1,f=2.0,s="x,y",l=[1,-2],g=[0.5],t=i64[1]{3}>(x, _, c)  ; foo
		out y`)
	n := m.Graph.Node[0]
	got := fmt.Sprintf("%q %q %d", append([]string{n.GetName(), n.GetDomain(), n.GetOpType()}, append(n.Input, n.Output...)...),
		n.Attribute[2].S, append(n.Attribute[3].Ints, int64(n.Attribute[5].T.GetDataType())))
	if want := `["foo" "a.b" "Foo" "x" "" "c" "y" ""] "x,y" [1 -2 7]`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if d := m.Graph.Input[0].Type.GetTensorType().Shape.Dim; d[0].GetDimParam() != "N" || d[1].Value != nil || d[2].GetDimValue() != 3 {
		t.Errorf("dims %v", d)
	}
}
