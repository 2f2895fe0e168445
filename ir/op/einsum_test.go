package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// TestEinsum: equations against other operators.
func TestEinsum(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	sum := func(axes ...int) func(x ...*tensor.T) *tensor.T {
		return func(x ...*tensor.T) *tensor.T { return run(t, &ReduceSum{Axes: axes}, x[0])[0] }
	}
	perm := func(p ...int) func(x ...*tensor.T) *tensor.T {
		return func(x ...*tensor.T) *tensor.T { return x[0].Permute(p) }
	}
	product := func(x ...*tensor.T) *tensor.T { return run(t, &MatMul{}, x...)[0] }
	for _, c := range []struct {
		equation string
		shapes   [][]int
		want     func(x ...*tensor.T) *tensor.T
	}{
		{"ij->ji", [][]int{{2, 3}}, perm(1, 0)},
		{"ba", [][]int{{2, 3}}, perm(1, 0)}, // the result in alphabetical order
		{"...ij->...ji", [][]int{{4, 2, 3}}, perm(0, 2, 1)},
		{"i...j->j...i", [][]int{{4, 2, 5, 3}}, perm(3, 1, 2, 0)},
		{"ijk->j", [][]int{{2, 3, 4}}, sum(0, 2)},
		{"ij->", [][]int{{2, 3}}, sum(0, 1)},
		{" b i j , b j k -> b i k", [][]int{{2, 3, 4}, {2, 4, 5}}, product},
		{"...ij,...jk", [][]int{{2, 1, 3, 4}, {5, 4, 2}}, product},
		{"i,i", [][]int{{4}, {4}}, product},
		{"ij,jk,kl->il", [][]int{{2, 3}, {3, 4}, {4, 2}}, func(x ...*tensor.T) *tensor.T { return product(product(x[0], x[1]), x[2]) }},
		{"ij,ij->ij", [][]int{{2, 3}, {2, 1}}, func(x ...*tensor.T) *tensor.T { return run(t, &Mul{}, x...)[0] }},
		{"ii->i", [][]int{{3, 3}}, func(x ...*tensor.T) *tensor.T {
			return run(t, &GatherND{}, x[0], tensor.Ints(tensor.I64, []int{3, 2}, 0, 0, 1, 1, 2, 2))[0]
		}},
		{"bii", [][]int{{2, 3, 3}}, func(x ...*tensor.T) *tensor.T { // traces
			y := tensor.New(tensor.F32, 2)
			for i := range 6 {
				y.F[i/3] += x[0].F[i/3*9+i%3*4]
			}
			return y
		}},
	} {
		var in []*tensor.T
		for _, s := range c.shapes {
			in = append(in, randT(r, tensor.F32, s...))
		}
		near(t, c.equation, run(t, &Einsum{c.equation}, in...)[0], c.want(in...), 1e-6)
	}
	near(t, "integers", run(t, &Einsum{"i,i->"}, i64(1, 2, 3), i64(4, 5, 6))[0], tensor.Ints(tensor.I64, []int{}, 32), 0)
}

// TestDet: against the expansion by permutations.
func TestDet(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	for n := range 6 {
		x := randT(r, tensor.F32, 3, n, n)
		want := tensor.New(tensor.F32, 3)
		for i := range 3 {
			p := make([]int, n)
			for k := range p {
				p[k] = k
			}
			var expand func(k int, v float64) float64
			expand = func(k int, v float64) float64 {
				if k == n {
					return v
				}
				s := 0.0
				for j := k; j < n; j++ {
					p[k], p[j] = p[j], p[k]
					sign := 1.0
					if j != k {
						sign = -1
					}
					s += expand(k+1, v*sign*float64(x.F[(i*n+k)*n+p[k]]))
					p[k], p[j] = p[j], p[k]
				}
				return s
			}
			want.F[i] = float32(expand(0, 1))
		}
		near(t, "Det", run(t, &Det{}, x)[0], want, 1e-5)
	}
	near(t, "singular", run(t, &Det{}, floats([]int{2, 2}, 1, 2, 2, 4))[0], floats([]int{}, 0), 0)
}

