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
	tableCount // whole registers of a row
	tableTail  // a mask of the bytes after them
	tableY     // the second elements of pairs
	tableRows
	tableNextX // bytes from the end of a row's registers to the next row
	tableNextDst
	tableNextY
)

// table looks bytes up: two instructions find the low 7 bits of an index in either half of the table, and its top bit chooses. The low
// halves of the bytes of a pair are an index.
func (a asm) table(pair bool) {
	name, of := "tableVBMI", "Table.Run from bytes to bytes"
	if pair {
		name, of = "pairTableVBMI", "PairTable.Run"
	}
	a.begin(name, name+" is "+of+".")
	src, dst, n, second := reg.RSI, reg.RDI, reg.RDX, reg.RCX
	t := []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3}
	x, y, low := reg.Z4, reg.Z5, reg.Z6
	a.MOVQ(field(tableX), src)
	a.MOVQ(field(tableDst), dst)
	a.MOVQ(field(tableT), reg.RBX)
	for i := range t {
		a.move(true, at(reg.RBX, 64*i), t[i])
	}
	if pair {
		a.MOVQ(field(tableY), second)
		a.MOVL(operand.U32(0x0f0f0f0f), reg.EBX)
		a.VPBROADCASTD(reg.EBX, low)
	}
	lookup := func() {
		if pair {
			const choose = 0xb8 // y where low has ones, else x
			a.VPSLLW(operand.Imm(4), x, x)
			a.VPTERNLOGD(operand.U8(choose), y, low, x)
		}
		a.VPMOVB2M(x, reg.K1)
		a.VMOVDQA64(x, y)
		a.VPERMI2B(t[1], t[0], y)
		a.VPERMI2B(t[3], t[2], x)
		a.VMOVDQU8(x, reg.K1, y)
	}
	a.Label("row")
	a.MOVQ(field(tableCount), n)
	a.JMP(operand.LabelRef("test"))
	a.Label("next")
	a.move(true, at(src, 0), x)
	if pair {
		a.move(true, at(second, 0), y)
		a.ADDQ(operand.I32(64), second)
	}
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
	if pair {
		a.VMOVDQU8_Z(at(second, 0), reg.K2, y)
	}
	lookup()
	a.VMOVDQU8(y, reg.K2, at(dst, 0))
	a.Label("done")
	a.ADDQ(field(tableNextX), src)
	a.ADDQ(field(tableNextDst), dst)
	if pair {
		a.ADDQ(field(tableNextY), second)
	}
	a.DECQ(field(tableRows))
	a.JNE(operand.LabelRef("row"))
	a.end()
}
