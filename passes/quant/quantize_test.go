package quant

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/irtest"
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

// ranges is a Config.Range of fixed numbers; a value that is not in it has none.
func ranges(m map[string][2]float64) func(*ir.Value, int) (float64, float64, error) {
	return func(v *ir.Value, _ int) (float64, float64, error) {
		r, ok := m[v.Name]
		if !ok {
			return 0, 0, fmt.Errorf("no range of %%%s", v.Name)
		}
		return r[0], r[1], nil
	}
}

// branches has what decides about types: a layer before a Relu, two branches into a Concat, one of them through a pool, a constant
// operand, and an end in float.
const branches = `
graph branches(%x f32[N,2,2,2]) {
  const %w1 f32[2,2,1,1] = [0.5 -1 0.25 0]
  const %b1 f32[2] = [0.1 -0.2]
  %c f32[N,2,2,2] = Conv(%x, %w1, %b1)  # node 0 "conv1" m.onnx
  %r f32[N,2,2,2] = Relu(%c)  # node 1 "relu1" m.onnx
  %a f32[N,2,2,2] = Neg(%r)  # node 2 "neg" m.onnx
  const %k f32[1,2,1,1] = [0.5 1]
  %d f32[N,2,2,2] = Add(%r, %k)  # node 3 "add" m.onnx
  %p f32[N,2,1,1] = MaxPool<kernel_shape=[2,2]>(%a)  # node 4 "pool" m.onnx
  %m f32[N,2,1,1] = GlobalAveragePool(%d)  # node 5 "mean" m.onnx
  %j f32[N,4,1,1] = Concat<axis=1>(%p, %m)  # node 6 "join" m.onnx
  %f f32[N,4] = Flatten(%j)  # node 7 "flat" m.onnx
  const %w2 f32[3,4] = [1 2 3 4 -1 -2 -3 -4 0 0 0 0]
  %y f32[N,3] = Gemm<transB=true>(%f, %w2)  # node 8 "fc" m.onnx
  %s f32[N,3] = Softmax(%y)  # node 9 "soft" m.onnx
  return %s
}`

var branchRanges = map[string][2]float64{"x": {0, 2}, "c": {-9, 9}, "r": {0, 3}, "a": {-3, 0}, "d": {0.5, 4}, "p": {-2, 0}, "m": {0.5, 3.5}, "j": {-2, 3.5}, "y": {-10, 20}}

// TestQuantize has the whole graph for each kind of Config as a golden, and besides checks what must hold for all of them.
func TestQuantize(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Config
	}{
		{"plain", Config{Bits: Bits{4, 5}}},
		{"tensor", Config{Bits: Bits{4, 5}, PerTensor: true}},
		{"pow2", Config{Bits: Bits{4, 5}, Pow2: true}},
		{"symmetric", Config{Bits: Bits{4, 5}, Symmetric: true}},
		{"ends", Config{Bits: Bits{3, 12}, InputBits: 3, OutputBits: 9}},
		{"layers", Config{Bits: Bits{4, 5}, Layers: map[string]Bits{"conv1": {W: 8}, "add": {A: 11}, "fc": {W: 2, A: 16}, "relu1": {W: 9, A: 7}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := parse(t, branches)
			c.c.Range = ranges(branchRanges)
			if err := Quantize(g, &c.c); err != nil {
				t.Fatal(err)
			}
			if err := ir.Verify(g); err != nil {
				t.Fatal(err)
			}
			irtest.Golden(t, "testdata/"+c.name+".ir", []byte(irtext.String(g)))
			checkTypes(t, g, &c.c)
		})
	}
}

