package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir/tensor"
)

// TestReduce: every reduction over every subset of axes against lists of the elements that meet in one result.
func TestReduce(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for range 1000 {
		x := randT(r, []tensor.Elem{tensor.F32, tensor.I64, tensor.U(8)}[r.IntN(3)], randShape(r, r.IntN(5), 4)...)
		rank := len(x.Shape)
		axes := r.Perm(rank)[:r.IntN(rank+1)]
		keep := r.IntN(2) == 0
		kept := slices.Clone(x.Shape)
		for i := range kept {
			if len(axes) == 0 || slices.Contains(axes, i) {
				kept[i] = 1
			}
		}
		grid := tensor.New(x.Elem, kept...)
		lists := make([][]float64, grid.Len())
		each(x.Shape, func(i []int) {
			k := pos(grid, i)
			lists[k] = append(lists[k], x.Float(pos(x, i)))
		})
		shape := kept
		if !keep {
			shape = []int{}
			for i, d := range x.Shape {
				if len(axes) > 0 && !slices.Contains(axes, i) {
					shape = append(shape, d)
				}
			}
		}
		for i := range axes {
			axes[i] -= rank * r.IntN(2)
		}
		for _, c := range []struct {
			op Op
			f  func(l []float64) float64
		}{
			{&ReduceSum{axes, keep}, total},
			{&ReduceMax{axes, keep}, slices.Max[[]float64]},
			{&ReduceMin{axes, keep}, slices.Min[[]float64]},
			{&ReduceMean{axes, keep}, func(l []float64) float64 { return total(l) / float64(len(l)) }},
		} {
			if _, mean := c.op.(*ReduceMean); mean && !x.Elem.IsFloat() {
				continue
			}
			want := tensor.New(x.Elem, shape...)
			for i, l := range lists {
				if x.Elem.IsFloat() {
					want.F[i] = float32(c.f(l))
				} else {
					want.I[i] = int64(c.f(l)) & (1<<(x.Elem.Bits-1)<<1 - 1)
				}
			}
			near(t, describe(c.op), run(t, c.op, x)[0], want, 1e-6)
		}
	}
	inf := float32(math.Inf(1))
	empty := tensor.New(tensor.F32, 2, 0)
	near(t, "empty max", run(t, &ReduceMax{Axes: []int{1}}, empty)[0], floats([]int{2}, -inf, -inf), 0)
	near(t, "empty min", run(t, &ReduceMin{Axes: []int{1}}, tensor.New(tensor.I(8), 1, 0))[0], tensor.Ints(tensor.I(8), []int{1}, 127), 0)
	near(t, "empty sum", run(t, &ReduceSum{Axes: []int{1}}, empty)[0], floats([]int{2}, 0, 0), 0)
}

func total(l []float64) float64 {
	s := 0.0
	for _, v := range l {
		s += v
	}
	return s
}

func TestArgMax(t *testing.T) {
	x := floats([]int{2, 3}, 1, 5, 5, 7, 2, 7)
	near(t, "first", run(t, &ArgMax{Axis: 1}, x)[0], i64(1, 0), 0)
	near(t, "last", run(t, &ArgMax{Axis: -1, SelectLastIndex: true}, x)[0], i64(2, 2), 0)
	near(t, "rows", run(t, &ArgMax{Axis: 0, KeepDims: true}, x)[0], tensor.Ints(tensor.I64, []int{1, 3}, 1, 0, 1), 0)
	near(t, "integers", run(t, &ArgMax{Axis: 0}, tensor.Ints(tensor.U(8), []int{3}, 3, 200, 100))[0], tensor.Ints(tensor.I64, nil, 1), 0)
}

func TestSoftmax(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	for range 200 {
		x := randT(r, tensor.F32, randShape(r, 1+r.IntN(4), 4)...)
		a := r.IntN(len(x.Shape))
		sum := tensor.New(tensor.F32, x.Shape...)
		soft, logs := tensor.New(tensor.F32, x.Shape...), tensor.New(tensor.F32, x.Shape...)
		each(x.Shape, func(i []int) {
			j := slices.Clone(i)
			s := 0.0
			for j[a] = range x.Shape[a] {
				s += math.Exp(float64(at(x, j)))
			}
			k := pos(sum, i)
			soft.F[k] = float32(math.Exp(float64(x.F[k])) / s)
			logs.F[k] = x.F[k] - float32(math.Log(s))
		})
		axis := a - len(x.Shape)*r.IntN(2)
		near(t, "Softmax", run(t, &Softmax{axis}, x)[0], soft, 1e-6)
		near(t, "LogSoftmax", run(t, &LogSoftmax{axis}, x)[0], logs, 1e-5)
	}
	big := floats([]int{2}, 1000, 1000)
	near(t, "large", run(t, &Softmax{0}, big)[0], floats([]int{2}, 0.5, 0.5), 0)
	near(t, "large", run(t, &LogSoftmax{0}, floats([]int{2}, -1000, 0))[0], floats([]int{2}, -1000, 0), 0)
}
