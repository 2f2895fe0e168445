package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir"
	"quern/ir/tensor"
)

// anyElem is a float or integer type: data-moving operators treat them alike.
func anyElem(r *rand.Rand) tensor.Elem {
	return []tensor.Elem{tensor.F32, tensor.I64, tensor.B, tensor.I(5)}[r.IntN(4)]
}

// numbered has a different value in each element.
func numbered(e tensor.Elem, shape ...int) *tensor.T {
	t := tensor.New(e, shape...)
	for i := range t.Len() {
		if t.F != nil {
			t.F[i] = float32(i + 1)
		} else {
			t.I[i] = int64(i + 1)
		}
	}
	return t
}

// TestMoves: Slice, Pad, Tile, Expand, Transpose against their definitions, index by index.
func TestMoves(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 3000 {
		e := []tensor.Elem{tensor.F32, tensor.I64}[r.IntN(2)]
		x := numbered(e, randShape(r, 1+r.IntN(4), 5)...)
		rank := len(x.Shape)
		// from says, for an axis and an index of the result, the index of the input; -1: the value.
		check := func(o Op, shape []int, from func(axis, i int) int, value float64) {
			t.Helper()
			y := run(t, o, x)[0]
			if !slices.Equal(y.Shape, shape) {
				t.Fatalf("%s of %v: got %v, want %v", describe(o), x, y, shape)
			}
			each(shape, func(idx []int) {
				p, want := 0, value
				for a, i := range idx {
					k := from(a, i)
					if k < 0 || p < 0 {
						p = -1
						continue
					}
					p = p*x.Shape[a] + k
				}
				if p >= 0 {
					want = x.Float(p)
				}
				if got := y.Float(pos(y, idx)); got != want {
					t.Fatalf("%s of %v: element %v is %v, want %v", describe(o), x, idx, got, want)
				}
			})
		}

		perm := r.Perm(rank)
		shape := make([]int, rank)
		for i, p := range perm {
			shape[i] = x.Shape[p]
		}
		y := run(t, &Transpose{perm}, x)[0]
		each(shape, func(idx []int) {
			j := make([]int, rank)
			for i, p := range perm {
				j[p] = idx[i]
			}
			if y.Float(pos(y, idx)) != x.Float(pos(x, j)) {
				t.Fatalf("Transpose %v of %v: wrong at %v", perm, x, idx)
			}
		})

		tile := &Tile{make([]int, rank)}
		for i := range shape {
			tile.Repeats[i] = r.IntN(4)
			shape[i] = x.Shape[i] * tile.Repeats[i]
		}
		check(tile, shape, func(a, i int) int { return i % x.Shape[a] }, 0)

		pad := &Pad{make([]int, 2*rank), 7, []string{"constant", "edge", "reflect", "wrap"}[r.IntN(4)]}
		for i, d := range x.Shape {
			pad.Pads[i], pad.Pads[rank+i] = r.IntN(5)*r.IntN(2), r.IntN(5)*r.IntN(2)
			if d > 1 && r.IntN(3) == 0 {
				pad.Pads[i+rank*r.IntN(2)] = -1
			}
			shape[i] = d + pad.Pads[i] + pad.Pads[rank+i]
			if shape[i] < 0 || d+min(0, pad.Pads[i])+min(0, pad.Pads[rank+i]) <= 0 {
				pad.Pads[i], pad.Pads[rank+i], shape[i] = 0, 0, d
			}
		}
		check(pad, shape, func(a, i int) int {
			lo, hi := max(0, -pad.Pads[a]), x.Shape[a]-max(0, -pad.Pads[rank+a])
			k := i - pad.Pads[a]
			for step := 0; k < lo || k >= hi; step++ { // walk back in, mirror by mirror
				switch {
				case pad.Mode == "constant":
					return -1
				case pad.Mode == "edge":
					k = min(max(k, lo), hi-1)
				case pad.Mode == "wrap" && k < lo:
					k += hi - lo
				case pad.Mode == "wrap":
					k -= hi - lo
				case hi-lo == 1:
					k = lo
				case k < lo:
					k = 2*lo - k
				default:
					k = 2*(hi-1) - k
				}
			}
			return k
		}, 7)

		sl := &Slice{}
		from := make([][]int, rank)
		for a, d := range x.Shape {
			for i := range d {
				from[a] = append(from[a], i)
			}
		}
		for _, a := range r.Perm(rank)[:r.IntN(rank+1)] {
			d := x.Shape[a]
			ends := []int{math.MinInt64, math.MaxInt64, math.MinInt32, math.MaxInt32}
			start, end, step := r.IntN(2*d+3)-d-1, r.IntN(2*d+3)-d-1, []int{-3, -2, -1, 1, 1, 1, 2, 3}[r.IntN(8)]
			if r.IntN(4) == 0 {
				end = ends[r.IntN(4)]
			}
			if r.IntN(8) == 0 {
				start = ends[r.IntN(4)]
			}
			sl.Starts, sl.Ends, sl.Steps = append(sl.Starts, start), append(sl.Ends, end), append(sl.Steps, step)
			sl.Axes = append(sl.Axes, a-rank*r.IntN(2))
			from[a] = pyRange(d, start, end, step)
		}
		for a := range shape {
			shape[a] = len(from[a])
		}
		check(sl, shape, func(a, i int) int { return from[a][i] }, 0)
	}
	x := numbered(tensor.F32, 4, 3)
	near(t, "Slice without axes and steps", run(t, &Slice{Starts: []int{1, 1}, Ends: []int{3, 2}}, x)[0], floats([]int{2, 1}, 5, 8), 0)
	near(t, "huge step", run(t, &Slice{Starts: []int{3}, Ends: []int{math.MinInt64}, Steps: []int{math.MinInt64}}, x)[0],
		floats([]int{1, 3}, 10, 11, 12), 0)
}

