package lower

import (
	"math"

	"quern/ir"
	"quern/ir/op"
)

// ruleCases has a few nodes for every rule, with the definition of the operator.
func ruleCases() []ruleCase {
	var cs []ruleCase
	add := func(o ir.Op, ref reference, in ...operand) { cs = append(cs, ruleCase{op: o, in: in, ref: ref}) }

	for _, k := range []struct {
		o  *op.Conv
		in []operand
	}{
		{&op.Conv{Group: 1}, []operand{x(1, 3, 4, 5), w(0, 2, 3, 1, 1)}},
		{&op.Conv{Group: 1, Pads: []int{1, 2, 0, 1}, Strides: []int{2, 1}}, []operand{x(1, 2, 5, 4), w(0, 3, 2, 3, 2), b(3)}},
		{&op.Conv{Group: 2, Pads: []int{1, 1, 1, 1}, Dilations: []int{2, 1}}, []operand{x(1, 4, 6, 4), w(0, 6, 2, 3, 3), b(6)}},
		{&op.Conv{Group: 3, Strides: []int{2, 2}}, []operand{x(1, 3, 5, 5), w(0, 3, 1, 2, 2)}},
		{&op.Conv{Group: 1, Pads: []int{2, 0}, Strides: []int{2}, Dilations: []int{2}}, []operand{x(1, 2, 9), w(0, 3, 2, 3), b(3)}},
	} {
		add(k.o, convolution(k.o), k.in...)
	}
	add(&op.Gemm{Alpha: 1, Beta: 1}, product(false), x(1, 5), w(1, 5, 3))
	add(&op.Gemm{Alpha: 1, Beta: 1, TransB: true}, product(true), x(1, 5), w(0, 3, 5), b(3))
	add(&op.MatMul{}, product(false), x(1, 6), w(1, 6, 4))

	for _, k := range []*op.MaxPool{
		{KernelShape: []int{2, 2}, Strides: []int{2, 2}},
		{KernelShape: []int{3, 2}, Strides: []int{1, 2}, Pads: []int{2, 1, 1, 0}, Dilations: []int{1, 2}},
		{KernelShape: []int{2, 2}, Strides: []int{2, 2}, CeilMode: true},
	} {
		add(k, pool(k.KernelShape, k.Strides, k.Dilations, k.Pads, largest), x(1, 3, 5, 5))
	}
	line := &op.MaxPool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 1}}
	add(line, pool(line.KernelShape, line.Strides, nil, line.Pads, largest), x(1, 2, 7))
	add(&op.GlobalMaxPool{}, pool(nil, nil, nil, nil, largest), x(1, 3, 4, 2))

	for _, k := range []*op.AveragePool{
		{KernelShape: []int{2, 2}, Strides: []int{2, 2}},
		{KernelShape: []int{3, 2}, Pads: []int{1, 1, 2, 0}},
		{KernelShape: []int{3, 2}, Pads: []int{1, 1, 2, 0}, CountIncludePad: true},
		{KernelShape: []int{2, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 0, 1}, CeilMode: true},
		{KernelShape: []int{2, 3}, Strides: []int{2, 2}, Pads: []int{1, 1, 0, 1}, CeilMode: true, CountIncludePad: true},
		{KernelShape: []int{2, 2}, Dilations: []int{2, 3}, Pads: []int{1, 1, 1, 1}},
	} {
		f := mean
		if k.CountIncludePad {
			f = meanWithPadding
		}
		add(k, pool(k.KernelShape, k.Strides, k.Dilations, k.Pads, f), x(1, 3, 5, 6))
	}
	row := &op.AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 2}, CountIncludePad: true}
	add(row, pool(row.KernelShape, row.Strides, nil, row.Pads, meanWithPadding), x(1, 2, 7))
	add(&op.GlobalAveragePool{}, pool(nil, nil, nil, nil, mean), x(1, 3, 4, 3))

	plus := func(a, b float64) float64 { return a + b }
	minus := func(a, b float64) float64 { return a - b }
	times := func(a, b float64) float64 { return a * b }
	img := []int{1, 3, 2, 4}
	add(&op.Add{}, elementwise(plus), x(img...), x(img...))
	add(&op.Add{}, elementwise(plus), x(1, 3, 1, 4), x(2, 1))
	add(&op.Add{}, elementwise(plus), c(1, 3, 1, 1), x(img...))
	add(&op.Sub{}, elementwise(minus), x(img...), x(img...))
	add(&op.Sub{}, elementwise(minus), c(3, 1, 1), x(img...))
	add(&op.Sub{}, elementwise(minus), x(1, 5), c(5))
	add(&op.Sum{}, elementwise(plus), x(img...), x(1, 3, 1, 1), x(img...), c(1))
	add(&op.Mul{}, elementwise(times), x(img...), x(img...))
	add(&op.Mul{}, elementwise(times), x(img...), x(1, 3, 1, 1))
	add(&op.Mul{}, elementwise(times), x(img...), c(3, 1, 1))
	add(&op.Mul{}, elementwise(times), c(), x(1, 5))

	same := func(x float64) float64 { return x }
	add(&op.Quantize{}, function(same), x(img...))
	add(&op.Relu{}, function(func(x float64) float64 { return max(x, 0) }), x(img...))
	add(&op.Clip{Min: -0.75, Max: 1.5}, function(func(x float64) float64 { return min(max(x, -0.75), 1.5) }), x(img...))

	for _, k := range []struct {
		o  ir.Op
		in []operand
	}{
		{&op.Identity{}, []operand{x(img...)}},
		{&op.Dropout{}, []operand{x(img...)}},
		{&op.Flatten{Axis: 1}, []operand{x(img...)}},
		{&op.Reshape{Shape: []int{1, 4, 6}}, []operand{x(img...)}},
		{&op.Transpose{Perm: []int{0, 3, 1, 2}}, []operand{x(img...)}},
		{&op.Squeeze{Axes: []int{2}}, []operand{x(1, 3, 1, 4)}},
		{&op.Unsqueeze{Axes: []int{2}}, []operand{x(1, 3, 4)}},
		{&op.Concat{Axis: 1}, []operand{x(img...), x(1, 2, 2, 4), x(img...)}},
		{&op.Concat{Axis: 3}, []operand{x(img...), x(1, 3, 2, 1)}},
		{&op.Pad{Mode: "constant", Pads: []int{0, 1, 0, 2, 0, 0, 1, 0}}, []operand{x(img...)}},
		{&op.Pad{Mode: "reflect", Pads: []int{0, 0, 1, 2, 0, 0, 1, 1}}, []operand{x(img...)}},
		{&op.Slice{Starts: []int{3, 2}, Ends: []int{0, 0}, Axes: []int{3, 1}, Steps: []int{-2, -1}}, []operand{x(img...)}},
		{&op.Gather{Axis: 1}, []operand{x(img...), {kind: 'i', shape: []int{4}, ints: []int{2, 0, 2, 1}}}},
		{&op.GatherElements{Axis: 3}, []operand{x(img...), {kind: 'i', shape: []int{1, 3, 2, 2}, ints: []int{2, 0, 2, 1, 3, 3, 0, 1, 1, 0, 2, 3}}}},
		{&op.GatherND{}, []operand{x(img...), {kind: 'i', shape: []int{1, 2, 3}, ints: []int{0, 2, 1, 0, 0, 1}}}},
		{&op.GatherND{BatchDims: 1}, []operand{x(img...), {kind: 'i', shape: []int{1, 5, 1}, ints: []int{2, 2, 0, 1, 0}}}},
		{&op.ReverseSequence{BatchAxis: 0, TimeAxis: 1}, []operand{x(1, 5, 3), {kind: 'i', shape: []int{1}, ints: []int{4}}}},
		{&op.Trilu{Upper: true, K: 1}, []operand{x(img...)}},
		{&op.Trilu{K: 1}, []operand{x(1, 4, 5)}},
		{&op.Expand{Shape: []int{1, 3, 2, 4}}, []operand{x(1, 3, 1, 4)}},
		{&op.Tile{Repeats: []int{1, 2, 1, 2}}, []operand{x(img...)}},
		{&op.DepthToSpace{Blocksize: 2, Mode: "DCR"}, []operand{x(1, 8, 2, 3)}},
		{&op.SpaceToDepth{Blocksize: 2}, []operand{x(1, 2, 4, 2)}},
		{&op.Split{Axis: 1, Split: []int{2, 1}}, []operand{x(img...)}},
	} {
		add(k.o, moved(k.o, 0), k.in...)
	}

	table := func(o ir.Op, in operand, f func(float64) float64) {
		cs = append(cs, ruleCase{op: o, in: []operand{in}, ref: function(f), inexact: true})
	}
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	softplus := func(x float64) float64 { return math.Log(1 + math.Exp(x)) }
	elu := func(x, alpha float64) float64 {
		if x < 0 {
			return alpha * (math.Exp(x) - 1)
		}
		return x
	}
	table(&op.LeakyRelu{Alpha: 0.125}, x(img...), func(x float64) float64 { return max(x, 0.125*x) })
	table(&op.Sigmoid{}, x(img...), sigmoid)
	table(&op.Tanh{}, x(img...), math.Tanh)
	table(&op.Exp{}, x(1, 7), math.Exp)
	table(&op.Log{}, p(img...), math.Log)
	table(&op.Sqrt{}, p(img...), math.Sqrt)
	table(&op.Abs{}, x(img...), math.Abs)
	table(&op.Neg{}, x(img...), func(x float64) float64 { return -x })
	table(&op.Reciprocal{}, p(img...), func(x float64) float64 { return 1 / x })
	table(&op.Erf{}, x(img...), math.Erf)
	table(&op.Floor{}, x(img...), math.Floor)
	table(&op.Ceil{}, x(img...), math.Ceil)
	table(&op.Round{}, x(img...), math.RoundToEven)
	table(&op.Elu{Alpha: 0.5}, x(img...), func(x float64) float64 { return elu(x, 0.5) })
	table(&op.Selu{Alpha: 1.5, Gamma: 1.25}, x(img...), func(x float64) float64 { return 1.25 * elu(x, 1.5) })
	table(&op.HardSigmoid{Alpha: 0.25, Beta: 0.5}, x(img...), func(x float64) float64 { return min(max(0.25*x+0.5, 0), 1) })
	table(&op.HardSwish{}, x(img...), func(x float64) float64 { return x * min(max(x+3, 0), 6) / 6 })
	table(&op.Softplus{}, x(img...), softplus)
	table(&op.Softsign{}, x(img...), func(x float64) float64 { return x / (1 + math.Abs(x)) })
	table(&op.Mish{}, x(img...), func(x float64) float64 { return x * math.Tanh(softplus(x)) })
	table(&op.Gelu{Approximate: "none"}, x(img...), func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 })
	table(&op.Atan{}, x(img...), math.Atan)
	table(&op.Asinh{}, x(img...), math.Asinh)
	table(&op.Celu{Alpha: 2}, x(img...), func(x float64) float64 { return max(x, 0) + min(0, 2*(math.Exp(x/2)-1)) })
	table(&op.Cos{}, x(img...), math.Cos)
	table(&op.Cosh{}, x(1, 7), math.Cosh)
	table(&op.Shrink{Lambd: 0.5, Bias: 0.25}, x(img...), func(x float64) float64 {
		switch {
		case x < -0.5:
			return x + 0.25
		case x > 0.5:
			return x - 0.25
		}
		return 0
	})
	table(&op.Sign{}, x(img...), func(x float64) float64 {
		if x == 0 {
			return 0
		}
		return math.Copysign(1, x)
	})
	table(&op.Sin{}, x(img...), math.Sin)
	table(&op.Sinh{}, x(1, 7), math.Sinh)
	table(&op.Tan{}, x(img...), math.Tan)
	table(&op.Swish{Alpha: 0.5}, x(img...), func(x float64) float64 { return x * sigmoid(x/2) })
	table(&op.ThresholdedRelu{Alpha: 0.5}, x(img...), func(x float64) float64 {
		if x > 0.5 {
			return x
		}
		return 0
	})
	for i, k := range cs {
		switch o := k.op.(type) {
		case *op.Abs, *op.Neg, *op.Floor, *op.Ceil, *op.Round, *op.LeakyRelu:
			cs[i].inexact = false
		case *op.AveragePool:
			cs[i].inexact = len(o.KernelShape) != 2 || o.Pads != nil // else every window counts four
		case *op.GlobalAveragePool:
			cs[i].inexact = true
		}
	}
	return cs
}
