// Package fold chooses how much of each layer of a hardware program is done in one clock cycle, and builds the stream design: the folding
// of FINN (SetFolding), but as a search over all legal foldings under a budget of resources.
//
// Layers are independent given the number of clock cycles between two samples: for each the cheapest folding that is fast enough is
// taken. So the search is over that one number.
package fold

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
)

// Options of a search.
type Options struct {
	Part *part.Part
	// ClockNS is the clock period in ns.
	ClockNS float64
	// FPS is the number of samples per second to reach at the least resources; 0: as many as fit the part.
	FPS float64
	// Fixed are foldings that the search does not change, by the name of the layer's kernel or of its node in the model.
	Fixed map[string]stream.Fold
	// Reserve is kept free for what the search does not see: the FIFOs and converters between the layers.
	Reserve part.Resources
}

// fill is the share of each kind of resource that a search uses: tools fail to place and route designs that take all LUTs (UG949 advises
// 70 % for LUTs and 80 % for block RAMs and DSP slices).
var fill = [...]float64{0.7, 0.7, 0.8, 0.8, 0.8}

// Budget is the part less what is kept free.
func Budget(p *part.Part) part.Resources {
	of := func(n int, f float64) int { return int(float64(n) * f) }
	return part.Resources{LUT: of(p.LUT, fill[0]), FF: of(p.FF, fill[1]), DSP: of(p.DSP, fill[2]), BRAM18: of(p.BRAM18, fill[3]), URAM: of(p.URAM, fill[4])}
}

func (s *search) budget() part.Resources { return Budget(s.o.Part).Add(s.o.Reserve.Times(-1)) }

// overhead is the number of clock cycles between samples beyond the iterations of the slowest stage: its pipeline runs empty and starts
// anew.
const overhead = 64

// Search chooses a folding for each kernel. The error says what can be reached and which layer binds.
func Search(p *hw.Program, o Options) (map[*hw.Kernel]stream.Fold, error) {
	s := &search{p: p, o: o, choices: map[*hw.Kernel][]choice{}}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if o.FPS > 0 {
		cycles := int(1e9/o.ClockNS/o.FPS) - overhead
		return s.target(cycles)
	}
	return s.fastest()
}

// choice is a legal folding of a kernel with what it takes.
type choice struct {
	fold       stream.Fold
	iterations int
	res        part.Resources
}

type search struct {
	p       *hw.Program
	o       Options
	kernels []*hw.Kernel // that become stages
	choices map[*hw.Kernel][]choice
}

