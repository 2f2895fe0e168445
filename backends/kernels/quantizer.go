package kernels

import (
	"math"
	"unsafe"
)

// Quantizer makes integers of reals:
//
//	y = min(max(round(x/scale)+zero, lo), hi)
//
// rounded to nearest, ties to even, in float64 arithmetic. It is immutable.
type Quantizer[Y uint8 | int16] struct {
	scale, lo, hi float64 // bounds less the zero point
	add           int64
	inverse       float64
	unsure        float64    // a product with inverse that is as far from an integer may round to another one than the quotient
	single        [4]float32 // see singles
	kernel, weave kernel
}

// quantizerArgs is what the kernels of gen/quantizer.go take.
type quantizerArgs struct {
	x, dst                         unsafe.Pointer
	count                          int
	inverse, scale, lo, hi, unsure float64
	add                            int64
	nan                            int
	single                         [4]float32
	plane, rows, width, step       int // of weave
}

// NewQuantizer is nil where numbers are too wide; less is taken from the results, which have to fit Y.
func NewQuantizer[Y uint8 | int16](level Level, scale float64, zero, lo, hi, less int64) *Quantizer[Y] {
	const most = 1 << 30
	if max(abs(zero), abs(lo), abs(hi), abs(less)) > most/2 || lo > hi || !(scale > 0) || int64(Y(lo-less)) != lo-less || int64(Y(hi-less)) != hi-less {
		return nil
	}
	q := &Quantizer[Y]{scale: scale, lo: float64(lo - zero), hi: float64(hi - zero), add: zero - less, inverse: 1 / scale, unsure: -1}
	if k := columnsOf(level); k != nil {
		if q.kernel = k.quantize[unsafe.Sizeof(Y(0))-1]; unsafe.Sizeof(Y(0)) == 1 {
			q.weave = k.quantizeWeave
		}
	}
	q.single = q.singles()
	// The rounded inverse and the rounded product are off by less than two units in the last place together, the quotient by half of one,
	// so that product and quotient are within 2^-51 of each other, relatively. Both are limited before they are rounded, which
	// limits the error; a product that is not as near to the middle between integers is on the quotient's side of it. Products with
	// powers of two are exact.
	if scale > 0x1p-500 && scale < 0x1p500 {
		q.unsure = 0.5 - (max(math.Abs(q.lo), math.Abs(q.hi))+1)*0x1p-50
		if f, _ := math.Frexp(scale); f == 0.5 {
			q.unsure = 1
		}
	}
	return q
}

// singles are inverse, lo, hi and unsure for products in float32, tried before those in float64: inverse and product are rounded, each by
// 2^-24 of itself at most, so that the product is within 2^-23 of the quotient, relatively, but for terms of second order. Those, and
// the rounding of unsure, are in the slack.
func (q *Quantizer[Y]) singles() [4]float32 {
	r := [4]float32{float32(q.inverse), float32(q.lo), float32(q.hi), -1}
	off := (max(math.Abs(q.lo), math.Abs(q.hi)) + 2) * 0x1.01p-23
	if off > 0.25 || q.scale < 0x1p-100 || q.scale > 0x1p100 { // bounds that are no float32 numbers, or an inverse that is none
		return r
	}
	r[3] = float32(0.5 - off)
	if f, _ := math.Frexp(q.scale); f == 0.5 {
		r[3] = 1
	}
	return r
}

func abs(x int64) int64 { return max(x, -x) }

// Run computes dst from as many elements of src. It reports whether all are numbers.
func (q *Quantizer[Y]) Run(dst []Y, src []float32) bool {
	src = src[:len(dst)]
	done, ok := 0, true
	if n := len(dst) / 16; q.kernel != 0 && n > 0 {
		a := q.args(&dst[0], &src[0])
		a.count = n
		q.kernel.call(unsafe.Pointer(&a))
		done, ok = 16*n, a.nan == 0
	}
	for i := done; i < len(dst); i++ {
		v := float64(src[i])
		ok = ok && v == v
		v = math.RoundToEven(min(max(v/q.scale, q.lo), q.hi))
		dst[i] = Y(int64(v) + q.add)
	}
	return ok
}

func (q *Quantizer[Y]) args(dst *Y, src *float32) quantizerArgs {
	return quantizerArgs{x: unsafe.Pointer(src), dst: unsafe.Pointer(dst), inverse: q.inverse, scale: q.scale, lo: q.lo, hi: q.hi, unsure: q.unsure, add: q.add, single: q.single}
}

// Weaves reports whether there is Weave for so many planes with rows of so many elements.
func (q *Quantizer[Y]) Weaves(planes, width int) bool {
	return q.weave != 0 && planes == 3 && width >= 16
}

// Weave is Run of three planes of rows by width elements and Weave of the result, at once.
func (q *Quantizer[Y]) Weave(dst []Y, step int, planes []float32, rows, width int) bool {
	planes = planes[:3*rows*width]
	_ = dst[(rows-1)*step:][:3*width]
	size := int(unsafe.Sizeof(Y(0)))
	a := q.args(&dst[0], &planes[0])
	a.plane, a.rows, a.width, a.step = 4*rows*width, rows, width, step*size
	q.weave.call(unsafe.Pointer(&a))
	return a.nan == 0
}

// weaveArgs is what the kernel of gen/quantizer.go takes.
type weaveArgs struct {
	x, dst       unsafe.Pointer
	plane        int // bytes, as are all others but rows
	rows         int
	last         int
	step, toStep int
	order        unsafe.Pointer
}

// weaveOrders are, by bytes of an element less 1, the places in three planes that make three registers of pixels; 0x80 for those of other planes.
var weaveOrders = [2][3][3][16]byte{weaveOrder(1), weaveOrder(2)}

func weaveOrder(size int) (r [3][3][16]byte) {
	for i := range 48 {
		e := i / size
		for plane := range 3 {
			to := &r[i/16][plane][i%16]
			if *to = 0x80; e%3 == plane {
				*to = byte(e/3*size + i%size)
			}
		}
	}
	return r
}

// Weave makes pixels of c planes of rows by width elements: rows of pixels lie step elements apart in dst.
func Weave[Y uint8 | int16](level Level, dst []Y, step int, planes []Y, c, rows, width int) {
	pixels := rows * width
	planes = planes[:c*pixels]
	_ = dst[(rows-1)*step:][:width*c]
	size := int(unsafe.Sizeof(Y(0)))
	switch k := columnsOf(level); {
	case c == 1:
		for y := range rows {
			copy(dst[y*step:][:width], planes[y*width:])
		}
	case c == 3 && k != nil && width*size >= 16:
		a := weaveArgs{x: unsafe.Pointer(&planes[0]), dst: unsafe.Pointer(&dst[0]), plane: pixels * size, rows: rows, last: width*size - 16, step: width * size, toStep: step * size,
			order: unsafe.Pointer(&weaveOrders[size-1])}
		k.weave.call(unsafe.Pointer(&a))
	default:
		for y := range rows {
			for ch := range c {
				d, j := dst[y*step+ch:], 0
				for _, v := range planes[ch*pixels+y*width:][:width] {
					d[j] = v
					j += c
				}
			}
		}
	}
}
