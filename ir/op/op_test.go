package op

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// each calls f with every index of a shape, the last axis fastest. The slice is reused.
func each(shape []int, f func(idx []int)) {
	idx := make([]int, len(shape))
	var walk func(a int)
	walk = func(a int) {
		if a == len(shape) {
			f(idx)
			return
		}
		for i := range shape[a] {
			idx[a] = i
			walk(a + 1)
		}
	}
	walk(0)
}

// pos is the offset of an index; indices beyond the rank count from the last axis and those of a size-1 axis are 0 (broadcasting).
func pos(t *tensor.T, idx []int) int {
	p := 0
	for i, d := range t.Shape {
		k := idx[len(idx)-len(t.Shape)+i]
		if d == 1 {
			k = 0
		}
		p = p*d + k
	}
	return p
}

// randT has small random halves, exact in sums and products, or integers from -8 to 7 (from 0 if unsigned).
func randT(r *rand.Rand, e tensor.Elem, shape ...int) *tensor.T {
	t := tensor.New(e, shape...)
	for i := range t.F {
		t.F[i] = float32(r.IntN(33)-16) / 2
	}
	for i := range t.I {
		switch e.Kind {
		case tensor.Int:
			t.I[i] = int64(r.IntN(16) - 8)
		case tensor.Uint:
			t.I[i] = int64(r.IntN(10))
		default:
			t.I[i] = int64(r.IntN(2))
		}
	}
	return t
}

func randShape(r *rand.Rand, rank, most int) []int {
	s := make([]int, rank)
	for i := range s {
		s[i] = 1 + r.IntN(most)
	}
	return s
}

func typesOf(in []*tensor.T) []*ir.Type {
	types := make([]*ir.Type, len(in))
	for i, t := range in {
		if t != nil {
			types[i] = &ir.Type{Elem: t.Elem, Shape: t.Shape}
		}
	}
	return types
}

// run evaluates and checks that the results are what Infer promises and that the inputs are untouched.
func run(t *testing.T, o Op, in ...*tensor.T) []*tensor.T {
	t.Helper()
	before := make([]*tensor.T, len(in))
	for i, x := range in {
		if x != nil {
			before[i] = x.Clone()
		}
	}
	out, err := Eval(o, in)
	if err != nil {
		t.Fatalf("%s of %v: %v", describe(o), in, err)
	}
	agree(t, o, in, out)
	for i, x := range in {
		if x != nil && !x.Equal(before[i]) {
			t.Fatalf("%s wrote to input %d", describe(o), i)
		}
	}
	return out
}

func agree(t *testing.T, o Op, in, out []*tensor.T) {
	t.Helper()
	types, err := o.Infer(typesOf(in))
	if err != nil {
		t.Fatalf("%s of %v: Infer: %v", describe(o), in, err)
	}
	if len(types) != len(out) {
		t.Fatalf("%s of %v: %d types, %d results", describe(o), in, len(types), len(out))
	}
	for i, y := range out {
		if y.Elem != types[i].Elem || !slices.Equal(y.Shape, types[i].Shape) {
			t.Fatalf("%s of %v: result %d is %v, Infer says %v", describe(o), in, i, y, types[i])
		}
		if err := y.Check(); err != nil {
			t.Fatalf("%s of %v: result %d: %v", describe(o), in, i, err)
		}
	}
}

// describe prints an operator with the attributes that are not the default.
func describe(o ir.Op) string {
	var s []string
	for _, a := range Attrs(o) {
		if !a.Default {
			s = append(s, a.Name+"="+FormatAttr(a.Value))
		}
	}
	return o.OpName() + "<" + strings.Join(s, ", ") + ">"
}

// near compares floats with a tolerance relative to the greater of 1 and the value; integers have to be equal.
func near(t *testing.T, what string, got, want *tensor.T, tol float64) {
	t.Helper()
	if got.Elem != want.Elem || !slices.Equal(got.Shape, want.Shape) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
	for i := range want.F {
		g, w := float64(got.F[i]), float64(want.F[i])
		if g != w && !(math.IsNaN(g) && math.IsNaN(w)) && !(math.Abs(g-w) <= tol*max(1, math.Abs(w))) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, g, w)
		}
	}
	if !slices.Equal(got.I, want.I) {
		t.Fatalf("%s: got %v, want %v", what, got.I, want.I)
	}
}

func floats(shape []int, v ...float32) *tensor.T { return tensor.Floats(shape, v...) }

func i64(v ...int64) *tensor.T { return tensor.Ints(tensor.I64, []int{len(v)}, v...) }