// TestNorms: the reductions of norms.go against lists of elements.
func TestNorms(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	by := func(f func(acc, v float64) float64, first float64) func(l []float64) float64 {
		return func(l []float64) float64 {
			acc := first
			for _, v := range l {
				acc = f(acc, v)
			}
			return acc
		}
	}
	squares := by(func(acc, v float64) float64 { return acc + v*v }, 0)
	for range 300 {
		x := randT(r, []tensor.Elem{tensor.F32, tensor.I64}[r.IntN(2)], randShape(r, 3, 3)...)
		a := r.IntN(3)
		shape := slices.Delete(slices.Clone(x.Shape), a, a+1)
		for _, c := range []struct {
			op    Op
			f     func(l []float64) float64
			reals bool
		}{
			{&ReduceL1{[]int{a}, false}, by(func(acc, v float64) float64 { return acc + math.Abs(v) }, 0), false},
			{&ReduceProd{[]int{a - 3}, false}, by(func(acc, v float64) float64 { return acc * v }, 1), false},
			{&ReduceSumSquare{[]int{a}, false}, squares, false},
			{&ReduceL2{[]int{a}, false}, func(l []float64) float64 { return math.Sqrt(squares(l)) }, true},
			{&ReduceLogSum{[]int{a}, false}, func(l []float64) float64 { return math.Log(total(l)) }, true},
			{&ReduceLogSumExp{[]int{a}, false}, func(l []float64) float64 {
				return math.Log(by(func(acc, v float64) float64 { return acc + math.Exp(v) }, 0)(l))
			}, true},
		} {
			if c.reals && x.F == nil {
				continue
			}
			want := tensor.New(x.Elem, shape...)
			each(shape, func(i []int) {
				var l []float64
				for k := range x.Shape[a] {
					l = append(l, x.Float(pos(x, slices.Insert(slices.Clone(i), a, k))))
				}
				set(want, pos(want, i), c.f(l))
			})
			near(t, describe(c.op), run(t, c.op, x)[0], want, 1e-5)
		}
	}
	inf := float32(math.Inf(1))
	x := floats([]int{4, 2}, 1000, 1000, -inf, -inf, inf, inf, -inf, 3)
	near(t, "large", run(t, &ReduceLogSumExp{[]int{1}, false}, x)[0], floats([]int{4}, 1000+math.Ln2, -inf, inf, 3), 1e-6)
}

