package kernels

import (
	"fmt"
	"unsafe"
)

// Wide is a Conv of int16 whose sums need more than 32 bits. The window is cut into parts whose sums fit, and where that saves parts
// the weights are cut into a low byte and the rest. It is immutable.
type Wide struct {
	k       *columnKernels
	parts   []narrow // the first plain of them as they are, the others times 256
	plain   int
	bias    []int64 // [Width]
	channel int     // output channels
}

// narrow is a convolution with sums of 32 bits.
type narrow interface {
	Run(acc []int32, x []int16, first, n int)
	Width() int
	Tile() int
}

// piece is a part of a run of the window.
type piece struct {
	off, run int // offset, and index of the run's first weight
	from, to int // elements of the run that count
	start    int // the first element that is read
}

// NewWide is NewConv for elements in lo..hi.
func NewWide(level Level, pixels, off []int, run int, w []int32, bias []int64, lo, hi int64) (*Wide, error) {
	oc := len(bias)
	r := &Wide{k: columnsOf(level), channel: oc}
	low, high, rest := halves(w)
	fits := func(w []int32) [][]piece { return cut(off, run, w, oc, lo, hi) }
	plain, split := fits(w), fits(low)
	var upper [][]piece
	if rest {
		upper = fits(high)
	}
	add := func(w []int32, groups [][]piece) error {
		for _, g := range groups {
			size := g[0].to - g[0].start
			ws := make([]int32, 0, oc*len(g)*size)
			var offs []int
			for o := range oc {
				for _, p := range g {
					for e := p.start; e < p.start+size; e++ {
						v := int32(0)
						if e >= p.from && e < p.to {
							v = w[o*len(off)*run+p.run+e]
						}
						ws = append(ws, v)
					}
				}
			}
			for _, p := range g {
				offs = append(offs, p.off+p.start)
			}
			c, err := NewConv[int16](level, pixels, offs, size, ws, make([]int64, oc))
			if err != nil {
				return err
			}
			r.parts = append(r.parts, c)
		}
		return nil
	}
	var err error
	if rest && len(plain) > len(split)+len(upper) {
		if err = add(low, split); err == nil {
			r.plain = len(r.parts)
			err = add(high, upper)
		}
	} else {
		err = add(w, plain)
		r.plain = len(r.parts)
	}
	if err != nil {
		return nil, err
	}
	r.bias = make([]int64, r.Width())
	copy(r.bias, bias)
	return r, nil
}

// halves are weights as a low byte with a sign and the rest, 256 times that; the last result tells whether there is a rest.
func halves(w []int32) (low, high []int32, rest bool) {
	low, high = make([]int32, len(w)), make([]int32, len(w))
	for i, v := range w {
		low[i] = int32(int8(v))
		high[i] = (v - low[i]) >> 8
		rest = rest || high[i] != 0
	}
	return low, high, rest
}

// NewWideDeep is NewDeepConv of int16 for sums that need more than 32 bits. There may be up to 511 taps.
func NewWideDeep(level Level, pixels, off []int, w []int32, bias []int64) (*Wide, error) {
	if len(off) > 511 {
		return nil, fmt.Errorf("kernels: wide depthwise convolution: want at most 511 taps, got %d", len(off))
	}
	r := &Wide{k: columnsOf(level), channel: len(bias), plain: 1}
	low, high, _ := halves(w)
	for _, w := range [][]int32{low, high} {
		d, err := NewDeepConv[int16](level, pixels, off, w, make([]int64, len(bias)))
		if err != nil {
			return nil, err
		}
		r.parts = append(r.parts, d)
	}
	r.bias = make([]int64, r.Width())
	copy(r.bias, bias)
	return r, nil
}

// cut finds groups of pieces of the window whose sums fit 32 bits for every channel. All pieces have one size: whole runs, or a run
// in halves, quarters and so on, of which the last may read some elements of the one before, with weights of 0.
func cut(off []int, run int, w []int32, oc int, lo, hi int64) [][]piece {
	size := run
	for {
		if g := cutBy(off, run, size, w, oc, lo, hi); g != nil || size == 1 {
			return g
		}
		size = (size + 1) / 2
	}
}

// cutBy is cut for pieces of the given size; nil where one piece alone has too large a sum.
func cutBy(off []int, run, size int, w []int32, oc int, lo, hi int64) [][]piece {
	k := len(off) * run
	least, most := make([]int64, oc), make([]int64, oc) // of the group so far
	var groups [][]piece
	var group []piece
	for r, o := range off {
		for from := 0; from < run; from += size {
			p := piece{off: o, run: r * run, from: from, to: min(from+size, run), start: min(from, run-size)}
			a, b := make([]int64, oc), make([]int64, oc)
			full := false
			for c := range oc {
				for _, v := range w[c*k+p.run+p.from : c*k+p.run+p.to] {
					x, y := int64(v)*lo, int64(v)*hi
					a[c] += min(x, y)
					b[c] += max(x, y)
				}
				if a[c] < -1<<31 || b[c] >= 1<<31 {
					return nil
				}
				full = full || least[c]+a[c] < -1<<31 || most[c]+b[c] >= 1<<31
			}
			if full {
				groups, group = append(groups, group), nil
				clear(least)
				clear(most)
			}
			group = append(group, p)
			for c := range oc {
				least[c] += a[c]
				most[c] += b[c]
			}
		}
	}
	return append(groups, group)
}

// Width, Tile: as of Conv.
func (w *Wide) Width() int { return w.parts[0].Width() }

// Tile is the number of pixels that are computed together.
func (w *Wide) Tile() int { return w.parts[0].Tile() }

// Parts is how many times the accumulators of a Conv are needed as scratch.
func (w *Wide) Parts() int { return len(w.parts) }

// Run computes the accumulators dst [pixel][channel] of n pixels from the given one on, a multiple of Tile. acc is scratch of Parts
// times whole tiles of Width; dst must have Width elements more than it holds.
func (w *Wide) Run(dst []int64, acc []int32, x []int16, first, n int) {
	tile, width := w.Tile(), w.Width()
	stride := (n + tile - 1) / tile * tile * width
	for i, c := range w.parts {
		c.Run(acc[i*stride:(i+1)*stride], x, first, n)
	}
	_ = dst[(n-1)*w.channel+width-1]
	a := colArgs{b: unsafe.Pointer(&w.bias[0]), count: (w.channel + w.k.lanes - 1) / w.k.lanes, parts: w.plain, extra: len(w.parts) - w.plain, stride: 4 * stride}
	for p := range n {
		a.dst, a.a = unsafe.Pointer(&dst[p*w.channel]), unsafe.Pointer(&acc[p*width])
		w.k.widen.call(unsafe.Pointer(&a))
	}
}
