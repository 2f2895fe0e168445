package op

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/ir/tensor"
)

// groupOf calls f with the values of x whose index agrees with idx on the axes that are not reduced.
func groupOf(x *tensor.T, idx []int, reduced func(axis int) bool, f func(v float64)) {
	each(x.Shape, func(j []int) {
		for a := range j {
			if !reduced(a) && j[a] != idx[a] {
				return
			}
		}
		f(float64(at(x, j)))
	})
}

// TestNormalizations compares each with its formula, element by element.
func TestNormalizations(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for _, name := range []string{"InstanceNormalization", "GroupNormalization", "LayerNormalization", "LayerNormalizationStats",
		"RMSNormalization", "MeanVarianceNormalization", "LpNormalization", "LRN"} {
		for range 60 {
			o, in := likely[name](r)
			x := in[0]
			if g, ok := o.(*GroupNormalization); ok && x.Shape[1]%2 == 0 {
				g.NumGroups = 2
			}
			out := run(t, o, in...)
			want := make([]*tensor.T, len(out))
			for i, y := range out {
				want[i] = tensor.New(tensor.F32, y.Shape...)
			}
			each(x.Shape, func(i []int) {
				v := float64(at(x, i))
				stats := func(reduced func(axis int) bool) (mean, variance, square, abs float64) {
					n := 0.0
					groupOf(x, i, reduced, func(u float64) { n++; mean += u; square += u * u; abs += math.Abs(u) })
					mean /= n
					groupOf(x, i, reduced, func(u float64) { variance += (u - mean) * (u - mean) / n })
					return mean, variance, square / n, abs
				}
				from := func(axis int) func(int) bool {
					if axis < 0 {
						axis += len(x.Shape)
					}
					return func(a int) bool { return a >= axis }
				}
				y := 0.0
				switch o := o.(type) {
				case *InstanceNormalization:
					mean, variance, _, _ := stats(from(2))
					y = (v-mean)/math.Sqrt(variance+0.5)*float64(in[1].F[i[1]]) + float64(in[2].F[i[1]])
				case *GroupNormalization:
					n, mean, variance := 0.0, 0.0, 0.0
					per := x.Shape[1] / o.NumGroups
					group := func(f func(v float64)) {
						each(x.Shape, func(j []int) {
							if j[0] == i[0] && j[1]/per == i[1]/per {
								f(float64(at(x, j)))
							}
						})
					}
					group(func(u float64) { n++; mean += u })
					mean /= n
					group(func(u float64) { variance += (u - mean) * (u - mean) / n })
					y = (v-mean)/math.Sqrt(variance+0.5)*float64(in[1].F[i[1]]) + float64(in[2].F[i[1]])
				case *LayerNormalization, *LayerNormalizationStats:
					mean, variance, _, _ := stats(from(Attrs(o)[0].Value.(int)))
					inv := 1 / math.Sqrt(variance+0.5)
					y = (v - mean) * inv * float64(at(in[1], i))
					if b := given(in, 2); b != nil {
						y += float64(at(b, i))
					}
					if len(out) == 3 {
						want[1].F[pos(want[1], i)], want[2].F[pos(want[2], i)] = float32(mean), float32(inv)
					}
				case *RMSNormalization:
					_, _, square, _ := stats(from(o.Axis))
					y = v / math.Sqrt(square+0.5) * float64(at(in[1], i))
				case *MeanVarianceNormalization:
					set, _ := axisSet(o.Axes, len(x.Shape))
					mean, variance, _, _ := stats(func(a int) bool { return set[a] })
					y = (v - mean) / (math.Sqrt(variance) + 1e-9)
				case *LpNormalization:
					axis, _ := axisOf(o.Axis, len(x.Shape))
					_, _, square, abs := stats(func(a int) bool { return a == axis })
					if o.P == 2 {
						abs = math.Sqrt(square * float64(x.Shape[axis]))
					}
					if abs > 0 {
						y = v / abs
					}
				case *LRN:
					sum := 0.0
					lo, hi := i[1]-(o.Size-1)/2, i[1]+o.Size/2
					if o.Size%2 == 1 {
						hi = i[1] + (o.Size-1)/2
					}
					each(x.Shape, func(j []int) {
						for a := range j {
							if a != 1 && j[a] != i[a] {
								return
							}
						}
						if j[1] >= lo && j[1] <= hi {
							sum += math.Pow(float64(at(x, j)), 2)
						}
					})
					y = v / math.Pow(1+0.5/float64(o.Size)*sum, 0.75)
				}
				want[0].F[pos(want[0], i)] = float32(y)
			})
			for i := range out {
				near(t, describe(o)+" of "+x.String(), out[i], want[i], 1e-5)
			}
		}
	}
}

// TestNormOfConstants: without variance the result is 0, never a NaN.
func TestNormOfConstants(t *testing.T) {
	x := floats([]int{1, 1, 3}, 2, 2, 2)
	one := floats([]int{1}, 1)
	zero := floats([]int{1, 1, 3}, 0, 0, 0)
	near(t, "MeanVarianceNormalization", run(t, &MeanVarianceNormalization{[]int{2}}, x)[0], zero, 0)
	near(t, "InstanceNormalization", run(t, &InstanceNormalization{1e-5}, x, one, floats([]int{1}, 0))[0], zero, 0)
	near(t, "LpNormalization", run(t, &LpNormalization{-1, 2}, zero)[0], zero, 0)
	near(t, "RMSNormalization", run(t, &RMSNormalization{-1, 1e-5}, zero, one)[0], zero, 0)
}
