package op

import (
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// TestChain folds what exporters write for x.view(x.size(0), -1): Shape, Gather, Unsqueeze, Concat, Reshape, with the batch left open,
// and binds the result.
func TestChain(t *testing.T) {
	x := ty("f32[N,16,5,5]")
	shape := (&Shape{End: shapeEnd}).Of(x.Shape)
	near(t, "Shape", shape, i64(int64(ir.Symbol("N")), 16, 5, 5), 0)
	batch := run(t, &Gather{0}, shape, tensor.Ints(tensor.I64, nil, 0))[0]
	one := run(t, &Unsqueeze{[]int{0}}, run(t, &Cast{"i64"}, run(t, &Identity{}, batch)[0])[0])[0]
	dims := run(t, &Concat{0}, one, i64(-1))[0]
	if got := dims.I; !slices.Equal(got, []int64{int64(ir.Symbol("N")), -1}) {
		t.Fatalf("got %v, want N and -1", got)
	}
	for _, o := range []Op{&Slice{Starts: []int{0}, Ends: []int{1}}, &Pad{Pads: []int{0, -1}, Mode: "constant"}} {
		near(t, describe(o), run(t, o, dims)[0], one, 0)
	}
	near(t, "Transpose", run(t, &Transpose{}, one)[0], one, 0)
	near(t, "Squeeze", run(t, &Squeeze{}, one)[0], batch, 0)
	near(t, "Expand", run(t, &Expand{[]int{2}}, one)[0], i64(one.I[0], one.I[0]), 0)
	near(t, "Tile", run(t, &Tile{[]int{2}}, one)[0], i64(one.I[0], one.I[0]), 0)
	near(t, "Reshape", run(t, &Reshape{Shape: []int{}}, one)[0], batch, 0)
	near(t, "Split", run(t, &Split{0, []int{1, 1}}, dims)[0], one, 0)

	r := &Reshape{Shape: []int{int(dims.I[0]), int(dims.I[1])}}
	v := &ir.Value{Name: "x", Type: x}
	g := &ir.Graph{Name: "g", Inputs: []*ir.Value{v}}
	n, err := g.Append(r, ir.Pos{}, []*ir.Value{v}, "y")
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = n.Out
	if got := n.Out[0].Type.String(); got != "f32[N,400]" {
		t.Errorf("got %s, want f32[N,400]", got)
	}
	b, err := g.Bind(map[string]int{"N": 7})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Outputs[0].Type.String(); got != "f32[7,400]" {
		t.Errorf("bound: got %s, want f32[7,400]", got)
	}
	if !Equal(b.Nodes[0].Op, &Reshape{Shape: []int{7, -1}}) || !Equal(g.Nodes[0].Op, r) {
		t.Errorf("bound: got %s from %s", describe(b.Nodes[0].Op), describe(g.Nodes[0].Op))
	}
	if err := ir.Verify(b); err != nil {
		t.Error(err)
	}
}

// TestBindDims: every operator whose attributes may hold symbols.
func TestBindDims(t *testing.T) {
	n, m := ir.Symbol("N"), ir.Symbol("M")
	size := func(d int) int {
		if d == n {
			return 7
		}
		return d
	}
	for _, c := range []struct{ op, want ir.Op }{
		{&Reshape{Shape: []int{n, m, 0, -1}, AllowZero: true}, &Reshape{Shape: []int{7, m, 0, -1}, AllowZero: true}},
		{&Expand{[]int{1, n}}, &Expand{[]int{1, 7}}},
		{&Tile{[]int{n, 2}}, &Tile{[]int{7, 2}}},
		{&Slice{[]int{0}, []int{n}, []int{1}, []int{2}}, &Slice{[]int{0}, []int{7}, []int{1}, []int{2}}},
	} {
		before := Clone(c.op)
		got := c.op.(interface{ BindDims(func(int) int) ir.Op }).BindDims(size)
		if !Equal(got, c.want) || !Equal(c.op, before) {
			t.Errorf("%s: got %s, want %s", describe(before), describe(got), describe(c.want))
		}
	}
}

func TestReshapeSymbols(t *testing.T) {
	n, m := ir.Symbol("N"), ir.Symbol("M")
	for _, c := range []struct {
		in    string
		shape []int
		want  string
	}{
		{"f32[N,16,5,5]", []int{-1, 400}, "f32[N,400]"},
		{"f32[N,16,5,5]", []int{0, -1}, "f32[N,400]"},
		{"f32[N,16,5,5]", []int{n, 4, -1}, "f32[N,4,100]"},
		{"f32[N,M,4]", []int{m, -1, 4}, "f32[M,N,4]"},
		{"f32[N,M,4]", []int{m, n, -1}, "f32[M,N,4]"},
		{"f32[N,N,4]", []int{n, -1, 4}, "f32[N,N,4]"},
		{"f32[N,16]", []int{1, 16}, "f32[1,16]"}, // right for N = 1, which binding finds out
		{"f32[N,16]", []int{n, 4, 4}, "f32[N,4,4]"},
		{"f32[6,16]", []int{n, 16}, "f32[N,16]"},
		{"f32[N,16]", []int{n, 4, 3}, "error: f32[N,16] does not fit the shape [N,4,3]"},
		{"f32[N,16]", []int{24}, "error: f32[N,16] does not fit the shape [24]"},
		{"f32[3,5]", []int{n, 4}, "error: f32[3,5] does not fit the shape [N,4]"},
		{"f32[N,16]", []int{-1, 4}, "error: f32[N,16] to shape [-1,4]: the dimensions must be known to find the -1"},
		{"f32[N,M]", []int{-1}, "error: f32[N,M] to shape [-1]: the dimensions must be known to find the -1"},
		{"f32[2,3]", []int{4, -1}, "error: f32[2,3] does not fit the shape [4,-1]"},
		{"f32[2,3]", []int{7}, "error: f32[2,3] does not fit the shape [7]"},
		{"f32[2,3]", []int{-1, -1}, "error: shape [-1,-1]: want at most one -1"},
		{"f32[2,3]", []int{-2, 3}, "error: shape [-2,3]: entry 0: want -1 or more"},
		{"f32[2,3]", []int{2, 3, 0}, "error: shape [2,3,0]: entry 2 copies a dimension that f32[2,3] lacks"},
		{"f32[0,3]", []int{0, -1}, "error: shape [0,-1]: the size of the -1 is not determined beside a 0"},
	} {
		x := ty(c.in)
		types, err := (&Reshape{Shape: c.shape}).Infer([]*ir.Type{&x})
		got := ""
		if err != nil {
			got = "error: " + err.Error()
		} else {
			got = types[0].String()
		}
		if got != c.want {
			t.Errorf("%s to %s: got %s, want %s", c.in, FormatAttr(c.shape), got, c.want)
		}
	}
}
