package kernels

import "unsafe"

// WideRequant is a Requant of the sums of a Wide by native code, to elements of 16 bits: for each channel, with half a unit in start,
//
//	t = start + (first - second<<back) * mul + (second*mul) << up
//	y = min(max((t >> shift) + add, lo), hi)
//
// in 64 bits, where ties to even take the lowest bit away from the result of a shift that leaves no fraction. It is immutable.
type WideRequant struct {
	w      *Wide
	table  []int32 // of the kernel: see gen/wide.go
	lo, hi int64
}

// Requant makes a WideRequant that equals q for sums in from(c)..to(c) of channel c, less zero in the result, which must fit 16 bits.
// It is nil where there is none: where numbers are too wide, or for ties by sign.
func (w *Wide) Requant(q *Requant, from, to func(c int) int64, zero int64) *WideRequant {
	const most, word = 1 << 62, 1 << 31
	if len(q.scale) != 1 && len(q.scale) != w.channel {
		return nil
	}
	r := &WideRequant{w: w, lo: max(q.lo-zero, -word), hi: min(q.hi-zero, word-1)}
	add := q.add - zero
	if add < -word || add >= word || r.lo > r.hi {
		return nil
	}
	lanes := 2 * w.k.lanes
	for o := 0; o < w.channel; o += lanes {
		t := make([]int32, 11*lanes)
		for i := range min(lanes, w.channel-o) {
			c := o + i
			s := &q.scale[c%len(q.scale)]
			half, tie := s.half, int64(-1)
			switch {
			case s.tie == 0:
			case s.tie == 1 && s.sign == s.shift: // half even
				half, tie = half+1, 1<<s.shift-1
			default:
				return nil
			}
			a, b := from(c), to(c)
			if s.mul < -word || s.mul >= word || s.mul != 0 && max(-a, a, -b, b) > most/max(s.mul, -s.mul) {
				return nil
			}
			for _, v := range []int64{a, b} {
				if y := (v*s.mul+half)>>s.shift + add; y < -word || y >= word {
					return nil
				}
			}
			// The kernel shifts unsigned numbers, which have 1<<63 too much.
			t[i], t[lanes+i], t[2*lanes+i] = int32(s.mul), w.back, int32(add-1<<(63-s.shift))
			at := 3*lanes/2 + i%2*lanes/2 + i/2 // in numbers of 64 bits
			for j, v := range []int64{w.up, w.start[c]*s.mul + half + -1<<63, tie, int64(s.shift)} {
				set64(t, at+j*lanes, v)
			}
		}
		r.table = append(r.table, t...)
	}
	return r
}

// Row writes n pixels, stride elements apart, from the parts that Sums left in acc, from the given pixel on.
func (r *WideRequant) Row(dst []int16, stride int, acc []int32, pixel, n int) {
	if n == 0 {
		return
	}
	w := r.w
	_ = dst[(n-1)*stride+w.channel-1]
	_ = acc[(pixel+n)*w.Width()-1]
	lanes := 2 * w.k.lanes
	a := w.args(acc, pixel)
	a.table, a.dst, a.pixels, a.dstStride = unsafe.Pointer(&r.table[0]), unsafe.Pointer(&dst[0]), n, 2*stride
	a.blocks, a.tail, a.lo, a.hi = w.channel/lanes, w.channel%lanes, r.lo, r.hi
	w.k.finish16.call(unsafe.Pointer(&a))
}
