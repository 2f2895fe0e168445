package fold

import (
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
)

// requantized is a matrix product to 8 channels whose results have a multiplier of their own in each, and so many bits.
func requantized(t *testing.T, bits int) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "requantized"}
	x := p.NewBuffer("x", []int{64, 8}, hw.Interval{Lo: 0, Hi: 15})
	d := &hw.Dot{Geometry: hw.Geometry{H: 1, W: 64, C: 8, OH: 1, OW: 64, OC: 8, KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1}, Groups: 1,
		Weights: make([]int32, 64), Bias: make([]int64, 8)}
	for i := range d.Weights {
		d.Weights[i] = int32(i%15 - 7)
	}
	if err := d.Bound(x.Range); err != nil {
		t.Fatal(err)
	}
	multipliers := make([]int64, 8)
	for i := range multipliers {
		multipliers[i] = 20000 + int64(i)*1001
	}
	g := hw.NewProg(hw.Interval{})
	g.OpI(hw.RshHalfEven, g.OpI(hw.MulI, 0, hw.PerChannel(multipliers)), hw.Scalar(int64(23-bits)))
	g.Clamp(g.Last(), 0, 1<<bits-1)
	k := &hw.Kernel{Name: "product", Kind: hw.KDot, In: []*hw.Buffer{x}, Dot: d, Prog: g}
	if err := g.Analyze(k.ProgIn()); err != nil {
		t.Fatal(err)
	}
	k.Out = p.NewBuffer("y", []int{64, 8}, g.Out())
	for _, b := range []*hw.Buffer{x, k.Out} {
		b.Port = &hw.Port{Name: b.Name, Shape: b.Shape, Perm: []int{0, 1}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: b.Range.Lo, Max: b.Range.Hi}}
	}
	p.Inputs, p.Kernels, p.Outputs = []*hw.Buffer{x}, []*hw.Kernel{k}, []*hw.Buffer{k.Out}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestThresholds: results are counted where that takes less of what the part has least of, and never where they have more than 4 bits.
func TestThresholds(t *testing.T) {
	for _, c := range []struct {
		name string
		bits int
		part part.Resources
		want bool
	}{
		{"2 bits, few slices", 2, part.Resources{LUT: 50000, FF: 100000, DSP: 20, BRAM18: 100}, true},
		{"4 bits, few slices", 4, part.Resources{LUT: 50000, FF: 100000, DSP: 10, BRAM18: 100}, true},
		{"4 bits, few LUTs", 4, part.Resources{LUT: 4000, FF: 8000, DSP: 500, BRAM18: 100}, false},
		{"5 bits, few slices", 5, part.Resources{LUT: 50000, FF: 100000, DSP: 20, BRAM18: 100}, false},
	} {
		p := requantized(t, c.bits)
		folds, err := Search(p, Options{Part: small(c.part), ClockNS: 10, FPS: 150000})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		f := folds[p.Kernels[0]]
		if f.Thresholds != c.want {
			t.Errorf("%s: %v, want thresholds %v", c.name, f, c.want)
		}
		d, err := stream.Build(p, folds)
		if err != nil {
			t.Fatal(err)
		}
		if r := d.Resources(part.E1); !r.Fits(Budget(small(c.part))) {
			t.Errorf("%s: %v of %v", c.name, r, c.part)
		}
	}
	// What is given stays, with thresholds or without.
	p := requantized(t, 2)
	for _, th := range []bool{false, true} {
		fixed := stream.Fold{PE: 2, SIMD: 4, Thresholds: th}
		folds, err := Search(p, Options{Part: small(part.Resources{LUT: 50000, FF: 100000, DSP: 20, BRAM18: 100}), ClockNS: 10, Fixed: map[string]stream.Fold{"product": fixed}})
		if err != nil || folds[p.Kernels[0]] != fixed {
			t.Errorf("%v: got %v, %v", fixed, folds, err)
		}
	}
}
