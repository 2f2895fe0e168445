package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of requantArgs.
const (
	reqAcc = iota
	reqMul
	reqAdd
	reqDst
	reqPixels
	reqAccStride
	reqDstStride
	reqBlocks
	reqTail
	reqLo
	reqHi
	reqRight // from a pixel's accumulators to those of the others that count with it
	reqBelow
	reqBoth
	reqNextAcc // scratch of the kernel, as in dot.go
	reqNextMul
	reqNextAdd
	reqNextDst
)

// requant512 is min(max((acc*mul + add) >> 32, lo), hi) in elements of the given bytes: even lanes in one product of 64 bits, odd
// lanes in another, the upper halves together again. With ties, bit 32 of the product is added to it, too: half a unit less one and
// that bit round half to even. With pool, acc is the largest of the accumulators of four pixels.
func (a asm) requant512(name string, bytes int, ties, pool bool) {
	a.begin(name, name+" is RequantRows.Run.")
	acc, dst, n := reg.RSI, reg.RDI, reg.RDX
	v, odd, mul, mulOdd, add, addOdd, lo, hi := reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7
	bit, bitOdd, one := reg.Z8, reg.Z9, reg.Z10
	for i := range reqDst + 1 {
		a.MOVQ(field(reqAcc+i), reg.RBX)
		a.MOVQ(reg.RBX, field(reqNextAcc+i))
	}
	a.VPBROADCASTD(field(reqLo), lo)
	a.VPBROADCASTD(field(reqHi), hi)
	if ties {
		a.MOVL(operand.U32(1), reg.ECX)
		a.VMOVQ(reg.RCX, reg.X10)
		a.VPBROADCASTQ(reg.X10, one)
	}
	a.MOVL(operand.U32(0x5555), reg.ECX)
	a.KMOVW(reg.ECX, reg.K1)
	// K2 has the channels of the last block.
	a.MOVQ(field(reqTail), reg.RCX)
	a.MOVL(operand.U32(1), reg.EBX)
	a.SHLL(reg.CL, reg.EBX)
	a.DECL(reg.EBX)
	a.KMOVW(reg.EBX, reg.K2)

	for i, r := range poolPlaces {
		a.MOVQ(field(reqRight+i), r)
	}

	block := func(pixel string, store func()) {
		a.MOVQ(field(reqNextMul), reg.RBX)
		a.VMOVDQU32(at(reg.RBX, 0), mul)
		a.VPSRLQ(operand.Imm(32), mul, mulOdd)
		a.MOVQ(field(reqNextAdd), reg.RBX)
		a.VMOVDQU32(at(reg.RBX, 0), add)
		a.VMOVDQU32(at(reg.RBX, 64), addOdd)
		a.MOVQ(field(reqNextAcc), acc)
		a.MOVQ(field(reqNextDst), dst)
		a.MOVQ(field(reqPixels), n)
		a.Label(pixel)
		a.VMOVDQU32(at(acc, 0), v)
		a.largest(pool, acc, v)
		a.VPSRLQ(operand.Imm(32), v, odd)
		a.VPMULDQ(mul, v, v)
		a.VPMULDQ(mulOdd, odd, odd)
		if ties {
			a.VPSRLQ(operand.Imm(32), v, bit)
			a.VPSRLQ(operand.Imm(32), odd, bitOdd)
			a.VPANDQ(one, bit, bit)
			a.VPANDQ(one, bitOdd, bitOdd)
			a.VPADDQ(bit, v, v)
			a.VPADDQ(bitOdd, odd, odd)
		}
		a.VPADDQ(add, v, v)
		a.VPADDQ(addOdd, odd, odd)
		a.VMOVSHDUP(v, reg.K1, odd)
		a.VPMAXSD(lo, odd, odd)
		a.VPMINSD(hi, odd, odd)
		if bytes == 1 {
			a.VPMOVDB(odd, reg.X0)
		} else {
			a.VPMOVDW(odd, reg.Y0)
		}
		store()
		a.ADDQ(field(reqAccStride), acc)
		a.ADDQ(field(reqDstStride), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(pixel))
	}
	a.CMPQ(field(reqBlocks), operand.Imm(0))
	a.JEQ(operand.LabelRef("tail"))
	a.Label("block")
	block("pixel", func() {
		if bytes == 1 {
			a.VMOVDQU(reg.X0, at(dst, 0))
		} else {
			a.VMOVDQU(reg.Y0, at(dst, 0))
		}
	})
	a.ADDQ(operand.Imm(64), field(reqNextMul))
	a.ADDQ(operand.Imm(64), field(reqNextAcc))
	a.SUBQ(operand.I8(-128), field(reqNextAdd))
	a.ADDQ(operand.Imm(uint64(16*bytes)), field(reqNextDst))
	a.DECQ(field(reqBlocks))
	a.JNE(operand.LabelRef("block"))

	a.Label("tail")
	a.CMPQ(field(reqTail), operand.Imm(0))
	a.JEQ(operand.LabelRef("done"))
	block("tailPixel", func() {
		if bytes == 1 {
			a.VMOVDQU8(reg.X0, reg.K2, at(dst, 0))
		} else {
			a.VMOVDQU16(reg.Y0, reg.K2, at(dst, 0))
		}
	})
	a.Label("done")
	a.end()
}

