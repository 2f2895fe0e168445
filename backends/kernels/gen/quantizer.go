package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of quantizerArgs.
const (
	quaX = iota
	quaDst
	quaCount   // of 16 elements
	quaInverse // float64 numbers
	quaScale
	quaLo
	quaHi
	quaUnsure
	quaAdd
	quaNaN    // result: not 0 where an element is not a number
	quaSingle // float32 numbers: inverse, lo, hi, unsure
	_
	quaPlane // of weaveQuantizer: bytes of a plane
	quaRows
	quaWidth // pixels
	quaStep  // bytes between rows of pixels
)

// quantizer is Quantizer.Run on 16 elements at a time: the even number nearest to x/scale, between lo and hi, and add. A product with the
// inverse stands for the quotient, unless the product is as near to the middle between two integers as unsure says: first in float32,
// then, for all 16, in float64.
func (a lanes) quantizer(bytes int) {
	name := fmt.Sprintf("quantize%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is Quantizer.Run.")
	src, dst, n := reg.RSI, reg.RDI, reg.RDX
	add, nan := a.v(13), reg.Y14
	a.MOVQ(field(quaX), src)
	a.MOVQ(field(quaDst), dst)
	a.MOVQ(field(quaCount), n)
	a.VPBROADCASTD(field(quaAdd), add)
	a.VPXOR(nan, nan, nan)
	a.singles()
	a.Label("next")
	parts := [][2]reg.VecPhysical{{a.v(0), a.v(1)}, {a.v(2), a.v(3)}}[:64/a.bytes()]
	for i, r := range parts {
		a.single(at(src, a.bytes()*i), r[0], r[1], reg.K1)
	}
	if a.zmm {
		a.KORTESTW(reg.K1, reg.K1)
	} else {
		a.VORPS(reg.Y2, reg.Y0, reg.Y0)
		a.VMOVMSKPS(reg.Y0, reg.ECX)
		a.TESTL(reg.ECX, reg.ECX)
	}
	a.JNE(operand.LabelRef("double"))
	for _, r := range parts {
		a.VCVTTPS2DQ(r[1], r[0])
	}
	a.Label("pack")
	for _, r := range parts {
		a.VPADDD(add, r[0], r[0])
	}
	switch {
	case a.zmm && bytes == 1:
		a.VPMOVDB(reg.Z0, at(dst, 0))
	case a.zmm:
		a.VPMOVDW(reg.Z0, at(dst, 0))
	default:
		a.VPACKSSDW(reg.Y2, reg.Y0, reg.Y0)
		a.VPERMQ(operand.Imm(0xd8), reg.Y0, reg.Y0)
		if bytes == 1 {
			a.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X1)
			a.VPACKUSWB(reg.X1, reg.X0, reg.X0)
			a.VMOVDQU(reg.X0, at(dst, 0))
		} else {
			a.VMOVDQU(reg.Y0, at(dst, 0))
		}
	}
	a.ADDQ(operand.Imm(64), src)
	a.ADDQ(operand.Imm(uint64(16*bytes)), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.VMOVMSKPS(nan, reg.EBX)
	a.MOVQ(reg.RBX, field(quaNaN))
	a.end()

	a.Label("double")
	half := lanes{a.asm, false}
	half.doubles(nan)
	if a.zmm {
		a.VINSERTI64X4(operand.Imm(1), reg.Y2, reg.Z0, reg.Z0)
	}
	a.singles()
	a.JMP(operand.LabelRef("pack"))
}

// singles loads the constants of single: registers 8 to 12.
func (a lanes) singles() {
	for i := range 4 {
		m := field(quaSingle)
		m.Disp += 4 * i
		a.VBROADCASTSS(m, a.v(8+i))
	}
	abs := a.v(12)
	if a.zmm {
		a.VPTERNLOGD(operand.U8(255), abs, abs, abs)
	} else {
		a.VPCMPEQD(abs, abs, abs)
	}
	a.VPSRLD(operand.Imm(1), abs, abs)
}

// single is the part of a quantizer that computes in float32: t is a register of rounded numbers, and a mask says which are unsure; with
// AVX2 that is x.
func (a lanes) single(from operand.Mem, x, t reg.VecPhysical, mask reg.Register) {
	inverse, lo, hi, unsure, abs := a.v(8), a.v(9), a.v(10), a.v(11), a.v(12)
	a.VMULPS(from, inverse, x)
	a.VMAXPS(x, lo, x) // in this order not a number stays that
	a.VMINPS(x, hi, x)
	if a.zmm {
		a.VRNDSCALEPS(operand.Imm(8), x, t)
	} else {
		a.VROUNDPS(operand.Imm(8), x, t)
	}
	a.VSUBPS(t, x, x)
	const notLess = 0x15
	if a.zmm {
		a.VPANDD(abs, x, x)
		a.VCMPPS(operand.Imm(notLess), unsure, x, mask)
	} else {
		a.VANDPS(abs, x, x)
		a.VCMPPS(operand.Imm(notLess), unsure, x, x)
	}
}

