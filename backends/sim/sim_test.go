package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/hw"
)

// randomDot is a program of one convolution with random geometry, groups, padding value and weights.
func randomDot(r *rand.Rand) *hw.Program {
	groups := 1 + r.IntN(9)
	cg, mg := 1+r.IntN(4), 1+r.IntN(5)
	if r.IntN(3) == 0 {
		groups, cg, mg = 1, 1+r.IntN(20), 1+r.IntN(80)
	}
	if r.IntN(4) == 0 {
		groups, cg, mg = 1+r.IntN(9), 1, 1 // depthwise
	}
	g := hw.Geometry{H: 3 + r.IntN(6), W: 3 + r.IntN(6), C: groups * cg, OC: groups * mg, KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), SH: 1 + r.IntN(2), SW: 1 + r.IntN(2),
		DH: 1 + r.IntN(2), DW: 1 + r.IntN(2), PH: r.IntN(3), PW: r.IntN(3)}
	bits, wide := 2+r.IntN(18), int32(1)<<(1+r.IntN(15)) // to what 16 bits cannot hold
	if groups == 1 && r.IntN(2) == 0 {                   // tiles fill rows, and channels registers
		bits, wide = 2+r.IntN(7), 1<<(1+r.IntN(6))
		mg = 16 * (1 + r.IntN(4))
		g.OC, g.SW, g.PW, g.W = mg, 1, 0, 8+(g.KW-1)*g.DW
	}
	out := func(n, p, k, d, s int) int { return max(1, (n+2*p-(k-1)*d-1)/s+1) }
	g.OH, g.OW = out(g.H, g.PH, g.KH, g.DH, g.SH), out(g.W, g.PW, g.KW, g.DW, g.SW)
	in := hw.Interval{Lo: -1 << (bits - 1), Hi: 1<<(bits-1) - 1}
	if r.IntN(2) == 0 {
		in = hw.Interval{Hi: 1<<bits - 1}
	}
	g.PadValue = in.Lo + int64(r.IntN(1<<bits))
	d := &hw.Dot{Geometry: g, Groups: groups}
	for range g.OC * g.KH * g.KW * cg {
		d.Weights = append(d.Weights, r.Int32N(2*wide+1)-wide)
	}
	for range g.OC {
		d.Bias = append(d.Bias, r.Int64N(2001)-1000)
	}
	if err := d.Bound(in); err != nil {
		panic(err)
	}
	prog := hw.NewProg(hw.Interval{})
	v := 0
	if r.IntN(4) > 0 {
		m, t := make([]int64, g.OC), make([]int64, g.OC)
		real := r.IntN(2) == 0 // as lowering makes them: multipliers of 16 bits, fewer bits than the accumulator has, and no ties
		most := 7 + 7*(g.OC%2) // bits of the result
		for i := range m {
			m[i], t[i] = 1+r.Int64N(1000), r.Int64N(20)
			if real {
				m[i], t[i] = 1<<15+1+2*r.Int64N(1<<14), int64(16+max(2, d.Acc[i].Bits()-most))
			}
		}
		v = prog.OpI(hw.MulI, v, hw.PerChannel(m))
		v = prog.OpI([]hw.Prim{hw.RshFloor, hw.RshHalfUp, hw.RshHalfEven, hw.RshHalfAway, hw.RshCeil, hw.RshAway, hw.RshToZero, hw.RshHalfToZero}[r.IntN(8)], v, hw.PerChannel(t))
		v = prog.OpI(hw.AddI, v, hw.Scalar(r.Int64N(9)-4))
		lo := []int64{-100, 0, -30000}[r.IntN(3)]
		prog.Clamp(v, lo, lo+[]int64{255, 100, 60000}[r.IntN(3)])
	} else if r.IntN(2) == 0 {
		randomEnd(r, prog, d.AccRange(), g.OH*g.OW)
	} else if r.IntN(2) == 0 {
		prog.OpI(hw.Wrap, v, hw.Scalar(8))
	}
	return oneDot(d, in, prog)
}

