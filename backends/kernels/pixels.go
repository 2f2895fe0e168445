package kernels

import "unsafe"

// PixelLanes is a convolution of few channels with a requantization and a pooling of the largest of two by two pixels behind it. Unlike
// those of a Conv, lanes of a register hold neighbouring pixels of the result, of one channel: no lane is without work where channels are
// few, pools compare whole registers, and there is a fourth of the sums to requantize. It is immutable.
//
// The steps of 4 bytes that windows consist of lie a few bytes apart for neighbouring lanes. They are brought together beforehand: a plane
// of a row has, for each lane, what lies so many bytes behind its window. Steps that are whole lanes apart share a plane. Windows 5 wide may
// be computed by points instead (see pixelPoints).
type PixelLanes[X uint8 | int16] struct {
	k     *pixelKernels
	rows  []int32    // offset in bytes of each row of the image
	order [64]byte   // that brings together lanes
	from  []int64    // of planes in a row, in bytes
	off   [][2]int64 // of each step in planes, in bytes: for the left pixels of pools and for the right ones
	tiles []int32    // offsets in planes of the tiles of a band, in bytes
	place []int32    // and of their pixels in the result
	parts []pixelPart
	mul   [pixelChannels]float32

	points *pixelPoints // or nil

	plus, lo, hi int64

	lane, width  int // bytes between lanes, and lanes of a plane
	step         int // rows of the image from a row of the result to the next one
	high         int // rows of a window
	tall         int // rows of sums that a tile has
	row          int // bytes of a row of planes that sums are of
	oh, ow, oc   int // of the result
	channels     int // that are computed
	chunks, band int // registers and rows of the result at a time
}

// pixelPart is a number of channels that one kernel call takes together.
type pixelPart struct {
	kernel  kernel
	channel int
	w       []int32 // [step][channel]: 4 bytes; of points [point][step], each after the step's place in planes, in bytes
	bias    []int32
}

// pixelKernels are those of gen/pixels.go.
type pixelKernels struct {
	level   Level
	lanes   int
	size    int // bytes of an element
	rows    int // of sums that a tile has
	most    int // bytes between lanes
	planes  kernel
	sums    [3]kernel // of 2, 4 and 6 channels
	requant kernel
	points  *pointKernels // or nil
}

// pixelChannels is the largest number of channels: of the elements that requantization writes at a time.
const pixelChannels = 8

// planesArgs, pixelArgs and pixelRequantArgs are what the kernels take.
type planesArgs struct {
	x, dst, rows        unsafe.Pointer
	count               int
	from                unsafe.Pointer
	planes              int
	chunks, step, width int
	order               unsafe.Pointer
	lane                int
}

type pixelArgs struct {
	x, w, acc, bias, off unsafe.Pointer // off: scratch of points
	steps                int
	tiles                unsafe.Pointer
	count                int
	below, stride        int
	third                int // 1/3 modulo 2^32, for points
}

type pixelRequantArgs struct {
	acc, mul, dst, place unsafe.Pointer
	tiles, channels      int
	step, stride, below  int
	plus, lo, hi         int64
}

// PixelShape is what a PixelLanes computes.
type PixelShape struct {
	Rows      []int // of the image that windows read: the place of the first element of each
	Lo, Hi    int64 // range of its elements
	C, KH, KW int
	SH, SW    int
	OH, OW    int // of the result, behind the pool
}

// NewPixelLanes packs weights [oc][KH][KW][C]; bias [oc] counts modulo 2^32. It is nil where there is none: without native code, with many
// channels, or where requantization is not to nearest in small numbers or does not grow with sums.
func NewPixelLanes[X uint8 | int16](level Level, s PixelShape, w []int32, bias []int64, q *Requant32[X]) *PixelLanes[X] {
	size := int(unsafe.Sizeof(X(0)))
	k, n := pixelsOf(level), q.nearest
	lane := 2 * s.SW * s.C * size
	if k == nil || k.size != size || lane > k.most || len(bias) > pixelChannels || n == nil || n.pool == 0 {
		return nil
	}
	p := &PixelLanes[X]{k: k, lane: lane, step: 2 * s.SH, high: s.KH, tall: k.rows, oh: s.OH, ow: s.OW, oc: len(bias), order: pixelOrder(level, lane), plus: n.plus, lo: n.lo, hi: n.hi}
	for _, r := range s.Rows {
		p.rows = append(p.rows, int32(r*size))
	}
	if p.points = newPixelPoints(k, &s, w, len(bias)); p.points != nil {
		p.tall = pointRows
		p.planPoints(&s)
		p.pack(bias, k.points.sums, func(part *pixelPart, n int) { p.pointWeights(part, n, &s, w) })
	} else {
		p.plan(&s)
		p.pack(bias, k.sums, func(part *pixelPart, n int) { p.weights(part, n, &s, w) })
	}
	copy(p.mul[:], n.mul[:p.oc])
	return p
}

