package interp

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir/irtest"
	"quern/ir/op"
	"quern/ir/tensor"
)

// TestConvolve compares the convolutions of backends/kernels with op.Conv: the same bits, so that a network is calibrated and quantized
// alike whatever instructions the CPU has.
func TestConvolve(t *testing.T) {
	for _, level := range kernels.Levels() {
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 7))
			random := func(shape ...int) *tensor.T {
				v := tensor.New(tensor.F32, shape...)
				for i := range v.F {
					v.F[i] = float32(r.NormFloat64())
					if r.IntN(4) == 0 {
						v.F[i] = 0
					}
				}
				return v
			}
			axes, groups := 1+r.IntN(2), 1+r.IntN(2)
			o := &op.Conv{Group: groups}
			x, w := []int{1 + r.IntN(3), groups * (1 + r.IntN(40))}, []int{groups * (1 + r.IntN(70)), 0}
			if r.IntN(3) == 0 {
				o.Group = x[1] // depthwise
				w[0] = x[1] * (1 + r.IntN(3))
			}
			w[1] = x[1] / o.Group
			for range axes {
				x, w = append(x, 3+r.IntN(14)), append(w, 1+r.IntN(3))
				o.Strides = append(o.Strides, 1+r.IntN(2))
				o.Pads = append(o.Pads, r.IntN(3))
			}
			for range axes {
				o.Pads = append(o.Pads, r.IntN(3))
			}
			in := []*tensor.T{random(x...), random(w...), random(w[0])}
			want, err := op.Eval(o, in)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			s, err := o.Spatial(w)
			if err != nil {
				t.Fatal(err)
			}
			g := geometry(s, x, want[0].Shape)
			g.Groups = o.Group
			got := random(want[0].Shape...)
			convolve(kernels.NewFloatConv(level, g, in[1].F, in[2].F), got, in[0])
			if !slices.Equal(got.F, want[0].F) {
				t.Fatalf("%v seed %d: x %v, weights %v, %+v: results differ", level, seed, x, w, o)
			}
		}
	}
}

// TestInPlace has results that may and that may not take the memory of an argument: views of it are read later.
func TestInPlace(t *testing.T) {
	m := newInterp(t, `graph g(%x f32[1,4]) {
  %a f32[1,4] = Add(%x, %x)
  %v f32[4] = Reshape<shape=[4]>(%a)
  %b f32[1,4] = Relu(%a)
  %c f32[1,4] = Add(%b, %x)
  %d f32[1,4] = Relu(%c)
  return %v, %d
}`)
	for range 2 {
		out, err := m.Run([]*tensor.T{tensor.Floats([]int{1, 4}, 1, -2, 3, -4)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v, d := out[0].F, out[1].F; !slices.Equal(v, []float32{2, -4, 6, -8}) || !slices.Equal(d, []float32{3, 0, 9, 0}) {
			t.Errorf("got %v and %v", v, d)
		}
	}
}

// TestAgain runs networks on one input after another: no run may see the one before, and outputs stay what they are.
func TestAgain(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 12))
		g := regionNet(r)
		if seed%2 == 0 {
			g = irtest.RandomGraph(r, irtest.GraphOptions{})
		}
		ins := irtest.RandomInputs(r, g, 4)
		m, err := New(g)
		if err != nil {
			t.Fatal(err)
		}
		state := m.NewState()
		var outs, again [][]*tensor.T
		for _, in := range ins {
			out, err := state.Run(in)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			var kept []*tensor.T
			for _, y := range out {
				kept = append(kept, y.Clone())
			}
			again = append(again, kept)
		}
		for _, in := range ins {
			out, err := m.Run(in, nil)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			outs = append(outs, out)
		}
		for i, in := range ins {
			fresh, err := New(g)
			if err != nil {
				t.Fatal(err)
			}
			want, err := fresh.Run(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, w := range want {
				if !w.Equal(outs[i][k]) || !w.Equal(again[i][k]) {
					t.Fatalf("seed %d, input %d, output %d: got %v and by a State %v, want %v\n%v", seed, i, k, outs[i][k].F, again[i][k].F, w.F, g)
				}
			}
		}
	}
}
