package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of lineArgs.
const (
	lineX = iota
	lineDst
	lineOff // byte offset of each tap, 32 bits
	lineW   // its weight
	lineTaps
	lineBias // a float32 number
	lineCount
)

// line is a convolution of one plane: dst[i] = bias + the taps' weights times x[i+off], by four registers of neighbours, in the arithmetic of
// float.
func (a lanes) line() {
	name := "line" + a.suffix()
	a.begin(name, name+" is the loop of FloatConv over one plane.")
	src, dst, off, end, w, n, k := reg.RSI, reg.RDI, reg.RBX, reg.RCX, reg.RDX, reg.R8, reg.R9
	bias, v, tmp := a.v(4), a.v(5), a.v(6)
	a.MOVQ(field(lineX), src)
	a.MOVQ(field(lineDst), dst)
	a.MOVQ(field(lineCount), n)
	a.VBROADCASTSS(field(lineBias), bias)
	a.Label("next")
	for i := range 4 {
		a.VMOVAPS(bias, a.v(i))
	}
	a.MOVQ(field(lineW), w)
	a.MOVQ(field(lineOff), off)
	a.MOVQ(field(lineTaps), end)
	a.LEAQ(operand.Mem{Base: off, Index: end, Scale: 4}, end)
	a.Label("tap")
	a.MOVLQSX(at(off, 0), k)
	a.VBROADCASTSS(at(w, 0), v)
	for i := range 4 {
		a.VMULPS(operand.Mem{Base: src, Index: k, Scale: 1, Disp: i * a.bytes()}, v, tmp)
		a.VADDPS(tmp, a.v(i), a.v(i))
	}
	a.ADDQ(operand.Imm(4), w)
	a.ADDQ(operand.Imm(4), off)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap"))
	for i := range 4 {
		a.VMOVUPS(a.v(i), at(dst, i*a.bytes()))
	}
	a.ADDQ(operand.I32(4*a.bytes()), src)
	a.ADDQ(operand.I32(4*a.bytes()), dst)
	a.DECQ(n)
	a.JNE(operand.LabelRef("next"))
	a.end()
}
