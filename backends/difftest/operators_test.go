package difftest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/backends/hls"
	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// net builds small graphs.
type net struct {
	t *testing.T
	r *rand.Rand
	g *ir.Graph
}

func (b *net) add(o ir.Op, in ...*ir.Value) *ir.Value {
	b.t.Helper()
	n, err := b.g.Append(o, ir.Pos{File: "ops", Node: len(b.g.Nodes), Name: o.OpName()}, in, fmt.Sprintf("v%d", len(b.g.Nodes)))
	if err != nil {
		b.t.Fatal(err)
	}
	return n.Out[0]
}

// normal is a constant of Gaussian numbers around a center.
func (b *net) normal(center, spread float64, shape ...int) *ir.Value {
	k := tensor.New(tensor.F32, shape...)
	for i := range k.F {
		k.F[i] = float32(center + spread*b.r.NormFloat64())
	}
	return &ir.Value{Name: fmt.Sprintf("c%d_%d", len(b.g.Nodes), b.r.IntN(1<<30)), Type: ir.Type{Elem: k.Elem, Shape: k.Shape}, Const: k}
}

func (b *net) number(x float64, shape ...int) *ir.Value { return b.normal(x, 0, shape...) }

// another is a second value: a layer over x.
func (b *net) another(x *ir.Value) *ir.Value {
	c := x.Type.Shape[1]
	k := make([]int, len(x.Type.Shape)-2)
	for i := range k {
		k[i] = 1
	}
	return b.add(&op.Conv{Group: 1}, x, b.normal(0, 0.5, append([]int{c, c}, k...)...))
}

