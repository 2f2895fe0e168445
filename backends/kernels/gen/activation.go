package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// leakyFloats is x, or alpha times x where that is negative; alpha is the argument's add.
func (a lanes) leakyFloats() {
	a.elementwise("leakyFloats", false, func(x, product reg.VecPhysical) {
		const less = 1
		if a.zmm {
			a.VCMPPS(operand.Imm(less), a.v(2), x, reg.K1)
			a.VMULPS(a.v(3), x, reg.K1, x)
			return
		}
		a.VCMPPS(operand.Imm(less), a.v(2), x, a.v(6))
		a.VMULPS(a.v(3), x, product)
		a.VBLENDVPS(a.v(6), product, x, x)
	})
}

// hardSwishFloats is x*min(max(x/6+1/2, 0), 1) in float64; b are the numbers 6, 1/2 and 1.
func (a lanes) hardSwishFloats() {
	a.gated("hardSwishFloats", func(x, gate, zero reg.VecPhysical, n [3]reg.VecPhysical) {
		a.VDIVPD(n[0], x, gate)
		a.VADDPD(n[1], gate, gate)
		a.VMAXPD(zero, gate, gate)
		a.VMINPD(n[2], gate, gate)
		a.VMULPD(gate, x, x)
	})
}

// hardSigmoidFloats is min(max(x*alpha+beta, 0), 1) in float64; b are the numbers alpha, beta and 1.
func (a lanes) hardSigmoidFloats() {
	a.gated("hardSigmoidFloats", func(x, gate, zero reg.VecPhysical, n [3]reg.VecPhysical) {
		a.VMULPD(n[0], x, gate)
		a.VADDPD(n[1], gate, gate)
		a.VMAXPD(gate, zero, gate) // NaN, if the second, stays
		a.VADDPD(zero, gate, gate) // of two zeros, the instruction takes either
		a.VMINPD(gate, n[2], x)
	})
}

// gated is a function in float64 that may want three numbers and computes its result in x.
func (a lanes) gated(name string, body func(x, gate, zero reg.VecPhysical, numbers [3]reg.VecPhysical)) {
	name += a.suffix()
	a.begin(name, name+" does its work on whole registers.")
	src, dst, b, n := reg.RSI, reg.RDI, reg.RBX, reg.RDX
	x, gate, zero, numbers := a.v(0), a.v(1), a.v(2), [3]reg.VecPhysical{a.v(3), a.v(4), a.v(5)}
	narrow := reg.VecPhysical(reg.Y0)
	if !a.zmm {
		narrow = reg.X0
	}
	a.MOVQ(field(colA), src)
	a.MOVQ(field(colDst), dst)
	a.MOVQ(field(colB), b)
	a.MOVQ(field(colCount), n)
	a.clear(zero)
	for i, v := range numbers {
		a.VBROADCASTSD(at(b, 8*i), v)
	}
	a.Label("next")
	for _, half := range []int{0, a.bytes() / 2} {
		a.VCVTPS2PD(at(src, half), x)
		body(x, gate, zero, numbers)
		if a.zmm {
			a.VCVTPD2PS(x, narrow)
		} else {
			a.VCVTPD2PSY(x, narrow)
		}
		a.VMOVUPS(narrow, at(dst, half))
	}
	a.ADDQ(operand.I32(a.bytes()), src)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
