package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of scaleArgs.
const (
	scaAcc = iota
	scaScale
	scaDst
	scaPixels
	scaAccStride
	scaDstStride
	scaBlocks
	scaTail
	scaAdd
	scaLo
	scaHi
	scaNextAcc // scratch of the kernel, as in dot.go
	scaNextScale
	scaNextDst
)

// scale is the usual end of a kernel in all rounding modes, from accumulators of 32 bits to elements of the given bytes: for every
// block of channels, for every pixel.
func (a lanes) scale(bytes int) {
	name := fmt.Sprintf("scale%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is Scale.Row.")
	n64 := a.bytes() / 8
	acc, dst, n, p := reg.RSI, reg.RDI, reg.RDX, reg.RBX
	r := a.scaleRegs()
	x, t := a.v(10), a.v(11)
	for i := range scaDst + 1 {
		a.MOVQ(field(scaAcc+i), p)
		a.MOVQ(p, field(scaNextAcc+i))
	}
	a.constants()
	a.VPBROADCASTQ(field(scaAdd), r.add)
	a.VPBROADCASTQ(field(scaLo), r.lo)
	a.VPBROADCASTQ(field(scaHi), r.hi)
	block := func(pixel string, store func(x reg.VecPhysical)) {
		a.MOVQ(field(scaNextScale), p)
		a.loadScale(p, r)
		a.MOVQ(field(scaNextAcc), acc)
		a.MOVQ(field(scaNextDst), dst)
		a.MOVQ(field(scaPixels), n)
		a.Label(pixel)
		a.VPMOVSXDQ(at(acc, 0), x)
		a.VPMULDQ(r.mul, x, x)
		a.scaled(x, t, r)
		store(a.pack(bytes, x))
		a.ADDQ(field(scaAccStride), acc)
		a.ADDQ(field(scaDstStride), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(pixel))
	}
	a.CMPQ(field(scaBlocks), operand.Imm(0))
	a.JEQ(operand.LabelRef("tail"))
	a.Label("block")
	block("pixel", func(x reg.VecPhysical) {
		if n64*bytes == 8 {
			a.VMOVQ(x, at(dst, 0))
		} else {
			a.VMOVDQU(x, at(dst, 0))
		}
	})
	a.ADDQ(operand.I32(5*a.bytes()), field(scaNextScale))
	a.ADDQ(operand.Imm(uint64(4*n64)), field(scaNextAcc))
	a.ADDQ(operand.Imm(uint64(n64*bytes)), field(scaNextDst))
	a.DECQ(field(scaBlocks))
	a.JNE(operand.LabelRef("block"))

	a.Label("tail")
	a.CMPQ(field(scaTail), operand.Imm(0))
	a.JEQ(operand.LabelRef("done"))
	a.MOVQ(field(scaTail), reg.RCX)
	if a.zmm {
		a.MOVL(operand.U32(1), reg.EBX)
		a.SHLL(reg.CL, reg.EBX)
		a.DECL(reg.EBX)
		a.KMOVW(reg.EBX, reg.K1)
	}
	block("tailPixel", func(x reg.VecPhysical) {
		switch {
		case !a.zmm:
			a.MOVQ(dst, p)
			a.storeWords(x, p, reg.ECX, "tail")
		case bytes == 1:
			a.VMOVDQU8(x, reg.K1, at(dst, 0))
		default:
			a.VMOVDQU16(x, reg.K1, at(dst, 0))
		}
	})
	a.Label("done")
	a.end()
}