// operators are small networks around an operator each, on an input [1,3,5,6] and, where wide is set, [1,4,7].
var operators = []struct {
	name string
	line bool // the input is [1,4,7]
	f    func(b *net, x *ir.Value) *ir.Value
}{
	{"Conv 1-d", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Conv{Group: 2, Strides: []int{2}, Pads: []int{2, 1}, Dilations: []int{2}}, x, b.normal(0, 0.5, 6, 2, 3), b.normal(0, 0.2, 6))
	}},
	{"depthwise 1-d", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Conv{Group: 4, Pads: []int{1, 1}}, x, b.normal(0, 0.5, 4, 1, 3))
	}},
	{"MaxPool 1-d", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.MaxPool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 1}, CeilMode: true}, x)
	}},
	{"AveragePool 1-d", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 1}, CeilMode: true}, x)
	}},
	{"AveragePool 1-d padding counts", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.AveragePool{KernelShape: []int{4}, Strides: []int{3}, Pads: []int{2, 1}, CeilMode: true, CountIncludePad: true}, x)
	}},
	{"GlobalAveragePool 1-d", true, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.GlobalAveragePool{}, x) }},
	{"GlobalMaxPool 1-d", true, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.GlobalMaxPool{}, x) }},
	{"PRelu scalar", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.PRelu{}, b.another(x), b.number(0.25, 1)) }},
	{"PRelu by channel", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.PRelu{}, b.another(x), b.normal(0.1, 0.7, 3, 1, 1))
	}},
	{"PRelu by element", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.PRelu{}, b.another(x), b.normal(0.1, 0.7, 3, 5, 6))
	}},
	{"PRelu 1-d", true, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.PRelu{}, x, b.normal(0.1, 0.3, 4, 1)) }},
	{"Max of two", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Max{}, x, b.another(x)) }},
	{"Min of three and a number", false, func(b *net, x *ir.Value) *ir.Value {
		y := b.another(x)
		return b.add(&op.Min{}, x, y, b.number(0.4), b.add(&op.Tanh{}, y))
	}},
	{"Max broadcast, by channel and by pixel", false, func(b *net, x *ir.Value) *ir.Value {
		m := b.add(&op.ReduceMean{Axes: []int{2}, KeepDims: true}, x)
		return b.add(&op.Max{}, m, b.normal(0, 0.5, 3, 1, 1), x, b.normal(0, 0.5, 1, 6))
	}},
	{"Add by pixel", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Add{}, x, b.normal(0, 1, 5, 6)) }},
	{"Add by element", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Add{}, x, b.normal(0, 1, 3, 5, 6)) }},
	{"Sub from an element", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Sub{}, b.normal(0, 1, 1, 3, 5, 6), x) }},
	{"Mul by row", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Mul{}, x, b.normal(0, 1, 1, 1, 5, 1)) }},
	{"Mul by row and channel", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Mul{}, x, b.normal(0, 1, 3, 5, 1)) }},
	{"Sum with two constants", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Sum{}, x, b.normal(0, 1, 3, 5, 1), b.another(x), b.normal(0, 1, 6))
	}},
	{"Div of two", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Div{}, x, b.add(&op.Clip{Min: 2, Max: 4}, b.another(x)))
	}},
	{"Div of a number", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Div{}, b.number(-1.5), b.add(&op.Clip{Min: 2, Max: 4}, b.another(x)))
	}},
	{"Div by row", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Div{}, x, b.normal(2, 0.3, 5, 1)) }},
	{"Pow", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.Pow{}, x, b.number(3)) }},
	{"root", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Pow{}, b.add(&op.Relu{}, b.another(x)), b.number(0.5))
	}},
	{"ReduceMean height", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceMean{Axes: []int{2}}, x) }},
	{"ReduceMean width", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceMean{Axes: []int{-1}, KeepDims: true}, x) }},
	{"ReduceSum channels", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceSum{Axes: []int{1}, KeepDims: true}, x) }},
	{"ReduceSum channels, rows left", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceSum{Axes: []int{1}}, x) }},
	{"ReduceMax channels and width", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceMax{Axes: []int{1, 3}}, x) }},
	{"ReduceMin image", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceMin{Axes: []int{2, 3}, KeepDims: true}, x) }},
	{"ReduceMin channels", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.ReduceMin{Axes: []int{1}, KeepDims: true}, b.another(x))
	}},
	{"ReduceSum all", false, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceSum{KeepDims: true}, x) }},
	{"ReduceMax 1-d", true, func(b *net, x *ir.Value) *ir.Value { return b.add(&op.ReduceMax{Axes: []int{2}}, b.another(x)) }},
	{"Softmax channels", false, func(b *net, x *ir.Value) *ir.Value {
		return b.another(b.add(&op.Softmax{Axis: 1}, x))
	}},
	{"Softmax width", false, func(b *net, x *ir.Value) *ir.Value { return b.another(b.add(&op.Softmax{Axis: -1}, x)) }},
	{"LogSoftmax channels", false, func(b *net, x *ir.Value) *ir.Value { return b.another(b.add(&op.LogSoftmax{Axis: 1}, x)) }},
	{"LogSoftmax 42", false, func(b *net, x *ir.Value) *ir.Value {
		y := b.add(&op.LogSoftmax{Axis: -1}, b.add(&op.Reshape{Shape: []int{1, 1, 90}}, x))
		return b.another(y)
	}},
	{"Pad with a number", false, func(b *net, x *ir.Value) *ir.Value {
		return b.another(b.add(&op.Pad{Pads: []int{0, 1, 0, 2, 0, 0, 1, 0}, Mode: "constant", Value: -0.7}, x))
	}},
	{"Pad reflect", false, func(b *net, x *ir.Value) *ir.Value {
		return b.another(b.add(&op.Pad{Pads: []int{0, 0, 2, 1, 0, 0, 1, 3}, Mode: "reflect"}, x))
	}},
	{"Pad edge, cropping", false, func(b *net, x *ir.Value) *ir.Value {
		return b.another(b.add(&op.Pad{Pads: []int{0, 1, -1, 2, 0, 1, 2, -2}, Mode: "edge"}, x))
	}},
	{"Slice backwards", false, func(b *net, x *ir.Value) *ir.Value {
		return b.another(b.add(&op.Slice{Starts: []int{-1, 4}, Ends: []int{-100, 0}, Axes: []int{3, 2}, Steps: []int{-2, -1}}, x))
	}},
	{"Split width, Concat height", false, func(b *net, x *ir.Value) *ir.Value {
		n, err := b.g.Append(&op.Split{Axis: -1, Split: []int{2, 2, 2}}, ir.Pos{File: "ops", Name: "Split"}, []*ir.Value{x}, "s0", "s1", "s2")
		if err != nil {
			b.t.Fatal(err)
		}
		return b.add(&op.Concat{Axis: -2}, n.Out[2], b.another(n.Out[0]), n.Out[1])
	}},
	{"Resize nearest", false, func(b *net, x *ir.Value) *ir.Value {
		o := resize("nearest", 1, 1, 2, 1.5)
		o.Coordinates, o.Nearest = "asymmetric", "floor"
		return b.another(b.add(o, x))
	}},
	{"Resize linear twice", false, func(b *net, x *ir.Value) *ir.Value { return b.add(resize("linear", 1, 1, 2, 2), x) }},
	{"Resize linear smaller", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.Resize{Mode: "linear", Coordinates: "align_corners", Nearest: "floor", Aspect: "stretch", Sizes: []int{1, 3, 4, 11}}, b.another(x))
	}},
	{"Resize cubic", false, func(b *net, x *ir.Value) *ir.Value { return b.add(resize("cubic", 1, 1, 1.7, 2), x) }},
	{"Resize linear 1-d", true, func(b *net, x *ir.Value) *ir.Value { return b.add(resize("linear", 1, 1, 3), x) }},
	{"ConvTranspose stride 2", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.ConvTranspose{Group: 1, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}, OutputPadding: []int{1, 0}}, x, b.normal(0, 0.4, 3, 4, 3, 4), b.normal(0, 0.2, 4))
	}},
	{"ConvTranspose groups, dilation", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.ConvTranspose{Group: 3, Strides: []int{3, 2}, Pads: []int{4, 0, 2, 3}, Dilations: []int{2, 2}}, x, b.normal(0, 0.4, 3, 2, 3, 3), b.normal(0, 0.2, 6))
	}},
	{"ConvTranspose stride 1", false, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.ConvTranspose{Group: 1, Pads: []int{1, 0, 0, 2}}, x, b.normal(0, 0.4, 3, 2, 2, 3))
	}},
	{"ConvTranspose 1-d, gaps", true, func(b *net, x *ir.Value) *ir.Value {
		return b.add(&op.ConvTranspose{Group: 4, Strides: []int{3}}, x, b.normal(0, 0.4, 4, 1, 2), b.normal(0, 0.2, 4))
	}},
	{"Gather rows", false, func(b *net, x *ir.Value) *ir.Value {
		k := tensor.Ints(tensor.I64, []int{4}, 4, 0, -2, 0)
		return b.add(&op.Gather{Axis: 2}, x, &ir.Value{Name: "rows", Type: ir.Type{Elem: k.Elem, Shape: k.Shape}, Const: k})
	}},
}

