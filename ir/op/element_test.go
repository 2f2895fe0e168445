package op

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// TestBinary: every binary operator against a walk over all indices.
func TestBinary(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, c := range []struct {
		op Op
		f  func(a, b float64) float64
		g  func(a, b int64) int64
	}{
		{&Add{}, func(a, b float64) float64 { return a + b }, func(a, b int64) int64 { return a + b }},
		{&Sub{}, func(a, b float64) float64 { return a - b }, func(a, b int64) int64 { return a - b }},
		{&Mul{}, func(a, b float64) float64 { return a * b }, func(a, b int64) int64 { return a * b }},
		{&Div{}, func(a, b float64) float64 { return a / b }, func(a, b int64) int64 { return a / b }},
		{&Max{}, math.Max, func(a, b int64) int64 { return max(a, b) }},
		{&Min{}, math.Min, func(a, b int64) int64 { return min(a, b) }},
		{&Sum{}, func(a, b float64) float64 { return a + b }, func(a, b int64) int64 { return a + b }},
		{&Pow{}, math.Pow, nil},
	} {
		for n := range 400 {
			shape := randShape(r, r.IntN(5), 4)
			if n%10 == 0 { // rows longer than the buffer for a repeated operand
				shape = []int{1 + r.IntN(2), 1 + r.IntN(3), 200 + r.IntN(400)}
			}
			as, bs := drop(r, shape), drop(r, shape)
			full, err := Broadcast(as, bs)
			if err != nil {
				t.Fatal(err)
			}
			e := tensor.F32
			if c.g != nil && r.IntN(2) == 0 {
				e = tensor.I64
			}
			a, b := randT(r, e, as...), randT(r, e, bs...)
			for i, v := range b.I {
				if v == 0 {
					b.I[i] = 3
				}
			}
			want := tensor.New(e, full...)
			each(full, func(idx []int) {
				i := pos(want, idx)
				if e.IsFloat() {
					want.F[i] = float32(c.f(float64(at(a, idx)), float64(at(b, idx))))
				} else {
					want.I[i] = c.g(a.I[pos(a, idx)], b.I[pos(b, idx)])
				}
			})
			near(t, c.op.OpName(), run(t, c.op, a, b)[0], want, 0)
		}
	}
}

func TestVariadic(t *testing.T) {
	a, b, c := floats([]int{2, 1}, 1, 5), floats([]int{3}, 2, 0, 7), floats([]int{}, 3)
	near(t, "Sum", run(t, &Sum{}, a, b, c)[0], floats([]int{2, 3}, 6, 4, 11, 10, 8, 15), 0)
	near(t, "Max", run(t, &Max{}, a, b, c)[0], floats([]int{2, 3}, 3, 3, 7, 5, 5, 7), 0)
	near(t, "Min", run(t, &Min{}, a, b, c)[0], floats([]int{2, 3}, 1, 0, 1, 2, 0, 3), 0)
	near(t, "Sum of one", run(t, &Sum{}, a)[0], a, 0)
	nan := float32(math.NaN())
	near(t, "NaN wins", run(t, &Max{}, floats([]int{2}, nan, 1), floats([]int{2}, 1, nan))[0], floats([]int{2}, nan, nan), 0)
}

// TestIntegers: wrapping in the width, division toward zero and by zero, refusal of symbols.
func TestIntegers(t *testing.T) {
	i8 := func(v ...int64) *tensor.T { return tensor.Ints(tensor.I(8), []int{len(v)}, v...) }
	u4 := func(v ...int64) *tensor.T { return tensor.Ints(tensor.U(4), []int{len(v)}, v...) }
	near(t, "i8 Add", run(t, &Add{}, i8(127, -128, 5), i8(1, -1, -6))[0], i8(-128, 127, -1), 0)
	near(t, "u4 Sub", run(t, &Sub{}, u4(0, 9), u4(1, 2))[0], u4(15, 7), 0)
	near(t, "i8 Neg", run(t, &Neg{}, i8(-128, 7))[0], i8(-128, -7), 0)
	near(t, "i8 Abs", run(t, &Abs{}, i8(-128, -7, 7))[0], i8(-128, 7, 7), 0)
	near(t, "i8 Relu", run(t, &Relu{}, i8(-128, 0, 7))[0], i8(0, 0, 7), 0)
	near(t, "Div", run(t, &Div{}, i64(7, -7, 7, -7), i64(2, 2, -2, -2))[0], i64(3, -3, -3, 3), 0)
	fails(t, &Div{}, "input 1: division of integers by zero", i64(1), i64(0))
	n := int64(ir.Symbol("N"))
	for _, o := range []Op{&Add{}, &Sub{}, &Mul{}, &Div{}, &Max{}, &Min{}, &Sum{}} {
		fails(t, o, "input 1: arithmetic on the symbolic dimension N", i64(1), i64(n))
		fails(t, o, "input 0: arithmetic on the symbolic dimension N", i64(n), i64(1))
	}
	for _, o := range []Op{&Neg{}, &Abs{}, &Relu{}, &ReduceSum{}, &ReduceMax{}, &ReduceMin{}, &ArgMax{},
		&Cast{"f32"}, &Cast{"i32"}, &Cast{"bool"}} {
		fails(t, o, "input 0: arithmetic on the symbolic dimension N", i64(n))
	}
	fails(t, &Pow{}, "input 1: arithmetic on the symbolic dimension N", floats([]int{1}, 2), i64(n))
}

