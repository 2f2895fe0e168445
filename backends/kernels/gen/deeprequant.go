package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of deepRequantArgs.
const (
	drX = iota
	drDst
	drJobs // places of x and dst, 32 bits each
	drCount
	drOff   // byte offsets of taps, 32 bits each
	drSteps // taps less those of a step
	drW
	drBias
	drMul
	drMask // of the elements that are written; with AVX-512 alone
	drPlus // as for packing from 32 bits
	drLo
	drHi
)

// deepRequant is a depthwise convolution with its requantization, as by nearest: for every register of elements, taps by fours of bytes or by
// twos of words, which unpacking brings beside each other as a multiplication wants them. Packing to elements undoes the order of that.
func (a lanes) deepRequant(bytes int) {
	name := fmt.Sprintf("deepRequant%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is RequantDeep.Run for elements of the same weights.")
	taps := 4 / bytes // of a step; as many registers hold the sums of a register of elements
	jobs, n, p, to, w, off, k := reg.RSI, reg.RDI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12
	places := []reg.Register{reg.RBX, reg.RCX, reg.RDX, reg.R13}[:taps]
	used := 0
	regs := func(n int) (r []reg.VecPhysical) {
		for range n {
			r = append(r, a.v(used))
			used++
		}
		return r
	}
	acc, x, y, bias, mul, consts := regs(taps), regs(taps), regs(taps), regs(taps), regs(taps), regs(4)
	magicReg, plus, lo, hi := consts[0], consts[1], consts[2], consts[3]
	a.MOVL(operand.U32(magic), reg.EBX)
	a.VMOVD(reg.EBX, magicReg.AsX())
	a.VPBROADCASTD(magicReg.AsX(), magicReg)
	a.VPBROADCASTD(field(drPlus), plus)
	limit, most, least := a.VPBROADCASTW, a.VPMINSW, a.VPMAXSW
	if bytes == 1 {
		limit, most, least = a.VPBROADCASTB, a.VPMINUB, a.VPMAXUB
	}
	limit(field(drLo), lo)
	limit(field(drHi), hi)
	if a.zmm {
		a.KMOVQ(field(drMask), reg.K1)
	}
	a.MOVQ(field(drBias), p)
	a.MOVQ(field(drMul), to)
	for i := range taps {
		a.load(at(p, i*a.bytes()), bias[i])
		a.load(at(to, i*a.bytes()), mul[i])
	}
	a.MOVQ(field(drJobs), jobs)
	a.MOVQ(field(drCount), n)
	a.Label("job")
	a.MOVLQSX(at(jobs, 0), p)
	a.MOVLQSX(at(jobs, 4), to)
	a.ADDQ(operand.Imm(8), jobs)
	a.ADDQ(field(drX), p)
	a.ADDQ(field(drDst), to)
	a.MOVQ(field(drW), w)
	a.MOVQ(field(drOff), off)
	a.MOVQ(field(drSteps), k)
	for i := range taps {
		a.VMOVAPS(bias[i], acc[i])
	}
	a.Label("step")
	for i, o := range places {
		a.MOVLQSX(at(off, 4*i), o)
		a.load(operand.Mem{Base: p, Index: o, Scale: 1}, x[i])
	}
	if bytes == 1 {
		for i := range 2 {
			a.VPUNPCKLBW(x[2*i+1], x[2*i], y[i])
			a.VPUNPCKHBW(x[2*i+1], x[2*i], y[2+i])
		}
		for i := range 2 {
			a.VPUNPCKLWD(y[2*i+1], y[2*i], x[2*i])
			a.VPUNPCKHWD(y[2*i+1], y[2*i], x[2*i+1])
		}
	} else {
		a.VPUNPCKHWD(x[1], x[0], y[1])
		a.VPUNPCKLWD(x[1], x[0], x[0])
		x[1], y[1] = y[1], x[1]
	}
	for i := range taps {
		weights := at(w, i*a.bytes())
		switch {
		case bytes == 1:
			a.VPDPBUSD(weights, x[i], acc[i])
		case a.zmm:
			a.VPDPWSSD(weights, x[i], acc[i])
		default:
			a.VPMADDWD(weights, x[i], x[i])
			a.VPADDD(x[i], acc[i], acc[i])
		}
	}
	a.ADDQ(operand.I32(taps*a.bytes()), w)
	a.ADDQ(operand.Imm(uint64(4*taps)), off)
	a.DECQ(k)
	a.JNE(operand.LabelRef("step"))
	for i, v := range acc {
		a.VCVTDQ2PS(v, v)
		a.VFMADD132PS(mul[i], magicReg, v)
		a.VPADDD(plus, v, v)
	}
	for i := 0; i < taps; i += 2 {
		a.VPACKSSDW(acc[i+1], acc[i], acc[i])
	}
	if bytes == 1 {
		a.VPACKUSWB(acc[2], acc[0], acc[0])
	}
	least(lo, acc[0], acc[0])
	most(hi, acc[0], acc[0])
	switch {
	case bytes == 1:
		a.VMOVDQU8(acc[0], reg.K1, at(to, 0))
	case a.zmm:
		a.VMOVDQU16(acc[0], reg.K1, at(to, 0))
	default:
		a.store(acc[0], at(to, 0))
	}
	a.DECQ(n)
	a.JNE(operand.LabelRef("job"))
	a.end()
}
