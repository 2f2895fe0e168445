package calib

import (
	"math"
	"math/big"
)

// exact is a sum of float64 numbers without rounding: an integer count of 2^-1074, the unit of which every finite float64 is a
// multiple. About 270 bytes when in use. The order of additions cannot matter.
type exact struct{ v big.Int }

// add adds a finite number.
func (e *exact) add(x float64) {
	if x == 0 {
		return
	}
	bits := math.Float64bits(x)
	exp := int(bits >> 52 & 0x7ff)
	m := int64(bits & (1<<52 - 1))
	if exp == 0 {
		exp = 1 // subnormal: no hidden bit
	} else {
		m |= 1 << 52
	}
	if x < 0 {
		m = -m
	}
	var t big.Int
	t.SetInt64(m)
	t.Lsh(&t, uint(exp-1))
	e.v.Add(&e.v, &t)
}

func (e *exact) merge(o *exact) { e.v.Add(&e.v, &o.v) }

// float is the float64 nearest to the sum.
func (e *exact) float() float64 {
	var f big.Float
	f.SetInt(&e.v) // takes as much precision as it needs
	f.SetMantExp(&f, -1074)
	r, _ := f.Float64()
	return r
}
