package op

import (
	"math/rand/v2"
	"testing"

	"quern/ir/tensor"
)

func TestConvTranspose(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for range 600 {
		o, in := likely["ConvTranspose"](r)
		c := o.(*ConvTranspose)
		x, w := in[0], in[1]
		types, err := o.Infer(typesOf(in))
		if err != nil {
			continue // the pads crop more than there is
		}
		want := tensor.New(tensor.F32, types[0].Shape...)
		if b := given(in, 2); b != nil {
			each(want.Shape, func(i []int) { want.F[pos(want, i)] = b.F[i[1]] })
		}
		k := len(c.Strides)
		cg, mg := w.Shape[0]/c.Group, w.Shape[1]
		to := make([]int, len(x.Shape))
		each(x.Shape, func(i []int) {
			each(w.Shape[1:], func(q []int) {
				to[0], to[1] = i[0], i[1]/cg*mg+q[0]
				for a := range k {
					to[2+a] = i[2+a]*c.Strides[a] + q[1+a]*c.Dilations[a] - c.Pads[a]
					if to[2+a] < 0 || to[2+a] >= want.Shape[2+a] {
						return
					}
				}
				want.F[pos(want, to)] += at(x, i) * at(w, append([]int{i[1]}, q...))
			})
		})
		near(t, describe(o), run(t, o, in...)[0], want, 0)
	}
	// By hand: kernel 3, stride 2; one pixel of the full result (7) is cut at the begin, one added at the end.
	x, w := floats([]int{1, 1, 3}, 1, 2, 3), floats([]int{1, 1, 3}, 1, 10, 100)
	o := &ConvTranspose{Group: 1, Strides: []int{2}, Pads: []int{1, 0}, OutputPadding: []int{1}}
	near(t, "by hand", run(t, o, x, w)[0], floats([]int{1, 1, 7}, 10, 102, 20, 203, 30, 300, 0), 0)
}