// ty parses "f32[N,3]"; names of letters are symbols.
func ty(s string) ir.Type {
	name, dims, _ := strings.Cut(strings.TrimSuffix(s, "]"), "[")
	e, err := tensor.ParseElem(name)
	if err != nil {
		panic(err)
	}
	t := ir.T(e)
	for _, d := range strings.Split(dims, ",") {
		n := 0
		if d == "" {
			continue
		} else if _, err := fmt.Sscanf(d, "%d", &n); err != nil {
			n = ir.Symbol(d)
		}
		t.Shape = append(t.Shape, n)
	}
	return t
}

// TestInfer: result types, and errors word for word, for types that need no data.
func TestInfer(t *testing.T) {
	n := ir.Symbol("N")
	for _, c := range []struct {
		op   Op
		in   string // types with blanks between; "-" is an omitted input
		want string // types with blanks between, or "error: " and the message
	}{
		{&Conv{Group: 1}, "f32[N,3,8,8] f32[4,3,3,3]", "f32[N,4,6,6]"},
		{&Conv{Group: 1}, "f32[N,3,8,8] f32[4,3,3,3] -", "f32[N,4,6,6]"},
		{&Conv{Group: 1, Strides: []int{2}, Pads: []int{1, 1}}, "f32[2,3,8] f32[4,3,3] f32[4]", "f32[2,4,4]"},
		{&Conv{Group: 1}, "f32[N,3,H,8] f32[4,3,3,3]", "error: spatial dimension H must be known"},
		{&Conv{Group: 1}, "f32[1,3,8,8,8] f32[4,3,3,3,3]", "f32[1,4,6,6,6]"},
		{&Conv{Group: 1}, "f32[1,3,8,8] f32[4,3,3]", "error: input 1 (weights): want 4 known dims, got f32[4,3,3]"},
		{&Conv{Group: 2}, "f32[1,3,8,8] f32[4,3,3,3]", "error: 3 channels and weights f32[4,3,3,3] do not fit 2 groups"},
		{&Conv{Group: 1}, "f32[1,3,8,8] f32[4,3,3,3] f32[3]", "error: input 2 (bias): want [4], got f32[3]"},
		{&Conv{Group: 1}, "f32[1,3,2,8] f32[4,3,3,3]", "error: window of 3 does not fit an input of 2 with pads 0 and 0"},
		{&Conv{Group: 1, Strides: []int{0, 1}}, "f32[1,3,8,8] f32[4,3,3,3]",
			"error: kernel [3 3], strides [0 1], dilations [1 1]: want 1 or more"},
		{&Conv{Group: 1, Pads: []int{-1, 0, 0, 0}}, "f32[1,3,8,8] f32[4,3,3,3]", "error: pads [-1 0 0 0]: want 0 or more"},
		{&Conv{Group: 1}, "f32[1,3,8,8]", "error: want 2 to 3 inputs, got 1"},
		{&Conv{Group: 1}, "f32[1,3,8,8] -", "error: input 1: it is not optional, but omitted"},
		{&Conv{Group: 1}, "f32[1,3,8,8] i8[4,3,3,3]", "error: input 1: want reals, got i8[4,3,3,3]"},

		{&Gemm{Alpha: 1, Beta: 1}, "f32[N,4] f32[4,5] f32[5]", "f32[N,5]"},
		{&Gemm{TransA: true, TransB: true}, "f32[4,2] f32[5,4]", "f32[2,5]"},
		{&Gemm{}, "f32[2,3] f32[4,5]", "error: inner dimensions 3 and 4 of f32[2,3] and f32[4,5] differ"},
		{&Gemm{}, "f32[2,4,1] f32[4,5]", "error: input 0: want 2 dims, got f32[2,4,1]"},
		{&Gemm{}, "f32[2,4] f32[4,5] f32[4]", "error: input 2: want a shape that broadcasts to [2,5], got [4]"},
		{&Gemm{}, "f32[2,4] f32[4,5] f32[3,2,5]", "error: input 2: want a shape that broadcasts to [2,5], got [3,2,5]"},
		{&MatMul{}, "f32[N,2,3] f32[3,4]", "f32[N,2,4]"},
		{&MatMul{}, "f32[5,1,2,3] f32[7,3,4]", "f32[5,7,2,4]"},
		{&MatMul{}, "f32[3] f32[7,3,4]", "f32[7,4]"},
		{&MatMul{}, "f32[2,3] f32[3]", "f32[2]"},
		{&MatMul{}, "f32[3] f32[3]", "f32[]"},
		{&MatMul{}, "f32[] f32[3]", "error: input 0: want 1 or more dims, got f32[]"},
		{&MatMul{}, "f32[2,3] f32[4,3]", "error: inner dimensions 3 and 4 of f32[2,3] and f32[4,3] differ"},

		{&Add{}, "f32[N,3,1] f32[4]", "f32[N,3,4]"},
		{&Add{}, "f32[N,3] f32[N,1]", "f32[N,3]"},
		{&Add{}, "f32[N,3] f32[7,3]", "f32[7,3]"},
		{&Add{}, "f32[N,3] f32[M,3]", "error: input 1: shapes [N,3] and [M,3] do not broadcast: N against M"},
		{&Add{}, "f32[2,3] f32[2]", "error: input 1: shapes [2,3] and [2] do not broadcast: 3 against 2"},
		{&Add{}, "f32[2] i64[2]", "error: input 1: want the element type of input 0, f32, got i64[2]"},
		{&Mul{}, "bool[2] bool[2]", "error: input 0: want numbers, got bool[2]"},
		{&Sum{}, "f32[2,1] f32[3] f32[1,1,1]", "f32[1,2,3]"},
		{&Max{}, "", "error: want at least 1 inputs, got 0"},
		{&Min{}, "f32[2] -", "error: input 1: it is not optional, but omitted"},
		{&Pow{}, "f32[2,3] i64[]", "f32[2,3]"},
		{&Pow{}, "i64[2,3] i64[]", "i64[2,3]"},
		{&PRelu{}, "f32[N,3,4,4] f32[3,1,1]", "f32[N,3,4,4]"},
		{&PRelu{}, "f32[3] f32[2,3]", "error: input 1 (slope): want a shape that broadcasts to [3], got [2,3]"},
		{&BatchNormalization{}, "f32[N,3,4] f32[3] f32[3] f32[3] f32[3]", "f32[N,3,4]"},
		{&BatchNormalization{}, "f32[N,3,4] f32[3] f32[3] f32[4] f32[3]", "error: input 3: want [3], got f32[4]"},
		{&BatchNormalization{}, "f32[3] f32[3] f32[3] f32[3] f32[3]", "error: input 0: want 2 or more dims, got f32[3]"},
		{&Clip{}, "f16[2]", "f16[2]"},
		{&Clip{}, "i8[2]", "error: input 0: want reals, got i8[2]"},
		{&Relu{}, "i8[2]", "i8[2]"},
		{&Sigmoid{}, "f32[] f32[]", "error: want 1 inputs, got 2"},
		{&Gelu{"erf"}, "f32[]", `error: approximate "erf": want none or tanh`},

		{&MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}, CeilMode: true}, "f32[N,3,8,8]", "f32[N,3,4,4]"},
		{&MaxPool{KernelShape: []int{3, 3}, Strides: []int{2, 2}}, "f32[N,3,8,8]", "f32[N,3,3,3]"},
		{&MaxPool{KernelShape: []int{3}}, "f32[N,3,8,8]", "error: kernel [3]: want 2 axes for f32[N,3,8,8]"},
		{&MaxPool{KernelShape: []int{2, 2}, Pads: []int{0, 0, 2, 2}}, "f32[1,1,8,8]",
			"error: pads 0 and 2: want less than the window of 2, which would lie in the padding"},
		{&AveragePool{KernelShape: []int{2, 2, 2}}, "f32[1,1,4,4,4]", "f32[1,1,3,3,3]"},
		{&MaxPool{KernelShape: []int{2}}, "u8[1,1,4]", "u8[1,1,3]"},
		{&MaxPoolIndices{KernelShape: []int{2}}, "f32[1,N,4]", "i64[1,N,3]"},
		{&MaxPoolIndices{KernelShape: []int{2}, StorageOrder: 2}, "f32[1,1,4]", "error: storage_order 2: want 0 or 1"},
		{&GlobalAveragePool{}, "f32[N,3,4,5,6]", "f32[N,3,1,1,1]"},
		{&GlobalAveragePool{}, "f32[N,3,H,W]", "f32[N,3,1,1]"},
		{&GlobalMaxPool{}, "f32[N,3]", "error: input 0: want 3 or more dims, got f32[N,3]"},

		{&Flatten{Axis: 1}, "f32[N,3,4,4]", "f32[N,48]"},
		{&Flatten{Axis: -1}, "f32[2,3,4]", "f32[6,4]"},
		{&Flatten{Axis: 0}, "f32[2,3]", "f32[1,6]"},
		{&Flatten{Axis: 0}, "f32[1,N]", "f32[1,N]"},
		{&Flatten{Axis: 0}, "f32[N,3]", "error: dimension N must be known: it is multiplied by 3"},
		{&Flatten{Axis: 0}, "f32[N,M]", "error: dimension M must be known"},
		{&Flatten{Axis: 3}, "f32[2,3]", "error: axis 3 of 2 dims: want -2 to 2"},
		{&Squeeze{Axes: []int{0, -1}}, "bool[1,3,1]", "bool[3]"},
		{&Squeeze{}, "f32[1,3,1]", "f32[3]"},
		{&Squeeze{}, "f32[N,1]", "error: no axes are given, so dimension N must be known"},
		{&Squeeze{Axes: []int{1}}, "f32[N,1]", "f32[N]"},
		{&Squeeze{Axes: []int{1}}, "f32[1,3]", "error: axis 1 of f32[1,3]: want size 1"},
		{&Squeeze{Axes: []int{0, -2}}, "f32[1,3]", "error: axes [0 -2]: axis 0 is given twice"},
		{&Unsqueeze{Axes: []int{0, -1}}, "f32[N,3]", "f32[1,N,3,1]"},
		{&Unsqueeze{Axes: []int{2, 0}}, "f32[3]", "f32[1,3,1]"},
		{&Unsqueeze{Axes: []int{3}}, "f32[3]", "error: axis 3 of 2 dims: want -2 to 1"},
		{&Transpose{}, "f32[N,3,4]", "f32[4,3,N]"},
		{&Transpose{Perm: []int{1, 0}}, "f32[N,3,4]", "error: perm [1 0]: want a permutation of 3 axes"},
		{&Transpose{Perm: []int{1, 1}}, "f32[N,3]", "error: perm [1 1]: want a permutation of 2 axes"},
		{&Concat{Axis: -1}, "f32[N,3] f32[N,4] f32[2,1]", "f32[2,8]"},
		{&Concat{Axis: 0}, "f32[N,3]", "f32[N,3]"},
		{&Concat{Axis: 0}, "f32[N,3] f32[1,3]", "error: input 1: the dimensions along axis 0 must be known, got f32[1,3] after f32[N,3]"},
		{&Concat{Axis: 1}, "f32[2,3] f32[3,3]", "error: input 1: want 2 along axis 0, got f32[3,3]"},
		{&Concat{Axis: 1}, "f32[2,3] i8[2,3]", "error: input 1: want the element type and 2 dims of input 0, f32[2,3], got i8[2,3]"},
		{&Split{Axis: 1, Split: []int{1, 2}}, "f32[N,3]", "f32[N,1] f32[N,2]"},
		{&Split{Axis: 1, Split: []int{1, 1}}, "f32[N,3]", "error: split [1 1]: want sizes that add up to axis 1 of f32[N,3]"},
		{&Split{Axis: 1}, "f32[N,3]", "error: split: want the size of each part"},
		{&Pad{Pads: []int{0, 1, 0, -1}, Mode: "constant"}, "f32[N,3]", "f32[N,3]"},
		{&Pad{Pads: []int{1, 0, 0, 0}, Mode: "edge"}, "f32[N,3]", "error: axis 0 is padded, so dimension N must be known"},
		{&Pad{Pads: []int{1, 0}, Mode: "edge"}, "f32[1,3]", "error: pads [1 0]: want 4, two for each axis of f32[1,3]"},
		{&Pad{Pads: []int{0, 0}, Mode: "mirror"}, "f32[3]", `error: mode "mirror": want constant, reflect, edge or wrap`},
		{&Pad{Pads: []int{-2, -2}, Mode: "edge"}, "f32[3]", "error: pads -2 and -2 crop more than axis 0 of f32[3] has"},
		{&Pad{Pads: []int{-3, 1}, Mode: "edge"}, "f32[3]", "error: mode edge: axis 0 of f32[3] has no elements to pad with"},
		{&Softmax{-1}, "f32[N,10]", "f32[N,10]"},
		{&LogSoftmax{2}, "f32[N,10]", "error: axis 2 of 2 dims: want -2 to 1"},
		{&ReduceMean{Axes: []int{-1, 2}, KeepDims: true}, "f32[N,3,4,5]", "f32[N,3,1,1]"},
		{&ReduceMean{Axes: []int{2, 3}}, "f32[N,3,H,W]", "f32[N,3]"},
		{&ReduceMean{}, "i64[3]", "error: input 0: want reals, got i64[3]"},
		{&ReduceSum{}, "i64[3,4]", "i64[]"},
		{&ReduceMax{KeepDims: true}, "f32[3,4]", "f32[1,1]"},
		{&ReduceMin{Axes: []int{2}}, "f32[3,4]", "error: axis 2 of 2 dims: want -2 to 1"},
		{&ArgMax{Axis: -1}, "f32[N,10]", "i64[N]"},
		{&ArgMax{Axis: 0}, "f32[0,10]", "error: input 0: axis 0 of f32[0,10] is empty"},
		{&Shape{Start: 1, End: shapeEnd}, "f32[N,3,4]", "i64[2]"},
		{&Shape{Start: -1, End: -3}, "f32[N,3,4]", "i64[0]"},
		{&Gather{Axis: 1}, "f32[N,3,4] i64[2,5]", "f32[N,2,5,4]"},
		{&Gather{Axis: 0}, "f32[3] i32[]", "f32[]"},
		{&Gather{Axis: 0}, "f32[3] f32[]", "error: input 1 (indices): want integers, got f32[]"},
		{&Gather{Axis: 0}, "f32[] i64[]", "error: axis 0 of 0 dims: want 0 to -1"},
		{&Slice{Starts: []int{1}, Ends: []int{math.MaxInt64}, Axes: []int{-1}}, "f32[N,3]", "f32[N,2]"},
		{&Slice{Starts: []int{0}, Ends: []int{n}}, "f32[N,3]", "f32[N,3]"},
		{&Slice{Starts: []int{0}, Ends: []int{math.MaxInt64}}, "f32[N,3]", "f32[N,3]"},
		{&Slice{Starts: []int{0}, Ends: []int{5}}, "f32[N,3]", "error: axis 0: slice 0:5 of N: dimension N must be known"},
		{&Slice{Starts: []int{0}, Ends: []int{n}}, "f32[3]", "error: axis 0: slice 0:N of 3: dimension N must be known"},
		{&Slice{Starts: []int{0}, Ends: []int{1, 2}}, "f32[3]", "error: want as many starts, ends, axes and steps, got [0], [1,2], [0], [1]"},
		{&Slice{Starts: []int{0}, Ends: []int{1}, Steps: []int{0}}, "f32[3]", "error: axis 0: step 0"},
		{&Cast{"i8"}, "f32[N]", "i8[N]"},
		{&Cast{"i65"}, "f32[N]", `error: to: element type "i65": want f16, f32, f64, bf16, bool, or i or u with a width from 1 to 64`},
		{&Expand{Shape: []int{n, 1, 4}}, "f32[3,1]", "f32[N,3,4]"},
		{&Expand{Shape: []int{2}}, "f32[3]", "error: shapes [3] and [2] do not broadcast: 3 against 2"},
		{&Expand{Shape: []int{-1}}, "f32[3]", "error: shape [-1]: entry 0: want 0 to 2147483647"},
		{&Tile{Repeats: []int{n, 2}}, "f32[1,3]", "f32[N,6]"},
		{&Tile{Repeats: []int{1, 2}}, "f32[N,3]", "f32[N,6]"},
		{&Tile{Repeats: []int{2, 2}}, "f32[N,3]", "error: dimension N must be known: it is multiplied by 2"},
		{&Tile{Repeats: []int{2}}, "f32[1,3]", "error: repeats [2]: want 2, one for each axis of f32[1,3]"},
		{&Identity{}, "u4[N]", "u4[N]"},
		{&Dropout{}, "f32[N]", "f32[N]"},
		{&Quantize{}, "i8[2]", "error: input 0: want reals, got i8[2]"},
	} {
		checkInfer(t, c.op, c.in, c.want)
	}
}

// checkInfer compares the types that an operator infers of others, - for an input that is left out, or its error, with text.
func checkInfer(t *testing.T, o Op, types, want string) {
	t.Helper()
	var in []*ir.Type
	for _, s := range strings.Fields(types) {
		if s == "-" {
			in = append(in, nil)
			continue
		}
		x := ty(s)
		in = append(in, &x)
	}
	out, err := o.Infer(in)
	got := ""
	if err != nil {
		got = "error: " + err.Error()
	}
	for i, x := range out {
		got += strings.Repeat(" ", min(i, 1)) + x.String()
	}
	if got != want {
		t.Errorf("%s of %s:\n got %s\nwant %s", describe(o), types, got, want)
	}
}
