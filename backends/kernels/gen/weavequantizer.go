package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pixelBytes brings together the lower three bytes of each of four pixels of 32 bits, pixelWords such groups of 12 bytes.
var (
	pixelBytes = operand.NewDataAddr(operand.NewStaticSymbol("pixelBytes"), 0)
	pixelWords = operand.NewDataAddr(operand.NewStaticSymbol("pixelWords"), 0)
)

func (a asm) pixelData() {
	a.StaticGlobal(pixelBytes.Symbol.Name)
	a.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		b := 0x80
		if i < 12 {
			b = i/3*4 + i%3
		}
		a.AddDatum(i, operand.U8(b))
	}
	a.StaticGlobal(pixelWords.Symbol.Name)
	a.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 16 {
		a.AddDatum(i, operand.U8(i%12/3*4+i%3))
	}
}

// weaveQuantizer is Quantizer.Weave: quantizer of 16 elements of each of three planes, which become the bytes of 16 pixels. The last pixels
// of a row may come twice.
func (a asm) weaveQuantizer() {
	const name = "quantizeWeaveAVX512"
	a.begin(name, name+" is Quantizer.Weave.")
	src, row, dst, to, plane, rows, width, k := reg.RSI, reg.R8, reg.RDI, reg.R9, reg.R10, reg.RDX, reg.R11, reg.RBX
	last, left := reg.R12, reg.R13
	l := lanes{a, true}
	add, nan, order, words := reg.Z13, reg.Y14, reg.Z22, reg.Z23
	parts := [][2]reg.VecPhysical{{reg.Z16, reg.Z17}, {reg.Z18, reg.Z19}, {reg.Z20, reg.Z21}}
	a.MOVQ(field(quaX), row)
	a.MOVQ(field(quaDst), dst)
	a.MOVQ(field(quaPlane), plane)
	a.MOVQ(field(quaRows), rows)
	a.MOVQ(field(quaWidth), width)
	a.LEAQ(at(width, -16), last)
	a.VPBROADCASTD(field(quaAdd), add)
	a.VBROADCASTI32X4(pixelBytes, order)
	a.VPMOVZXBD(pixelWords, words)
	a.VPXOR(nan, nan, nan)
	l.singles()
	a.Label("row")
	a.XORQ(k, k)
	a.Label("next")
	a.CMPQ(k, last)
	a.CMOVQGT(last, k)
	a.LEAQ(operand.Mem{Base: row, Index: k, Scale: 4}, src)
	from := []operand.Mem{at(src, 0), {Base: src, Index: plane, Scale: 1}, {Base: src, Index: plane, Scale: 2}}
	for i, p := range parts {
		l.single(from[i], p[0], p[1], []reg.Register{reg.K1, reg.K2, reg.K3}[i])
	}
	a.KORW(reg.K1, reg.K2, reg.K1)
	a.KORTESTW(reg.K1, reg.K3)
	a.JNE(operand.LabelRef("double"))
	for _, p := range parts {
		a.VCVTTPS2DQ(p[1], p[0])
	}
	a.Label("pack")
	for i, p := range parts {
		a.VPADDD(add, p[0], p[0])
		if i > 0 {
			a.VPSLLD(operand.Imm(uint64(8*i)), p[0], p[0])
		}
	}
	const or = 0xfe // of three
	a.VPTERNLOGD(operand.U8(or), parts[1][0], parts[2][0], parts[0][0])
	a.VPSHUFB(order, parts[0][0], reg.Z0)
	a.VPERMD(reg.Z0, words, reg.Z0)
	a.LEAQ(operand.Mem{Base: k, Index: k, Scale: 2}, to)
	a.ADDQ(dst, to)
	a.VMOVDQU(reg.Y0, at(to, 0))
	a.VEXTRACTI32X4(operand.Imm(2), reg.Z0, at(to, 32))
	a.ADDQ(operand.Imm(16), k)
	a.CMPQ(k, width)
	a.JLT(operand.LabelRef("next"))
	a.LEAQ(operand.Mem{Base: row, Index: width, Scale: 4}, row)
	a.ADDQ(field(quaStep), dst)
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	a.VMOVMSKPS(nan, reg.EBX)
	a.MOVQ(reg.RBX, field(quaNaN))
	a.end()

	a.Label("double")
	a.MOVL(operand.U32(len(parts)), left.As32())
	a.Label("plane")
	lanes{a, false}.doubles(nan)
	a.VMOVDQA64(parts[1][0], parts[0][0])
	a.VMOVDQA64(parts[2][0], parts[1][0])
	a.VINSERTI64X4(operand.Imm(1), reg.Y2, reg.Z0, parts[2][0])
	a.ADDQ(plane, src)
	a.DECQ(left)
	a.JNE(operand.LabelRef("plane"))
	l.singles()
	a.JMP(operand.LabelRef("pack"))
}
