package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// halfway is f for products that halfProducts has taken down the columns: 4 rows of a tile, of 6 planes each.
func (a lanes) halfway(f winogradForm) winogradForm {
	f.name, f.half = "Half", true
	f.first = func() {}
	f.next = func() {
		// 24 planes on: the blocks were one, and here are 20 and 3.
		x := reg.RSI
		a.LEAQ(operand.Mem{Base: x, Index: reg.R10, Scale: 4}, x)
		a.ADDQ(reg.R9, x)
	}
	return f
}

// halfProducts is products for windows at every pixel, with AVX-512, of 4 tiles by one block of output channels, but takes a column of 6 points
// together. Sums are transformed back down the column, a tile's while those of the next one are multiplied for the last time.
func (a lanes) halfProducts(f winogradForm) {
	const tiles, points = 4, 6
	a.begin("halfProducts", fmt.Sprintf("halfProducts adds up products of %d tiles by columns, and transforms these back.", tiles))
	size := a.bytes()
	x := []reg.Register{reg.RSI, reg.RDI, reg.R11, reg.R12}
	w, acc, groups, n, first := reg.RDX, reg.RBX, reg.R14, reg.RCX, reg.R13
	row := a.multiples(productsRow, reg.R8, reg.R9, reg.R10)
	sum := func(t, i int) reg.VecPhysical { return a.v(t*points + i) }
	weights := func(i int) reg.VecPhysical { return a.v(tiles*points + i) }
	tmp := a.v((tiles + 1) * points)
	a.MOVQ(field(productsW), first)

	a.Label("column")
	a.MOVQ(field(productsColumns), n)
	a.MOVQ(n, field(productsColumn))
	a.Label("block")
	a.MOVQ(field(productsX), x[0])
	a.MOVQ(field(productsAcc), acc)
	a.MOVQ(field(productsGroups), groups)
	a.Label("group")
	for t := 1; t < tiles; t++ {
		a.MOVQ(x[t-1], x[t])
		a.ADDQ(field(productsTile), x[t])
	}
	for i := range tiles * points {
		a.clear(a.v(i))
	}
	a.MOVQ(first, w)
	load := func(half int) {
		for i := range points {
			a.load(at(w, (half*points+i)*size), weights(i))
		}
	}
	multiply := func(half, t int) {
		for i := range points {
			m := row(x[t], i)
			m.Disp = 4 * half
			a.VPDPWSSD_BCST(m, weights(i), sum(t, i))
		}
	}
	a.MOVQ(field(productsSteps), n)
	a.DECQ(n)
	a.JEQ(operand.LabelRef("last"))
	a.Label("step")
	for half := range 2 {
		load(half)
		for t := range tiles {
			multiply(half, t)
		}
	}
	for _, x := range x {
		a.ADDQ(operand.Imm(8), x)
	}
	a.ADDQ(operand.I32(2*points*size), w)
	a.DECQ(n)
	a.JNE(operand.LabelRef("step"))

	a.Label("last")
	load(0)
	for t := range tiles {
		multiply(0, t)
	}
	load(1)
	a.ADDQ(operand.I32(2*points*size), w)
	a.MOVQ(w, field(productsNextW))
	down, thrice := w, n
	a.MOVQ(field(productsRowAcc), down)
	a.LEAQ(operand.Mem{Base: down, Index: down, Scale: 2}, thrice)
	rows := []operand.Mem{{Base: acc}, {Base: acc, Index: down, Scale: 1}, {Base: acc, Index: down, Scale: 2}, {Base: acc, Index: thrice, Scale: 1}}
	for t := range tiles {
		multiply(1, t)
		var ops []operand.Op
		for i := range points {
			ops = append(ops, sum(t, i))
		}
		sums, _ := f.restored(ops, tmp)
		for i, v := range sums {
			a.store(v, rows[i])
		}
		a.ADDQ(field(productsTileAcc), acc)
	}
	// The next group follows the last tile, whose place is all steps but the last one back.
	a.MOVQ(field(productsSteps), n)
	a.NEGQ(n)
	a.LEAQ(operand.Mem{Base: x[tiles-1], Index: n, Scale: 8, Disp: 8}, x[0])
	a.ADDQ(field(productsTile), x[0])
	a.DECQ(groups)
	a.JNE(operand.LabelRef("group"))
	a.MOVQ(field(productsNextW), first)
	a.productsEnd(size, n, "block", "column")
}
