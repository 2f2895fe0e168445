package ir_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
)

const text = `graph g(%x f32[N,2,4,4]) {
  const %w i8[3,2,1,1]{s=[0.5,0.25,1] z=0 axis=0} = [1 -2 3 4 5 -128]
  %c u8[N,3,4,4]{s=0.5 z=3} = Conv(%x, %w)
  %r f32[N,3,4,4] = Relu(%c)
  %s f32[N,48] = Reshape<shape=[N,48]>(%r)
  return %s
}
`

func parse(t *testing.T, s string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse("g.ir", []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestVerify(t *testing.T) {
	if err := ir.Verify(parse(t, text)); err != nil {
		t.Fatal(err)
	}
	quant := func(f func(q *ir.Quant)) func(g *ir.Graph) {
		return func(g *ir.Graph) { f(g.Nodes[0].Out[0].Type.Quant) }
	}
	weights := func(f func(v *ir.Value)) func(g *ir.Graph) {
		return func(g *ir.Graph) { f(g.Nodes[0].In[1]) }
	}
	for _, f := range []struct {
		want  string
		plant func(g *ir.Graph)
	}{
		{"g.ir: node 4 (Relu): input 0: %c is used before it is defined", func(g *ir.Graph) { slices.Reverse(g.Nodes[:2]) }},
		{"graph output: %s is used before it is defined", func(g *ir.Graph) { g.Nodes = g.Nodes[:2] }},
		{"g.ir: node 5 (Reshape): the name %r is taken twice", func(g *ir.Graph) { g.Outputs[0].Name = "r" }},
		{"g.ir: node 4 (Relu): a value has no name", func(g *ir.Graph) { g.Nodes[1].Out[0].Name = "" }},
		{"%c is defined twice", func(g *ir.Graph) { g.Nodes = slices.Insert(g.Nodes, 0, g.Nodes[0]) }},
		{"input %c has a definition, want none", func(g *ir.Graph) { g.Inputs[0] = g.Nodes[0].Out[0] }},
		{"output 0: %r: want f32[N,3,4,4], got f32[N,3,4,5]", func(g *ir.Graph) { g.Nodes[1].Out[0].Type.Shape = []int{ir.Symbol("N"), 3, 4, 5} }},
		{"output 0: %r: want f32[N,3,4,4], got i8[N,3,4,4]", func(g *ir.Graph) { g.Nodes[1].Out[0].Type.Elem = tensor.I(8) }},
		{"dimension 0 is -3, want 0 or more", func(g *ir.Graph) { g.Inputs[0].Type.Shape[0] = -3 }},
		{"node 3 (Conv): 4 channels and weights f32[3,2,1,1] do not fit 1 groups", func(g *ir.Graph) { g.Inputs[0].Type.Shape[1] = 4 }},
		{"output 0: %r does not point back to its node", func(g *ir.Graph) { g.Nodes[1].Out[0].Def = g.Nodes[0] }},
		{"node 5 (Reshape): want at most 1 outputs, got 2", func(g *ir.Graph) {
			g.Nodes[2].Out = append(g.Nodes[2].Out, &ir.Value{Name: "more", Def: g.Nodes[2]})
		}},
		{"node 5 (Reshape): want at least one output", func(g *ir.Graph) { g.Nodes[2].Out = nil }},
		{"node without an operator", func(g *ir.Graph) { g.Nodes[1].Op = nil }},
		{"graph has no outputs, want at least one", func(g *ir.Graph) { g.Outputs = nil }},
		{"graph output: no value", func(g *ir.Graph) { g.Outputs[0] = nil }},
		{"constant %w: type is i8[3,2,1,1]{s=[0.5,0.25,1] z=0 axis=0}, data is i8[6]", weights(func(v *ir.Value) { v.Const = v.Const.Reshape(6) })},
		{"element 1 is 300, outside -128..127", weights(func(v *ir.Value) { v.Const.I[1] = 300 })},
		{"%w: element 5 is -128, want -127..127", weights(func(v *ir.Value) { v.Type.Quant.Min = -127 })},
		{"%w: want 3 scales along axis 0, got 2", weights(func(v *ir.Value) { v.Type.Quant.Scale = v.Type.Quant.Scale[:2] })},
		{"%w: quantization axis 4 of 4 dims", weights(func(v *ir.Value) { v.Type.Quant.Axis = 4 })},
		{"%w: 3 scales and 2 zero points", weights(func(v *ir.Value) { v.Type.Quant.Zero = []int64{0, 0} })},
		{"%c: range 5..4, want inside u8's 0..255", quant(func(q *ir.Quant) { q.Min, q.Max = 5, 4 })},
		{"%c: range 0..256, want inside u8's 0..255", quant(func(q *ir.Quant) { q.Max = 256 })},
		{"%c: scale 0, want a positive finite number", quant(func(q *ir.Quant) { q.Scale[0] = 0 })},
		{"%c: scale NaN, want a positive finite number", quant(func(q *ir.Quant) { q.Scale[0] = math.NaN() })},
		{"%c: scale +Inf, want a positive finite number", quant(func(q *ir.Quant) { q.Scale[0] = math.Inf(1) })},
		{"%c: scale 0.1 is not a float32 number", quant(func(q *ir.Quant) { q.Scale[0] = 0.1 })},
		{"%c: rounding mode 8, want 0..7", quant(func(q *ir.Quant) { q.Round = 8 })},
		{"%c: 0 scales and 1 zero points", quant(func(q *ir.Quant) { q.Scale = nil })},
		{"%c: a Quant on element type f32, want an integer of 1 to 48 bits", func(g *ir.Graph) { g.Nodes[0].Out[0].Type.Elem = tensor.F32 }},
	} {
		g := parse(t, text)
		f.plant(g)
		err := ir.Verify(g)
		if err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("got %v\nwant %s", err, f.want)
		}
	}
}

func TestBind(t *testing.T) {
	g := parse(t, text)
	if got := g.Symbols(); !slices.Equal(got, []string{"N"}) {
		t.Errorf("symbols %v", got)
	}
	same, err := g.Bind(map[string]int{"M": 7})
	if err != nil || irtext.String(same) != irtext.String(g) {
		t.Errorf("binding another symbol: %v\n%v", err, irtext.String(same))
	}
	b, err := g.Bind(map[string]int{"N": 5})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := irtext.String(b), strings.ReplaceAll(irtext.String(g), "[N,", "[5,"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := ir.Verify(b); err != nil {
		t.Error(err)
	}
	if irtext.String(g) != irtext.String(parse(t, text)) || len(b.Symbols()) != 0 {
		t.Error("Bind changed its graph, or left a symbol")
	}
	// Symbols in int64 constants.
	g = parse(t, "graph g(%x f32[N]) {\n const %k i64[2] = [N 3]\n %y i64[2] = Identity(%k)\n return %y, %x }")
	if b, err = g.Bind(map[string]int{"N": 9}); err != nil || !slices.Equal(b.Nodes[0].In[0].Const.I, []int64{9, 3}) {
		t.Errorf("constant: %v, %v", b, err)
	}
	if !ir.IsSymbol(int(g.Nodes[0].In[0].Const.I[0])) {
		t.Error("Bind wrote into a constant of its graph")
	}
	// A size that does not fit is an error, not a wrong graph.
	g = parse(t, "graph g(%x f32[1,C], %y f32[1,3]) {\n %z f32[1,3] = Add(%x, %y)\n return %z }")
	if b, err := g.Bind(map[string]int{"C": 2}); err == nil {
		t.Errorf("2 against 3 columns: got\n%v", irtext.String(b))
	}
}

// exactRound rounds a rational number as the mode is defined.
func exactRound(r ir.Round, x *big.Rat) int64 {
	q, m := new(big.Int).DivMod(x.Num(), x.Denom(), new(big.Int))
	f := q.Int64()
	switch m.Lsh(m, 1).Cmp(x.Denom()) {
	case 1:
		if r != ir.Floor && (r != ir.ToZero || x.Sign() < 0) && (r != ir.Away || x.Sign() > 0) {
			f++
		}
	case -1:
		if m.Sign() != 0 && (r == ir.Ceil || r == ir.ToZero && x.Sign() < 0 || r == ir.Away && x.Sign() > 0) {
			f++
		}
	case 0:
		if r == ir.Ceil || (r == ir.ToZero || r == ir.HalfToZero) && x.Sign() < 0 || r == ir.Away && x.Sign() > 0 || r == ir.HalfUp || r == ir.HalfEven && f%2 != 0 || r == ir.HalfAway && x.Sign() > 0 {
			f++
		}
	}
	return f
}

var modes = []ir.Round{ir.HalfEven, ir.HalfUp, ir.HalfAway, ir.Floor, ir.Ceil, ir.Away, ir.ToZero, ir.HalfToZero}

func TestQuantize(t *testing.T) {
	for _, m := range modes {
		for _, s := range []float64{0.5, 1, 4} {
			q := &ir.Quant{Scale: []float64{s}, Zero: []int64{3}, Min: -50, Max: 60, Round: m}
			for k := int64(-4000); k <= 4000; k++ {
				x := float64(k) / 16
				want := exactRound(m, new(big.Rat).Quo(big.NewRat(k, 16), new(big.Rat).SetFloat64(s))) + 3
				if got := q.Quantize(x, 0); got != min(max(want, -50), 60) {
					t.Fatalf("%v of %v with scale %v: got %d, want %d", m, x, s, got, want)
				}
			}
			for x, want := range map[float64]int64{math.Inf(1): 60, math.Inf(-1): -50, math.NaN(): -50, 1e300: 60, -1e300: -50} {
				if got := q.Quantize(x, 0); got != want {
					t.Errorf("%v of %v: got %d, want %d", m, x, got, want)
				}
			}
		}
		if got, err := ir.ParseRound(m.String()); err != nil || got != m {
			t.Errorf("ParseRound(%q): %v, %v", m, got, err)
		}
		for x, want := range map[float64][8]float64{0.5: {0, 1, 1, 0, 1, 1, 0, 0}, 1.5: {2, 2, 2, 1, 2, 2, 1, 1}, -0.5: {0, 0, -1, -1, 0, -1, 0, 0},
			-1.5: {-2, -1, -2, -2, -1, -2, -1, -1}, -0.3: {0, 0, 0, -1, 0, -1, 0, 0}, 0.49999999999999994: {0, 0, 0, 0, 1, 1, 0, 0},
			1<<52 + 1: {1<<52 + 1, 1<<52 + 1, 1<<52 + 1, 1<<52 + 1, 1<<52 + 1, 1<<52 + 1, 1<<52 + 1, 1<<52 + 1}} {
			if got := m.Apply(x); got != want[m] {
				t.Errorf("%v of %v: got %v, want %v", m, x, got, want[m])
			}
		}
	}
	if _, err := ir.ParseRound("up"); err == nil {
		t.Error("rounding mode up: no error")
	}
}

// What an integer stands for quantizes to that integer, whatever the scale.
func TestQuantizeBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		q := ir.NewQuant(tensor.I(16), math.Exp(r.Float64()*30-20), r.Int64N(2001)-1000)
		for _, q.Round = range modes {
			for range 200 {
				v := r.Int64N(1<<16) - 1<<15
				if got := q.Quantize(float64(q.Dequantize(v, 0)), 0); got != v {
					t.Fatalf("%v with scale %v and zero %d: %d becomes %d", q.Round, q.Scale, q.Zero, v, got)
				}
			}
		}
	}
}

