package lower

import (
	"math"
	"slices"
	"testing"

	"quern/backends/sim"
	"quern/ir/op"
	"quern/ir/tensor"
)

// moreCases are those of selections, quotients, reductions and of constants of any shape.
func moreCases() []ruleCase {
	var cs []ruleCase
	add := func(inexact bool, k ruleCase) {
		k.inexact = inexact
		cs = append(cs, k)
	}
	larger := elementwise(func(a, b float64) float64 { return max(a, b) })
	smaller := elementwise(func(a, b float64) float64 { return min(a, b) })
	plus := elementwise(func(a, b float64) float64 { return a + b })
	times := elementwise(func(a, b float64) float64 { return a * b })
	prelu := elementwise(func(x, slope float64) float64 {
		if x < 0 {
			return slope * x
		}
		return x
	})
	img := []int{1, 3, 2, 4}
	for _, k := range []ruleCase{
		{op: &op.Max{}, ref: larger, in: []operand{x(img...), x(img...)}},
		{op: &op.Max{}, ref: larger, in: []operand{c(3, 1, 1), x(img...), x(1, 3, 1, 4)}},
		{op: &op.Min{}, ref: smaller, in: []operand{x(img...), c(), x(img...), c(2, 1)}},
		{op: &op.Min{}, ref: smaller, in: []operand{x(1, 5)}},
		{op: &op.PRelu{}, ref: prelu, in: []operand{x(img...), c(3, 1, 1)}},
		{op: &op.PRelu{}, ref: prelu, in: []operand{x(1, 5), c(1)}},
		{op: &op.PRelu{}, ref: prelu, in: []operand{x(img...), c(3, 2, 4)}},
		{op: &op.Add{}, ref: plus, in: []operand{x(img...), c(2, 4)}},
		{op: &op.Add{}, ref: plus, in: []operand{c(1, 3, 1, 4), x(img...)}},
		{op: &op.Sum{}, ref: plus, in: []operand{c(3, 1, 1), x(img...), c(2, 1), x(img...)}},
		{op: &op.Mul{}, ref: times, in: []operand{x(img...), c(img...)}},
		{op: &op.Mul{}, ref: times, in: []operand{c(2, 1), x(img...)}},
		{op: &op.ReduceSum{Axes: []int{1}, KeepDims: true}, ref: reduction([]int{1}, sum), in: []operand{x(img...)}},
		{op: &op.ReduceSum{Axes: []int{2, -3}}, ref: reduction([]int{1, 2}, sum), in: []operand{x(img...)}},
		{op: &op.ReduceSum{KeepDims: true}, ref: reduction([]int{0, 1, 2, 3}, sum), in: []operand{x(img...)}},
		{op: &op.ReduceL1{Axes: []int{1}, KeepDims: true}, ref: reduction([]int{1}, func(x []float64) float64 { return sum(mapped(x, math.Abs)) }), in: []operand{x(img...)}},
		{op: &op.ReduceL1{Axes: []int{2, 3}}, ref: reduction([]int{2, 3}, func(x []float64) float64 { return sum(mapped(x, math.Abs)) }), in: []operand{x(img...)}},
		{op: &op.ReduceSumSquare{Axes: []int{3}}, ref: reduction([]int{3}, func(x []float64) float64 { return sum(mapped(x, func(v float64) float64 { return v * v })) }), in: []operand{x(img...)}},
		{op: &op.ReduceMax{Axes: []int{1}}, ref: reduction([]int{1}, slices.Max[[]float64]), in: []operand{x(img...)}},
		{op: &op.ReduceMax{Axes: []int{3}}, ref: reduction([]int{3}, slices.Max[[]float64]), in: []operand{x(img...)}},
		{op: &op.ReduceMin{Axes: []int{2, 3}, KeepDims: true}, ref: reduction([]int{2, 3}, slices.Min[[]float64]), in: []operand{x(img...)}},
	} {
		add(false, k)
	}
	for _, k := range []struct {
		o  *op.MultiThreshold
		in []operand
	}{
		{&op.MultiThreshold{Scale: 0.5, Bias: -1, Axis: 1}, []operand{x(img...), c(3, 5)}},
		{&op.MultiThreshold{Scale: 2, Bias: 0.25, Axis: 1}, []operand{x(img...), c(1, 20)}},
		{&op.MultiThreshold{Scale: 1, Axis: -1}, []operand{x(img...), c(4, 9)}},
		{&op.MultiThreshold{Scale: -1, Axis: 1}, []operand{x(1, 5), c(5, 1)}},
	} {
		add(false, ruleCase{op: k.o, in: k.in, ref: thresholds(k.o)})
	}
	f := func(shape ...int) operand { return operand{kind: 'f', shape: shape} }
	variance := operand{kind: 'g', shape: []int{3}}
	normalized := func(in []real, out []int) []float64 {
		y := make([]float64, len(in[0].f))
		for i, x := range in[0].f {
			c := i / tensor.Numel(out[2:]) % out[1]
			y[i] = in[1].f[c]*(x-in[3].f[c])/math.Sqrt(in[4].f[c]+1e-3) + in[2].f[c]
		}
		return y
	}
	minus := elementwise(func(a, b float64) float64 { return a - b })
	scaling := &op.Conv{Group: 3}
	for _, k := range []ruleCase{ // constants that are reals
		{op: &op.Add{}, ref: plus, in: []operand{x(img...), f(3, 1, 1)}},
		{op: &op.Add{}, ref: plus, in: []operand{f(img...), x(img...)}},
		{op: &op.Sub{}, ref: minus, in: []operand{x(img...), f(2, 1)}},
		{op: &op.Sub{}, ref: minus, in: []operand{f(), x(img...)}},
		{op: &op.Mul{}, ref: times, in: []operand{x(img...), f(3, 1, 1)}},
		{op: &op.Mul{}, ref: times, in: []operand{f(1, 5), x(1, 5)}},
		{op: &op.BatchNormalization{Epsilon: 1e-3}, ref: normalized, in: []operand{x(img...), f(3), f(3), f(3), variance}},
		{op: &op.BatchNormalization{Epsilon: 1e-3}, ref: normalized, in: []operand{x(1, 3), f(3), f(3), f(3), variance}},
		{op: scaling, ref: convolution(scaling), in: []operand{x(img...), f(3, 1, 1, 1), f(3)}},
		{op: scaling, ref: convolution(scaling), in: []operand{x(1, 3, 4), f(3, 1, 1)}},
	} {
		add(true, k)
	}
	average := func(x []float64) float64 { return sum(x) / float64(len(x)) }
	quotient := elementwise(func(a, b float64) float64 {
		if a == 0 {
			return 0 // also 0/0
		}
		return a / b
	})
	for _, k := range []ruleCase{
		{op: &op.ReduceMean{Axes: []int{1}}, ref: reduction([]int{1}, average), in: []operand{x(img...)}},
		{op: &op.ReduceMean{Axes: []int{2}, KeepDims: true}, ref: reduction([]int{2}, average), in: []operand{x(img...)}},
		{op: &op.Div{}, ref: quotient, in: []operand{x(img...), x(img...)}},
		{op: &op.Div{}, ref: quotient, in: []operand{x(img...), p(1, 3, 1, 4)}},
		{op: &op.Pow{}, ref: elementwise(math.Pow), in: []operand{p(img...), c()}},
		{op: &op.Softmax{Axis: 1}, ref: softmaxOf(1, math.Exp), in: []operand{x(img...)}},
		{op: &op.Softmax{Axis: -1}, ref: softmaxOf(1, math.Exp), in: []operand{x(1, 12)}},
		{op: &op.LogSoftmax{Axis: 3}, ref: softmaxOf(3, func(x float64) float64 { return x }), in: []operand{x(img...)}},
		{op: &op.LogSoftmax{Axis: 1}, ref: softmaxOf(1, func(x float64) float64 { return x }), in: []operand{x(1, 300)}},
	} {
		add(true, k)
	}
	return cs
}

