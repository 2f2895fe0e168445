package kernels

import "slices"

// Round is a rounding mode of a shift to the right.
type Round uint8

// The rounding modes: toward -infinity; to nearest with ties toward +infinity, to the even number or away from zero; toward
// +infinity, away from zero, toward zero; to nearest with ties toward zero.
const (
	Floor Round = iota
	HalfUp
	HalfEven
	HalfAway
	Ceil
	Away
	ToZero
	HalfToZero
)

// Requant is the usual end of an integer kernel, for each channel c:
//
//	y = min(max(round((v*mul[c]) >> shift[c]) + add, lo), hi)
//
// It is immutable.
type Requant struct {
	scale       []scale
	add, lo, hi int64
}

// scale is a multiplier and a shift in one form for all rounding modes: (p + half + (p>>sign & tie)) >> shift with p = v*mul.
// Half even: half a unit less one, and the lowest bit of the floor. Half away: half a unit, less one for a negative p; the
// others by the sign, too.
type scale struct {
	mul, half, tie int64
	shift, sign    uint8
}

// NewRequant makes a Requant of multipliers and shifts (0 to 62), each one or one for each channel.
func NewRequant(mul, shift []int64, round Round, add, lo, hi int64) *Requant {
	n := max(len(mul), len(shift))
	q := &Requant{scale: make([]scale, n), add: add, lo: lo, hi: hi}
	for c := range q.scale {
		s := scale{mul: mul[c%len(mul)], shift: uint8(shift[c%len(shift)])}
		if s.shift > 0 {
			half := int64(1) << (s.shift - 1)
			switch round {
			case HalfUp:
				s.half = half
			case HalfEven:
				s.half, s.tie, s.sign = half-1, 1, s.shift
			case HalfAway:
				s.half, s.tie, s.sign = half, -1, 63
			case Ceil:
				s.half = 2*half - 1
			case Away:
				s.half, s.tie, s.sign = 2*half-1, -(2*half - 1), 63
			case ToZero:
				s.tie, s.sign = 2*half-1, 63
			case HalfToZero:
				s.half, s.tie, s.sign = half-1, 1, 63
			}
		}
		q.scale[c] = s
	}
	return q
}

// Channels is q for n channels from the given one on.
func (q *Requant) Channels(first, n int) *Requant {
	r := *q
	if len(q.scale) > 1 {
		r.scale = q.scale[first : first+n]
	}
	return &r
}

// Repeated is q for n times its channels, one after the other.
func (q *Requant) Repeated(n int) *Requant {
	r := *q
	if len(q.scale) > 1 {
		r.scale = slices.Repeat(q.scale, n)
	}
	return &r
}

// Row applies q to whole pixels in place: v holds elements with the channels last, as many channels as q has, or any number for one.
func (q *Requant) Row(v []int64) {
	add, lo, hi := q.add, q.lo, q.hi
	if len(q.scale) == 1 {
		s := q.scale[0]
		for i, x := range v {
			p := x * s.mul
			v[i] = min(max((p+s.half+(p>>s.sign&s.tie))>>s.shift+add, lo), hi)
		}
		return
	}
	for len(v) > 0 {
		row := v[:len(q.scale)]
		for c := range q.scale {
			s := &q.scale[c]
			p := row[c] * s.mul
			row[c] = min(max((p+s.half+(p>>(s.sign&63)&s.tie))>>(s.shift&63)+add, lo), hi)
		}
		v = v[len(row):]
	}
}
