package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/hw"
)

// TestRunFloat compares native conversion of inputs with the port's own, in all rounding modes, and counts allocations.
func TestRunFloat(t *testing.T) {
	for _, level := range kernels.Levels() {
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 9))
			p := &hw.Program{Name: "t"}
			shape := []int{1 + r.IntN(6), 1 + r.IntN(6), 1 + r.IntN(6)}
			bits := 2 + r.IntN(15)
			lo := -r.Int64N(1 << bits)
			x := p.NewBuffer("x", shape, hw.Interval{Lo: lo, Hi: lo + 1<<bits - 1})
			x.Port = &hw.Port{Name: "x", Shape: []int{shape[2], shape[0], shape[1]}, Perm: []int{1, 2, 0},
				Quant: &ir.Quant{Scale: []float64{0.25}, Zero: []int64{lo + 3}, Min: lo, Max: lo + 1<<bits - 1, Round: ir.Round(seed % 8)}}
			if seed%3 == 0 {
				x.Port.Shape, x.Port.Perm = []int{shape[1], shape[2], shape[0]}, []int{2, 0, 1}
			}
			k := &hw.Kernel{Name: "k", Kind: hw.KMap, In: []*hw.Buffer{x}, Prog: hw.NewProg(x.Range)}
			k.Prog.OpI(hw.AddI, 0, hw.Scalar(5))
			if err := k.Prog.Analyze(k.ProgIn()); err != nil {
				t.Fatal(err)
			}
			k.Out = p.NewBuffer("y", shape, k.Prog.Out())
			k.Out.Port = port(k.Out)
			p.Kernels, p.Inputs, p.Outputs = []*hw.Kernel{k}, k.In, []*hw.Buffer{k.Out}
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatal(err)
			}
			s := m.NewState()
			in := [][]float32{make([]float32, x.Len())}
			for i := range in[0] {
				in[0][i] = float32(r.IntN(4<<bits)-2<<bits) / 8 // ties, and beyond both ends
			}
			want := make([]int64, x.Len())
			if err := x.Port.Quantize(want, in[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RunFloat(in); err != nil {
				t.Fatal(err)
			}
			if got := s.Buffer(x); !slices.Equal(got, want) {
				t.Fatalf("%v seed %d: got %v, want %v", level, seed, got, want)
			}
			if n := testing.AllocsPerRun(5, func() { _, _ = s.RunFloat(in) }); n > 8 { // portable ports walk with some
				t.Errorf("%v seed %d: %v allocations for a run", level, seed, n)
			}
			in[0][0] = float32(math.NaN())
			if _, err := s.RunFloat(in); err == nil {
				t.Fatalf("%v: NaN was taken", level)
			}
		}
	}
}

// TestAllocations runs all kinds of convolutions without an allocation.
func TestAllocations(t *testing.T) {
	for _, level := range kernels.Levels() {
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 3))
			p := randomDot(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatal(err)
			}
			s, in := m.NewState(), [][]int64{make([]int64, p.Inputs[0].Len())}
			for i := range in[0] {
				in[0][i] = p.Inputs[0].Range.Lo
			}
			if n := testing.AllocsPerRun(2, func() {
				if _, err := s.Run(in); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v seed %d: %v allocations for a run of %s, want none", level, seed, n, code(m.steps[0]))
			}
		}
	}
}
