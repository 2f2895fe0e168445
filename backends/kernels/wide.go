package kernels

import (
	"fmt"
	"unsafe"
)

// Wide is a Conv of int16 whose sums need more than 32 bits. They are put together from parts of 32 bits, for each channel
//
//	sum = start + the sum over groups of (first - second<<back) + second<<up
//
// One pass makes both parts: the second one is the sum of high halves of the sums of segments, see wideDot. Where those fail, for the
// largest weights, groups cut the window. Where their sums fit 32 bits, the first part is all there is. Else, with bytes (AVX-512), the
// second part is a convolution of high bytes alone, which is near the sum, and the first part is the sum modulo 2^32: their difference is
// the error, and where that is proved to fit 32 bits, it is known exactly. Without bytes, the parts are those of the weights' low bytes
// and of the rest. It is immutable.
type Wide struct {
	k       *columnKernels
	channel int      // output channels
	dot     *wideDot // both parts, or, by their own convolutions:
	first   []narrow[int16]
	second  []narrow[int16] // either
	high    []narrow[uint8] // or, or neither
	start   []int64
	up      []int64
	back    []int32
	table   []int32 // of the kernel widen
}

// narrow is a convolution with sums of 32 bits.
type narrow[X uint8 | int16] interface {
	Run(acc []int32, x []X, first, n int)
	Width() int
	Tile() int
}

// wideArgs is what the kernels of gen/wide.go take. They write to blocks and to the last three, their scratch.
type wideArgs struct {
	acc, table, dst      unsafe.Pointer
	pixels               int
	accStride, dstStride int // bytes
	blocks, tail         int
	lo, hi               int64
	pairs, pair, second  int
	_                    [3]uintptr // acc, table and dst as they move on
}

// noBack shifts everything out.
const noBack = 32

// middle is the high byte's share in x = 256*high - middle + d, with d in -128..127.
const middle = 1<<15 - 1<<7

// NewWide is NewConv for elements in lo..hi.
func NewWide(level Level, pixels, off []int, run int, w []int32, bias []int64, lo, hi int64) (*Wide, error) {
	oc, k := len(bias), len(off)*run
	b := &wideBuilder{level: level, pixels: pixels, off: off, run: run, oc: oc, lo: lo, hi: hi}
	r := &Wide{k: columnsOf(level), channel: oc, start: append([]int64(nil), bias...), up: make([]int64, oc), back: make([]int32, oc)}
	if r.dot = newWideDot(level, pixels, off, run, w, lo, hi); r.dot != nil {
		for o := range oc {
			r.back[o], r.up[o] = 16, 16
		}
		return r, r.finish()
	}
	// A group more costs a few instructions for each sum, and a second part half a multiplication, or a whole one, for each weight.
	if groups := b.cut(w, nil, nil, 1+k/48); groups != nil {
		for _, g := range groups {
			for o := range oc {
				r.start[o] += g.first[o].middle()
			}
			if err := addPart(b, &r.first, g, w, func(o int) int64 { return -g.first[o].middle() }); err != nil {
				return nil, err
			}
		}
		return r, r.finish()
	}
	for o := range oc {
		r.back[o], r.up[o] = noBack, 8
	}
	if level != AVX512 {
		low, rest := halves(w)
		for _, g := range b.cut(low, rest, nil, 0) {
			for o := range oc {
				r.start[o] += g.first[o].middle() + g.second[o].middle()<<8
			}
			err := addPart(b, &r.first, g, low, func(o int) int64 { return -g.first[o].middle() })
			if err == nil {
				err = addPart(b, &r.second, g, rest, func(o int) int64 { return -g.second[o].middle() })
			}
			if err != nil {
				return nil, err
			}
		}
		return r, r.finish()
	}
	top := make([]int32, len(w))
	for o := range oc {
		s := topBytes(top[o*k:(o+1)*k], w[o*k:(o+1)*k], hi-lo)
		r.up[o], r.back[o] = int64(s)+8, int32(s)+8
	}
	for _, g := range b.cut(w, top, r.up, 0) {
		shift := make([]int64, oc) // what the parts leave out
		for o := range oc {
			for _, p := range g.pieces {
				for _, v := range top[o*k+p.run+p.from : o*k+p.run+p.to] {
					shift[o] -= middle * int64(v) << (r.up[o] - 8)
				}
			}
			r.start[o] += shift[o] + g.first[o].middle() + g.second[o].middle()<<r.up[o]
		}
		err := addPart(b, &r.first, g, w, func(o int) int64 { return -shift[o] - g.first[o].middle() - g.second[o].middle()<<r.up[o] })
		if err == nil {
			err = addPart(b, &r.high, g, top, func(o int) int64 { return -g.second[o].middle() })
		}
		if err != nil {
			return nil, err
		}
	}
	return r, r.finish()
}

