package interp

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/op"
	"quern/ir/tensor"
)

// regionNet has what regions make of nodes: sums that end in either operand, values that are read twice, inside and outside, a pool, strides, and
// layers with few products.
func regionNet(r *rand.Rand) *ir.Graph {
	g := &ir.Graph{Name: "g"}
	number := 0
	name := func() string { number++; return string(rune('a'+number/26)) + string(rune('a'+number%26)) }
	random := func(shape ...int) *ir.Value {
		t := tensor.New(tensor.F32, shape...)
		for i := range t.F {
			t.F[i] = float32(r.NormFloat64()) / 8
		}
		return &ir.Value{Name: name(), Type: ir.T(tensor.F32, shape...), Const: t}
	}
	add := func(o ir.Op, in ...*ir.Value) *ir.Value {
		n, err := g.Append(o, ir.Pos{}, in, name())
		if err != nil {
			return nil
		}
		return n.Out[0]
	}
	size, few := 8+r.IntN(8), r.IntN(3) == 0 // few channels of wide images lie in planes
	if few {
		size = 18 + r.IntN(20)
	}
	x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, ir.Symbol("N"), 3, size, size)}
	g.Inputs = []*ir.Value{x}
	vals := []*ir.Value{x}
	for len(g.Nodes) < 14 {
		v := vals[max(len(vals)-1-r.IntN(3), 0)]
		var w *ir.Value
		switch r.IntN(7) {
		case 0, 1, 2:
			out, k, stride := 8+8*r.IntN(4), 1+2*r.IntN(2), 1
			if r.IntN(6) == 0 {
				stride = 2
			}
			if few && r.IntN(4) > 0 {
				out, k = 1+r.IntN(9), 1+r.IntN(5)
			}
			w = add(&op.Conv{Group: 1, Pads: []int{k / 2, k / 2, k / 2, k / 2}, Strides: []int{stride, stride}}, v, random(out, v.Type.Shape[1], k, k), random(out))
		case 3:
			w = add([]ir.Op{&op.Relu{}, &op.Relu{}, &op.Clip{Max: 0.5}, &op.LeakyRelu{Alpha: 0.1}, &op.HardSwish{}, &op.Tanh{}, &op.Swish{Alpha: 1}, &op.Swish{Alpha: 2}, &op.Elu{Alpha: 0.5}}[r.IntN(9)], v)
		case 4:
			for _, u := range vals {
				if u != v && len(u.Type.Shape) == 4 && u.Type.Shape[1] == v.Type.Shape[1] && u.Type.Shape[2] == v.Type.Shape[2] {
					w = add(&op.Add{}, u, v)
				}
			}
		case 5:
			if r.IntN(3) == 0 && v.Type.Shape[2] > 6 {
				w = add(&op.MaxPool{KernelShape: []int{2, 2}, Strides: []int{2, 2}}, v)
			} else if r.IntN(3) == 0 && v.Type.Shape[2] > 6 {
				w = add(&op.MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 1, 1}}, v)
			} else if c := v.Type.Shape[1]; r.IntN(2) == 0 {
				w = add(&op.Conv{Group: c, Pads: []int{1, 1, 1, 1}}, v, random(c, 1, 3, 3), random(c))
			} else if r.IntN(4) == 0 {
				w = add([]ir.Op{&op.Sigmoid{}, &op.HardSigmoid{Alpha: 0.25, Beta: 0.5}, &op.Exp{}}[r.IntN(3)], v)
			} else if r.IntN(2) == 0 && v.Type.Shape[2] < 20 {
				k, out, s := 1+r.IntN(3), 1+r.IntN(40), 1+r.IntN(2)
				o := &op.ConvTranspose{Group: 1, Strides: []int{s, s}, Dilations: []int{1 + r.IntN(2), 1}, OutputPadding: []int{r.IntN(s), r.IntN(s)}}
				for range 4 {
					o.Pads = append(o.Pads, r.IntN(k))
				}
				in := []*ir.Value{v, random(v.Type.Shape[1], out, k, 1+r.IntN(3)), random(out)}
				w = add(o, in[:2+r.IntN(2)]...)
			}
		case 6:
			if few {
				break
			}
			if r.IntN(4) == 0 {
				w = add([]ir.Op{&op.GlobalAveragePool{}, &op.GlobalMaxPool{}}[r.IntN(2)], v)
				break
			}
			if v.Type.Shape[2] > 3 && r.IntN(2) == 0 {
				w = add(&op.AveragePool{KernelShape: []int{3, 3}, Pads: []int{1, 0, 1, 1}, Strides: []int{2, 1 + r.IntN(2)}, CountIncludePad: r.IntN(2) == 0, CeilMode: r.IntN(2) == 0}, v)
				break
			}
			in := []*ir.Value{v}
			for _, u := range vals {
				if len(in) < 3 && slices.Equal(u.Type.Shape[2:], v.Type.Shape[2:]) {
					in = append(in, u)
				}
			}
			w = add(&op.Concat{Axis: 1}, in...)
		}
		if w != nil {
			vals = append(vals, w)
		}
	}
	g.Outputs = []*ir.Value{vals[len(vals)-1], vals[len(vals)-1-r.IntN(4)]}
	return g
}