func checkTypes(t *testing.T, g *ir.Graph, c *Config) {
	t.Helper()
	vs := map[string]*ir.Value{}
	for _, v := range g.Values() {
		vs[v.Name] = v
	}
	for _, name := range []string{"x", "c", "s"} { // the host's, and what FuseAct merges into %r
		if vs[name].Type.IsQuant() {
			t.Errorf("%%%s is %v, want float", name, vs[name].Type)
		}
	}
	for _, name := range []string{"x_q", "w1_q", "b1_q", "r", "a", "d", "k_q", "p", "m", "j", "f", "w2_q", "y"} {
		v := vs[name]
		if v == nil || !v.Type.IsQuant() {
			t.Fatalf("%%%s is %v, want a quantized value", name, v)
		}
		lo, hi := v.Type.Quant.Min, v.Type.Quant.Max
		for i := range v.Type.Quant.Scale {
			if _, z := v.Type.Quant.At(i); z < lo || z > hi {
				t.Errorf("%%%s: zero is not one of the numbers of %v", name, v.Type)
			}
			if f, _ := math.Frexp(v.Type.Quant.Scale[i]); c.Pow2 && f != 0.5 {
				t.Errorf("%%%s: scale %v is no power of two", name, v.Type.Quant.Scale[i])
			}
		}
	}
	// What goes into the Concat has its scale, so that it moves integers only. %a is chosen through the pool.
	for _, name := range []string{"a", "p", "m", "f"} {
		if v := vs[name]; !v.Type.Quant.Equal(vs["j"].Type.Quant) || v.Type.Elem != vs["j"].Type.Elem {
			t.Errorf("%%%s is %v, want the Quant of %%j: %v", name, v.Type, vs["j"].Type)
		}
	}
	// The bias has the scale of the accumulator.
	for i, s := range vs["b1_q"].Type.Quant.Scale {
		sx, _ := vs["x_q"].Type.Quant.At(0)
		sw, _ := vs["w1_q"].Type.Quant.At(i)
		if s != float64(float32(sx*sw)) {
			t.Errorf("bias: scale %d is %v, want %v*%v", i, s, sx, sw)
		}
	}
	want := func(name string, bits int) {
		t.Helper()
		if got := int(vs[name].Type.Elem.Bits); got != bits {
			t.Errorf("%%%s has %d bits, want %d", name, got, bits)
		}
	}
	of := func(node string) Bits {
		b := c.Bits
		if l := c.Layers[node]; l.W != 0 {
			b.W = l.W
		}
		if l := c.Layers[node]; l.A != 0 {
			b.A = l.A
		}
		return b
	}
	end := func(bits int) int {
		if bits == 0 {
			return max(c.A, 8)
		}
		return bits
	}
	want("x_q", end(c.InputBits))
	want("y", end(c.OutputBits)) // the hardware ends before the Softmax
	want("w1_q", of("conv1").W)
	want("w2_q", of("fc").W)
	want("r", of("relu1").A)
	want("d", of("add").A)
	want("k_q", max(of("add").A, 8))
}

// TestShared: a branch with another reader chooses for itself, a product of two activations has no weights, and a graph input that only
// the host reads is not quantized.
func TestShared(t *testing.T) {
	g := parse(t, `
graph g(%x f32[N,2], %u f32[N,2], %v f32[2,3]) {
  %a f32[N,2] = Neg(%x)
  %b f32[N,2] = Exp(%x)
  %c f32[N,4] = Concat<axis=1>(%a, %b)
  %d f32[N,2] = Neg(%a)
  %p f32[N,3] = MatMul(%d, %v)
  %s f32[N,2] = Softmax(%u)
  return %c, %p, %s
}`)
	c := Config{Bits: Bits{4, 5}, OutputBits: 5,
		Range: ranges(map[string][2]float64{"x": {-1, 1}, "v": {0, 1}, "a": {-1, 2}, "b": {0, 1}, "c": {-4, 4}, "d": {0, 1}, "p": {0, 1}})}
	if err := Quantize(g, &c); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range g.Values() {
		got[v.Name] = v.Type.String()
	}
	join := got["c"][strings.Index(got["c"], "{"):]
	if a := got["a"]; strings.HasSuffix(a, join) {
		t.Errorf("%%a has another reader and is %s, as the Concat %s: want a choice of its own", a, got["c"])
	}
	if b := got["b"]; !strings.HasPrefix(b, "i5[") || !strings.HasSuffix(b, join) {
		t.Errorf("%%b is %s, want the Quant of the Concat %s", b, got["c"])
	}
	if p := got["p"]; p != "u5[N,3]{s=0.032258064 z=0}" {
		t.Errorf("%%p is %s, want u5 for 0..1", p)
	}
	if got["u"] != "f32[N,2]" || got["u_q"] != "" {
		t.Errorf("%%u, which only the host reads, became %s and %s", got["u"], got["u_q"])
	}
}

