package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// alongTiles is tiles for windows at every pixel, with AVX-512, in whole registers or half ones. It goes along the row, with three of the six rows
// of B^T d in registers, where two columns of a tile stay for the next one, and the others in the scratch: stores of all six take longer than
// the arithmetic on a Zen 4, and for all six there are not enough registers. tilesTile says for each tile how many bytes it is from the column
// behind the tile before to its first one, or 0 where they share two.
func (a lanes) alongTiles(bytes int, half bool) {
	const side, kept = 6, 3
	name, size, words := "alongTiles", a.bytes(), a.v
	if half {
		name, size = name+"Half", size/2
		words = func(i int) reg.VecPhysical { return a.v(i).AsY().(reg.VecPhysical) }
	}
	name = fmt.Sprintf("%s%d%s", name, 8*bytes, a.suffix())
	a.begin(name, name+" transforms a row of tiles.")
	rows := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13}
	x, strip, tile, dst := reg.R14, reg.RDI, reg.RSI, reg.RBX
	a.XORQ(x, x)
	a.MOVQ(x, field(tilesNext))
	a.MOVQ(x, field(tilesNextDst))
	plane := a.multiples(tilesPlane, reg.RDX, reg.RCX, reg.R15)

	column := func(j int) []reg.VecPhysical { // what is kept of it
		return []reg.VecPhysical{words(kept * j), words(kept*j + 1), words(kept*j + 2)}
	}
	var free []reg.VecPhysical
	for i := kept * side; i < 32; i++ {
		free = append(free, words(i))
	}
	read := func(j int) {
		d := append(column(j), free[:kept]...)
		for i, r := range rows {
			m := operand.Mem{Base: r, Index: x, Scale: 1}
			if bytes == 1 {
				a.VPMOVZXBW(m, d[i])
			} else {
				a.VMOVDQU32(m, d[i])
			}
		}
		for i, v := range a.transformedOf(d, free[kept:])[kept:] {
			a.VMOVDQU32(v, at(strip, ((side-kept)*j+i)*size))
		}
		a.ADDQ(field(tilesStep), x)
	}

	a.Label("block")
	for i, r := range rows {
		a.MOVQ(field(tilesRow+i), r)
		a.ADDQ(field(tilesX), r)
	}
	a.MOVQ(field(tilesTiles), x)
	a.MOVQ(x, field(tilesLeft))
	a.MOVQ(field(tilesNext), x)
	a.MOVQ(field(tilesStrip), strip)
	a.MOVQ(field(tilesDst), dst)
	a.ADDQ(field(tilesNextDst), dst)
	a.MOVQ(field(tilesTile), tile)
	a.JMP(operand.LabelRef("apart"))
	a.Label("tile")
	a.CMPQ(at(tile, 0), operand.Imm(0))
	a.JEQ(operand.LabelRef("along"))
	a.Label("apart")
	a.ADDQ(at(tile, 0), x)
	read(0)
	read(1)
	a.Label("along")
	for j := 2; j < side; j++ {
		read(j)
	}
	for i := range side {
		var d []reg.VecPhysical
		for j := range side {
			if i < kept {
				d = append(d, column(j)[i])
				continue
			}
			d = append(d, free[j])
			a.VMOVDQU32(at(strip, ((side-kept)*j+i-kept)*size), d[j])
		}
		tmp := free
		if i >= kept {
			tmp = free[side:]
		}
		for j, v := range a.transformedOf(d, tmp) {
			a.VMOVDQU32(v, plane(dst, j))
		}
		a.LEAQ(operand.Mem{Base: dst, Index: reg.RCX, Scale: 2}, dst) // 6 planes
		if i < kept {
			a.VMOVDQA32(d[4], d[0])
			a.VMOVDQA32(d[5], d[1])
		}
	}
	a.ADDQ(operand.I32((side-2)*(side-kept)*size), strip)
	a.ADDQ(operand.Imm(8), tile)
	a.DECQ(field(tilesLeft))
	a.JNE(operand.LabelRef("tile"))

	a.ADDQ(operand.I32(size/2*bytes), field(tilesNext))
	a.ADDQ(operand.I32(size), field(tilesNextDst))
	a.DECQ(field(tilesBlocks))
	a.JNE(operand.LabelRef("block"))
	a.end()
}
