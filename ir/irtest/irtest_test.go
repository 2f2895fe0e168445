package irtest

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Random graphs are valid, as small as promised, without dead nodes, reproducible, and together hold all the kinds of layers. Values
// stay finite and, in nearly all graphs, neither vanish nor explode.
func TestRandomGraph(t *testing.T) {
	kinds := map[string]int{}
	dull := 0
	const graphs = 400
	for seed := range uint64(graphs) {
		o := GraphOptions{MaxNodes: int(seed % 16)}
		g := RandomGraph(rand.New(rand.NewPCG(seed, 2)), o)
		if err := ir.Verify(g); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if most := o.MaxNodes; len(g.Nodes) == 0 || len(g.Nodes) > most && (most > 0 || len(g.Nodes) > 12) {
			t.Errorf("seed %d: %d nodes, want 1 to %d", seed, len(g.Nodes), most)
		}
		for _, n := range g.Nodes {
			kinds[n.Op.OpName()]++
			if g.Uses(n.Out[0]) == 0 {
				t.Errorf("seed %d: %v is dead", seed, n.Pos)
			}
		}
		again := RandomGraph(rand.New(rand.NewPCG(seed, 2)), o)
		if len(again.Nodes) != len(g.Nodes) || !slices.EqualFunc(g.Nodes, again.Nodes, func(a, b *ir.Node) bool { return op.Equal(a.Op, b.Op) }) ||
			!slices.EqualFunc(g.Consts(), again.Consts(), func(a, b *ir.Value) bool { return a.Const.Equal(b.Const) }) {
			t.Errorf("seed %d gives different graphs", seed)
		}
		y := run(t, g, RandomInputs(rand.New(rand.NewPCG(seed, 3)), g, 1)[0])
		size := 0.0
		for _, v := range y.F {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("seed %d: output %v", seed, v)
			}
			size = max(size, math.Abs(float64(v)))
		}
		if size < 1e-3 || size > 1e3 {
			dull++
		}
	}
	for _, name := range []string{"Conv", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "BatchNormalization", "MaxPool", "AveragePool",
		"GlobalAveragePool", "GlobalMaxPool", "Add", "Concat", "Flatten", "Gemm", "MatMul", "Pad", "Transpose"} {
		if kinds[name] < graphs/50 {
			t.Errorf("%d nodes %s in %d graphs", kinds[name], name, graphs)
		}
	}
	if dull > graphs/20 {
		t.Errorf("%d of %d graphs have outputs below 1e-3 or above 1e3", dull, graphs)
	}
}

// run computes the one output.
func run(t *testing.T, g *ir.Graph, in []*tensor.T) *tensor.T {
	t.Helper()
	vals := map[*ir.Value]*tensor.T{g.Inputs[0]: in[0]}
	for _, n := range g.Nodes {
		var args []*tensor.T
		for _, v := range n.In {
			if v.Const != nil {
				vals[v] = v.Const
			}
			args = append(args, vals[v])
		}
		out, err := op.Eval(n.Op, args)
		if err != nil {
			t.Fatal(n.Wrap(err))
		}
		vals[n.Out[0]] = out[0]
	}
	return vals[g.Outputs[0]]
}

func TestDifference(t *testing.T) {
	for _, tt := range []struct{ want, got, diff string }{
		{"a\nb\n", "a\nb\n", ""},
		{"a\nb\nc\nd\n", "a\nb\nc\ne\n", "line 4 differs\n       b\n       c\nwant   d\n got   e\n"},
		{"a\n", "a\nb\n", "line 2 differs\n       a\nwant   (the end)\n got   b\n"},
		{"a\n", "a", "line 1 differs\nwant   a\n got   a (without a newline)\n"},
		{"", "x", "line 1 differs\nwant   (the end)\n got   x (without a newline)\n"},
	} {
		if got := difference([]byte(tt.want), []byte(tt.got)); got != tt.diff {
			t.Errorf("%q, %q: got\n%s\nwant\n%s", tt.want, tt.got, got, tt.diff)
		}
	}
}

// failures counts what Golden reports.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.n++ }
func (f *failures) Fatalf(string, ...any) { f.n++; panic(f) }

func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "file.txt")
	golden := func(got string) int {
		f := &failures{TB: t}
		func() {
			defer func() {
				if r := recover(); r != nil && r != any(f) {
					panic(r)
				}
			}()
			Golden(f, path, []byte(got))
		}()
		return f.n
	}
	t.Setenv("QUERN_UPDATE", "")
	if golden("one\n") != 1 {
		t.Error("a missing file is no failure")
	}
	t.Setenv("QUERN_UPDATE", "1")
	if golden("one\n") != 0 {
		t.Error("writing failed")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "one\n" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	t.Setenv("QUERN_UPDATE", "")
	if golden("one\n") != 0 || golden("two\n") != 1 {
		t.Error("equal texts fail, or different ones do not")
	}
}
