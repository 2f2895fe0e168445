package sim

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// TestWinograd compares convolutions in tiles with the definition, for ranges and borders that they take and do not take.
func TestWinograd(t *testing.T) {
	for _, level := range kernels.Levels()[1:] {
		taken, refused := 0, 0
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 21))
			p := randomTiles(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			tiles := false
			if d, ok := m.steps[0].(*asmDot[int16]); ok {
				_, tiles = d.groups[0].(*kernels.Winograd[int16])
			}
			if tiles {
				taken++
			} else {
				refused++
			}
			s := m.NewState()
			for range 2 { // the second run must not see the first
				x := make([]int64, p.Inputs[0].Len())
				in := p.Inputs[0].Range
				for i := range x {
					x[i] = []int64{in.Lo, in.Hi, in.Lo + r.Int64N(in.Hi-in.Lo+1)}[r.IntN(3)]
				}
				got, err := s.Run([][]int64{x})
				if err != nil {
					t.Fatal(err)
				}
				if want := naive(p.Kernels[0], x); !slices.Equal(got[0], want) {
					t.Fatalf("%v seed %d, in tiles %v: got %v, want %v\n%v", level, seed, tiles, got[0], want, p)
				}
			}
		}
		if taken < 20 || refused < 10 {
			t.Errorf("%v: %d convolutions in tiles, %d others, want more", level, taken, refused)
		}
	}
}

// randomTiles is a program of one convolution with windows of 3x3 at every pixel.
func randomTiles(r *rand.Rand) *hw.Program {
	pad := r.IntN(3)
	g := hw.Geometry{H: 6 + r.IntN(10), W: 6 + r.IntN(10), C: 16 + r.IntN(20), OC: 16 + r.IntN(20), KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: pad, PW: pad}
	g.OH, g.OW = g.H+2*pad-2, g.W+2*pad-2
	in := hw.Interval{Hi: 255}
	switch r.IntN(3) {
	case 0:
		in = hw.Interval{Lo: -128, Hi: 127}
	case 1:
		in.Lo = -r.Int64N(400)
		in.Hi = in.Lo + 255
	}
	g.PadValue = []int64{in.Lo, in.Hi, (in.Lo + in.Hi) / 2, in.Hi + r.Int64N(400)}[r.IntN(4)]
	d := &hw.Dot{Geometry: g, Groups: 1, Bias: make([]int64, g.OC)}
	most := int32(1) << (2 + r.IntN(6))
	for range g.OC * 9 * g.C {
		d.Weights = append(d.Weights, r.Int32N(2*most)-most)
	}
	for i := range d.Bias {
		d.Bias[i] = r.Int64N(2001) - 1000
	}
	if err := d.Bound(in); err != nil {
		panic(err)
	}
	prog := hw.NewProg(hw.Interval{})
	if r.IntN(2) == 0 {
		prog.OpI(hw.RshHalfUp, 0, hw.Scalar(10))
		prog.Clamp(prog.Last(), 0, 255)
	}
	return oneDot(d, in, prog)
}
