package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of floatArgs.
const (
	fltX = iota
	fltW
	fltAcc
	fltBias
	fltOff   // byte offset of each tap, 32 bits
	fltTaps  // their number
	fltPix   // byte offset of each pixel, 32 bits
	fltTiles // of pixels
	fltStride
	fltNextAcc // scratch of the kernel, as in dot.go
	fltNextPix
)

// float is one tile of a convolution of float32: for every tile of pixels, for every tap, all sums of all pixels. A product is rounded
// before it is added, and taps are added one after the other, so that every instruction set and plain Go compute the same bits.
func (a lanes) float(pixels, blocks int) {
	name := fmt.Sprintf("float%dx%d%s", pixels, blocks, a.suffix())
	a.begin(name, fmt.Sprintf("%s adds up %d pixels by %d blocks of output channels.", name, pixels, blocks))
	size := a.bytes()
	px := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.RSI, reg.RDI}[:pixels]
	off, end, w, k := reg.RBX, reg.RCX, reg.RDX, reg.R14
	acc := func(p, b int) reg.VecPhysical { return a.v(p*blocks + b) }
	weights := func(b int) reg.VecPhysical { return a.v(pixels*blocks + b) }
	x, tmp := a.v(pixels*blocks+blocks), a.v(pixels*blocks+blocks+1)

	a.MOVQ(field(fltAcc), off)
	a.MOVQ(off, field(fltNextAcc))
	a.MOVQ(field(fltPix), off)
	a.MOVQ(off, field(fltNextPix))
	a.Label("tile")
	a.MOVQ(field(fltNextPix), off)
	for i, p := range px {
		a.MOVLQSX(at(off, 4*i), p)
		a.ADDQ(field(fltX), p)
	}
	a.ADDQ(operand.I32(4*pixels), field(fltNextPix))
	a.MOVQ(field(fltW), w)
	a.MOVQ(field(fltBias), off)
	for b := range blocks {
		a.VMOVUPS(at(off, size*b), acc(0, b))
		for p := 1; p < pixels; p++ {
			a.VMOVAPS(acc(0, b), acc(p, b))
		}
	}
	a.MOVQ(field(fltOff), off)
	a.MOVQ(field(fltTaps), end)
	a.LEAQ(operand.Mem{Base: off, Index: end, Scale: 4}, end)

	a.Label("tap")
	a.MOVLQSX(at(off, 0), k)
	for b := range blocks {
		a.VMOVUPS(at(w, size*b), weights(b))
	}
	for i, p := range px {
		a.VBROADCASTSS(operand.Mem{Base: p, Index: k, Scale: 1}, x)
		for b := range blocks {
			a.VMULPS(weights(b), x, tmp)
			a.VADDPS(tmp, acc(i, b), acc(i, b))
		}
	}
	a.ADDQ(operand.I32(size*blocks), w)
	a.ADDQ(operand.Imm(4), off)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap"))

	a.MOVQ(field(fltNextAcc), off)
	for p := range pixels {
		for b := range blocks {
			a.VMOVUPS(acc(p, b), at(off, size*b))
		}
		a.ADDQ(field(fltStride), off)
	}
	a.MOVQ(off, field(fltNextAcc))
	a.DECQ(field(fltTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}

// The fields of turnArgs.
const (
	turnSrc = iota
	turnDst
	turnRows // blocks of 8 rows of the source
	turnCols // blocks of 8 columns
	turnSrcStride
	turnDstStride
)

// turn transposes blocks of 8 by 8 numbers of 32 bits: dst[c][r] = src[r][c].
func (a asm) turn() {
	a.begin("turnAVX2", "turnAVX2 transposes a matrix.")
	src, dst, rows, cols, p, q, ss, ds := reg.RSI, reg.RDI, reg.RCX, reg.RDX, reg.R8, reg.R9, reg.R10, reg.R11
	y := func(i int) reg.VecPhysical { return vec(false, i) }
	a.MOVQ(field(turnSrc), src)
	a.MOVQ(field(turnDst), dst)
	a.MOVQ(field(turnCols), cols)
	a.MOVQ(field(turnSrcStride), ss)
	a.MOVQ(field(turnDstStride), ds)
	a.Label("col") // columns outside: 8 rows of the result grow together
	a.MOVQ(src, reg.R12)
	a.MOVQ(dst, reg.R13)
	a.MOVQ(field(turnRows), rows)
	a.Label("row")
	a.MOVQ(reg.R12, p)
	a.MOVQ(reg.R13, q)
	for i := range 8 {
		a.VMOVUPS(at(p, 0), y(i))
		a.ADDQ(ss, p)
	}
	for i := range 4 {
		a.VUNPCKLPS(y(2*i+1), y(2*i), y(8+2*i))
		a.VUNPCKHPS(y(2*i+1), y(2*i), y(9+2*i))
	}
	for h := range 2 { // rows 0-3 and 4-7
		for i := range 2 {
			a.VUNPCKLPD(y(10+4*h+i), y(8+4*h+i), y(4*h+2*i))
			a.VUNPCKHPD(y(10+4*h+i), y(8+4*h+i), y(4*h+2*i+1))
		}
	}
	for i := range 4 {
		a.VPERM2F128(operand.Imm(0x20), y(4+i), y(i), y(8+i))
		a.VPERM2F128(operand.Imm(0x31), y(4+i), y(i), y(12+i))
	}
	for i := range 8 {
		a.VMOVUPS(y(8+i), at(q, 0))
		a.ADDQ(ds, q)
	}
	a.LEAQ(operand.Mem{Base: reg.R12, Index: ss, Scale: 8}, reg.R12)
	a.ADDQ(operand.Imm(32), reg.R13)
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	a.ADDQ(operand.Imm(32), src)
	a.LEAQ(operand.Mem{Base: dst, Index: ds, Scale: 8}, dst)
	a.DECQ(cols)
	a.JNE(operand.LabelRef("col"))
	a.end()
}
