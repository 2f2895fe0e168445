package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lanes writes arithmetic on 64-bit integers, 8 or 4 to a register. AVX2 lacks some of it, which takes several instructions and the
// scratch registers 13 to 15 there; register 12 holds the sign bits (see constants).
type lanes struct {
	asm
	zmm bool
}

// suffix ends the names of functions.
func (a lanes) suffix() string {
	if a.zmm {
		return "AVX512"
	}
	return "AVX2"
}

func (a lanes) v(i int) reg.VecPhysical { return vec(a.zmm, i) }

// bytes is the size of a register.
func (a lanes) bytes() int {
	if a.zmm {
		return 64
	}
	return 32
}

// constants prepares a function for sra.
func (a lanes) constants() {
	if !a.zmm {
		a.VPCMPEQD(a.v(12), a.v(12), a.v(12))
		a.VPSLLQ(operand.Imm(63), a.v(12), a.v(12))
	}
}

func (a lanes) load(from operand.Mem, to reg.VecPhysical)  { a.move(a.zmm, from, to) }
func (a lanes) store(from reg.VecPhysical, to operand.Mem) { a.move(a.zmm, from, to) }

// mul is x *= y, modulo 2^64.
func (a lanes) mul(y, x reg.VecPhysical) {
	if a.zmm {
		a.VPMULLQ(y, x, x)
		return
	}
	t, u := a.v(13), a.v(14)
	a.VPSRLQ(operand.Imm(32), x, t)
	a.VPMULUDQ(y, t, t)
	a.VPSRLQ(operand.Imm(32), y, u)
	a.VPMULUDQ(x, u, u)
	a.VPADDQ(u, t, t)
	a.VPSLLQ(operand.Imm(32), t, t)
	a.VPMULUDQ(y, x, x)
	a.VPADDQ(t, x, x)
}

// sra is to = x >> count, lane by lane, with the sign.
func (a lanes) sra(count, x, to reg.VecPhysical) {
	if a.zmm {
		a.VPSRAVQ(count, x, to)
		return
	}
	// The sign bit, shifted with the rest, is spread by flipping it and taking it away.
	m := a.v(13)
	a.VPSRLVQ(count, a.v(12), m)
	a.VPSRLVQ(count, x, to)
	a.VPXOR(m, to, to)
	a.VPSUBQ(m, to, to)
}

// max is x = max(x, y).
func (a lanes) max(y, x reg.VecPhysical) {
	if a.zmm {
		a.VPMAXSQ(y, x, x)
		return
	}
	m := a.v(13)
	a.VPCMPGTQ(x, y, m)
	a.VPBLENDVB(m, y, x, x)
}

// min is x = min(x, y).
func (a lanes) min(y, x reg.VecPhysical) {
	if a.zmm {
		a.VPMINSQ(y, x, x)
		return
	}
	m := a.v(13)
	a.VPCMPGTQ(y, x, m)
	a.VPBLENDVB(m, y, x, x)
}

// scaled is x = min(max(((x*mul + half + (x*mul>>sign & tie)) >> shift) + add, lo), hi) with registers in the order of scaleRegs,
// after the product: see kernels.scale.
func (a lanes) scaled(x, tmp reg.VecPhysical, r scaleRegs) {
	a.sra(r.sign, x, tmp)
	if a.zmm {
		a.VPANDQ(r.tie, tmp, tmp)
	} else {
		a.VPAND(r.tie, tmp, tmp)
	}
	a.VPADDQ(r.half, x, x)
	a.VPADDQ(tmp, x, x)
	a.sra(r.shift, x, x)
	a.VPADDQ(r.add, x, x)
	a.max(r.lo, x)
	a.min(r.hi, x)
}

// scaleRegs hold a block of scales.
type scaleRegs struct{ mul, half, tie, shift, sign, add, lo, hi reg.VecPhysical }

// scaleRegs are registers 2 to 9.
func (a lanes) scaleRegs() scaleRegs {
	return scaleRegs{a.v(2), a.v(3), a.v(4), a.v(5), a.v(6), a.v(7), a.v(8), a.v(9)}
}

// loadScale loads one block of packed scales: mul, half, tie, shift, sign.
func (a lanes) loadScale(from reg.Register, r scaleRegs) {
	for i, v := range []reg.VecPhysical{r.mul, r.half, r.tie, r.shift, r.sign} {
		a.load(at(from, i*a.bytes()), v)
	}
}

// pack narrows x, whose numbers fit, to lanes of the given bytes in the low part of the returned register.
func (a lanes) pack(bytes int, x reg.VecPhysical) reg.VecPhysical {
	if a.zmm {
		if bytes == 1 {
			a.VPMOVQB(x, reg.X0)
		} else {
			a.VPMOVQW(x, reg.X0)
		}
		return reg.X0
	}
	lo := reg.X0
	a.VPSHUFD(operand.Imm(0x08), x, reg.Y0) // the low halves of numbers, in each half of the register
	a.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X1)
	a.VPUNPCKLQDQ(reg.X1, lo, lo)
	a.VPACKSSDW(lo, lo, lo)
	return lo
}