// prepare lists the legal foldings of each kernel.
func (s *search) prepare() error {
	used := map[string]bool{}
	for _, k := range s.p.Kernels {
		var all []choice
		fixed, isFixed := s.o.Fixed[k.Name]
		key := k.Name
		if !isFixed {
			key = k.Pos.Name
			fixed, isFixed = s.o.Fixed[key]
		}
		if isFixed {
			used[key] = true
			if err := fixed.Check(k); err != nil {
				return err
			}
		}
		for _, pe := range stream.PEs(k) {
			for _, simd := range stream.SIMDs(k) {
				for _, lut := range []bool{false, true} {
					f := stream.Fold{PE: pe, SIMD: simd, LUT: lut}
					if (!isFixed || f == fixed) && f.Check(k) == nil {
						all = s.append(all, k, f)
					}
				}
			}
		}
		if len(all) == 0 {
			continue // a Move that only gives another shape
		}
		s.kernels = append(s.kernels, k)
		s.choices[k] = all
	}
	var unknown []string
	for name := range s.o.Fixed {
		if !used[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		var names []string
		for _, k := range s.kernels {
			names = append(names, k.Name)
		}
		return fmt.Errorf("folding for %q: there is no such layer; there are %q", unknown, names)
	}
	return nil
}

// append adds a choice, unless the kernel becomes no stage.
func (s *search) append(all []choice, k *hw.Kernel, f stream.Fold) []choice {
	c := choice{fold: f}
	units := stream.Sketch(k, f)
	if units == nil {
		return all
	}
	for _, u := range units {
		c.iterations = max(c.iterations, u.Iterations())
		c.res = c.res.Add(u.Resources(s.o.Part.Slice))
	}
	return append(all, c)
}

// prices are what a DSP slice and a block RAM cost, beside LUTs, as shares of the part: products and memories can be made of either, and what
// is scarce depends on the network.
var prices = [...]struct{ dsp, bram float64 }{
	{1, 1}, {0.5, 1}, {0.2, 1}, {0.05, 1}, {2, 1}, {5, 1}, {1, 0.3}, {0.3, 0.3}, {0.1, 0.1}, {1, 3}, {0.3, 3}, {3, 3},
}

// cost weighs resources by how much of the part they are.
func (s *search) cost(r part.Resources, price int) float64 {
	share := func(a, b int) float64 { return float64(a) / float64(max(b, 1)) }
	p, x := s.o.Part, prices[price]
	return share(r.LUT, p.LUT) + share(r.FF, p.FF)/4 + x.dsp*share(r.DSP, p.DSP) + x.bram*share(r.BRAM18, p.BRAM18)
}

// within finds foldings of at most so many iterations for all kernels: those that take the least of what the part has least of. binds is
// a kernel that has none.
func (s *search) within(cycles int) (folds map[*hw.Kernel]stream.Fold, r part.Resources, binds *hw.Kernel) {
	b := s.budget()
	for i := range prices {
		f, fr, k := s.cheapest(cycles, i)
		if k != nil {
			return nil, r, k
		}
		fr = s.balance(f, fr, b)
		if folds == nil || fr.Fraction(b) < r.Fraction(b) {
			folds, r = f, fr
		}
	}
	return folds, r, nil
}

// balance makes the products of single layers of what there is more of, as long as that lowers the share of the scarcest resource: one
// price makes all layers of the same widths alike.
func (s *search) balance(folds map[*hw.Kernel]stream.Fold, r, b part.Resources) part.Resources {
	for again := true; again; {
		again = false
		for _, k := range s.kernels {
			was, other := folds[k], folds[k]
			other.LUT = !was.LUT
			i := slices.IndexFunc(s.choices[k], func(c choice) bool { return c.fold == other })
			if i < 0 {
				continue
			}
			j := slices.IndexFunc(s.choices[k], func(c choice) bool { return c.fold == was })
			if n := r.Add(s.choices[k][i].res).Add(s.choices[k][j].res.Times(-1)); n.Fraction(b) < r.Fraction(b) {
				folds[k], r, again = other, n, true
			}
		}
	}
	return r
}

// cheapest takes for each kernel the folding that costs least among those of at most so many iterations, whose words also convert to and
// from those of the kernels before it in time.
func (s *search) cheapest(cycles, price int) (folds map[*hw.Kernel]stream.Fold, r part.Resources, binds *hw.Kernel) {
	folds = map[*hw.Kernel]stream.Fold{}
	lanes := map[*hw.Buffer]int{}
	for _, k := range s.kernels {
		var best *choice
		least := math.Inf(1)
		for i := range s.choices[k] {
			c := &s.choices[k][i]
			if c.iterations > cycles || !s.converts(k, c.fold, lanes, cycles) {
				continue
			}
			if x := s.cost(c.res, price); x < least {
				best, least = c, x
			}
		}
		if best == nil {
			return nil, r, k
		}
		folds[k], lanes[k.Out] = best.fold, best.fold.PE
		r = r.Add(best.res)
	}
	return folds, r, nil
}

// converts reports whether the words of a kernel's inputs are cut and joined in so many iterations.
func (s *search) converts(k *hw.Kernel, f stream.Fold, lanes map[*hw.Buffer]int, cycles int) bool {
	for _, b := range stream.Inputs(k) {
		if n := lanes[b]; n > 0 && stream.Conversion(b.Len(), n, stream.InLanes(k, f)) > cycles {
			return false
		}
	}
	return true
}

// target meets a number of clock cycles, or says what is possible.
func (s *search) target(cycles int) (map[*hw.Kernel]stream.Fold, error) {
	folds, r, binds := s.within(cycles)
	if binds != nil {
		best := s.floor(binds)
		return nil, fmt.Errorf("%.4g samples per second at %v ns need a layer's work done in %d clock cycles; layer %s (%v) takes %d at best: %.4g samples per second are possible",
			s.o.FPS, s.o.ClockNS, cycles, binds.Name, binds.Pos, best, s.fps(best))
	}
	if b := s.budget(); !r.Fits(b) {
		msg := fmt.Sprintf("%.4g samples per second at %v ns need about %v; %s offers %v", s.o.FPS, s.o.ClockNS, r.Add(s.o.Reserve), s.o.Part.Name, Budget(s.o.Part))
		if _, n, err := s.most(); err == nil {
			msg += fmt.Sprintf("; about %.4g samples per second fit", s.fps(n))
		}
		return nil, errors.New(msg)
	}
	return folds, nil
}

func (s *search) fps(cycles int) float64 { return 1e9 / s.o.ClockNS / float64(cycles+overhead) }

// floor is the fewest iterations of a kernel.
func (s *search) floor(k *hw.Kernel) int {
	n := math.MaxInt
	for _, c := range s.choices[k] {
		n = min(n, c.iterations)
	}
	return n
}

// most finds the fewest clock cycles whose foldings fit the part. What is needed falls as the cycles rise, but for small steps.
func (s *search) most() (map[*hw.Kernel]stream.Fold, int, error) {
	var steps []int
	for _, k := range s.kernels {
		for _, c := range s.choices[k] {
			steps = append(steps, c.iterations)
		}
	}
	slices.Sort(steps)
	steps = slices.Compact(steps)
	b := s.budget()
	i, _ := slices.BinarySearchFunc(steps, 0, func(cycles, _ int) int {
		if _, r, binds := s.within(cycles); binds == nil && r.Fits(b) {
			return 0
		}
		return -1
	})
	if i == len(steps) {
		_, r, binds := s.within(steps[len(steps)-1])
		if binds != nil {
			return nil, 0, fmt.Errorf("layer %s (%v): no folding", binds.Name, binds.Pos)
		}
		return nil, 0, fmt.Errorf("the network needs about %v even with the slowest foldings that are left to choose; %s offers %v", r.Add(s.o.Reserve), s.o.Part.Name, Budget(s.o.Part))
	}
	folds, _, _ := s.within(steps[i])
	return folds, steps[i], nil
}

func (s *search) fastest() (map[*hw.Kernel]stream.Fold, error) {
	folds, _, err := s.most()
	return folds, err
}
