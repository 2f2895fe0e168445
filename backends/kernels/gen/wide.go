package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of wideArgs.
const (
	widAcc = iota
	widTable
	widDst
	widPixels
	widAccStride
	widDstStride
	widBlocks
	widTail
	widLo
	widHi
	widSecond // bytes from the first part of a sum to the second
	widNextAcc
	widNextTable // scratch of the kernel, as in dot.go
	widNextDst
)

// The registers of a block of the table of finish: numbers of 32 bits, then of 64 bits for its even channels and for its odd ones.
const (
	finMul    = iota
	finBack   // places of the second part that the first part contains
	finAdd    // after the shift
	finUp     // places of the second part
	finStart  = finUp + 2
	finTie    = finStart + 2
	finShift  = finTie + 2
	finFields = finShift + 2
)

// finish makes elements of 16 bits of the parts of wide sums, 32 bits each: with first part f and second part s, all numbers by channel,
//
//	t = start + (f - s<<back)*mul + (s*mul)<<up
//	y = min(max(((t >> shift) less its lowest bit if t&tie is 0) + add, lo), hi)
//
// where t is an unsigned number of 64 bits, and f - s<<back one of 32 bits with a sign.
func (a lanes) finish() {
	name := "finish16" + a.suffix()
	a.begin(name, name+" is WideRequant.Row.")
	size := a.bytes()
	acc, dst, n, table, second := reg.RSI, reg.RDI, reg.RDX, reg.RBX, reg.R8
	f, s, t := a.v(0), a.v(1), a.v(2)
	sum := []reg.VecPhysical{a.v(3), a.v(4)}
	lo, hi, one, zero, mulOdd := a.v(5), a.v(6), a.v(7), a.v(8), a.v(9)
	// field of the table: registers from 12 on, or memory
	row := func(i int) operand.Op {
		if a.zmm {
			return a.v(12 + i)
		}
		return at(table, i*size)
	}
	for i := range widDst - widAcc + 1 {
		a.MOVQ(field(widAcc+i), table)
		a.MOVQ(table, field(widNextAcc+i))
	}
	a.VPBROADCASTD(field(widLo), lo)
	a.VPBROADCASTD(field(widHi), hi)
	a.MOVQ(field(widSecond), second)
	if a.zmm {
		// Two's complement of 2: all bits but the lowest.
		a.VPTERNLOGD(operand.U8(255), one, one, one)
		a.VPADDQ(one, one, one)
		a.MOVL(operand.U32(0xaaaa), reg.ECX)
		a.KMOVW(reg.ECX, reg.K1)
		a.MOVQ(field(widTail), reg.RCX)
		a.MOVL(operand.U32(1), reg.R11L)
		a.SHLL(reg.CL, reg.R11L)
		a.DECL(reg.R11L)
		a.KMOVW(reg.R11L, reg.K2)
	} else {
		a.VPCMPEQD(one, one, one)
		a.VPSRLQ(operand.Imm(63), one, one)
		a.clear(zero)
	}
	block := func(label string, store func()) {
		pixel := label + "Pixel"
		a.MOVQ(field(widNextTable), table)
		if a.zmm {
			for i := range finFields {
				a.load(at(table, i*size), a.v(12+i))
			}
			a.VPSRLQ(operand.Imm(32), row(finMul), mulOdd)
		} else {
			a.load(at(table, 0), mulOdd)
			a.VPSRLQ(operand.Imm(32), mulOdd, mulOdd)
		}
		a.MOVQ(field(widNextAcc), acc)
		a.MOVQ(field(widNextDst), dst)
		a.MOVQ(field(widPixels), n)
		a.Label(pixel)
		product := func(x reg.VecPhysical, odd int) {
			mul := row(finMul)
			if odd == 1 {
				a.VPSRLQ(operand.Imm(32), x, x)
				mul = mulOdd
			}
			a.VPMULDQ(mul, x, t)
		}
		a.load(at(acc, 0), f)
		a.load(operand.Mem{Base: acc, Index: second, Scale: 1}, s)
		a.VPSLLVD(row(finBack), s, t)
		a.VPSUBD(t, f, f)
		for i, v := range sum {
			product(s, i)
			a.VPSLLVQ(row(finUp+i), t, t)
			a.VPADDQ(row(finStart+i), t, v)
		}
		for i, v := range sum {
			product(f, i)
			a.VPADDQ(t, v, v)
		}
		for i, v := range sum {
			if a.zmm {
				a.VPTESTNMQ(row(finTie+i), v, reg.K3)
				a.VPSRLVQ(row(finShift+i), v, v)
				a.VPANDQ(one, v, reg.K3, v)
				continue
			}
			a.VPAND(row(finTie+i), v, t)
			a.VPCMPEQQ(zero, t, t)
			a.VPAND(one, t, t)
			a.VPSRLVQ(row(finShift+i), v, v)
			a.VPANDN(v, t, v)
		}
		if a.zmm {
			a.VMOVSLDUP(sum[1], reg.K1, sum[0])
		} else {
			a.VPSLLQ(operand.Imm(32), sum[1], sum[1])
			a.VPBLENDD(operand.Imm(0xaa), sum[1], sum[0], sum[0])
		}
		a.VPADDD(row(finAdd), sum[0], sum[0])
		a.VPMAXSD(lo, sum[0], sum[0])
		a.VPMINSD(hi, sum[0], f)
		if a.zmm {
			a.VPMOVDW(f, reg.Y0)
		} else {
			a.VEXTRACTI128(operand.Imm(1), f, reg.X1)
			a.VPACKSSDW(reg.X1, reg.X0, reg.X0)
		}
		store()
		a.ADDQ(field(widAccStride), acc)
		a.ADDQ(field(widDstStride), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(pixel))
	}
	a.CMPQ(field(widBlocks), operand.Imm(0))
	a.JEQ(operand.LabelRef("last"))
	a.Label("block")
	block("whole", func() {
		if a.zmm {
			a.VMOVDQU(reg.Y0, at(dst, 0))
		} else {
			a.VMOVDQU(reg.X0, at(dst, 0))
		}
	})
	a.ADDQ(operand.I32(finFields*size), field(widNextTable))
	a.ADDQ(operand.Imm(uint64(size)), field(widNextAcc))
	a.ADDQ(operand.Imm(uint64(size/2)), field(widNextDst))
	a.DECQ(field(widBlocks))
	a.JNE(operand.LabelRef("block"))

	a.Label("last")
	a.CMPQ(field(widTail), operand.Imm(0))
	a.JEQ(operand.LabelRef("done"))
	block("tail", func() {
		if a.zmm {
			a.VMOVDQU16(reg.Y0, reg.K2, at(dst, 0))
			return
		}
		a.MOVQ(field(widTail), reg.RCX)
		a.MOVQ(dst, reg.R11)
		a.storeWords(reg.X0, reg.R11, reg.ECX, "tail")
	})
	a.Label("done")
	a.end()
}

