package op

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// reductions as the definition has them, element by element.
var reductions = map[string]func(a, b float64) float64{
	"none": func(_, b float64) float64 { return b }, "add": func(a, b float64) float64 { return a + b }, "mul": func(a, b float64) float64 { return a * b },
	"max": func(a, b float64) float64 { return max(a, b) }, "min": func(a, b float64) float64 { return min(a, b) },
}

// set puts a number into an element whatever its kind.
func set(t *tensor.T, i int, v float64) {
	if t.F != nil {
		t.F[i] = float32(v)
	} else {
		t.I[i] = int64(v)
	}
}

func indices(r *rand.Rand, n int, shape ...int) *tensor.T {
	t := tensor.New(tensor.I64, shape...)
	for i := range t.I {
		t.I[i] = int64(r.IntN(2*n) - n)
	}
	return t
}

func positiveIndex(i int64, n int) int { return (int(i) + n) % n }

// TestElements: GatherElements and ScatterElements against a walk over the indices.
func TestElements(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for range 600 {
		x := randT(r, []tensor.Elem{tensor.F32, tensor.I64}[r.IntN(2)], randShape(r, 1+r.IntN(3), 4)...)
		a := r.IntN(len(x.Shape))
		shape := slices.Clone(x.Shape)
		for i := range shape {
			shape[i] = 1 + r.IntN(shape[i])
		}
		shape[a] = 1 + r.IntN(6)
		idx := indices(r, x.Shape[a], shape...)
		u := randT(r, x.Elem, shape...)
		names := []string{"none", "add", "mul", "max", "min"}
		name := names[r.IntN(len(names))]
		gather, scatter := tensor.New(x.Elem, shape...), x.Clone()
		each(shape, func(i []int) {
			j := slices.Clone(i)
			j[a] = positiveIndex(idx.I[pos(idx, i)], x.Shape[a])
			k := 0
			for d := range j {
				k = k*x.Shape[d] + j[d]
			}
			set(gather, pos(idx, i), x.Float(k))
			set(scatter, k, reductions[name](scatter.Float(k), u.Float(pos(idx, i))))
		})
		axis := a - len(x.Shape)*r.IntN(2)
		near(t, "GatherElements", run(t, &GatherElements{axis}, x, idx)[0], gather, 0)
		near(t, name, run(t, &ScatterElements{axis, name}, x, idx, u)[0], scatter, 1e-6)
	}
}

// TestND: GatherND and ScatterND against their definition.
func TestND(t *testing.T) {
	r := rand.New(rand.NewPCG(43, 44))
	for range 600 {
		x := randT(r, []tensor.Elem{tensor.F32, tensor.I64}[r.IntN(2)], randShape(r, 1+r.IntN(4), 4)...)
		rank := len(x.Shape)
		batch := r.IntN(rank)
		k := 1 + r.IntN(rank-batch)
		shape := append(slices.Clone(x.Shape[:batch]), randShape(r, r.IntN(3), 3)...)
		idx := tensor.New(tensor.I(32), append(slices.Clone(shape), k)...)
		for i := range idx.I {
			n := x.Shape[batch+i%k]
			idx.I[i] = int64(r.IntN(2*n) - n)
		}
		rest := x.Shape[batch+k:]
		y := tensor.New(x.Elem, slices.Concat(shape, rest)...)
		source := func(i, j []int) int { // of the element of entry i of the indices, place j in what that names
			e := pos(tensor.New(tensor.B, shape...), i)
			at := slices.Clone(i[:batch])
			for c := range k {
				at = append(at, positiveIndex(idx.I[e*k+c], x.Shape[batch+c]))
			}
			o := 0
			for d, v := range append(at, j...) {
				o = o*x.Shape[d] + v
			}
			return o
		}
		u := randT(r, x.Elem, y.Shape...)
		name := []string{"none", "add", "mul", "max", "min"}[r.IntN(5)]
		z, n := x.Clone(), 0
		each(shape, func(i []int) {
			each(rest, func(j []int) {
				o := source(i, j)
				set(y, n, x.Float(o))
				if batch == 0 {
					set(z, o, reductions[name](z.Float(o), u.Float(n)))
				}
				n++
			})
		})
		near(t, "GatherND", run(t, &GatherND{batch}, x, idx)[0], y, 0)
		if batch == 0 {
			near(t, name, run(t, &ScatterND{name}, x, idx, u)[0], z, 1e-6)
		}
	}
}

