package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of poolArgs.
const (
	poolX = iota
	poolDst
	poolOff // byte offsets of the taps
	poolTaps
	poolPixels
	poolStep    // bytes between the windows of neighbouring pixels
	poolDstStep // bytes between their results
	poolBlocks  // whole registers of channels
	poolTail    // elements of the last one
)

// poolUnroll is as in the package kernels.
const poolUnroll = 4

// maxPool writes the largest elements of the given bytes (unsigned for 1) of each window, of which the taps are a multiple of poolUnroll.
// Without AVX-512 a last register is read whole and written in parts.
func (a lanes) maxPool(bytes int) {
	name := fmt.Sprintf("max%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is Window.Max for a row of pixels.")
	x, dst, off, end, n, at0, blocks, o := reg.RSI, reg.RDI, reg.RBX, reg.RCX, reg.RDX, reg.R8, reg.R9, reg.R10
	to, p := reg.R11, reg.R12
	v, w := a.v(0), a.v(1)
	if a.zmm {
		a.MOVQ(field(poolTail), reg.RCX)
		a.MOVQ(operand.I32(-1), o)
		a.SHLQ(reg.CL, o)
		a.NOTQ(o)
		a.KMOVQ(o, reg.K1)
	}
	a.MOVQ(field(poolX), x)
	a.MOVQ(field(poolDst), dst)
	a.MOVQ(field(poolPixels), n)
	a.MOVQ(field(poolOff), at0)
	a.MOVQ(field(poolTaps), end)
	a.LEAQ(operand.Mem{Base: at0, Index: end, Scale: 8}, end)
	op := func(m operand.Op) {
		if bytes == 1 {
			a.VPMAXUB(m, v, v)
		} else {
			a.VPMAXSW(m, v, v)
		}
	}
	taps := func(label string, load func(m operand.Mem)) {
		a.MOVQ(at0, off)
		a.Label(label)
		for i := range poolUnroll {
			a.MOVQ(at(off, 8*i), o)
			load(operand.Mem{Base: p, Index: o, Scale: 1})
		}
		a.ADDQ(operand.Imm(8*poolUnroll), off)
		a.CMPQ(off, end)
		a.JNE(operand.LabelRef(label))
	}
	a.Label("pixel")
	a.MOVQ(x, p)
	a.MOVQ(dst, to)
	a.MOVQ(field(poolBlocks), blocks)
	a.JMP(operand.LabelRef("test"))
	a.Label("block")
	a.MOVQ(at(at0, 0), o)
	a.load(operand.Mem{Base: p, Index: o, Scale: 1}, v)
	taps("tap", func(m operand.Mem) { op(m) })
	a.store(v, at(to, 0))
	a.ADDQ(operand.I32(a.bytes()), p)
	a.ADDQ(operand.I32(a.bytes()), to)
	a.Label("test")
	a.DECQ(blocks)
	a.JGE(operand.LabelRef("block"))
	a.CMPQ(field(poolTail), operand.Imm(0))
	a.JEQ(operand.LabelRef("next"))
	if a.zmm {
		masked := func(m operand.Mem, to reg.VecPhysical) {
			if bytes == 1 {
				a.VMOVDQU8_Z(m, reg.K1, to)
			} else {
				a.VMOVDQU16_Z(m, reg.K1, to)
			}
		}
		a.MOVQ(at(at0, 0), o)
		masked(operand.Mem{Base: p, Index: o, Scale: 1}, v)
		taps("tailTap", func(m operand.Mem) {
			masked(m, w)
			op(w)
		})
		if bytes == 1 {
			a.VMOVDQU8(v, reg.K1, at(to, 0))
		} else {
			a.VMOVDQU16(v, reg.K1, at(to, 0))
		}
	} else {
		a.MOVQ(at(at0, 0), o)
		a.load(operand.Mem{Base: p, Index: o, Scale: 1}, v)
		taps("tailTap", func(m operand.Mem) { op(m) })
		a.MOVQ(field(poolTail), blocks)
		a.TESTL(operand.U32(8), reg.R9L)
		a.JEQ(operand.LabelRef("half"))
		a.VMOVDQU(reg.X0, at(to, 0))
		a.VEXTRACTI128(operand.Imm(1), reg.Y0, reg.X0)
		a.ADDQ(operand.Imm(16), to)
		a.Label("half")
		a.storeWords(reg.X0, to, reg.R9L, "tail")
	}
	a.Label("next")
	a.ADDQ(field(poolStep), x)
	a.ADDQ(field(poolDstStep), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("pixel"))
	a.end()
}

func (a lanes) clear(v reg.VecPhysical) {
	if a.zmm {
		a.VPXORQ(v, v, v)
		return
	}
	a.VPXOR(v, v, v)
}
