package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideTiles are pixels and blocks of lanes, as in dots, but three registers to a sum.
func (a lanes) wideTiles() [][2]int {
	if a.zmm {
		return [][2]int{{4, 2}, {4, 1}, {1, 4}, {1, 2}, {1, 1}}
	}
	return [][2]int{{2, 2}, {2, 1}, {1, 4}, {1, 2}, {1, 1}}
}

// wideSteps is the number of steps of the longest segment.
const wideSteps = 6

// The fields of wideDotArgs.
const (
	wdX = iota
	wdW
	wdAcc
	wdOff // offsets of steps, in segments
	wdHigh
	wdPix
	wdTiles
	wdStride
	wdNextAcc // scratch, as in dot.go
	wdNextPix
	wdCounts // of segments of 1 to wideSteps steps
)

// wideDot is one tile of a wideDot: for every tile of pixels and every segment of steps, the longest ones first, a sum of 32 bits in each
// lane, which goes into the sum modulo 2^32 of all segments, and without its low half into the sum of high halves.
func (a lanes) wideDot(pixels, blocks int) {
	name := fmt.Sprintf("wideDot%dx%d%s", pixels, blocks, a.suffix())
	a.begin(name, fmt.Sprintf("%s adds up %d pixels by %d blocks of output channels.", name, pixels, blocks))
	size, n := a.bytes(), pixels*blocks
	px := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11}[:pixels]
	off, count, w, k, acc, high := reg.RBX, reg.RCX, reg.RDX, reg.R12, reg.RSI, reg.RDI
	sum := func(i int) reg.VecPhysical { return a.v(i) }
	low := func(i int) reg.VecPhysical { return a.v(n + i) }
	top := func(i int) reg.VecPhysical { return a.v(2*n + i) }
	x, tmp := a.v(3*n), a.v(3*n+1)
	weights := func(b int) reg.VecPhysical { return a.v(3*n + 2 + b) } // of many pixels; else they come from memory

	a.MOVQ(field(wdAcc), k)
	a.MOVQ(k, field(wdNextAcc))
	a.MOVQ(field(wdPix), k)
	a.MOVQ(k, field(wdNextPix))
	a.Label("tile")
	a.places(px, k, wdX, wdNextPix)
	a.MOVQ(field(wdW), w)
	a.MOVQ(field(wdOff), off)
	for i := range n {
		a.clear(low(i))
		a.clear(top(i))
	}
	for steps := wideSteps; steps > 0; steps-- {
		segment, done := fmt.Sprintf("segment%d", steps), fmt.Sprintf("done%d", steps)
		a.MOVQ(field(wdCounts+steps-1), count)
		a.TESTQ(count, count)
		a.JEQ(operand.LabelRef(done))
		a.Label(segment)
		for s := range steps {
			a.MOVLQSX(at(off, 4*s), k)
			if pixels > 1 {
				for b := range blocks {
					a.load(at(w, size*(s*blocks+b)), weights(b))
				}
			}
			for p, base := range px {
				a.VPBROADCASTD(operand.Mem{Base: base, Index: k, Scale: 1}, x)
				for b := range blocks {
					v := sum(p*blocks + b)
					var src operand.Op = at(w, size*(s*blocks+b))
					if pixels > 1 {
						src = weights(b)
					}
					switch {
					case s == 0:
						a.VPMADDWD(src, x, v)
					case a.zmm:
						a.VPDPWSSD(src, x, v)
					default:
						a.VPMADDWD(src, x, tmp)
						a.VPADDD(tmp, v, v)
					}
				}
			}
		}
		for i := range n {
			a.VPADDD(sum(i), low(i), low(i))
			a.VPSRAD(operand.Imm(16), sum(i), sum(i))
			a.VPADDD(sum(i), top(i), top(i))
		}
		a.ADDQ(operand.I32(4*steps), off)
		a.ADDQ(operand.I32(size*blocks*steps), w)
		a.DECQ(count)
		a.JNE(operand.LabelRef(segment))
		a.Label(done)
	}
	a.MOVQ(field(wdNextAcc), acc)
	a.MOVQ(acc, high)
	a.ADDQ(field(wdHigh), high)
	for i := range n {
		a.store(low(i), at(acc, size*(i%blocks)))
		a.store(top(i), at(high, size*(i%blocks)))
		if (i+1)%blocks == 0 {
			a.ADDQ(field(wdStride), acc)
			a.ADDQ(field(wdStride), high)
		}
	}
	a.MOVQ(acc, field(wdNextAcc))
	a.DECQ(field(wdTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}
