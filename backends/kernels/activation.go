package kernels

import (
	"math"
	"unsafe"
)

// LeakyRelu computes dst = src, or alpha times it where that is negative.
func LeakyRelu(level Level, dst, src []float32, alpha float32) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.leaky, dst, src, colArgs{add: int64(math.Float32bits(alpha))})
	}
	for i := done; i < len(dst); i++ {
		v := src[i]
		if v < 0 {
			v *= alpha
		}
		dst[i] = v
	}
}

// hardSwishNumbers are what the kernel of HardSwish wants.
var hardSwishNumbers = [3]float64{6, 0.5, 1}

// HardSwish computes dst = src*min(max(src/6+1/2, 0), 1) in float64.
func HardSwish(level Level, dst, src []float32) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.hardSwish, dst, src, colArgs{b: unsafe.Pointer(&hardSwishNumbers)})
	}
	for i := done; i < len(dst); i++ {
		v := float64(src[i])
		dst[i] = float32(v * min(max(v/6+0.5, 0), 1))
	}
}

// HardSigmoid computes dst = min(max(alpha*src+beta, 0), 1) in float64.
func HardSigmoid(level Level, dst, src []float32, alpha, beta float32) {
	src = src[:len(dst)]
	done := 0
	if k := columnsOf(level); k != nil {
		done = k.elementwise(k.hardSigmoid, dst, src, colArgs{b: unsafe.Pointer(&[3]float64{float64(alpha), float64(beta), 1})})
	}
	for i := done; i < len(dst); i++ {
		dst[i] = float32(min(max(float64(float64(alpha)*float64(src[i]))+float64(beta), 0), 1))
	}
}
