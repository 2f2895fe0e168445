package calib

import "math"

// Entropy picks the range whose quantized distribution is nearest to the observed one in Kullback-Leibler divergence, over
// magnitudes, as TensorRT does: for each clipping point the tail is folded into the last bin and the bins are merged into as
// many groups as there are levels on one side. The same magnitude clips both sides. Zeros are left out: they cost nothing. With
// so many levels that each bin has its own (12 bits and up) nothing is lost by clipping nothing: the result is MinMax then.
func (s *Stats) Entropy(l Levels) Range {
	full := s.MinMax()
	hist, w := s.magnitudes()
	levels := int(max(l.Max, -l.Min))
	if l.Affine {
		levels = int(l.Max - l.Min)
		if full.Lo < 0 && full.Hi > 0 {
			levels /= 2
		}
	}
	levels = max(levels, 1)
	if levels >= len(hist) {
		return full
	}
	best, least := len(hist), math.Inf(1)
	step := max(1, (len(hist)-levels)/256)
	for i := len(hist); i >= levels; i -= step {
		if d := divergence(hist[:i], hist[i:], levels); d < least {
			best, least = i, d
		}
	}
	t := float64(best) * w
	return Range{max(full.Lo, -t), min(full.Hi, t)}
}

// magnitudes is the histogram of the absolute values, cut after the last bin in use, and its bin width.
func (s *Stats) magnitudes() ([]int64, float64) {
	var h half
	h.merge(&s.pos)
	h.merge(&s.neg)
	n := len(h.bins)
	for n > 0 && h.bins[n-1] == 0 {
		n--
	}
	return h.bins[:n], h.width()
}

// divergence is KL(p||q): p is hist with the clipped tail added to its last bin, q is hist averaged within each of the groups over
// the bins in use. A bin that q leaves empty counts as 1e-4 elements so that the logarithm exists.
func divergence(hist, clipped []int64, groups int) float64 {
	const eps = 1e-4
	n := len(hist)
	tail, kept := 0.0, 0.0
	for _, c := range clipped {
		tail += float64(c)
	}
	for _, c := range hist {
		kept += float64(c)
	}
	total := tail + kept
	if kept == 0 {
		return math.Inf(1)
	}
	d := 0.0
	for g := range groups {
		lo, hi := g*n/groups, (g+1)*n/groups
		var sum float64
		used := 0
		for _, c := range hist[lo:hi] {
			sum += float64(c)
			if c > 0 {
				used++
			}
		}
		for i := lo; i < hi; i++ {
			p := float64(hist[i])
			q := 0.0
			if p > 0 {
				q = sum / float64(used) / kept
			}
			if i == n-1 {
				p += tail
			}
			if p > 0 {
				p /= total
				d += p * math.Log(p/max(q, eps/total))
			}
		}
	}
	return d
}
