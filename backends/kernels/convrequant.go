package kernels

import "unsafe"

// RequantConv is a Conv whose sums are requantized in registers, tile by tile, and never in memory. It is immutable.
type RequantConv[X uint8 | int16] struct {
	*Conv[X]
	kernels []kernel // by part
	w       [][]byte // as convPart.w, or with rests
	rests   *rests   // or nil
	mul     []float32
	places  []int32 // of tiles in the result, in bytes
	last    int     // element of the result
	end     nearestEnd
}

// NewRequantConv is c, of rows of ow pixels, with q behind it, for pixels of as many elements as there are channels, one after the other, in
// rows so many elements apart. It is nil where channels do not fill registers, tiles do not fill rows, or q is not to the nearest integer
// in float32.
func NewRequantConv[X uint8 | int16](c *Conv[X], q *Requant32[X], ow, row int) *RequantConv[X] {
	size := int(unsafe.Sizeof(X(0)))
	if q.nearest == nil || q.c != c.oc || c.tile == 1 || ow%c.tile > 0 {
		return nil
	}
	r := &RequantConv[X]{Conv: c, mul: q.nearest.mul, end: q.nearest.end(), rests: c.newRests(ow)}
	for i := range c.parts {
		k := dotRequantKernel(c.level, size, len(c.parts[i].bias)/q.lanes)
		if k == 0 {
			return nil
		}
		r.kernels = append(r.kernels, k)
		w := c.parts[i].w
		if r.rests != nil {
			w = r.rests.pack(w, len(c.parts[i].bias)/q.lanes, len(c.off), c.run)
		}
		r.w = append(r.w, w)
	}
	for p := 0; p < len(c.pixels); p += c.tile {
		r.places = append(r.places, int32(size*(p/ow*row+p%ow*c.oc)))
	}
	r.last = (len(c.pixels)/ow-1)*row + ow*c.oc - 1
	return r
}

// Scratch is the number of accumulators that Run works on.
func (r *RequantConv[X]) Scratch() int {
	if r.rests == nil {
		return 0
	}
	return r.rests.scratch()
}

// Run writes the elements of all pixels.
func (r *RequantConv[X]) Run(dst, x []X, scratch []int32) {
	_ = dst[r.last]
	size := int(unsafe.Sizeof(X(0)))
	a := r.args(x)
	a.stride, a.nearestEnd = size*r.oc, r.end
	tiles := len(r.places)
	if r.rests != nil {
		a.span, tiles = r.run&^3, r.rests.tiles
	}
	for first := 0; first < len(r.places); first += tiles {
		if r.rests != nil {
			a.dotRests = r.rests.write(first/tiles, a.x, scratch)
		}
		for i := range r.parts {
			p := &r.parts[i]
			a.w, a.acc, a.bias, a.mul = unsafe.Pointer(&r.w[i][0]), unsafe.Pointer(&dst[p.channel]), unsafe.Pointer(&p.bias[0]), unsafe.Pointer(&r.mul[p.channel])
			a.pixels, a.places, a.tiles = unsafe.Pointer(&r.pixels[first*r.tile]), unsafe.Pointer(&r.places[first]), min(tiles, len(r.places)-first)
			r.kernels[i].call(unsafe.Pointer(&a))
		}
	}
}
