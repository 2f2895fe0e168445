package kernels

import (
	"math/rand/v2"
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
	s := PixelShape{Lo: lo, Hi: hi, C: 1 + r.IntN(4), KH: 1 + r.IntN(5), KW: 1 + r.IntN(5), SH: 1 + r.IntN(2), SW: 1, OH: 1 + r.IntN(30), OW: 1 + r.IntN(40)}
	if r.IntN(4) == 0 {
		s.SW, s.C = 2, 1+r.IntN(2)
	}
	oc := 1 + r.IntN(pixelChannels)
	// Rows lie in any order and a little apart.
	width := ((2*s.OW-1)*s.SW + s.KW) * s.C
	stride := width + r.IntN(3)
	rows := (2*s.OH-1)*s.SH + s.KH
	for _, y := range r.Perm(rows) {
		s.Rows = append(s.Rows, y*stride)
	}
	x := make([]X, (rows-1)*stride+width, (rows-1)*stride+width+Slack)
	for i := range x {
		x[i] = X(extreme(r, lo, hi))
	}
	k := s.KH * s.KW * s.C
	w, bias := make([]int32, oc*k), make([]int64, oc)
	from, to := make([]int64, oc), make([]int64, oc)
	for o := range oc {
		bias[o] = extreme(r, -1<<20, 1<<20)
		from[o], to[o] = bias[o], bias[o]
		for i := range k {
			v := extreme(r, -most, most)
			w[o*k+i] = int32(v)
			from[o] += min(v*lo, v*hi)
			to[o] += max(v*lo, v*hi)
		}
	}
	mul := make([]int64, oc)
	for i := range mul {
		mul[i] = 1 + r.Int64N(1<<10)
	}
	q := NewRequant(mul, []int64{8 + r.Int64N(20)}, HalfEven, r.Int64N(9), lo, hi)
	f := NewRequant32[X](l, q, oc, func(c int) int64 { return from[c] }, func(c int) int64 { return to[c] }, 0)
	if f == nil || f.nearest == nil {
		return
	}
	p := NewPixelLanes[X](l, s, w, bias, f)
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
	row := s.OW * oc
	step := row + r.IntN(3)*oc
	const guard = 77
	dst := make([]X, s.OH*step)
	for i := range dst {
		dst[i] = guard
	}
	p.Run(dst, step, x, make([]int32, p.Scratch()))
	win := Window{Run: s.KW * s.C, Step: s.SW * s.C, Off: make([]int, s.KH)}
	sum := make([]int64, 2*s.OW*oc)
	for y := range s.OH {
		want := make([]int64, row)
		for dy := range 2 {
			for ky := range s.KH {
				win.Off[ky] = s.Rows[(2*y+dy)*s.SH+ky]
			}
			DotRow(NewDot[X](win, w, bias, 64), sum, oc, x, 2*s.OW)
			for i, v := range sum {
				at := i/(2*oc)*oc + i%oc
				if dy == 0 && i/oc%2 == 0 || v > want[at] {
					want[at] = v
				}
			}
		}
		q.Row(want)
		for i, got := range dst[y*step:][:step] {
			v := int64(guard)
			if i < row {
				v = want[i]
			}
			if int64(got) != v {
				t.Fatalf("%v seed %d: %+v, %d channels: row %d, element %d: got %d, want %d", l, seed, s, oc, y, i, got, v)
			}
		}
	}
}
