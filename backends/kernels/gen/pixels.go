package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of planesArgs.
const (
	planeX = iota
	planeDst
	planeRows // offsets of rows, 32 bits each
	planeCount
	planeFrom // offsets of planes in a row
	planePlanes
	planeChunks // registers of a plane
	planeStep   // bytes of a row between registers
	planeWidth  // bytes of a plane
	planeOrder  // one index of words, or two of bytes
	planeLane   // bytes of a row between lanes
)

// planes brings steps of 4 bytes that lie a few bytes apart in a row to neighbouring lanes: plane by plane, row by row. A plane's last
// register may reach into the next plane, which is written after it.
func (a lanes) planes() {
	name := "planes" + a.suffix()
	a.begin(name, name+" is PixelLanes.planes.")
	row, rows, plane, planes := reg.RSI, reg.RCX, reg.RDI, reg.RDX
	dst, from, to, k, tmp := reg.R8, reg.R9, reg.R10, reg.R11, reg.R12
	places := []reg.Register{reg.R13, reg.R14, reg.RBX} // of lanes 2, 4 and 6
	a.MOVQ(field(planeOrder), tmp)
	if a.zmm {
		a.load(at(tmp, 0), a.v(0))
	} else {
		a.load(at(tmp, 0), a.v(2))
		a.load(at(tmp, 32), a.v(3))
		a.MOVQ(field(planeLane), places[0])
		a.ADDQ(places[0], places[0])
		a.LEAQ(operand.Mem{Base: places[0], Index: places[0], Scale: 1}, places[1])
		a.LEAQ(operand.Mem{Base: places[0], Index: places[0], Scale: 2}, places[2])
	}
	a.MOVQ(field(planeDst), dst)
	a.MOVQ(field(planeRows), row)
	a.MOVQ(field(planeCount), rows)
	a.Label("row")
	a.MOVQ(field(planeFrom), plane)
	a.MOVQ(field(planePlanes), planes)
	a.Label("plane")
	a.MOVLQSX(at(row, 0), from)
	a.ADDQ(field(planeX), from)
	a.ADDQ(at(plane, 0), from)
	a.MOVQ(dst, to)
	a.MOVQ(field(planeChunks), k)
	a.Label("chunk")
	if a.zmm {
		a.load(at(from, 0), a.v(1))
		a.VPERMT2W(at(from, 64), a.v(0), a.v(1))
		a.store(a.v(1), at(to, 0))
	} else {
		lane := func(i int) operand.Mem { return operand.Mem{Base: from, Index: places[i/2-1], Scale: 1} }
		a.VMOVDQU(at(from, 0), reg.X0)
		a.VMOVDQU(lane(2), reg.X1)
		a.VINSERTI128(operand.Imm(1), lane(4), reg.Y0, reg.Y0)
		a.VINSERTI128(operand.Imm(1), lane(6), reg.Y1, reg.Y1)
		a.VPSHUFB(reg.Y2, reg.Y0, reg.Y0)
		a.VPSHUFB(reg.Y3, reg.Y1, reg.Y1)
		a.VPOR(reg.Y1, reg.Y0, reg.Y0)
		a.store(reg.Y0, at(to, 0))
	}
	a.ADDQ(field(planeStep), from)
	a.ADDQ(operand.Imm(uint64(a.bytes())), to)
	a.DECQ(k)
	a.JNE(operand.LabelRef("chunk"))
	a.ADDQ(field(planeWidth), dst)
	a.ADDQ(operand.Imm(8), plane)
	a.DECQ(planes)
	a.JNE(operand.LabelRef("plane"))
	a.ADDQ(operand.Imm(4), row)
	a.DECQ(rows)
	a.JNE(operand.LabelRef("row"))
	a.end()
}

// The fields of pixelArgs.
const (
	pixX = iota
	pixW
	pixAcc
	pixBias
	pixOff // of each step, for the left pixels and for the right ones; of points, memory for the products of a tile
	pixSteps
	pixTiles // offsets of tiles, 32 bits each
	pixCount
	pixBelow  // bytes between the rows of a tile
	pixStride // bytes between tiles of acc
	pixThird  // 1/3 modulo 2^32, for points
)

// pixelRows is the number of rows of a tile that registers have room for.
func (a lanes) pixelRows() int {
	if a.zmm {
		return 2
	}
	return 1
}

// pixels is a tile of so many channels of the left and the right pixels of pairs, in one row or in two: the largest of them.
func (a lanes) pixels(channels int) {
	name := fmt.Sprintf("pixels%d%s", channels, a.suffix())
	a.begin(name, fmt.Sprintf("%s is PixelLanes.sums for %d channels.", name, channels))
	w, out, off, k, tile, count, px := reg.RDX, reg.RDI, reg.RBX, reg.RCX, reg.RSI, reg.R8, []reg.Register{reg.R9, reg.R10}[:a.pixelRows()]
	sides := []reg.Register{reg.R11, reg.R12}
	n := 2 * len(px) // pixels of a tile
	acc := func(c, p int) reg.VecPhysical { return a.v(c*n + p) }
	x := func(p int) reg.VecPhysical { return a.v(channels*n + p) }
	weight, tmp := a.v((channels+1)*n), a.v((channels+1)*n+1)
	a.MOVQ(field(pixAcc), out)
	a.MOVQ(field(pixTiles), tile)
	a.MOVQ(field(pixCount), count)
	a.Label("tile")
	a.MOVLQSX(at(tile, 0), px[0])
	a.ADDQ(field(pixX), px[0])
	for _, p := range px[1:] {
		a.MOVQ(px[0], p)
		a.ADDQ(field(pixBelow), p)
	}
	a.MOVQ(field(pixBias), w)
	for c := range channels {
		a.VPBROADCASTD(at(w, 4*c), acc(c, 0))
		for p := 1; p < n; p++ {
			a.VMOVAPS(acc(c, 0), acc(c, p))
		}
	}
	a.MOVQ(field(pixW), w)
	a.MOVQ(field(pixOff), off)
	a.MOVQ(field(pixSteps), k)
	a.Label("step")
	for i, side := range sides {
		a.MOVQ(at(off, 8*i), side)
		for j, p := range px {
			a.load(operand.Mem{Base: p, Index: side, Scale: 1}, x(2*j+i))
		}
	}
	for c := range channels {
		a.VPBROADCASTD(at(w, 4*c), weight)
		for p := range n {
			if a.zmm {
				a.VPDPBUSD(weight, x(p), acc(c, p))
			} else {
				a.VPMADDWD(weight, x(p), tmp)
				a.VPADDD(tmp, acc(c, p), acc(c, p))
			}
		}
	}
	a.ADDQ(operand.Imm(16), off)
	a.ADDQ(operand.Imm(uint64(4*channels)), w)
	a.DECQ(k)
	a.JNE(operand.LabelRef("step"))
	for c := range channels {
		for p := 1; p < n; p++ {
			a.VPMAXSD(acc(c, p), acc(c, 0), acc(c, 0))
		}
		a.store(acc(c, 0), at(out, a.bytes()*c))
	}
	a.ADDQ(field(pixStride), out)
	a.ADDQ(operand.Imm(4), tile)
	a.DECQ(count)
	a.JNE(operand.LabelRef("tile"))
	a.end()
}
