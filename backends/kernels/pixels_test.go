package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPixelLanes compares convolutions with pixels in lanes with the portable sums, requantization and pooling.
func TestPixelLanes(t *testing.T) {
	for _, l := range native() {
		done, bands, points := 0, 0, 0
		for seed := range uint64(500) {
			r := rand.New(rand.NewPCG(seed, uint64(l)+31))
			if l == AVX512 {
				testPixels[uint8](t, l, r, seed, 0, 255, 127, &done, &bands, &points)
			} else {
				testPixels[int16](t, l, r, seed, -1<<11, 1<<11-1, 127, &done, &bands, &points)
			}
		}
		if done < 250 || bands < 30 {
			t.Errorf("%v: %d convolutions, %d in several bands, want more", l, done, bands)
		}
		if l == AVX2 && points < 30 {
			t.Errorf("%v: %d convolutions by points, want more", l, points)
		}
	}
}

func testPixels[X uint8 | int16](t *testing.T, l Level, r *rand.Rand, seed uint64, lo, hi, most int64, done, bands, points *int) {
	t.Helper()
	s := PixelShape{C: 1 + r.IntN(4), KH: 1 + r.IntN(5), KW: 1 + r.IntN(5), SH: 1 + r.IntN(2), SW: 1, OH: 1 + r.IntN(30), OW: 1 + r.IntN(40)}
	if r.IntN(4) == 0 {
		s.SW, s.C = 2, 1+r.IntN(2)
	}
	c := newPixelCase[X](l, r, s, 1+r.IntN(pixelChannels), lo, hi, most)
	if c.f == nil || c.f.nearest == nil {
		return
	}
	p := NewPixelLanes[X](l, c.PixelShape, c.w, c.bias, c.f)
	if p == nil {
		if !(l == AVX2 && s.C*s.SW == 4) {
			t.Fatalf("%v seed %d: %+v: refused", l, seed, s)
		}
		return
	}
	*done++
	if p.points != nil {
		*points++
	}
	if p.band < s.OH {
		*bands++
	}
	c.check(t, r, p, fmt.Sprintf("%v seed %d", l, seed))
}

// TestPointPool is TestPixelLanes for more channels.
func TestPointPool(t *testing.T) {
	if !slices.Contains(native(), AVX2) {
		t.Skip("this CPU has no AVX2")
	}
	done := map[int]int{} // by rows of a tile
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 53))
		s := PixelShape{C: 1 + r.IntN(pointChannels), KH: 1 + r.IntN(6), KW: 5, SH: 1, SW: 1, OH: 1 + r.IntN(12), OW: 1 + r.IntN(12)}
		c := newPixelCase[int16](AVX2, r, s, pointBlock*(1+r.IntN(3)), -1<<10, 1<<11-1, 127)
		if c.f == nil || c.f.nearest == nil {
			continue
		}
		if p := NewPointPool(AVX2, c.PixelShape, c.w, c.bias, c.f); p != nil {
			done[p.form.tiles]++
			c.check(t, r, p, fmt.Sprintf("seed %d", seed))
		}
	}
	if done[4] < 30 || done[5] < 20 {
		t.Errorf("convolutions by rows of a tile: %v, want more", done)
	}
}

// pixelCase is a convolution with a requantization and a pooling of two by two behind it.
type pixelCase[X uint8 | int16] struct {
	PixelShape
	oc   int
	x    []X
	w    []int32
	bias []int64
	q    *Requant
	f    *Requant32[X]
}

func newPixelCase[X uint8 | int16](l Level, r *rand.Rand, s PixelShape, oc int, lo, hi, most int64) *pixelCase[X] {
	s.Lo, s.Hi = lo, hi
	// Rows lie in any order and a little apart.
	width := ((2*s.OW-1)*s.SW + s.KW) * s.C
	stride := width + r.IntN(3)
	rows := (2*s.OH-1)*s.SH + s.KH
	for _, y := range r.Perm(rows) {
		s.Rows = append(s.Rows, y*stride)
	}
	k := s.KH * s.KW * s.C
	c := &pixelCase[X]{PixelShape: s, oc: oc, x: make([]X, (rows-1)*stride+width, (rows-1)*stride+width+Slack), w: make([]int32, oc*k), bias: make([]int64, oc)}
	for i := range c.x {
		c.x[i] = X(extreme(r, lo, hi))
	}
	from, to, mul := make([]int64, oc), make([]int64, oc), make([]int64, oc)
	for o := range oc {
		c.bias[o], mul[o] = extreme(r, -1<<20, 1<<20), 1+r.Int64N(1<<10)
		from[o], to[o] = c.bias[o], c.bias[o]
		for i := range k {
			v := extreme(r, -most, most)
			c.w[o*k+i] = int32(v)
			from[o] += min(v*lo, v*hi)
			to[o] += max(v*lo, v*hi)
		}
	}
	c.q = NewRequant(mul, []int64{8 + r.Int64N(20)}, HalfEven, r.Int64N(9), lo, hi)
	c.f = NewRequant32[X](l, c.q, oc, func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }, 0)
	return c
}

// check compares what p writes with portable sums, requantization and pooling, and looks for other elements that it writes.
func (c *pixelCase[X]) check(t *testing.T, r *rand.Rand, p interface {
	Run(dst []X, step int, x []X, scratch []int32)
	Scratch() int
}, name string) {
	t.Helper()
	oc, row := c.oc, c.OW*c.oc
	step := row + r.IntN(3)*oc
	const guard = 77
	dst := make([]X, c.OH*step)
	for i := range dst {
		dst[i] = guard
	}
	p.Run(dst, step, c.x, make([]int32, p.Scratch()))
	win := Window{Run: c.KW * c.C, Step: c.SW * c.C, Off: make([]int, c.KH)}
	sum := make([]int64, 2*c.OW*oc)
	for y := range c.OH {
		want := make([]int64, row)
		for dy := range 2 {
			for ky := range c.KH {
				win.Off[ky] = c.Rows[(2*y+dy)*c.SH+ky]
			}
			DotRow(NewDot[X](win, c.w, c.bias, 64), sum, oc, c.x, 2*c.OW)
			for i, v := range sum {
				at := i/(2*oc)*oc + i%oc
				if dy == 0 && i/oc%2 == 0 || v > want[at] {
					want[at] = v
				}
			}
		}
		c.q.Row(want)
		for i, got := range dst[y*step:][:step] {
			v := int64(guard)
			if i < row {
				v = want[i]
			}
			if int64(got) != v {
				t.Fatalf("%s: %+v, %d channels: row %d, element %d: got %d, want %d", name, c.PixelShape, oc, y, i, got, v)
			}
		}
	}
}
