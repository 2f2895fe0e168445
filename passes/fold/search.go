// Package fold chooses how much of each layer of a hardware program is done in one clock cycle, and builds the stream design: the folding
// of FINN (SetFolding), but as a search over all legal foldings under a budget of resources.
//
// Layers are independent given the number of clock cycles between two samples: for each the cheapest folding that is fast enough is
// taken. So the search is over that one number.
package fold

import (
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
// anew. slack is what FIFOs may add: their depths are found for an interval of 1 % more (backends/sim/dataflow.Size).
const (
	overhead = 64
	slack    = 1.01
)

// Search chooses a folding for each kernel. The error says what can be reached and which layer binds.
func Search(p *hw.Program, o Options) (map[*hw.Kernel]stream.Fold, error) {
	s := &search{p: p, o: o, choices: map[*hw.Kernel][]choice{}, root: map[*hw.Buffer]*hw.Buffer{}, maker: map[*hw.Buffer]*hw.Kernel{}}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if o.FPS > 0 {
		return s.target(int((1e9/o.ClockNS/o.FPS - overhead) / slack))
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
	root    map[*hw.Buffer]*hw.Buffer // of a buffer that is another shape of one
	maker   map[*hw.Buffer]*hw.Kernel
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
		t, err := stream.Thresholds(k)
		sketch := stream.Sketcher(k, t)
		countable := err == nil && len(k.Prog.Code) > 0
		for _, f := range stream.Folds(k) {
			if isFixed {
				f.Thresholds = fixed.Thresholds
				if f == fixed {
					all = s.append(all, f, sketch(f))
				}
				continue
			}
			if all = s.append(all, f, sketch(f)); countable {
				f.Thresholds = true
				all = undominated(s.append(all, f, sketch(f)))
			}
		}
		if len(all) == 0 {
			s.root[k.Out] = stream.Inputs(k)[0] // a Move that only gives another shape
			continue
		}
		s.maker[k.Out] = k
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
func (s *search) append(all []choice, f stream.Fold, units []*stream.Stage) []choice {
	if units == nil {
		return all
	}
	c := choice{fold: f}
	for _, u := range units {
		c.iterations = max(c.iterations, u.Iterations())
		c.res = c.res.Add(u.Resources(s.o.Part.Slice))
	}
	return append(all, c)
}

// undominated drops one of the last two choices, of equal words and iterations, if the other takes no more of anything.
func undominated(all []choice) []choice {
	a, b := &all[len(all)-2], &all[len(all)-1]
	switch {
	case a.res.Fits(b.res):
		return all[:len(all)-1]
	case b.res.Fits(a.res):
		*a = *b
		return all[:len(all)-1]
	}
	return all
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

// bound is what keeps a network from a number of clock cycles: a layer, or the words between two.
type bound struct{ from, layer *hw.Kernel }

func (b *bound) String() string {
	if b.from == nil {
		return fmt.Sprintf("layer %s (%v)", b.layer.Name, b.layer.Pos)
	}
	return fmt.Sprintf("the conversion of words between layers %s (%v) and %s (%v)", b.from.Name, b.from.Pos, b.layer.Name, b.layer.Pos)
}

// source is the buffer whose words a kernel gets for b, and the kernel that makes it, nil for an input of the program.
func (s *search) source(b *hw.Buffer) (*hw.Buffer, *hw.Kernel) {
	for s.root[b] != nil {
		b = s.root[b]
	}
	return b, s.maker[b]
}

// feasible lists the choices of at most so many iterations whose words convert in time to and from some choice of each neighbour.
func (s *search) feasible(cycles int) (map[*hw.Kernel][]*choice, *bound) {
	can := map[*hw.Kernel][]*choice{}
	var slow *bound
	most := cycles
	for _, k := range s.kernels {
		least := math.MaxInt
		for i := range s.choices[k] {
			c := &s.choices[k][i]
			if least = min(least, c.iterations); c.iterations <= cycles {
				can[k] = append(can[k], c)
			}
		}
		if least > most { // the slowest of those that are too slow
			slow, most = &bound{layer: k}, least
		}
	}
	if slow != nil {
		return nil, slow
	}
	for again := true; again; {
		again = false
		for _, k := range s.kernels {
			for _, in := range stream.Inputs(k) {
				b, from := s.source(in)
				if from == nil {
					continue
				}
				fits := func(p, c *choice) bool {
					return stream.Conversion(b.Len(), p.fold.PE, stream.InLanes(k, c.fold)) <= cycles
				}
				n := len(can[from]) + len(can[k])
				can[from] = slices.DeleteFunc(can[from], func(p *choice) bool {
					return !slices.ContainsFunc(can[k], func(c *choice) bool { return fits(p, c) })
				})
				can[k] = slices.DeleteFunc(can[k], func(c *choice) bool {
					return !slices.ContainsFunc(can[from], func(p *choice) bool { return fits(p, c) })
				})
				if len(can[from]) == 0 || len(can[k]) == 0 {
					return nil, &bound{from, k}
				}
				again = again || len(can[from])+len(can[k]) < n
			}
		}
	}
	return can, nil
}

// within finds foldings of at most so many iterations for all kernels: those that take the least of what the part has least of. binds is
// what makes that impossible.
func (s *search) within(cycles int) (folds map[*hw.Kernel]stream.Fold, r part.Resources, binds *bound) {
	can, binds := s.feasible(cycles)
	if binds != nil {
		return nil, r, binds
	}
	b := s.budget()
	for i := range prices {
		f, fr, bi := s.cheapest(cycles, i, can)
		if bi != nil {
			binds = bi
			continue
		}
		fr = s.improve(f, s.balance(f, fr, b), b, can, cycles)
		if folds == nil || fr.Fraction(b) < r.Fraction(b) {
			folds, r = f, fr
		}
	}
	if folds != nil {
		binds = nil
	}
	return folds, r, binds
}

// balance makes the products and results of single layers of what there is more of, as long as that lowers the share of the scarcest
// resource: one price makes all layers of the same widths alike.
func (s *search) balance(folds map[*hw.Kernel]stream.Fold, r, b part.Resources) part.Resources {
	for again := true; again; {
		again = false
		for _, k := range s.kernels {
			all := s.choices[k]
			at := slices.IndexFunc(all, func(c choice) bool { return c.fold == folds[k] })
			for i := range all {
				if c := all[i].fold; c.PE != folds[k].PE || c.SIMD != folds[k].SIMD || i == at {
					continue
				}
				if n := r.Add(all[i].res).Add(all[at].res.Times(-1)); n.Fraction(b) < r.Fraction(b) {
					folds[k], r, again, at = all[i].fold, n, true, i
				}
			}
		}
	}
	return r
}

// improve changes the folding of single layers as long as that lowers the share of the scarcest resource.
func (s *search) improve(folds map[*hw.Kernel]stream.Fold, r, b part.Resources, can map[*hw.Kernel][]*choice, cycles int) part.Resources {
	for again := true; again; {
		again = false
		for _, k := range s.kernels {
			at := slices.IndexFunc(can[k], func(c *choice) bool { return c.fold == folds[k] })
			for _, c := range can[k] {
				if n := r.Add(c.res).Add(can[k][at].res.Times(-1)); n.Fraction(b) < r.Fraction(b) {
					was := folds[k]
					if folds[k] = c.fold; !s.converts(folds, cycles) {
						folds[k] = was
						continue
					}
					r, again = n, true
					at = slices.Index(can[k], c)
				}
			}
		}
	}
	return r
}

// converts reports whether the words between all layers are cut and joined in time.
func (s *search) converts(folds map[*hw.Kernel]stream.Fold, cycles int) bool {
	for _, k := range s.kernels {
		for _, in := range stream.Inputs(k) {
			if b, from := s.source(in); from != nil && stream.Conversion(b.Len(), folds[from].PE, stream.InLanes(k, folds[k])) > cycles {
				return false
			}
		}
	}
	return true
}

// cheapest takes for each kernel the folding that costs least among those of at most so many iterations, with the stages that convert
// words from those of the kernels before it; r is without these stages, which are in Options.Reserve.
func (s *search) cheapest(cycles, price int, can map[*hw.Kernel][]*choice) (folds map[*hw.Kernel]stream.Fold, r part.Resources, binds *bound) {
	folds = map[*hw.Kernel]stream.Fold{}
	lanes := map[*hw.Buffer]int{}
	for _, k := range s.kernels {
		var best *choice
		least := math.Inf(1)
		for _, c := range can[k] {
			conv, from := s.conversions(k, c.fold, lanes, cycles)
			if from != nil {
				if best == nil {
					binds = &bound{from, k}
				}
				continue
			}
			if x := s.cost(c.res.Add(conv), price); x < least {
				best, least = c, x
			}
		}
		if best == nil {
			return nil, r, binds
		}
		folds[k], lanes[k.Out] = best.fold, best.fold.PE
		for _, in := range stream.Inputs(k) {
			if b, _ := s.source(in); lanes[b] == 0 { // an input of the program comes in the words of its first reader
				lanes[b] = stream.InLanes(k, best.fold)
			}
		}
		r = r.Add(best.res)
	}
	return folds, r, nil
}

// conversions is what the stages take that turn the words of a kernel's inputs into its own. late is the maker of an input for which they
// take more iterations.
func (s *search) conversions(k *hw.Kernel, f stream.Fold, lanes map[*hw.Buffer]int, cycles int) (r part.Resources, late *hw.Kernel) {
	for _, in := range stream.Inputs(k) {
		b, from := s.source(in)
		n, to := lanes[b], stream.InLanes(k, f)
		if n == 0 {
			continue
		}
		if from != nil && stream.Conversion(b.Len(), n, to) > cycles {
			return r, from
		}
		r = r.Add(stream.ConversionResources(b.Range.Bits(), n, to))
	}
	return r, nil
}

// target meets a number of clock cycles, or says what is possible.
func (s *search) target(cycles int) (map[*hw.Kernel]stream.Fold, error) {
	folds, r, binds := s.within(cycles)
	b := s.budget()
	if binds == nil && r.Fits(b) {
		return folds, nil
	}
	best, n, err := s.most()
	if err == nil && n <= cycles { // fewer cycles fit, which can be as choices are not tried in all combinations
		return best, nil
	}
	possible := ""
	if err == nil {
		possible = fmt.Sprintf("; about %.4g samples per second fit %s", s.fps(n), s.o.Part.Name)
	} else {
		possible = "; " + err.Error()
	}
	if binds != nil {
		steps := s.steps()
		i, _ := slices.BinarySearchFunc(steps, 0, func(c, _ int) int {
			if _, b := s.feasible(c); b != nil {
				return -1
			}
			return 0
		})
		least := steps[min(i, len(steps)-1)]
		return nil, fmt.Errorf("%.4g samples per second at %v ns need the work of every layer done in %d clock cycles; %v takes more: %d clock cycles or %.4g samples per second are the best with any resources%s",
			s.o.FPS, s.o.ClockNS, cycles, binds, least, s.fps(least), possible)
	}
	return nil, fmt.Errorf("%.4g samples per second at %v ns need about %v; %s offers %v%s", s.o.FPS, s.o.ClockNS, r.Add(s.o.Reserve), s.o.Part.Name, Budget(s.o.Part), possible)
}

func (s *search) fps(cycles int) float64 {
	return 1e9 / s.o.ClockNS / (slack*float64(cycles) + overhead)
}

// steps are the numbers of clock cycles at which another choice comes in reach, ascending.
func (s *search) steps() []int {
	var steps []int
	for _, k := range s.kernels {
		for _, c := range s.choices[k] {
			steps = append(steps, c.iterations)
		}
		for _, in := range stream.Inputs(k) {
			if b, from := s.source(in); from != nil {
				for _, d := range stream.Divisors(b.Channels()) {
					steps = append(steps, b.Len()/d)
				}
			}
		}
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

// scan is the most steps that are tried one after the other.
const scan = 32

// most finds the fewest clock cycles whose foldings fit the part. A binary search finds some that fit and would be right if more
// cycles never needed more; but within does not try all combinations, so steps below are tried as well, down to where no choice of
// foldings can fit: where the least of one kind of resource, each taken on its own, is too much.
func (s *search) most() (map[*hw.Kernel]stream.Fold, int, error) {
	steps := s.steps()
	b := s.budget()
	first := func(ok func(cycles int) bool) int {
		i, _ := slices.BinarySearchFunc(steps, 0, func(cycles, _ int) int {
			if ok(cycles) {
				return 0
			}
			return -1
		})
		return i
	}
	fits := func(cycles int) bool {
		_, r, binds := s.within(cycles)
		return binds == nil && r.Fits(b)
	}
	hi := first(fits)
	lo := first(func(cycles int) bool {
		can, binds := s.feasible(cycles)
		return binds == nil && s.least(can).Fits(b)
	})
	if hi == len(steps) {
		_, r, binds := s.within(steps[len(steps)-1])
		if binds != nil {
			return nil, 0, fmt.Errorf("%v: no folding", binds)
		}
		return nil, 0, fmt.Errorf("the network needs about %v even with the slowest foldings that are left to choose; %s offers %v", r.Add(s.o.Reserve), s.o.Part.Name, Budget(s.o.Part))
	}
	for i := lo; i < hi; i += max(1, (hi-lo)/scan) {
		if fits(steps[i]) {
			hi = i
		}
	}
	folds, _, _ := s.within(steps[hi])
	return folds, steps[hi], nil
}

// least is the least of each kind that any of the choices take.
func (s *search) least(can map[*hw.Kernel][]*choice) part.Resources {
	r := part.Resources{}
	for _, k := range s.kernels {
		m := can[k][0].res
		for _, c := range can[k] {
			m = part.Resources{LUT: min(m.LUT, c.res.LUT), FF: min(m.FF, c.res.FF), DSP: min(m.DSP, c.res.DSP), BRAM18: min(m.BRAM18, c.res.BRAM18), URAM: min(m.URAM, c.res.URAM)}
		}
		r = r.Add(m)
	}
	return r
}

func (s *search) fastest() (map[*hw.Kernel]stream.Fold, error) {
	folds, _, err := s.most()
	return folds, err
}
