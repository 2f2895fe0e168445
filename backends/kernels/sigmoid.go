package kernels

import (
	"math"
	"unsafe"
)

// The functions that are made of an exponential work in float32, each operation rounded by itself, so that all levels give the same bits.
// With n = round(x/ln 2) and r = x - n*ln 2, exp(x) - 1 is 2^n*p + 2^n - 1, where p = exp(r) - 1 = r + r*r*q(r). Nothing is lost where x
// is small, as n is 0 there.

// expTable are the numbers that the kernels of gen/sigmoid.go want, each as often as AVX2 has lanes; the order is known there.
var expTable = func() (t [21][8]float32) {
	sign, round := float32(math.Copysign(0, -1)), math.Float32frombits(magic)
	for i, v := range [len(t)]float32{log2e, round, ln2High, ln2Low, expTerms[0], expTerms[1], expTerms[2], expTerms[3], expTerms[4], expTerms[5],
		1, 2, sign, math.Float32frombits(1<<31 - 1), round - raised, 1.0 / (1 << raised), leastExp, mostTanh, leastSwish, mostExp, leastElu} {
		for j := range t[i] {
			t[i][j] = v
		}
	}
	return t
}()

const (
	log2e = math.Log2E
	// ln2High has so few bits that its product with n is exact, and ln2Low is what is missing to ln 2.
	ln2High = 0.693359375
	ln2Low  = math.Ln2 - ln2High
	// Of a number below leastExp the exponential is 0 as a float32.
	leastExp = -104
	// That of one above mostExp is infinite.
	mostExp = 89
	// That of one below leastElu is less than what a 1 shows of it.
	leastElu = -26
	// That of one below leastSwish is 0 even where it is raised, that is times 2^raised.
	leastSwish = -160
	raised     = 64
	// tanh of half of mostTanh, and above, is 1 as a float32.
	mostTanh = 20
)

// expTerms are the coefficients of q, the highest power first: those of the Cephes library's expf.
var expTerms = [6]float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1}

// reduced is p of x, whose n is less than 1<<22, and n.
func reduced(x float32) (p, n float32) {
	const round = 3 << 22 // as magic
	n = float32(x*log2e) + round
	n -= round
	r := x - float32(n*ln2High)
	r -= float32(n * ln2Low)
	q := float32(expTerms[0]*r) + expTerms[1]
	q = float32(q*r) + expTerms[2]
	q = float32(q*r) + expTerms[3]
	q = float32(q*r) + expTerms[4]
	q = float32(q*r) + expTerms[5]
	return float32(q*float32(r*r)) + r, n
}

// power is 2^n for -126 <= n <= 127.
func power(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// raisedExp is 2^by times the exponential of x, or of least below it.
func raisedExp(x, least float32, by int32) float32 {
	if x < least {
		x = least
	}
	p, n := reduced(x)
	if n != n {
		return n
	}
	i := int32(n) + by
	half := i >> 1 // 2^i may be less than what a float32 can be
	return float32(float32((p+1)*power(half)) * power(i-half))
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

func sigmoid(x float32) float32 {
	e := raisedExp(-abs32(x), leastExp, 0)
	if math.Signbit(float64(x)) {
		return e / (1 + e)
	}
	return 1 / (1 + e)
}

// swish does not lose what sigmoid loses where it is denormal.
func swish(x float32) float32 {
	e := raisedExp(-abs32(x), leastSwish, raised)
	d := float32(e*(1.0/(1<<raised))) + 1
	if math.Signbit(float64(x)) {
		return float32(x*(e/d)) * (1.0 / (1 << raised))
	}
	return x * (1 / d)
}

func tanh(x float32) float32 {
	z := 2 * abs32(x)
	if z > mostTanh {
		z = mostTanh
	}
	p, n := reduced(z)
	if n == n {
		s := power(int32(n))
		p = float32(p*s) + (s - 1)
	}
	return math.Float32frombits(math.Float32bits(p/(p+2)) | math.Float32bits(x)&(1<<31))
}

func exp32(x float32) float32 {
	if x > mostExp {
		x = mostExp
	}
	return raisedExp(x, leastExp, 0)
}

func elu(x, alpha float32) float32 {
	if !(x < 0) {
		return x
	}
	p, n := reduced(max(x, leastElu))
	s := power(int32(n))
	return alpha * (float32(p*s) + (s - 1))
}

// Sigmoid computes dst = 1/(1+exp(-src)).
func Sigmoid(level Level, dst, src []float32) {
	expLike(level, func(k *columnKernels) kernel { return k.sigmoid }, sigmoid, dst, src, 0)
}

// Swish computes dst = src/(1+exp(-src)); of -Inf it is NaN, as a product of two numbers.
func Swish(level Level, dst, src []float32) {
	expLike(level, func(k *columnKernels) kernel { return k.swish }, swish, dst, src, 0)
}

// Tanh computes the hyperbolic tangent.
func Tanh(level Level, dst, src []float32) {
	expLike(level, func(k *columnKernels) kernel { return k.tanh }, tanh, dst, src, 0)
}

// Exp computes the exponential.
func Exp(level Level, dst, src []float32) {
	expLike(level, func(k *columnKernels) kernel { return k.exp }, exp32, dst, src, 0)
}

// Elu computes dst = src, or alpha*(exp(src)-1) where that is negative.
func Elu(level Level, dst, src []float32, alpha float32) {
	expLike(level, func(k *columnKernels) kernel { return k.elu }, func(x float32) float32 { return elu(x, alpha) }, dst, src, alpha)
}

// expLike runs a kernel of gen/sigmoid.go, which may want a number, or f.
func expLike(level Level, native func(*columnKernels) kernel, f func(float32) float32, dst, src []float32, number float32) {
	src = src[:len(dst)]
	k := columnsOf(level)
	if k == nil {
		for i, x := range src {
			dst[i] = f(x)
		}
		return
	}
	run := func(dst, src []float32, count int) {
		a := colArgs{dst: unsafe.Pointer(&dst[0]), a: unsafe.Pointer(&src[0]), b: unsafe.Pointer(&expTable), count: count, add: int64(math.Float32bits(number))}
		native(k).call(unsafe.Pointer(&a))
	}
	step := 2 * k.lanes * expRegs
	whole := len(dst) / step
	if whole > 0 {
		run(dst, src, whole)
	}
	if done := whole * step; done < len(dst) {
		var rest [expRegs * 16]float32
		copy(rest[:], src[done:])
		run(rest[:], rest[:], 1)
		copy(dst[done:], rest[:])
	}
}

// expRegs registers are worked on together, as in gen/sigmoid.go.
const expRegs = 3
