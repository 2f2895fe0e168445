package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of colArgs. Columns are whole registers of 64-bit numbers.
const (
	colDst   = iota
	colA     // first operand
	colB     // second operand, or packed scales
	colSpan  // bytes of B, which starts again after them
	colCount // registers
	colAdd   // of conversions and scales
	colLo    // of scales
	colHi    // of scales
)

// columns writes the functions over columns.
func (a lanes) columns() {
	for _, o := range []struct {
		name string
		op   func(y, x reg.VecPhysical) // x = x op y
	}{
		{"add", func(y, x reg.VecPhysical) { a.VPADDQ(y, x, x) }},
		{"sub", func(y, x reg.VecPhysical) { a.VPSUBQ(y, x, x) }},
		{"mul", a.mul},
		{"max", a.max},
		{"min", a.min},
	} {
		a.column(o.name, 8, 8, a.bytes(), func(x reg.VecPhysical) {
			a.load(at(reg.RBX, 0), a.v(11))
			o.op(a.v(11), x)
		})
	}
	a.column("scale", 8, 8, 5*a.bytes(), func(x reg.VecPhysical) {
		r := a.scaleRegs()
		a.loadScale(reg.RBX, r)
		a.mul(r.mul, x)
		a.scaled(x, a.v(11), r)
	})
	add := func(x reg.VecPhysical) { a.VPADDQ(a.v(7), x, x) }
	a.column("from8", 1, 8, 0, add)
	a.column("from16", 2, 8, 0, add)
	a.column("from32", 4, 8, 0, add)
	if a.zmm {
		a.column("to8", 8, 1, 0, add)
	}
	a.column("to16", 8, 2, 0, add)
}

// column is a function over one column, from elements of some bytes to others, with a second operand of so many bytes for a register.
func (a lanes) column(op string, from, to int, second int, body func(x reg.VecPhysical)) {
	name := op + "Column" + a.suffix()
	a.begin(name, fmt.Sprintf("%s does its work on whole registers.", name))
	src, dst, b, end, n := reg.RSI, reg.RDI, reg.RBX, reg.RCX, reg.RDX
	n64 := a.bytes() / 8
	x := a.v(10)
	a.MOVQ(field(colA), src)
	a.MOVQ(field(colDst), dst)
	a.MOVQ(field(colCount), n)
	a.constants()
	a.VPBROADCASTQ(field(colAdd), a.v(7))
	if second > 0 {
		a.MOVQ(field(colB), b)
		a.MOVQ(b, end)
		a.ADDQ(field(colSpan), end)
		a.VPBROADCASTQ(field(colLo), a.v(8))
		a.VPBROADCASTQ(field(colHi), a.v(9))
	}
	a.Label("next")
	switch from {
	case 1:
		a.VPMOVZXBQ(at(src, 0), x)
	case 2:
		a.VPMOVSXWQ(at(src, 0), x)
	case 4:
		a.VPMOVSXDQ(at(src, 0), x)
	default:
		a.load(at(src, 0), x)
	}
	body(x)
	switch {
	case to == 8:
		a.store(x, at(dst, 0))
	case to*n64 == 8:
		a.VMOVQ(a.pack(to, x), at(dst, 0))
	default:
		a.VMOVDQU(a.pack(to, x), at(dst, 0))
	}
	a.ADDQ(operand.Imm(uint64(from*n64)), src)
	a.ADDQ(operand.Imm(uint64(to*n64)), dst)
	if second > 0 {
		a.ADDQ(operand.I32(second), b)
		a.CMPQ(b, end)
		a.JNE(operand.LabelRef("same"))
		a.MOVQ(field(colB), b)
		a.Label("same")
	}
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
