package onnxpb

import (
	"encoding/binary"
	"math"
)

// fromRaw decodes n elements from b, whose length is right.
func fromRaw(d *Data, b []byte, k kind, n int) error {
	le := binary.LittleEndian
	switch {
	case k.class == 's':
		d.Str = [][]byte{}
		return nil
	case k.class != 'f':
		d.I64 = make([]int64, n)
		return intsFromRaw(d, b, k)
	}
	out := make([]float32, n)
	d.F32 = out
	switch k.bits {
	case 32:
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		}
	case 64:
		for i := range out {
			out[i] = float32(math.Float64frombits(le.Uint64(b[8*i:])))
		}
	default:
		for i := range out {
			out[i] = k.toF32(le.Uint16(b[2*i:]))
		}
	}
	return nil
}

// intsFromRaw decodes integers into d.I64, which has its length, from b, which has the length that takes.
func intsFromRaw(d *Data, b []byte, k kind) error {
	le, out := binary.LittleEndian, d.I64
	var sign int64 // (v ^ sign) - sign extends the sign bit of a signed type, and does nothing for the others
	if k.class == 'i' && k.bits < 64 {
		sign = 1 << (k.bits - 1)
	}
	switch k.bits {
	case 2, 4:
		lg, mask := 3-k.bits/2, byte(1)<<k.bits-1 // 1<<lg elements a byte, from the low bits up
		for i := range out {
			v := int64(b[i>>lg] >> ((i & (1<<lg - 1)) * k.bits) & mask)
			out[i] = (v ^ sign) - sign
		}
	case 8:
		for i := range out {
			out[i] = (int64(b[i]) ^ sign) - sign
		}
	case 16:
		for i := range out {
			out[i] = (int64(le.Uint16(b[2*i:])) ^ sign) - sign
		}
	case 32:
		for i := range out {
			out[i] = (int64(le.Uint32(b[4*i:])) ^ sign) - sign
		}
	default:
		for i := range out {
			out[i] = int64(le.Uint64(b[8*i:]))
		}
	}
	switch {
	case k.class == 'b':
		for i, v := range out {
			out[i] = min(v, 1)
		}
	case k.class == 'u' && k.bits == 64:
		for i, v := range out {
			if v < 0 {
				return rangeError(d.Type, i, uint64(v))
			}
		}
	}
	return nil
}

// toRaw encodes d, whose number of elements is right, into b, which is zero and has the length that takes.
func toRaw(b []byte, d *Data, k kind) error {
	le := binary.LittleEndian
	if k.class != 'f' {
		lo, hi := k.limits()
		for i, v := range d.I64 {
			if v < lo || v > hi {
				return rangeError(d.Type, i, v)
			}
		}
	}
	switch {
	case k.class == 'f' && k.bits == 32:
		for i, v := range d.F32 {
			le.PutUint32(b[4*i:], math.Float32bits(v))
		}
	case k.class == 'f' && k.bits == 64:
		for i, v := range d.F32 {
			le.PutUint64(b[8*i:], math.Float64bits(float64(v)))
		}
	case k.class == 'f':
		for i, v := range d.F32 {
			le.PutUint16(b[2*i:], k.fromF32(v))
		}
	case k.bits < 8:
		per, mask := 8/k.bits, int64(1)<<k.bits-1
		for i, v := range d.I64 {
			b[i/per] |= byte(v&mask) << (i % per * k.bits)
		}
	case k.bits == 8:
		for i, v := range d.I64 {
			b[i] = byte(v)
		}
	case k.bits == 16:
		for i, v := range d.I64 {
			le.PutUint16(b[2*i:], uint16(v))
		}
	case k.bits == 32:
		for i, v := range d.I64 {
			le.PutUint32(b[4*i:], uint32(v))
		}
	default:
		for i, v := range d.I64 {
			le.PutUint64(b[8*i:], uint64(v))
		}
	}
	return nil
}

// halfToFloat widens IEEE 754 binary16 (1 sign, 5 exponent, 10 mantissa bits); exact.
func halfToFloat(h uint16) float32 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exp {
	case 0: // zero and subnormals: man * 2^-24
		f := float32(man) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | man<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | man<<13)
}

// floatToHalf rounds to nearest even; what is too large becomes infinite, and NaN stays NaN.
func floatToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign, exp, man := uint16(b>>31)<<15, int(b>>23&255)-127+15, b&(1<<23-1)
	switch {
	case exp == 255-127+15 && man != 0:
		h := uint16(man >> 13)
		if h == 0 { // keep it a NaN
			h = 1 << 9
		}
		return sign | 31<<10 | h
	case exp >= 31:
		return sign | 31<<10
	case exp > 0:
		return sign + uint16(roundShift(uint32(exp)<<23|man, 13)) // a carry into the exponent is right
	case exp < -10:
		return sign
	}
	return sign | uint16(roundShift(man|1<<23, 14-exp))
}

// bfloatToFloat widens bfloat16, the upper half of a float32; exact.
func bfloatToFloat(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// floatToBfloat rounds to nearest even; NaN stays NaN.
func floatToBfloat(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		h := uint16(b >> 16)
		if h&127 == 0 {
			h |= 1 << 6
		}
		return h
	}
	return uint16(b>>31)<<15 + uint16(roundShift(b&(1<<31-1), 16))
}

// roundShift is v >> s rounded to nearest even; 0 < s < 32.
func roundShift(v uint32, s int) uint32 {
	q, rem, half := v>>s, v&(1<<s-1), uint32(1)<<(s-1)
	if rem > half || rem == half && q&1 == 1 {
		q++
	}
	return q
}
