package kernels

import "unsafe"

// RequantDeep is a DeepConv whose sums are requantized in registers and never in memory. Registers hold neighbouring elements of a row of the
// result, of one pixel or of several: where windows move by one pixel, each tap of theirs is a register of the image, whatever the
// number of channels is. It is immutable.
type RequantDeep[X uint8 | int16] struct {
	kernel kernel
	off    []int32 // of taps, in bytes: whole steps, the last one repeated with weights of zero
	steps  int
	blocks []deepBlock
	last   int // element of the result
	plus   int64
	lo, hi int64
}

// deepBlock are registers whose first element is of the same channel.
type deepBlock struct {
	mask uint64  // of the elements that count
	jobs []int32 // pairs of places: of a register's windows and of its result, in bytes
	w    []int8  // [step][register of sums][lane][tap]: weights of the bytes of an element
	bias []int32 // [register of sums][lane]
	mul  []float32
}

// deepRequantArgs is what the kernels of gen/deeprequant.go take.
type deepRequantArgs struct {
	x, dst, jobs unsafe.Pointer
	count        int
	off          unsafe.Pointer
	steps        int
	w, bias, mul unsafe.Pointer
	mask         uint64
	plus, lo, hi int64
}

// DeepRows are the places of a depthwise convolution's windows: that of the first pixel of each row, in elements, and of each tap in a window. Pixels
// are Step elements apart, and rows of the result Stride.
type DeepRows struct {
	Rows, Taps   []int
	Step         int
	C, W, Stride int // channels, and pixels of a row of the result
}

// mostDeepWeights is how many bytes of weights are gone through, for registers that begin at different channels, before whole pixels are better:
// half of a first-level cache.
const mostDeepWeights = 16 << 10

// NewRequantDeep packs weights [C][tap] and biases, with q behind the sums. It is nil where the level has no code for it, rows are too short for a
// register, or q is not to the nearest integer in float32.
func NewRequantDeep[X uint8 | int16](level Level, g DeepRows, w []int32, bias []int64, q *Requant32[X]) *RequantDeep[X] {
	size := int(unsafe.Sizeof(X(0)))
	k := columnsOf(level)
	if k == nil || k.pool(size).requant == 0 || q == nil || q.nearest == nil || q.c != g.C {
		return nil
	}
	taps := 4 / size
	r := &RequantDeep[X]{kernel: k.pool(size).requant, steps: (len(g.Taps) + taps - 1) / taps, last: (len(g.Rows)-1)*g.Stride + g.W*g.C - 1,
		plus: q.nearest.plus - magic, lo: q.nearest.lo, hi: q.nearest.hi}
	for i := range r.steps * taps {
		r.off = append(r.off, int32(size*g.Taps[min(i, len(g.Taps)-1)]))
	}
	width := 8 * k.lanes / size // elements of a register
	runs, run, step := g.W, g.C, g.Step
	if g.Step == g.C {
		begins := min(g.C, (g.W*g.C+width-1)/width) // at about so many channels
		if g.C%width > 0 && begins*r.steps*taps*width*size <= mostDeepWeights || g.C < width {
			runs, run = 1, g.W*g.C
		}
	}
	if run < width && level == AVX2 {
		return nil // its registers are written whole
	}
	var from []int // of registers in a run; the last one overlaps the one before it
	for at := 0; at < run; at += width {
		from = append(from, max(min(at, run-width), 0))
	}
	block := map[int]int{} // by channel
	for _, at := range from {
		c := at % g.C
		i, ok := block[c]
		if !ok {
			i = len(r.blocks)
			block[c] = i
			r.blocks = append(r.blocks, newDeepBlock(size, width, c, min(run-at, width), len(g.Taps), r.steps, w, bias, q.nearest.mul))
		}
		b := &r.blocks[i]
		for y, row := range g.Rows {
			for x := range runs {
				b.jobs = append(b.jobs, int32(size*(row+x*step+at)), int32(size*(y*g.Stride+x*g.C+at)))
			}
		}
	}
	return r
}

// newDeepBlock is a block of registers of n elements, width wide, from a channel on, without jobs.
func newDeepBlock(size, width, channel, n, taps, steps int, w []int32, bias []int64, mul []float32) deepBlock {
	per := 4 / size // taps of a step, and registers of sums
	lanes := width / per
	b := deepBlock{mask: 1<<n - 1, w: make([]int8, steps*4*width), bias: make([]int32, width), mul: make([]float32, width)}
	for i := range n {
		c := (channel + i) % len(bias)
		// Each 128 bits of the elements come to as many bits of all registers of sums, four elements to each.
		part := i % (4 * per)
		at := part/4*lanes + i/(4*per)*4 + part%4
		b.bias[at], b.mul[at] = int32(bias[c]), mul[c]
		for t, v := range w[c*taps:][:taps] {
			to := (t/per*width+at)*4 + t%per*size
			b.w[to] = int8(v)
			if size == 2 {
				b.w[to+1] = int8(v >> 8)
			}
		}
	}
	return b
}

// Scratch is as of Winograd: Run needs none.
func (r *RequantDeep[X]) Scratch() int { return 0 }

// Run writes the elements of all pixels.
func (r *RequantDeep[X]) Run(dst, x []X, _ []int32) {
	_ = dst[r.last]
	a := deepRequantArgs{x: unsafe.Pointer(unsafe.SliceData(x)), dst: unsafe.Pointer(&dst[0]), off: unsafe.Pointer(&r.off[0]), steps: r.steps, plus: r.plus, lo: r.lo, hi: r.hi}
	for i := range r.blocks {
		b := &r.blocks[i]
		a.w, a.bias, a.mul = unsafe.Pointer(&b.w[0]), unsafe.Pointer(&b.bias[0]), unsafe.Pointer(&b.mul[0])
		a.jobs, a.count, a.mask = unsafe.Pointer(&b.jobs[0]), len(b.jobs)/2, b.mask
		r.kernel.call(unsafe.Pointer(&a))
	}
}
