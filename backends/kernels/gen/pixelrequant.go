package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of pixelRequantArgs.
const (
	pixReqAcc = iota
	pixReqMul
	pixReqDst
	pixReqPlaces // of tiles in the result, 32 bits each
	pixReqTiles
	pixReqChannels
	pixReqStep   // bytes of a pixel of the result
	pixReqStride // bytes of a tile of acc
	pixReqBelow  // bytes to the sums of the row below, if they lie apart
	pixReqPlus   // and limits, as for nearest
)

// pixelChannels is as in the package kernels.
const pixelChannels = 8

// pixelRequant writes pixels of up to pixelChannels channels of sums whose lanes are pixels, requantized as by nearest: to bytes with
// AVX-512, else to words. Each pixel is written as a whole of pixelChannels elements, of which those beyond its channels are overwritten
// by the next one.
func (a lanes) pixelRequant() {
	name := "pixelRequant" + a.suffix()
	a.begin(name, name+" is PixelLanes.requantize.")
	acc, mul, dst, tile, count, channels, step, step3, below := reg.RSI, reg.RBX, reg.RDI, reg.RDX, reg.RCX, reg.R8, reg.R9, reg.R10, reg.R11
	v, r, bytes := a.v, a.nearestRegs(pixelChannels), 1
	if !a.zmm {
		bytes = 2
	}
	a.loadNearest(r, bytes, pixReqPlus, reg.RBX)
	a.VPBROADCASTD(field(pixReqPlus), r.plus) // for packing from 32 bits, always
	for i, p := range []reg.Register{acc, mul} {
		a.MOVQ(field(pixReqAcc+i), p)
	}
	a.MOVQ(field(pixReqPlaces), tile)
	a.MOVQ(field(pixReqTiles), count)
	a.MOVQ(field(pixReqChannels), channels)
	a.MOVQ(field(pixReqStep), step)
	a.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, step3)
	a.MOVQ(field(pixReqBelow), below)
	a.Label("tile")
	for c := range pixelChannels {
		if c > 0 && c%2 == 0 {
			a.CMPQ(channels, operand.Imm(uint64(c)))
			a.JEQ(operand.LabelRef("pixels"))
		}
		if a.pixelRows() == 2 {
			a.VCVTDQ2PS(at(acc, c*a.bytes()), v(c))
		} else {
			a.load(at(acc, c*a.bytes()), v(c))
			a.VPMAXSD(operand.Mem{Base: acc, Disp: c * a.bytes(), Index: below, Scale: 1}, v(c), v(c))
			a.VCVTDQ2PS(v(c), v(c))
		}
		factor := v(pixelChannels + 6)
		a.VBROADCASTSS(at(mul, 4*c), factor)
		a.VFMADD213PS(r.magic, factor, v(c))
		a.VPADDD(r.plus, v(c), v(c))
	}
	a.Label("pixels")
	a.MOVLQSX(at(tile, 0), dst)
	a.ADDQ(field(pixReqDst), dst)
	place := []operand.Mem{at(dst, 0), {Base: dst, Index: step, Scale: 1}, {Base: dst, Index: step, Scale: 2}, {Base: dst, Index: step3, Scale: 1}}
	next := func() { a.LEAQ(operand.Mem{Base: dst, Index: step, Scale: 4}, dst) }
	// In each part of 128 bits are four pixels, channel by channel; those of channels c and c+4 are packed together.
	for c := range 4 {
		a.VPACKSSDW(v(c+4), v(c), v(c))
	}
	if a.zmm {
		for c := range 2 { // 0, 4, 2 and 6; 1, 5, 3 and 7
			a.VPACKUSWB(v(c+2), v(c), v(c))
			a.VPMAXUB(r.lo, v(c), v(c))
			a.VPMINUB(r.hi, v(c), v(c))
		}
		a.VPUNPCKHBW(v(1), v(0), v(2)) // 2 and 3, 6 and 7
		a.VPUNPCKLBW(v(1), v(0), v(0))
		a.VPUNPCKHWD(v(2), v(0), v(1)) // 4 to 7
		a.VPUNPCKLWD(v(2), v(0), v(0))
		a.VPUNPCKHDQ(v(1), v(0), v(2)) // pixels 2 and 3
		a.VPUNPCKLDQ(v(1), v(0), v(0))
		for quarter := range 4 {
			pair := []reg.VecPhysical{reg.X0, reg.X2}
			if quarter > 0 {
				pair = []reg.VecPhysical{reg.X1, reg.X3}
				a.VEXTRACTI32X4(operand.Imm(uint64(quarter)), v(0), pair[0])
				a.VEXTRACTI32X4(operand.Imm(uint64(quarter)), v(2), pair[1])
			}
			for i, p := range pair {
				a.VMOVQ(p, place[2*i])
				a.VMOVHPS(p, place[2*i+1])
			}
			next()
		}
	} else {
		for c := range 4 {
			a.VPMAXSW(r.lo, v(c), v(c))
			a.VPMINSW(r.hi, v(c), v(c))
		}
		a.VPUNPCKLWD(v(1), v(0), v(4)) // 0 and 1
		a.VPUNPCKHWD(v(1), v(0), v(5)) // 4 and 5
		a.VPUNPCKLWD(v(3), v(2), v(6)) // 2 and 3
		a.VPUNPCKHWD(v(3), v(2), v(7)) // 6 and 7
		a.VPUNPCKLDQ(v(6), v(4), v(0)) // 0 to 3 of pixels 0 and 1
		a.VPUNPCKHDQ(v(6), v(4), v(1)) // of 2 and 3
		a.VPUNPCKLDQ(v(7), v(5), v(2)) // 4 to 7
		a.VPUNPCKHDQ(v(7), v(5), v(3))
		for i := range 2 {
			a.VPUNPCKLQDQ(v(i+2), v(i), v(4+2*i))
			a.VPUNPCKHQDQ(v(i+2), v(i), v(5+2*i))
		}
		for i, p := range place {
			a.VMOVDQU([]reg.VecPhysical{reg.X4, reg.X5, reg.X6, reg.X7}[i], p)
		}
		next()
		for i, p := range place {
			a.VEXTRACTI128(operand.Imm(1), v(4+i), p)
		}
	}
	a.ADDQ(field(pixReqStride), acc)
	a.ADDQ(operand.Imm(4), tile)
	a.DECQ(count)
	a.JNE(operand.LabelRef("tile"))
	a.end()
}
