package kernels

import "unsafe"

// pixelPoints is how a PixelLanes of windows 5 wide takes 6 products for the left and the right pixel of a pair instead of 10: F(2,5) of
// Winograd's algorithm along the rows, in integers, at the points 0, 1, -1, 2, -2 and infinity. These are the points of F(4,3), so a row's
// elements are transformed as those of Winograd. Products are sums over the rows of a window and over channels, of two words in a step: of two
// channels, and of two rows for the last one of an odd number. Sums are 24 times too large; they count modulo 2^32, and are exact where 24 times
// a sum fits 32 bits.
type pixelPoints struct {
	k     *pointKernels
	pairs int // of channels
	odd   bool
	steps []int32 // places in planes of the first point, in bytes
}

// pointKernels are those of gen/pixelpoints.go.
type pointKernels struct {
	pairs, next kernel    // make planes: of pairs of channels, and of the row with the next one
	sums        [3]kernel // of 2, 4 and 6 channels

	tiles, pool kernel // of PointPool
	products    [2]productsForm
}

// pointPlanesArgs is what the kernels take that make planes.
type pointPlanesArgs struct {
	x           unsafe.Pointer
	odd         int
	dst         unsafe.Pointer
	rows        int
	row, dstRow int
	chunks      int
	plane       int
}

const (
	pointRows = 2                                     // rows of sums that a tile has
	pointSums = len(pointWeights) * pointRows * 6 * 8 // accumulators: those of all points of a tile of 6 channels
	third     = -0x55555555                           // 1/3 modulo 2^32
)

// cachedPoints is the number of bytes that planes of points may have at a time: a first-level cache. Half of one took 1.14 times as long on a
// Zen 4, for LeNet's first layer, whose 25 KB were in two bands then.
const cachedPoints = 1 << 15

// pointWeights are 24 times those of F(2,5), by points.
var pointWeights = [6][5]int64{{6}, {-4, -4, -4, -4, -4}, {-4, 4, -4, 4, -4}, {1, 2, 4, 8, 16}, {1, -2, 4, -8, 16}, {0, 0, 0, 0, 24}}

// newPixelPoints is nil where there is none, or numbers are too large.
func newPixelPoints(k *pixelKernels, s *PixelShape, w []int32, oc int) *pixelPoints {
	if k.points == nil || !pointsFit(s, w, oc) {
		return nil
	}
	return &pixelPoints{k: k.points, pairs: s.C / 2, odd: s.C%2 > 0}
}

// pointsFit tells whether windows are of pointWeights' width, transformed elements and weights fit 16 bits, and 24 times each sum 32 bits.
func pointsFit(s *PixelShape, w []int32, oc int) bool {
	if s.KW != len(pointWeights[0]) || s.SW != 1 {
		return false
	}
	most := max(s.Hi, -s.Lo)
	if 10*most > mostWord { // as B^T has 4, -5 and 1 in a row
		return false
	}
	run := s.KW * s.C
	each := len(w) / oc
	for o := range oc {
		sum := int64(0)
		for i, v := range w[o*each : (o+1)*each] {
			sum += abs(int64(v)) * most
			if i%run < s.C {
				for p := range pointWeights {
					if u := pointWeight(w[o*each+i:], s.C, p); abs(u) > mostWord {
						return false
					}
				}
			}
		}
		if sum >= 1<<31/24 {
			return false
		}
	}
	return true
}

// pointWeight is that of a point, of weights that many apart.
func pointWeight(w []int32, step, point int) int64 {
	s := int64(0)
	for i, v := range pointWeights[point] {
		s += v * int64(w[i*step])
	}
	return s
}

// planPoints is plan by points.
func (p *PixelLanes[X]) planPoints(s *PixelShape) {
	r := p.points
	for g := range (s.C + 1) / 2 {
		p.from = append(p.from, int64(4*g), int64(p.lane/2+4*g)) // of even and of odd pixels
	}
	p.width = p.ow + 2 // three pairs of pixels from each one on
	p.chunks = (p.ow + p.k.lanes - 1) / p.k.lanes
	p.row = len(p.from) / 2 * p.group()
	for ky := range s.KH {
		for g := range r.pairs {
			r.steps = append(r.steps, int32(ky*p.row+g*p.group()))
		}
		if r.odd && ky%2 == 0 {
			r.steps = append(r.steps, int32(ky*p.row+r.pairs*p.group()))
		}
	}
	p.tile(s.SH, cachedPoints)
}

// group is the bytes of all planes of points of a group of channels in a row.
func (p *PixelLanes[X]) group() int { return len(pointWeights) * p.pointPlane() }

// pointPlane is the bytes of one of them.
func (p *PixelLanes[X]) pointPlane() int { return 4 * p.chunks * p.k.lanes }

// pointWeights packs the weights of a part of n channels by points.
func (p *PixelLanes[X]) pointWeights(part *pixelPart, n int, s *PixelShape, w []int32) {
	run := s.KW * s.C
	for point := range pointWeights {
		at := func(channel, ky, c int) int32 {
			if channel >= p.oc || ky >= s.KH {
				return 0
			}
			return int32(uint16(pointWeight(w[(channel*s.KH+ky)*run+c:], s.C, point)))
		}
		i := 0
		step := func(ky, c, nextKY, nextC int) {
			part.w = append(part.w, p.points.steps[i]+int32(point*p.pointPlane()))
			i++
			for o := part.channel; o < part.channel+n; o++ {
				part.w = append(part.w, at(o, ky, c)|at(o, nextKY, nextC)<<16)
			}
		}
		for ky := range s.KH {
			for g := range p.points.pairs {
				step(ky, 2*g, ky, 2*g+1)
			}
			if p.points.odd && ky%2 == 0 {
				step(ky, s.C-1, ky+1, s.C-1)
			}
		}
	}
}

// toPoints makes planes of points in dst of those of pixels.
func (p *PixelLanes[X]) toPoints(dst, planes []int32, rows int) {
	width := 4 * p.width
	a := pointPlanesArgs{odd: width, rows: rows, row: len(p.from) * width, dstRow: p.row, chunks: p.chunks, plane: p.pointPlane()}
	for g := range len(p.from) / 2 {
		kernel := p.points.k.pairs
		if g == p.points.pairs {
			kernel = p.points.k.next
		}
		a.x, a.dst = unsafe.Pointer(&planes[2*g*p.width]), unsafe.Pointer(&dst[g*p.group()/4])
		kernel.call(unsafe.Pointer(&a))
	}
}