// plan lays out planes and tiles.
func (p *PixelLanes[X]) plan(s *PixelShape) {
	size := p.k.size
	at := func(step, side int) int { return side*s.SW*s.C*size + 4*step }
	plane := make([]int, p.lane) // by bytes, from 1 on
	shift := 0
	for i := range 2 * pixelSteps(s, size) {
		o := at(i/2, i%2)
		shift = max(shift, o/p.lane)
		if m := o % p.lane; plane[m] == 0 {
			p.from = append(p.from, int64(m))
			plane[m] = len(p.from)
		}
	}
	p.width = p.ow + shift
	p.chunks, p.row = (p.ow+p.k.lanes-1)/p.k.lanes, 4*len(p.from)*p.width
	for ky := range s.KH {
		for i := range pixelSteps(s, size) {
			var off [2]int64
			for side := range off {
				o := at(i, side)
				off[side] = int64(ky*p.row + 4*((plane[o%p.lane]-1)*p.width+o/p.lane))
			}
			p.off = append(p.off, off)
		}
	}
	p.tile(s.SH, cachedPlanes)
}

// tile lays out tiles, for rows of windows that many rows apart and bands of so many bytes of planes.
func (p *PixelLanes[X]) tile(step, cached int) {
	for p.band = 1; p.band < p.oh && p.row*p.rowsOf(p.band+1) <= cached; {
		p.band++
	}
	for y := range p.band {
		for i := range p.chunks {
			for dy := 0; dy < 2; dy += p.tall {
				p.tiles = append(p.tiles, int32((2*y+dy)*step*p.row+4*i*p.k.lanes))
			}
			p.place = append(p.place, int32((y*p.ow+i*p.k.lanes)*p.oc*p.k.size))
		}
	}
}

// pixelOrder is the index of words for lanes so many bytes apart, or two masks of bytes: of lanes 0, 1, 4 and 5, and of the others, from
// registers with what begins at lanes 0 and 4, or 2 and 6.
func pixelOrder(level Level, lane int) (r [64]byte) {
	if level == AVX512 {
		for word := range 32 {
			r[2*word] = byte(word/2*lane/2 + word%2)
		}
		return r
	}
	for i := range r {
		r[i] = 0x80
	}
	for l := range 8 {
		for i := range 4 {
			r[l%4/2*32+l/4*16+l%4*4+i] = byte(l%2*lane + i)
		}
	}
	return r
}

// cachedPlanes is the number of bytes that planes may have at a time: half of a first-level cache.
const cachedPlanes = 1 << 14

// pixelSteps is the number of steps of a row of a window.
func pixelSteps(s *PixelShape, size int) int { return (s.KW*s.C*size + 3) / 4 }

// rowsOf is the number of rows of the image that n rows of the result see.
func (p *PixelLanes[X]) rowsOf(n int) int { return (n-1)*p.step + p.step/2 + p.high }

// pack lays out what even numbers of channels have: as many as there are kernels for, else twice four.
func (p *PixelLanes[X]) pack(bias []int64, kernels [3]kernel, weights func(part *pixelPart, n int)) {
	p.channels = (p.oc + 1) &^ 1
	n := p.channels
	if n > 6 {
		n = 4
	}
	for first := 0; first < p.channels; first += n {
		part := pixelPart{kernel: kernels[n/2-1], channel: first, bias: make([]int32, n)}
		for c := range min(n, p.oc-first) {
			part.bias[c] = int32(bias[first+c])
		}
		weights(&part, n)
		p.parts = append(p.parts, part)
	}
}

