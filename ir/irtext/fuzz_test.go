package irtext

import (
	"math/rand/v2"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/op"
)

// A random graph comes back as it was: text, operators, types, data, positions.
func TestRandomGraphs(t *testing.T) {
	for seed := range uint64(100) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 1)), irtest.GraphOptions{})
		text := String(g)
		h := parse(t, text)
		if got := String(h); got != text {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, text)
		}
		a, b := g.Values(), h.Values()
		if len(a) != len(b) || len(g.Nodes) != len(h.Nodes) {
			t.Fatalf("seed %d: %d values, %d nodes, want %d, %d", seed, len(b), len(h.Nodes), len(a), len(g.Nodes))
		}
		for i, v := range a {
			w := b[i]
			if v.Name != w.Name || v.Type.String() != w.Type.String() || (v.Const == nil) != (w.Const == nil) ||
				v.Const != nil && !v.Const.Equal(w.Const) {
				t.Errorf("seed %d: %%%s %v came back as %%%s %v", seed, v.Name, v.Type, w.Name, w.Type)
			}
		}
		for i, n := range g.Nodes {
			if !op.Equal(n.Op, h.Nodes[i].Op) || n.Pos != h.Nodes[i].Pos {
				t.Errorf("seed %d: %v came back as %v", seed, n.Pos, h.Nodes[i].Pos)
			}
		}
	}
}

// A graph that a pass broke must print, so that it can be looked at.
func TestPrintBroken(t *testing.T) {
	g := parse(t, "graph g(%x f32[2]) {\n %y f32[2] = Relu(%x)\n %z f32[2] = Relu(%y)\n return %z }")
	g.Nodes[0].Op = nil
	g.Nodes[1].In[0] = &ir.Value{}
	g.Outputs = append(g.Outputs, nil)
	want := "graph g(%x f32[2]) {\n  %y f32[2] = <no operator>(%x)\n  %z f32[2] = Relu(%\"\")\n  return %z, _\n}\n"
	if got := String(g, NoPos); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// FuzzParse: what parses prints to a text that prints the same after another parse; nothing panics.
func FuzzParse(f *testing.F) {
	f.Add(convText)
	f.Add("graph \"\"(%x f32[\"1\",_a,0]) {\n %y i4[\"1\",_a,0]{s=2 z=[1] min=-3} = Relu(%x) # node -1 \"\\xff\" \"\"\n return %y, %x }")
	f.Add("graph g(%x f32[N,3,H,W]) {\n meta \"a\" \"b\"\n const %w f32[0,3,1,1]=[]\n %y f32[N,0,1,1] = Conv<strides=[1,1]>(%x, %w, _)\n return %y }")
	for seed := range uint64(8) {
		f.Add(String(irtest.RandomGraph(rand.New(rand.NewPCG(seed, 4)), irtest.GraphOptions{MaxNodes: 6})))
	}
	for _, d := range op.Table {
		n := max(d.MinIn, 1)
		in := strings.TrimSuffix(strings.Repeat("%x, ", n), ", ")
		a := ""
		for _, attr := range op.Attrs(d.New()) {
			a += "," + attr.Name + "=" + op.FormatAttr(attr.Value)
		}
		if a != "" {
			a = "<" + a[1:] + ">"
		}
		f.Add("graph g(%x f32[1,2,4,4]) {\n %y f32[1,2,4,4] = " + d.Name + a + "(" + in + ")\n return %y }")
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse("f.ir", []byte(text))
		if err != nil {
			return
		}
		one := String(g)
		g, err = Parse("f.ir", []byte(one))
		if err != nil {
			t.Fatalf("own text: %v\n%s", err, one)
		}
		if two := String(g); two != one {
			t.Fatalf("first\n%s\nsecond\n%s", one, two)
		}
	})
}
