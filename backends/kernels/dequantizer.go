package kernels

import "unsafe"

// Dequantizer makes reals of integers, as an ir.Quant does:
//
//	y = float32((x + add) * scale)
//
// with the product in float64. It is immutable.
type Dequantizer[X uint8 | int16] struct {
	add    int64
	scale  float64
	kernel kernel // whose product is a float32 number; 0 where that could be another one
	lanes  int    // of its registers
}

// realsArgs is what the kernels of gen/reals.go take.
type realsArgs struct {
	x, dst unsafe.Pointer
	count  int
	add    int64
	scale  float32
}

// NewDequantizer prepares Run.
func NewDequantizer[X uint8 | int16](level Level, scale float64, add int64) *Dequantizer[X] {
	q := &Dequantizer[X]{add: add, scale: scale}
	// Of two float32 numbers the float64 product is exact, so both products are the same one, rounded once.
	if k := columnsOf(level); k != nil && float64(float32(scale)) == scale && abs(add) < 1<<23 {
		q.kernel, q.lanes = k.reals[unsafe.Sizeof(X(0))-1], 2*k.lanes
	}
	return q
}

// Run computes as many reals as dst has.
func (q *Dequantizer[X]) Run(dst []float32, src []X) {
	src = src[:len(dst)]
	done := 0
	if q.kernel != 0 && len(dst) >= q.lanes {
		a := realsArgs{x: unsafe.Pointer(&src[0]), dst: unsafe.Pointer(&dst[0]), count: len(dst) / q.lanes, add: q.add, scale: float32(q.scale)}
		q.kernel.call(unsafe.Pointer(&a))
		done = a.count * q.lanes
	}
	for i := done; i < len(dst); i++ {
		dst[i] = float32(float64(int64(src[i])+q.add) * q.scale)
	}
}

// Turn writes dst[c*stride+r] = src[r*cols+c] for some rows and columns.
func Turn(level Level, dst []float32, stride int, src []float32, rows, cols int) {
	if level != Generic {
		turn(dst, stride, src, cols, rows, cols)
		return
	}
	for r := range rows {
		for c, v := range src[r*cols:][:cols] {
			dst[c*stride+r] = v
		}
	}
}
