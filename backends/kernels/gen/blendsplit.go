package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of splitArgs.
const (
	splitA = iota
	splitB
	splitDst
	splitCount // registers of words
	splitHigh  // from here on the low halves of numbers
	splitLow
	splitPlusHigh
	splitPlusLow
	splitMask
	splitEven
	splitAdd
	splitLo // both words of the low half
	splitHi
	splitShift // a whole number
)

// splitPlaces is the size of the low part of a number.
const splitPlaces = 15

// splitBlend is SplitBlend.Run on whole registers of words. Pairs of words, of either tensor, are multiplied by pairs of multipliers:
//
//	l = low . pair + plusLow
//	h = high . pair + plusHigh + l >> 15
//	y = min(max((h >> shift, less its lowest bit & even where h&mask and the low 15 bits of l are 0) + add, lo), hi)
func (a lanes) splitBlend() {
	name := "splitBlend" + a.suffix()
	a.begin(name, name+" is SplitBlend.Run on whole registers.")
	x, y, dst, n := reg.RSI, reg.RBX, reg.RDI, reg.RDX
	high, low, plusHigh, plusLow, mask, even, add, lo, hi, lowMask := a.v(4), a.v(5), a.v(6), a.v(7), a.v(8), a.v(9), a.v(10), a.v(11), a.v(12), a.v(13)
	zero, shift := a.v(14), reg.X15
	a.MOVQ(field(splitA), x)
	a.MOVQ(field(splitB), y)
	a.MOVQ(field(splitDst), dst)
	a.MOVQ(field(splitCount), n)
	for i, v := range []reg.VecPhysical{high, low, plusHigh, plusLow, mask, even, add, lo, hi} {
		a.VPBROADCASTD(field(splitHigh+i), v)
	}
	a.VMOVQ(field(splitShift), shift)
	if a.zmm {
		a.VPTERNLOGD(operand.U8(255), lowMask, lowMask, lowMask)
		a.VPXORD(lowMask, even, even) // the bits that stay
	} else {
		a.VPCMPEQD(lowMask, lowMask, lowMask)
		a.clear(zero)
	}
	a.VPSRLD(operand.Imm(32-splitPlaces), lowMask, lowMask)
	l, t := a.v(1), a.v(3)
	sum := func(v reg.VecPhysical) {
		a.VPMADDWD(low, v, l)
		a.VPMADDWD(high, v, v)
		a.VPADDD(plusLow, l, l)
		a.VPSRAD(operand.Imm(splitPlaces), l, t)
		a.VPADDD(plusHigh, v, v)
		a.VPADDD(t, v, v)
		if a.zmm {
			a.VPANDD(lowMask, l, l)
			a.VPANDD(mask, v, t)
			a.VPORD(t, l, l)
			a.VPTESTNMD(l, l, reg.K1)
			a.VPSRAD(shift, v, v)
			a.VPANDD(even, v, reg.K1, v)
		} else {
			a.VPAND(lowMask, l, l)
			a.VPAND(mask, v, t)
			a.VPOR(t, l, l)
			a.VPCMPEQD(zero, l, l)
			a.VPAND(even, l, l)
			a.VPSRAD(shift, v, v)
			a.VPANDN(v, l, v)
		}
		a.VPADDD(add, v, v)
	}
	p, q := a.v(0), a.v(2)
	a.Label("next")
	a.load(at(x, 0), p)
	a.load(at(y, 0), l)
	a.VPUNPCKHWD(l, p, q)
	a.VPUNPCKLWD(l, p, p)
	sum(p)
	sum(q)
	a.VPACKSSDW(q, p, p)
	a.VPMAXSW(lo, p, p)
	a.VPMINSW(hi, p, p)
	a.store(p, at(dst, 0))
	for _, r := range []reg.GPPhysical{x, y, dst} {
		a.ADDQ(operand.Imm(uint64(a.bytes())), r)
	}
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
