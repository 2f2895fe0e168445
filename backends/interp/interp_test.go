package interp

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"

	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
)

func parse(t testing.TB, text string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse("t.ir", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newInterp(t testing.TB, text string) *Interp {
	t.Helper()
	m, err := New(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The numbers of this test were worked out by hand.
func TestRun(t *testing.T) {
	m := newInterp(t, `graph g(%x f32[1,2,1,2]) {
  const %w i8[2,2,1,1]{s=[0.5,2] z=[0,1] axis=0} = [2 4 2 0]
  const %b f32[2] = [0.25 -100]
  %c i8[1,2,1,2]{s=0.5 z=-1} = Conv(%x, %w, %b)
  %r u4[1,2,1,2]{s=1 z=0 max=7} = Relu(%c)
  %f f32[1,4] = Flatten(%r)
  return %f, %c, %b
}`)
	// Weights are [1 2] and [2 -2]: the channels are x0 + 2*x1 + 0.25 and 2*x0 - 2*x1 - 100.
	x := tensor.Floats([]int{1, 2, 1, 2}, 1, -8, 2, 16)
	seen := map[string][]float32{}
	var order []string
	out, err := m.Run([]*tensor.T{x}, func(v *ir.Value, t *tensor.T) {
		order = append(order, v.Name)
		seen[v.Name] = slices.Clone(t.F)
	})
	if err != nil {
		t.Fatal(err)
	}
	// 5.25 is 10.5 steps: to 10, the even one; 24.25 is 48.5 steps: to 48. -102 and -148 are under -127 steps of 0.5.
	want := map[string][]float32{"x": x.F, "c": {5, 24, -63.5, -63.5}, "r": {5, 7, 0, 0}, "f": {5, 7, 0, 0}}
	for name, w := range want {
		if !slices.Equal(seen[name], w) {
			t.Errorf("%s: got %v, want %v", name, seen[name], w)
		}
	}
	if !slices.Equal(order, []string{"x", "c", "r", "f"}) {
		t.Errorf("observed %v", order)
	}
	if !slices.Equal(out[0].F, want["f"]) || !slices.Equal(out[0].Shape, []int{1, 4}) || !slices.Equal(out[1].F, want["c"]) ||
		!slices.Equal(out[2].F, []float32{0.25, -100}) {
		t.Errorf("outputs %v, %v, %v", out[0].F, out[1].F, out[2].F)
	}
	q, err := Integers(m.g.Nodes[0].Out[0], out[1])
	if err != nil || q.Elem != tensor.I(8) || !slices.Equal(q.I, []int64{9, 47, -128, -128}) {
		t.Errorf("integers %v, %v", q, err)
	}
}

// A run must give what the definition says: each node alone, on copies, every element through Quantize and Dequantize.
func TestAgainstDefinition(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		quantizeAtRandom(r, g)
		in := irtest.RandomInputs(r, g, 1)[0]
		want := byDefinition(t, g, in)
		m, err := New(g)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		n := 0
		out, err := m.Run(in, func(v *ir.Value, got *tensor.T) {
			n++
			if !got.Equal(want[v]) {
				t.Errorf("seed %d: %%%s %v differs", seed, v.Name, v.Type)
			}
			if v.Type.IsQuant() {
				q, err := Integers(v, got)
				if err != nil || q.Check() != nil {
					t.Errorf("seed %d: integers: %v, %v", seed, err, q.Check())
				}
			}
		})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if n != len(want) {
			t.Errorf("seed %d: observed %d values, want %d", seed, n, len(want))
		}
		for i, v := range g.Outputs {
			if !out[i].Equal(want[v]) {
				t.Errorf("seed %d: output %d differs", seed, i)
			}
		}
	}
}

// quantizeAtRandom gives most values of the graph, and its weights, grids of all kinds.
func quantizeAtRandom(r *rand.Rand, g *ir.Graph) {
	for _, v := range g.Values() {
		if r.IntN(4) == 0 || !v.Type.Elem.IsFloat() {
			continue
		}
		e := tensor.I(2 + r.IntN(15))
		if v.Const == nil && r.IntN(2) == 0 {
			e = tensor.U(int(e.Bits))
		}
		lo, hi := e.Range()
		q := ir.NewQuant(e, math.Exp(r.NormFloat64())*8/float64(hi-lo), lo+r.Int64N(hi-lo+1))
		q.Round = ir.Round(r.IntN(4))
		if r.IntN(3) == 0 {
			q.Min++
		}
		if n := len(v.Type.Shape); n > 1 && r.IntN(2) == 0 {
			q.Axis = 1
			q.Scale = nil
			for range v.Type.Shape[1] {
				q.Scale = append(q.Scale, float64(float32(math.Exp(r.NormFloat64())*4/float64(hi-lo))))
			}
		}
		v.Type.Elem, v.Type.Quant = e, q
		if v.Const != nil {
			f := v.Const
			v.Const = tensor.New(e, f.Shape...)
			q.Channels(f.Shape, func(c, lo, hi int) {
				for i := lo; i < hi; i++ {
					v.Const.I[i] = q.Quantize(float64(f.F[i]), c)
				}
			})
		}
	}
}

func byDefinition(t *testing.T, g *ir.Graph, in []*tensor.T) map[*ir.Value]*tensor.T {
	t.Helper()
	vals := map[*ir.Value]*tensor.T{}
	set := func(v *ir.Value, x *tensor.T) {
		x = x.Clone()
		if q := v.Type.Quant; q != nil {
			inner := tensor.Numel(x.Shape[min(len(x.Shape), q.Axis+1):])
			for i, f := range x.F {
				c := 0
				if len(q.Scale) > 1 {
					c = i / inner % len(q.Scale)
				}
				x.F[i] = q.Dequantize(q.Quantize(float64(f), c), c)
			}
		}
		vals[v] = x
	}
	for i, v := range g.Inputs {
		set(v, in[i])
	}
	for _, n := range g.Nodes {
		args := make([]*tensor.T, len(n.In))
		for i, v := range n.In {
			switch {
			case v == nil:
			case v.Const == nil:
				args[i] = vals[v].Clone()
			case v.Type.Quant == nil:
				args[i] = v.Const.Clone()
			default:
				args[i] = tensor.New(tensor.F32, v.Const.Shape...)
				v.Type.Quant.Channels(v.Const.Shape, func(c, lo, hi int) {
					for j := lo; j < hi; j++ {
						args[i].F[j] = v.Type.Quant.Dequantize(v.Const.I[j], c)
					}
				})
			}
		}
		out, err := op.Eval(n.Op, args)
		if err != nil {
			t.Fatal(n.Wrap(err))
		}
		for i, v := range n.Out {
			set(v, out[i])
		}
	}
	return vals
}

// Kernels may return views of their inputs; rounding must not show through them.
func TestViews(t *testing.T) {
	m := newInterp(t, `graph g(%x f32[2,2]) {
  const %k f32[2,2] = [0.3 0.7 -0.2 1.2]
  %q i8[2,2]{s=1 z=0} = Quantize(%x)
  %i i8[2,2]{s=4 z=0} = Identity(%x)
  %f i8[4]{s=2 z=0} = Reshape<shape=[4]>(%q)
  %d f32[2,2] = Dequantize(%q)
  %u i8[1,2,2]{s=1 z=0} = Unsqueeze<axes=[0]>(%k)
  return %x, %q, %i, %f, %d, %k, %u
}`)
	x := tensor.Floats([]int{2, 2}, 1.25, 3, -1, 2.5)
	for range 2 {
		out, err := m.Run([]*tensor.T{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Halves go to even: f is 0.5, 1.5, -0.5 and 1 steps of 2.
		want := [][]float32{{1.25, 3, -1, 2.5}, {1, 3, -1, 2}, {0, 4, 0, 4}, {0, 4, 0, 2}, {1, 3, -1, 2}, {0.3, 0.7, -0.2, 1.2}, {0, 1, 0, 1}}
		for i, w := range want {
			if !slices.Equal(out[i].F, w) {
				t.Errorf("output %d: got %v, want %v", i, out[i].F, w)
			}
		}
		// The caller may do with the outputs as it likes; the next round must not see it.
		for _, o := range out {
			for i := range o.F {
				o.F[i] = 99
			}
		}
		if !slices.Equal(x.F, want[0]) {
			t.Fatalf("the input changed to %v", x.F)
		}
	}
}

func TestErrors(t *testing.T) {
	m := newInterp(t, `graph net(%x f32[N,2]) {
  %y f32[N,2] = Log(%x)  # node 7 "log" m.onnx
  %z i8[N,2]{s=[1,2] z=0 axis=1} = Identity(%y)  # node 8 "id" m.onnx
  return %z
}`)
	_, err := m.Run([]*tensor.T{tensor.Floats([]int{2, 2}, 1, 1, 1, -1)}, nil)
	var e *ir.Error
	if !errors.As(err, &e) || err.Error() != `m.onnx: node 8 "id" (Identity): result 0, %z: element 3 is not a number and cannot be quantized` {
		t.Errorf("got %v", err)
	}
	// A size that makes the graph impossible is an error of the node that cannot be.
	m = newInterp(t, "graph net(%x f32[1,C], %y f32[1,3]) {\n %z f32[1,3] = Add(%x, %y)\n return %z }")
	if _, err = m.Run([]*tensor.T{tensor.New(tensor.F32, 1, 2), tensor.New(tensor.F32, 1, 3)}, nil); err == nil ||
		!strings.HasPrefix(err.Error(), "t.ir: node 2 (Add): ") {
		t.Errorf("got %v", err)
	}
	// A symbol that no input has.
	m = newInterp(t, "graph net(%x f32[N,4]) {\n %y f32[M,2] = Reshape<shape=[M,2]>(%x)\n return %y }")
	if _, err = m.Run([]*tensor.T{tensor.New(tensor.F32, 1, 4)}, nil); err == nil ||
		err.Error() != "net: %y is f32[M,2], and no input tells the size of M" {
		t.Errorf("got %v", err)
	}
	g := parse(t, "graph net(%x f32[N,4]) {\n %y f32[N,4] = Relu(%x)\n return %y }")
	g.Outputs = nil
	if _, err := New(g); err == nil {
		t.Error("a graph without outputs: no error")
	}
	for _, bad := range []struct {
		t    *tensor.T
		want string
	}{
		{tensor.Floats([]int{1, 2}, 1, 1), "%z: element 1 is 1, which is not on the grid of i8[N,2]{s=[1,2] z=0 axis=1}"},
		{tensor.Floats([]int{1, 2}, 1, float32(math.NaN())), "%z: element 1 is NaN, which is not on the grid of i8[N,2]{s=[1,2] z=0 axis=1}"},
		{tensor.Floats([]int{2}, 1, 2), "%z: want reals for i8[N,2]{s=[1,2] z=0 axis=1}, got f32[2]"},
	} {
		z := &ir.Value{Name: "z", Type: ir.Type{Elem: tensor.I(8), Shape: []int{ir.Symbol("N"), 2}}}
		z.Type.Quant = &ir.Quant{Scale: []float64{1, 2}, Zero: []int64{0}, Axis: 1, Min: -128, Max: 127}
		if _, err := Integers(z, bad.t); err == nil || err.Error() != bad.want {
			t.Errorf("got  %v\nwant %s", err, bad.want)
		}
	}
	if _, err := Integers(g.Nodes[0].Out[0], tensor.New(tensor.F32, 1, 4)); err == nil || err.Error() != "%y is f32[N,4], want a quantized value" {
		t.Errorf("got %v", err)
	}
}

// lying is an operator whose kernel does not do what its inference says.
type lying struct{ give []*tensor.T }

func (*lying) OpName() string                          { return "Lying" }
func (*lying) Infer([]*ir.Type) ([]ir.Type, error)     { return []ir.Type{ir.T(tensor.F32, 2)}, nil }
func (o *lying) Eval([]*tensor.T) ([]*tensor.T, error) { return o.give, nil }
func graphOf(o ir.Op) (*ir.Graph, error) {
	g := &ir.Graph{Name: "g"}
	n, err := g.Append(o, ir.Pos{File: "f", Node: 1}, nil, "y")
	if err == nil {
		g.Outputs = n.Out
	}
	return g, err
}

func TestKernelChecked(t *testing.T) {
	for _, tt := range []struct {
		give []*tensor.T
		want string
	}{
		{nil, "f: node 1 (Lying): the kernel gave 0 results, want 1"},
		{[]*tensor.T{tensor.New(tensor.F32, 3)}, "f: node 1 (Lying): result 0, %y: the kernel gave f32[3], want f32[2]"},
		{[]*tensor.T{tensor.New(tensor.I64, 2)}, "f: node 1 (Lying): result 0, %y: the kernel gave i64[2], want f32[2]"},
		{[]*tensor.T{tensor.New(tensor.F32, 2)}, ""},
	} {
		g, err := graphOf(&lying{tt.give})
		if err != nil {
			t.Fatal(err)
		}
		m, err := New(g)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = m.Run(nil, nil); err == nil && tt.want != "" || err != nil && err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// A tensor that nothing reads any more is garbage while the run goes on.
func TestDropped(t *testing.T) {
	m := newInterp(t, `graph g(%x f32[9]) {
  %a f32[9] = Relu(%x)
  %b f32[9] = Relu(%a)
  %c f32[9] = Add(%a, %b)
  %d f32[9] = Relu(%c)
  return %b, %d
}`)
	seen := map[string]weak.Pointer[tensor.T]{}
	alive := map[string]string{} // at the time of a value, those before it
	_, err := m.Run([]*tensor.T{tensor.New(tensor.F32, 9)}, func(v *ir.Value, x *tensor.T) {
		runtime.GC()
		for _, name := range []string{"a", "b", "c"} {
			if seen[name].Value() != nil {
				alive[v.Name] += name
			}
		}
		seen[v.Name] = weak.Make(x)
	})
	if err != nil {
		t.Fatal(err)
	}
	if alive["b"] != "a" || alive["c"] != "ab" || alive["d"] != "bc" {
		t.Errorf("alive: at b %q, at c %q, at d %q; want a, ab, bc", alive["b"], alive["c"], alive["d"])
	}
}
