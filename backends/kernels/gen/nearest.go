package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
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
	nearTodo  // the constants of nearestRegs
	nearPlus
	nearLo
	nearHi
	nearRight // as in requantArgs
	nearBelow
	nearBoth
	nearNextAcc // scratch of the kernel, as in dot.go
	nearNextDst
)

// nearestSize is the number of registers of accumulators that are worked on together.
const nearestSize = 4

// nearest is nearest.calls: for every row, for every step, four registers of accumulators. With pool, they are the largest of a
// pooling window.
func (a lanes) nearest(bytes int, pool bool) {
	name := "nearest"
	if pool {
		name = "nearestPool"
	}
	name = fmt.Sprintf("%s%d%s", name, 8*bytes, a.suffix())
	a.begin(name, name+" is for nearest.calls.")
	dst, n, tmp, size := reg.RDI, reg.RDX, reg.RBX, reg.R15
	accStep := reg.R14
	acc := [nearestSize]reg.Register{reg.RSI, reg.R11, reg.R12, reg.R13}
	v, mul := []reg.VecPhysical{a.v(0), a.v(1), a.v(2), a.v(3)}, []operand.Op{a.v(4), a.v(5), a.v(6), a.v(7)}
	r := a.nearestRegs(8)
	a.loadNearest(r, bytes, nearPlus, tmp)
	r.todo = reg.ECX
	a.MOVL(field(nearTodo), r.todo)
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

	a.MOVQ(field(nearAccStep), accStep)
	a.CMPQ(field(nearWhole), operand.Imm(0))
	a.JEQ(operand.LabelRef("partsRow"))
	rows := func(label string, store func(y []reg.VecPhysical)) {
		a.Label(label + "Row")
		for i, p := range acc {
			a.MOVQ(field(nearNextAcc), p)
			if i > 0 {
				a.ADDQ(field(nearBlock+i-1), p)
			}
		}
		a.MOVQ(field(nearNextDst), dst)
		a.MOVQ(field(nearSteps), n)
		a.Label(label + "Step")
		for i, p := range acc {
			if pool {
				a.load(at(p, 0), v[i])
				a.largest(true, p, v[i])
				a.VCVTDQ2PS(v[i], v[i])
			} else {
				a.VCVTDQ2PS(at(p, 0), v[i])
			}
			a.ADDQ(accStep, p)
		}
		store(a.nearestInts(bytes, v, mul, r, label))
		a.ADDQ(field(nearDstStep), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(label + "Step"))
		a.MOVQ(field(nearAccRow), tmp)
		a.ADDQ(tmp, field(nearNextAcc))
		a.MOVQ(field(nearDstRow), tmp)
		a.ADDQ(tmp, field(nearNextDst))
		a.DECQ(field(nearRows))
		a.JNE(operand.LabelRef(label + "Row"))
		a.end()
	}
	rows("whole", func(packed []reg.VecPhysical) {
		for i, y := range packed {
			a.store(y, at(dst, i*a.bytes()))
		}
	})
	rows("parts", func(packed []reg.VecPhysical) {
		per := nearestSize / len(packed) // results of a register
		for i := range nearestSize {
			a.MOVQ(dst, tmp)
			if i > 0 {
				a.ADDQ(field(nearPart+i-1), tmp)
			}
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
				a.storeWords(reg.X1, tmp, size.As32(), part)
			}
		}
	})
}

// nearestRegs are the constants of nearestInts: a number that leaves whole units in the last bits of a sum, what is added to these bits,
// limits in each element, and the order of registers and of their words after they are packed. plus and limits are left out where todo,
// a register of whole numbers, says so.
type nearestRegs struct {
	magic, plus, lo, hi, order, words reg.VecPhysical
	todo                              reg.Register // of 32 bits, or nil
}

// nearestRegs are the registers from the given one on.
func (a lanes) nearestRegs(first int) nearestRegs {
	r := nearestRegs{magic: a.v(first), plus: a.v(first + 1), lo: a.v(first + 2), hi: a.v(first + 3)}
	if a.zmm {
		r.order, r.words = a.v(first+4), a.v(first+5)
	}
	return r
}

// magic is 3<<22 as a float32: beside it, float32 numbers are integers, and their last bits are two's complement.
const magic = 0x4b400000

