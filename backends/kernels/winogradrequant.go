package kernels

import (
	"math"
	"unsafe"
)

// RequantWinograd is a Winograd whose sums are requantized where they arise, tile by tile, and never in memory; or the largest of two by
// two of them. It is immutable.
type RequantWinograd[X, Y uint8 | int16] struct {
	*Winograd[X]
	kernel kernel
	each   []int32 // for each register of channels, as the kernel wants them: see requantTiles in gen/winogradback.go
	places []int64 // of tiles: bytes to their first pixels
	h      int     // rows that count
	last   int     // element of the results
	work   winogradWork
}

// NewRequantWinograd is w with q behind it, for pixels of as many elements as w has channels, one after the other, in rows so many elements
// apart. With pool, q is of the largest sums of two by two pixels, as in Requant32.Pooled; an odd last row is left out. It is nil where
// channels do not fill registers, an image is lower than a tile, or q is not to the nearest integer in float32.
func NewRequantWinograd[X, Y uint8 | int16](w *Winograd[X], q *Requant32[Y], pool bool, row int) *RequantWinograd[X, Y] {
	lanes, size, side := 2*w.k.lanes, int(unsafe.Sizeof(Y(0))), 1 // of the window of a result
	kernels := &w.k.winograd.requant
	if pool {
		kernels, side = &w.k.winograd.pool, 2
	}
	r := &RequantWinograd[X, Y]{Winograd: w, kernel: kernels[w.way()][size-1], h: w.oh / side * side, work: w.work}
	if q.nearest == nil || r.kernel == 0 || w.oc%lanes > 0 || r.h < winogradOut || w.ow%side > 0 || pool && !q.Pools() {
		return nil
	}
	for first := 0; first < w.oc; first += lanes {
		// Sums of up to 1<<24, as nearest takes, fit 32 bits as any multiple that is left of them.
		for _, b := range w.bias[first:][:lanes] {
			r.each = append(r.each, b*9<<(w.shift+1-w.shifts))
		}
		for i := range w.shifts {
			for _, m := range q.nearest.mul[first:][:lanes] {
				r.each = append(r.each, int32(math.Float32bits(m/float32(int(1)<<(w.shift-i)))))
			}
		}
	}
	for y := 0; y < r.h; y += winogradOut {
		for x := range w.strip {
			// The last tiles end with the image.
			y, x := min(y, r.h-winogradOut), min(x*winogradOut, w.ow-winogradOut)
			r.places = append(r.places, int64(size*(y/side*row+x/side*w.oc)))
		}
	}
	r.last = (r.h/side-1)*row + w.ow/side*w.oc - 1
	b := &r.work.back
	b.each, b.pixel, b.row, b.nearestEnd = unsafe.Pointer(&r.each[0]), size*w.oc, size*row, q.nearest.end()
	if !pool {
		b.row -= 2 * b.pixel // the kernel has come to the third pixel
	}
	b.blocks, b.rest = w.oc/lanes, 4*(w.Width()-w.oc)
	return r
}

// Run writes all results. It needs Scratch.
func (r *RequantWinograd[X, Y]) Run(dst []Y, x []X, scratch []int32) {
	_ = dst[r.last]
	w := r.work
	r.begin(&w, scratch, x)
	w.back.dst = unsafe.Pointer(&dst[0])
	for y := 0; y < r.h; y += r.group * winogradOut {
		r.multiply(&w, y, r.h, r.h-winogradOut)
		w.back.tile = unsafe.Pointer(&r.places[y/winogradOut*r.strip])
		r.kernel.call(unsafe.Pointer(&w.back))
	}
}
