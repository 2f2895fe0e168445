package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of inputArgs.
const (
	inX = iota
	inDst
	inCount // registers of 64-bit numbers
	inScale // float64 numbers
	inZero
	inLo
	inHi
	inNaN // result: not 0 where an element is not a number
)

// grid rounds reals to the numbers that integers stand for: nearest even of x/scale, between lo and hi, times scale. zero is added before
// the product, which makes -0 of the rounding 0. NaN stays NaN.
func (a lanes) grid() {
	name := "grid" + a.suffix()
	a.begin(name, name+" is Grid.")
	src, dst, n := reg.RSI, reg.RDI, reg.RDX
	half := reg.VecPhysical(reg.Y0)
	if !a.zmm {
		half = reg.X0
	}
	x, nan := a.v(1), a.v(7)
	scale, zero, lo, hi := a.v(2), a.v(3), a.v(4), a.v(5)
	a.MOVQ(field(inX), src)
	a.MOVQ(field(inDst), dst)
	a.MOVQ(field(inCount), n)
	for i, v := range []reg.VecPhysical{scale, zero, lo, hi} {
		a.VBROADCASTSD(field(inScale+i), v)
	}
	a.clear(nan)
	a.XORL(reg.EBX, reg.EBX)
	a.Label("next")
	a.VMOVUPS(at(src, 0), half)
	a.VCVTPS2PD(half, x)
	a.VDIVPD(scale, x, x)
	if a.zmm {
		a.VCMPPD(operand.Imm(3), x, x, reg.K1)
		a.KMOVB(reg.K1, reg.ECX)
		a.ORL(reg.ECX, reg.EBX)
		a.VRNDSCALEPD(operand.Imm(8), x, x)
	} else {
		a.VCMPPD(operand.Imm(3), x, x, a.v(6))
		a.VORPD(a.v(6), nan, nan)
		a.VROUNDPD(operand.Imm(8), x, x)
	}
	a.VMAXPD(x, lo, x) // the second source is the result for NaN
	a.VMINPD(x, hi, x)
	a.VADDPD(zero, x, x)
	a.VMULPD(scale, x, x)
	if a.zmm {
		a.VCVTPD2PS(x, half)
	} else {
		a.VCVTPD2PSY(x, half)
	}
	a.VMOVUPS(half, at(dst, 0))
	a.ADDQ(operand.Imm(uint64(a.bytes()/2)), src)
	a.ADDQ(operand.Imm(uint64(a.bytes()/2)), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	if !a.zmm {
		a.VMOVMSKPD(nan, reg.EBX)
	}
	a.MOVQ(reg.RBX, field(inNaN))
	a.end()
}

// elementwise writes a function over whole registers of float32: dst = op(a, b), or op(a) where b is not used. Register 2 is 0, 3 to 5 are
// the arguments' add, lo and hi.
func (a lanes) elementwise(name string, second bool, op func(x, y reg.VecPhysical)) {
	name += a.suffix()
	a.begin(name, name+" does its work on whole registers.")
	src, dst, b, n := reg.RSI, reg.RDI, reg.RBX, reg.RDX
	a.MOVQ(field(colA), src)
	a.MOVQ(field(colDst), dst)
	a.MOVQ(field(colB), b)
	a.MOVQ(field(colCount), n)
	a.clear(a.v(2))
	for i := range 3 {
		a.VBROADCASTSS(field(colAdd+i), a.v(3+i))
	}
	a.Label("next")
	a.VMOVUPS(at(src, 0), a.v(0))
	if second {
		a.VMOVUPS(at(b, 0), a.v(1))
		a.ADDQ(operand.I32(a.bytes()), b)
	}
	op(a.v(0), a.v(1))
	a.VMOVUPS(a.v(0), at(dst, 0))
	a.ADDQ(operand.I32(a.bytes()), src)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}

// elementwises writes those functions.
func (a lanes) elementwises() {
	a.elementwise("reluFloats", false, func(x, _ reg.VecPhysical) {
		a.relu(a.v(2), x)
	})
	a.elementwise("clipFloats", false, func(x, _ reg.VecPhysical) { // NaN stays
		a.VMAXPS(x, a.v(4), x)
		a.VADDPS(a.v(3), x, x)
		a.VMINPS(x, a.v(5), x)
	})
	a.elementwise("addFloats", true, func(x, y reg.VecPhysical) { a.VADDPS(y, x, x) })
	a.elementwise("mulFloats", true, func(x, y reg.VecPhysical) { a.VMULPS(y, x, x) })
}
