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
// together, and its sums back down the column. These additions and the stores go between the first products of the next group of tiles: on a
// Zen 4, additions take the place of multiplications where they crowd, and stores that of VPDPWSSD (see products).
func (a lanes) halfProducts(f winogradForm) {
	const tiles, points = 4, 6
	a.begin("halfProducts", fmt.Sprintf("halfProducts adds up products of %d tiles by columns, and transforms these back.", tiles))
	size := a.bytes()
	x := []reg.Register{reg.RSI, reg.RDI, reg.R11, reg.R12}
	w, acc, groups, n, first, toAcc := reg.RDX, reg.RBX, reg.R14, reg.RCX, reg.R13, reg.R15
	row := a.multiples(productsRow, reg.R8, reg.R9, reg.R10)
	sum := func(t, i int) reg.VecPhysical { return a.v(t*points + i) }
	weights := func(i int) reg.VecPhysical { return a.v(tiles*points + i) }
	tmp := a.v((tiles + 1) * points)
	load := func(half int) {
		for i := range points {
			a.load(at(w, (half*points+i)*size), weights(i))
		}
	}
	element := func(half, t, i int) operand.Mem {
		m := row(x[t], i)
		m.Disp = 4 * half
		return m
	}
	multiply := func(half int) {
		load(half)
		for t := range tiles {
			for i := range points {
				a.VPDPWSSD_BCST(element(half, t, i), weights(i), sum(t, i))
			}
		}
	}
	begin := func(t int) {
		for i := range points {
			a.VPBROADCASTD(element(0, t, i), tmp)
			a.VPMADDWD(weights(i), tmp, sum(t, i))
		}
	}
	down, thrice := w, n
	rows := func() {
		a.MOVQ(field(productsRowAcc), down)
		a.LEAQ(operand.Mem{Base: down, Index: down, Scale: 2}, thrice)
	}
	store := func(t int) {
		var ops []operand.Op
		for i := range points {
			ops = append(ops, sum(t, i))
		}
		sums, _ := f.restored(ops, tmp)
		for i, m := range []operand.Mem{{Base: acc}, {Base: acc, Index: down, Scale: 1}, {Base: acc, Index: down, Scale: 2}, {Base: acc, Index: thrice, Scale: 1}} {
			a.store(sums[i], m)
		}
		a.ADDQ(toAcc, acc)
	}
	a.MOVQ(field(productsTileAcc), toAcc)
	a.MOVQ(field(productsW), first)
	a.XORQ(acc, acc) // there are no sums yet

	a.Label("column")
	a.MOVQ(field(productsColumns), n)
	a.MOVQ(n, field(productsColumn))
	a.Label("block")
	a.MOVQ(field(productsX), x[0])
	a.MOVQ(field(productsGroups), groups)
	a.Label("group")
	for t := 1; t < tiles; t++ {
		a.MOVQ(x[t-1], x[t])
		a.ADDQ(field(productsTile), x[t])
	}
	a.MOVQ(first, w)
	load(0)
	a.TESTQ(acc, acc)
	a.JEQ(operand.LabelRef("none"))
	rows()
	for t := range tiles {
		store(t)
		begin(t)
	}
	a.JMP(operand.LabelRef("begun"))
	a.Label("none")
	for t := range tiles {
		begin(t)
	}
	a.Label("begun")
	a.CMPQ(groups, field(productsGroups))
	a.JNE(operand.LabelRef("behind"))
	a.MOVQ(field(productsAcc), acc)
	a.Label("behind")
	a.MOVQ(first, w)
	a.MOVQ(field(productsSteps), n)
	a.JMP(operand.LabelRef("half"))
	a.Label("step")
	multiply(0)
	a.Label("half")
	multiply(1)
	for _, x := range x {
		a.ADDQ(operand.Imm(8), x)
	}
	a.ADDQ(operand.I32(2*points*size), w)
	a.DECQ(n)
	a.JNE(operand.LabelRef("step"))
	// The next group follows the last tile, whose place is all steps back.
	a.MOVQ(field(productsSteps), n)
	a.NEGQ(n)
	a.LEAQ(operand.Mem{Base: x[tiles-1], Index: n, Scale: 8}, x[0])
	a.ADDQ(field(productsTile), x[0])
	a.DECQ(groups)
	a.JNE(operand.LabelRef("group"))
	a.MOVQ(w, first)
	a.productsEnd(size, n, "block", "column")
	rows()
	for t := range tiles {
		store(t)
	}
	a.end()
}
