package kernels

import (
	"math"
	"unsafe"
)

// PointPool is a PixelLanes of more channels: lanes hold output channels, and two pixels beside each other are six products as of pixelPoints,
// each over all rows of the window and channels at once, since a plane has these behind one another. It is immutable.
type PointPool[X uint8 | int16] struct {
	k      *pointKernels
	form   productsForm
	rows   []int32
	c, oc  int
	oh, ow int // of the result, behind the pool
	high   int // rows of a window
	w      []int16
	each   []int32 // for each two registers of channels: biases, 8 times, and an eighth of multipliers
	end    nearestEnd
}

// pointTilesArgs and pointPoolArgs are what the kernels of gen/pointpool.go take.
type pointTilesArgs struct {
	x, dst, rows       unsafe.Pointer
	count, step, plane int
}

type pointPoolArgs struct {
	x, dst, each unsafe.Pointer
	rows, blocks int
	plane, row   int
	third        int
	plus, lo, hi int64
	_, _         uintptr // scratch of the kernel
}

const (
	pointChannels = 8  // at most, of a pixel
	pointBlock    = 16 // channels that the kernels take together: two registers of sums
)

// NewPointPool is as NewPixelLanes; nil where there is none, or a Conv is faster.
func NewPointPool[X uint8 | int16](level Level, s PixelShape, w []int32, bias []int64, q *Requant32[X]) *PointPool[X] {
	k, n, oc := pixelsOf(level), q.nearest, len(bias)
	if k == nil || k.points == nil || k.size != int(unsafe.Sizeof(X(0))) || s.C > pointChannels || s.SH != 1 || oc%pointBlock > 0 || n == nil || n.pool == 0 || !pointsFit(&s, w, oc) {
		return nil
	}
	p := &PointPool[X]{k: k.points, c: s.C, oc: oc, oh: s.OH, ow: s.OW, high: s.KH, end: n.end()}
	p.form = k.points.products[0]
	if f := k.points.products[1]; f.tiles*f.groups(2*s.OH) < p.sums() {
		p.form = f
	}
	// Six products for two pixels, in whole tiles, where a Conv has two; what is transformed takes a fifth of the time.
	if 5*6*p.sums()*2*p.steps()*p.ow > 4*2*s.OH*2*s.OW*s.KH*((s.KW*s.C+1)/2) {
		return nil
	}
	for _, r := range s.Rows[:2*s.OH+s.KH-1] {
		p.rows = append(p.rows, int32(r*k.size))
	}
	p.pack(&s, w)
	for first := 0; first < oc; first += pointBlock {
		for _, b := range bias[first:][:pointBlock] {
			p.each = append(p.each, int32(b*8))
		}
		for _, m := range n.mul[first:][:pointBlock] {
			p.each = append(p.each, int32(math.Float32bits(m/8)))
		}
	}
	return p
}

// pack lays out weights as kernels of Winograd want them: [point][block][pair of terms][channel][2].
func (p *PointPool[X]) pack(s *PixelShape, w []int32) {
	run := s.KW * s.C
	for point := range pointWeights {
		for first := 0; first < p.oc; first += pointBlock {
			for i := range 2 * p.steps() {
				for o := first; o < first+pointBlock; o++ {
					for e := 2 * i; e < 2*i+2; e++ {
						u := int64(0)
						if ky := e / s.C; ky < s.KH {
							u = pointWeight(w[(o*s.KH+ky)*run+e%s.C:], s.C, point)
						}
						p.w = append(p.w, int16(u))
					}
				}
			}
		}
	}
}

// steps is how many times 4 terms a product has.
func (p *PointPool[X]) steps() int { return (p.high*p.c + 3) / 4 }

// sums is the number of rows of sums, in whole tiles.
func (p *PointPool[X]) sums() int { return p.form.tiles * p.form.groups(2*p.oh) }

// plane is the elements of a plane of a point, with what a store writes and the last tile reads beyond its end, in whole registers.
func (p *PointPool[X]) plane() int {
	return ((p.sums()+p.high)*p.c + pointChannels + pointBlock - 1) / pointBlock * pointBlock
}

// Scratch is the number of accumulators that Run works on.
func (p *PointPool[X]) Scratch() int {
	return len(pointWeights) * (p.plane()/2 + p.sums()*p.oc)
}

// Run is as of PixelLanes.
func (p *PointPool[X]) Run(dst []X, step int, x []X, scratch []int32) {
	scratch = scratch[:p.Scratch()]
	size := int(unsafe.Sizeof(x[0]))
	_, _ = x[int(p.rows[len(p.rows)-1])/size+(2*p.ow+4)*p.c-1], dst[(p.oh-1)*step+p.ow*p.oc-1]
	plane, products := size*p.plane(), scratch[len(pointWeights)*p.plane()/2:]
	in := pointTilesArgs{dst: unsafe.Pointer(&scratch[0]), rows: unsafe.Pointer(&p.rows[0]), count: len(p.rows), step: size * p.c, plane: plane}
	back := pointPoolArgs{x: unsafe.Pointer(&products[0]), each: unsafe.Pointer(&p.each[0]), blocks: p.oc / pointBlock, plane: 4 * p.oc, row: size * step, third: third,
		plus: p.end.plus, lo: p.end.lo, hi: p.end.hi}
	for i := range p.ow {
		in.x = unsafe.Pointer(&x[2*i*p.c])
		p.k.tiles.call(unsafe.Pointer(&in))
		sums := productsArgs{x: unsafe.Pointer(&scratch[0]), w: unsafe.Pointer(&p.w[0]), acc: unsafe.Pointer(&products[0]), points: len(pointWeights), columns: p.oc / pointBlock,
			groups: p.form.groups(2 * p.oh), steps: p.steps(), tile: size * p.c, plane: plane, tileAcc: 4 * len(pointWeights) * p.oc}
		p.form.kernel.call(unsafe.Pointer(&sums))
		back.dst, back.rows = unsafe.Pointer(&dst[i*p.oc]), p.oh
		p.k.pool.call(unsafe.Pointer(&back))
	}
}