// TestInferMore: result types, and errors word for word.
func TestInferMore(t *testing.T) {
	for _, c := range []struct {
		op   Op
		in   string
		want string
	}{
		{&Equals{}, "bool[N,1] bool[4]", "bool[N,4]"}, {&Equals{}, "f32[2] i64[2]", "error: input 1: want the element type of input 0, f32, got i64[2]"},
		{&Less{}, "bool[2] bool[2]", "error: input 0: want numbers, got bool[2]"},
		{&And{}, "bool[2] i8[2]", "error: input 1: want bool, got i8[2]"}, {&Not{}, "f32[2]", "error: input 0: want bool, got f32[2]"},
		{&BitwiseOr{}, "f32[2] f32[2]", "error: input 0: want integers, got f32[2]"},
		{&BitShift{"LEFT"}, "i8[2] i8[2]", "error: input 0: want unsigned integers, got i8[2]"},
		{&BitShift{"UP"}, "u8[2] u8[2]", `error: direction "UP": want LEFT or RIGHT`},
		{&Mod{}, "f32[2] f32[2]", "error: reals with fmod 0: want fmod 1, or integers"},
		{&Where{}, "bool[N,1] i64[3] i64[1,3]", "i64[N,3]"}, {&Where{}, "u8[2] f32[2] f32[2]", "error: input 0 (condition): want bool, got u8[2]"},
		{&Where{}, "bool[2] f32[2] i8[2]", "error: inputs 1 and 2: input 1: want the element type of input 0, f32, got i8[2]"},
		{&Celu{}, "f32[2]", "error: alpha 0: x is divided by it"}, {&IsNaN{}, "f32[N,2]", "bool[N,2]"},
		{&CumSum{Axis: 2}, "f32[N,2]", "error: axis 2 of 2 dims: want -2 to 1"},
		{&Trilu{}, "f32[2]", "error: input 0: want 2 or more dims, got f32[2]"},
		{&ReverseSequence{BatchAxis: 1}, "f32[T,N,4] i64[N]", "f32[T,N,4]"},
		{&ReverseSequence{BatchAxis: 2}, "f32[2,3,4] i64[4]", "error: batch_axis 2 and time_axis 0: want 0 and 1, or 1 and 0"},
		{&ReverseSequence{BatchAxis: 1}, "f32[2,3] i64[2]",
			"error: input 1 (sequence_lens): want integers, one for each index of axis 1 of f32[2,3], got i64[2]"},
		{&OneHot{Axis: 1, Depth: 5}, "i64[N,3] i8[2]", "i8[N,5,3]"}, {&OneHot{Axis: -1}, "i64[N] f32[2]", "error: depth 0: want 1 or more"},
		{&OneHot{Axis: -1, Depth: ir.Symbol("N")}, "i64[3] f32[2]", "error: depth N: want 1 or more"},
		{&OneHot{Axis: 2, Depth: 2}, "i64[N] f32[2]", "error: axis 2 of 2 dims: want -2 to 1"},
		{&OneHot{Axis: -1, Depth: 2}, "i64[N] f32[3]", "error: values: want two, off and on, got f32[3]"},
		{&GatherElements{1}, "f32[N,3] i64[N,5]", "f32[N,5]"},
		{&GatherElements{1}, "f32[2,3] i64[3,3]", "error: input 1 (indices): want integers, in all axes but 1 at most as many as in f32[2,3], got i64[3,3]"},
		{&GatherND{1}, "f32[N,3,4] i64[N,5,1]", "f32[N,5,4]"},
		{&GatherND{}, "f32[2,3] i64[5,3]", "error: input 1 (indices): want a last axis of 1 to 2, an index for each axis of f32[2,3], got i64[5,3]"},
		{&GatherND{2}, "f32[2,3] i64[2,1]", "error: batch_dims 2: want 0 or more, and fewer than the dims of f32[2,3] and i64[2,1]"},
		{&GatherND{1}, "f32[2,3] i64[4,1]", "error: input 1 (indices): want the first 1 dims of f32[2,3], got i64[4,1]"},
		{&ScatterElements{Reduction: "none"}, "bool[N,3] i64[N,2] bool[N,2]", "bool[N,3]"},
		{&ScatterElements{Reduction: "add"}, "bool[3] i64[2] bool[2]", "error: input 0: want numbers, got bool[3]"},
		{&ScatterElements{Reduction: "sum"}, "f32[3] i64[2] f32[2]", `error: reduction "sum": want none, add, mul, max or min`},
		{&ScatterElements{Reduction: "none"}, "f32[3] i64[2] f32[3]", "error: input 2 (updates): want the shape of the indices, i64[2], got f32[3]"},
		{&ScatterND{"none"}, "f32[N,3] i64[4,1] f32[4,3]", "f32[N,3]"},
		{&ScatterND{"none"}, "f32[N,3] i64[4,1] f32[4]", "error: input 2 (updates): want [4,3], got f32[4]"},
		{&ScatterND{"none"}, "f32[N,3] i64[4,1] i8[4,3]", "error: input 2 (updates): want the element type of input 0, f32, got i8[4,3]"},
		{&TopK{Axis: -1, K: 2}, "f32[N,3]", "f32[N,2] i64[N,2]"}, {&TopK{Axis: 0, K: 2}, "f32[N,3]", "error: dimension N must be known"},
		{&TopK{Axis: 1, K: 4}, "f32[N,3]", "error: k 4: want 0 to 3, the size of axis 1"},
		{&ArgMin{Axis: 1}, "f32[N,10]", "i64[N]"},
		{&DepthToSpace{2, "DCR"}, "f32[N,8,2,3]", "f32[N,2,4,6]"}, {&DepthToSpace{2, "DCR"}, "f32[N,8,H,3]", "error: dimension H must be known"},
		{&DepthToSpace{2, "CRD"}, "f32[N,6,2,3]", "error: 6 channels: want a multiple of 4, the square of the blocksize"},
		{&DepthToSpace{2, "RCD"}, "f32[N,8,2,3]", `error: mode "RCD": want DCR or CRD`},
		{&SpaceToDepth{2}, "u8[N,3,4,6]", "u8[N,12,2,3]"},
		{&SpaceToDepth{2}, "f32[N,3,4,5]", "error: f32[N,3,4,5]: want a height and width that are multiples of the blocksize, 2"},
		{&SpaceToDepth{}, "f32[N,3,4,5]", "error: blocksize 0: want 1 or more"},
		{&ReduceLogSum{}, "i64[3]", "error: input 0: want reals, got i64[3]"}, {&ReduceL1{Axes: []int{1}, KeepDims: true}, "i64[N,3]", "i64[N,1]"},
		{&Size{}, "f32[N,3]", "i64[]"}, {&Det{}, "f32[N,3,3]", "f32[N]"}, {&Det{}, "f32[2,3]", "error: input 0: want square matrices, got f32[2,3]"},
		{&Einsum{"bij,bjk->bik"}, "f32[N,2,3] f32[N,3,M]", "f32[N,2,M]"}, {&Einsum{"...a->a..."}, "f32[N,2,3]", "f32[3,N,2]"},
		{&Einsum{"ij,jk->ik"}, "f32[2,3] f32[4,5]", `error: equation "ij,jk->ik": input 1: axis 0 is 4, but 3 elsewhere`},
		{&Einsum{"ij,jk"}, "f32[2,3]", `error: equation "ij,jk": want a term for each of the 1 inputs, got 2`},
		{&Einsum{"ij->ik"}, "f32[2,3]", `error: equation "ij->ik": want labels of the inputs behind the arrow, each once`},
		{&Einsum{"ij->ii"}, "f32[2,3]", `error: equation "ij->ii": want labels of the inputs behind the arrow, each once`},
		{&Einsum{"ijk"}, "f32[2,3]", `error: equation "ijk": term "ijk" does not fit the 2 dims of input 0`},
		{&Einsum{"i1"}, "f32[2,3]", `error: equation "i1": term "i1": want letters and at most one ellipsis`},
		{&Einsum{"i"}, "bool[2]", "error: input 0: want numbers, got bool[2]"},
	} {
		checkInfer(t, c.op, c.in, c.want)
	}
}

