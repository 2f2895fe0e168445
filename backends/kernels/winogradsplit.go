package kernels

// splitWinograd is a Winograd of elements and weights of 16 bits whose sums need more than 32, by bytes: elements are 256*h + l, with l in
// 0..255, weights 256*u + v, with v in -128..127. Three sums of products,
//
//	hh = sum of h*u, ll = sum of l*v, and m = sum of (h + l)*(u + v),
//
// each over as many products as a Winograd of bytes has, give the whole sum: hh<<16 + (m-hh-ll)<<8 + ll. The results are two parts, as those
// of a wideDot: the second one is hh + (m-hh-ll)>>8, and what 65536 times it lacks of the sum fits 27 bits.
type splitWinograd struct{ *Winograd[int16] }

// newSplitWinograd is NewWinograd for a splitWinograd of oc channels. It fails where numbers are too large, or where what else there is
// takes the given number of cycles at most (see pays).
func newSplitWinograd(level Level, rows []int, ow int, w []int32, oc int, lo, hi int64, direct int) (splitWinograd, bool) {
	r := tilesOf[int16](level, rows, ow, 1, len(w)/9/oc, oc, 3)
	if r == nil || !r.pays(direct) {
		return splitWinograd{}, false
	}
	lo, hi = lo>>8, hi>>8
	h, both := halves(w), make([]int32, len(w))
	u, v := h[1], h[0]
	for i := range w {
		both[i] = u[i] + v[i]
	}
	if !r.takes(lo, hi+255) || !r.fits(both, oc, 0, 0) || !r.fits(u, oc, lo, hi) || !r.fits(v, oc, 0, 255) {
		return splitWinograd{}, false
	}
	k := len(w) / oc
	for o := range oc { // m - hh - ll
		top, bottom := int64(0), int64(0)
		for i := o * k; i < (o+1)*k; i++ {
			top += max(int64(v[i])*lo, int64(v[i])*hi) + max(int64(u[i])*255, 0)
			bottom += min(int64(v[i])*lo, int64(v[i])*hi) + min(int64(u[i])*255, 0)
		}
		if top >= r.mostSum() || bottom < -r.mostSum() {
			return splitWinograd{}, false
		}
	}
	r.back = r.k.winograd.split[1]
	for i, w := range [][]int32{u, v, both} {
		r.transform(i, w)
	}
	return splitWinograd{r}, true
}

// run is as of wideParts.
func (r splitWinograd) run(acc []int32, second int, x []int16, first, n int) {
	r.sums(acc[:2*second], second, acc[2*second:], x, first, n)
}

// InTiles is w in tiles for elements in lo..hi, with the arguments of NewWinograd and a stride of 1; nil where that is not possible, or not faster.
func (w *Wide) InTiles(level Level, rows []int, ow int, weights []int32, lo, hi int64) *Wide {
	d, ok := w.wideParts.(*wideDot)
	if !ok || level != AVX2 { // not measured with AVX-512
		return nil
	}
	return w.inTiles(level, rows, ow, weights, lo, hi, d.cycles())
}

// inTiles is InTiles where w takes the given number of cycles.
func (w *Wide) inTiles(level Level, rows []int, ow int, weights []int32, lo, hi int64, direct int) *Wide {
	t, ok := newSplitWinograd(level, rows, ow, weights, w.channel, lo, hi, direct)
	if !ok {
		return nil
	}
	r := newWide(level, t, w.start, 16, 16)
	r.scratch = t.Scratch()
	return r
}

// Tiled tells whether w is in tiles.
func (w *Wide) Tiled() bool {
	_, ok := w.wideParts.(splitWinograd)
	return ok
}
