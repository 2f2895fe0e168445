package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of multiplyArgs.
const (
	mulA = iota
	mulB
	mulDst
	mulCount // registers of results
	mulPlusA // int32 numbers
	mulPlusB
)

// multiply writes (a + plusA) * (b + plusB) modulo 2^32, of elements of the given bytes.
func (a lanes) multiply(bytesA, bytesB int) {
	name := fmt.Sprintf("multiply%dx%d%s", 8*bytesA, 8*bytesB, a.suffix())
	a.begin(name, name+" is Multiply for whole registers.")
	x, y, dst, n := reg.RSI, reg.RBX, reg.RDI, reg.RDX
	v, w, plusA, plusB := a.v(0), a.v(1), a.v(2), a.v(3)
	for i, p := range []reg.Register{x, y, dst, n} {
		a.MOVQ(field(mulA+i), p)
	}
	a.VPBROADCASTD(field(mulPlusA), plusA)
	a.VPBROADCASTD(field(mulPlusB), plusB)
	wide := func(bytes int, m operand.Mem, to reg.VecPhysical) {
		if bytes == 1 {
			a.VPMOVZXBD(m, to)
		} else {
			a.VPMOVSXWD(m, to)
		}
	}
	a.Label("next")
	wide(bytesA, at(x, 0), v)
	wide(bytesB, at(y, 0), w)
	a.VPADDD(plusA, v, v)
	a.VPADDD(plusB, w, w)
	a.VPMULLD(w, v, v)
	a.store(v, at(dst, 0))
	a.ADDQ(operand.I32(a.bytes()/4*bytesA), x)
	a.ADDQ(operand.I32(a.bytes()/4*bytesB), y)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