// oneDot is a program of one convolution of elements in a range.
func oneDot(d *hw.Dot, in hw.Interval, prog *hw.Prog) *hw.Program {
	p := &hw.Program{Name: "t"}
	x := p.NewBuffer("x", []int{d.H, d.W, d.C}, in)
	x.Port = port(x)
	if err := prog.Analyze([][]hw.Interval{d.Acc}); err != nil {
		panic(err)
	}
	y := p.NewBuffer("y", []int{d.OH, d.OW, d.OC}, prog.Out())
	y.Port = port(y)
	p.Kernels = []*hw.Kernel{{Name: "k", Kind: hw.KDot, In: []*hw.Buffer{x}, Out: y, Dot: d, Prog: prog}}
	p.Inputs, p.Outputs = []*hw.Buffer{x}, []*hw.Buffer{y}
	return p
}

// port lays a buffer out as it is, at the scale 1.
func port(b *hw.Buffer) *hw.Port {
	return &hw.Port{Name: b.Name, Shape: b.Shape, Perm: []int{0, 1, 2}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: b.Range.Lo, Max: b.Range.Hi}}
}

// elements are random ones of a buffer.
func elements(r *rand.Rand, b *hw.Buffer) []int64 {
	x := make([]int64, b.Len())
	for i := range x {
		x[i] = b.Range.Lo + r.Int64N(b.Range.Hi-b.Range.Lo+1)
	}
	return x
}

// naive is the definition of a Dot kernel, loop by loop.
func naive(k *hw.Kernel, x []int64) []int64 {
	d := k.Dot
	cg, mg := d.C/d.Groups, d.OC/d.Groups
	var y []int64
	vals := make([]int64, k.Prog.Last()+1)
	for oy := range d.OH {
		for ox := range d.OW {
			for o := range d.OC {
				acc := d.Bias[o]
				for ky := range d.KH {
					for kx := range d.KW {
						for c := range cg {
							v := d.PadValue
							if iy, ix, ok := d.Inside(oy, ox, ky, kx); ok {
								v = x[(iy*d.W+ix)*d.C+o/mg*cg+c]
							}
							acc += v * int64(d.Weights[((o*d.KH+ky)*d.KW+kx)*cg+c])
						}
					}
				}
				vals[0] = acc
				y = append(y, k.Prog.Eval(vals, o, oy*d.OW+ox))
			}
		}
	}
	return y
}

// TestDot compares every level of this CPU with the definition, and counts the kinds of code that did the work.
func TestDot(t *testing.T) {
	for _, level := range kernels.Levels() {
		used := map[string]int{}
		for seed := range uint64(800) {
			r := rand.New(rand.NewPCG(seed, 3))
			p := randomDot(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			used[code(m.steps[0])]++
			if folded(m.steps[0]) {
				used["folded"]++
			}
			if whole(m.steps[0]) {
				used["whole"]++
			}
			s := m.NewState()
			for range 2 { // the second run must not see the first
				x := elements(r, p.Inputs[0])
				got, err := s.Run([][]int64{x})
				if err != nil {
					t.Fatal(err)
				}
				if want := naive(p.Kernels[0], x); !slices.Equal(got[0], want) {
					t.Fatalf("%v seed %d: got %v, want %v\n%v", level, seed, got[0], want, p)
				}
			}
		}
		want := map[kernels.Level][]string{
			kernels.Generic: {"go 8", "go 16", "go 64"},
			kernels.AVX2:    {"go 64", "native 16", "native 16 to 16", "wide", "folded", "whole"},
			kernels.AVX512:  {"go 64", "native 8", "native 8 to 8", "native 8 to 16", "native 16", "native 16 to 8", "native 16 to 16", "wide", "folded", "whole"},
		}[level]
		for _, w := range want {
			if used[w] < 3 {
				t.Errorf("%v: no programs of kind %q: %v", level, w, used)
			}
		}
	}
}

// TestDotRefused has a window of so many taps that no native code sums it up beyond 32 bits.
func TestDotRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	d := &hw.Dot{Geometry: hw.Geometry{H: 24, W: 24, C: 2, OC: 2, KH: 24, KW: 24, SH: 1, SW: 1, DH: 1, DW: 1, OH: 1, OW: 1}, Groups: 2, Bias: make([]int64, 2)}
	for range 2 * 24 * 24 {
		d.Weights = append(d.Weights, 1<<14+r.Int32N(1<<14))
	}
	in := hw.Interval{Lo: -1 << 15, Hi: 1<<15 - 1}
	if err := d.Bound(in); err != nil {
		t.Fatal(err)
	}
	p := oneDot(d, in, hw.NewProg(hw.Interval{}))
	for _, level := range kernels.Levels() {
		m, err := newMachine(p, level)
		if err != nil {
			t.Fatal(err)
		}
		x := elements(r, p.Inputs[0])
		got, err := m.NewState().Run([][]int64{x})
		if want := naive(p.Kernels[0], x); err != nil || code(m.steps[0]) != "go 16" || !slices.Equal(got[0], want) {
			t.Errorf("%v: %s: got %v, %v, want %v", level, code(m.steps[0]), got, err, want)
		}
	}
}

