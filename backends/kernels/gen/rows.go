package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of rowsArgs.
const (
	rowsX = iota
	rowsDst
	rowsBlocks // whole registers of a run
	rowsTail   // a mask of the elements after them
	rowsCount
	rowsStep // bytes between runs of the source, and of the output
	rowsToStep
	rowsDelta
)

// rows copies runs of elements of the given bytes and adds a number to each.
func (a asm) rows(bytes int) {
	name := fmt.Sprintf("rows%dAVX512", 8*bytes)
	a.begin(name, name+" is CopyRows between tensors of one type.")
	x, dst, n, p, to, blocks := reg.RSI, reg.RDI, reg.RDX, reg.R8, reg.R9, reg.R10
	delta, v := reg.Z0, reg.Z1
	add, load, store := a.VPADDB, a.VMOVDQU8_Z, a.VMOVDQU8
	broadcast := a.VPBROADCASTB
	if bytes == 2 {
		add, load, store, broadcast = a.VPADDW, a.VMOVDQU16_Z, a.VMOVDQU16, a.VPBROADCASTW
	}
	a.MOVQ(field(rowsX), x)
	a.MOVQ(field(rowsDst), dst)
	a.MOVQ(field(rowsCount), n)
	a.MOVQ(field(rowsTail), reg.RBX)
	a.KMOVQ(reg.RBX, reg.K1)
	a.MOVQ(field(rowsStep), reg.R11)
	a.MOVQ(field(rowsToStep), reg.R12)
	a.MOVQ(field(rowsBlocks), reg.R13)
	broadcast(field(rowsDelta), delta)
	a.Label("row")
	a.MOVQ(x, p)
	a.MOVQ(dst, to)
	a.MOVQ(reg.R13, blocks)
	a.JMP(operand.LabelRef("test"))
	a.Label("next")
	add(at(p, 0), delta, v)
	a.move(true, v, at(to, 0))
	a.ADDQ(operand.I32(64), p)
	a.ADDQ(operand.I32(64), to)
	a.Label("test")
	a.DECQ(blocks)
	a.JGE(operand.LabelRef("next"))
	a.TESTQ(reg.RBX, reg.RBX)
	a.JEQ(operand.LabelRef("done"))
	load(at(p, 0), reg.K1, v)
	add(v, delta, v)
	store(v, reg.K1, at(to, 0))
	a.Label("done")
	a.ADDQ(reg.R11, x)
	a.ADDQ(reg.R12, dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("row"))
	a.end()
}
