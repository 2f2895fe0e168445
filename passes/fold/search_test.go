package fold

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
)

// chain is an image 8x8x4 through a 3x3 convolution to 8 channels, a pool and a 1x1 convolution to out channels.
func chain(t testing.TB, out int, weight int32) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "chain"}
	v := hw.Interval{Lo: 0, Hi: 255}
	port := func(b *hw.Buffer) {
		b.Port = &hw.Port{Name: b.Name, Shape: b.Shape, Perm: []int{0, 1, 2}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 255}}
	}
	add := func(k *hw.Kernel, name string, shape ...int) {
		k.Name, k.Pos = name, ir.Pos{File: "chain.onnx", Node: len(p.Kernels), Name: "node/" + name}
		k.In = []*hw.Buffer{p.Buffers[len(p.Buffers)-1]}
		if k.Dot != nil {
			if err := k.Dot.Bound(v); err != nil {
				t.Fatal(err)
			}
		} else if err := k.Window.Bound(v); err != nil {
			t.Fatal(err)
		}
		k.Prog = hw.NewProg(hw.Interval{})
		k.Prog.Clamp(0, 0, 255)
		if err := k.Prog.Analyze(k.ProgIn()); err != nil {
			t.Fatal(err)
		}
		k.Out = p.NewBuffer(name, shape, v)
		p.Kernels = append(p.Kernels, k)
	}
	dot := func(g hw.Geometry) *hw.Dot {
		g.SH, g.SW, g.DH, g.DW = 1, 1, 1, 1
		d := &hw.Dot{Geometry: g, Groups: 1, Weights: make([]int32, g.OC*g.KH*g.KW*g.C), Bias: make([]int64, g.OC)}
		r := rand.New(rand.NewPCG(5, 6))
		for i := range d.Weights {
			d.Weights[i] = r.Int32N(2*weight+1) - weight
		}
		return d
	}
	x := p.NewBuffer("x", []int{8, 8, 4}, v)
	p.Inputs = []*hw.Buffer{x}
	port(x)
	add(&hw.Kernel{Kind: hw.KDot, Dot: dot(hw.Geometry{H: 8, W: 8, C: 4, OH: 8, OW: 8, OC: 8, KH: 3, KW: 3, PH: 1, PW: 1})}, "conv", 8, 8, 8)
	add(&hw.Kernel{Kind: hw.KWindow, Window: &hw.Window{Geometry: hw.Geometry{H: 8, W: 8, C: 8, OH: 4, OW: 4, OC: 8, KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}}}, "pool", 4, 4, 8)
	add(&hw.Kernel{Kind: hw.KDot, Dot: dot(hw.Geometry{H: 4, W: 4, C: 8, OH: 4, OW: 4, OC: out, KH: 1, KW: 1})}, "last", 4, 4, out)
	y := p.Buffers[len(p.Buffers)-1]
	port(y)
	p.Outputs = []*hw.Buffer{y}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func small(r part.Resources) *part.Part {
	return &part.Part{Name: "small", Resources: r, Slice: part.E1}
}

// TestTarget: a rate that can be had is met by every stage of the design, converters included, and no folding is named that is not asked for.
func TestTarget(t *testing.T) {
	p := chain(t, 6, 100)
	xc, err := part.Find("xc7z020")
	if err != nil {
		t.Fatal(err)
	}
	last := part.Resources{}
	for _, fps := range []float64{1000, 5000, 20000, 50000, 100000} {
		folds, err := Search(p, Options{Part: xc, ClockNS: 10, FPS: fps})
		if err != nil {
			t.Fatal(err)
		}
		d, err := stream.Build(p, folds)
		if err != nil {
			t.Fatal(err)
		}
		if got := 1e8 / (slack*float64(d.Slowest().Iterations()) + overhead); got < fps {
			t.Errorf("%v samples per second: stage %s takes %d iterations, which gives %v", fps, d.Slowest().Name, d.Slowest().Iterations(), got)
		}
		r := d.Resources(xc.Slice)
		if r.Fraction(xc.Resources) < last.Fraction(xc.Resources)*0.98 {
			t.Errorf("%v samples per second take %v, fewer take %v", fps, r, last)
		}
		last = r
	}
}

