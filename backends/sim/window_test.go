package sim

import (
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// randomEnd appends a random end of a program to an accumulator: none, a usual requantization, with or without a lookup behind it, or a
// number for each pixel.
func randomEnd(r *rand.Rand, p *hw.Prog, acc hw.Interval, pixels int) {
	table := func(n int) []int64 {
		t := make([]int64, n)
		lo, span := []int64{-128, 0, -30000}[r.IntN(3)], []int64{255, 60000}[r.IntN(2)]
		for i := range t {
			t[i] = lo + r.Int64N(span+1)
		}
		return t
	}
	kind := r.IntN(5)
	if kind == 0 {
		return
	}
	v := p.OpI(hw.MulI, 0, hw.Scalar(1+r.Int64N(1<<15)))
	v = p.OpI(hw.RshFloor+hw.Prim(r.IntN(8)), v, hw.Scalar(int64(acc.Bits()-1+r.IntN(8))))
	lo, n := []int64{-128, 0, -2000}[r.IntN(3)], []int{256, 4096}[r.IntN(2)]
	v = p.Clamp(v, lo, lo+int64(n-1))
	switch kind {
	case 1:
		p.Lookup(v, lo, table(n))
	case 2:
		w := p.OpI(hw.MulI, p.Lookup(v, lo, table(n)), hw.Scalar(3)) // a product with what was looked up
		p.OpI(hw.RshHalfEven, p.Op(hw.Mul, v, w), hw.Scalar(9))
	case 3:
		m := make([]int64, pixels)
		for i := range m {
			m[i] = r.Int64N(100)
		}
		p.OpI(hw.AddI, v, hw.Vec{V: m, By: hw.ByPixel})
	}
}

// randomWindow is a program of one pooling with random geometry, padding value and end.
func randomWindow(r *rand.Rand) *hw.Program {
	w := &hw.Window{Geometry: hw.Geometry{H: 1 + r.IntN(8), W: 1 + r.IntN(8), C: 1 + r.IntN(70), SH: 1 + r.IntN(2), SW: 1 + r.IntN(2), DH: 1 + r.IntN(2), DW: 1 + r.IntN(2)},
		Reduce: hw.Reduce(r.IntN(2))}
	g := &w.Geometry
	g.OC, g.KH, g.KW = g.C, 1+r.IntN(3), 1+r.IntN(3)
	if r.IntN(3) == 0 { // all
		g.KH, g.KW, g.DH, g.DW = g.H, g.W, 1, 1
	} else {
		g.PH, g.PW = r.IntN(g.KH), r.IntN(g.KW)
	}
	out := func(n, p, k, d, s int) int { return max(1, (n+2*p-(k-1)*d-1)/s+1) }
	g.OH, g.OW = out(g.H, g.PH, g.KH, g.DH, g.SH), out(g.W, g.PW, g.KW, g.DW, g.SW)
	bits := 1 + r.IntN(32)
	in := hw.Interval{Lo: -1 << (bits - 1), Hi: 1<<(bits-1) - 1}
	if r.IntN(2) == 0 {
		in = hw.Interval{Hi: 1<<bits - 1}
	}
	g.PadValue = in.Lo + r.Int64N(1<<bits)
	if err := w.Bound(in); err != nil {
		panic(err)
	}
	p := &hw.Program{Name: "t"}
	x := p.NewBuffer("x", []int{g.H, g.W, g.C}, in)
	x.Port = port(x)
	k := &hw.Kernel{Name: "k", Kind: hw.KWindow, In: []*hw.Buffer{x}, Window: w, Prog: hw.NewProg(hw.Interval{})}
	randomEnd(r, k.Prog, w.Acc, g.OH*g.OW)
	if err := k.Prog.Analyze(k.ProgIn()); err != nil {
		panic(err)
	}
	k.Out = p.NewBuffer("y", []int{g.OH, g.OW, g.OC}, k.Prog.Out())
	k.Out.Port = port(k.Out)
	p.Kernels, p.Inputs, p.Outputs = []*hw.Kernel{k}, k.In, []*hw.Buffer{k.Out}
	return p
}

// reduced is the definition of a Window kernel.
func reduced(k *hw.Kernel, x []int64) []int64 {
	w := k.Window
	var y []int64
	vals := make([]int64, k.Prog.Last()+1)
	for oy := range w.OH {
		for ox := range w.OW {
			for c := range w.OC {
				var all []int64
				sum := int64(0)
				for ky := range w.KH {
					for kx := range w.KW {
						v := w.PadValue
						if iy, ix, ok := w.Inside(oy, ox, ky, kx); ok {
							v = x[(iy*w.W+ix)*w.C+c]
						}
						all, sum = append(all, v), sum+v
					}
				}
				if vals[0] = sum; w.Reduce == hw.ReduceMax {
					vals[0] = slices.Max(all)
				}
				y = append(y, k.Prog.Eval(vals, c, oy*w.OW+ox))
			}
		}
	}
	return y
}

// TestWindow compares every level of this CPU with the definition, and sees that programs are split and sums are native.
func TestWindow(t *testing.T) {
	for _, level := range kernels.Levels() {
		split, native, largest := 0, 0, 0
		for seed := range uint64(800) {
			r := rand.New(rand.NewPCG(seed, 21))
			p := randomWindow(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v\n%v", seed, err, p)
			}
			first := m.steps[0]
			if c, ok := first.(*chain); ok {
				split++
				first = c[0]
			}
			switch first.(type) {
			case *asmDot[uint8], *asmDot[int16], *wide:
				native++
			case *asmWindow[uint8], *asmWindow[int16]:
				largest++
			}
			s := m.NewState()
			for range 2 { // the second run must not see the first
				in := p.Inputs[0].Range
				x := make([]int64, p.Inputs[0].Len())
				for i := range x {
					switch x[i] = in.Lo + r.Int64N(in.Hi-in.Lo+1); r.IntN(4) {
					case 0:
						x[i] = in.Lo
					case 1:
						x[i] = in.Hi
					}
				}
				got, err := s.Run([][]int64{x})
				if err != nil {
					t.Fatal(err)
				}
				if want := reduced(p.Kernels[0], x); !slices.Equal(got[0], want) {
					t.Fatalf("%v seed %d: got %v, want %v\n%v", level, seed, got[0], want, p)
				}
			}
		}
		if split < 50 || (native < 50 || largest < 50) && level != kernels.Generic {
			t.Errorf("%v: %d programs were split, %d sums and %d largest elements are native, want more", level, split, native, largest)
		}
	}
}
