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
	fltBias
	fltOff   // byte offset of each tap, 32 bits
	fltTaps  // their number
	fltPix   // byte offset of each pixel, 32 bits
	fltTiles // of pixels
	fltDst
	fltOut     // byte offset of each pixel's sums from fltDst, 32 bits
	fltAdd     // what is added to the sums, at the same offsets, or 0
	fltRelu    // whether negative results become 0, and others at most so much
	fltPlane   // bytes from channel to channel of the sums, where lanes are pixels
	fltNextPix // scratch of the kernel, as in dot.go
	fltNextOut
	fltMost // a float32 number that results become at most
)

// The ways of fltRelu.
const (
	reluNone = iota
	reluOnly
	reluMost // with fltMost
)

// float is one tile of a convolution of float32: for every tile of pixels, for every tap, all sums of all pixels. A product is rounded
// before it is added, and taps are added one after the other, so that every instruction set and plain Go compute the same bits. Taps are
// taken by twos, because the loop around them would cost as much as a pixel. Where channels are kept apart, as deep says, each lane has an
// element of its own.
func (a lanes) float(pixels, blocks int, deep bool) {
	name := fmt.Sprintf("float%dx%d%s", pixels, blocks, a.suffix())
	if deep {
		name = fmt.Sprintf("floatDeep%dx%d%s", pixels, blocks, a.suffix())
	}
	a.begin(name, fmt.Sprintf("%s adds up %d pixels by %d blocks of output channels.", name, pixels, blocks))
	size := a.bytes()
	px := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.RSI, reg.RDI}[:pixels]
	off, end, w, k := reg.RBX, reg.RCX, reg.RDX, reg.R14
	acc := func(p, b int) reg.VecPhysical { return a.v(p*blocks + b) }
	spare := func(i int) reg.VecPhysical { return a.v(pixels*blocks + i) }
	// On a Zen 4 a broadcast of its own takes a pipe from the arithmetic, one that is part of a multiplication does not, though each is read again.
	embedded := a.zmm && pixels > 1

	a.MOVQ(field(fltPix), off)
	a.MOVQ(off, field(fltNextPix))
	a.MOVQ(field(fltOut), off)
	a.MOVQ(off, field(fltNextOut))
	a.Label("tile")
	a.places(px, off, fltX, fltNextPix)
	a.MOVQ(field(fltW), w)
	a.MOVQ(field(fltBias), off)
	for b := range blocks {
		a.VMOVUPS(at(off, size*b), acc(0, b))
		for p := 1; p < pixels; p++ {
			a.VMOVAPS(acc(0, b), acc(p, b))
		}
	}
	tap := func(i int) {
		a.MOVLQSX(at(off, 4*i), k)
		weights := func(b int) operand.Op { return at(w, size*(i*blocks+b)) }
		x, tmp := spare(0), spare(1)
		if pixels > 1 {
			x, tmp = spare(blocks), spare(blocks+1)
			for b := range blocks {
				a.VMOVUPS(weights(b), spare(b))
			}
			weights = func(b int) operand.Op { return spare(b) }
		}
		for p, from := range px {
			element := operand.Mem{Base: from, Index: k, Scale: 1}
			if !embedded && !deep {
				a.VBROADCASTSS(element, x)
			}
			for b := range blocks {
				switch {
				case deep:
					element.Disp = size * b
					a.VMULPS(element, weights(b), tmp)
				case embedded:
					a.VMULPS_BCST(element, weights(b), tmp)
				default:
					a.VMULPS(weights(b), x, tmp)
				}
				a.VADDPS(tmp, acc(p, b), acc(p, b))
			}
		}
	}
	next := func(taps int) {
		a.ADDQ(operand.I32(taps*size*blocks), w)
		a.ADDQ(operand.Imm(uint64(4*taps)), off)
	}
	a.MOVQ(field(fltOff), off)
	a.MOVQ(field(fltTaps), end)
	a.MOVQ(end, k)
	a.LEAQ(operand.Mem{Base: off, Index: end, Scale: 4}, end)
	a.TESTQ(operand.I32(1), k)
	a.JZ(operand.LabelRef("even"))
	tap(0)
	next(1)
	a.Label("even")
	a.CMPQ(off, end)
	a.JEQ(operand.LabelRef("sums"))
	a.Label("tap")
	tap(0)
	tap(1)
	next(2)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap"))

	a.Label("sums")
	a.floatEnd(px, off, w, pixels*blocks, spare(0), func(each func(sum reg.VecPhysical, m operand.Mem)) {
		for p, at := range px {
			for b := range blocks {
				each(acc(p, b), operand.Mem{Base: w, Index: at, Scale: 1, Disp: size * b})
			}
		}
	})
}

// floatEnd ends a kernel of float convolutions with the end of a tile: the first n registers, with what is added to them and
// Relu, go to the places px. sums calls each for every one of them with where it lies in an image whose address is in w. off and zero are lost.
func (a lanes) floatEnd(px []reg.Register, off, w reg.Register, n int, zero reg.VecPhysical, sums func(each func(sum reg.VecPhysical, m operand.Mem))) {
	a.MOVQ(field(fltNextOut), off)
	for i, p := range px {
		a.MOVLQSX(at(off, 4*i), p)
	}
	a.ADDQ(operand.I32(4*len(px)), field(fltNextOut))
	a.MOVQ(field(fltAdd), w)
	a.TESTQ(w, w)
	a.JZ(operand.LabelRef("added"))
	sums(func(sum reg.VecPhysical, m operand.Mem) { a.VADDPS(m, sum, sum) })
	a.Label("added")
	a.CMPQ(field(fltRelu), operand.Imm(reluNone))
	a.JEQ(operand.LabelRef("store"))
	a.VXORPS(zero, zero, zero)
	for i := range n {
		a.relu(zero, a.v(i))
	}
	a.CMPQ(field(fltRelu), operand.Imm(reluOnly))
	a.JEQ(operand.LabelRef("store"))
	a.VBROADCASTSS(field(fltMost), zero)
	for i := range n {
		a.VMINPS(a.v(i), zero, a.v(i)) // NaN stays
	}
	a.Label("store")
	a.MOVQ(field(fltDst), w)
	sums(func(sum reg.VecPhysical, m operand.Mem) { a.VMOVUPS(sum, m) })
	a.DECQ(field(fltTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}

// relu is x = max(x, 0): NaN stays, and -0 is made 0.
func (a lanes) relu(zero, x reg.VecPhysical) {
	a.VMAXPS(x, zero, x)
	a.VADDPS(zero, x, x)
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
