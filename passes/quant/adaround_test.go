package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// TestReconstruct: behind a Relu, no channel is worse on the images held out, some are better on images that nobody has seen, each integer is the old one
// or the one beside it and in range, and the result is the same again.
func TestReconstruct(t *testing.T) {
	const rows, k, images = 20, 40, 2000
	r := rand.New(rand.NewPCG(11, 11))
	mix := make([]float32, k*k)
	for i := range mix {
		mix[i] = float32(r.NormFloat64())
	}
	x := make([]*tensor.T, 2*images)
	for i := range x {
		x[i] = tensor.New(tensor.F32, 1, k)
		for j := range k {
			z := float32(r.NormFloat64())
			for c := range k {
				x[i].F[c] += z * mix[j*k+c] / 3
			}
		}
	}
	e := tensor.U(8)
	y := &ir.Value{Name: "y", Type: ir.Type{Elem: e, Shape: []int{1, rows}, Quant: ir.NewQuant(e, 0.05, 0)}} // 0 to 12.75, as behind a Relu
	l := &layer{groups: 1, rows: rows, k: k, w: make([]float32, rows*k), bias: make([]float32, rows), node: &ir.Node{Op: &op.Gemm{}, Out: []*ir.Value{y}}}
	for i := range l.w {
		l.w[i] = float32(r.NormFloat64())
	}
	for i := range l.bias {
		l.bias[i] = float32(r.NormFloat64() - 4)
	}
	at := func(i int) (xf, xq *tensor.T) { return x[i], x[i] }
	ms, err := l.gather(images, at, nil, 1, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	ms[0].centre()
	for _, bits := range []int{2, 3} {
		o, err := newObjective(ms[0], l.w, true)
		if err != nil {
			t.Fatal(err)
		}
		top := float64(int64(1)<<(bits-1) - 1)
		c := &Config{}
		rd := &rounder{c: c, on: all(t), top: top, w0: l.w, rows: rows, objs: []*objective{o}}
		w := tensor.Floats([]int{rows, k}, l.w...)
		rd.run(c.WeightQuant(w, 0, bits))
		old := append([]float64(nil), rd.q...)
		loss := func(q []float64) (sum float64) {
			for i := images; i < 2*images; i++ {
				for row := range rows {
					f, g := float64(l.bias[row]), float64(l.bias[row])+ms[0].y[row]
					for j := range k {
						f += float64(l.w[row*k+j]) * float64(x[i].F[j])
						g += rd.scale[row] * q[row*k+j] * (float64(x[i].F[j]) - ms[0].x[j])
					}
					d := max(0, min(f, 12.75)) - max(0, min(g, 12.75))
					sum += d * d
				}
			}
			return sum
		}
		if err := l.reconstruct(rd, ms, images, at, nil, true, 3); err != nil {
			t.Fatal(err)
		}
		changed := 0
		for i, q := range rd.q {
			if math.Abs(q-old[i]) > 1 || math.Abs(q) > top || q != math.Trunc(q) {
				t.Fatalf("%d bits: weight %d was %v and is %v", bits, i, old[i], q)
			}
			if q != old[i] {
				changed++
			}
		}
		before, after := loss(old), loss(rd.q)
		t.Logf("%d bits: %d of %d integers changed, error %.4g of %.4g", bits, changed, len(old), after, before)
		if !(after < before) {
			t.Errorf("%d bits: error %v on new images, %v before; %d integers changed", bits, after, before, changed)
		}
		first := append([]float64(nil), rd.q...)
		copy(rd.q, old)
		if err := l.reconstruct(rd, ms, images, at, nil, true, 3); err != nil {
			t.Fatal(err)
		}
		for i, q := range rd.q {
			if q != first[i] {
				t.Fatalf("%d bits: weight %d is %v, the first time %v", bits, i, q, first[i])
			}
		}
	}
}
