package kernels

import (
	"fmt"
	"unsafe"
)

// Pool is a sliding window over channels that are kept apart, by native code. Its Window has one run for each tap, of which the run is all
// channels. It is immutable.
type Pool[X uint8 | int16] struct {
	win   Window
	k     *columnKernels
	off   []int64 // in bytes, the last one repeated to a multiple of poolUnroll
	width int     // elements of a register
}

// poolUnroll is the number of taps that the largest elements are taken of at a time.
const poolUnroll = 4

// poolArgs is what the kernels of gen/pool.go take.
type poolArgs struct {
	x, dst, off   unsafe.Pointer
	taps, pixels  int
	step, dstStep int // bytes
	blocks, tail  int
}

// NewPool prepares a window. It is nil where the level has no native code for the elements.
func NewPool[X uint8 | int16](level Level, win Window) *Pool[X] {
	k := columnsOf(level)
	var x X
	size := int(unsafe.Sizeof(x))
	if k == nil || k.pool(size).max == 0 {
		return nil
	}
	p := &Pool[X]{win: win, k: k, width: k.lanes * 8 / size}
	for _, o := range win.Off {
		p.off = append(p.off, int64(o*size))
	}
	for len(p.off)%poolUnroll != 0 {
		p.off = append(p.off, p.off[len(p.off)-1])
	}
	return p
}

// Max computes dst[p*Run+c] = the largest of channel c in the window of pixel p, for a row of pixels. x starts at the window of
// pixel 0 and has Slack.
func (q *Pool[X]) Max(dst, x []X, pixels int) {
	n := q.win.Run
	_ = dst[pixels*n-1]
	_ = x[(pixels-1)*q.win.Step+q.win.Off[len(q.win.Off)-1]+n-1]
	size := int(unsafe.Sizeof(x[0]))
	a := poolArgs{x: unsafe.Pointer(&x[0]), dst: unsafe.Pointer(&dst[0]), off: unsafe.Pointer(&q.off[0]), taps: len(q.off), pixels: pixels,
		step: q.win.Step * size, dstStep: n * size, blocks: n / q.width, tail: n % q.width}
	q.k.pool(size).max.call(unsafe.Pointer(&a))
}

// DeepConv is a Conv that keeps channels apart: channel c of the result is bias[c] + the weights of c times channel c of the window.
type DeepConv[X uint8 | int16] struct {
	kernel kernel
	pixels []int32 // as in Conv
	off    []int64
	w      []uint32 // [block][tap][lane]: 16 bits, 0 above
	bias   []int32  // [Width]
	lanes  int
}

// deepArgs is what the kernels of gen/deep.go take.
type deepArgs struct {
	x, w, acc, bias, off unsafe.Pointer
	taps                 int
	pixels               unsafe.Pointer
	n, blocks, stride    int
}

// NewDeepConv packs weights [c][tap] of 16 bits; off are the offsets of the taps, pixels those of the windows of all output pixels. bias
// [c] counts modulo 2^32.
func NewDeepConv[X uint8 | int16](level Level, pixels, off []int, w []int32, bias []int64) (*DeepConv[X], error) {
	var x X
	size := int(unsafe.Sizeof(x))
	k := columnsOf(level)
	if k == nil || k.pool(size).deep == 0 {
		return nil, fmt.Errorf("kernels: no native depthwise convolution of %d bytes for %v", size, level)
	}
	d := &DeepConv[X]{kernel: k.pool(size).deep, lanes: 2 * k.lanes}
	for _, p := range pixels {
		d.pixels = append(d.pixels, int32(p*size))
	}
	for _, o := range off {
		d.off = append(d.off, int64(o*size))
	}
	c, taps := len(bias), len(off)
	width := (c + d.lanes - 1) / d.lanes * d.lanes
	d.bias, d.w = make([]int32, width), make([]uint32, width*taps)
	for i, b := range bias {
		d.bias[i] = int32(b)
		for t := range taps {
			d.w[(i/d.lanes*taps+t)*d.lanes+i%d.lanes] = uint32(uint16(w[i*taps+t]))
		}
	}
	return d, nil
}

// Width is as of Conv.
func (d *DeepConv[X]) Width() int { return len(d.bias) }

// Tile is the number of pixels that are computed together.
func (d *DeepConv[X]) Tile() int { return 1 }

// Run is as of Conv.
func (d *DeepConv[X]) Run(acc []int32, x []X, first, n int) {
	_ = acc[n*len(d.bias)-1]
	_ = d.pixels[first+n-1]
	a := deepArgs{x: unsafe.Pointer(&x[0]), w: unsafe.Pointer(&d.w[0]), acc: unsafe.Pointer(&acc[0]), bias: unsafe.Pointer(&d.bias[0]), off: unsafe.Pointer(&d.off[0]),
		taps: len(d.off), pixels: unsafe.Pointer(&d.pixels[first]), n: n, blocks: len(d.bias) / d.lanes, stride: 4 * len(d.bias)}
	d.kernel.call(unsafe.Pointer(&a))
}
