package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of tableArgs.
const (
	tableX     = iota
	tableDst   // may be X
	tableT     // 256 bytes
	tableCount // whole registers
	tableTail  // a mask of the bytes after them
)

// table looks bytes up: two instructions find the low 7 bits of an index in either half of the table, and its top bit chooses.
func (a asm) table() {
	const name = "tableVBMI"
	a.begin(name, name+" is Table.Run from bytes to bytes.")
	src, dst, n := reg.RSI, reg.RDI, reg.RDX
	t := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3}
	x, y := reg.Z4, reg.Z5
	a.MOVQ(field(tableX), src)
	a.MOVQ(field(tableDst), dst)
	a.MOVQ(field(tableT), reg.RBX)
	a.MOVQ(field(tableCount), n)
	for i := range t {
		a.move(true, at(reg.RBX, 64*i), t[i])
	}
	lookup := func() {
		a.VPMOVB2M(x, reg.K1)
		a.VMOVDQA64(x, y)
		a.VPERMI2B(t[1], t[0], y)
		a.VPERMI2B(t[3], t[2], x)
		a.VMOVDQU8(x, reg.K1, y)
	}
	a.JMP(operand.LabelRef("test"))
	a.Label("next")
	a.move(true, at(src, 0), x)
	lookup()
	a.move(true, y, at(dst, 0))
	a.ADDQ(operand.I32(64), src)
	a.ADDQ(operand.I32(64), dst)
	a.Label("test")
	a.DECQ(n)
	a.JGE(operand.LabelRef("next"))
	a.MOVQ(field(tableTail), reg.RBX)
	a.TESTQ(reg.RBX, reg.RBX)
	a.JEQ(operand.LabelRef("done"))
	a.KMOVQ(reg.RBX, reg.K2)
	a.VMOVDQU8_Z(at(src, 0), reg.K2, x)
	lookup()
	a.VMOVDQU8(y, reg.K2, at(dst, 0))
	a.Label("done")
	a.end()
}