func fails(t *testing.T, o Op, want string, in ...*tensor.T) {
	t.Helper()
	if _, err := Eval(o, in); err == nil || err.Error() != want {
		t.Errorf("%s: got %v, want %s", describe(o), err, want)
	}
}

// TestUnary: values worked out apart, mostly with the definition in long form.
func TestUnary(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		op   Op
		x, y float64
	}{
		{&Abs{}, -2.5, 2.5}, {&Abs{}, 3, 3}, {&Neg{}, 2, -2},
		{&Ceil{}, 1.25, 2}, {&Ceil{}, -1.25, -1}, {&Floor{}, 1.25, 1}, {&Floor{}, -1.25, -2},
		{&Round{}, 0.5, 0}, {&Round{}, 1.5, 2}, {&Round{}, 2.5, 2}, {&Round{}, -0.5, 0}, {&Round{}, -1.5, -2}, {&Round{}, 1.4, 1},
		{&Exp{}, 0, 1}, {&Exp{}, 1, math.E}, {&Log{}, 1, 0}, {&Log{}, math.E, 1}, {&Log{}, 0, -inf}, {&Log{}, -1, nan},
		{&Sqrt{}, 6.25, 2.5}, {&Sqrt{}, -1, nan}, {&Reciprocal{}, 4, 0.25}, {&Reciprocal{}, 0, inf},
		{&Erf{}, 0, 0}, {&Erf{}, 0.5, 0.5204998778}, {&Erf{}, -1, -0.8427007929},
		{&Sigmoid{}, 0, 0.5}, {&Sigmoid{}, 2, 0.8807970780}, {&Sigmoid{}, -100, 3.720076e-44}, {&Sigmoid{}, 200, 1}, {&Sigmoid{}, -1000, 0},
		{&Tanh{}, 0.5, 0.4621171573}, {&Tanh{}, 50, 1},
		{&Softplus{}, 0, math.Ln2}, {&Softplus{}, 100, 100}, {&Softplus{}, -2, 0.1269280110},
		{&Softsign{}, 3, 0.75}, {&Softsign{}, -1, -0.5},
		{&Mish{}, 1, 0.8650983883}, {&Mish{}, -1, -0.3034014613}, {&Mish{}, 60, 60},
		{&HardSwish{}, -3, 0}, {&HardSwish{}, -4, 0}, {&HardSwish{}, 3, 3}, {&HardSwish{}, 1, 2. / 3}, {&HardSwish{}, -1.5, -0.375},
		{&HardSigmoid{0.2, 0.5}, 1, 0.7}, {&HardSigmoid{0.2, 0.5}, 3, 1}, {&HardSigmoid{0.2, 0.5}, -3, 0}, {&HardSigmoid{0.5, 0.25}, 1, 0.75},
		{&Elu{2}, 1.5, 1.5}, {&Elu{2}, -1, 2 * (1/math.E - 1)}, {&Selu{2, 3}, 1.5, 4.5}, {&Selu{2, 3}, -1, 6 * (1/math.E - 1)},
		{&LeakyRelu{0.25}, 2, 2}, {&LeakyRelu{0.25}, -2, -0.5}, {&Relu{}, -2, 0}, {&Relu{}, 2, 2}, {&Relu{}, nan, nan},
		{&Gelu{"none"}, 1, 0.8413447461}, {&Gelu{"none"}, -2, -0.0455002639}, {&Gelu{"tanh"}, 1, 0.8411919906},
		{&Clip{-1, 2}, 3, 2}, {&Clip{-1, 2}, -3, -1}, {&Clip{-1, 2}, 0.5, 0.5}, {&Clip{-1, 2}, nan, nan}, {&Clip{2, -1}, 0, -1},
		{ByName("Clip").New(), 1e30, 1e30}, {ByName("Clip").New(), -inf, -math.MaxFloat32},
	} {
		x := floats([]int{2, 1}, float32(c.x), float32(c.x))
		near(t, describe(c.op), run(t, c.op, x)[0], floats([]int{2, 1}, float32(c.y), float32(c.y)), 1e-6)
	}
}

