package kernels

import (
	"slices"
	"unsafe"
)

// wideDot computes both parts of a Wide in one pass. The window's steps of two elements are put into segments whose sums fit 32 bits for
// every channel and all elements in their range: the first part is the sum of the segments modulo 2^32, and the second one that of
// their high halves, so that 65536 times the second part is less than the whole sum, by less than 65536 for each segment. It is
// immutable.
type wideDot struct {
	pixels []int32 // offset in bytes of each pixel's window, a multiple of tile in number
	tile   int
	oc     int // padded to whole blocks
	parts  []widePart
}

// widePart is a number of blocks that one kernel call takes together.
type widePart struct {
	kernel  kernel
	channel int
	w       []int16          // [segment][step][block][lane][2]
	off     []int32          // of each step, in bytes from a pixel's place
	counts  [wideSteps]int64 // of segments of 1, 2 and so on steps; the longest come first
}

// wideSteps is as in gen/widedot.go.
const wideSteps = 6

// mostSegments bounds what the second part lacks.
const mostSegments = 1<<15 - 1

// wideDotArgs is what the kernels of gen/widedot.go take. They write to tiles and to the two behind stride, their scratch.
type wideDotArgs struct {
	x, w, acc, off unsafe.Pointer
	high           int // bytes from the first part to the second
	pixels         unsafe.Pointer
	tiles, stride  int     // stride: bytes between pixels of acc
	_, _           uintptr // nextAcc, nextPix
	counts         [wideSteps]int64
}

// newWideDot is NewConv for elements in lo..hi. It is nil where a step alone, or the sum of high halves, may leave 32 bits.
func newWideDot(level Level, pixels, off []int, run int, w []int32, lo, hi int64) *wideDot {
	k := len(off) * run
	oc, lanes, tile, sizes := len(w)/k, 16, 4, []int{2, 1}
	if level == AVX2 {
		lanes, tile = 8, 2
	}
	if len(pixels) < 3 {
		tile, sizes = 1, []int{4, 2, 1}
	}
	blocks := (oc + lanes - 1) / lanes
	d := &wideDot{tile: tile, oc: blocks * lanes}
	for i := range (len(pixels) + tile - 1) / tile * tile {
		d.pixels = append(d.pixels, int32(2*pixels[min(i, len(pixels)-1)]))
	}
	var steps []wideStep
	for r, o := range off {
		for e := 0; e < run; e += 2 {
			steps = append(steps, wideStep{off: int32(2 * (o + e)), weight: r*run + e, n: min(2, run-e)})
		}
	}
	for b := 0; b < blocks; {
		n := sizes[0]
		for i := 1; n > blocks-b; i++ {
			n = sizes[i]
		}
		p := widePart{kernel: wideDotKernel(level, tile > 1, n), channel: b * lanes}
		ws := w[p.channel*k : min(oc, p.channel+n*lanes)*k]
		segments := segmentsOf(steps, ws, k, span{lo, hi})
		if segments == nil || len(segments) > mostSegments {
			return nil
		}
		slices.SortStableFunc(segments, func(a, b []wideStep) int { return len(b) - len(a) })
		for _, seg := range segments {
			p.counts[len(seg)-1]++
			for _, s := range seg {
				p.off = append(p.off, s.off)
				for l := range n * lanes {
					var pair [2]int16
					for i := range pair {
						if l < len(ws)/k && i < s.n {
							pair[i] = int16(ws[l*k+s.weight+i])
						}
					}
					p.w = append(p.w, pair[:]...)
				}
			}
		}
		d.parts = append(d.parts, p)
		b += n
	}
	return d
}

// wideStep is up to two elements next to each other.
type wideStep struct {
	off       int32 // bytes from a pixel's place
	weight, n int   // index of the first weight, and number
}

// among is the number of steps that segmentsOf looks at before it chooses one: for every step this number times the channels.
const among = 64

// segmentsOf puts steps into few segments for weights [oc][k] and elements in a span; nil where there is no way. A segment takes the step with
// the largest sum of a channel first, and then of those that fit the one that fills the others best for what it takes from the fullest.
func segmentsOf(steps []wideStep, w []int32, k int, x span) [][]wideStep {
	oc := len(w) / k
	own := make([]span, len(steps)*oc) // [step][oc]
	left := make([]int, len(steps))
	for i, s := range steps {
		left[i] = i
		for c := range oc {
			for _, v := range w[c*k+s.weight:][:s.n] {
				own[i*oc+c] = own[i*oc+c].plus(x.times(int64(v)))
			}
		}
	}
	high := make([]int64, oc) // most of the second part
	var segments [][]wideStep
	for len(left) > 0 {
		sums := make([]span, oc)
		var seg []wideStep
		for len(seg) < wideSteps {
			best, least := -1, int64(0)
			for i, s := range left[:min(among, len(left))] {
				most, all := int64(0), int64(0)
				for c, v := range own[s*oc : s*oc+oc] {
					v = v.plus(sums[c])
					n := max(-1-v.lo, v.hi)
					most, all = max(most, n), all+n
				}
				score := most*int64(oc) - 2*all
				if len(seg) == 0 {
					score = -most
				}
				if most < 1<<31 && (best < 0 || score < least) {
					best, least = i, score
				}
			}
			if best < 0 {
				break
			}
			s := left[best]
			seg, left = append(seg, steps[s]), slices.Delete(left, best, best+1)
			for c := range sums {
				sums[c] = sums[c].plus(own[s*oc+c])
			}
		}
		if len(seg) == 0 {
			return nil
		}
		segments = append(segments, seg)
		for c, s := range sums {
			if high[c] += max(-s.lo, s.hi)>>16 + 1; high[c] >= 1<<31 {
				return nil
			}
		}
	}
	return segments
}

// run is as Conv.Run for the first part, and for the second one the given number of elements of acc behind it.
func (d *wideDot) run(acc []int32, high int, x []int16, first, n int) {
	tiles := (n + d.tile - 1) / d.tile
	_ = acc[high+tiles*d.tile*d.oc-1]
	_ = d.pixels[first+tiles*d.tile-1]
	for i := range d.parts {
		p := &d.parts[i]
		a := wideDotArgs{x: unsafe.Pointer(unsafe.SliceData(x)), w: unsafe.Pointer(&p.w[0]), acc: unsafe.Pointer(&acc[p.channel]), off: unsafe.Pointer(&p.off[0]),
			high: 4 * high, pixels: unsafe.Pointer(&d.pixels[first]), tiles: tiles, stride: 4 * d.oc, counts: p.counts}
		p.kernel.call(unsafe.Pointer(&a))
	}
}
