package kernels

import (
	"fmt"
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
	blocks  int
	w       []int16          // [segment][step][block][lane][2]
	off     []int32          // of each step, in bytes from a pixel's place
	counts  [wideSteps]int64 // of segments of 1, 2 and so on steps; the longest come first
}

// wideSteps is as in gen/widedot.go.
const wideSteps = 6

// mostSegments bounds what the second part lacks, so that it fits 32 bits.
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

// newWideDot packs what NewWide takes, for elements in a span of 16 bits.
func newWideDot(level Level, pixels, off []int, run int, w []int32, x span) (*wideDot, error) {
	if level == Generic {
		return nil, fmt.Errorf("kernels: no native wide convolution for %v", level)
	}
	k := len(off) * run
	oc, lanes, tile, sizes := len(w)/k, 16, 4, []int{2, 1}
	if level == AVX2 {
		lanes, tile = 8, 2
	}
	if len(pixels) < 3 {
		tile, sizes = 1, []int{4, 2, 1}
	}
	blocks := (oc + lanes - 1) / lanes
	d := &wideDot{pixels: placesOf(pixels, tile, 2), tile: tile, oc: blocks * lanes}
	steps := stepsOf(off, run, w, x)
	for b := 0; b < blocks; {
		n := together(sizes, blocks-b)
		p := widePart{kernel: wideDotKernel(level, tile > 1, n), channel: b * lanes, blocks: n}
		ws := w[p.channel*k : min(oc, p.channel+n*lanes)*k]
		segments := segmentsOf(needed(steps, ws, k), ws, k, x)
		if len(segments) > mostSegments {
			return nil, fmt.Errorf("kernels: wide convolution: want at most %d segments, got %d", mostSegments, len(segments))
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
	return d, nil
}

// span is what a number may be.
type span struct{ lo, hi int64 }

func (s span) plus(t span) span { return span{s.lo + t.lo, s.hi + t.hi} }

// times is what v times a number of s may be.
func (s span) times(v int64) span {
	x, y := s.lo*v, s.hi*v
	return span{min(x, y), max(x, y)}
}

// far is the number of s, or of those less one and turned around, that is largest: what fits 32 bits has it below 1<<31.
func (s span) far() int64 { return max(-1-s.lo, s.hi) }

// wideStep is up to two elements next to each other.
type wideStep struct {
	off       int32 // bytes from a pixel's place
	weight, n int   // index of the first weight, and number
}

// sum is what the products by the weights of a channel may add up to, for elements in a span.
func (s *wideStep) sum(w []int32, x span) (sum span) {
	for _, v := range w[s.weight:][:s.n] {
		sum = sum.plus(x.times(int64(v)))
	}
	return sum
}

// stepsOf are the steps of a window. Two products of the lowest numbers alone do not fit 32 bits: theirs are two steps.
func stepsOf(off []int, run int, w []int32, x span) []wideStep {
	var steps []wideStep
	k := len(off) * run
	for r, o := range off {
		for e := 0; e < run; e += 2 {
			s := wideStep{off: int32(2 * (o + e)), weight: r*run + e, n: min(2, run-e)}
			fits := true
			for c := 0; c < len(w); c += k {
				fits = fits && s.sum(w[c:], x).far() < 1<<31
			}
			if fits {
				steps = append(steps, s)
				continue
			}
			steps = append(steps, wideStep{s.off, s.weight, 1}, wideStep{s.off + 2, s.weight + 1, 1})
		}
	}
	return steps
}

// needed are those steps that have a weight other than zero, but at least one.
func needed(steps []wideStep, w []int32, k int) []wideStep {
	r := slices.DeleteFunc(slices.Clone(steps), func(s wideStep) bool {
		for c := 0; c < len(w); c += k {
			for _, v := range w[c+s.weight:][:s.n] {
				if v != 0 {
					return false
				}
			}
		}
		return true
	})
	if len(r) == 0 {
		return steps[:1]
	}
	return r
}

// among is the number of steps that segmentsOf looks at before it chooses one: for every step this number times the channels.
const among = 64

// segmentsOf puts steps into few segments for weights [oc][k] and elements in a span. A segment takes the step with
// the largest sum of a channel first, and then of those that fit the one that fills the others best for what it takes from the fullest.
func segmentsOf(steps []wideStep, w []int32, k int, x span) [][]wideStep {
	oc := len(w) / k
	own := make([]span, len(steps)*oc) // [step][oc]
	left := make([]int, len(steps))
	for i, s := range steps {
		left[i] = i
		for c := range oc {
			own[i*oc+c] = s.sum(w[c*k:], x)
		}
	}
	var segments [][]wideStep
	for len(left) > 0 {
		sums := make([]span, oc)
		var seg []wideStep
		for len(seg) < wideSteps {
			best, least := -1, int64(0)
			for i, s := range left[:min(among, len(left))] {
				most, all := int64(0), int64(0)
				for c, v := range own[s*oc : s*oc+oc] {
					n := v.plus(sums[c]).far()
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
		segments = append(segments, seg)
	}
	return segments
}

// cycles is an estimate as that of Winograd.pays. A step is a multiplication and an addition, of which a core takes four in a cycle, and
// a segment two additions and a shift, but for an addition that its first step has not.
func (d *wideDot) cycles() int {
	all := 0
	for i := range d.parts {
		p := &d.parts[i]
		segments := 0
		for _, n := range p.counts {
			segments += int(n)
		}
		all += (2*len(p.off) + 2*segments) * p.blocks
	}
	return all * len(d.pixels) / 4
}

// Width, Tile and run are as of wideParts.
func (d *wideDot) Width() int { return d.oc }

func (d *wideDot) Tile() int { return d.tile }

func (d *wideDot) run(acc []int32, second int, x []int16, first, n int) {
	tiles := (n + d.tile - 1) / d.tile
	_ = acc[second+tiles*d.tile*d.oc-1]
	_ = d.pixels[first+tiles*d.tile-1]
	for i := range d.parts {
		p := &d.parts[i]
		a := wideDotArgs{x: unsafe.Pointer(unsafe.SliceData(x)), w: unsafe.Pointer(&p.w[0]), acc: unsafe.Pointer(&acc[p.channel]), off: unsafe.Pointer(&p.off[0]),
			high: 4 * second, pixels: unsafe.Pointer(&d.pixels[first]), tiles: tiles, stride: 4 * d.oc, counts: p.counts}
		p.kernel.call(unsafe.Pointer(&a))
	}
}