// weights packs those of a part of n channels.
func (p *PixelLanes[X]) weights(part *pixelPart, n int, s *PixelShape, w []int32) {
	steps, run, each := pixelSteps(s, p.k.size), s.KW*s.C, 4/p.k.size
	part.w = make([]int32, s.KH*steps*n)
	for c := range min(n, p.oc-part.channel) {
		for i, v := range w[(part.channel+c)*s.KH*run:][:s.KH*run] {
			ky, e := i/run, i%run
			shift := 32 / each * (e % each)
			part.w[(ky*steps+e/each)*n+c] |= int32(uint32(v)<<(32-32/each)>>(32-32/each)) << shift
		}
	}
}

// planes, sums and pixels are the numbers of 32 bits of the parts of the scratch, with what is read and written beyond their ends.
func (p *PixelLanes[X]) planes() int { return p.rowsOf(p.band)*len(p.from)*p.width + p.k.lanes }
func (p *PixelLanes[X]) sums() int   { return len(p.tiles) * p.channels * p.k.lanes }
func (p *PixelLanes[X]) pixels() int {
	return ((p.band*p.ow+p.k.lanes)*p.oc + pixelChannels) * p.k.size / 4
}

// Scratch is the number of accumulators that Run works on.
func (p *PixelLanes[X]) Scratch() int {
	n := p.planes() + p.sums() + p.pixels() + 1
	if p.points != nil {
		n += p.rowsOf(p.band)*p.row/4 + pointSums
	}
	return n
}

// Run writes the result to rows of dst, so many elements apart. x starts where places of rows count from and has Slack, and so has dst.
func (p *PixelLanes[X]) Run(dst []X, step int, x []X, scratch []int32) {
	scratch = scratch[:p.Scratch()]
	planes, sums, pixels := scratch, scratch[p.planes():], scratch[p.planes()+p.sums():]
	row := p.ow * p.oc
	_ = dst[(p.oh-1)*step:][:row]
	lanes, size := p.k.lanes, p.k.size
	for first := 0; first < p.oh; first += p.band {
		n := min(p.band, p.oh-first)
		rows := p.rows[first*p.step:][:p.rowsOf(n)]
		_ = x[int(rows[len(rows)-1])/size]
		a := planesArgs{x: unsafe.Pointer(&x[0]), dst: unsafe.Pointer(&planes[0]), rows: unsafe.Pointer(&rows[0]), count: len(rows), from: unsafe.Pointer(&p.from[0]), planes: len(p.from),
			chunks: (p.width + lanes - 1) / lanes, step: lanes * p.lane, width: 4 * p.width, order: unsafe.Pointer(&p.order), lane: p.lane}
		p.k.planes.call(unsafe.Pointer(&a))
		stride := 4 * p.channels * lanes
		c := pixelArgs{x: unsafe.Pointer(&planes[0]), count: n * p.chunks * 2 / p.tall, below: p.step / 2 * p.row, stride: stride, third: third}
		if p.points == nil {
			c.off, c.steps = unsafe.Pointer(&p.off[0]), len(p.off)
		} else {
			points := pixels[p.pixels():]
			p.toPoints(points, planes, len(rows))
			c.x, c.off, c.steps = unsafe.Pointer(&points[0]), unsafe.Pointer(&points[p.rowsOf(p.band)*p.row/4]), len(p.points.steps)
		}
		c.tiles = unsafe.Pointer(&p.tiles[:c.count][0])
		for i := range p.parts {
			part := &p.parts[i]
			c.w, c.acc, c.bias = unsafe.Pointer(&part.w[0]), unsafe.Pointer(&sums[part.channel*lanes]), unsafe.Pointer(&part.bias[0])
			part.kernel.call(unsafe.Pointer(&c))
		}
		b := pixelRequantArgs{acc: unsafe.Pointer(&sums[0]), mul: unsafe.Pointer(&p.mul), dst: unsafe.Pointer(&pixels[0]), place: unsafe.Pointer(&p.place[0]), tiles: n * p.chunks, channels: p.channels,
			step: p.oc * size, stride: stride * 2 / p.tall, below: stride * (2/p.tall - 1), plus: p.plus - magic, lo: p.lo, hi: p.hi}
		p.k.requant.call(unsafe.Pointer(&b))
		CopyRows(p.k.level, dst, unsafe.Slice((*X)(unsafe.Pointer(&pixels[0])), n*row), Rows{N: row, Count: n, FromStep: row, To: first * step, ToStep: step}, 0)
	}
}
