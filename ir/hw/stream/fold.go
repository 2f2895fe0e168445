package stream

import (
	"errors"
	"fmt"
	"slices"

	"quern/ir/hw"
	"quern/ir/hw/part"
)

// Geometry is that of a Dot or Window kernel.
func Geometry(k *hw.Kernel) *hw.Geometry {
	if k.Dot != nil {
		return &k.Dot.Geometry
	}
	return &k.Window.Geometry
}

// unit is the kind of stage that does the arithmetic of a kernel; the kind of a Move depends on its lanes, too.
func unit(k *hw.Kernel) Kind {
	switch k.Kind {
	case hw.KDot:
		d := k.Dot
		if d.Groups > 1 && d.Groups == d.C && d.Groups == d.OC {
			return Lane
		}
		return MVU
	case hw.KWindow:
		g := &k.Window.Geometry
		if g.OH*g.OW == 1 && g.H*g.W > 1 && g.KH == g.H && g.KW == g.W && g.DH == 1 && g.DW == 1 && g.PH == 0 && g.PW == 0 {
			return Global
		}
		return Lane
	case hw.KMap:
		return Map
	}
	return Weave
}

// slides reports whether the stage of a kernel needs windows: not where they are the pixels of the image in order.
func slides(k *hw.Kernel) bool {
	if u := unit(k); u != MVU && u != Lane {
		return false
	}
	g := Geometry(k)
	return g.KH*g.KW > 1 || g.SH > 1 || g.SW > 1 || g.PH > 0 || g.PW > 0 || g.OH != g.H || g.OW != g.W
}

// taps is the number of window positions.
func taps(k *hw.Kernel) int { g := Geometry(k); return g.KH * g.KW }

// PEs are the numbers of output channels that a kernel can do side by side, ascending.
func PEs(k *hw.Kernel) []int {
	n := k.Out.Channels()
	switch {
	case k.Kind == hw.KMove:
		n = moveLanes(k)
	case unit(k) == MVU:
		n = k.Dot.OC / k.Dot.Groups
	}
	widest := k.Out.Range.Bits()
	for _, b := range k.In {
		if unit(k) != MVU {
			widest = max(widest, elements(k, b).Bits())
		}
	}
	return upTo(n, min(MaxLanes, MaxWidth/widest))
}

// SIMDs are the numbers of input elements that each of them can take in, ascending.
func SIMDs(k *hw.Kernel) []int {
	if unit(k) != MVU {
		return []int{1}
	}
	return upTo(k.Dot.C/k.Dot.Groups, min(MaxLanes, MaxWidth/elements(k, k.In[0]).Bits(), MaxWidth/k.Dot.WeightRange().Bits()))
}

// elements is the range of the elements of a kernel's windows or inputs.
func elements(k *hw.Kernel, b *hw.Buffer) hw.Interval {
	if !slides(k) {
		return b.Range
	}
	v := Geometry(k).PadValue
	return b.Range.Union(hw.Interval{Lo: v, Hi: v})
}

func upTo(n, most int) []int {
	return slices.DeleteFunc(Divisors(n), func(d int) bool { return d > most })
}

// Check reports a fold that the kernel cannot have, with those that it can.
func (f Fold) Check(k *hw.Kernel) error {
	for _, c := range []struct {
		name string
		got  int
		want []int
	}{{"PE", f.PE, PEs(k)}, {"SIMD", f.SIMD, SIMDs(k)}} {
		if !slices.Contains(c.want, c.got) {
			return fmt.Errorf("layer %s (%v): %s %d: want one of %v", k.Name, k.Pos, c.name, c.got, c.want)
		}
	}
	if err := f.unrolls(k); err != nil {
		return err
	}
	if f.Thresholds {
		if _, err := Thresholds(k); err != nil {
			return fmt.Errorf("layer %s (%v): %v: no thresholds for it: %w", k.Name, k.Pos, f, err)
		}
	}
	return nil
}