// requant256 is requant512 by blocks of 8 channels, with results of 16 bits.
func (a asm) requant256(name string, ties, pool bool) {
	a.begin(name, name+" is RequantRows.Run.")
	acc, dst, n := reg.RSI, reg.RDI, reg.RDX
	v, odd, mul, mulOdd, add, addOdd, lo, hi := reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7
	bit, bitOdd, one := reg.Y8, reg.Y9, reg.Y10
	for i := range reqDst + 1 {
		a.MOVQ(field(reqAcc+i), reg.RBX)
		a.MOVQ(reg.RBX, field(reqNextAcc+i))
	}
	a.VPBROADCASTD(field(reqLo), lo)
	a.VPBROADCASTD(field(reqHi), hi)
	if ties {
		a.MOVL(operand.U32(1), reg.ECX)
		a.VMOVQ(reg.RCX, reg.X10)
		a.VPBROADCASTQ(reg.X10, one)
	}
	for i, r := range poolPlaces {
		a.MOVQ(field(reqRight+i), r)
	}

	block := func(pixel string, store func()) {
		a.MOVQ(field(reqNextMul), reg.RBX)
		a.VMOVDQU(at(reg.RBX, 0), mul)
		a.VPSRLQ(operand.Imm(32), mul, mulOdd)
		a.MOVQ(field(reqNextAdd), reg.RBX)
		a.VMOVDQU(at(reg.RBX, 0), add)
		a.VMOVDQU(at(reg.RBX, 32), addOdd)
		a.MOVQ(field(reqNextAcc), acc)
		a.MOVQ(field(reqNextDst), dst)
		a.MOVQ(field(reqPixels), n)
		a.Label(pixel)
		a.VMOVDQU(at(acc, 0), v)
		a.largest(pool, acc, v)
		a.VPSRLQ(operand.Imm(32), v, odd)
		a.VPMULDQ(mul, v, v)
		a.VPMULDQ(mulOdd, odd, odd)
		if ties {
			a.VPSRLQ(operand.Imm(32), v, bit)
			a.VPSRLQ(operand.Imm(32), odd, bitOdd)
			a.VPAND(one, bit, bit)
			a.VPAND(one, bitOdd, bitOdd)
			a.VPADDQ(bit, v, v)
			a.VPADDQ(bitOdd, odd, odd)
		}
		a.VPADDQ(add, v, v)
		a.VPADDQ(addOdd, odd, odd)
		a.VMOVSHDUP(v, v)
		a.VPBLENDD(operand.Imm(0xaa), odd, v, v)
		a.VPMAXSD(lo, v, v)
		a.VPMINSD(hi, v, v)
		a.VEXTRACTI128(operand.Imm(1), v, reg.X1)
		a.VPACKSSDW(reg.X1, reg.X0, reg.X0)
		store()
		a.ADDQ(field(reqAccStride), acc)
		a.ADDQ(field(reqDstStride), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(pixel))
	}
	a.CMPQ(field(reqBlocks), operand.Imm(0))
	a.JEQ(operand.LabelRef("tail"))
	a.Label("block")
	block("pixel", func() { a.VMOVDQU(reg.X0, at(dst, 0)) })
	a.ADDQ(operand.Imm(32), field(reqNextMul))
	a.ADDQ(operand.Imm(32), field(reqNextAcc))
	a.ADDQ(operand.Imm(64), field(reqNextAdd))
	a.ADDQ(operand.Imm(16), field(reqNextDst))
	a.DECQ(field(reqBlocks))
	a.JNE(operand.LabelRef("block"))

	a.Label("tail")
	a.CMPQ(field(reqTail), operand.Imm(0))
	a.JEQ(operand.LabelRef("done"))
	a.MOVQ(field(reqTail), reg.RCX)
	block("tailPixel", func() {
		a.MOVQ(dst, reg.RBX)
		a.storeWords(reg.X0, reg.RBX, reg.ECX, "tail")
	})
	a.Label("done")
	a.end()
}

// poolPlaces hold the fields from reqRight on.
var poolPlaces = []reg.Register{reg.R8, reg.R9, reg.R10}

// largest brings v, accumulators at acc, to the largest of a pooling window.
func (a asm) largest(pool bool, acc reg.Register, v reg.VecPhysical) {
	if pool {
		for _, r := range poolPlaces {
			a.VPMAXSD(operand.Mem{Base: acc, Index: r, Scale: 1}, v, v)
		}
	}
}

// storeWords stores as many words of x as the low three bits of n say at p, which it moves on.
func (a asm) storeWords(x, p, n reg.Register, label string) {
	a.TESTL(operand.U32(4), n)
	a.JEQ(operand.LabelRef(label + "Words2"))
	a.VMOVQ(x, at(p, 0))
	a.VPSRLDQ(operand.Imm(8), x, x)
	a.ADDQ(operand.Imm(8), p)
	a.Label(label + "Words2")
	a.TESTL(operand.U32(2), n)
	a.JEQ(operand.LabelRef(label + "Words1"))
	a.VMOVD(x, at(p, 0))
	a.VPSRLDQ(operand.Imm(4), x, x)
	a.ADDQ(operand.Imm(4), p)
	a.Label(label + "Words1")
	a.TESTL(operand.U32(1), n)
	a.JEQ(operand.LabelRef(label + "Words0"))
	a.VPEXTRW(operand.Imm(0), x, at(p, 0))
	a.Label(label + "Words0")
}
