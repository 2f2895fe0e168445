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
		taken, whole, split, refused := 0, 0, 0, 0
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 21))
			p := randomTiles(r, seed >= 75)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			tiles := false
			switch d := m.steps[0].(type) {
			case *asmDot[int16]:
				_, tiles = d.groups[0].(*kernels.Winograd[int16])
				if tiles && d.own.whole != nil {
					whole++
				}
			case *asmDot[uint8]:
				_, tiles = d.groups[0].(*kernels.Winograd[uint8])
				if tiles && d.own.whole != nil {
					whole++
				}
			case *wide:
				tiles = d.conv.Tiled()
			}
			switch {
			case !tiles:
				refused++
			case seed >= 75:
				split++
			default:
				taken++
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
		if taken < 10 || whole < 5 || level == kernels.AVX2 && split < 5 || refused < 10 {
			t.Errorf("%v: %d convolutions in tiles, %d up to elements, %d of words as bytes, %d others, want more", level, taken, whole, split, refused)
		}
	}
}

// randomTiles is a program of one convolution with windows of 3x3 at every pixel, of elements and weights of up to 16 bits, or at
// every other, too, of about 8.
func randomTiles(r *rand.Rand, words bool) *hw.Program {
	pad, stride := r.IntN(3), 1
	if !words {
		stride += r.IntN(4) / 3
	}
	g := hw.Geometry{H: 6 + r.IntN(14), W: 6 + r.IntN(14), C: 16 + r.IntN(50), OC: 16 + r.IntN(50), KH: 3, KW: 3, SH: stride, SW: stride, DH: 1, DW: 1, PH: pad, PW: pad}
	whole := r.IntN(2) == 0
	if whole {
		g.C, g.OC = 16*(1+r.IntN(4)), 32*(1+r.IntN(2)) // registers
	}
	in := hw.Interval{Hi: 255}
	switch r.IntN(3) {
	case 0:
		in = hw.Interval{Lo: -128, Hi: 127}
	case 1:
		in.Lo = -r.Int64N(400)
		in.Hi = in.Lo + 255
	}
	most := int32(1) << (2 + r.IntN(6))
	if words {
		in = hw.Interval{Lo: -1 << 15, Hi: 1<<15 - 1 - r.Int64N(1000)}
		most = 1 << (12 + r.IntN(4))
		g.H, g.W, g.C, g.OC = 10+r.IntN(6), 10+r.IntN(6), 40+r.IntN(20), 56+r.IntN(20)
	}
	g.OH, g.OW = (g.H+2*pad-3)/stride+1, (g.W+2*pad-3)/stride+1
	g.PadValue = []int64{in.Lo, in.Hi, (in.Lo + in.Hi) / 2, in.Hi + r.Int64N(min(400, 1<<15-in.Hi))}[r.IntN(4)]
	d := &hw.Dot{Geometry: g, Groups: 1, Bias: make([]int64, g.OC)}
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
	if whole || r.IntN(2) == 0 {
		shift, hi := int64(10), int64(255)
		if words {
			shift, hi = 20, 1<<15-1
		}
		prog.OpI([]hw.Prim{hw.RshHalfUp, hw.RshHalfEven}[r.IntN(2)], 0, hw.Scalar(shift))
		prog.Clamp(prog.Last(), 0, hi)
	}
	return oneDot(d, in, prog)
}
