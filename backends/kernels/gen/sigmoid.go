package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// expRegs registers are worked on together, as many as AVX2 has room for: one alone would wait for itself.
const expRegs = 3

// The places in kernels.expTable.
const (
	expLog2e = iota
	expRound
	expHigh
	expLow
	expTerms
	expOne = iota + 5
	expTwo
	expSign
	expMagnitude
	expRaised
	expLower
	expLeast // from here on limits
	expMostTanh
	expLeastSwish
	expMost
	expLeastElu
)

// exps writes functions of x that are made of an exponential, as kernels/sigmoid.go has them. Each register of x has four: r, q, n and t.
type exps struct {
	lanes
	table reg.Register
}

func (a exps) r(i int) reg.VecPhysical { return a.v(4 * i) }
func (a exps) q(i int) reg.VecPhysical { return a.v(4*i + 1) }
func (a exps) n(i int) reg.VecPhysical { return a.v(4*i + 2) }
func (a exps) t(i int) reg.VecPhysical { return a.v(4*i + 3) }

// limit holds a number for all x.
func (a exps) limit() reg.VecPhysical { return a.v(12) }

// other holds another number.
func (a exps) other() reg.VecPhysical {
	if a.zmm {
		return a.v(31)
	}
	return a.v(15)
}

// number is one of the table, but no limit: with AVX-512 in a register.
func (a exps) number(i int) operand.Op {
	if a.zmm {
		return a.v(13 + i)
	}
	return at(a.table, 32*i)
}

// each writes something for all registers of x.
func (a exps) each(f func(i int)) {
	for i := range expRegs {
		f(i)
	}
}

func (a lanes) exponentials() {
	e := exps{a, reg.RBX}
	e.function("sigmoidFloats", expLeast, nil, func(src reg.Register) { e.sigmoid(src, expRound) })
	e.function("swishFloats", expLeastSwish, nil, e.swish)
	e.function("tanhFloats", expMostTanh, nil, e.tanh)
	e.function("expFloats", expLeast, at(e.table, 32*expMost), e.exp)
	e.function("eluFloats", expLeastElu, field(colAdd), e.elu)
}