func TestErrors(t *testing.T) {
	xc, err := part.Find("xc7z020")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    *hw.Program
		o    Options
		want []string
	}{
		// The windows of conv are 64 pixels of 9 words at least.
		{"layer", chain(t, 6, 100), Options{Part: xc, ClockNS: 10, FPS: 1e6},
			[]string{"1e+06 samples per second at 10 ns", `layer conv (chain.onnx: node 0 "node/conv") takes more`, "samples per second are the best with any resources"}},
		{"fixed", chain(t, 6, 100), Options{Part: xc, ClockNS: 10, FPS: 20000, Fixed: map[string]stream.Fold{"conv": {PE: 1, SIMD: 1}}},
			[]string{`layer conv (chain.onnx: node 0 "node/conv") takes more`, "18432 clock cycles"}},
		{"small", chain(t, 6, 100), Options{Part: small(part.Resources{LUT: 300, FF: 300, DSP: 1, BRAM18: 1}), ClockNS: 10},
			[]string{"the network needs about", "slowest foldings", "small offers 210 LUT"}},
		{"fits", chain(t, 6, 100), Options{Part: small(part.Resources{LUT: 4000, FF: 8000, DSP: 4, BRAM18: 8}), ClockNS: 10, FPS: 120000},
			[]string{"need about", "small offers 2800 LUT", "samples per second fit small"}},
		{"unknown", chain(t, 6, 100), Options{Part: xc, ClockNS: 10, Fixed: map[string]stream.Fold{"nope": {PE: 1, SIMD: 1}}},
			[]string{`folding for ["nope"]: there is no such layer; there are ["conv" "pool" "last"]`}},
		{"illegal", chain(t, 6, 100), Options{Part: xc, ClockNS: 10, Fixed: map[string]stream.Fold{"node/last": {PE: 4, SIMD: 1}}},
			[]string{"PE 4: want one of [1 2 3 6]"}},
	} {
		folds, err := Search(c.p, c.o)
		if err == nil {
			t.Errorf("%s: no error, %v", c.name, folds)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: got %q, want %q in it", c.name, err, w)
			}
		}
	}
}

// TestConversionBinds: where all layers are fast enough and only the words between two of them are not, that is what the error says.
func TestConversionBinds(t *testing.T) {
	p := chain(t, 6, 100)
	xc, _ := part.Find("xcvu9p")
	s := &search{p: p, o: Options{Part: xc, ClockNS: 10, Fixed: map[string]stream.Fold{"conv": {PE: 8, SIMD: 4}, "pool": {PE: 1, SIMD: 1}}}}
	s.choices, s.root, s.maker = map[*hw.Kernel][]choice{}, map[*hw.Buffer]*hw.Buffer{}, map[*hw.Buffer]*hw.Kernel{}
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	for i := range s.choices[p.Kernels[1]] {
		s.choices[p.Kernels[1]][i].iterations = 1 // a pool that would be fast enough
	}
	for _, k := range p.Kernels {
		for i := range s.choices[k] {
			s.choices[k][i].iterations = 1 // layers that would be fast enough
		}
	}
	n := stream.Conversion(p.Kernels[0].Out.Len(), 8, 1)
	if _, b := s.feasible(n); b != nil {
		t.Errorf("%d iterations: %v binds", n, b)
	}
	_, b := s.feasible(n - 1)
	const want = `the conversion of words between layers conv (chain.onnx: node 0 "node/conv") and pool (chain.onnx: node 1 "node/pool")`
	if b == nil || b.String() != want {
		t.Errorf("%d iterations: got %v, want %s", n-1, b, want)
	}
}

// TestBruteForce: what is found takes at most a tenth more of the scarcest resource than the best of all foldings, and is found wherever
// any folding fits; what is fastest is as fast as the best that fits.
func TestBruteForce(t *testing.T) {
	for i := range 12 {
		r := rand.New(rand.NewPCG(3, uint64(i)))
		p := chain(t, []int{4, 6, 10}[r.IntN(3)], []int32{1, 7, 127}[r.IntN(3)])
		pt := small(part.Resources{LUT: 3000 + r.IntN(6000), FF: 20000, DSP: 4 + r.IntN(80), BRAM18: 4 + r.IntN(20)})
		s := &search{p: p, o: Options{Part: pt, ClockNS: 10}, choices: map[*hw.Kernel][]choice{}, root: map[*hw.Buffer]*hw.Buffer{}, maker: map[*hw.Buffer]*hw.Kernel{}}
		if err := s.prepare(); err != nil {
			t.Fatal(err)
		}
		least := map[int]float64{} // by cycles
		var cycles []int
		c := s.choices
		for _, a := range c[p.Kernels[0]] {
			for _, b := range c[p.Kernels[1]] {
				for _, d := range c[p.Kernels[2]] {
					n := max(a.iterations, b.iterations, d.iterations,
						stream.Conversion(p.Kernels[0].Out.Len(), a.fold.PE, b.fold.PE), stream.Conversion(p.Kernels[1].Out.Len(), b.fold.PE, d.fold.SIMD))
					f := a.res.Add(b.res).Add(d.res).Fraction(s.budget())
					if x, ok := least[n]; !ok || f < x {
						least[n] = f
					}
					cycles = append(cycles, n)
				}
			}
		}
		slices.Sort(cycles)
		best, bestFits := 1e9, 0
		for _, n := range slices.Compact(cycles) {
			best = min(best, least[n])
			if bestFits == 0 && best <= 1 {
				bestFits = n
			}
			_, got, binds := s.within(n)
			if binds != nil {
				t.Fatalf("%d: %d cycles: %v binds", i, n, binds)
			}
			if f := got.Fraction(s.budget()); f > 1.1*best {
				t.Errorf("%d: %d cycles take %.3f of %v, the best folding %.3f", i, n, f, pt.Resources, best)
			}
		}
		_, n, err := s.most()
		if bestFits == 0 {
			if err == nil {
				t.Errorf("%d: %d cycles fit, but no folding does", i, n)
			}
			continue
		}
		if err != nil || float64(n) > 1.1*float64(bestFits) {
			t.Errorf("%d: %d cycles fit, %v, want %d", i, n, err, bestFits)
		}
	}
}
