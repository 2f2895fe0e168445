package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of pointPlanesArgs.
const (
	pointX      = iota // planes of even pixels
	pointOdd           // bytes from them to those of odd ones
	pointDst           //
	pointRows          // their number
	pointRow           // bytes between rows of x
	pointDstRow        // and of dst
	pointChunks        // registers of a plane
	pointPlane         // bytes between planes of dst
)

// pointPlanes takes pairs of words of planes of even and odd pixels to the six points of a row: B^T of six neighbouring pixels, of which the
// first one is even. With next, pairs are the first words of the row and of the next one.
func (a lanes) pointPlanes(next bool) {
	name := "pointPlanes"
	if next {
		name = "nextPointPlanes"
	}
	name += a.suffix()
	a.begin(name, name+" is PixelLanes.toPoints.")
	x, dst, rows, n, even, odd, to := reg.RSI, reg.RDI, reg.RCX, reg.RDX, reg.R12, reg.R13, reg.RBX
	plane := a.multiples(pointPlane, reg.R8, reg.R9, reg.R10)
	row := reg.R14
	a.MOVQ(field(pointX), x)
	a.MOVQ(field(pointDst), dst)
	a.MOVQ(field(pointRows), rows)
	a.MOVQ(field(pointRow), row)
	a.Label("row")
	a.MOVQ(x, even)
	a.MOVQ(x, odd)
	a.ADDQ(field(pointOdd), odd)
	a.MOVQ(dst, to)
	a.MOVQ(field(pointChunks), n)
	a.Label("chunk")
	for i := range 6 {
		m := operand.Mem{Base: []reg.Register{even, odd}[i%2], Disp: 4 * (i / 2)}
		a.load(m, a.v(i))
		if next {
			m.Index, m.Scale = row, 1
			a.load(m, a.v(6))
			a.VPSLLD(operand.Imm(16), a.v(6), a.v(6))
			a.VPBLENDW(operand.Imm(0xaa), a.v(6), a.v(i), a.v(i))
		}
	}
	for i, v := range a.transformed() {
		a.store(v, plane(to, i))
	}
	for _, p := range []reg.Register{even, odd, to} {
		a.ADDQ(operand.Imm(uint64(a.bytes())), p)
	}
	a.DECQ(n)
	a.JNE(operand.LabelRef("chunk"))
	a.ADDQ(row, x)
	a.ADDQ(field(pointDstRow), dst)
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	a.end()
}

// pixelPoints is pixels of two rows from planes of points. Steps are bytes of planes, 32 bits, before the weights of the channels; products
// of a point are kept until those of all six become the left and the right pixels, 24 times too large.
func (a lanes) pixelPoints(channels int) {
	const points, rows = 6, 2
	name := fmt.Sprintf("pixelPoints%d%s", channels, a.suffix())
	a.begin(name, fmt.Sprintf("%s is PixelLanes.sums for %d channels by points.", name, channels))
	w, out, keep, k, tile, count, above, below, off, todo := reg.RDX, reg.RDI, reg.RBX, reg.RCX, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12
	acc := func(c, y int) reg.VecPhysical { return a.v(c*rows + y) }
	x := func(y int) reg.VecPhysical { return a.v(channels*rows + y) }
	weight, tmp := a.v((channels+1)*rows), a.v((channels+1)*rows+1)
	a.MOVQ(field(pixAcc), out)
	a.MOVQ(field(pixTiles), tile)
	a.MOVQ(field(pixCount), count)
	a.Label("tile")
	a.MOVLQSX(at(tile, 0), above)
	a.ADDQ(field(pixX), above)
	a.MOVQ(above, below)
	a.ADDQ(field(pixBelow), below)
	a.MOVQ(field(pixW), w)
	a.MOVQ(field(pixOff), keep)
	a.MOVQ(operand.I32(points), todo)
	step := func(first bool) {
		a.MOVLQSX(at(w, 0), off)
		for y, p := range []reg.Register{above, below} {
			a.load(operand.Mem{Base: p, Index: off, Scale: 1}, x(y))
		}
		for c := range channels {
			a.VPBROADCASTD(at(w, 4+4*c), weight)
			for y := range rows {
				if first {
					a.VPMADDWD(weight, x(y), acc(c, y))
					continue
				}
				a.VPMADDWD(weight, x(y), tmp)
				a.VPADDD(tmp, acc(c, y), acc(c, y))
			}
		}
		a.ADDQ(operand.Imm(uint64(4+4*channels)), w)
		a.DECQ(k)
	}
	a.Label("point")
	a.MOVQ(field(pixSteps), k)
	step(true)
	a.JEQ(operand.LabelRef("keep"))
	a.Label("step")
	step(false)
	a.JNE(operand.LabelRef("step"))
	a.Label("keep")
	for i := range rows * channels {
		a.store(a.v(i), at(keep, i*a.bytes()))
	}
	a.ADDQ(operand.I32(rows*channels*a.bytes()), keep)
	a.DECQ(todo)
	a.JNE(operand.LabelRef("point"))

	a.MOVQ(field(pixOff), keep)
	a.MOVQ(field(pixBias), w)
	most, bias, third := a.v(0), a.v(9), a.v(10)
	a.VPBROADCASTD(field(pixThird), third)
	for c := range channels {
		for y := range rows {
			kept := func(point int) operand.Mem { return at(keep, ((point*channels+c)*rows+y)*a.bytes()) }
			left, right := a.pair(kept, 1+4*y)
			if y == 0 {
				a.VPMAXSD(left, right, most)
				continue
			}
			a.VPMAXSD(left, right, right)
			a.VPMAXSD(right, most, most)
		}
		a.VPBROADCASTD(at(w, 4*c), bias)
		a.VPMULLD(third, most, most)
		a.VPSRAD(operand.Imm(3), most, most)
		a.VPADDD(bias, most, most)
		a.store(most, at(out, a.bytes()*c))
	}
	a.ADDQ(field(pixStride), out)
	a.ADDQ(operand.Imm(4), tile)
	a.DECQ(count)
	a.JNE(operand.LabelRef("tile"))
	a.end()
}