// TestDivByConstants: every integer by numbers of both signs, of each channel its own.
func TestDivByConstants(t *testing.T) {
	low, err := Lower(parse(t, `graph g(%x i8[1,3]{s=0.25 z=-7}) {
  const %k f32[3] = [3 -0.7 40]
  %y i8[1,3]{s=0.3 z=5} = Div(%x, %k)
  return %y
}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := sim.New(low.Prog)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	q := low.Prog.Outputs[0].Port.Quant
	for x := int64(-128); x < 128; x++ {
		y, err := s.Run([][]int64{{x, x, x}})
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range []float64{3, float64(float32(-0.7)), 40} {
			v := float64(x+7) * 0.25 / k
			if want := q.Quantize(v, 0); y[0][i] != want && math.Abs(math.Abs(v/q.Scale[0]-math.Floor(v/q.Scale[0]))-0.5) > 1e-3 {
				t.Errorf("%d / %v is %d, want %d", x, k, y[0][i], want)
			}
		}
	}
}

func mapped(x []float64, f func(float64) float64) []float64 {
	var r []float64
	for _, v := range x {
		r = append(r, f(v))
	}
	return r
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}

// groups calls f with the elements of a shape that differ in axes alone, in row-major order of the other axes.
func groups(shape, axes []int, f func(group []int)) {
	key := func(i int) (k int) {
		for a := range shape {
			if n := tensor.Numel(shape[a+1:]); !slices.Contains(axes, a) {
				k = k*shape[a] + i/n%shape[a]
			}
		}
		return k
	}
	all := make([][]int, tensor.Numel(shape))
	for i := range all {
		all[key(i)] = append(all[key(i)], i)
	}
	for _, g := range all {
		if len(g) > 0 {
			f(g)
		}
	}
}

func reduction(axes []int, f func(x []float64) float64) reference {
	return func(in []real, _ []int) []float64 {
		var y []float64
		groups(in[0].shape, axes, func(group []int) {
			var v []float64
			for _, i := range group {
				v = append(v, in[0].f[i])
			}
			y = append(y, f(v))
		})
		return y
	}
}

// softmaxOf is f of the logarithm of softmax.
func softmaxOf(axis int, f func(x float64) float64) reference {
	return func(in []real, _ []int) []float64 {
		y := make([]float64, len(in[0].f))
		groups(in[0].shape, []int{axis}, func(group []int) {
			top, s := math.Inf(-1), 0.0
			for _, i := range group {
				top = max(top, in[0].f[i])
			}
			for _, i := range group {
				s += math.Exp(in[0].f[i] - top)
			}
			for _, i := range group {
				y[i] = f(in[0].f[i] - top - math.Log(s))
			}
		})
		return y
	}
}
