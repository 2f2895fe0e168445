package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of meanArgs.
const (
	meanX = iota
	meanDst
	meanRows
	meanWidth  // pixels of a row
	meanStep   // bytes from pixel to pixel
	meanRow    // and from the end of a row to the next one
	meanBlocks // of channels
	meanCount  // of pixels, a float64 number
)

// meanFloats is the mean of each channel of an image, channels last: sums of float64, in the order of the pixels.
func (a lanes) meanFloats() {
	name := "meanFloats" + a.suffix()
	a.begin(name, name+" is FieldMean.Run for an image.")
	x, dst, p, rows, n, step, blocks := reg.RSI, reg.RDI, reg.R8, reg.RCX, reg.RDX, reg.R9, reg.R10
	sums, wide, count := []reg.VecPhysical{a.v(0), a.v(1)}, a.v(2), a.v(3)
	halves := []reg.VecPhysical{reg.Y0, reg.Y1}
	if !a.zmm {
		halves = []reg.VecPhysical{reg.X0, reg.X1}
	}
	half := a.bytes() / 2
	a.MOVQ(field(meanX), x)
	a.MOVQ(field(meanDst), dst)
	a.MOVQ(field(meanStep), step)
	a.MOVQ(field(meanBlocks), blocks)
	a.VBROADCASTSD(field(meanCount), count)
	a.Label("block")
	a.MOVQ(x, p)
	a.MOVQ(field(meanRows), rows)
	for _, s := range sums {
		a.clear(s)
	}
	a.Label("row")
	a.MOVQ(field(meanWidth), n)
	a.Label("pixel")
	for i, s := range sums {
		a.VCVTPS2PD(at(p, i*half), wide)
		a.VADDPD(wide, s, s)
	}
	a.ADDQ(step, p)
	a.DECQ(n)
	a.JNE(operand.LabelRef("pixel"))
	a.ADDQ(field(meanRow), p)
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	for i, s := range sums {
		a.VDIVPD(count, s, s)
		if a.zmm {
			a.VCVTPD2PS(s, halves[i])
		} else {
			a.VCVTPD2PSY(s, halves[i])
		}
		a.VMOVUPS(halves[i], at(dst, i*half))
	}
	a.ADDQ(operand.I32(a.bytes()), x)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(blocks)
	a.JNE(operand.LabelRef("block"))
	a.end()
}
