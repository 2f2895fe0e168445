package hw

import (
	"errors"
	"math/bits"
)

// Interval is a set of consecutive integers, both ends included.
type Interval struct{ Lo, Hi int64 }

// limit bounds every variable of a program: 63-bit signed numbers, so that the sum of two still fits int64.
const limit = 1 << 62

var errWide = errors.New("needs more than 63 bits")

// Union is the smallest interval that holds both.
func (a Interval) Union(b Interval) Interval { return Interval{min(a.Lo, b.Lo), max(a.Hi, b.Hi)} }

// Contains reports whether b lies inside a.
func (a Interval) Contains(b Interval) bool { return a.Lo <= b.Lo && b.Hi <= a.Hi }

// Signed reports whether a negative number is in the interval.
func (a Interval) Signed() bool { return a.Lo < 0 }

// Bits is the width of the smallest integer type that holds the interval: unsigned unless Signed; at least 1.
func (a Interval) Bits() int {
	if !a.Signed() {
		return max(1, bits.Len64(uint64(a.Hi)))
	}
	return max(bits.Len64(uint64(^a.Lo)), bits.Len64(uint64(max(a.Hi, 0)))) + 1
}

// String is the type in the text form: i21, u8.
func (a Interval) String() string {
	if a.Signed() {
		return "i" + itoa(int64(a.Bits()))
	}
	return "u" + itoa(int64(a.Bits()))
}

func (a Interval) check() (Interval, error) {
	if a.Lo < -limit || a.Hi >= limit {
		return a, errWide
	}
	return a, nil
}

// mul is the interval of products, exact; an error if one leaves 63 bits.
func (a Interval) mul(b Interval) (Interval, error) {
	r := Interval{limit, -limit}
	for _, x := range [2]int64{a.Lo, a.Hi} {
		for _, y := range [2]int64{b.Lo, b.Hi} {
			hi, lo := bits.Mul64(abs(x), abs(y))
			if hi != 0 || lo >= limit {
				return a, errWide
			}
			p := int64(lo)
			if (x < 0) != (y < 0) {
				p = -p
			}
			r = r.Union(Interval{p, p})
		}
	}
	return r, nil
}

func abs(x int64) uint64 {
	if x < 0 {
		return -uint64(x)
	}
	return uint64(x)
}