// unrolls reports more products than a stage can have.
func (f Fold) unrolls(k *hw.Kernel) error {
	switch {
	case f.PE*f.SIMD > MaxUnroll:
		return fmt.Errorf("layer %s (%v): %v: want a product of %d at most", k.Name, k.Pos, f, MaxUnroll)
	case f.LUT && k.Dot == nil:
		return fmt.Errorf("layer %s (%v): %v: it has no multipliers of its own", k.Name, k.Pos, f)
	}
	return nil
}

// Folds are all folds without thresholds that a kernel can have, by PE, SIMD and LUT.
func Folds(k *hw.Kernel) []Fold {
	var all []Fold
	simds := SIMDs(k)
	for _, pe := range PEs(k) {
		for _, simd := range simds {
			for _, lut := range []bool{false, true} {
				if f := (Fold{PE: pe, SIMD: simd, LUT: lut}); f.unrolls(k) == nil {
					all = append(all, f)
				}
			}
		}
	}
	return all
}

// Thresholds are what a kernel's results can be counted with instead of its program; the error says why there are none.
func Thresholds(k *hw.Kernel) (*hw.Thresholds, error) {
	if k.Prog == nil {
		return nil, errors.New("it only moves elements")
	}
	return k.Prog.Thresholds(k.ProgIn())
}

// The ports of the multiplier of any DSP slice, as signed numbers: that of a DSP48E1 (UG479).
const (
	portA = 25
	portB = 18
)

// Pack is how many products of one activation with weights of neighbouring output channels share a DSP slice, and the number of bits
// between them: the sum of w[i] * 2^(shift*i) times x is the sum of w[i]*x * 2^(shift*i), and each product is the signed number in its
// bits once those below are taken off (AMD WP486 has this for two of 8 bits). It is exact where a product fits shift bits, the packed
// weights fit the wider port and x fits the other. n is 1 where nothing is packed.
func (s *Stage) Pack() (n, shift int) {
	if s.Kind != MVU || s.Fold.LUT {
		return 1, 0
	}
	return Packing(s.weights, s.In[0].Range, s.Fold.PE)
}

// Packing is Pack for weights and activations of given ranges and a number of output channels side by side.
func Packing(w, x hw.Interval, pe int) (n, shift int) {
	bits := func(r hw.Interval) int { return hw.Interval{Lo: min(r.Lo, -1), Hi: r.Hi}.Bits() }
	shift = bits(Product(w, x))
	n = 1
	if bits(x) > portB || bits(w) > portA {
		return 1, 0
	}
	for _, d := range Divisors(pe) {
		if (d-1)*shift >= portA {
			break
		}
		sum := hw.Interval{}
		for i := range d {
			sum.Lo += w.Lo << (shift * i)
			sum.Hi += w.Hi << (shift * i)
		}
		if bits(sum) <= portA {
			n = d
		}
	}
	if n == 1 {
		shift = 0
	}
	return n, shift
}

// Product is the range of a weight times an element. hw.Dot.Bound proves that each product fits 63 bits.
func Product(w, x hw.Interval) hw.Interval {
	ends := []int64{w.Lo * x.Lo, w.Lo * x.Hi, w.Hi * x.Lo, w.Hi * x.Hi}
	return hw.Interval{Lo: slices.Min(ends), Hi: slices.Max(ends)}
}

// Units are the stages of one kernel, without names and channels: the unit that does the arithmetic, and a Slide before it where it needs windows.
// nil for a Move that only gives another shape. The fold must be legal.
func Units(k *hw.Kernel, f Fold) []*Stage {
	var t *hw.Thresholds
	if f.Thresholds {
		t, _ = Thresholds(k)
	}
	return units(k, f, weights(k), t, func() int { return NewSlider(k, f).count() })
}

// weights is the range of a kernel's weights, if it has any.
func weights(k *hw.Kernel) hw.Interval {
	if k.Dot == nil {
		return hw.Interval{}
	}
	return k.Dot.WeightRange()
}