// TestIndexErrors: indices out of range, and symbolic dimensions: they pass as data that is moved, nowhere else.
func TestIndexErrors(t *testing.T) {
	n := int64(ir.Symbol("N"))
	x, u := i64(n, 3, 4), i64(9)
	near(t, "GatherElements", run(t, &GatherElements{}, x, i64(-3))[0], i64(n), 0)
	near(t, "GatherND", run(t, &GatherND{}, x, i64(0))[0], tensor.Ints(tensor.I64, nil, n), 0)
	near(t, "ScatterElements", run(t, &ScatterElements{Reduction: "none"}, x, i64(1), i64(n))[0], i64(n, n, 4), 0)
	near(t, "ScatterND", run(t, &ScatterND{"none"}, x, tensor.Ints(tensor.I64, []int{1, 1}, 2), u)[0], i64(n, 3, 9), 0)
	fails(t, &GatherElements{}, "input 1 (indices): element 0 is 3, want -3 to 2", x, i64(3))
	fails(t, &GatherND{}, "input 1 (indices): element 0 is -4, want -3 to 2", x, i64(-4))
	fails(t, &ScatterElements{Reduction: "none"}, "input 1 (indices): element 0 is N, want -3 to 2", x, i64(n), u)
	fails(t, &ScatterElements{Reduction: "add"}, "input 0: arithmetic on the symbolic dimension N", x, i64(1), u)
	fails(t, &ScatterND{"none"}, "input 1 (indices): element 0 is 7, want -3 to 2", x, tensor.Ints(tensor.I64, []int{1, 1}, 7), u)
	fails(t, &ReverseSequence{BatchAxis: 1}, "input 1 (sequence_lens): element 1 is 3, want 0 to 2", tensor.New(tensor.F32, 2, 2), i64(1, 3))
	for _, o := range []Op{&CumSum{}, &TopK{K: 1}, &ArgMin{}, &Sign{}, &ReduceProd{}, &ReduceL1{}, &ReduceSumSquare{}, &BitwiseNot{}, &Einsum{"i"}} {
		fails(t, o, "input 0: arithmetic on the symbolic dimension N", i64(n))
	}
	for _, o := range []Op{&Mod{}, &BitwiseAnd{}, &BitwiseOr{}, &BitwiseXor{}} {
		fails(t, o, "input 1: arithmetic on the symbolic dimension N", i64(1), i64(n))
	}
	fails(t, &OneHot{Depth: 3}, "input 0: arithmetic on the symbolic dimension N", i64(n), i64(0, 1))
}

// TestSymbolChain is what exporters write for x.expand(-1, 4): Where(Equal(shape, -1), sizes, shape), the batch left open.
func TestSymbolChain(t *testing.T) {
	n, m := int64(ir.Symbol("N")), int64(ir.Symbol("M"))
	minus := run(t, &Equals{}, i64(n, -1, 4), i64(-1))[0]
	near(t, "Equal", minus, tensor.Ints(tensor.B, []int{3}, 0, 1, 0), 0)
	near(t, "Where", run(t, &Where{}, minus, i64(m), i64(n, -1, 4))[0], i64(n, m, 4), 0)
	for _, c := range []struct {
		op   Op
		a, b int64
		want string // a truth value, or the error
	}{
		{&Equals{}, n, n, "1"}, {&Equals{}, n, 0, "0"}, {&Equals{}, -7, n, "0"}, {&Greater{}, n, 0, "1"}, {&Greater{}, n, n, "0"}, {&Less{}, n, -1, "0"},
		{&LessOrEqual{}, 0, n, "1"}, {&GreaterOrEqual{}, n, n, "1"}, {&LessOrEqual{}, n, 0, "0"},
		{&Equals{}, n, m, "comparison of N and M: the dimension must be known"}, {&Equals{}, 1, n, "comparison of 1 and N: the dimension must be known"},
		{&Less{}, n, 5, "comparison of N and 5: the dimension must be known"},
	} {
		out, err := Eval(c.op, []*tensor.T{i64(c.a), i64(c.b)})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = ir.DimString(int(out[0].I[0]))
		}
		if got != c.want {
			t.Errorf("%s of %s and %s: got %s, want %s", c.op.OpName(), ir.DimString(int(c.a)), ir.DimString(int(c.b)), got, c.want)
		}
	}
	near(t, "Trilu", run(t, &Trilu{Upper: true}, tensor.Ints(tensor.I64, []int{1, 2}, n, m))[0], tensor.Ints(tensor.I64, []int{1, 2}, n, m), 0)
	for _, c := range []struct {
		shape []int
		want  int64
	}{{[]int{2, 3}, 6}, {[]int{int(n), 1}, n}, {nil, 1}} {
		y, err := (&Size{}).Of(c.shape)
		if err != nil || y.I[0] != c.want {
			t.Errorf("Size of %v: got %v, %v, want %d", c.shape, y, err, c.want)
		}
	}
	if _, err := (&Size{}).Of([]int{int(n), 3}); err == nil || err.Error() != "dimension N must be known: it is multiplied by 3" {
		t.Errorf("Size of N by 3: got %v", err)
	}
}
