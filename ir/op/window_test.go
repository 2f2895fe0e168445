package op

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/ir/tensor"
)

// window2 is a random window over one or two axes that fits an input of the given sizes.
type window2 struct{ kernel, stride, dil, pads []int }

func randWindow(r *rand.Rand, size []int, morePads bool) window2 {
	n := len(size)
	w := window2{make([]int, n), make([]int, n), make([]int, n), make([]int, 2*n)}
	for {
		ok := true
		for i := range n {
			w.kernel[i], w.stride[i], w.dil[i] = 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(3)
			extent := (w.kernel[i]-1)*w.dil[i] + 1
			most := extent
			if morePads {
				most += 3
			}
			w.pads[i], w.pads[n+i] = r.IntN(most), r.IntN(most)
			ok = ok && size[i]+w.pads[i]+w.pads[n+i] >= extent
		}
		if ok {
			return w
		}
	}
}

// outSize counts window positions one by one.
func (w window2) outSize(i, in int, ceil bool) int {
	n := len(w.kernel)
	total, extent := in+w.pads[i]+w.pads[n+i], (w.kernel[i]-1)*w.dil[i]+1
	p := 0
	for start := 0; ; start += w.stride[i] {
		fits := start+extent <= total
		partly := ceil && start > 0 && start-w.stride[i]+extent < total && start < in+w.pads[i]
		if !fits && !partly {
			return p
		}
		p++
	}
}

// as2d gives a shape [N,C,W] a height of 1.
func as2d(t *tensor.T) *tensor.T {
	if s := t.Shape; len(s) == 3 {
		return t.Reshape(s[0], s[1], 1, s[2])
	}
	return t
}

func (w window2) as2d() window2 {
	if len(w.kernel) == 2 {
		return w
	}
	return window2{[]int{1, w.kernel[0]}, []int{1, w.stride[0]}, []int{1, w.dil[0]}, []int{0, w.pads[0], 0, w.pads[1]}}
}

// slide calls f for every output pixel and every tap, inside the input or not.
func (w window2) slide(oh, ow int, f func(oy, ox, ky, kx, iy, ix int)) {
	for oy := range oh {
		for ox := range ow {
			for ky := range w.kernel[0] {
				for kx := range w.kernel[1] {
					f(oy, ox, ky, kx, oy*w.stride[0]-w.pads[0]+ky*w.dil[0], ox*w.stride[1]-w.pads[1]+kx*w.dil[1])
				}
			}
		}
	}
}

func TestConv(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	ways := map[string]int{}
	for range 1500 {
		size := randShape(r, 1+r.IntN(2), 7)
		w := randWindow(r, size, true)
		group, cg, mg := 1+r.IntN(3), 1+r.IntN(3), 1+r.IntN(6)
		if r.IntN(4) == 0 { // pointwise
			for i := range size {
				w.kernel[i], w.stride[i], w.pads[i], w.pads[len(size)+i] = 1, 1+r.IntN(2)*r.IntN(2), r.IntN(4)/3, 0
			}
		}
		x := randT(r, tensor.F32, append([]int{1 + r.IntN(2), group * cg}, size...)...)
		weights := randT(r, tensor.F32, append([]int{group * mg, cg}, w.kernel...)...)
		in := []*tensor.T{x, weights}
		var bias *tensor.T
		if r.IntN(2) == 0 {
			bias = randT(r, tensor.F32, group*mg)
			in = append(in, bias)
		} else if r.IntN(2) == 0 {
			in = append(in, nil)
		}
		o := &Conv{Group: group, Strides: w.stride, Pads: w.pads, Dilations: w.dil}
		y := run(t, o, in...)[0]

		shape := []int{x.Shape[0], group * mg}
		for i, d := range size {
			shape = append(shape, w.outSize(i, d, false))
		}
		want := tensor.New(tensor.F32, shape...)
		x2, w2, y2 := as2d(x), as2d(weights), as2d(want)
		oh, ow := y2.Shape[2], y2.Shape[3]
		for n := range shape[0] {
			for m := range group * mg {
				if bias != nil {
					for i := range oh * ow {
						y2.F[pos(y2, []int{n, m, i / ow, i % ow})] = bias.F[m]
					}
				}
				for c := range cg {
					w.as2d().slide(oh, ow, func(oy, ox, ky, kx, iy, ix int) {
						if iy >= 0 && iy < x2.Shape[2] && ix >= 0 && ix < x2.Shape[3] {
							y2.F[pos(y2, []int{n, m, oy, ox})] += x2.F[pos(x2, []int{n, m/mg*cg + c, iy, ix})] * w2.F[pos(w2, []int{m, c, ky, kx})]
						}
					})
				}
			}
		}
		near(t, describe(o), y, want, 0)
		switch pointwise := tensor.Numel(w.kernel) == 1; {
		case cg == 1 && mg <= 4:
			ways["loop"]++
		case pointwise && tensor.Numel(size) == oh*ow:
			ways["direct"]++
		default:
			ways["im2col"]++
		}
	}
	for _, way := range []string{"loop", "direct", "im2col"} {
		if ways[way] < 50 {
			t.Errorf("only %d cases of kind %s", ways[way], way)
		}
	}
}

