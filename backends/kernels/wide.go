package kernels

import (
	"fmt"
	"slices"
	"unsafe"
)

// Wide is a Conv of int16 whose sums need more than 32 bits. Each is put together from two parts of 32 bits,
//
//	sum = start + (first - second<<back) + second<<up
//
// which one pass makes (see wideDot), or tiles (see splitWinograd), or for depthwise convolutions one pass by the weights' low bytes and one
// by the rest (see wideDeep). It is immutable.
type Wide struct {
	wideParts
	k       *columnKernels
	channel int // output channels
	scratch int // accumulators that run needs at the end of acc
	start   []int64
	up      int64
	back    int32   // noBack: the first part contains nothing of the second
	table   []int32 // of the kernel widen
}

// wideParts is how the parts are computed.
type wideParts interface {
	// run computes the parts of n pixels from the given one on, a multiple of Tile: the first ones to acc, the second ones the given
	// number of elements behind them.
	run(acc []int32, second int, x []int16, first, n int)
	// Width is as of Conv.
	Width() int
	// Tile is the number of pixels that are computed together.
	Tile() int
}

// WideParts is how many times the accumulators of a Conv are needed.
const WideParts = 2

// wideArgs is what the kernels of gen/wide.go take. They write to blocks and to the last three, their scratch.
type wideArgs struct {
	acc, table, dst      unsafe.Pointer
	pixels               int
	accStride, dstStride int // bytes
	blocks, tail         int
	lo, hi               int64
	second               int        // bytes from the first parts to the second
	_                    [3]uintptr // acc, table and dst as they move on
}

// noBack shifts everything out.
const noBack = 32

// NewWide is NewConv for elements in lo..hi. It refuses windows of more than mostSegments segments.
func NewWide(level Level, pixels, off []int, run int, w []int32, bias []int64, lo, hi int64) (*Wide, error) {
	d, err := newWideDot(level, pixels, off, run, w, span{lo, hi})
	if err != nil {
		return nil, err
	}
	return newWide(level, d, bias, 16, 16), nil
}

// NewWideDeep is NewDeepConv of int16 for sums that need more than 32 bits. There may be up to 511 taps.
func NewWideDeep(level Level, pixels, off []int, w []int32, bias []int64) (*Wide, error) {
	if len(off) > 511 {
		return nil, fmt.Errorf("kernels: wide depthwise convolution: want at most 511 taps, got %d", len(off))
	}
	d := &wideDeep{}
	for i, w := range halves(w) {
		var err error
		if d[i], err = NewDeepConv[int16](level, pixels, off, w, make([]int64, len(bias))); err != nil {
			return nil, err
		}
	}
	return newWide(level, d, bias, 8, noBack), nil
}

// halves are weights as a low byte with a sign and the rest, 256 times that.
func halves(w []int32) [2][]int32 {
	low, rest := make([]int32, len(w)), make([]int32, len(w))
	for i, v := range w {
		low[i] = int32(int8(v))
		rest[i] = (v - low[i]) >> 8
	}
	return [2][]int32{low, rest}
}

// wideDeep is a depthwise convolution by each of the halves.
type wideDeep [WideParts]*DeepConv[int16]

func (d *wideDeep) Width() int { return d[0].Width() }

func (d *wideDeep) Tile() int { return d[0].Tile() }

func (d *wideDeep) run(acc []int32, second int, x []int16, first, n int) {
	d[0].Run(acc, x, first, n)
	d[1].Run(acc[second:], x, first, n)
}

// newWide makes the table of the kernel widen.
func newWide(level Level, parts wideParts, bias []int64, up int64, back int32) *Wide {
	w := &Wide{wideParts: parts, k: columnsOf(level), channel: len(bias), start: slices.Clone(bias), up: up, back: back}
	lanes := w.k.lanes
	for o := 0; o < w.channel; o += lanes {
		t := make([]int32, 5*lanes)
		for i := range min(lanes, w.channel-o) {
			set64(t, i, w.start[o+i])
			set64(t, lanes+i, up)
			t[4*lanes+i] = back
		}
		w.table = append(w.table, t...)
	}
	return w
}

// set64 writes number i of 64 bits.
func set64(t []int32, i int, v int64) { t[2*i], t[2*i+1] = int32(v), int32(v>>32) }

// Sums computes the parts of n pixels from the given one on, a multiple of Tile. acc has room for WideParts times whole tiles of Width, and
// for Scratch.
func (w *Wide) Sums(acc []int32, x []int16, first, n int) {
	w.run(acc, w.second(acc), x, first, n)
}

// Scratch is how many accumulators more than those of the parts Sums needs.
func (w *Wide) Scratch() int { return w.scratch }

// second is where the second parts begin.
func (w *Wide) second(acc []int32) int { return (len(acc) - w.scratch) / WideParts }

// args has what all kernels over parts need; the parts of the given pixel are the first ones.
func (w *Wide) args(acc []int32, pixel int) wideArgs {
	return wideArgs{acc: unsafe.Pointer(&acc[pixel*w.Width()]), accStride: 4 * w.Width(), second: 4 * w.second(acc)}
}

// Column computes dst [pixel][channel] from the parts of n pixels. dst must have Width elements more than it holds.
func (w *Wide) Column(dst []int64, acc []int32, n int) {
	_ = dst[(n-1)*w.channel+w.Width()-1]
	for p := range n {
		a := w.args(acc, p)
		a.table, a.dst, a.blocks = unsafe.Pointer(&w.table[0]), unsafe.Pointer(&dst[p*w.channel]), (w.channel+w.k.lanes-1)/w.k.lanes
		w.k.widen.call(unsafe.Pointer(&a))
	}
}
