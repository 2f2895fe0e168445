package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// floatPlanes is one tile of a convolution of float32 whose lanes are neighbouring pixels: for every tile of registers of pixels, for every tap,
// all sums of some channels. Products and sums are those of float, in the same order.
func (a lanes) floatPlanes(channels int) {
	vectors := 2 // registers of pixels, all of which stay: with 6 channels no register is left over
	if a.zmm {
		vectors = 24 / channels
	}
	name := fmt.Sprintf("floatPlanes%dx%d%s", channels, vectors, a.suffix())
	a.begin(name, fmt.Sprintf("%s adds up %d channels by %d registers of pixels.", name, channels, vectors))
	px := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13}[:vectors]
	off, end, w, k, plane := reg.RBX, reg.RCX, reg.RDX, reg.R14, reg.RSI
	acc := func(c, v int) reg.VecPhysical { return a.v(c*vectors + v) }
	spare := func(i int) reg.VecPhysical { return a.v(channels*vectors + i) }

	a.MOVQ(field(fltPix), off)
	a.MOVQ(off, field(fltNextPix))
	a.MOVQ(field(fltOut), off)
	a.MOVQ(off, field(fltNextOut))
	a.MOVQ(field(fltPlane), plane)
	a.Label("tile")
	a.places(px, off, fltX, fltNextPix)
	a.MOVQ(field(fltW), w)
	a.MOVQ(field(fltBias), off)
	for c := range channels {
		a.VBROADCASTSS(at(off, 4*c), acc(c, 0))
		for v := 1; v < vectors; v++ {
			a.VMOVAPS(acc(c, 0), acc(c, v))
		}
	}
	a.MOVQ(field(fltOff), off)
	a.MOVQ(field(fltTaps), end)
	a.LEAQ(operand.Mem{Base: off, Index: end, Scale: 4}, end)
	a.Label("tap")
	a.MOVLQSX(at(off, 0), k)
	tmp, pixels := spare(0), func(v int) reg.VecPhysical { return spare(1 + v) }
	for v, p := range px {
		a.VMOVUPS(operand.Mem{Base: p, Index: k, Scale: 1}, pixels(v))
	}
	weight := func() reg.VecPhysical { return spare(1 + vectors) } // where it needs a register
	for c := range channels {
		if !a.zmm {
			a.VBROADCASTSS(at(w, 4*c), weight())
		}
		for v := range vectors {
			if a.zmm {
				a.VMULPS_BCST(at(w, 4*c), pixels(v), tmp)
			} else {
				a.VMULPS(weight(), pixels(v), tmp)
			}
			a.VADDPS(tmp, acc(c, v), acc(c, v))
		}
	}
	a.ADDQ(operand.Imm(uint64(4*channels)), w)
	a.ADDQ(operand.Imm(4), off)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap"))

	a.floatEnd(px, off, w, channels*vectors, tmp, func(each func(sum reg.VecPhysical, m operand.Mem)) {
		for c := range channels {
			for v, p := range px {
				each(acc(c, v), operand.Mem{Base: w, Index: p, Scale: 1})
			}
			a.ADDQ(plane, w)
		}
	})
}

// The fields of maxPlanesArgs.
const (
	mplX = iota
	mplDst
	mplPix     // byte offset of each window of the first plane, 32 bits: that of the first lane
	mplOut     // and of the results
	mplRow     // bytes from row to row of the window
	mplRows    // of it
	mplVectors // of windows
	mplPlanes
	mplXPlane // bytes from plane to plane
	mplDstPlane
)

// maxPlanes is the maximum over windows two pixels wide at every other pixel, of planes: a register of pixels gives half of one.
func (a lanes) maxPlanes() {
	name := "maxPlanes" + a.suffix()
	a.begin(name, name+" is FieldMax.Run of planes.")
	x, dst, row, rows, pix, out, n, p, k := reg.RSI, reg.RDI, reg.RBX, reg.RCX, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12
	v, w, t := a.v(0), a.v(1), a.v(2)
	max := func() { // v = max(v, w), as in maxFloats
		a.VMAXPS(v, w, t)
		a.VMAXPS(w, v, v)
		a.VORPS(t, v, v)
	}
	a.MOVQ(field(mplX), x)
	a.MOVQ(field(mplDst), dst)
	a.MOVQ(field(mplRow), row)
	a.Label("plane")
	a.MOVQ(field(mplPix), pix)
	a.MOVQ(field(mplOut), out)
	a.MOVQ(field(mplVectors), n)
	a.Label("vector")
	a.MOVLQSX(at(pix, 0), p)
	a.ADDQ(x, p)
	a.VMOVUPS(at(p, 0), v)
	a.MOVQ(field(mplRows), rows)
	a.JMP(operand.LabelRef("next"))
	a.Label("row")
	a.ADDQ(row, p)
	a.VMOVUPS(at(p, 0), w)
	max()
	a.Label("next")
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	a.VPERMILPS(operand.Imm(0xb1), v, w) // neighbours change places
	max()
	a.MOVLQSX(at(out, 0), k)
	to := operand.Mem{Base: dst, Index: k, Scale: 1}
	if a.zmm {
		a.VPMOVQD(v, to) // every other element
	} else {
		a.VPERMILPS(operand.Imm(0x08), v, v)
		a.VPERMPD(operand.Imm(0x08), v, v)
		a.VMOVUPS(reg.X0, to)
	}
	a.ADDQ(operand.Imm(4), pix)
	a.ADDQ(operand.Imm(4), out)
	a.DECQ(n)
	a.JNE(operand.LabelRef("vector"))
	a.ADDQ(field(mplXPlane), x)
	a.ADDQ(field(mplDstPlane), dst)
	a.DECQ(field(mplPlanes))
	a.JNE(operand.LabelRef("plane"))
	a.end()
}