func TestPRelu(t *testing.T) {
	x := floats([]int{1, 2, 2}, -1, 2, -3, -4)
	near(t, "slope per channel", run(t, &PRelu{}, x, floats([]int{2, 1}, 0.5, 0.25))[0], floats([]int{1, 2, 2}, -0.5, 2, -0.75, -1), 0)
	near(t, "one slope", run(t, &PRelu{}, x, floats([]int{1}, 2))[0], floats([]int{1, 2, 2}, -2, 2, -6, -8), 0)
}

func TestBatchNormalization(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for rank := 2; rank <= 5; rank++ {
		x := randT(r, tensor.F32, randShape(r, rank, 4)...)
		c := x.Shape[1]
		p := make([]*tensor.T, 4)
		for i := range p {
			p[i] = randT(r, tensor.F32, c)
		}
		for i, v := range p[3].F {
			p[3].F[i] = v * v
		}
		want := tensor.New(tensor.F32, x.Shape...)
		each(x.Shape, func(i []int) {
			k := i[1]
			d := math.Sqrt(float64(p[3].F[k]) + 0.01)
			want.F[pos(want, i)] = float32(float64(p[0].F[k])*(float64(at(x, i))-float64(p[2].F[k]))/d + float64(p[1].F[k]))
		})
		near(t, "BatchNormalization", run(t, &BatchNormalization{0.01}, x, p[0], p[1], p[2], p[3])[0], want, 1e-4)
	}
}

func TestCast(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	f := floats([]int{8}, 1.9, -1.9, 0, 300, -300, inf, nan, 0.25)
	for _, c := range []struct {
		to   string
		x    *tensor.T
		want []float64
	}{
		{"i64", floats([]int{3}, 2.9, -2.9, 1e30), []float64{2, -2, math.MaxInt64}},
		{"i8", f, []float64{1, -1, 0, 127, -128, 127, 0, 0}},
		{"u8", f, []float64{1, 0, 0, 255, 0, 255, 0, 0}},
		{"bool", f, []float64{1, 1, 0, 1, 1, 1, 1, 1}},
		{"f32", i64(3, -4), []float64{3, -4}},
		{"i8", i64(128, -129, 511), []float64{-128, 127, -1}},
		{"u4", i64(16, -1, 7), []float64{0, 15, 7}},
		{"i64", tensor.Ints(tensor.B, []int{2}, 0, 1), []float64{0, 1}},
		{"f16", floats([]int{7}, 1+1.0/2048, 1+3.0/2048, 65519, 65520, 0x1p-25, 0x1.8p-24, -0x1p-24),
			[]float64{1, 1 + 2.0/1024, 65504, math.Inf(1), 0, 0x1p-23, -0x1p-24}},
		{"bf16", floats([]int{4}, 1+1.0/256, 1+3.0/256, -3.4028235e38, 0x1p-134), []float64{1, 1 + 2.0/128, math.Inf(-1), 0}},
	} {
		y := run(t, &Cast{c.to}, c.x)[0]
		for i, w := range c.want {
			if got := y.Float(i); got != w {
				t.Errorf("Cast of element %d to %s: got %v, want %v", i, c.to, got, w)
			}
		}
	}
	n := i64(int64(ir.Symbol("N")), 3)
	near(t, "i64 to i64", run(t, &Cast{"i64"}, n)[0], n, 0)
}

// TestPowOfIntegers: exact and modulo the width, negative exponents toward 0, real exponents truncated.
func TestPowOfIntegers(t *testing.T) {
	for _, c := range []struct {
		x, e *tensor.T
		want []int64
	}{
		{tensor.Ints(tensor.I64, []int{4}, 2, -3, 7, 0), tensor.Ints(tensor.I32, []int{4}, 62, 3, 0, 0), []int64{1 << 62, -27, 1, 1}},
		{tensor.Ints(tensor.I64, []int{1}, 3), tensor.Ints(tensor.I64, []int{1}, 39), []int64{4052555153018976267}},
		{tensor.Ints(tensor.U(8), []int{2}, 3, 16), tensor.Ints(tensor.U(8), []int{1}, 6), []int64{729 % 256, 0}},
		{tensor.Ints(tensor.I32, []int{5}, 1, -1, -1, 2, -5), tensor.Ints(tensor.I64, []int{5}, -3, -3, -4, -1, -2), []int64{1, -1, 1, 0, 0}},
		{tensor.Ints(tensor.I32, []int{3}, 4, 2, 10), tensor.Floats([]int{3}, 0.5, 1.5, -1), []int64{2, 2, 0}},
	} {
		got := run(t, &Pow{}, c.x, c.e)[0]
		near(t, fmt.Sprint(c.x.I, c.e), got, tensor.Ints(c.x.Elem, c.x.Shape, c.want...), 0)
	}
}
