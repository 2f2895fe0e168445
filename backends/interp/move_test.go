package interp

import (
	"math/rand/v2"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// TestMoves compares prepared moves with the operators' own kernels, for copies of runs and of single elements.
func TestMoves(t *testing.T) {
	runs, single := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 13))
		shape := []int{1 + r.IntN(3), 1 + r.IntN(5), 2 + r.IntN(12), 2 + r.IntN(20)}
		var o ir.Op
		switch {
		case seed%4 == 0:
			o = &op.Transpose{Perm: r.Perm(4)}
		case seed%4 == 1:
			o = &op.Resize{Scales: []float32{1, 1, 0.5 + 2*r.Float32(), []float32{1, 2, 0.6}[r.IntN(3)]}, Mode: "nearest", Coordinates: "half_pixel", Nearest: "floor", Aspect: "stretch"}
		case seed%4 == 2:
			s := &op.Slice{}
			for a := 1; a < 4; a++ {
				step := []int{1, 1, 2, 3, -1, -2}[r.IntN(6)]
				start, end := r.IntN(shape[a]), shape[a]
				if step < 0 {
					end = -shape[a] - 1
				}
				s.Starts, s.Ends, s.Axes, s.Steps = append(s.Starts, start), append(s.Ends, end), append(s.Axes, a), append(s.Steps, step)
			}
			o = s
		default:
			p := &op.Pad{Mode: []string{"constant", "edge", "reflect"}[r.IntN(3)]}
			if p.Mode == "constant" {
				p.Value = []float32{0, -1.5}[r.IntN(2)]
			}
			for a := range 8 {
				p.Pads = append(p.Pads, 0)
				if a%4 > 0 {
					p.Pads[a] = r.IntN(min(3, shape[a%4]))
				}
			}
			if p.Mode == "constant" && r.IntN(2) == 0 {
				p.Pads[2] = -1
			}
			o = p
		}
		x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, shape...)}
		g := &ir.Graph{Name: "g", Inputs: []*ir.Value{x}}
		n, err := g.Append(o, ir.Pos{}, g.Inputs, "y")
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		g.Outputs = n.Out
		m, err := New(g)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			in := []*tensor.T{tensor.New(tensor.F32, shape...)}
			for i := range in[0].F {
				in[0].F[i] = float32(r.NormFloat64())
			}
			got, err := m.Run(in, nil)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			want, err := op.Eval(o, in)
			if err != nil {
				t.Fatal(err)
			}
			if !got[0].Equal(want[0]) {
				t.Fatalf("seed %d: %+v of %v: got %v, want %v", seed, o, in[0].F, got[0].F, want[0].F)
			}
		}
		switch p := m.last.Load().plan; {
		case p.moved[0] == nil:
			t.Errorf("seed %d: %+v of %v was not prepared", seed, o, shape)
		case p.moved[0].runs != nil:
			runs++
		default:
			single++
		}
	}
	if runs < 50 || single < 50 {
		t.Errorf("%d moves of runs and %d of single elements, want more", runs, single)
	}
}
