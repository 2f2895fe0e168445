package ir_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

func nodeNames(g *ir.Graph) string {
	var s []string
	for _, n := range g.Nodes {
		s = append(s, n.Out[0].Name)
	}
	return strings.Join(s, " ")
}

func valueNames(vs []*ir.Value) string {
	var s []string
	for _, v := range vs {
		s = append(s, v.Name)
	}
	return strings.Join(s, " ")
}

func TestInsertRemove(t *testing.T) {
	g := parse(t, "graph g(%x f32[2]) {\n %a f32[2] = Relu(%x)\n %b f32[2] = Relu(%a)\n return %b }")
	relu := func(name string) *ir.Node {
		n, err := ir.NewNode(&op.Relu{}, ir.Pos{}, []*ir.Value{g.Inputs[0]}, name)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a, b := g.Nodes[0], g.Nodes[1]
	g.InsertBefore(a, relu("1"))
	g.InsertBefore(b, relu("2"))
	g.InsertAfter(b, relu("3"))
	g.InsertAfter(nil, relu("0"))
	if got := nodeNames(g); got != "0 1 a 2 b 3" {
		t.Errorf("inserted: %s", got)
	}
	if err := ir.Verify(g); err != nil {
		t.Error(err)
	}
	g.Remove(g.Nodes[3])
	g.Remove(g.Nodes[0])
	if got := nodeNames(g); got != "1 a b 3" {
		t.Errorf("removed: %s", got)
	}
	// A node that is not in the graph is a broken invariant.
	stray := relu("stray")
	for i, f := range []func(){func() { g.Remove(stray) }, func() { g.InsertBefore(stray, relu("y")) }, func() { g.InsertAfter(stray, relu("y")) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("edit %d at a node that is not in the graph: no panic", i)
				}
			}()
			f()
		}()
	}
	if got := nodeNames(g); got != "1 a b 3" {
		t.Errorf("after refused edits: %s", got)
	}
}

// Values stand in the order of the text: inputs, constants where they are read first, results, constants that are only outputs.
func TestValues(t *testing.T) {
	g := parse(t, `graph g(%x f32[2], %unused f32[2]) {
  const %k f32[2] = [1 2]
  const %l f32[2] = [3 4]
  const %out f32[2] = [5 6]
  const %unread f32[2] = [7 8]
  %a f32[2] = Add(%x, %l)
  %b f32[2] = Add(%k, %l)
  %p f32[1], %q f32[1] = Split<split=[1,1]>(%b)
  return %out, %q, %out
}`)
	if got := valueNames(g.Values()); got != "x unused l a k b p q out" {
		t.Errorf("values: %s", got)
	}
	if got := valueNames(g.Consts()); got != "l k out" {
		t.Errorf("constants: %s", got)
	}
	l, out := g.Nodes[0].In[1], g.Outputs[0]
	if g.Uses(l) != 2 || len(g.Users(l)) != 2 || g.Uses(out) != 2 || g.UseCounts()[out] != 2 || len(g.Users(out)) != 0 || g.Uses(g.Inputs[1]) != 0 {
		t.Errorf("uses: l %d, out %d", g.Uses(l), g.Uses(out))
	}
	if v, err := g.Input("unused"); err != nil || v != g.Inputs[1] {
		t.Errorf("input unused: %v, %v", v, err)
	}
}

func TestErrorText(t *testing.T) {
	n := &ir.Node{Op: &op.Relu{}, Pos: ir.Pos{File: "m.onnx", Node: 17, Name: "r3"}}
	if got := n.Errorf("want %d", 4).Error(); got != `m.onnx: node 17 "r3" (Relu): want 4` {
		t.Error(got)
	}
	err := fmt.Errorf("outer: %w", n.Wrap(io.EOF))
	if e := (*ir.Error)(nil); !errors.Is(err, io.EOF) || !errors.As(err, &e) || e.Pos != n.Pos || e.Op != "Relu" {
		t.Errorf("%v does not unwrap", err)
	}
	if n.Wrap(nil) != nil {
		t.Error("Wrap(nil) is not nil")
	}
	if got := (ir.Pos{Node: 3}).String(); got != "<graph>: node 3" {
		t.Error(got)
	}
}

// Inference sees quantized inputs as reals and gives results without a Quant.
func TestNewNode(t *testing.T) {
	x := &ir.Value{Name: "x", Type: ir.Type{Elem: tensor.I(8), Shape: []int{ir.Symbol("N"), 2}, Quant: ir.NewQuant(tensor.I(8), 1, 0)}}
	g := &ir.Graph{Name: "g", Inputs: []*ir.Value{x}}
	n, err := g.Append(&op.Flatten{Axis: 1}, ir.Pos{}, g.Inputs, "y")
	if err != nil || len(g.Nodes) != 1 || n.Out[0].Def != n || n.Out[0].Type.String() != "f32[N,2]" {
		t.Errorf("%v, %v", n, err)
	}
	if _, err := g.Append(&op.Conv{Group: 1}, ir.Pos{File: "f"}, g.Inputs, "z"); err == nil || !strings.HasPrefix(err.Error(), "f: node 0 (Conv): ") {
		t.Errorf("Conv of one input: %v", err)
	}
	if len(g.Nodes) != 1 {
		t.Error("a refused node is in the graph")
	}
}