func TestQuant(t *testing.T) {
	q := &ir.Quant{Scale: []float64{1, 2}, Zero: []int64{5}, Axis: 1, Min: -8, Max: 7}
	if s, z := q.At(1); s != 2 || z != 5 {
		t.Errorf("At(1): %v, %d", s, z)
	}
	var got []int
	q.Channels([]int{2, 2, 3}, func(c, lo, hi int) { got = append(got, c, lo, hi) })
	if want := []int{0, 0, 3, 1, 3, 6, 0, 6, 9, 1, 9, 12}; !slices.Equal(got, want) {
		t.Errorf("Channels: got %v, want %v", got, want)
	}
	c := q.Clone()
	if !c.Equal(q) || q.Equal(nil) || !(*ir.Quant)(nil).Equal(nil) || (*ir.Quant)(nil).Clone() != nil {
		t.Error("Clone or Equal")
	}
	for i, f := range []func(){func() { c.Scale[1] = 3 }, func() { c.Zero[0]++ }, func() { c.Axis = 0 }, func() { c.Min++ }, func() { c.Max-- },
		func() { c.Round = ir.Floor }} {
		c = q.Clone()
		if f(); c.Equal(q) {
			t.Errorf("change %d makes no difference", i)
		}
	}
	one := ir.NewQuant(tensor.U(4), 0.1, 2)
	if one.Scale[0] != float64(float32(0.1)) || one.Min != 0 || one.Max != 15 || !one.PerTensor() || q.PerTensor() {
		t.Errorf("NewQuant: %+v", one)
	}
	typ := ir.Type{Elem: tensor.U(4), Shape: []int{ir.Symbol("N"), 3}, Quant: one}
	if got := typ.String(); got != "u4[N,3]{s=0.1 z=2}" {
		t.Errorf("got %s", got)
	}
	if real := typ.Real(); real.String() != "f32[N,3]" || typ.Known() || !ir.T(tensor.F32, 2).Known() || !typ.IsQuant() {
		t.Errorf("real type %v", real)
	}
	k := typ.Clone()
	if k.Shape[1], k.Quant.Zero[0] = 9, 9; typ.Shape[1] != 3 || one.Zero[0] != 2 {
		t.Error("Clone shares memory")
	}
}

