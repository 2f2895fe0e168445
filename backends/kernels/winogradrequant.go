package kernels

import (
	"math"
	"unsafe"
)

// RequantWinograd is a Winograd whose sums are requantized where they arise, tile by tile, and never in memory. It is immutable.
type RequantWinograd[X, Y uint8 | int16] struct {
	*Winograd[X]
	kernel kernel
	each   []int32 // for each register of channels, as the kernel wants them: see requantTiles in gen/winogradback.go
	places []int64 // of tiles: bytes to their first pixels
	row    int     // elements from a row to the next one
	end    nearestEnd
}

// NewRequantWinograd is w with q behind it, for pixels of as many elements as w has channels, one after the other, in rows so many elements
// apart. It is nil where channels do not fill registers, an image is lower than a tile, or q is not to the nearest integer in float32.
func NewRequantWinograd[X, Y uint8 | int16](w *Winograd[X], q *Requant32[Y], row int) *RequantWinograd[X, Y] {
	lanes, size := 2*w.k.lanes, int(unsafe.Sizeof(Y(0)))
	kernel := w.k.winograd.requant[w.stride-1][size-1]
	if q.nearest == nil || kernel == 0 || w.oc%lanes > 0 || w.oh < winogradOut {
		return nil
	}
	r := &RequantWinograd[X, Y]{Winograd: w, kernel: kernel, row: row, end: q.nearest.end()}
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
	for y := 0; y < w.oh; y += winogradOut {
		for x := range w.strip {
			// The last tiles end with the image.
			r.places = append(r.places, int64(size*(min(y, w.oh-winogradOut)*row+min(x*winogradOut, w.ow-winogradOut)*w.oc)))
		}
	}
	return r
}

// Run writes the elements of all pixels. It needs Scratch.
func (r *RequantWinograd[X, Y]) Run(dst []Y, x []X, scratch []int32) {
	_ = dst[(r.oh-1)*r.row+r.ow*r.oc-1]
	w := r.work(scratch, x)
	size := int(unsafe.Sizeof(dst[0]))
	w.back.dst, w.back.each, w.back.row, w.back.pixel = unsafe.Pointer(&dst[0]), unsafe.Pointer(&r.each[0]), size*(r.row-2*r.oc), size*r.oc
	w.back.nearestEnd = r.end
	for y := 0; y < r.oh; y += r.group * winogradOut {
		r.multiply(&w, y, r.oh, r.oh-winogradOut)
		w.back.tile = unsafe.Pointer(&r.places[y/winogradOut*r.strip])
		w.back.blocks, w.back.rest = r.oc/(2*r.k.lanes), 4*(r.Width()-r.oc)
		r.kernel.call(unsafe.Pointer(&w.back))
	}
}
