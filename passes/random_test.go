package passes

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
)

// TestRandom: on random graphs full of what passes look for, each pass and all of them together keep the results, leave the constants of
// other copies alone, and change nothing when they run again.
func TestRandom(t *testing.T) {
	graphs := uint64(150)
	if testing.Short() {
		graphs = 20
	}
	changed := map[string]int{}
	for seed := range graphs {
		r := rand.New(rand.NewPCG(seed, 5))
		g := irtest.RandomGraph(r, irtest.GraphOptions{MaxNodes: 6})
		decorate(t, r, g, 1+r.IntN(12))
		if err := ir.Verify(g); err != nil {
			t.Fatalf("seed %d: the test's own graph: %v", seed, err)
		}
		text := irtext.String(g)
		steps := g.Clone()
		for _, p := range List {
			was := steps.Clone()
			if err := Run(steps, nil, p.Name); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			now := irtext.String(steps)
			if now == irtext.String(was) {
				continue
			}
			changed[p.Name]++
			if d := difference(was, steps, 1e-4); d != "" {
				t.Fatalf("seed %d: pass %s: %s\n%s\nbecame\n%s", seed, p.Name, d, irtext.String(was, irtext.Short), irtext.String(steps, irtext.Short))
			}
			if err := Run(steps, nil, p.Name); err != nil || irtext.String(steps) != now {
				t.Fatalf("seed %d: pass %s changes its own result (error %v):\n%s\nbecame\n%s", seed, p.Name, err, now, irtext.String(steps))
			}
		}
		all := g.Clone()
		if err := Run(all, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		now := irtext.String(all)
		if now != irtext.String(steps) {
			t.Errorf("seed %d: passes one by one give something else than all of them", seed)
		}
		if err := Run(all, nil); err != nil || irtext.String(all) != now {
			t.Fatalf("seed %d: all passes change their own result (error %v):\n%s\nbecame\n%s", seed, err, now, irtext.String(all))
		}
		if irtext.String(g) != text {
			t.Fatalf("seed %d: the passes wrote into operators or constants of another copy", seed)
		}
	}
	for _, p := range List {
		quantized := p.Name == "dynamic" || p.Name == "absorb" || p.Name == "constants" || p.Name == "streamline" || p.Name == "propagate" || p.Name == "fuse-act" || p.Name == "dce"
		if !quantized && changed[p.Name] < int(graphs)/20 {
			t.Errorf("pass %s had something to do in %d of %d graphs only", p.Name, changed[p.Name], graphs)
		}
	}
}

// decorate puts n chains of nodes that do not change the shape behind random values.
func decorate(t *testing.T, r *rand.Rand, g *ir.Graph, n int) {
	d := &decorator{t: t, r: r, g: g, names: g.Names()}
	for range n {
		var vs []*ir.Value
		for _, v := range g.Values() {
			if s := v.Type.Shape; v.Const == nil && (len(s) == 4 || len(s) == 2) && slices.Min(s[1:]) > 0 {
				vs = append(vs, v)
			}
		}
		v := vs[r.IntN(len(vs))]
		readers, output := g.Users(v), g.IsOutput(v)
		d.at = v.Def
		d.v = v
		if len(v.Type.Shape) == 4 {
			d.image()
		} else {
			d.matrix()
		}
		for _, u := range readers {
			for i, in := range u.In {
				if in == v && r.IntN(4) > 0 { // some stay where they were
					u.In[i] = d.v
				}
			}
		}
		if output {
			g.Outputs[slices.Index(g.Outputs, v)] = d.v
		}
	}
}

type decorator struct {
	t     *testing.T
	r     *rand.Rand
	g     *ir.Graph
	names *ir.Names
	at    *ir.Node // new nodes come behind this one
	v     *ir.Value
}

func (d *decorator) node(o ir.Op, in ...*ir.Value) *ir.Value {
	d.t.Helper()
	n, err := ir.NewNode(o, ir.Pos{File: "extra"}, in, d.names.New("e"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.g.InsertAfter(d.at, n)
	d.at = n
	return n.Out[0]
}

// then replaces v.
func (d *decorator) then(o ir.Op, more ...*ir.Value) {
	d.t.Helper()
	d.v = d.node(o, append([]*ir.Value{d.v}, more...)...)
}

func (d *decorator) constant(t *tensor.T) *ir.Value { return constant(d.names, "k", t) }

// numbers are of either sign and near 1 in size, in a shape.
func (d *decorator) numbers(shape ...int) *ir.Value {
	t := tensor.New(tensor.F32, shape...)
	for i := range t.F {
		t.F[i] = float32((0.5 + d.r.Float64()) * float64(1-2*d.r.IntN(2)))
	}
	return d.constant(t)
}

func (d *decorator) positive(n int) *ir.Value {
	v := d.numbers(n)
	for i, x := range v.Const.F {
		v.Const.F[i] = max(x, -x)
	}
	return v
}

func (d *decorator) scalar(x float32) *ir.Value { return d.constant(tensor.Floats([]int{}, x)) }

// operand is a constant in one of the shapes that broadcast to a channel vector.
func (d *decorator) operand() *ir.Value {
	s := d.v.Type.Shape
	if len(s) == 2 {
		return d.numbers([][]int{{}, {1}, {s[1]}, {1, s[1]}}[d.r.IntN(4)]...)
	}
	return d.numbers([][]int{{}, {1}, {s[1], 1, 1}, {1, s[1], 1, 1}, {s[3]}, s[1:]}[d.r.IntN(6)]...)
}

// any is a decoration for values of all shapes.
func (d *decorator) any() {
	switch d.r.IntN(14) {
	case 0:
		d.then([]ir.Op{&op.Identity{}, &op.Dropout{}, &op.Cast{To: "f32"}, &op.Sum{}}[d.r.IntN(4)])
	case 1, 2:
		d.then([]ir.Op{&op.Mul{}, &op.Add{}, &op.Sub{}, &op.Div{}}[d.r.IntN(4)], d.operand())
	case 3:
		d.v = d.node([]ir.Op{&op.Mul{}, &op.Add{}, &op.Sub{}}[d.r.IntN(3)], d.operand(), d.v)
	case 4:
		c := d.v.Type.Shape[1]
		d.then(&op.BatchNormalization{Epsilon: 1e-5}, d.numbers(c), d.numbers(c), d.numbers(c), d.positive(c))
	case 5:
		d.then(&op.Relu{})
		d.then([]ir.Op{&op.Relu{}, &op.Clip{Min: -1, Max: 6}, &op.Clip{Min: 0.1, Max: 3}}[d.r.IntN(3)])
	case 6:
		x := d.v
		d.then(&op.Add{}, d.scalar(3))
		d.then(&op.Clip{Min: 0, Max: 6})
		if d.r.IntN(2) == 0 {
			d.then(&op.Mul{}, x)
		}
		d.then(&op.Div{}, d.scalar(6))
	case 7:
		x := d.v
		d.then(&op.Mul{}, d.scalar(0.70710677))
		d.then(&op.Erf{})
		d.then(&op.Add{}, d.scalar(1))
		d.then(&op.Mul{}, x)
		d.then(&op.Mul{}, d.scalar(0.5))
	case 8: // equal nodes
		a, b := d.node(&op.Sigmoid{}, d.v), d.node(&op.Sigmoid{}, d.v)
		d.v = d.node(&op.Add{}, a, b)
	case 9: // a constant that has to be computed
		k := d.operand()
		d.then(&op.Mul{}, d.node(&op.Tanh{}, k))
	case 10: // dead
		d.node(&op.Sigmoid{}, d.node(&op.Relu{}, d.v))
	case 11:
		d.then(&op.Mul{}, d.scalar(1))
	case 12:
		d.then(&op.Unsqueeze{Axes: []int{1}})
		d.then(&op.Squeeze{Axes: []int{1}})
	default:
		d.then(&op.Identity{})
		d.any()
	}
}

func (d *decorator) image() {
	s := d.v.Type.Shape
	switch d.r.IntN(8) {
	case 0:
		d.then(&op.Reshape{Shape: []int{0, s[1] * s[2], s[3]}})
		d.then(&op.Reshape{Shape: append([]int{0}, s[1:]...)})
	case 1:
		d.then(&op.Transpose{Perm: []int{0, 2, 3, 1}})
		if d.r.IntN(2) == 0 {
			d.then(&op.Relu{})
		}
		d.then(&op.Transpose{Perm: []int{0, 3, 1, 2}})
	case 2: // a layer whose padding stands before it
		d.then(&op.Pad{Pads: []int{0, 0, 1, 1, 0, 0, 1, 1}, Mode: "constant"})
		if d.r.IntN(2) == 0 {
			d.then(&op.AveragePool{KernelShape: []int{3, 3}})
		} else {
			d.then(&op.Conv{Group: s[1]}, d.numbers(s[1], 1, 3, 3))
		}
		d.then(&op.Mul{}, d.scalar(0.25))
	case 3: // gate by the mean of each channel
		m := d.v
		switch d.r.IntN(3) {
		case 0:
			m = d.node(&op.ReduceMean{Axes: []int{-1, 2}, KeepDims: true}, m)
		case 1:
			m = d.node(&op.ReduceMean{Axes: []int{2}}, d.node(&op.ReduceMean{Axes: []int{3}}, m))
			m = d.node(&op.Reshape{Shape: []int{0, -1, 1, 1}}, m)
		default:
			m = d.node(&op.AveragePool{KernelShape: s[2:], Pads: []int{0, 0, 0, 0}}, m)
		}
		d.then(&op.Mul{}, d.node(&op.Sigmoid{}, m))
	case 4: // a layer without padding
		d.then(&op.Conv{Group: 1}, d.numbers(s[1], s[1], 1, 1), d.numbers(s[1]))
		d.then(&op.Mul{}, d.scalar(0.25))
	default:
		d.any()
	}
}

func (d *decorator) matrix() {
	k := d.v.Type.Shape[1]
	switch d.r.IntN(6) {
	case 0:
		d.then(&op.MatMul{}, d.numbers(k, k))
		d.then(&op.Mul{}, d.scalar(1/float32(k)))
	case 1:
		bias := d.numbers([][]int{{}, {1}, {k}, {1, k}, {1, 1}}[d.r.IntN(5)]...)
		d.then(&op.Gemm{Alpha: 0.5, Beta: 2, TransB: d.r.IntN(2) == 0}, d.numbers(k, k), bias)
		d.then(&op.Mul{}, d.scalar(1/float32(k)))
	case 2:
		x := d.v
		d.then(&op.Gemm{Alpha: 1, Beta: float32(1 + d.r.IntN(2))}, d.numbers(k, k), x)
		d.then(&op.Tanh{})
	case 3:
		d.then(&op.Transpose{})
		d.then(&op.Gemm{Alpha: 1, Beta: 1, TransA: true}, d.numbers(k, k))
		d.then(&op.Tanh{})
	default:
		d.any()
	}
}

// TestDeterminism: the same graph gives the same text, run after run.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(5) {
		text := ""
		for run := range 4 {
			r := rand.New(rand.NewPCG(seed, 6))
			g := irtest.RandomGraph(r, irtest.GraphOptions{})
			decorate(t, r, g, 10)
			if err := Run(g, nil); err != nil {
				t.Fatal(err)
			}
			now := irtext.String(g)
			if run > 0 && now != text {
				t.Fatalf("seed %d: two runs differ:\n%s\nand\n%s", seed, text, now)
			}
			text = now
		}
	}
}
