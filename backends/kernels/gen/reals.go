package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of realsArgs.
const (
	realsX = iota
	realsDst
	realsCount // registers of results
	realsAdd   // an int32 number
	realsScale // a float32 number
)

// reals writes (x + add) * scale of elements of the given bytes, in float32.
func (a lanes) reals(bytes int) {
	name := fmt.Sprintf("reals%d%s", 8*bytes, a.suffix())
	a.begin(name, name+" is Dequantizer.Run.")
	src, dst, n := reg.RSI, reg.RDI, reg.RDX
	x, add, scale := a.v(0), a.v(1), a.v(2)
	a.MOVQ(field(realsX), src)
	a.MOVQ(field(realsDst), dst)
	a.MOVQ(field(realsCount), n)
	a.VPBROADCASTD(field(realsAdd), add)
	a.VBROADCASTSS(field(realsScale), scale)
	a.Label("next")
	if bytes == 1 {
		a.VPMOVZXBD(at(src, 0), x)
	} else {
		a.VPMOVSXWD(at(src, 0), x)
	}
	a.VPADDD(add, x, x)
	a.VCVTDQ2PS(x, x)
	a.VMULPS(scale, x, x)
	a.VMOVUPS(x, at(dst, 0))
	a.ADDQ(operand.I32(a.bytes()/4*bytes), src)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
