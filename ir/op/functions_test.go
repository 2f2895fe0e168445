package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"quern/ir/tensor"
)

// TestFunctions: values worked out apart, mostly with the definition in long form.
func TestFunctions(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		op   Op
		x, y float64
	}{
		{&Sin{}, math.Pi / 6, 0.5}, {&Cos{}, math.Pi / 3, 0.5}, {&Tan{}, math.Pi / 4, 1}, {&Asin{}, 0.5, math.Pi / 6}, {&Acos{}, 0.5, math.Pi / 3},
		{&Atan{}, 1, math.Pi / 4}, {&Asin{}, 2, nan}, {&Acos{}, -2, nan}, {&Sinh{}, 1, (math.E - 1/math.E) / 2}, {&Cosh{}, 1, (math.E + 1/math.E) / 2},
		{&Asinh{}, 1, math.Log(1 + math.Sqrt2)}, {&Acosh{}, 2, math.Log(2 + math.Sqrt(3))}, {&Acosh{}, 0.5, nan}, {&Atanh{}, 0.5, math.Log(3) / 2},
		{&Sign{}, -3.5, -1}, {&Sign{}, 0, 0}, {&Sign{}, 2, 1}, {&Sign{}, nan, nan},
		{&Celu{2}, 1.5, 1.5}, {&Celu{2}, -2, 2 * (1/math.E - 1)}, {&Celu{2}, -inf, -2},
		{&Shrink{1, 0.5}, 2, 1.5}, {&Shrink{1, 0.5}, -2, -1.5}, {&Shrink{1, 0.5}, 1, 0}, {&Shrink{1, 0.5}, -1, 0}, {&Shrink{1, 0}, 3, 3},
		{&Swish{1}, 0, 0}, {&Swish{1}, 2, 2 / (1 + math.Exp(-2))}, {&Swish{-2}, 1, 1 / (1 + math.Exp(2))},
		{&ThresholdedRelu{1.5}, 1.5, 0}, {&ThresholdedRelu{1.5}, 2, 2}, {&ThresholdedRelu{-1}, -0.5, -0.5},
	} {
		x := floats([]int{2, 1}, float32(c.x), float32(c.x))
		near(t, describe(c.op), run(t, c.op, x)[0], floats([]int{2, 1}, float32(c.y), float32(c.y)), 1e-6)
	}
	bools := func(v ...int64) *tensor.T { return tensor.Ints(tensor.B, []int{len(v)}, v...) }
	x := floats([]int{4}, 1, float32(inf), float32(-inf), float32(nan))
	near(t, "IsNaN", run(t, &IsNaN{}, x)[0], bools(0, 0, 0, 1), 0)
	near(t, "IsInf", run(t, ByName("IsInf").New(), x)[0], bools(0, 1, 1, 0), 0)
	near(t, "IsInf", run(t, &IsInf{DetectNegative: true}, x)[0], bools(0, 0, 1, 0), 0)
	near(t, "Sign of integers", run(t, &Sign{}, i64(-5, 0, 7))[0], i64(-1, 0, 1), 0)
	near(t, "Not", run(t, &Not{}, bools(0, 1))[0], bools(1, 0), 0)
	u8 := func(v ...int64) *tensor.T { return tensor.Ints(tensor.U(8), []int{len(v)}, v...) }
	near(t, "BitwiseNot", run(t, &BitwiseNot{}, u8(0, 5))[0], u8(255, 250), 0)
	near(t, "LEFT", run(t, &BitShift{"LEFT"}, u8(3, 1, 255), u8(7, 8, 0))[0], u8(128, 0, 255), 0)
	near(t, "RIGHT", run(t, &BitShift{"RIGHT"}, u8(200), u8(3, 9, 0))[0], u8(25, 0, 200), 0)
	fails(t, &BitShift{"LEFT"}, "a result of 64 bits without sign: only those below 2^63 are supported",
		tensor.Ints(tensor.U(64), nil, 1), tensor.Ints(tensor.U(64), nil, 63))
	fails(t, &Mod{}, "input 1: division of integers by zero", i64(1), i64(0))
}

