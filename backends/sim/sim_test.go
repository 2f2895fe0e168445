package sim

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"quern/ir"
	"quern/ir/hw"
)

// randomDot is a program of one convolution with random geometry, groups, padding value and weights.
func randomDot(r *rand.Rand) *hw.Program {
	groups := 1 + r.IntN(3)
	cg, mg := 1+r.IntN(4), 1+r.IntN(5)
	if r.IntN(4) == 0 {
		groups, cg, mg = 1+r.IntN(9), 1, 1 // depthwise
	}
	g := hw.Geometry{H: 3 + r.IntN(6), W: 3 + r.IntN(6), C: groups * cg, OC: groups * mg, KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), SH: 1 + r.IntN(2), SW: 1 + r.IntN(2),
		DH: 1 + r.IntN(2), DW: 1 + r.IntN(2), PH: r.IntN(3), PW: r.IntN(3)}
	out := func(n, p, k, d, s int) int { return max(1, (n+2*p-(k-1)*d-1)/s+1) }
	g.OH, g.OW = out(g.H, g.PH, g.KH, g.DH, g.SH), out(g.W, g.PW, g.KW, g.DW, g.SW)
	bits := 2 + r.IntN(15)
	in := hw.Interval{Lo: -1 << (bits - 1), Hi: 1<<(bits-1) - 1}
	g.PadValue = in.Lo + int64(r.IntN(1<<bits))
	d := &hw.Dot{Geometry: g, Groups: groups}
	wide := int32(1) << (1 + r.IntN(15))
	for range g.OC * g.KH * g.KW * cg {
		d.Weights = append(d.Weights, r.Int32N(2*wide+1)-wide)
	}
	for range g.OC {
		d.Bias = append(d.Bias, r.Int64N(2001)-1000)
	}
	if err := d.Bound(in); err != nil {
		panic(err)
	}
	p := &hw.Program{Name: "t"}
	x := p.NewBuffer("x", []int{g.H, g.W, g.C}, in)
	x.Port = port(x)
	prog := hw.NewProg(hw.Interval{})
	v := 0
	if r.IntN(4) > 0 {
		m, t := make([]int64, g.OC), make([]int64, g.OC)
		for i := range m {
			m[i], t[i] = 1+r.Int64N(1000), r.Int64N(20)
		}
		v = prog.OpI(hw.MulI, v, hw.PerChannel(m))
		v = prog.OpI([]hw.Prim{hw.RshFloor, hw.RshHalfUp, hw.RshHalfEven, hw.RshHalfAway, hw.RshCeil, hw.RshAway, hw.RshToZero, hw.RshHalfToZero}[r.IntN(8)], v, hw.PerChannel(t))
		v = prog.OpI(hw.AddI, v, hw.Scalar(r.Int64N(9)-4))
		prog.Clamp(v, -100, 100)
	} else if r.IntN(2) == 0 {
		prog.OpI(hw.Wrap, v, hw.Scalar(8))
	}
	if err := prog.Analyze([][]hw.Interval{d.Acc}); err != nil {
		panic(err)
	}
	y := p.NewBuffer("y", []int{g.OH, g.OW, g.OC}, prog.Out())
	y.Port = port(y)
	p.Kernels = []*hw.Kernel{{Name: "k", Kind: hw.KDot, In: []*hw.Buffer{x}, Out: y, Dot: d, Prog: prog}}
	p.Inputs, p.Outputs = []*hw.Buffer{x}, []*hw.Buffer{y}
	return p
}

// port lays a buffer out as it is, at the scale 1.
func port(b *hw.Buffer) *hw.Port {
	return &hw.Port{Name: b.Name, Shape: b.Shape, Perm: []int{0, 1, 2}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: b.Range.Lo, Max: b.Range.Hi}}
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

func TestDot(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := randomDot(r)
		m, err := New(p)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		s := m.NewState()
		for range 2 { // the second run must not see the first
			x := make([]int64, p.Inputs[0].Len())
			for i := range x {
				x[i] = p.Inputs[0].Range.Lo + r.Int64N(p.Inputs[0].Range.Hi-p.Inputs[0].Range.Lo+1)
			}
			got, err := s.Run([][]int64{x})
			if err != nil {
				t.Fatal(err)
			}
			if want := naive(p.Kernels[0], x); !slices.Equal(got[0], want) {
				t.Fatalf("seed %d: got %v, want %v\n%v", seed, got[0], want, p)
			}
		}
	}
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