// TestTriangles: Trilu, ReverseSequence, OneHot and the two of depth and space against index arithmetic.
func TestTriangles(t *testing.T) {
	r := rand.New(rand.NewPCG(57, 58))
	for range 300 {
		x := randT(r, anyElem(r), randShape(r, 4, 4)...)
		tri := &Trilu{r.IntN(9) - 4, r.IntN(2) == 0}
		y := run(t, tri, x)[0]
		rev := &ReverseSequence{r.IntN(2), 0}
		rev.TimeAxis = 1 - rev.BatchAxis
		lens := tensor.New(tensor.I64, x.Shape[rev.BatchAxis])
		for i := range lens.I {
			lens.I[i] = int64(r.IntN(x.Shape[rev.TimeAxis] + 1))
		}
		z := run(t, rev, x, lens)[0]
		each(x.Shape, func(i []int) {
			want := 0.0
			if d := i[3] - i[2]; tri.Upper && d >= tri.K || !tri.Upper && d <= tri.K {
				want = x.Float(pos(x, i))
			}
			if got := y.Float(pos(y, i)); got != want {
				t.Fatalf("%s of %v: %v at %v, want %v", describe(tri), x, got, i, want)
			}
			j := slices.Clone(i)
			if l := int(lens.I[i[rev.BatchAxis]]); j[rev.TimeAxis] < l {
				j[rev.TimeAxis] = l - 1 - j[rev.TimeAxis]
			}
			if z.Float(pos(z, i)) != x.Float(pos(x, j)) {
				t.Fatalf("%s of %v and %v: wrong at %v", describe(rev), x, lens.I, i)
			}
		})
		hot := &OneHot{r.IntN(5) - 5, 1 + r.IntN(6)}
		idx := indices(r, 8, x.Shape...)
		values := randT(r, x.Elem, 2)
		h := run(t, hot, idx, values)[0]
		each(h.Shape, func(i []int) {
			k := idx.I[pos(idx, slices.Delete(slices.Clone(i), hot.Axis+5, hot.Axis+6))]
			want := values.Float(0)
			if int(k) == i[hot.Axis+5] || int(k)+hot.Depth == i[hot.Axis+5] {
				want = values.Float(1)
			}
			if got := h.Float(pos(h, i)); got != want {
				t.Fatalf("%s of %v: %v at %v, want %v", describe(hot), idx.I, got, i, want)
			}
		})
		b := 1 + r.IntN(3)
		n, c, hh, w := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
		d := numbered(x.Elem, n, c*b*b, hh, w)
		for i := range d.I {
			d.I[i] %= 2
		}
		for _, mode := range []string{"DCR", "CRD"} {
			s := run(t, &DepthToSpace{b, mode}, d)[0]
			each(s.Shape, func(i []int) {
				block := i[2]%b*b + i[3]%b
				from := block*c + i[1]
				if mode == "CRD" {
					from = i[1]*b*b + block
				}
				if s.Float(pos(s, i)) != d.Float(pos(d, []int{i[0], from, i[2] / b, i[3] / b})) {
					t.Fatalf("DepthToSpace %s of %v: wrong at %v", mode, d, i)
				}
			})
			if mode == "DCR" {
				near(t, "SpaceToDepth", run(t, &SpaceToDepth{b}, s)[0], d, 0)
			}
		}
	}
}