func resize(mode string, scales ...float32) *op.Resize {
	return &op.Resize{Mode: mode, Scales: scales, Coordinates: "half_pixel", Nearest: "round_prefer_floor", CubicA: -0.75, Aspect: "stretch"}
}

// TestOperators: an operator at a time, at several widths: simulator against interpreter, and at one width C against simulator.
func TestOperators(t *testing.T) {
	var ps []project
	var hist [2]int
	for i, c := range operators {
		for j, bits := range []int{2, 5, 8, 11} {
			r := rand.New(rand.NewPCG(uint64(i), uint64(j)))
			shape := []int{1, 3, 5, 6}
			if c.line {
				shape = []int{1, 4, 7}
			}
			x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, shape...)}
			g := &ir.Graph{Name: "ops", Inputs: []*ir.Value{x}}
			g.Outputs = []*ir.Value{c.f(&net{t, r, g}, x)}
			in := irtest.RandomInputs(r, g, 3)
			t.Run(fmt.Sprintf("%s/%d", c.name, bits), func(t *testing.T) {
				g, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: bits, A: bits}, Pow2: j == 1, Symmetric: j == 2, InputBits: 2 + r.IntN(11)})
				had := hist[0]
				compare(t, g, p, in, &hist)
				if hist[0] == had {
					t.Error("nothing was compared")
				}
				if j != i%4 {
					return
				}
				vs := testVectors(t, p, in)
				files, err := hls.Emit(p, hls.Options{Top: fmt.Sprintf("op_%d", i), Vectors: vs})
				if err != nil {
					t.Fatal(err)
				}
				ps = append(ps, newProject(files, len(vs)*p.Outputs[0].Len(), len(vs)))
			})
		}
	}
	t.Logf("simulator against interpreter: %d integers equal, %d one step apart", hist[0], hist[1])
	if hist[0] < 100*hist[1] {
		t.Error("too many are a step apart")
	}
	c := compilers(t)[0]
	for i := 0; i < len(ps); i += 20 {
		part := ps[i:min(i+20, len(ps))]
		want := ""
		for _, p := range part {
			want += p.want
		}
		if out, err := runC(t, c, part); err != nil || out != want {
			t.Errorf("%s, from project %d: %v\n%s", c.path, i, err, out)
		}
	}
}