// units are Units; w is the range of the kernel's weights, t are its thresholds if it has any, windows is the number of iterations of a Slide.
func units(k *hw.Kernel, f Fold, w hw.Interval, t *hw.Thresholds, windows func() int) []*Stage {
	if alias(k) {
		return nil
	}
	s := &Stage{Kind: unit(k), Kernel: k, Fold: f, weights: w}
	if f.Thresholds {
		s.Thresholds = t
	}
	words := k.Out.Len() / f.PE
	switch s.Kind {
	case MVU:
		s.iterations = words * taps(k) * (k.Dot.C / k.Dot.Groups / f.SIMD)
	case Lane:
		s.iterations = words * taps(k)
	case Global:
		s.iterations = k.In[0].Len() / f.PE
	case Map:
		s.iterations = words
	case Weave:
		if s.Plan, s.Kind = newPlan(k, f.PE); s.Kind == Weave {
			s.iterations = s.Plan.Length
			break
		}
		for _, b := range Inputs(k) {
			s.iterations = max(s.iterations, b.Len()/f.PE)
		}
		s.iterations += words
	}
	if !slides(k) {
		return []*Stage{s}
	}
	return []*Stage{{Kind: Slide, Kernel: k, Fold: f, iterations: windows()}, s}
}

// Inputs are the buffers that a kernel reads, each once.
func Inputs(k *hw.Kernel) []*hw.Buffer {
	var in []*hw.Buffer
	add := func(b *hw.Buffer) {
		if !slices.Contains(in, b) {
			in = append(in, b)
		}
	}
	if k.Move == nil {
		for _, b := range k.In {
			add(b)
		}
		return in
	}
	for _, p := range k.Move.Pieces {
		add(k.In[p.Src])
	}
	return in
}

// Sketcher makes the stages of a kernel for one fold after the other, as Units does but with channels of their own, which are not joined to
// anything: enough for Resources. Folds whose words have as many elements share the windows, whose iterations take long to count, and all share
// the range of the kernel's weights and its thresholds t if it has any.
func Sketcher(k *hw.Kernel, t *hw.Thresholds) func(f Fold) []*Stage {
	w := weights(k)
	windows := map[int]int{} // iterations of the Slide by lanes
	return func(f Fold) []*Stage {
		return sketch(k, f, units(k, f, w, t, func() int {
			lanes := InLanes(k, f)
			if windows[lanes] == 0 {
				windows[lanes] = NewSlider(k, f).count()
			}
			return windows[lanes]
		}))
	}
}

// sketch adds the channels.
func sketch(k *hw.Kernel, f Fold, units []*Stage) []*Stage {
	if units == nil {
		return nil
	}
	for _, b := range Inputs(k) {
		units[0].In = append(units[0].In, &Channel{Buffer: b, Range: b.Range, Lanes: InLanes(k, f), Words: b.Len() / InLanes(k, f), Depth: MinDepth})
	}
	if len(units) > 1 {
		c := &Channel{Buffer: k.In[0], Range: elements(k, k.In[0]), Lanes: InLanes(k, f), Depth: MinDepth}
		units[0].Out, units[1].In = []*Channel{c}, []*Channel{c}
	}
	last := units[len(units)-1]
	last.Out = []*Channel{{Buffer: k.Out, Range: k.Out.Range, Lanes: f.PE, Words: k.Out.Len() / f.PE, Depth: MinDepth}}
	return units
}

// ConversionResources is an estimate of the stages that Conversion counts, for elements of so many bits.
func ConversionResources(width, a, b int) part.Resources {
	r := part.Resources{}
	stage := func(k Kind, from, to int) {
		s := &Stage{Kind: k, In: []*Channel{{Lanes: from, Range: hw.Interval{Hi: 1<<width - 1}}}, Out: []*Channel{{Lanes: to, Range: hw.Interval{Hi: 1<<width - 1}}}}
		r = r.Add(s.Resources(part.E1)) // without multipliers
	}
	g := gcd(a, b)
	if g < a {
		stage(Split, a, g)
	}
	if g < b {
		stage(Join, g, b)
	}
	return r
}

// Conversion is the number of iterations of the stages that turn n elements in words of a into words of b; 0 where none is needed.
func Conversion(n, a, b int) int {
	if a == b {
		return 0
	}
	return n / gcd(a, b)
}