// doubles is the part of a quantizer that computes in float64: 16 elements become integers in Y0 and Y2.
func (a lanes) doubles(nan reg.VecPhysical) {
	src := reg.RSI
	x, t := a.v(4), a.v(5)
	inverse, lo, hi, unsure, abs, near := a.v(8), a.v(9), a.v(10), a.v(11), a.v(12), a.v(15)
	for i, to := range []reg.VecPhysical{inverse, lo, hi, unsure} {
		a.VBROADCASTSD(field([]int{quaInverse, quaLo, quaHi, quaUnsure}[i]), to)
	}
	a.VPCMPEQD(abs, abs, abs)
	a.VPSRLQ(operand.Imm(1), abs, abs)
	for i := range 2 {
		a.VMOVUPS(at(src, 32*i), x)
		a.VCMPPS(operand.Imm(3), x, x, x)
		a.VORPS(x, nan, nan)
	}
	four := []reg.VecPhysical{reg.X0, reg.X1, reg.X2, reg.X3}
	integers := func(quotient func(), check func()) {
		for i, to := range four {
			a.VCVTPS2PD(at(src, 16*i), x)
			quotient()
			a.VMAXPD(lo, x, x)
			a.VMINPD(hi, x, x)
			a.VROUNDPD(operand.Imm(8), x, t)
			check()
			a.VCVTTPD2DQY(t, to)
		}
	}
	a.clear(near)
	integers(func() { a.VMULPD(inverse, x, x) }, func() {
		a.VSUBPD(t, x, x)
		a.VANDPD(abs, x, x)
		a.VCMPPD(operand.Imm(0x1d), unsure, x, x) // at least
		a.VORPD(x, near, near)
	})
	a.VMOVMSKPD(near, reg.ECX)
	a.TESTL(reg.ECX, reg.ECX)
	a.JEQ(operand.LabelRef("back"))
	a.VBROADCASTSD(field(quaScale), near)
	integers(func() { a.VDIVPD(near, x, x) }, func() {})
	a.Label("back")
	a.VINSERTI128(operand.Imm(1), reg.X1, reg.Y0, reg.Y0)
	a.VINSERTI128(operand.Imm(1), reg.X3, reg.Y2, reg.Y2)
}

// The fields of weaveArgs.
const (
	weaX = iota
	weaDst
	weaPlane // bytes of a plane
	weaRows
	weaLast // offset of the last 16 bytes of a row
	weaStep // bytes between rows of the planes, and of the pixels
	weaToStep
	weaOrder // nine masks: of each part of the pixels, from each plane
)

// weave makes pixels of three planes, 16 bytes of each at a time; the last ones of a row may come twice.
func (a asm) weave() {
	a.begin("weaveAVX2", "weaveAVX2 is Weave.")
	src, dst, end, last, plane := reg.RSI, reg.RDI, reg.RDX, reg.R8, reg.R9
	k, to, p := reg.RBX, reg.RCX, reg.R10
	x := []reg.VecPhysical{reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7, reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14}
	order, from, v, w := x[:9], x[9:12], x[12], x[13]
	a.MOVQ(field(weaOrder), p)
	for i, o := range order {
		a.VMOVDQU(at(p, 16*i), o)
	}
	a.MOVQ(field(weaX), src)
	a.MOVQ(field(weaDst), dst)
	a.MOVQ(field(weaPlane), plane)
	a.MOVQ(field(weaLast), last)
	a.MOVQ(field(weaRows), end)
	a.Label("row")
	a.XORQ(k, k)
	a.MOVQ(dst, to)
	a.JMP(operand.LabelRef("test"))
	a.Label("last")
	a.MOVQ(last, k)
	a.LEAQ(operand.Mem{Base: last, Index: last, Scale: 2}, to)
	a.ADDQ(dst, to)
	a.Label("step")
	a.LEAQ(operand.Mem{Base: src, Index: k, Scale: 1}, p)
	a.VMOVDQU(at(p, 0), from[0])
	a.VMOVDQU(operand.Mem{Base: p, Index: plane, Scale: 1}, from[1])
	a.VMOVDQU(operand.Mem{Base: p, Index: plane, Scale: 2}, from[2])
	for i := range 3 {
		a.VPSHUFB(order[3*i], from[0], v)
		for j := 1; j < 3; j++ {
			a.VPSHUFB(order[3*i+j], from[j], w)
			a.VPOR(w, v, v)
		}
		a.VMOVDQU(v, at(to, 16*i))
	}
	a.ADDQ(operand.Imm(16), k)
	a.ADDQ(operand.Imm(48), to)
	a.Label("test")
	a.CMPQ(k, last)
	a.JLT(operand.LabelRef("step"))
	a.LEAQ(at(last, 16), p)
	a.CMPQ(k, p)
	a.JNE(operand.LabelRef("last"))
	a.ADDQ(field(weaStep), src)
	a.ADDQ(field(weaToStep), dst)
	a.DECQ(end)
	a.JNE(operand.LabelRef("row"))
	a.end()
}
