package kernels

import (
	"fmt"
	"unsafe"
)

// Slack is how many elements beyond its last one the native kernels may read of a tensor.
const Slack = 144

// Conv holds weights for the native inner products. Elements are uint8 with int8 weights (AVX512 alone), or int16 with int16 weights.
// Sums are modulo 2^32, so they are exact where the final sum fits 32 bits, whatever partial sums do. It is immutable.
//
// Lanes of a register hold output channels, 16 or 8 a block. One step multiplies 4 bytes of the window, broadcast, with 4 bytes of
// weights for each lane, which are words in 2 bytes of memory where AVX2 has a pixel alone to read them for; runs that are not a multiple of 4 bytes end in weights of zero.
type Conv[X uint8 | int16] struct {
	level  Level
	pixels []int32 // offset in bytes of each pixel's window, a multiple of tile in number
	off    []int64 // of each run, in bytes
	run    int     // bytes of a run
	tile   int
	oc     int // padded to whole blocks
	parts  []convPart
}

// convPart is a number of blocks that one kernel call takes together.
type convPart struct {
	kernel  kernel
	channel int
	w       []byte // [run][step][block][lane][4]
	bias    []int32
}

// dotArgs is what the kernels of gen/dot.go take. They write to tiles and to two words of scratch. The last fields are of those that requantize.
type dotArgs struct {
	x, w, acc, bias unsafe.Pointer
	off, offLast    unsafe.Pointer
	span            int
	pixels          unsafe.Pointer
	tiles           int
	stride          int     // bytes between pixels of acc
	_, _            uintptr // nextAcc, nextPix
	places, mul     unsafe.Pointer
	nearestEnd
	dotRests
}

// NewConv packs weights [oc][len(off)*run], in the order of the window: off are the offsets of its runs of the given length, pixels
// those of the windows of all output pixels, in elements. bias [oc] counts modulo 2^32.
func NewConv[X uint8 | int16](level Level, pixels, off []int, run int, w []int32, bias []int64) (*Conv[X], error) {
	var zero X
	size := int(unsafe.Sizeof(zero))
	if level == Generic || level == AVX2 && size == 1 {
		return nil, fmt.Errorf("kernels: no native convolution of %d bytes for %v", size, level)
	}
	lanes, tile := 16, 8
	if level == AVX2 {
		lanes, tile = 8, 4
	}
	blocks := (len(bias) + lanes - 1) / lanes
	narrow := false
	if len(pixels) < 3 {
		tile, narrow = 1, level == AVX2 && bytesAll(w)
	}
	c := &Conv[X]{level: level, pixels: placesOf(pixels, tile, size), tile: tile, oc: blocks * lanes, run: run * size}
	for _, o := range off {
		c.off = append(c.off, int64(o*size))
	}
	perStep := 4 / size
	steps := (c.run + 3) / 4
	k := len(off) * run
	each := size // bytes of a weight
	if narrow {
		each = 1
	}
	for b := 0; b < blocks; {
		n := dotBlocks(level, tile > 1, blocks-b)
		p := convPart{kernel: dotKernel(level, size, tile > 1, narrow, n), channel: b * lanes, w: make([]byte, len(off)*steps*n*lanes*perStep*each), bias: make([]int32, n*lanes)}
		for l := range n * lanes {
			o := b*lanes + l
			if o >= len(bias) {
				break
			}
			p.bias[l] = int32(bias[o])
			for i, v := range w[o*k : (o+1)*k] {
				r, e := i/run, i%run
				at := (((r*steps+e/perStep)*n*lanes+l)*perStep + e%perStep) * each
				p.w[at] = byte(v)
				if each == 2 {
					p.w[at+1] = byte(v >> 8)
				}
			}
		}
		c.parts = append(c.parts, p)
		b += n
	}
	return c, nil
}

// placesOf are the offsets of pixels in bytes, the last one repeated to whole tiles.
func placesOf(pixels []int, tile, size int) (r []int32) {
	for i := range (len(pixels) + tile - 1) / tile * tile {
		r = append(r, int32(pixels[min(i, len(pixels)-1)]*size))
	}
	return r
}

// bytesAll tells whether weights are of 8 bits.
func bytesAll(w []int32) bool {
	for _, v := range w {
		if v < -1<<7 || v >= 1<<7 {
			return false
		}
	}
	return true
}

// dotBlocks is how many of the blocks that are left a kernel takes: with a single pixel and AVX2 up to 8, the same number each time as nearly
// as possible.
func dotBlocks(level Level, many bool, left int) int {
	switch {
	case many:
		return together([]int{2, 1}, left)
	case level == AVX2:
		calls := (left + 7) / 8
		return (left + calls - 1) / calls
	}
	return together([]int{8, 4, 2, 1}, left)
}

// together is the first of the sizes, from the largest down to 1, that is no more than what is left.
func together(sizes []int, left int) int {
	for sizes[0] > left {
		sizes = sizes[1:]
	}
	return sizes[0]
}

// Width is the number of channels of a pixel of Run's accumulators: the output channels, and unspecified ones up to a whole block.
func (c *Conv[X]) Width() int { return c.oc }

// Tile is the number of pixels that are computed together.
func (c *Conv[X]) Tile() int { return c.tile }

// Run computes the accumulators [pixel][Width] of n pixels from the given one on, a multiple of Tile; acc must have room for whole
// tiles. x starts where offsets count from.
func (c *Conv[X]) Run(acc []int32, x []X, first, n int) {
	tiles := (n + c.tile - 1) / c.tile
	_ = acc[tiles*c.tile*c.oc-1]
	_ = c.pixels[first+tiles*c.tile-1]
	a := c.args(x)
	a.stride = c.oc * 4
	for i := range c.parts {
		p := &c.parts[i]
		a.w, a.acc, a.bias = unsafe.Pointer(&p.w[0]), unsafe.Pointer(&acc[p.channel]), unsafe.Pointer(&p.bias[0])
		a.pixels, a.tiles = unsafe.Pointer(&c.pixels[first]), tiles
		p.kernel.call(unsafe.Pointer(&a))
	}
}

func (c *Conv[X]) args(x []X) dotArgs {
	return dotArgs{span: (c.run + 3) &^ 3, x: unsafe.Pointer(unsafe.SliceData(x)), off: unsafe.Pointer(&c.off[0]), offLast: unsafe.Pointer(&c.off[len(c.off)-1])}
}
