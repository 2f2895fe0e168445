package lower

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/sim"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// operand is one input of a rule's case.
type operand struct {
	kind  rune // x: activation, p: one without negative numbers, c: quantized constant, w: weights, b: float bias, f: constant of reals, g: of positive ones, i: indices
	shape []int
	axis  int   // w: of the output channels
	ints  []int // i
}

func x(shape ...int) operand { return operand{kind: 'x', shape: shape} }
func p(shape ...int) operand { return operand{kind: 'p', shape: shape} }
func c(shape ...int) operand { return operand{kind: 'c', shape: shape} }
func b(shape ...int) operand { return operand{kind: 'b', shape: shape} }
func w(axis int, shape ...int) operand {
	return operand{kind: 'w', shape: shape, axis: axis}
}

type ruleCase struct {
	op  ir.Op
	in  []operand
	ref reference
	// Numbers that are no powers of two whatever the scales: the counts of averages, values of functions.
	inexact bool
}

// step is the real that integer v of channel ch stands for, not rounded to float32.
func step(q *ir.Quant, v int64, ch int) float64 {
	s, z := q.At(ch)
	return float64(v-z) * s
}

// randomScale is within 2^-4..1, with pow2 a power of two.
func randomScale(r *rand.Rand, pow2 bool) float64 {
	if pow2 {
		return math.Ldexp(1, -r.IntN(5))
	}
	return float64(float32(math.Exp2(-4 * r.Float64())))
}

// value makes an operand: its value in the graph, and for constants its reals.
func (o operand) value(r *rand.Rand, name string, pow2 bool, sx float64, wq *ir.Quant) (*ir.Value, []float64) {
	n := tensor.Numel(o.shape)
	v := &ir.Value{Name: name, Type: ir.T(tensor.F32, o.shape...)}
	var reals []float64
	switch o.kind {
	case 'i':
		v.Const = tensor.New(tensor.I64, o.shape...)
		v.Type.Elem = tensor.I64
		for i, k := range o.ints {
			v.Const.I[i] = int64(k)
			reals = append(reals, float64(k))
		}
		return v, reals
	case 'f', 'g':
		v.Const = tensor.New(tensor.F32, o.shape...)
		for i := range n {
			f := float32(0.25 + 2*r.Float64())
			if o.kind == 'f' && r.IntN(2) == 0 {
				f = -f
			}
			if o.kind == 'f' && r.IntN(8) == 0 {
				f = 0
			}
			v.Const.F[i], reals = f, append(reals, float64(f))
		}
		return v, reals
	case 'b':
		v.Const = tensor.New(tensor.F32, o.shape...)
		for i := range n {
			sw, _ := wq.At(i)
			k := r.IntN(2001) - 1000
			v.Const.F[i] = float32(float64(k) * sw * sx)
			reals = append(reals, float64(k)*sw*sx)
		}
		return v, reals
	}
	bits := 2 + r.IntN(7)
	e := tensor.I(bits)
	if r.IntN(2) == 0 || o.kind == 'p' {
		e = tensor.U(bits)
	}
	lo, hi := e.Range()
	q := ir.NewQuant(e, randomScale(r, pow2), lo+r.Int64N(hi-lo+1))
	switch {
	case o.kind == 'p':
		q.Zero[0] = 0
	case o.kind == 'w':
		q.Zero[0] = max(lo, min(hi, r.Int64N(3)-1))
		for q.Axis = o.axis; r.IntN(3) > 0 && len(q.Scale) < o.shape[o.axis]; { // by channel, most of the time
			for len(q.Scale) < o.shape[o.axis] {
				q.Scale = append(q.Scale, randomScale(r, pow2))
			}
		}
	case r.IntN(3) == 0: // a range inside the type's
		q.Min, q.Max = lo+r.Int64N(2), hi-r.Int64N(2)
	}
	v.Type.Elem, v.Type.Quant = e, q
	if o.kind == 'c' || o.kind == 'w' {
		v.Const = tensor.New(e, o.shape...)
		reals = make([]float64, n)
		q.Channels(o.shape, func(ch, lo, hi int) {
			for i := lo; i < hi; i++ {
				v.Const.I[i] = q.Min + r.Int64N(q.Max-q.Min+1)
				reals[i] = step(q, v.Const.I[i], ch)
			}
		})
	}
	return v, reals
}

// TestRules lowers one node of every rule with random types and compares what the simulator makes of random integers with the definition
// of the operator in float64: at most one step apart, seldom, and not at all where all scales are powers of two.
func TestRules(t *testing.T) {
	tested := map[string]bool{}
	off, all := 0, 0
	for i, k := range slices.Concat(ruleCases(), moreCases(), resampleCases()) {
		name := k.op.OpName()
		tested[name] = true
		t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
			for trial := range 24 {
				r := rand.New(rand.NewPCG(uint64(trial), uint64(i)))
				o, a := k.run(t, r, trial%3 == 0)
				off, all = off+o, all+a
			}
		})
	}
	without := map[string]string{
		"Acos": "random ranges leave -1..1", "Asin": "random ranges leave -1..1", "Atanh": "random ranges leave -1..1", "Acosh": "random ranges go below 1",
		"ArgMax": "TestPlaces", "ArgMin": "TestPlaces", "TopK": "TestPlaces",
	}
	for _, name := range RuleNames() {
		if !tested[name] && without[name] == "" {
			t.Errorf("%s has a rule and no case: add one to ruleCases, with a definition in float64", name)
		}
	}
	t.Logf("%d values, %d a step off", all, off)
	if off*100 > all {
		t.Errorf("%d of %d values are a step off: too many for the width of multipliers", off, all)
	}
}