func TestSymbol(t *testing.T) {
	a, b := ir.Symbol("batch"), ir.Symbol("other")
	if a == b || a != ir.Symbol("batch") || !ir.IsSymbol(a) || ir.DimString(a) != "batch" || ir.DimString(b) != "other" {
		t.Errorf("symbols %d %d", a, b)
	}
	for _, d := range []int{0, 1, -1, 1 << 40, math.MinInt32, math.MinInt64, math.MaxInt64, -1<<40 + 1} {
		if ir.IsSymbol(d) {
			t.Errorf("%d is a symbol", d)
		}
	}
	if ir.DimString(-1) != "-1" || ir.DimString(12) != "12" {
		t.Error("DimString of numbers")
	}
	done := make(chan int)
	for range 8 {
		go func() { done <- ir.Symbol("together") }()
	}
	for range 8 {
		if s := <-done; s != ir.Symbol("together") {
			t.Error("two handles for one name")
		}
	}
}

func TestReplaceUses(t *testing.T) {
	g := parse(t, "graph g(%x f32[2]) {\n %a f32[2] = Relu(%x)\n %b f32[2] = Abs(%a)\n %c f32[2] = Add(%b, %b)\n return %b, %c }")
	a, b := g.Nodes[0].Out[0], g.Nodes[1].Out[0]
	if g.Uses(b) != 3 || g.UseCounts()[b] != 3 || len(g.Users(b)) != 1 || g.Uses(a) != 1 || !g.IsOutput(b) || g.IsOutput(a) {
		t.Errorf("uses %d %d", g.Uses(b), g.Uses(a))
	}
	g.ReplaceUses(b, a)
	if g.Uses(b) != 0 || g.Uses(a) != 4 {
		t.Errorf("uses %d %d", g.Uses(b), g.Uses(a))
	}
	g.Remove(g.Nodes[1])
	if err := ir.Verify(g); err != nil {
		t.Error(err)
	}
	want := "graph g(%x f32[2]) {\n  %b f32[2] = Relu(%x)\n  %c f32[2] = Add(%b, %b)\n  return %b, %c\n}\n"
	if got := irtext.String(g, irtext.NoPos); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEdit(t *testing.T) {
	g := parse(t, text)
	r := g.Nodes[1]
	n, err := ir.NewNode(&op.Abs{}, ir.Pos{Node: 7}, r.Out, g.Names().New("r"))
	if err != nil || n.Out[0].Name != "r.1" {
		t.Fatal(n, err)
	}
	g.InsertAfter(r, n)
	n.Out[0].Type.Shape = slices.Clone(n.Out[0].Type.Shape)
	g.Nodes[3].In[0] = n.Out[0]
	if err := ir.Verify(g); err != nil {
		t.Error(err)
	}
	if _, err := g.Append(&op.Abs{}, ir.Pos{File: "f", Node: 3, Name: "n"}, r.Out, "p", "q"); err == nil ||
		err.Error() != `f: node 3 "n" (Abs): want at most 1 outputs, got 2` || len(g.Nodes) != 4 {
		t.Errorf("two results of Abs: %v", err)
	}
	if _, err := g.Input("y"); err == nil || err.Error() != `g: no input "y"; there are "x"` {
		t.Errorf("input y: %v", err)
	}
	names := g.Names()
	if a, b := names.New("new"), names.New("new"); a != "new" || b != "new.1" {
		t.Errorf("names %s, %s", a, b)
	}
}

// A clone prints the same and shares no values; random graphs verify, also with a batch bound.
func TestRandom(t *testing.T) {
	for seed := range uint64(30) {
		g := irtest.RandomGraph(rand.New(rand.NewPCG(seed, 1)), irtest.GraphOptions{})
		if err := ir.Verify(g); err != nil {
			t.Fatal(err)
		}
		before := irtext.String(g)
		c := g.Clone()
		if irtext.String(c) != before {
			t.Fatal("a clone prints another text")
		}
		for _, v := range c.Values() {
			v.Name += "'"
			v.Type.Shape = append(v.Type.Shape[:0], 1)
		}
		c.Nodes, c.Outputs = c.Nodes[:1], nil
		if irtext.String(g) != before {
			t.Fatal("a change of the clone shows in the graph")
		}
		b, err := g.Bind(map[string]int{"N": 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.Verify(b); err != nil {
			t.Fatal(err)
		}
	}
}
