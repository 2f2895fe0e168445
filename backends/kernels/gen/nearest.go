package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of nearestArgs.
const (
	nearAcc = iota
	nearMul
	nearDst
	nearRows
	nearSteps   // of a row
	nearAccStep // bytes
	nearDstStep
	nearAccRow
	nearDstRow
	nearBlock // bytes from acc to what the second to fourth register hold
	_
	_
	nearPart // bytes from dst to where their results go
	_
	_
	nearSize // the number of results of each register; for AVX-512 as a mask
	_
	_
	_
	nearWhole // 1: the results are one after the other, in whole registers
	nearPlus  // the constants of nearestRegs
	nearLo
	nearHi
	nearRight // as in requantArgs
	nearBelow
	nearBoth
	nearNextAcc // scratch of the kernel, as in dot.go
	nearNextDst
)

// nearest is kernels.nearest.run: for every row, for every step, four registers of accumulators. With pool, they are the largest of a
// pooling window.
func (a lanes) nearest(bytes int, pool bool) {
	name := "nearest"
	if pool {
		name = "nearestPool"
	}
	name = fmt.Sprintf("%s%d%s", name, 8*bytes, a.suffix())
	a.begin(name, name+" is nearest.run.")
	dst, n, tmp, size := reg.RDI, reg.RDX, reg.RBX, reg.RCX
	acc := []reg.Register{reg.RSI, reg.R11, reg.R12, reg.R13}
	v, mul := []reg.VecPhysical{a.v(0), a.v(1), a.v(2), a.v(3)}, []operand.Op{a.v(4), a.v(5), a.v(6), a.v(7)}
	r := a.nearestRegs(8)
	a.loadNearest(r, bytes, nearPlus, tmp)
	a.MOVQ(field(nearMul), tmp)
	for i, m := range mul {
		a.load(at(tmp, i*a.bytes()), m.(reg.VecPhysical))
	}
	for i, r := range poolPlaces {
		a.MOVQ(field(nearRight+i), r)
	}
	masks := []reg.Register{reg.K1, reg.K2, reg.K3, reg.K4}
	if a.zmm {
		for i, k := range masks {
			a.KMOVW(field(nearSize+i), k)
		}
	}
	a.MOVQ(field(nearAcc), tmp)
	a.MOVQ(tmp, field(nearNextAcc))
	a.MOVQ(field(nearDst), tmp)
	a.MOVQ(tmp, field(nearNextDst))

	a.Label("row")
	for i, p := range acc {
		a.MOVQ(field(nearNextAcc), p)
		if i > 0 {
			a.ADDQ(field(nearBlock+i-1), p)
		}
	}
	a.MOVQ(field(nearNextDst), dst)
	a.MOVQ(field(nearSteps), n)
	a.Label("step")
	for i, p := range acc {
		if pool {
			a.load(at(p, 0), v[i])
			a.largest(true, p, v[i])
			a.VCVTDQ2PS(v[i], v[i])
		} else {
			a.VCVTDQ2PS(at(p, 0), v[i])
		}
		a.ADDQ(field(nearAccStep), p)
	}
	packed := a.nearestInts(bytes, v, mul, r)
	a.CMPQ(field(nearWhole), operand.Imm(0))
	a.JEQ(operand.LabelRef("parts"))
	for i, y := range packed {
		a.store(y, at(dst, i*a.bytes()))
	}
	a.Label("stored")
	a.ADDQ(field(nearDstStep), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("step"))
	a.MOVQ(field(nearAccRow), tmp)
	a.ADDQ(tmp, field(nearNextAcc))
	a.MOVQ(field(nearDstRow), tmp)
	a.ADDQ(tmp, field(nearNextDst))
	a.DECQ(field(nearRows))
	a.JNE(operand.LabelRef("row"))
	a.end()

	a.Label("parts")
	for i := range 4 {
		a.MOVQ(dst, tmp)
		if i > 0 {
			a.ADDQ(field(nearPart+i-1), tmp)
		}
		per := 4 / len(packed) // of a register
		y, j := packed[i/per], operand.Imm(uint64(i%per))
		switch {
		case bytes == 1:
			a.VEXTRACTI32X4(j, y, reg.X1)
			a.VMOVDQU8(reg.X1, masks[i], at(tmp, 0))
		case a.zmm:
			a.VEXTRACTI64X4(j, y, reg.Y1)
			a.VMOVDQU16(reg.Y1, masks[i], at(tmp, 0))
		default:
			a.VEXTRACTI128(j, y, reg.X1)
			a.MOVQ(field(nearSize+i), size)
			part := fmt.Sprintf("part%d", i)
			a.CMPQ(size, operand.Imm(8))
			a.JNE(operand.LabelRef(part))
			a.VMOVDQU(reg.X1, at(tmp, 0))
			a.Label(part)
			a.storeWords(reg.X1, tmp, reg.ECX, part)
		}
	}
	a.JMP(operand.LabelRef("stored"))
}

