package hls

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// tiny is a network with a kernel of every kind: convolution, pooling, reshape, grouped convolution, padding, addition, product.
func tiny(t testing.TB) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "tiny"}
	in := p.NewBuffer("image", []int{4, 4, 2}, hw.Interval{Lo: 0, Hi: 15})
	in.Port = &hw.Port{Name: "input.1", Shape: []int{2, 4, 4}, Perm: []int{1, 2, 0}, Quant: &ir.Quant{Scale: []float64{0.0625}, Zero: []int64{3}, Max: 15}}
	p.Inputs = []*hw.Buffer{in}
	weights := func(n, most int) (w []int32) {
		for i := range n {
			w = append(w, int32((i*7+3)%(2*most+1)-most))
		}
		return w
	}
	add := func(k *hw.Kernel, shape []int, acc [][]hw.Interval, prog func(q *hw.Prog)) *hw.Buffer {
		k.Pos = ir.Pos{File: "tiny.onnx", Node: len(p.Kernels), Name: "/block/" + k.Name}
		if prog != nil {
			k.Prog = hw.NewProg(make([]hw.Interval, len(acc))...)
			prog(k.Prog)
			if err := k.Prog.Analyze(acc); err != nil {
				t.Fatal(err)
			}
			k.Out = p.NewBuffer(k.Name, shape, k.Prog.Out())
		} else {
			k.Out = p.NewBuffer(k.Name, shape, k.In[0].Range.Union(hw.Interval{Lo: k.Move.Fill, Hi: k.Move.Fill}))
		}
		p.Kernels = append(p.Kernels, k)
		return k.Out
	}
	dot := func(name string, x *hw.Buffer, shape []int, d *hw.Dot, prog func(q *hw.Prog)) *hw.Buffer {
		if err := d.Bound(x.Range); err != nil {
			t.Fatal(err)
		}
		return add(&hw.Kernel{Name: name, Kind: hw.KDot, In: []*hw.Buffer{x}, Dot: d}, shape, [][]hw.Interval{d.Acc}, prog)
	}
	conv := dot("conv", in, []int{4, 4, 4}, &hw.Dot{Groups: 1, Weights: weights(4*3*3*2, 7), Bias: []int64{10, -20, 0, 4000000000},
		Geometry: hw.Geometry{H: 4, W: 4, C: 2, OH: 4, OW: 4, OC: 4, KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1, PadValue: 3}},
		func(q *hw.Prog) {
			q.OpI(hw.RshHalfEven, q.OpI(hw.MulI, 0, hw.PerChannel([]int64{20723, 18000, 31000, 1})), hw.Scalar(20))
			q.Clamp(q.OpI(hw.AddI, q.Last(), hw.Scalar(-4)), -8, 7)
		})
	w := &hw.Window{Reduce: hw.ReduceMax, Geometry: hw.Geometry{H: 4, W: 4, C: 4, OH: 2, OW: 2, OC: 4, KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}}
	if err := w.Bound(conv.Range); err != nil {
		t.Fatal(err)
	}
	pool := add(&hw.Kernel{Name: "pool", Kind: hw.KWindow, In: []*hw.Buffer{conv}, Window: w}, []int{2, 2, 4}, [][]hw.Interval{{w.Acc}}, func(*hw.Prog) {})
	deep := dot("depthwise", pool, []int{2, 2, 4}, &hw.Dot{Groups: 4, Weights: weights(4*3, 5), Bias: make([]int64, 4),
		Geometry: hw.Geometry{H: 2, W: 2, C: 4, OH: 2, OW: 2, OC: 4, KH: 1, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PW: 1, PadValue: -4}},
		func(q *hw.Prog) { q.OpI(hw.RshHalfAway, 0, hw.Scalar(2)) })
	sum := add(&hw.Kernel{Name: "sum", Kind: hw.KMap, In: []*hw.Buffer{pool, deep}}, []int{2, 2, 4}, [][]hw.Interval{{pool.Range}, {deep.Range}},
		func(q *hw.Prog) {
			q.OpI(hw.RshFloor, q.Op(hw.Add, 0, 1), hw.Vec{V: []int64{0, 1, 1, 2}, By: hw.ByPixel})
		})
	flat := add(&hw.Kernel{Name: "flatten", Kind: hw.KMove, In: []*hw.Buffer{sum}, Move: &hw.Move{
		Pieces: []hw.Piece{{Size: []int{2, 2, 4}, SrcStride: []int{8, 4, 1}, DstStride: []int{8, 4, 1}}}}}, []int{16}, nil, nil)
	pad := add(&hw.Kernel{Name: "pad", Kind: hw.KMove, In: []*hw.Buffer{flat}, Move: &hw.Move{
		Pieces: []hw.Piece{{DstOff: 1, Size: []int{4, 4}, SrcStride: []int{1, 4}, DstStride: []int{4, 1}}}, Filled: true, Fill: -1}}, []int{18}, nil, nil)
	out := dot("fc", pad, []int{3}, &hw.Dot{Groups: 1, Weights: weights(3*18, 100), Bias: []int64{1, 2, 3},
		Geometry: hw.Geometry{H: 1, W: 1, C: 18, OH: 1, OW: 1, OC: 3, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}},
		func(q *hw.Prog) { q.Clamp(0, -4000, 4000) })
	out.Port = &hw.Port{Name: "logits", Shape: []int{3}, Perm: []int{0}, Quant: &ir.Quant{Scale: []float64{0.1}, Zero: []int64{0}, Min: -4000, Max: 4000}}
	p.Outputs = []*hw.Buffer{out}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// options have one vector of numbers that are in range; whether they are right is for package difftest.