// code says what kind of code a convolution is.
func code(r runner) string {
	switch r := r.(type) {
	case *goDot[uint8]:
		return "go 8"
	case *goDot[int16]:
		return "go 16"
	case *goDot[int64]:
		return "go 64"
	case *asmDot[uint8]:
		return "native 8" + to(&r.own)
	case *wide:
		return "wide"
	case *asmDot[int16]:
		return "native 16" + to(&r.own)
	}
	return "other"
}

// folded says whether a convolution takes neighbouring pixels as one.
func folded(r runner) bool {
	switch r := r.(type) {
	case *asmDot[uint8]:
		return r.fold > 1
	case *asmDot[int16]:
		return r.fold > 1
	}
	return false
}

// whole says whether sums are requantized where they arise.
func whole(r runner) bool {
	switch r := r.(type) {
	case *asmDot[uint8]:
		w, ok := r.own.whole.(*wholeTo[uint8, uint8])
		if ok {
			_, ok = w.kernel.(*kernels.RequantConv[uint8])
		}
		return ok
	case *asmDot[int16]:
		w, ok := r.own.whole.(*wholeTo[int16, int16])
		if ok {
			_, ok = w.kernel.(*kernels.RequantConv[int16])
		}
		return ok
	}
	return false
}

// to says which elements native code makes.
func to[X uint8 | int16](d *dotOutput[X]) string {
	switch d.whole.(type) {
	case *wholeTo[X, uint8]:
		return " to 8"
	case *wholeTo[X, int16]:
		return " to 16"
	}
	if areas := d.chunks[0].areas; areas != nil {
		switch areas[0][0].rows.(type) {
		case rowsTo[uint8]:
			return " to 8"
		case rowsTo[int16]:
			return " to 16"
		}
	}
	return ""
}

func TestRun(t *testing.T) {
	p := randomDot(rand.New(rand.NewPCG(5, 5)))
	m, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]int64, p.Inputs[0].Len())
	want, err := m.NewState().Run([][]int64{x})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := m.NewState()
			for range 20 {
				if got, err := s.Run([][]int64{x}); err != nil || !slices.Equal(got[0], want[0]) {
					t.Errorf("in parallel: %v, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	s := m.NewState()
	in := [][]int64{x}
	if n := testing.AllocsPerRun(20, func() {
		if _, err := s.Run(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a run, want none", n)
	}
	x[0] = p.Inputs[0].Range.Hi + 1
	if _, err := s.Run(in); err == nil {
		t.Error("an input outside its range was taken")
	}
}
