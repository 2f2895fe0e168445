package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of restArgs.
const (
	restX = iota
	restDst
	restFrom // four distances from x, then four masks
	restChunks
	restChunk // bytes
)

// rest writes registers whose bytes come from four places, as masks say; the first place has what no mask does. What is behind a chunk is
// written again by the next one.
func (a asm) rest() {
	const name = "restAVX512"
	a.begin(name, name+" is rests.write for a plane.")
	src, dst, n, chunk, p := reg.RSI, reg.RDI, reg.RDX, reg.RCX, reg.RBX
	from, masks := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11}, []reg.Register{reg.K0, reg.K1, reg.K2, reg.K3}
	a.MOVQ(field(restX), src)
	a.MOVQ(field(restDst), dst)
	a.MOVQ(field(restFrom), p)
	a.MOVQ(field(restChunks), n)
	a.MOVQ(field(restChunk), chunk)
	for i := range from {
		a.MOVQ(at(p, 8*i), from[i])
		a.KMOVQ(at(p, 8*(i+len(from))), masks[i])
	}
	a.Label("next")
	for i := range from {
		m := operand.Mem{Base: src, Index: from[i], Scale: 1}
		if i == 0 {
			a.move(true, m, reg.Z0)
		} else {
			a.VMOVDQU8(m, masks[i], reg.Z0)
		}
	}
	a.move(true, reg.Z0, at(dst, 0))
	a.ADDQ(chunk, src)
	a.ADDQ(chunk, dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