// evenWords are the numbers of the low words of 32 numbers in two registers.
var evenWords = operand.NewDataAddr(operand.NewStaticSymbol("evenWords"), 0)

func (a asm) evenWordsData() {
	a.StaticGlobal(evenWords.Symbol.Name)
	a.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 32 {
		a.AddDatum(2*i, operand.U16(2*i))
	}
}

// The bits of nearestRegs.todo.
const (
	nearestPlus = 1 << iota
	nearestLimits
)

// loadNearest loads constants, but for todo: plus, lo and hi are the fields from the given one on.
func (a lanes) loadNearest(r nearestRegs, bytes, from int, tmp reg.GPPhysical) {
	a.MOVL(operand.U32(magic), tmp.As32())
	a.VMOVD(tmp.As32(), r.magic.AsX())
	a.VPBROADCASTD(r.magic.AsX(), r.magic)
	plus, limit := a.VPBROADCASTD, a.VPBROADCASTW
	if bytes == 1 {
		plus, limit = a.VPBROADCASTW, a.VPBROADCASTB
	}
	plus(field(from), r.plus)
	limit(field(from+1), r.lo)
	limit(field(from+2), r.hi)
	if bytes == 1 {
		a.load(evenWords, r.words)
	}
	if a.zmm {
		a.interleaved(r.order, tmp)
	}
}

// interleaved loads the order of eighths of a register that takes what one of 256 bits each was packed to apart: those with even numbers, then
// the others.
func (a lanes) interleaved(order reg.VecPhysical, tmp reg.GPPhysical) {
	a.MOVQ(operand.U64(0x0705030106040200), tmp)
	a.VMOVQ(tmp, order.AsX())
	a.VPMOVZXBQ(order.AsX(), order)
}

// nearestInts brings four registers of accumulators, or with AVX2 two, as float32 numbers, to elements of the given bytes, in their order:
//
//	min(max(v*mul, rounded to the nearest integer, half to even, + add, lo), hi)
//
// The multiplication and addition round once, to a whole number n beside magic. Bytes are for n and n + add of 16 bits, which are the low
// half of the sum. Else magic's bits + n + plus is n + add. Packing saturates to 16 bits and then to an element; as lo and hi are
// elements, limits come last.
func (a lanes) nearestInts(bytes int, v []reg.VecPhysical, mul []operand.Op, r nearestRegs, label string) []reg.VecPhysical {
	for i := range v {
		a.VFMADD132PS(mul[i], r.magic, v[i])
	}
	var packed []reg.VecPhysical
	for i := 0; i < len(v); i += 2 {
		packed = append(packed, v[i])
	}
	if bytes == 1 {
		for i, y := range packed {
			a.VPERMT2W(v[2*i+1], r.words, y)
		}
		a.where(r.todo, nearestPlus, label+"Sum", func() {
			a.VPADDW(r.plus, v[0], v[0])
			a.VPADDW(r.plus, v[2], v[2])
		})
		a.VPACKUSWB(v[2], v[0], v[0])
		packed = packed[:1]
	} else {
		for _, x := range v {
			a.VPADDD(r.plus, x, x)
		}
		for i, y := range packed {
			a.VPACKSSDW(v[2*i+1], y, y)
		}
	}
	lo, hi := a.VPMAXSW, a.VPMINSW
	if bytes == 1 {
		lo, hi = a.VPMAXUB, a.VPMINUB
	}
	a.where(r.todo, nearestLimits, label+"Limited", func() {
		for _, y := range packed {
			lo(r.lo, y, y)
			hi(r.hi, y, y)
		}
	})
	for _, y := range packed {
		if a.zmm {
			a.VPERMQ(y, r.order, y)
		} else {
			a.VPERMQ(operand.Imm(0xd8), y, y)
		}
	}
	return packed
}

// where runs what body writes where a bit of todo is set, or there is none.
func (a lanes) where(todo reg.Register, bit uint32, label string, body func()) {
	if todo != nil {
		a.TESTL(operand.U32(bit), todo)
		a.JEQ(operand.LabelRef(label))
	}
	body()
	if todo != nil {
		a.Label(label)
	}
}