// NewWideDeep is NewDeepConv of int16 for sums that need more than 32 bits. There may be up to 511 taps.
func NewWideDeep(level Level, pixels, off []int, w []int32, bias []int64) (*Wide, error) {
	if len(off) > 511 {
		return nil, fmt.Errorf("kernels: wide depthwise convolution: want at most 511 taps, got %d", len(off))
	}
	oc := len(bias)
	r := &Wide{k: columnsOf(level), channel: oc, start: append([]int64(nil), bias...), up: make([]int64, oc), back: make([]int32, oc)}
	for o := range oc {
		r.back[o], r.up[o] = noBack, 8
	}
	low, rest := halves(w)
	for i, w := range [][]int32{low, rest} {
		d, err := NewDeepConv[int16](level, pixels, off, w, make([]int64, oc))
		if err != nil {
			return nil, err
		}
		if i == 0 {
			r.first = append(r.first, d)
		} else {
			r.second = append(r.second, d)
		}
	}
	return r, r.finish()
}

// finish makes the table of the kernel widen.
func (w *Wide) finish() error {
	if len(w.first) == 0 && w.dot == nil {
		return fmt.Errorf("kernels: wide convolution: one element has too large a product")
	}
	lanes := w.k.lanes
	for o := 0; o < w.channel; o += lanes {
		t := make([]int32, 5*lanes)
		for i := range min(lanes, w.channel-o) {
			set64(t, i, w.start[o+i])
			set64(t, lanes+i, w.up[o+i])
			t[4*lanes+i] = w.back[o+i]
		}
		w.table = append(w.table, t...)
	}
	return nil
}

// set64 writes number i of 64 bits.
func set64(t []int32, i int, v int64) { t[2*i], t[2*i+1] = int32(v), int32(v>>32) }

// Width, Tile: as of Conv.
func (w *Wide) Width() int {
	if w.dot != nil {
		return w.dot.oc
	}
	return w.first[0].Width()
}

// Tile is the number of pixels that are computed together.
func (w *Wide) Tile() int {
	if w.dot != nil {
		return w.dot.tile
	}
	return w.first[0].Tile()
}

// Parts is how many times the accumulators of a Conv are needed.
func (w *Wide) Parts() int {
	if w.dot != nil {
		return 2
	}
	return len(w.first) + len(w.second) + len(w.high)
}

// High tells whether Sums reads the high bytes of elements.
func (w *Wide) High() bool { return len(w.high) > 0 }

// Sums computes the parts of n pixels from the given one on, a multiple of Tile. acc has room for Parts times whole tiles of
// Width. high are the HighBytes of x, if High.
func (w *Wide) Sums(acc []int32, x []int16, high []uint8, first, n int) {
	room := len(acc) / w.Parts()
	if w.dot != nil {
		w.dot.run(acc, room, x, first, n)
		return
	}
	next := func() (a []int32) {
		a, acc = acc[:room], acc[room:]
		return a
	}
	for i, c := range w.first {
		c.Run(next(), x, first, n)
		switch {
		case w.high != nil:
			w.high[i].Run(next(), high, first, n)
		case w.second != nil:
			w.second[i].Run(next(), x, first, n)
		}
	}
}

// args has what all kernels over parts need; the parts of the given pixel are the first ones.
func (w *Wide) args(acc []int32, pixel int) wideArgs {
	room := len(acc) / w.Parts()
	a := wideArgs{acc: unsafe.Pointer(&acc[pixel*w.Width()]), accStride: 4 * w.Width(), pairs: max(len(w.first), 1), pair: 4 * room}
	if w.Parts() > len(w.first) {
		a.pair, a.second = 8*room, 4*room
	}
	return a
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

// HighBytes computes dst = the high bytes of x + 1<<15, for as many elements as x has.
func HighBytes(level Level, dst []uint8, x []int16) {
	dst = dst[:len(x)]
	done := 0
	if n := len(x) / 64; level == AVX512 && n > 0 {
		a := wideArgs{acc: unsafe.Pointer(&x[0]), dst: unsafe.Pointer(&dst[0]), blocks: n}
		columnsOf(level).high.call(unsafe.Pointer(&a))
		done = 64 * n
	}
	for i := done; i < len(x); i++ {
		dst[i] = uint8(uint16(x[i])>>8) ^ 1<<7
	}
}