// pyRange lists the indices of Python's x[start:end:step] the slow way: those that stepping reaches between the bounds. (Bounds outside
// are clamped first, which matters where stepping starts.)
func pyRange(d, start, end, step int) []int {
	r := []int{}
	if start < 0 {
		start += d
	}
	if end < 0 {
		end += d
	}
	if step > 0 {
		for i := max(start, 0); i < end && i < d; i += step {
			r = append(r, i)
		}
	} else {
		for i := min(start, d-1); i > end && i >= 0; i += step {
			r = append(r, i)
		}
	}
	return r
}

func TestExpand(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	for range 500 {
		shape := randShape(r, r.IntN(5), 4)
		x := randT(r, anyElem(r), drop(r, shape)...)
		o := &Expand{drop(r, shape)}
		full, err := Broadcast(x.Shape, o.Shape)
		if err != nil {
			t.Fatal(err)
		}
		want := tensor.New(x.Elem, full...)
		each(full, func(i []int) { copyRange(want, pos(want, i), x, pos(x, i), 1) })
		near(t, describe(o), run(t, o, x)[0], want, 0)
	}
}

// TestConcatSplit: Concat against its definition, and Split takes it apart again.
func TestConcatSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for range 500 {
		shape := randShape(r, 1+r.IntN(4), 4)
		a := r.IntN(len(shape))
		e := anyElem(r)
		var in []*tensor.T
		var sizes, owner, inner []int // which input an index of the axis comes from, and where there
		for i := range 1 + r.IntN(4) {
			shape[a] = r.IntN(4)
			in = append(in, randT(r, e, shape...))
			sizes = append(sizes, shape[a])
			for k := range shape[a] {
				owner, inner = append(owner, i), append(inner, k)
			}
		}
		axis := a - len(shape)*r.IntN(2)
		y := run(t, &Concat{axis}, in...)[0]
		shape[a] = len(owner)
		want := tensor.New(e, shape...)
		each(shape, func(idx []int) {
			j := slices.Clone(idx)
			src := in[owner[idx[a]]]
			j[a] = inner[idx[a]]
			p := 0
			for i, d := range src.Shape {
				p = p*d + j[i]
			}
			copyRange(want, pos(want, idx), src, p, 1)
		})
		near(t, "Concat", y, want, 0)
		for i, part := range run(t, &Split{axis, sizes}, y) {
			near(t, "Split", part, in[i], 0)
		}
	}
}

