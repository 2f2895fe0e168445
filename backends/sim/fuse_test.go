package sim

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// TestFuse compares convolutions with poolings behind them with the portable code, both buffers, and counts those that are one step.
func TestFuse(t *testing.T) {
	for _, level := range kernels.Levels() {
		if level == kernels.Generic {
			continue
		}
		fused, foldedToo, lanes, tiles, whole, pools := 0, 0, 0, 0, 0, 0
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, 11))
			p := randomPool(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			fold := 0
			switch d := m.steps[0].(type) {
			case pooled[uint8]:
				fold = d.fold
				switch d.pool.whole.(type) {
				case *pixelDot[uint8]:
					lanes++
				case *wholeTo[uint8, uint8], *wholeTo[uint8, int16]:
					whole++
				}
			case pooled[int16]:
				fold = d.fold
				switch d.pool.whole.(type) {
				case *pixelDot[int16]:
					lanes++
				case *wholeTo[int16, uint8], *wholeTo[int16, int16]:
					whole++
				}
				if _, ok := d.groups[0].(*kernels.Winograd[int16]); ok {
					tiles++
				}
			}
			if fold > 0 {
				fused++
			}
			if fold > 1 {
				foldedToo++
			}
			if c := code(m.steps[0]); c == "native 8 to 8" || c == "native 16 to 16" {
				pools++
			}
			g, err := newMachine(p, kernels.Generic)
			if err != nil {
				t.Fatal(err)
			}
			s, want := m.NewState(), g.NewState()
			for range 2 { // the second run must not see the first
				x := elements(r, p.Inputs[0])
				if _, err := s.Run([][]int64{x}); err != nil {
					t.Fatal(err)
				}
				if _, err := want.Run([][]int64{x}); err != nil {
					t.Fatal(err)
				}
				for _, k := range p.Kernels {
					if got, want := s.Buffer(k.Out), want.Buffer(k.Out); !slices.Equal(got, want) {
						t.Fatalf("%v seed %d: %s: got %v, want %v\n%v", level, seed, k.Name, got, want, p)
					}
				}
			}
		}
		if fused < 50 || foldedToo < 20 || lanes < 20 || level == kernels.AVX2 && tiles < 10 || whole < 5 || pools < 20 {
			t.Errorf("%v: %d poolings are a part of convolutions, %d of folded ones, %d with pixels in lanes, %d of those by Winograd, %d of whole tiles, %d are not", level, fused, foldedToo, lanes, tiles, whole, pools)
		}
	}
}

// randomPool is a convolution of few channels, a pooling of its maxima and a convolution that wants a border.
func randomPool(r *rand.Rand) *hw.Program {
	p := &hw.Program{Name: "t"}
	x := p.NewBuffer("x", []int{3 + r.IntN(40), 3 + r.IntN(40), 1 + r.IntN(4)}, hw.Interval{Hi: 255})
	x.Port = port(x)
	p.Inputs = []*hw.Buffer{x}
	few := 20
	if r.IntN(4) == 0 {
		x.Shape[2], few = 24, 40 // Winograd pays
	} else if r.IntN(3) == 0 {
		few = 6 // pixels in lanes pay
	}
	if r.IntN(2) == 0 {
		x.Shape[0], x.Shape[1] = x.Shape[0]|2, (x.Shape[1]+4)&^3+2 // 4 neighbours to fold, with windows of 3
	}
	dot := func(name string, x *hw.Buffer, oc, k, pad int) *hw.Buffer {
		h, w, c := x.Shape[0], x.Shape[1], x.Shape[2]
		d := &hw.Dot{Groups: 1, Geometry: hw.Geometry{H: h, W: w, C: c, OC: oc, OH: h + 2*pad - k + 1, OW: w + 2*pad - k + 1, KH: k, KW: k, SH: 1, SW: 1, DH: 1, DW: 1, PH: pad, PW: pad}}
		for range oc * k * k * c {
			d.Weights = append(d.Weights, r.Int32N(255)-127)
		}
		d.Bias = make([]int64, oc)
		if err := d.Bound(x.Range); err != nil {
			panic(err)
		}
		prog := hw.NewProg(hw.Interval{})
		m := make([]int64, oc)
		for i := range m {
			m[i] = 1 + r.Int64N(300)
		}
		if r.IntN(6) == 0 {
			m[r.IntN(oc)] *= -1
		}
		v := prog.OpI(hw.MulI, 0, hw.PerChannel(m))
		shift := 5 + r.Int64N(15)
		if oc%16 == 0 {
			shift = 14 + r.Int64N(6) // results before limits fit 16 bits
		}
		v = prog.OpI(hw.RshHalfEven, v, hw.Scalar(shift))
		prog.Clamp(v, 0, 255)
		if err := prog.Analyze([][]hw.Interval{d.Acc}); err != nil {
			panic(err)
		}
		y := p.NewBuffer(name, []int{d.OH, d.OW, oc}, prog.Out())
		p.Kernels = append(p.Kernels, &hw.Kernel{Name: name, Kind: hw.KDot, In: []*hw.Buffer{x}, Out: y, Dot: d, Prog: prog})
		return y
	}
	oc := 1 + r.IntN(few)
	if few == 40 && r.IntN(2) == 0 {
		oc = 16 * (1 + r.IntN(3)) // whole registers
	}
	y := dot("a", x, oc, []int{1, 3}[min(r.IntN(4), 1)], 0)
	h, w, c := y.Shape[0], y.Shape[1], y.Shape[2]
	win := &hw.Window{Reduce: hw.ReduceMax, Geometry: hw.Geometry{H: h, W: w, C: c, OC: c, OH: (h-2)/2 + 1, OW: (w-2)/2 + 1, KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}}
	if h < 2 || w < 2 {
		win.OH, win.OW, win.KH, win.KW = h, w, 1, 1
		win.SH, win.SW = 1, 1
	}
	if err := win.Bound(y.Range); err != nil {
		panic(err)
	}
	prog := hw.NewProg(win.Acc)
	if err := prog.Analyze([][]hw.Interval{{win.Acc}}); err != nil {
		panic(err)
	}
	z := p.NewBuffer("b", []int{win.OH, win.OW, c}, prog.Out())
	p.Kernels = append(p.Kernels, &hw.Kernel{Name: "b", Kind: hw.KWindow, In: []*hw.Buffer{y}, Out: z, Window: win, Prog: prog})
	out := dot("c", z, 1+r.IntN(9), 1, 0)
	if r.IntN(2) == 0 && win.OH > 2 && win.OW > 2 {
		p.Kernels = p.Kernels[:2]
		p.Buffers = p.Buffers[:3]
		out = dot("c", z, 3, 3, 1)
	}
	out.Port = port(out)
	p.Outputs = []*hw.Buffer{out}
	return p
}
