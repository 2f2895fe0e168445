// Package calib watches the values of a graph while a model runs on calibration data, and picks clipping ranges from what it saw.
//
//	r, err := calib.Collect(interp, g, calib.Batches(batches), calib.Options{})
//	lo, hi := r.Of(v).Percentile(99.99)
//
// Statistics are streaming and exact: histograms grow by powers of two and count integers, sums are kept in fixed point without
// rounding. The result is thus the same to the last bit in whatever order, on however many goroutines, the samples arrive.
package calib

import (
	"fmt"
	"math"
)

// Bins is the number of histogram bins on each side of zero.
const Bins = 2048

const binBits = 11 // log2 of Bins

// Stats is what is known about one value: count, extremes, moments and a histogram. The zero Stats is empty and ready for use.
type Stats struct {
	N        int64 // elements seen
	Zeros    int64 // elements that are exactly 0; they are in no bin, since each quantizer represents them without error
	Min, Max float32
	Channels []Channel // per index of axis 1, if asked for

	pos, neg   half
	sum, sumSq exact
}

// Channel has the statistics of one index of a value's axis 1.
type Channel struct {
	N        int64
	Min, Max float32
	sum      exact
}

// Mean is the average of the channel; 0 when it is empty.
func (c *Channel) Mean() float64 { return mean(&c.sum, c.N) }

// half is the histogram of one side of zero: bin i counts magnitudes in [i, i+1) * 2^exp/Bins. All magnitudes are below 2^exp,
// and exp is the least for which that holds, so it depends on the data alone and not on their order.
type half struct {
	exp  int
	bins []int64 // nil: nothing seen
}

// grow widens the range to 2^exp; pairs of bins become one, which is exact because a bin's edges are multiples of its width.
func (h *half) grow(exp int) {
	switch {
	case h.bins == nil:
		h.exp, h.bins = exp, make([]int64, Bins)
	case exp > h.exp:
		k := min(exp-h.exp, binBits)
		for i, c := range h.bins {
			h.bins[i] = 0
			h.bins[i>>k] += c
		}
		h.exp = exp
	}
}

func (h *half) merge(o *half) {
	if o.bins == nil {
		return
	}
	h.grow(o.exp)
	k := min(h.exp-o.exp, binBits)
	for i, c := range o.bins {
		h.bins[i>>k] += c
	}
}

// width is the size of a bin.
func (h *half) width() float64 { return math.Ldexp(1, h.exp-binBits) }

// exponent is the least e with x < 2^e, for x > 0.
func exponent(x float32) int {
	_, e := math.Frexp(float64(x))
	return e
}

// Add counts the elements of one sample. The sums of one call are formed in float64 in the order of x and then added exactly, so the
// moments depend on how the data is divided into calls but not on the order of the calls. NaN or infinity is an error, and
// nothing is counted then.
func (s *Stats) Add(x []float32) error {
	if len(x) == 0 {
		return nil
	}
	least, most := order(x[0]), order(x[0])
	var sum, sq float64
	for i, v := range x {
		if v-v != 0 { // true for NaN and both infinities
			return fmt.Errorf("element %d is %v", i, v)
		}
		least, most = min(least, order(v)), max(most, order(v))
		f := float64(v)
		sum += f
		sq += f * f
	}
	lo, hi := ordered(least), ordered(most)
	if s.N == 0 {
		s.Min, s.Max = lo, hi
	}
	s.Min, s.Max = min(s.Min, lo), max(s.Max, hi)
	s.N += int64(len(x))
	s.sum.add(sum)
	s.sumSq.add(sq)
	s.count(x, lo, hi)
	return nil
}

// order is an integer for each float32 but NaN, in their order, -0 before 0: the least and the greatest take no branches with it.
func order(v float32) int32 {
	i := int32(math.Float32bits(v))
	return i ^ i>>31&math.MaxInt32
}

func ordered(i int32) float32 { return math.Float32frombits(uint32(i ^ i>>31&math.MaxInt32)) }

// count puts the elements in bins, without branches, as signs are random. Zeros are taken for the least magnitudes of their sign first.
func (s *Stats) count(x []float32, lo, hi float32) {
	side := [2]struct {
		bins     []int64
		perWidth float64
		zeros    int64
	}{{bins: make([]int64, 1)}, {bins: make([]int64, 1)}}
	if hi > 0 {
		s.pos.grow(exponent(hi))
		side[0].bins, side[0].perWidth = s.pos.bins, 1/s.pos.width()
	}
	if lo < 0 {
		s.neg.grow(exponent(-lo))
		side[1].bins, side[1].perWidth = s.neg.bins, 1/s.neg.width()
	}
	for _, v := range x {
		b := math.Float32bits(v)
		h := &side[b>>31]
		m := b &^ (1 << 31)
		h.bins[int(float64(math.Float32frombits(m))*h.perWidth)]++
		h.zeros += int64((m - 1) >> 31) // 1 if it is 0, as magnitudes are below 1<<31
	}
	for i := range side {
		side[i].bins[0] -= side[i].zeros
		s.Zeros += side[i].zeros
	}
}

// AddChannels counts one sample laid out as channels of inner elements each, for Channels alone: call Add as well. The number of
// channels must be the same each time.
func (s *Stats) AddChannels(x []float32, channels, inner int) {
	if s.Channels == nil {
		s.Channels = make([]Channel, channels)
	}
	if len(s.Channels) != channels || len(x) != channels*inner {
		panic(fmt.Sprintf("calib: %d channels of %d in %d elements, want %d channels", channels, inner, len(x), len(s.Channels)))
	}
	for i := range s.Channels {
		c := &s.Channels[i]
		var sum float64
		for _, v := range x[i*inner : (i+1)*inner] {
			c.extremes(v, v, 1)
			sum += float64(v)
		}
		c.sum.add(sum)
	}
}

func (c *Channel) extremes(lo, hi float32, n int64) {
	if c.N == 0 {
		c.Min, c.Max = lo, hi
	}
	c.Min, c.Max = min(c.Min, lo), max(c.Max, hi)
	c.N += n
}

// Merge adds what o has seen. It is commutative and associative to the last bit.
func (s *Stats) Merge(o *Stats) {
	if o.N == 0 {
		return
	}
	if s.N == 0 {
		s.Min, s.Max = o.Min, o.Max
	}
	s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
	s.N += o.N
	s.Zeros += o.Zeros
	s.sum.merge(&o.sum)
	s.sumSq.merge(&o.sumSq)
	s.pos.merge(&o.pos)
	s.neg.merge(&o.neg)
	if o.Channels == nil {
		return
	}
	if s.Channels == nil {
		s.Channels = make([]Channel, len(o.Channels))
	}
	if len(s.Channels) != len(o.Channels) {
		panic(fmt.Sprintf("calib: merge of %d channels with %d", len(o.Channels), len(s.Channels)))
	}
	for i := range o.Channels {
		if c := &o.Channels[i]; c.N > 0 {
			s.Channels[i].extremes(c.Min, c.Max, c.N)
			s.Channels[i].sum.merge(&c.sum)
		}
	}
}

// Mean is the average; 0 when nothing was seen.
func (s *Stats) Mean() float64 { return mean(&s.sum, s.N) }

// Variance is the mean squared distance from Mean; 0 when nothing was seen.
func (s *Stats) Variance() float64 {
	m := s.Mean()
	return max(0, mean(&s.sumSq, s.N)-m*m)
}

func mean(sum *exact, n int64) float64 {
	if n == 0 {
		return 0
	}
	return sum.float() / float64(n)
}
