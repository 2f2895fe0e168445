package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of blendArgs.
const (
	blendA = iota
	blendB
	blendDst
	blendCount // registers of 32-bit numbers
	blendMulA  // from here on the low halves of numbers
	blendMulB
	blendPlus
	blendHalf
	blendTie
	blendAdd
	blendLo
	blendHi
	blendShift // whole numbers
	blendSign
)

// blend is the sum of two tensors on grids of their own, in 32 bits: p = a*mulA + b*mulB + plus; then, as in scaled,
// min(max(((p + half + (p>>sign & tie)) >> shift) + add, lo), hi). The tensors have elements of the given bytes.
func (a lanes) blend(bytesA, bytesB, to int) {
	name := fmt.Sprintf("blend%dx%dto%d%s", 8*bytesA, 8*bytesB, 8*to, a.suffix())
	a.begin(name, name+" is Blend.Run on whole registers.")
	x, y, dst, n := reg.RSI, reg.RBX, reg.RDI, reg.RDX
	n32 := a.bytes() / 4
	p, q := a.v(0), a.v(1)
	mulA, mulB, plus, half, tie, add, lo, hi := a.v(2), a.v(3), a.v(4), a.v(5), a.v(6), a.v(7), a.v(8), a.v(9)
	shift, sign := reg.X10, reg.X11
	a.MOVQ(field(blendA), x)
	a.MOVQ(field(blendB), y)
	a.MOVQ(field(blendDst), dst)
	a.MOVQ(field(blendCount), n)
	for i, v := range []reg.VecPhysical{mulA, mulB, plus, half, tie, add, lo, hi} {
		a.VPBROADCASTD(field(blendMulA+i), v)
	}
	a.VMOVQ(field(blendShift), shift)
	a.VMOVQ(field(blendSign), sign)
	extend := func(bytes int, from reg.Register, to reg.VecPhysical) {
		if bytes == 1 {
			a.VPMOVZXBD(at(from, 0), to)
		} else {
			a.VPMOVSXWD(at(from, 0), to)
		}
		a.ADDQ(operand.Imm(uint64(n32*bytes)), from)
	}
	a.Label("next")
	extend(bytesA, x, p)
	extend(bytesB, y, q)
	a.VPMULLD(mulA, p, p)
	a.VPMULLD(mulB, q, q)
	a.VPADDD(plus, p, p)
	a.VPADDD(q, p, p)
	a.VPSRAD(sign, p, q)
	if a.zmm {
		a.VPANDD(tie, q, q)
	} else {
		a.VPAND(tie, q, q)
	}
	a.VPADDD(half, p, p)
	a.VPADDD(q, p, p)
	a.VPSRAD(shift, p, p)
	a.VPADDD(add, p, p)
	a.VPMAXSD(lo, p, p)
	a.VPMINSD(hi, p, p)
	switch {
	case !a.zmm:
		a.VEXTRACTI128(operand.Imm(1), p, reg.X1)
		a.VPACKSSDW(reg.X1, reg.X0, reg.X0)
		a.VMOVDQU(reg.X0, at(dst, 0))
	case to == 1:
		a.VPMOVDB(p, reg.X0)
		a.VMOVDQU(reg.X0, at(dst, 0))
	default:
		a.VPMOVDW(p, reg.Y0)
		a.VMOVDQU(reg.Y0, at(dst, 0))
	}
	a.ADDQ(operand.Imm(uint64(n32*to)), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