func options(p *hw.Program) Options {
	v := Vector{}
	for _, b := range p.Inputs {
		x := make([]int64, b.Len())
		for i := range x {
			x[i] = b.Range.Lo + int64(i)%(b.Range.Hi-b.Range.Lo+1)
		}
		v.In = append(v.In, x)
	}
	for _, b := range p.Outputs {
		v.Out = append(v.Out, slices.Repeat([]int64{b.Range.Lo}, b.Len()))
	}
	return Options{Vectors: []Vector{v}, Model: "tiny.onnx", Version: "v0.0.0", Lanes: 2}
}

func emit(t testing.TB, p *hw.Program, o Options) []File {
	t.Helper()
	files, err := Emit(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func text(t testing.TB, files []File, name string) string {
	t.Helper()
	for _, f := range files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	t.Fatalf("no file %s", name)
	return ""
}

// TestGolden shows what is printed: all files of a tiny network in either style but those that are in rt. QUERN_UPDATE=1 rewrites it.
func TestGolden(t *testing.T) {
	for _, style := range []string{"c99", "stream"} {
		p := tiny(t)
		o := options(p)
		o.Style = style
		if style == "stream" {
			d, err := stream.Build(p, nil)
			if err != nil {
				t.Fatal(err)
			}
			o.Design = d
		}
		var b strings.Builder
		fmt.Fprintf(&b, "A project in the style %s, printed by TestGolden. QUERN_UPDATE=1 go test rewrites this file.\n", style)
		for _, f := range emit(t, p, o) {
			if f.Name != "fixed.h" && f.Name != "stream.h" && !strings.HasPrefix(f.Name, "ap/") {
				fmt.Fprintf(&b, "-- %s --\n%s", f.Name, f.Data)
			}
		}
		golden(t, filepath.Join("testdata", map[string]string{"c99": "tiny.txtar", "stream": "tiny_stream.txtar"}[style]), b.String())
	}
}

// golden compares a text with a file, or with QUERN_UPDATE=1 writes the file.
func golden(t *testing.T, path, text string) {
	t.Helper()
	if os.Getenv("QUERN_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, old := strings.Split(text, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(got), len(old)) {
		if i >= len(got) || i >= len(old) || got[i] != old[i] {
			t.Fatalf("%s: line %d: got %q, want %q (%d and %d lines; QUERN_UPDATE=1 accepts)", path, i+1, at(got, i), at(old, i), len(got), len(old))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "<end of file>"
}

func TestDeterministic(t *testing.T) {
	first := emit(t, tiny(t), options(tiny(t)))
	for range 5 {
		again := emit(t, tiny(t), options(tiny(t)))
		for i, f := range first {
			if again[i].Name != f.Name || string(again[i].Data) != string(f.Data) {
				t.Fatalf("%s differs from run to run", f.Name)
			}
		}
	}
}

// TestDigests: the comments of weights.h name constants as the text form of the program does.
func TestDigests(t *testing.T) {
	p := tiny(t)
	found := regexp.MustCompile(`/\* weights.* (#[0-9a-f]{12}) \*/`).FindAllStringSubmatch(text(t, emit(t, p, options(p)), "weights.h"), -1)
	if len(found) != 3 {
		t.Fatalf("want 3 tables of weights, got %v", found)
	}
	for _, m := range found {
		if !strings.Contains(p.String(), m[1]) {
			t.Errorf("%s is not in the program's text", m[1])
		}
	}
}

func TestManifest(t *testing.T) {
	p := tiny(t)
	files := emit(t, p, options(p))
	var m struct {
		Generator, Model, Version, Top string
		MACs                           int
		Kernels                        []struct {
			Name, Kind string
			Acc        int `json:"acc_bits"`
		}
		Files []struct{ Name, SHA256 string }
	}
	if err := json.Unmarshal([]byte(text(t, files, "manifest.json")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Generator != "quern" || m.Model != "tiny.onnx" || m.Version != "v0.0.0" || m.Top != "tiny" || m.MACs != p.MACs() || len(m.Kernels) != len(p.Kernels) {
		t.Errorf("got %+v", m)
	}
	if k := m.Kernels[0]; k.Name != "tiny_conv" || k.Kind != "dot" || k.Acc != p.Kernels[0].Dot.AccRange().Bits() {
		t.Errorf("got %+v", k)
	}
	if len(m.Files) != len(files)-1 {
		t.Errorf("want %d files, got %d", len(files)-1, len(m.Files))
	}
	for _, f := range m.Files {
		if want := fmt.Sprintf("%x", sha256.Sum256([]byte(text(t, files, f.Name)))); f.SHA256 != want {
			t.Errorf("%s: hash %s, want %s", f.Name, f.SHA256, want)
		}
	}
}

// TestPragmas: what the tools refuse does not occur, whatever the number of lanes; interfaces are those of the top function.
func TestPragmas(t *testing.T) {
	for _, lanes := range []int{1, 2, 3, 8, 64} {
		p := wide(t)
		o := options(p)
		o.Lanes = lanes
		c := text(t, emit(t, p, o), "wide.c")
		lines := strings.Split(c, "\n")
		function := ""
		for i, l := range lines {
			if strings.HasPrefix(l, "void ") || strings.HasPrefix(l, "static void ") {
				function = l
			}
			if strings.Contains(l, "#pragma HLS INTERFACE") && !strings.HasPrefix(function, "void wide(") {
				t.Errorf("lanes %d: interface in %q", lanes, function)
			}
			if m := regexp.MustCompile(`ARRAY_PARTITION .* factor=(\d+)`).FindStringSubmatch(l); m != nil {
				if n, _ := strconv.Atoi(m[1]); n > lanes || n > 1024 || n < 2 {
					t.Errorf("lanes %d: %s", lanes, l)
				}
			}
			if strings.Contains(l, "complete") && !regexp.MustCompile(`acc\[\d\d?\];`).MatchString(lines[i-1]) {
				t.Errorf("lanes %d: complete partition of %s", lanes, lines[i-1])
			}
			if strings.Contains(l, "HLS UNROLL") {
				m := regexp.MustCompile(`p < (\d+);`).FindStringSubmatch(lines[i-1])
				if m == nil {
					t.Fatalf("lanes %d: unrolled loop %q", lanes, lines[i-1])
				}
				if n, _ := strconv.Atoi(m[1]); n > lanes {
					t.Errorf("lanes %d: unrolled loop %q", lanes, lines[i-1])
				}
			}
			if strings.Contains(l, "HLS PIPELINE") && !strings.Contains(lines[i-1], "for (int ") {
				t.Errorf("lanes %d: pipeline after %q", lanes, lines[i-1])
			}
		}
		if strings.Count(c, "BIND_STORAGE") != strings.Count(c, "RESOURCE") || !strings.Contains(c, "BIND_STORAGE") {
			t.Errorf("lanes %d: storage is not bound in the words of both tools", lanes)
		}
	}
}

// wide has a large layer: 40 weights for each of 2,048 outputs.
func wide(t testing.TB) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "wide"}
	in := p.NewBuffer("x", []int{40}, hw.Interval{Lo: -128, Hi: 127})
	in.Port = &hw.Port{Name: "x", Shape: []int{40}, Perm: []int{0}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: -128, Max: 127}}
	d := &hw.Dot{Groups: 1, Weights: make([]int32, 40*2048), Bias: make([]int64, 2048),
		Geometry: hw.Geometry{H: 1, W: 1, C: 40, OH: 1, OW: 1, OC: 2048, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}}
	for i := range d.Weights {
		d.Weights[i] = int32(i%3 - 1)
	}
	if err := d.Bound(in.Range); err != nil {
		t.Fatal(err)
	}
	k := &hw.Kernel{Name: "fc", Kind: hw.KDot, In: []*hw.Buffer{in}, Dot: d, Prog: hw.NewProg(hw.Interval{})}
	if err := k.Prog.Analyze([][]hw.Interval{d.Acc}); err != nil {
		t.Fatal(err)
	}
	k.Out = p.NewBuffer("y", []int{2048}, k.Prog.Out())
	k.Out.Port = &hw.Port{Name: "y", Shape: []int{2048}, Perm: []int{0}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: k.Out.Range.Lo, Max: k.Out.Range.Hi}}
	p.Inputs, p.Outputs, p.Kernels = []*hw.Buffer{in}, []*hw.Buffer{k.Out}, []*hw.Kernel{k}
	return p
}

func TestEmitErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *hw.Program, o *Options)
		want   string
	}{
		{"style", func(_ *hw.Program, o *Options) { o.Style = "vhdl" }, `hls: style "vhdl": want one of: c99 stream`},
		{"part", func(_ *hw.Program, o *Options) { o.Part = "x}; exec rm" }, `hls: part "x}; exec rm": want letters, digits and - only`},
		{"clock", func(_ *hw.Program, o *Options) { o.ClockNS = -1 }, `hls: clock period -1 ns: want a positive number`},
		{"lanes", func(_ *hw.Program, o *Options) { o.Lanes = 65 }, `hls: 65 lanes: want 1..64`},
		{"keyword", func(_ *hw.Program, o *Options) { o.Top = "while" }, `hls: top function "while": want a C name that is not taken, for example "while_1"`},
		{"file", func(_ *hw.Program, o *Options) { o.Top = "tb" }, `hls: top function "tb": want a C name that is not taken, for example "tb_1"`},
		{"name", func(_ *hw.Program, o *Options) { o.Top = "a-b" }, `hls: top function "a-b": want a C name that is not taken, for example "a_b"`},
		{"no vectors", func(_ *hw.Program, o *Options) { o.Vectors = nil }, `hls: no test vectors: the testbench would check nothing`},
		{"ports", func(_ *hw.Program, o *Options) { o.Vectors[0].In = nil }, `hls: vector 0: want 1 inputs, got 0`},
		{"length", func(_ *hw.Program, o *Options) { o.Vectors[0].Out[0] = []int64{1} }, `hls: vector 0: output "logits": want 3 values, got 1`},
		{"range", func(_ *hw.Program, o *Options) { o.Vectors[0].In[0][5] = 16 }, `hls: vector 0: input "input.1": value 16 at index 5 is not in 0..15`},
		{"program", func(p *hw.Program, _ *Options) { p.Kernels[1].Window.Acc.Hi++ }, `hls: kernel pool (window): accumulator range -8..8, want -8..7`},
	} {
		p := tiny(t)
		o := options(p)
		c.change(p, &o)
		if _, err := Emit(p, o); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"conv1": "conv1", "/layer1/0/conv": "layer1_0_conv", "__a__b__": "a_b", "3x3": "n3x3", "": "n", "Größe": "Gr_e", "for": "for_1", "int8_t": "int8_t_1",
		"sqrtf": "sqrtf_1", "x": "x_1", "v12": "v12_1", "q_max": "q_max_1", strings.Repeat("ab", 60): strings.Repeat("ab", 24), "main": "main_1",
	} {
		n := newNames()
		if got := n.pick(in, ""); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
		if again := n.pick(in, ""); again == want {
			t.Errorf("%q: %s is given out twice", in, again)
		}
	}
	long := strings.Repeat("ab", 60)
	if got, want := newNames().pick(long, "_w"), long[:46]+"_w"; got != want {
		t.Errorf("long name with a suffix: got %s, want %s", got, want)
	}
	if got := newNames().param("x"); got != "x" {
		t.Errorf("parameter: got %s, want x", got)
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{"a */ b": "a ./ b", "/*": "/.", "??/": "../", "a\nb\\": "a.b.", "conv \"é\"": "conv \"é\""} {
		if got := comment(in); got != want {
			t.Errorf("comment %q: got %q, want %q", in, got, want)
		}
	}
	if got, want := quote("a\"b\\?%é\n"), `"a\042b\134\077%\303\251\012"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	a := affineOf(-3, 2, variable{"a", 0, 4}, 1, variable{"b", 0, 1}, 7, variable{"c", 2, 2}, -1, variable{"d", 0, 5})
	if got, want := a.String(), "2 * a + b - d + 11"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if lo, hi := a.bounds(); lo != 6 || hi != 20 {
		t.Errorf("bounds %d..%d, want 6..20", lo, hi)
	}
}

func TestTypes(t *testing.T) {
	for _, c := range []struct {
		lo, hi int64
		want   string
	}{
		{0, 0, "uint8_t"}, {0, 255, "uint8_t"}, {-1, 127, "int8_t"}, {-1, 128, "int16_t"}, {-128, 0, "int8_t"}, {-129, 0, "int16_t"}, {0, 65535, "uint16_t"},
		{0, 65536, "int32_t"}, {-1, 65535, "int32_t"}, {0, 1<<31 - 1, "int32_t"}, {0, 1 << 31, "uint32_t"}, {-1, 1 << 31, "int64_t"}, {0, 1 << 32, "int64_t"}, {-1 << 31, 0, "int32_t"},
	} {
		if got := storage(hw.Interval{Lo: c.lo, Hi: c.hi}).String(); got != c.want {
			t.Errorf("%d..%d: got %s, want %s", c.lo, c.hi, got, c.want)
		}
	}
}