// widen adds up the parts of wide sums for one pixel: dst = start + (f - s<<back) + s<<up, as in finish. The table has start, up (64 bits)
// and back (32 bits) of each register.
func (a lanes) widen() {
	name := "widen" + a.suffix()
	a.begin(name, name+" adds up the parts of a pixel.")
	src, dst, b, n, second := reg.RSI, reg.RDI, reg.RBX, reg.RDX, reg.R8
	size := a.bytes()
	x, y := a.v(10), a.v(11)
	f, s, t := halfReg(a.v(0)), halfReg(a.v(1)), halfReg(a.v(2))
	move := func(from, to operand.Op) { a.VMOVDQU(from, to) }
	a.MOVQ(field(widAcc), src)
	a.MOVQ(field(widDst), dst)
	a.MOVQ(field(widTable), b)
	a.MOVQ(field(widBlocks), n)
	a.MOVQ(field(widSecond), second)
	a.Label("next")
	a.load(at(b, 0), x)
	move(at(src, 0), f)
	move(operand.Mem{Base: src, Index: second, Scale: 1}, s)
	move(at(b, 2*size), t)
	a.VPSLLVD(t, s, t)
	a.VPSUBD(t, f, f)
	a.VPMOVSXDQ(s, y)
	a.VPSLLVQ(at(b, size), y, y)
	a.VPADDQ(y, x, x)
	a.VPMOVSXDQ(f, y)
	a.VPADDQ(y, x, x)
	a.store(x, at(dst, 0))
	a.ADDQ(operand.Imm(uint64(size/2)), src)
	a.ADDQ(operand.I32(size), dst)
	a.ADDQ(operand.I32(5*size/2), b)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}

// halfReg is the lower half of a register.
func halfReg(v reg.VecPhysical) reg.VecPhysical {
	if v.Size() == 64 {
		return v.AsY().(reg.VecPhysical)
	}
	return v.AsX().(reg.VecPhysical)
}