// TestErrors: every message says which node or value, and what was expected.
func TestErrors(t *testing.T) {
	bits := Bits{4, 4}
	layer := func(head, args string) string {
		return "graph g(%x f32[1,2]) {\n" + head + "  %y f32[1,2] = Gemm" + args + "  # node 3 \"fc\" m.onnx\n  return %y\n}"
	}
	const w = "  const %w f32[2,2] = [1 2 3 4]\n"
	for _, c := range []struct {
		name, graph string
		c           Config
		r           map[string][2]float64
		want        []string
	}{
		{"widths", layer(w, "(%x, %w)"), Config{Bits: Bits{1, 17}, InputBits: 1, OutputBits: 33}, nil,
			[]string{"weights: want 2 to 16 bits, got 1", "activations: want 2 to 16 bits, got 17", "inputs: want 2 to 16 bits, got 1", "outputs: want 2 to 16 bits, got 33"}},
		{"alpha", layer(w, "<alpha=2f>(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {0, 1}, "y": {0, 1}},
			[]string{`node 3 "fc"`, "Gemm", "alpha 2, beta 1, transA false: run the affine pass first"}},
		{"weights", layer("  const %v f32[2,2] = [1 2 3 4]\n  %w f32[2,2] = Hardmax(%v)\n", "(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {0, 1}},
			[]string{`node 3 "fc"`, "input %w comes through an operator that has no integer form"}},
		{"bias", layer(w+"  const %k f32[2] = [1 2]\n  %n f32[2] = Neg(%k)\n", "(%x, %w, %n)"), Config{Bits: bits},
			map[string][2]float64{"x": {0, 1}, "n": {0, 1}, "y": {0, 1}}, []string{`node 3 "fc"`, "bias %n is not constant"}},
		{"range", layer(w, "(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {0, 1}}, []string{`node 3 "fc"`, "no range of %y"}},
		{"NaN", layer(w, "(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {0, 1}, "y": {0, math.NaN()}}, []string{`node 3 "fc"`, "%y: calibrated range 0 to NaN"}},
		{"infinite", layer(w, "(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {math.Inf(-1), 1}}, []string{"%x: calibrated range -Inf to 1"}},
		{"empty", layer(w, "(%x, %w)"), Config{Bits: bits}, map[string][2]float64{"x": {2, 1}}, []string{"%x: calibrated range 2 to 1"}},
		{"wide bias", layer(w+"  const %b f32[2] = [0 1e20]\n", "(%x, %w, %b)"), Config{Bits: bits}, map[string][2]float64{"x": {0, 1}, "y": {0, 1}},
			[]string{`node 3 "fc"`, "bias %b: element 1 is 1e+20", "want less than 2^47"}},
		{"tail", `graph g(%x f32[1,2]) {
  const %w f32[2,2] = [1 2 3 4]
  %s f32[1,2] = Hardmax(%x)  # node 1 "soft" m.onnx
  %a f32[1,2] = Neg(%s)  # node 2 "neg" m.onnx
  %y f32[1,2] = Gemm(%a, %w)  # node 3 "fc" m.onnx
  return %y
}`, Config{Bits: bits}, nil, []string{`node 3 "fc"`, "input %a comes through an operator that has no integer form", `node 1 "soft"`, "(Hardmax)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.c.Range = ranges(c.r)
			err := Quantize(parse(t, c.graph), &c.c)
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
	// All nodes that fail are reported together.
	g := parse(t, branches)
	err := Quantize(g, &Config{Bits: bits, Range: ranges(map[string][2]float64{"x": {0, 1}, "j": {0, 1}, "m": {0, 1}})})
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) < 3 {
		t.Errorf("want an error for each of %%r, %%d and %%y, got %v", err)
	}
}

// TestTail: float-only operators and all behind them.
func TestTail(t *testing.T) {
	g := parse(t, `
graph g(%x f32[1,2]) {
  %a f32[1,2] = Neg(%x)  # node 0 "a" m.onnx
  %b f32[1,2] = Softmax(%a)  # node 1 "b" m.onnx
  %c f32[1,2] = Exp(%a)  # node 2 "c" m.onnx
  %d f32[1,2] = Add(%c, %b)  # node 3 "d" m.onnx
  %e f32[1,2] = Flatten<axis=0>(%d)  # node 4 "e" m.onnx
  %f i64[1,2] = Cast<to="i64">(%c)  # node 5 "f" m.onnx
  return %e, %f
}`)
	var got []string
	tail := Tail(g)
	for _, n := range g.Nodes {
		if tail[n] {
			got = append(got, n.Pos.Name)
		}
	}
	if s := strings.Join(got, " "); s != "b d e f" {
		t.Errorf("tail %q, want b d e f", s)
	}
}