// nearestRegs are the constants of nearestInts: a number that leaves whole units in the last bits of a sum, what makes the result of
// these bits, its limits in each element, and the order of registers after they are packed.
type nearestRegs struct{ magic, plus, lo, hi, order reg.VecPhysical }

// nearestRegs are the registers from the given one on.
func (a lanes) nearestRegs(first int) nearestRegs {
	return nearestRegs{a.v(first), a.v(first + 1), a.v(first + 2), a.v(first + 3), a.v(first + 4)}
}

// magic is 3<<22 as a float32: beside it, float32 numbers are integers, and their last bits are two's complement.
const magic = 0x4b400000

// loadNearest loads constants; plus, lo and hi are the fields from the given one on.
func (a lanes) loadNearest(r nearestRegs, bytes, from int, tmp reg.GPPhysical) {
	a.MOVQ(operand.Imm(magic), tmp)
	a.VMOVQ(tmp, r.magic.AsX())
	a.VPBROADCASTD(r.magic.AsX(), r.magic)
	a.VPBROADCASTD(field(from), r.plus)
	broadcast := a.VPBROADCASTW
	if bytes == 1 {
		broadcast = a.VPBROADCASTB
	}
	broadcast(field(from+1), r.lo)
	broadcast(field(from+2), r.hi)
	switch {
	case bytes == 1: // quarter i of every register, then of the next one
		a.MOVQ(operand.Imm(0x0d0905010c080400), tmp)
		a.VMOVQ(tmp, r.order.AsX())
		a.MOVQ(operand.Imm(0x0f0b07030e0a0602), tmp)
		a.VPINSRQ(operand.Imm(1), tmp, r.order.AsX(), r.order.AsX())
		a.VPMOVZXBD(r.order.AsX(), r.order)
	case a.zmm:
		a.MOVQ(operand.Imm(0x0705030106040200), tmp)
		a.VMOVQ(tmp, r.order.AsX())
		a.VPMOVZXBQ(r.order.AsX(), r.order)
	}
}

// nearestInts brings four registers of accumulators, as float32 numbers, to elements of the given bytes, in their order:
// min(max(v*mul, rounded to the nearest integer, half to even, + add, lo), hi). The multiplication and addition round once, to a whole
// number n beside magic, and magic's bits + n + plus is n + add. Where that leaves 16 bits, packing saturates, and then again where it
// leaves an element; as lo and hi are elements, limits come last.
func (a lanes) nearestInts(bytes int, v []reg.VecPhysical, mul []operand.Op, r nearestRegs) []reg.VecPhysical {
	for i := range v {
		a.VFMADD132PS(mul[i], r.magic, v[i])
		a.VPADDD(r.plus, v[i], v[i])
	}
	a.VPACKSSDW(v[1], v[0], v[0])
	a.VPACKSSDW(v[3], v[2], v[2])
	if bytes == 1 {
		a.VPACKUSWB(v[2], v[0], v[0])
		a.VPMAXUB(r.lo, v[0], v[0])
		a.VPMINUB(r.hi, v[0], v[0])
		a.VPERMD(v[0], r.order, v[0])
		return v[:1]
	}
	for _, y := range []reg.VecPhysical{v[0], v[2]} {
		a.VPMAXSW(r.lo, y, y)
		a.VPMINSW(r.hi, y, y)
		if a.zmm {
			a.VPERMQ(y, r.order, y)
		} else {
			a.VPERMQ(operand.Imm(0xd8), y, y)
		}
	}
	return []reg.VecPhysical{v[0], v[2]}
}
