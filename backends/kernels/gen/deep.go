package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of deepArgs.
const (
	deepX = iota
	deepW
	deepAcc
	deepBias
	deepOff
	deepTaps
	deepPix
	deepPixels
	deepBlocks
	deepStride
)

// deep is a depthwise convolution: for every pixel, for every block of channels, all taps. Elements become 32 bits, of which the
// product of words takes the lower halves, because the upper halves of weights are 0. Taps take turns with two sums, so that they need not
// wait for each other; where their number is odd, it is the second one's turn.
func (a lanes) deep(bytes int) {
	name := fmt.Sprintf("deep%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is DeepConv.Run.")
	n32 := a.bytes() / 4
	acc, off, end, o, p, w, blocks, bias, to, pix, n := reg.RDI, reg.RBX, reg.RCX, reg.RDX, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13
	at0 := reg.R14
	sums, x := [2]reg.VecPhysical{a.v(0), a.v(1)}, a.v(2)
	a.MOVQ(field(deepAcc), acc)
	a.MOVQ(field(deepPix), pix)
	a.MOVQ(field(deepPixels), n)
	a.MOVQ(field(deepOff), at0)
	a.MOVQ(field(deepTaps), end)
	a.LEAQ(operand.Mem{Base: at0, Index: end, Scale: 8}, end)
	a.Label("pixel")
	a.MOVLQSX(at(pix, 0), p)
	a.ADDQ(operand.Imm(4), pix)
	a.ADDQ(field(deepX), p)
	a.MOVQ(field(deepW), w)
	a.MOVQ(field(deepBias), bias)
	a.MOVQ(field(deepBlocks), blocks)
	a.MOVQ(acc, to)
	a.Label("block")
	a.load(at(bias, 0), sums[0])
	a.clear(sums[1])
	a.MOVQ(at0, off)
	a.TESTB(operand.Imm(1), field(deepTaps))
	a.JEQ(operand.LabelRef("tap0"))
	a.SUBQ(operand.Imm(8), off)
	a.SUBQ(operand.I32(a.bytes()), w)
	a.JMP(operand.LabelRef("tap1"))
	for i, v := range sums {
		a.Label(fmt.Sprintf("tap%d", i))
		a.MOVQ(at(off, 8*i), o)
		if bytes == 1 {
			a.VPMOVZXBD(operand.Mem{Base: p, Index: o, Scale: 1}, x)
		} else {
			a.VPMOVSXWD(operand.Mem{Base: p, Index: o, Scale: 1}, x)
		}
		if a.zmm {
			a.VPDPWSSD(at(w, i*a.bytes()), x, v)
		} else {
			a.VPMADDWD(at(w, i*a.bytes()), x, x)
			a.VPADDD(x, v, v)
		}
	}
	a.ADDQ(operand.I32(2*a.bytes()), w)
	a.ADDQ(operand.Imm(16), off)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap0"))
	a.VPADDD(sums[1], sums[0], sums[0])
	a.store(sums[0], at(to, 0))
	a.ADDQ(operand.I32(a.bytes()), to)
	a.ADDQ(operand.I32(a.bytes()), bias)
	a.ADDQ(operand.Imm(uint64(n32*bytes)), p)
	a.DECQ(blocks)
	a.JNE(operand.LabelRef("block"))
	a.ADDQ(field(deepStride), acc)
	a.DECQ(n)
	a.JNE(operand.LabelRef("pixel"))
	a.end()
}
