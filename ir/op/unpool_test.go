package op

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/ir/tensor"
)

// TestLpPool compares with the mean of powers, times the divisor.
func TestLpPool(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 52))
	for range 200 {
		o, in := likely["LpPool"](r)
		p := o.(*LpPool)
		x := in[0].Clone()
		for i, v := range x.F {
			x.F[i] = float32(math.Pow(math.Abs(float64(v)), float64(p.P)))
		}
		a := &AveragePool{p.KernelShape, p.Strides, p.Pads, p.Dilations, p.CeilMode, false}
		want := run(t, a, x)[0]
		s, err := p.Spatial()
		if err != nil {
			t.Fatal(err)
		}
		n := a.Counts(s, x.Shape, want.Shape)
		for i, v := range want.F {
			want.F[i] = float32(math.Pow(float64(v)*float64(n[i%len(n)]), 1/float64(p.P)))
		}
		near(t, describe(o), run(t, o, in...)[0], want, 1e-5)
	}
	near(t, "GlobalLpPool", run(t, &GlobalLpPool{2}, floats([]int{1, 2, 2}, 3, -4, 0, -2))[0], floats([]int{1, 2, 1}, 5, 2), 1e-6)
}

// TestMaxUnpool puts maxima back to where MaxPool found them.
func TestMaxUnpool(t *testing.T) {
	r := rand.New(rand.NewPCG(53, 54))
	for range 200 {
		size := randShape(r, 1+r.IntN(2), 6)
		w := randWindow(r, size, false)
		w.dil = ones(len(size)) // else a window may miss the input
		if slices.ContainsFunc(w.pads, func(p int) bool { return p >= slices.Min(w.kernel) }) {
			w.pads = make([]int, 2*len(size))
		}
		x := randT(r, tensor.F32, append([]int{1 + r.IntN(2), 2}, size...)...)
		p := &MaxPool{w.kernel, w.stride, w.pads, w.dil, false}
		if _, err := p.Infer(typesOf([]*tensor.T{x})); err != nil {
			continue
		}
		top := run(t, p, x)[0]
		at := run(t, &MaxPoolIndices{w.kernel, w.stride, w.pads, w.dil, false, 0}, x)[0]
		want := tensor.New(tensor.F32, x.Shape...)
		for i, k := range at.I {
			want.F[k] = top.F[i]
		}
		u := &MaxUnpool{KernelShape: w.kernel, OutputShape: x.Shape}
		near(t, describe(u), run(t, u, top, at)[0], want, 0)
	}
	u := &MaxUnpool{KernelShape: []int{2}, Strides: []int{2}}
	near(t, "by hand", run(t, u, floats([]int{1, 1, 2}, 5, 6), tensor.Ints(tensor.I64, []int{1, 1, 2}, 1, 2))[0],
		floats([]int{1, 1, 4}, 0, 5, 6, 0), 0)
	_, err := Eval(u, []*tensor.T{floats([]int{1, 1, 1}, 5), tensor.Ints(tensor.I64, []int{1, 1, 1}, 2)})
	if want := "index 2 is outside of the 2 elements of the result"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestCol2Im: the unfolded image, folded again, has each pixel as often as windows have it.
func TestCol2Im(t *testing.T) {
	r := rand.New(rand.NewPCG(55, 56))
	for range 200 {
		o, in := likely["Col2Im"](r)
		c := o.(*Col2Im)
		s, at, err := c.window()
		if err != nil {
			t.Fatal(err)
		}
		col := in[0]
		y := run(t, o, col)[0]
		want := tensor.New(tensor.F32, y.Shape...)
		taps, n := tensor.Numel(s.Kernel), tensor.Numel(at)
		for b := range y.Shape[0] * y.Shape[1] {
			k := 0
			each(s.Kernel, func(tap []int) {
				p := 0
				each(at, func(q []int) {
					to := []int{b / y.Shape[1], b % y.Shape[1]}
					in := true
					for a := range q {
						i := q[a]*s.Stride[a] + tap[a]*s.Dilation[a] - s.Begin[a]
						in = in && i >= 0 && i < c.ImageShape[a]
						to = append(to, i)
					}
					if in {
						want.F[pos(want, to)] += col.F[(b*taps+k)*n+p]
					}
					p++
				})
				k++
			})
		}
		near(t, describe(o), y, want, 0)
	}
}

// TestIntegerProducts compares with the operators on reals, which are exact here.
func TestIntegerProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(57, 58))
	real := func(x, zero *tensor.T, per func(i int) int) *tensor.T {
		y := tensor.New(tensor.F32, x.Shape...)
		for i, v := range x.I {
			if zero != nil {
				v -= zero.I[per(i)%zero.Len()]
			}
			y.F[i] = float32(v)
		}
		return y
	}
	for _, name := range []string{"MatMulInteger", "ConvInteger"} {
		for range 200 {
			o, in := likely[name](r)
			var f Op = &MatMul{}
			a, b := in[0].Shape, in[1].Shape
			perA, perB := func(i int) int { return i / max(1, a[len(a)-1]) % a[len(a)-2] }, func(i int) int { return i % b[len(b)-1] }
			if c, ok := o.(*ConvInteger); ok {
				f = c.conv()
				perB = func(i int) int { return i / tensor.Numel(b[1:]) }
			}
			y := run(t, f, real(in[0], given(in, 2), perA), real(in[1], given(in, 3), perB))[0]
			want := tensor.New(tensor.I32, y.Shape...)
			for i, v := range y.F {
				want.I[i] = int64(v)
			}
			near(t, describe(o), run(t, o, in...)[0], want, 0)
		}
	}
	for _, c := range []struct{ x, want []float32 }{ // values as reals, scale, zero point
		{[]float32{0, 2, -3, -2.5, 1.34, 0.5}, []float32{153, 255, 0, 26, 221, 179, 0.019607844, 153}},
		{[]float32{10, 510}, []float32{5, 255, 2, 0}},
		{[]float32{0, 0}, []float32{0, 0, 1, 0}},
	} {
		out := run(t, &DynamicQuantizeLinear{}, floats([]int{len(c.x)}, c.x...))
		got := append(real(out[0], nil, nil).F, out[1].F[0], float32(out[2].I[0]))
		if !slices.Equal(got, c.want) {
			t.Errorf("DynamicQuantizeLinear of %v: got %v, want %v", c.x, got, c.want)
		}
	}
}
