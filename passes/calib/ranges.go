package calib

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Range is a clipping range in reals. It always holds 0: Lo <= 0 <= Hi.
type Range struct{ Lo, Hi float64 }

// Abs is the greater magnitude of the two ends.
func (r Range) Abs() float64 { return max(-r.Lo, r.Hi) }

// Levels are the integers of the quantizer that a range is chosen for. Without Affine the zero point is 0, so the range is
// Min*scale..Max*scale; with it the zero point may be any integer in between and both ends of the range are free.
type Levels struct {
	Min, Max int64
	Affine   bool
}

// Quantizer is the scale and the zero point that spread the levels over a range. The scale is positive: an empty range gives the
// scale 1.
func (l Levels) Quantizer(r Range) (scale float64, zero int64) {
	if l.Affine {
		scale = (r.Hi - r.Lo) / float64(l.Max-l.Min)
		if !(scale > 0) {
			return 1, min(max(0, l.Min), l.Max)
		}
		z := math.RoundToEven(float64(l.Min) - r.Lo/scale)
		return scale, min(max(int64(z), l.Min), l.Max)
	}
	if l.Max > 0 {
		scale = r.Hi / float64(l.Max)
	}
	if l.Min < 0 {
		scale = max(scale, r.Lo/float64(l.Min))
	}
	if !(scale > 0) {
		return 1, 0
	}
	return scale, 0
}

// Method is a way to pick a range.
type Method struct {
	Name string  // minmax, percentile, mse or entropy
	P    float64 // percentile: percent of the elements on the near side of each end
}

// ParseMethod reads minmax, percentile, percentile:99.99, mse and entropy. The percentile is 99.99 unless given.
func ParseMethod(s string) (Method, error) {
	name, arg, has := strings.Cut(s, ":")
	m := Method{Name: name}
	switch name {
	case "percentile":
		m.P = 99.99
		if has {
			p, err := strconv.ParseFloat(arg, 64)
			if err != nil || !(p > 50 && p <= 100) {
				return m, fmt.Errorf("calibration method %q: want a percentile above 50, at most 100", s)
			}
			m.P = p
		}
		return m, nil
	case "minmax", "mse", "entropy":
		if !has {
			return m, nil
		}
	}
	return m, fmt.Errorf("calibration method %q: want minmax, percentile, percentile:P, mse or entropy", s)
}

func (m Method) String() string {
	if m.Name == "percentile" {
		return "percentile:" + strconv.FormatFloat(m.P, 'g', -1, 64)
	}
	return m.Name
}

// Range applies the method. The levels matter to mse and entropy only.
func (m Method) Range(s *Stats, l Levels) Range {
	switch m.Name {
	case "minmax":
		return s.MinMax()
	case "percentile":
		return s.Percentile(m.P)
	case "mse":
		return s.MSE(l)
	case "entropy":
		return s.Entropy(l)
	}
	panic("calib: method " + strconv.Quote(m.Name))
}

// MinMax is the range of everything seen, and 0.
func (s *Stats) MinMax() Range { return Range{min(0, float64(s.Min)), max(0, float64(s.Max))} }

// Percentile cuts from each end the (100-p) percent of elements that lie furthest out; 99.9 percent is too rough for 8 bits
// (ResNet-18 loses 6 points), 99.99 to 99.999 is usual. Within a bin the elements count as evenly spread.
func (s *Stats) Percentile(p float64) Range {
	cut := float64(s.N) * (100 - p) / 100
	r := s.MinMax()
	return Range{-s.neg.tail(cut, -r.Lo), s.pos.tail(cut, r.Hi)}
}

// tail is the magnitude above which cut elements lie; top is the greatest one seen.
func (h *half) tail(cut, top float64) float64 {
	if h.bins == nil {
		return 0
	}
	w := h.width()
	above := 0.0
	for i := Bins - 1; i >= 0; i-- {
		c := float64(h.bins[i])
		if c > 0 && above+c > cut {
			upper := min(float64(i+1)*w, top)
			return upper - (upper-float64(i)*w)*(cut-above)/c
		}
		above += c
	}
	return 0
}

// Error is the mean squared error of the quantizer q = clamp(round(x/scale)+zero, lo, hi) over the histogram, each bin counting
// as evenly filled. It is exact for that density also where a bin is wider than a step.
func (s *Stats) Error(scale float64, zero, lo, hi int64) float64 {
	if s.N == 0 {
		return 0
	}
	kmin, kmax := float64(lo-zero), float64(hi-zero)
	// Integral of the squared error from 0 to x: k whole cells of scale^3/12 and a part of one, the outermost cells open.
	g := func(x float64) float64 {
		k := min(max(math.Round(x/scale), kmin), kmax)
		d := x - k*scale
		return k*scale*scale*scale/12 + d*d*d/3
	}
	r := s.MinMax()
	return (s.pos.integrate(r.Hi, g) - s.neg.integrate(-r.Lo, func(x float64) float64 { return g(-x) })) / float64(s.N)
}

// integrate sums over the bins their count times the mean of the derivative of g over the bin; top cuts the last one.
func (h *half) integrate(top float64, g func(float64) float64) float64 {
	if h.bins == nil {
		return 0
	}
	w := h.width()
	sum, done, at := 0.0, -1, 0.0
	for i, c := range h.bins {
		if c == 0 {
			continue
		}
		a, b := float64(i)*w, min(float64(i+1)*w, top)
		if b <= a { // the greatest element sits on the edge: use a sliver, for which the mean is the value at the point
			a, b = a-w*1e-3, a
			done = -1
		}
		if done != i {
			at = g(a)
		}
		next := g(b)
		sum += float64(c) * (next - at) / (b - a)
		done, at = i+1, next
	}
	return sum
}

// MSE picks the range with the least squared error for the levels: a search over fractions of the full range from 1 down to 1/64
// in steps of 4 percent, then in steps of half a percent about the best. With Affine both ends shrink together first and are then
// refined one after the other.
func (s *Stats) MSE(l Levels) Range {
	full := s.MinMax()
	if full.Abs() == 0 {
		return full
	}
	if !l.Affine {
		return s.search(l, full, func(f float64) Range { return Range{full.Lo * f, full.Hi * f} })
	}
	r := s.search(l, full, func(f float64) Range { return Range{full.Lo * f, full.Hi * f} })
	for range 2 {
		hi, lo := r.Hi, r.Lo
		if full.Lo < 0 {
			r = s.search(l, r, func(f float64) Range { return Range{full.Lo * f, hi} })
			lo = r.Lo
		}
		if full.Hi > 0 {
			r = s.search(l, r, func(f float64) Range { return Range{lo, full.Hi * f} })
		}
	}
	return r
}

// search minimises Error over the fractions; start is the range to beat, which stays when nothing is better.
func (s *Stats) search(l Levels, start Range, at func(f float64) Range) Range {
	cost := func(r Range) float64 {
		scale, zero := l.Quantizer(r)
		return s.Error(scale, zero, l.Min, l.Max)
	}
	best, least, frac := start, cost(start), 1.0
	try := func(f float64) {
		r := at(f)
		if r.Abs() == 0 {
			return
		}
		if c := cost(r); c < least {
			best, least, frac = r, c, f
		}
	}
	for f := 1.0; f > 1.0/64; f *= 0.96 {
		try(f)
	}
	for i, f0 := -8, frac; i <= 8; i++ {
		if f := f0 * (1 + 0.005*float64(i)); f <= 1 {
			try(f)
		}
	}
	return best
}
