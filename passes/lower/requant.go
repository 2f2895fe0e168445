package lower

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"quern/ir"
	"quern/ir/hw"
)

// rsh is the shift with a rounding mode.
var rsh = [...]hw.Prim{ir.HalfEven: hw.RshHalfEven, ir.HalfUp: hw.RshHalfUp, ir.HalfAway: hw.RshHalfAway, ir.Floor: hw.RshFloor,
	ir.Ceil: hw.RshCeil, ir.Away: hw.RshAway, ir.ToZero: hw.RshToZero, ir.HalfToZero: hw.RshHalfToZero}

// multiplier holds integers for real ratios: ratio[c] = M[c] / 2^T[c] to the precision of the width.
type multiplier struct{ M, T hw.Vec }

// multiplierBits is the width in magnitude bits that the options and the room allow: accBits + width must stay inside 62 bits.
func (l *lowerer) multiplierBits(q *ir.Quant, accBits int) (int, error) {
	bits := l.opt.MultiplierBits
	if bits == 0 {
		bits = 18
		if (hw.Interval{Lo: q.Min, Hi: q.Max}).Bits() > 8 {
			bits = 25
		}
	}
	bits = min(bits-1, 61-accBits)
	if bits < 8 {
		return 0, fmt.Errorf("accumulator of %d bits leaves %d bits for the requantization multiplier inside 63, want 8 at least", accBits, bits)
	}
	return bits, nil
}

// fine are the bits of a fraction that multipliers get, at least, where something is added behind the multiplication.
const fine = 8

// finer is the same ratios with room for a fraction of fine bits: powers of two have none else.
func (m multiplier) finer() multiplier {
	if m.M.Bounds().Hi >= 1<<fine || m.M.Bounds().Lo <= -1<<fine || m.T.Bounds().Hi+fine > 61 {
		return m
	}
	r := multiplier{hw.Vec{V: slices.Clone(m.M.V)}, hw.Vec{V: slices.Clone(m.T.V)}}
	for i := range r.M.V {
		r.M.V[i] <<= fine
	}
	for i := range r.T.V {
		r.T.V[i] += fine
	}
	return r
}

// newMultiplier finds the integers for ratios (one, or one for each channel or pixel) to results of outBits. One shift serves all where
// the smallest multiplier then keeps 12 bits, and 4 more than a result has, so that its rounding moves no result by more than 1/16 step;
// powers of two need no multiplier at all.
func newMultiplier(ratios []float64, bits, outBits int, by hw.By) multiplier {
	pow2, most := true, 0.0
	for _, r := range ratios {
		f, _ := math.Frexp(r)
		pow2 = pow2 && f == 0.5
		most = max(most, math.Abs(r))
	}
	m, t := make([]int64, len(ratios)), make([]int64, len(ratios))
	shared := shiftFor(most, bits)
	wide := !pow2
	for i, r := range ratios {
		m[i], t[i] = int64(math.RoundToEven(math.Ldexp(r, shared))), int64(shared)
		if max(m[i], -m[i]) < 1<<min(max(11, outBits+3), bits-2) {
			wide = false
		}
	}
	if !wide {
		for i, r := range ratios {
			s := shiftFor(r, bits)
			m[i], t[i] = int64(math.RoundToEven(math.Ldexp(r, s))), int64(s)
		}
	}
	// Common factors of two go: a single ratio of 3/4 is 3 >> 2.
	common := halvings(m, slices.Min(t))
	for i := range m {
		k := common
		if pow2 {
			k = halvings(m[i:i+1], t[i])
		}
		m[i], t[i] = m[i]>>k, t[i]-k
	}
	vec := func(v []int64) hw.Vec {
		x := hw.PerChannel(v)
		x.By = by
		return x
	}
	return multiplier{vec(m), vec(t)}
}

// halvings is how often all numbers can be divided by two, up to a limit.
func halvings(m []int64, limit int64) int64 {
	for _, x := range m {
		limit = min(limit, int64(bits.TrailingZeros64(uint64(x))))
	}
	return limit
}

// shiftFor is the shift at which a ratio becomes an integer of so many bits: inside 0..61.
func shiftFor(r float64, bits int) int {
	r = math.Abs(r)
	_, e := math.Frexp(r)
	if math.RoundToEven(math.Ldexp(r, bits-e)) == math.Ldexp(1, bits) {
		e++ // rounding up carries into the next bit
	}
	return max(0, min(61, bits-e))
}

// requant appends the requantization of value v, which stands for v*scale[c] in reals, to the Quant q: multiply, shift with rounding,
// add the zero point, clamp. accBits is the width of v.
func (l *lowerer) requant(p *hw.Prog, v int, accBits int, scale []float64, by hw.By, q *ir.Quant) (int, error) {
	bits, err := l.multiplierBits(q, accBits)
	if err != nil {
		return 0, err
	}
	so, _ := q.At(0)
	ratio := make([]float64, len(scale))
	for i, s := range scale {
		ratio[i] = s / so
	}
	m := newMultiplier(ratio, bits, (hw.Interval{Lo: q.Min, Hi: q.Max}).Bits(), by)
	v = p.OpI(hw.MulI, v, m.M)
	return finish(p, v, m.T, q), nil
}

// finish appends shift, zero point and clamp.
func finish(p *hw.Prog, v int, shift hw.Vec, q *ir.Quant) int {
	_, zero := q.At(0)
	v = p.OpI(rsh[q.Round], v, shift)
	v = p.OpI(hw.AddI, v, hw.Scalar(zero))
	return p.Clamp(v, q.Min, q.Max)
}

// ends are the buffer, scale and zero point of an input, and the Quant of the result that is made of it.
func (l *lowerer) ends(x, y *ir.Value) (in *hw.Buffer, scale float64, zero int64, q *ir.Quant, err error) {
	if in, err = l.buffer(x); err != nil {
		return nil, 0, 0, nil, err
	}
	if scale, zero, err = inQuant(x); err != nil {
		return nil, 0, 0, nil, err
	}
	if q, err = outQuant(y); err != nil {
		return nil, 0, 0, nil, err
	}
	return in, scale, zero, q, nil
}

// outQuant is the Quant of a result, which must have one scale.
func outQuant(v *ir.Value) (*ir.Quant, error) {
	q := v.Type.Quant
	if q == nil {
		return nil, fmt.Errorf("result %%%s is float, want a quantized value", v.Name)
	}
	if !q.PerTensor() || len(q.Zero) != 1 {
		return nil, fmt.Errorf("result %%%s has %d scales, want one", v.Name, len(q.Scale))
	}
	return q, nil
}

// inQuant is scale and zero point of an input, which must have one of each.
func inQuant(v *ir.Value) (scale float64, zero int64, err error) {
	q := v.Type.Quant
	if q == nil {
		return 0, 0, fmt.Errorf("input %%%s is float, want a quantized value", v.Name)
	}
	if !q.PerTensor() || len(q.Zero) != 1 {
		return 0, 0, fmt.Errorf("input %%%s has %d scales, want one", v.Name, len(q.Scale))
	}
	scale, zero = q.At(0)
	return scale, zero, nil
}
