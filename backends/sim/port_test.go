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
			bits := 2 + r.IntN(15)
			p := withInput(t, r, bits, ir.Round(seed%8))
			x := p.Inputs[0]
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

// withInput is a program that adds 5 to an image of a random size, in one of three layouts.
func withInput(t *testing.T, r *rand.Rand, bits int, round ir.Round) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "t"}
	shape := []int{1 + r.IntN(6), 1 + r.IntN(6), 1 + r.IntN(6)}
	lo := -r.Int64N(1 << bits)
	x := p.NewBuffer("x", shape, hw.Interval{Lo: lo, Hi: lo + 1<<bits - 1})
	x.Port = &hw.Port{Name: "x", Quant: &ir.Quant{Scale: []float64{0.25}, Zero: []int64{lo + 3}, Min: lo, Max: lo + 1<<bits - 1, Round: round}}
	x.Port.Perm = [][]int{{1, 2, 0}, {2, 0, 1}, {0, 1, 2}}[r.IntN(3)]
	x.Port.Shape = make([]int, 3)
	for i, a := range x.Port.Perm {
		x.Port.Shape[a] = shape[i]
	}
	k := &hw.Kernel{Name: "k", Kind: hw.KMap, In: []*hw.Buffer{x}, Prog: hw.NewProg(x.Range)}
	k.Prog.OpI(hw.AddI, 0, hw.Scalar(5))
	if err := k.Prog.Analyze(k.ProgIn()); err != nil {
		t.Fatal(err)
	}
	k.Out = p.NewBuffer("y", shape, k.Prog.Out())
	k.Out.Port = port(k.Out)
	p.Kernels, p.Inputs, p.Outputs = []*hw.Kernel{k}, k.In, []*hw.Buffer{k.Out}
	return p
}

// TestOutputs compares native conversion of outputs with the port's own, of elements of all sizes and in several layouts.
func TestOutputs(t *testing.T) {
	for _, level := range kernels.Levels() {
		for seed := range uint64(120) {
			r := rand.New(rand.NewPCG(seed, 11))
			p := withInput(t, r, 2+r.IntN(22), ir.HalfEven)
			y := p.Outputs[0]
			if seed%2 == 0 {
				p.Inputs[0].Shape = []int{20 + r.IntN(20), 20 + r.IntN(20), 1 + r.IntN(20)}
				y.Shape = p.Inputs[0].Shape
			}
			scale := []float64{0.25, float64(float32(r.Float64())), r.Float64()}[r.IntN(3)]
			y.Port = &hw.Port{Name: "y", Perm: p.Inputs[0].Port.Perm, Shape: make([]int, 3), Quant: &ir.Quant{Scale: []float64{scale}, Zero: []int64{y.Range.Lo}, Min: y.Range.Lo, Max: y.Range.Hi}}
			for i, a := range y.Port.Perm {
				y.Port.Shape[a] = y.Shape[i]
			}
			p.Inputs[0].Port.Shape = y.Port.Shape
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatal(err)
			}
			x, in := elements(r, p.Inputs[0]), make([]float32, y.Len())
			p.Inputs[0].Port.Dequantize(in, x)
			s := m.NewState()
			got, err := s.RunFloat([][]float32{in})
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float32, y.Len())
			y.Port.Dequantize(want, s.Buffer(y))
			if !slices.Equal(got[0], want) {
				t.Fatalf("%v seed %d: got %v, want %v", level, seed, got[0], want)
			}
		}
	}
}

// TestRunPixels compares bytes with the reals that they stand for.
func TestRunPixels(t *testing.T) {
	for _, level := range kernels.Levels() {
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 10))
			bits := 2 + r.IntN(15)
			p := withInput(t, r, bits, ir.Round(seed%8))
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatal(err)
			}
			port := p.Inputs[0].Port
			interleaved := seed%2 == 0
			planes := port.Shape[0]
			if interleaved {
				planes = port.Shape[2]
			}
			tables := make([][256]float32, []int{1, planes}[r.IntN(2)])
			for c := range tables {
				for i := range tables[c] {
					tables[c][i] = float32(r.IntN(4<<bits)-2<<bits) / 8 // ties, and beyond both ends
				}
			}
			px := m.NewPixels(tables, planes, interleaved)
			if px == nil {
				t.Fatalf("%v seed %d: refused", level, seed)
			}
			bytes := make([]uint8, p.Inputs[0].Len())
			reals := make([]float32, len(bytes))
			pixels := len(bytes) / planes
			for i := range bytes {
				bytes[i] = uint8(r.Uint32())
				to := i
				if interleaved {
					to = i%pixels*planes + i/pixels
				}
				reals[to] = tables[i/pixels%len(tables)][bytes[i]]
			}
			a, b := m.NewState(), m.NewState()
			want, err := a.RunFloat([][]float32{reals})
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.RunPixels(px, bytes)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got[0], want[0]) || !slices.Equal(b.Buffer(p.Inputs[0]), a.Buffer(p.Inputs[0])) {
				t.Fatalf("%v seed %d: got %v, want %v", level, seed, got, want)
			}
			if n := testing.AllocsPerRun(3, func() { _, _ = b.RunPixels(px, bytes) }); n != 0 {
				t.Errorf("%v seed %d: %v allocations for a run, want none", level, seed, n)
			}
			if _, err := b.RunPixels(px, bytes[1:]); err == nil {
				t.Errorf("%v seed %d: a sample that is too short was taken", level, seed)
			}
			tables[0][9] = float32(math.NaN())
			if m.NewPixels(tables, planes, interleaved) != nil {
				t.Errorf("%v seed %d: NaN was taken", level, seed)
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
