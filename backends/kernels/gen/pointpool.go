package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of pointTilesArgs.
const (
	ptX     = iota // the column of the first of six pixels
	ptDst          // planes of points
	ptRows         // bytes from x to rows of the image, 32 bits each
	ptCount        // of rows
	ptStep         // bytes of a pixel
	ptPlane        // bytes between planes
)

// pointTiles takes six neighbouring pixels of up to 8 channels of each row to their six points, as pointPlanes does: a plane of a point has the
// channels of one row behind those of the other. Each store is of 8 channels, of which those that are too many are overwritten by the next row.
func (a lanes) pointTiles() {
	name := "pointTiles" + a.suffix()
	a.begin(name, name+" is PointPool's way to points.")
	rows, dst, count, step, x, thrice, fifth := reg.RSI, reg.RDI, reg.RCX, reg.R11, reg.RBX, reg.R12, reg.R13
	plane := a.multiples(ptPlane, reg.R8, reg.R9, reg.R10)
	a.MOVQ(field(ptRows), rows)
	a.MOVQ(field(ptDst), dst)
	a.MOVQ(field(ptCount), count)
	a.MOVQ(field(ptStep), step)
	a.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, thrice)
	a.LEAQ(operand.Mem{Base: step, Index: step, Scale: 4}, fifth)
	a.Label("row")
	a.MOVLQSX(at(rows, 0), x)
	a.ADDQ(field(ptX), x)
	pixels := []operand.Mem{{Base: x}, {Base: x, Index: step, Scale: 1}, {Base: x, Index: step, Scale: 2}, {Base: x, Index: thrice, Scale: 1}, {Base: x, Index: step, Scale: 4}, {Base: x, Index: fifth, Scale: 1}}
	for i, m := range pixels {
		a.VMOVDQU(m, a.v(i).AsX())
	}
	for i, v := range a.transformed() {
		a.VMOVDQU(v.AsX(), plane(dst, i))
	}
	a.ADDQ(operand.Imm(4), rows)
	a.ADDQ(step, dst)
	a.DECQ(count)
	a.JNE(operand.LabelRef("row"))
	a.end()
}

// The fields of pointPoolArgs.
const (
	ppX      = iota // products: for each row of sums, for each point, all channels
	ppDst           // the result's pixels, one below the other
	ppEach          // for each two registers of channels: biases, 8 times, and an eighth of multipliers
	ppRows          // of the result
	ppBlocks        // pairs of registers of channels
	ppPlane         // bytes between products
	ppRow           // bytes between rows of dst
	ppThird         // 1/3 modulo 2^32
	ppPlus          // and limits, as for nearest
	_
	_
	ppNext // scratch of the kernel: the next row of products
	ppNextDst
)

// pointPool makes elements of products by points: of each two rows of sums the largest of a left and a right pixel each, requantized by
// nearestInts.
func (a lanes) pointPool() {
	name := "pointPool" + a.suffix()
	a.begin(name, name+" is PointPool's way back.")
	x, dst, each, n, below := reg.RSI, reg.RDI, reg.RDX, reg.RCX, reg.R11
	third, r := a.v(8), a.nearestRegs(9)
	a.VPBROADCASTD(field(ppThird), third)
	a.loadNearest(r, 2, ppPlus, reg.RBX)
	plane := a.multiples(ppPlane, reg.R8, reg.R9, reg.R10)
	a.MOVQ(field(ppX), x)
	a.MOVQ(x, field(ppNext))
	a.MOVQ(field(ppDst), dst)
	a.MOVQ(dst, field(ppNextDst))
	a.Label("row")
	a.MOVQ(field(ppNext), x)
	a.MOVQ(field(ppNextDst), dst)
	a.MOVQ(field(ppEach), each)
	a.MOVQ(field(ppBlocks), n)
	a.Label("block")
	a.LEAQ(operand.Mem{Base: x, Index: reg.R9, Scale: 2}, below) // six planes on
	var most []reg.VecPhysical
	for b := range 2 {
		largest := a.v(b)
		for y, base := range []reg.Register{x, below} {
			product := func(i int) operand.Mem {
				m := plane(base, i)
				m.Disp = b * a.bytes()
				return m
			}
			left, right := a.pair(product, 2)
			if y == 0 {
				a.VPMAXSD(left, right, largest)
				continue
			}
			a.VPMAXSD(left, right, right)
			a.VPMAXSD(right, largest, largest)
		}
		most = append(most, largest)
	}
	var mul []operand.Op
	for b, v := range most {
		a.VPMULLD(third, v, v)
		a.VPADDD(at(each, b*a.bytes()), v, v)
		a.VCVTDQ2PS(v, v)
		mul = append(mul, at(each, (2+b)*a.bytes()))
	}
	a.store(a.nearestInts(2, most, mul, r, "block")[0], at(dst, 0))
	a.ADDQ(operand.I32(2*a.bytes()), x)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.ADDQ(operand.I32(4*a.bytes()), each)
	a.DECQ(n)
	a.JNE(operand.LabelRef("block"))
	a.LEAQ(operand.Mem{Base: reg.R9, Index: reg.R9, Scale: 1}, n)
	a.ADDQ(n, n) // twelve planes
	a.ADDQ(n, field(ppNext))
	a.MOVQ(field(ppRow), n)
	a.ADDQ(n, field(ppNextDst))
	a.DECQ(field(ppRows))
	a.JNE(operand.LabelRef("row"))
	a.end()
}

// pair is the left and the right pixel of the products of six points, 24 times too large, in two of four registers from the given one on.
func (a lanes) pair(product func(point int) operand.Mem, first int) (left, right reg.VecPhysical) {
	left, right, sum, difference := a.v(first), a.v(first+1), a.v(first+2), a.v(first+3)
	a.load(product(1), left)
	a.load(product(3), sum)
	a.VPSUBD(product(2), left, right)
	a.VPSUBD(product(4), sum, difference)
	a.VPADDD(product(2), left, left)
	a.VPADDD(product(4), sum, sum)
	a.VPADDD(product(0), left, left)
	a.VPADDD(product(5), right, right)
	a.VPADDD(difference, difference, difference)
	a.VPADDD(sum, left, left)
	a.VPADDD(difference, right, right)
	return left, right
}