func (k *ruleCase) run(t *testing.T, r *rand.Rand, pow2 bool) (off, all int) {
	t.Helper()
	g := &ir.Graph{Name: "rule"}
	reals := make([]real, len(k.in))
	var vs []*ir.Value
	for i, o := range k.in {
		var wq *ir.Quant
		sx := 1.0
		if i == 2 && o.kind == 'b' {
			wq = vs[1].Type.Quant
			sx, _ = vs[0].Type.Quant.At(0)
		}
		v, f := o.value(r, fmt.Sprintf("in%d", i), pow2, sx, wq)
		vs = append(vs, v)
		reals[i] = real{o.shape, f}
		if v.Const == nil {
			g.Inputs = append(g.Inputs, v)
		}
	}
	n, err := ir.NewNode(k.op, ir.Pos{Node: 1, Name: "node"}, vs, "y")
	if err != nil {
		t.Fatal(err)
	}
	g.Nodes, g.Outputs = []*ir.Node{n}, n.Out
	out := n.Out[0].Type.Shape
	const samples = 3
	var ints [samples][][]int64 // in the model's layout
	var want [samples][]float64
	lo, hi := 0.0, 0.0
	for s := range samples {
		for i, v := range vs {
			if v.Const != nil {
				continue
			}
			x := make([]int64, tensor.Numel(v.Type.Shape))
			reals[i].f = make([]float64, len(x))
			q := v.Type.Quant
			for j := range x {
				x[j] = q.Min + r.Int64N(q.Max-q.Min+1)
				reals[i].f[j] = step(q, x[j], 0)
			}
			ints[s] = append(ints[s], x)
		}
		want[s] = k.ref(reals, out)
		for _, f := range want[s] {
			if math.Abs(f) < 1e30 { // what scales and float32 hold
				lo, hi = min(lo, f), max(hi, f)
			}
		}
	}
	// The result's type covers about the range; a mover's may also be that of its input.
	bits := 2 + r.IntN(9)
	e := tensor.I(bits)
	_, top := e.Range()
	s := max(hi, -lo, 1e-3) / float64(top) * math.Exp2(r.Float64()*2-1)
	if pow2 {
		s = math.Ldexp(1, int(math.Ceil(math.Log2(s))))
	}
	q := ir.NewQuant(e, s, r.Int64N(5)-2)
	q.Zero[0] = max(q.Min, min(q.Max, q.Zero[0]))
	q.Round = ir.Round(r.IntN(4))
	if first := vs[0].Type; first.IsQuant() && first.Quant.PerTensor() && op.Of(k.op).Class == op.SameScale && r.IntN(2) == 0 {
		e, q = first.Elem, first.Quant.Clone()
	}
	for _, o := range n.Out {
		o.Type.Elem, o.Type.Quant = e, q
	}
	low, err := Lower(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(low.Prog)
	if err != nil {
		t.Fatal(err)
	}
	state := m.NewState()
	for s := range samples {
		var in [][]int64
		for i, buf := range low.Prog.Inputs {
			var x []int64
			buf.Port.Walk(func(off int) { x = append(x, ints[s][i][off]) })
			in = append(in, x)
		}
		y, err := state.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		low.Prog.Outputs[0].Port.Walk(func(o int) {
			got, w := y[0][i], q.Quantize(want[s][o], 0)
			i++
			all++
			if d := max(got-w, w-got); d > 1 || d > 0 && pow2 && !k.inexact {
				t.Fatalf("element %d is %d, want %d for %v (all powers of two: %v)\n%v%v", o, got, w, want[s][o], pow2, g.Nodes[0].Out[0].Type, low.Prog)
			} else if d > 0 {
				off++
			}
		})
		if i != tensor.Numel(out) {
			t.Fatalf("%d elements of %v", i, out)
		}
	}
	return off, all
}

// TestRuleForEveryOperator: an operator that quantizes has a rule, or stands here with the reason why it has none.
func TestRuleForEveryOperator(t *testing.T) {
	without := map[string]string{}
	names := []string{}
	for _, d := range op.Table {
		names = append(names, d.Name)
		has := Rules[d.Name] != nil
		quantizes := d.Class != op.None && d.Class != op.Boundary
		switch why, listed := without[d.Name]; {
		case has && listed:
			t.Errorf("%s has a rule: take it off the list (%s)", d.Name, why)
		case quantizes && !has && !listed:
			t.Errorf("%s is %v and has no rule: it would be quantized and then refused", d.Name, d.Class)
		case d.Class == op.None && has:
			t.Errorf("%s has a rule and is %v: quantization leaves it to the host", d.Name, d.Class)
		}
	}
	for name := range Rules {
		if !slices.Contains(names, name) {
			t.Errorf("a rule for %s, which is no operator", name)
		}
	}
	if got := RuleNames(); len(got) != len(Rules) || !slices.IsSorted(got) {
		t.Errorf("names %v of %d rules", got, len(Rules))
	}
}