// function writes one that reads x into r and computes the result in q, with a limit and perhaps another number.
func (a exps) function(name string, limit int, other operand.Op, body func(src reg.Register)) {
	name += a.suffix()
	a.begin(name, name+" does its work on expRegs registers at a time.")
	src, dst, n := reg.RSI, reg.RDI, reg.RDX
	a.MOVQ(field(colA), src)
	a.MOVQ(field(colDst), dst)
	a.MOVQ(field(colB), a.table)
	a.MOVQ(field(colCount), n)
	a.VBROADCASTSS(at(a.table, 32*limit), a.limit())
	if other != nil {
		a.VBROADCASTSS(other, a.other())
	}
	if a.zmm {
		for i := range expLeast {
			a.VBROADCASTSS(at(a.table, 32*i), a.number(i))
		}
	}
	a.Label("next")
	a.each(func(i int) { a.VMOVUPS(at(src, i*a.bytes()), a.r(i)) })
	body(src)
	a.each(func(i int) { a.VMOVUPS(a.q(i), at(dst, i*a.bytes())) })
	a.ADDQ(operand.I32(expRegs*a.bytes()), src)
	a.ADDQ(operand.I32(expRegs*a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}

// reduced is p of r in q, and n in n with expRound added.
func (a exps) reduced() {
	a.each(func(i int) { a.VMULPS(a.number(expLog2e), a.r(i), a.n(i)) })
	a.each(func(i int) { a.VADDPS(a.number(expRound), a.n(i), a.n(i)) })
	a.each(func(i int) { a.VSUBPS(a.number(expRound), a.n(i), a.q(i)) })
	for _, part := range []int{expHigh, expLow} {
		a.each(func(i int) { a.VMULPS(a.number(part), a.q(i), a.t(i)) })
		a.each(func(i int) { a.VSUBPS(a.t(i), a.r(i), a.r(i)) })
	}
	a.each(func(i int) { a.VMULPS(a.number(expTerms), a.r(i), a.q(i)) })
	a.each(func(i int) { a.VMULPS(a.r(i), a.r(i), a.t(i)) })
	for k := expTerms + 1; k < expOne; k++ {
		a.each(func(i int) { a.VADDPS(a.number(k), a.q(i), a.q(i)) })
		times := a.r
		if k == expOne-1 {
			times = a.t
		}
		a.each(func(i int) { a.VMULPS(times(i), a.q(i), a.q(i)) })
	}
	a.each(func(i int) { a.VADDPS(a.r(i), a.q(i), a.q(i)) })
}

// power is t = 2^n for the integer n, which takes the place of n in a float32 number or is itself.
func (a exps) power(n, t reg.VecPhysical) {
	a.VPSLLD(operand.Imm(23), n, t)
	a.VPADDD(a.number(expOne), t, t)
}

// raised is the exponential of r in q, which one of expRound and expRaised may raise. r is at least the limit, but NaN stays.
func (a exps) raised(by int) {
	a.each(func(i int) { a.VMAXPS(a.r(i), a.limit(), a.r(i)) })
	a.reduced()
	a.each(func(i int) { a.VADDPS(a.number(expOne), a.q(i), a.q(i)) })
	if a.zmm {
		a.each(func(i int) { a.VSUBPS(a.number(by), a.n(i), a.n(i)) })
		a.each(func(i int) { a.VSCALEFPS(a.n(i), a.q(i), a.q(i)) })
	} else {
		// In two steps, as 2^n may be less than what a float32 can be.
		a.each(func(i int) { a.VPSUBD(a.number(by), a.n(i), a.n(i)) })
		a.each(func(i int) { a.VPSRAD(operand.Imm(1), a.n(i), a.t(i)) })
		a.each(func(i int) { a.VPSUBD(a.t(i), a.n(i), a.n(i)) })
		a.each(func(i int) { a.power(a.t(i), a.t(i)) })
		a.each(func(i int) { a.VMULPS(a.t(i), a.q(i), a.q(i)) })
		a.each(func(i int) { a.power(a.n(i), a.t(i)) })
		a.each(func(i int) { a.VMULPS(a.t(i), a.q(i), a.q(i)) })
	}
}

// sigmoid leaves x in r. By one, of expRound and expRaised, the exponential of x below 0 is raised in the numerator.
func (a exps) sigmoid(src reg.Register, by int) {
	a.each(func(i int) { a.VORPS(a.number(expSign), a.r(i), a.r(i)) })
	a.raised(by)
	sum := a.q
	if by == expRaised {
		a.each(func(i int) { a.VMULPS(a.number(expLower), a.q(i), a.t(i)) })
		sum = a.t
	}
	a.each(func(i int) { a.VADDPS(a.number(expOne), sum(i), a.t(i)) })
	a.each(func(i int) { a.VMOVUPS(at(src, i*a.bytes()), a.r(i)) })
	a.negatives(a.q)
	a.each(func(i int) { a.VDIVPS(a.t(i), a.q(i), a.q(i)) })
}

// negatives makes a 1 of what is for x, in r, from 0 up.
func (a exps) negatives(v func(i int) reg.VecPhysical) {
	if a.zmm {
		a.each(func(i int) {
			a.VPMOVD2M(a.r(i), reg.K1)
			a.VBLENDMPS(v(i), a.number(expOne), reg.K1, v(i))
		})
		return
	}
	one := a.v(13)
	a.VMOVUPS(a.number(expOne), one)
	a.each(func(i int) { a.VBLENDVPS(a.r(i), v(i), one, v(i)) })
}

func (a exps) swish(src reg.Register) {
	a.sigmoid(src, expRaised)
	a.each(func(i int) { a.VMULPS(a.r(i), a.q(i), a.q(i)) })
	a.each(func(i int) { a.VMOVUPS(a.number(expLower), a.t(i)) })
	a.negatives(a.t)
	a.each(func(i int) { a.VMULPS(a.t(i), a.q(i), a.q(i)) })
}

func (a exps) tanh(src reg.Register) {
	a.each(func(i int) { a.VANDPS(a.number(expMagnitude), a.r(i), a.r(i)) })
	a.each(func(i int) { a.VADDPS(a.r(i), a.r(i), a.r(i)) })
	a.each(func(i int) { a.VMINPS(a.r(i), a.limit(), a.r(i)) }) // NaN, if the second, stays
	a.reduced()
	a.less1()
	a.each(func(i int) { a.VADDPS(a.number(expTwo), a.q(i), a.t(i)) })
	a.each(func(i int) { a.VDIVPS(a.t(i), a.q(i), a.q(i)) })
	a.each(func(i int) { a.VMOVUPS(at(src, i*a.bytes()), a.r(i)) })
	a.each(func(i int) { a.VANDPS(a.number(expSign), a.r(i), a.r(i)) })
	a.each(func(i int) { a.VORPS(a.r(i), a.q(i), a.q(i)) })
}

// less1 is what p in q and n stand for: the exponential less 1.
func (a exps) less1() {
	a.each(func(i int) { a.power(a.n(i), a.t(i)) })
	a.each(func(i int) { a.VMULPS(a.t(i), a.q(i), a.q(i)) })
	a.each(func(i int) { a.VSUBPS(a.number(expOne), a.t(i), a.t(i)) })
	a.each(func(i int) { a.VADDPS(a.t(i), a.q(i), a.q(i)) })
}

func (a exps) exp(reg.Register) {
	a.each(func(i int) { a.VMINPS(a.r(i), a.other(), a.r(i)) }) // NaN, if the second, stays
	a.raised(expRound)
}

// elu takes alpha from the other register.
func (a exps) elu(src reg.Register) {
	const less = 1
	a.each(func(i int) { a.VMAXPS(a.r(i), a.limit(), a.r(i)) })
	a.reduced()
	a.less1()
	a.each(func(i int) { a.VMULPS(a.other(), a.q(i), a.q(i)) })
	a.each(func(i int) { a.VMOVUPS(at(src, i*a.bytes()), a.r(i)) })
	zero := a.v(14)
	if a.zmm {
		zero = a.v(30)
	}
	a.clear(zero)
	if a.zmm {
		a.each(func(i int) {
			a.VCMPPS(operand.Imm(less), zero, a.r(i), reg.K1)
			a.VBLENDMPS(a.q(i), a.r(i), reg.K1, a.q(i))
		})
		return
	}
	a.each(func(i int) { a.VCMPPS(operand.Imm(less), zero, a.r(i), a.t(i)) })
	a.each(func(i int) { a.VBLENDVPS(a.t(i), a.q(i), a.r(i), a.q(i)) })
}