// TestRegions compares runs that nobody observes with those in which each node gives its value, and levels with each other: the same bits.
func TestRegions(t *testing.T) {
	regions, planes := 0, 0
	for seed := range uint64(140) {
		r := rand.New(rand.NewPCG(seed, 11))
		g := regionNet(r)
		if seed%3 == 0 {
			g = irtest.RandomGraph(r, irtest.GraphOptions{})
		}
		in := irtest.RandomInputs(r, g, 1)[0]
		if seed%3 != 0 {
			s := g.Inputs[0].Type.Shape
			in = []*tensor.T{tensor.New(tensor.F32, 1+r.IntN(12), s[1], s[2], s[3])}
			for i := range in[0].F {
				in[0].F[i] = float32(r.NormFloat64())
			}
		}
		var want []*tensor.T
		for _, level := range kernels.Levels() {
			m, err := New(g)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			m.level = level
			for run := range 3 { // the third uses the memory of the second
				var observe func(*ir.Value, *tensor.T)
				if run == 0 {
					observe = func(*ir.Value, *tensor.T) {}
				}
				out, err := m.Run(in, observe)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if want == nil {
					want = out
				}
				for i := range out {
					for j, v := range out[i].F {
						if v != want[i].F[j] {
							t.Fatalf("%v, seed %d, run %d: output %d, element %d: got %v, want %v\n%v", level, seed, run, i, j, v, want[i].F[j], g)
						}
					}
				}
			}
			for _, p := range m.plans {
				for _, r := range p.regions {
					if r != nil && r.steps > 2 && len(r.ops) < r.steps {
						regions++
						for _, f := range r.fields[1:] {
							if f.Planes > 0 {
								planes++
								break
							}
						}
					}
				}
			}
		}
	}
	if regions < 15 {
		t.Errorf("only %d regions of several nodes, with some in one operation", regions)
	}
	if planes < 15 && len(kernels.Levels()) > 1 {
		t.Errorf("only %d of them have planes that they made", planes)
	}
}

// TestRegionValues: what stands for no number in one image is not in the next one.
func TestRegionValues(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	m, err := New(regionNet(r))
	if err != nil {
		t.Fatal(err)
	}
	s := m.g.Inputs[0].Type.Shape
	good, bad := tensor.New(tensor.F32, 1, s[1], s[2], s[3]), tensor.New(tensor.F32, 1, s[1], s[2], s[3])
	for i := range good.F {
		good.F[i] = float32(r.NormFloat64())
		bad.F[i] = float32(math.NaN())
	}
	var want []*tensor.T
	for _, x := range []*tensor.T{good, bad, good} {
		out, err := m.Run([]*tensor.T{x}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = out
		}
		for i := range out {
			if x == good && !out[i].Equal(want[i]) {
				t.Errorf("output %d differs after a run of NaN", i)
			}
		}
	}
}
