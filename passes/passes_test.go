package passes

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/backends/interp"
	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/lower"
)

func TestList(t *testing.T) {
	at := map[string]int{}
	for i, p := range List {
		if p.Doc == "" || p.Why == "" || p.Run == nil {
			t.Errorf("pass %s: doc, reason or function is missing", p.Name)
		}
		if _, twice := at[p.Name]; twice {
			t.Errorf("two passes %s", p.Name)
		}
		at[p.Name] = i
	}
	for _, o := range order {
		i, ok := at[o.before]
		j, ok2 := at[o.after]
		if !ok || !ok2 || i >= j || o.why == "" {
			t.Errorf("%s must stand before %s: %s", o.before, o.after, o.why)
		}
	}
}

// TestRules: every lowering rule belongs to an operator, and every operator that quantizes has a rule or a pass that removes it.
func TestRules(t *testing.T) {
	for _, name := range lower.RuleNames() {
		if op.ByName(name) == nil {
			t.Errorf("rule for %s, which is no operator", name)
		}
	}
	removed := map[string]string{"BatchNormalization": "affine", "Dequantize": "absorb"}
	for i := range op.Table {
		d := &op.Table[i]
		if d.Class == op.None || lower.Rules[d.Name] != nil {
			continue
		}
		if _, ok := removed[d.Name]; !ok {
			t.Errorf("%s is of class %v and has neither a lowering rule nor a pass that removes it", d.Name, d.Class)
		}
	}
}

// TestSameResults: the passes change no result of a float graph, and a second run changes nothing.
func TestSameResults(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		in := irtest.RandomInputs(r, g, 2)
		before := results(t, g.Clone(), in[0], in[1])
		if err := Run(g, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		after := results(t, g, in[0], in[1])
		for i, x := range before {
			if d := math.Abs(float64(x - after[i])); d > 1e-4*(1+math.Abs(float64(x))) {
				t.Fatalf("seed %d: element %d was %v, is %v", seed, i, x, after[i])
			}
		}
		was := irtext.String(g)
		if err := Run(g, nil); err != nil {
			t.Fatal(err)
		}
		if now := irtext.String(g); now != was {
			t.Fatalf("seed %d: a second run changed\n%s\nto\n%s", seed, was, now)
		}
	}
}

func results(t *testing.T, g *ir.Graph, in ...[]*tensor.T) []float32 {
	t.Helper()
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	var r []float32
	for _, x := range in {
		y, err := m.Run(x, nil)
		if err != nil {
			t.Fatal(err)
		}
		r = append(r, y[0].F...)
	}
	return r
}

// TestPatterns looks at what the passes leave of small graphs.
func TestPatterns(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"batch normalization behind a convolution", `
  %c f32[1,1,2,2] = Conv(%x, %w)
  %y f32[1,1,2,2] = BatchNormalization(%c, %k, %k, %k, %k)`, "Conv"},
		{"alone", `
  %y f32[1,1,2,2] = BatchNormalization(%x, %k, %k, %k, %k)`, "Conv"},
		{"scale and shift", `
  %c f32[1,1,2,2] = Conv(%x, %w)
  %m f32[1,1,2,2] = Mul(%c, %k)
  %y f32[1,1,2,2] = Sub(%m, %k)`, "Conv"},
		{"identity and dropout", `
  %i f32[1,1,2,2] = Identity(%x)
  %d f32[1,1,2,2] = Dropout(%i)
  %y f32[1,1,2,2] = Relu(%d)`, "Relu"},
		{"clip from zero", `
  %y f32[1,1,2,2] = Clip<min=0f>(%x)`, "Relu"},
		{"mean of an image", `
  %y f32[1,1,1,1] = ReduceMean<axes=[2,3]>(%x)`, "GlobalAveragePool"},
		{"dead node", `
  %z f32[1,1,2,2] = Sigmoid(%x)
  %y f32[1,1,2,2] = Relu(%x)`, "Relu"},
	} {
		src := "graph g(%x f32[1,1,2,2]) {\n  const %w f32[1,1,1,1] = [2]\n  const %k f32[1] = [3]" + c.body + "\n  return %y\n}\n"
		if !strings.Contains(c.body, "%w") {
			src = strings.Replace(src, "  const %w f32[1,1,1,1] = [2]\n", "", 1)
		}
		if !strings.Contains(c.body, "%k") {
			src = strings.Replace(src, "  const %k f32[1] = [3]", "", 1)
		}
		g, err := irtext.Parse("g.ir", []byte(src))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := Run(g, nil); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var ops []string
		for _, n := range g.Nodes {
			ops = append(ops, n.Op.OpName())
		}
		if got := strings.Join(ops, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestConfig(t *testing.T) {
	g := irtest.RandomGraph(rand.New(rand.NewPCG(1, 1)), irtest.GraphOptions{})
	if err := Run(g, &Config{Disable: []string{"absorb"}}); err == nil || !strings.Contains(err.Error(), "cannot be disabled") {
		t.Errorf("disabling a required pass: %v", err)
	}
	if err := Run(g, &Config{Disable: []string{"absrob"}}); err == nil || !strings.Contains(err.Error(), `no pass "absrob"; there are identity`) {
		t.Errorf("a misspelt pass: %v", err)
	}
	p := &Pass{Name: "boom", Run: func(*ir.Graph) error { panic("broken") }}
	if err := p.run(g); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a panic: %v", err)
	}
}
