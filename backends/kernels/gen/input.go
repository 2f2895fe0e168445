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

// input converts reals to integers of 32 bits: the even number nearest to x/scale, and zero, between lo and hi.
func (a lanes) input() {
	name := "input" + a.suffix()
	a.begin(name, name+" is QuantizeColumn.")
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
	if a.zmm {
		a.VCMPPD(operand.Imm(3), x, x, reg.K1)
		a.KMOVB(reg.K1, reg.ECX)
		a.ORL(reg.ECX, reg.EBX)
	} else {
		a.VCMPPD(operand.Imm(3), x, x, a.v(6))
		a.VORPD(a.v(6), nan, nan)
	}
	a.VDIVPD(scale, x, x)
	if a.zmm {
		a.VRNDSCALEPD(operand.Imm(8), x, x)
	} else {
		a.VROUNDPD(operand.Imm(8), x, x)
	}
	a.VADDPD(zero, x, x)
	a.VMAXPD(lo, x, x)
	a.VMINPD(hi, x, x)
	if a.zmm {
		a.VCVTTPD2DQ(x, reg.Y0)
	} else {
		a.VCVTTPD2DQY(x, reg.X0)
	}
	a.VMOVUPS(half, at(dst, 0))
	a.ADDQ(operand.Imm(uint64(a.bytes()/2)), src)
	a.ADDQ(operand.Imm(uint64(a.bytes()/2)), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	if a.zmm {
		a.MOVQ(reg.RBX, field(inNaN))
	} else {
		a.VMOVMSKPD(nan, reg.EBX)
		a.MOVQ(reg.RBX, field(inNaN))
	}
	a.end()
}
