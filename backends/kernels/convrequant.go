package kernels

import "unsafe"

// RequantConv is a Conv whose sums are requantized in registers, tile by tile, and never in memory. It is immutable.
type RequantConv[X uint8 | int16] struct {
	*Conv[X]
	kernels []kernel // by part
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
	r := &RequantConv[X]{Conv: c, mul: q.nearest.mul, end: q.nearest.end()}
	for i := range c.parts {
		k := dotRequantKernel(c.level, size, len(c.parts[i].bias)/q.lanes)
		if k == 0 {
			return nil
		}
		r.kernels = append(r.kernels, k)
	}
	for p := 0; p < len(c.pixels); p += c.tile {
		r.places = append(r.places, int32(size*(p/ow*row+p%ow*c.oc)))
	}
	r.last = (len(c.pixels)/ow-1)*row + ow*c.oc - 1
	return r
}

// Run writes the elements of all pixels.
func (r *RequantConv[X]) Run(dst, x []X, _ []int32) {
	_ = dst[r.last]
	size := int(unsafe.Sizeof(X(0)))
	a := r.args(x)
	a.stride, a.places, a.nearestEnd = size*r.oc, unsafe.Pointer(&r.places[0]), r.end
	for i := range r.parts {
		p := &r.parts[i]
		a.w, a.acc, a.bias, a.mul = unsafe.Pointer(&p.w[0]), unsafe.Pointer(&dst[p.channel]), unsafe.Pointer(&p.bias[0]), unsafe.Pointer(&r.mul[p.channel])
		a.pixels, a.tiles = unsafe.Pointer(&r.pixels[0]), len(r.places)
		r.kernels[i].call(unsafe.Pointer(&a))
	}
}