func TestPools(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 1500 {
		size := randShape(r, 1+r.IntN(2), 8)
		w := randWindow(r, size, false)
		ceil, include := r.IntN(2) == 0, r.IntN(2) == 0
		x := randT(r, tensor.F32, append([]int{1 + r.IntN(2), 1 + r.IntN(3)}, size...)...)
		shape := []int{x.Shape[0], x.Shape[1]}
		for i, d := range size {
			shape = append(shape, w.outSize(i, d, ceil))
		}
		top, mean := tensor.New(tensor.F32, shape...), tensor.New(tensor.F32, shape...)
		x2, top2, mean2, v := as2d(x), as2d(top), as2d(mean), w.as2d()
		fill(top.F, float32(math.Inf(-1)))
		n := make([]int, top.Len())
		for b := range shape[0] {
			for c := range shape[1] {
				v.slide(top2.Shape[2], top2.Shape[3], func(oy, ox, ky, kx, iy, ix int) {
					at := pos(top2, []int{b, c, oy, ox})
					h, wd := x2.Shape[2], x2.Shape[3]
					if iy >= 0 && iy < h && ix >= 0 && ix < wd {
						p := x2.F[pos(x2, []int{b, c, iy, ix})]
						top2.F[at] = max(top2.F[at], p)
						mean2.F[at] += p
						n[at]++
					} else if include && iy < h+v.pads[2] && ix < wd+v.pads[3] {
						n[at]++
					}
				})
			}
		}
		for i := range mean.F {
			if n[i] > 0 {
				mean.F[i] /= float32(n[i])
			}
		}
		m := &MaxPool{w.kernel, w.stride, w.pads, w.dil, ceil}
		near(t, describe(m), run(t, m, x)[0], top, 0)
		a := &AveragePool{w.kernel, w.stride, w.pads, w.dil, ceil, include}
		near(t, describe(a), run(t, a, x)[0], mean, 0)
	}
}

// TestPoolByHand: the cases in which frameworks differ.
func TestPoolByHand(t *testing.T) {
	x := floats([]int{1, 1, 4}, 1, 2, 4, 8)
	for _, c := range []struct {
		op   Op
		want []float32
	}{
		{&AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 0}}, []float32{1.5, 14. / 3}},
		{&AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 0}, CountIncludePad: true}, []float32{1, 14. / 3}},
		// The third window has one element, one padding and one tap beyond that.
		{&AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 1}, CeilMode: true}, []float32{1.5, 14. / 3, 8}},
		{&AveragePool{KernelShape: []int{3}, Strides: []int{2}, Pads: []int{1, 1}, CeilMode: true, CountIncludePad: true},
			[]float32{1, 14. / 3, 4}},
		{&MaxPool{KernelShape: []int{2}, Strides: []int{3}, CeilMode: true}, []float32{2, 8}},
		// A window that would start in the end padding is dropped.
		{&MaxPool{KernelShape: []int{2}, Strides: []int{5}, Pads: []int{0, 1}, CeilMode: true}, []float32{2}},
		{&MaxPool{KernelShape: []int{2}, Pads: []int{1, 1}}, []float32{1, 2, 4, 8, 8}},
		{&MaxPool{KernelShape: []int{2}, Dilations: []int{2}}, []float32{4, 8}},
	} {
		y := run(t, c.op, x)[0]
		near(t, describe(c.op), y, floats([]int{1, 1, len(c.want)}, c.want...), 1e-6)
	}
	neg := floats([]int{1, 1, 2}, -3, -1)
	near(t, "padding never wins", run(t, &MaxPool{KernelShape: []int{2}, Pads: []int{1, 0}}, neg)[0], floats([]int{1, 1, 2}, -3, -1), 0)
	near(t, "global max", run(t, &GlobalMaxPool{}, neg)[0], floats([]int{1, 1, 1}, -1), 0)
	img := floats([]int{1, 2, 2, 2}, 1, 2, 3, 6, -1, -2, -3, -4)
	near(t, "global mean", run(t, &GlobalAveragePool{}, img)[0], floats([]int{1, 2, 1, 1}, 3, -2.5), 0)
	near(t, "global max", run(t, &GlobalMaxPool{}, img)[0], floats([]int{1, 2, 1, 1}, 6, -1), 0)
}