// TestPairs: comparisons, logic and Mod against a walk over all indices.
func TestPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(45, 46))
	b := func(x bool) float64 {
		if x {
			return 1
		}
		return 0
	}
	numbers, ints, bools := []tensor.Elem{tensor.F32, tensor.I64, tensor.U(8)}, []tensor.Elem{tensor.I64, tensor.I(8)}, []tensor.Elem{tensor.B}
	for _, c := range []struct {
		op    Op
		elems []tensor.Elem
		same  bool // the result has the element type of the inputs, else bool
		f     func(x, y float64) float64
	}{
		{&Equals{}, append(bools, numbers...), false, func(x, y float64) float64 { return b(x == y) }},
		{&Greater{}, numbers, false, func(x, y float64) float64 { return b(x > y) }},
		{&GreaterOrEqual{}, numbers, false, func(x, y float64) float64 { return b(x >= y) }},
		{&Less{}, numbers, false, func(x, y float64) float64 { return b(x < y) }},
		{&LessOrEqual{}, numbers, false, func(x, y float64) float64 { return b(x <= y) }},
		{&And{}, bools, true, func(x, y float64) float64 { return b(x != 0 && y != 0) }},
		{&Or{}, bools, true, func(x, y float64) float64 { return b(x != 0 || y != 0) }},
		{&Xor{}, bools, true, func(x, y float64) float64 { return b(x != y) }},
		{&BitwiseAnd{}, ints, true, func(x, y float64) float64 { return float64(int(x) & int(y)) }},
		{&BitwiseOr{}, ints, true, func(x, y float64) float64 { return float64(int(x) | int(y)) }},
		{&BitwiseXor{}, ints, true, func(x, y float64) float64 { return float64(int(x) ^ int(y)) }},
		{&Mod{}, ints, true, func(x, y float64) float64 { return x - y*math.Floor(x/y) }},
		{&Mod{true}, append([]tensor.Elem{tensor.F32}, ints...), true, func(x, y float64) float64 { return x - y*math.Trunc(x/y) }},
	} {
		for range 200 {
			shape := randShape(r, r.IntN(4), 4)
			as, bs := drop(r, shape), drop(r, shape)
			full, err := Broadcast(as, bs)
			if err != nil {
				t.Fatal(err)
			}
			e := c.elems[r.IntN(len(c.elems))]
			x, y := randT(r, e, as...), randT(r, e, bs...)
			if _, mod := c.op.(*Mod); mod {
				for i := range y.Len() {
					if y.Float(i) == 0 {
						set(y, i, 3)
					}
				}
			}
			if !c.same {
				e = tensor.B
			}
			want := tensor.New(e, full...)
			each(full, func(i []int) { set(want, pos(want, i), c.f(x.Float(pos(x, i)), y.Float(pos(y, i)))) })
			near(t, describe(c.op), run(t, c.op, x, y)[0], want, 0)
		}
	}
	nan := floats([]int{1}, float32(math.NaN()))
	for _, o := range []Op{&Equals{}, &Greater{}, &GreaterOrEqual{}, &Less{}, &LessOrEqual{}} {
		near(t, "NaN", run(t, o, nan, nan)[0], tensor.Ints(tensor.B, []int{1}, 0), 0)
	}
	for range 200 {
		shape := randShape(r, r.IntN(4), 4)
		c, x, y := randT(r, tensor.B, drop(r, shape)...), randT(r, tensor.I64, drop(r, shape)...), randT(r, tensor.I64, drop(r, shape)...)
		got := run(t, &Where{}, c, x, y)[0]
		each(got.Shape, func(i []int) {
			want := y.I[pos(y, i)]
			if c.I[pos(c, i)] != 0 {
				want = x.I[pos(x, i)]
			}
			if got.I[pos(got, i)] != want {
				t.Fatalf("Where of %v, %v, %v: wrong at %v", c, x, y, i)
			}
		})
	}
}

// TestAlong: operators along one axis against lists of its elements.
func TestAlong(t *testing.T) {
	r := rand.New(rand.NewPCG(47, 48))
	for range 500 {
		x := randT(r, []tensor.Elem{tensor.F32, tensor.I64}[r.IntN(2)], randShape(r, 1+r.IntN(4), 5)...)
		a := r.IntN(len(x.Shape))
		n := x.Shape[a]
		axis := a - len(x.Shape)*r.IntN(2)
		sum := &CumSum{axis, r.IntN(2) == 0, r.IntN(2) == 0}
		k := r.IntN(n + 1)
		top := &TopK{axis, k, r.IntN(2) == 0, true}
		least := &ArgMin{axis, true, r.IntN(2) == 0}
		sums, tops, leasts := run(t, sum, x)[0], run(t, top, x), run(t, least, x)[0]
		var hard *tensor.T
		if x.F != nil {
			hard = run(t, &Hardmax{axis}, x)[0]
		}
		lines := slices.Clone(x.Shape)
		lines[a] = 1
		each(lines, func(i []int) {
			i = slices.Clone(i)
			l := make([]float64, n)
			for j := range n {
				i[a] = j
				l[j] = x.Float(pos(x, i))
			}
			by := make([]int, n)
			for j := range by {
				by[j] = j
			}
			sort.SliceStable(by, func(p, q int) bool {
				return top.Largest && l[by[p]] > l[by[q]] || !top.Largest && l[by[p]] < l[by[q]]
			})
			for j := range n {
				i[a] = j
				part := l[:j]
				switch {
				case sum.Reverse && sum.Exclusive:
					part = l[j+1:]
				case sum.Reverse:
					part = l[j:]
				case !sum.Exclusive:
					part = l[:j+1]
				}
				if got := sums.Float(pos(sums, i)); got != total(part) {
					t.Fatalf("%s: %v at %d, want %v", describe(sum), got, j, total(part))
				}
				if hard != nil && (hard.F[pos(hard, i)] == 1) != (j == slices.Index(l, slices.Max(l))) {
					t.Fatalf("Hardmax of %v: wrong at %d", l, j)
				}
			}
			for j := range k {
				i[a] = j
				p := 0
				for d, v := range i {
					p = p*tops[0].Shape[d] + v
				}
				if tops[0].Float(p) != l[by[j]] || int(tops[1].I[p]) != by[j] {
					t.Fatalf("%s of %v: %v at %d, want element %d", describe(top), l, tops[0].Float(p), j, by[j])
				}
			}
			want := slices.Index(l, slices.Min(l))
			for least.SelectLastIndex && slices.Contains(l[want+1:], l[want]) {
				want += 1 + slices.Index(l[want+1:], l[want])
			}
			i[a] = 0
			if got := leasts.I[pos(leasts, i)]; int(got) != want {
				t.Fatalf("%s of %v: %d, want %d", describe(least), l, got, want)
			}
		})
	}
}