func TestGather(t *testing.T) {
	x := numbered(tensor.F32, 2, 3)
	near(t, "rows", run(t, &Gather{0}, x, i64(1, 0, -1))[0], floats([]int{3, 3}, 4, 5, 6, 1, 2, 3, 4, 5, 6), 0)
	near(t, "columns", run(t, &Gather{-1}, x, tensor.Ints(tensor.I32, []int{2, 1}, 2, -3))[0], floats([]int{2, 2, 1}, 3, 1, 6, 4), 0)
	near(t, "scalar index", run(t, &Gather{1}, x, tensor.Ints(tensor.I64, nil, 1))[0], floats([]int{2}, 2, 5), 0)
	near(t, "no index", run(t, &Gather{1}, x, i64())[0], floats([]int{2, 0}), 0)
	b := tensor.Ints(tensor.B, []int{3}, 1, 0, 1)
	near(t, "bool", run(t, &Gather{0}, b, i64(2, 1))[0], tensor.Ints(tensor.B, []int{2}, 1, 0), 0)
	fails(t, &Gather{0}, "input 1 (indices): element 1 is 2, want -2 to 1", x, i64(0, 2))
	fails(t, &Gather{0}, "input 1 (indices): element 0 is -3, want -2 to 1", x, i64(-3))
	fails(t, &Gather{0}, "input 1 (indices): element 0 is N, want -2 to 1", x, i64(int64(ir.Symbol("N"))))
}

// TestViews: the data stays in order whatever the element type.
func TestViews(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, c := range []struct {
		op   Op
		want []int
	}{
		{&Flatten{Axis: 2}, []int{2, 12}}, {&Flatten{Axis: 0}, []int{1, 24}}, {&Flatten{Axis: 4}, []int{24, 1}},
		{&Reshape{Shape: []int{0, -1}}, []int{2, 12}}, {&Reshape{Shape: []int{4, 0, 6}}, []int{4, 1, 6}},
		{&Reshape{Shape: []int{24}}, []int{24}}, {&Reshape{Shape: []int{-1, 1, 1}, AllowZero: true}, []int{24, 1, 1}},
		{&Squeeze{}, []int{2, 3, 4}}, {&Squeeze{Axes: []int{-3}}, []int{2, 3, 4}},
		{&Unsqueeze{Axes: []int{0, -1}}, []int{1, 2, 1, 3, 4, 1}}, {&Identity{}, []int{2, 1, 3, 4}}, {&Dropout{}, []int{2, 1, 3, 4}},
		{&Quantize{}, []int{2, 1, 3, 4}}, {&Dequantize{}, []int{2, 1, 3, 4}},
	} {
		for range 8 {
			x := randT(r, anyElem(r), 2, 1, 3, 4)
			if c.op.OpName() == "Quantize" || c.op.OpName() == "Dequantize" {
				x = randT(r, tensor.F32, 2, 1, 3, 4)
			}
			near(t, describe(c.op), run(t, c.op, x)[0], x.Reshape(c.want...), 0)
		}
	}
	empty := tensor.New(tensor.F32, 0, 3)
	near(t, "empty", run(t, &Reshape{Shape: []int{3, 0}, AllowZero: true}, empty)[0], tensor.New(tensor.F32, 3, 0), 0)
	near(t, "empty", run(t, &Reshape{Shape: []int{-1, 3}}, empty)[0], empty, 0)
}