func TestGemmAndMatMul(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 400 {
		m, k, n := 1+r.IntN(5), r.IntN(5), 1+r.IntN(5)
		o := &Gemm{Alpha: float32(r.IntN(5)-2) / 2, Beta: float32(r.IntN(5)-2) / 2, TransA: r.IntN(2) == 0, TransB: r.IntN(2) == 0}
		a, b := randT(r, tensor.F32, m, k), randT(r, tensor.F32, k, n)
		c := randT(r, tensor.F32, [][]int{{}, {1}, {n}, {1, n}, {m, 1}, {m, n}, {1, 1}}[r.IntN(7)]...)
		want := tensor.New(tensor.F32, m, n)
		each(want.Shape, func(i []int) {
			s := float32(0)
			for q := range k {
				s += a.F[i[0]*k+q] * b.F[q*n+i[1]]
			}
			want.F[pos(want, i)] = o.Alpha * s
		})
		in := []*tensor.T{a, b}
		if o.TransA {
			in[0] = a.Permute([]int{1, 0})
		}
		if o.TransB {
			in[1] = b.Permute([]int{1, 0})
		}
		if r.IntN(3) > 0 {
			in = append(in, c)
			each(want.Shape, func(i []int) { want.F[pos(want, i)] += o.Beta * c.F[pos(c, i)] })
		}
		near(t, describe(o), run(t, o, in...)[0], want, 0)

		batch := randShape(r, r.IntN(3), 3)
		as, bs := append(drop(r, batch), m, k), append(drop(r, batch), k, n)
		x, y := randT(r, tensor.F32, as...), randT(r, tensor.F32, bs...)
		lead, err := Broadcast(as[:len(as)-2], bs[:len(bs)-2])
		if err != nil {
			t.Fatal(err)
		}
		want = tensor.New(tensor.F32, append(lead, m, n)...)
		each(want.Shape, func(i []int) {
			j := append([]int{}, i...)
			l := append([]int{}, i...)
			s := float32(0)
			for q := range k {
				j[len(j)-1], l[len(l)-2] = q, q
				s += at(x, j) * at(y, l)
			}
			want.F[pos(want, i)] = s
		})
		near(t, "MatMul", run(t, &MatMul{}, x, y)[0], want, 0)
	}
	v, w := floats([]int{3}, 1, 2, 3), floats([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	near(t, "row", run(t, &MatMul{}, v, w)[0], floats([]int{2}, 22, 28), 0)
	near(t, "column", run(t, &MatMul{}, w.Permute([]int{1, 0}), v)[0], floats([]int{2}, 22, 28), 0)
	near(t, "dot", run(t, &MatMul{}, v, v)[0], floats([]int{}, 14), 0)
}

// at is an element of a float tensor, with broadcasting.
func at(t *tensor.T, idx []int) float32 { return t.F[pos(t, idx)] }

// drop makes a shape that broadcasts to the given one: some sizes are 1, some leading axes are gone.
func drop(r *rand.Rand, shape []int) []int {
	s := append([]int{}, shape[r.IntN(len(shape)+1):]...)
	if r.IntN(2) == 0 {
		s = append([]int{}, shape...)
	}
	for i := range s {
		if r.IntN(3) == 0 {
			s[i] = 1
		}
	}
	return s
}

// TestVolumes compares windows over one to three axes, of reals and of integers, with sums over all indices.
func TestVolumes(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 600 {
		n := 1 + r.IntN(3)
		size := randShape(r, n, 5)
		w := randWindow(r, size, false)
		ceil, include := r.IntN(2) == 0, r.IntN(2) == 0
		elem := []tensor.Elem{tensor.F32, tensor.I(8), tensor.U(8)}[r.IntN(3)]
		group := 1 + r.IntN(2)
		x := randT(r, elem, append([]int{1 + r.IntN(2), 2 * group}, size...)...)
		shape := []int{x.Shape[0], x.Shape[1]}
		for i, d := range size {
			shape = append(shape, w.outSize(i, d, ceil))
		}
		// visit calls f for the taps of output position o: inside the input with the index, in the padding with nil.
		visit := func(o []int, f func(tap, in []int)) {
			each(w.kernel, func(k []int) {
				in, inside, padded := append([]int{}, o[:2]...), true, true
				for i := range k {
					at := o[2+i]*w.stride[i] - w.pads[i] + k[i]*w.dil[i]
					in = append(in, at)
					inside = inside && at >= 0 && at < size[i]
					padded = padded && at < size[i]+w.pads[n+i]
				}
				switch {
				case inside:
					f(k, in)
				case padded:
					f(k, nil)
				}
			})
		}
		best, sum, count := make([]int, tensor.Numel(shape)), make([]float64, tensor.Numel(shape)), make([]int, tensor.Numel(shape))
		whole := true
		i := 0
		each(shape, func(o []int) {
			best[i] = -1
			visit(o, func(_, in []int) {
				if in == nil {
					if include {
						count[i]++
					}
					return
				}
				p := pos(x, in)
				count[i]++
				sum[i] += x.Float(p)
				if best[i] < 0 || x.Float(p) > x.Float(best[i]) {
					best[i] = p
				}
			})
			whole = whole && best[i] >= 0
			i++
		})
		if !whole { // dilation passed over all of the input
			continue
		}
		m := &MaxPool{w.kernel, w.stride, w.pads, w.dil, ceil}
		top := run(t, m, x)[0]
		index := &MaxPoolIndices{w.kernel, w.stride, w.pads, w.dil, ceil, r.IntN(2)}
		at := run(t, index, x)[0]
		for i, p := range best {
			if top.Float(i) != x.Float(p) {
				t.Fatalf("%s of %v: element %d is %v, want %v", describe(m), x, i, top.Float(i), x.Float(p))
			}
			want := p
			if index.StorageOrder == 1 {
				want = p - p%tensor.Numel(size)
				for k, stride := 0, 1; k < n; k++ {
					want += p / tensor.Numel(size[k+1:]) % size[k] * stride
					stride *= size[k]
				}
			}
			if at.I[i] != int64(want) {
				t.Fatalf("%s of %v: element %d is %d, want %d", describe(index), x, i, at.I[i], want)
			}
		}
		if elem != tensor.F32 {
			continue
		}
		a := &AveragePool{w.kernel, w.stride, w.pads, w.dil, ceil, include}
		mean := tensor.New(tensor.F32, shape...)
		for i := range mean.F {
			mean.F[i] = float32(sum[i] / float64(count[i]))
		}
		near(t, describe(a), run(t, a, x)[0], mean, 1e-5)
		if ceil {
			continue
		}
		c := &Conv{Group: group, Strides: w.stride, Pads: w.pads, Dilations: w.dil}
		weights := randT(r, tensor.F32, append([]int{3 * group, 2}, w.kernel...)...)
		want := tensor.New(tensor.F32, append([]int{shape[0], 3 * group}, shape[2:]...)...)
		each(want.Shape, func(o []int) {
			for ch := range 2 {
				from := append([]int{o[0], o[1]/3*2 + ch}, o[2:]...)
				visit(from, func(k, in []int) {
					if in != nil {
						want.F[pos(want, o)] += x.F[pos(x, in)] * weights.F[pos(weights, append([]int{o[1], ch}, k...))]
					}
				})
			}
		})
		near(t, describe(c), run(t, c, x, weights)[0], want, 1e-5)
	}
}
