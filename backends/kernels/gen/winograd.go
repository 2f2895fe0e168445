package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winograd writes all functions of kernels.Winograd.
func (a lanes) winograd() {
	every, split, other := a.everyPixel(false), a.everyPixel(true), a.everyOther()
	if !a.zmm {
		a.tiles(2, every)
	}
	a.tiles(2, split)
	for _, bytes := range []int{1, 2} {
		a.tiles(bytes, other) // with AVX-512, of registers half as wide, too
		if a.zmm {
			a.alongTiles(bytes, false)
			a.alongTiles(bytes, true)
		}
	}
	for _, f := range []winogradForm{every, split, other} {
		a.untiles(f)
	}
	for _, pool := range []bool{false, true} {
		for _, f := range []winogradForm{every, other} {
			a.requantTiles(f, 2, pool)
			if a.zmm {
				a.requantTiles(f, 1, pool)
			}
		}
	}
	if a.zmm {
		a.halfProducts(every)
		f := a.halfway(every)
		a.untiles(f)
		for _, pool := range []bool{false, true} {
			a.requantTiles(f, 1, pool)
			a.requantTiles(f, 2, pool)
		}
	}
	for _, far := range []bool{false, true} {
		if !a.zmm {
			a.products(4, 2, far)
			continue
		}
		a.products(8, 1, far)
		a.products(8, 2, far)
		a.products(4, 4, far)
	}
}

// The fields of tilesArgs.
const (
	tilesX       = iota
	tilesRow     // bytes from x to each of up to 9 rows
	tilesDst     = tilesRow + 9
	tilesStrip   = iota + 8 // scratch: a register for each row and column
	tilesCols               // columns
	tilesStep               // bytes between them
	tilesTile               // bytes from the strip to each tile's first column
	tilesTiles              // their number
	tilesBlocks             // registers of channels
	tilesPlane              // bytes between the results of a tile
	tilesNext               // scratch of the kernel: bytes from a pixel to its channels
	tilesNextDst            // and from dst
)

// tilesLeft is scratch of alongTiles: tiles to go.
const tilesLeft = tilesCols

// tiles takes a row of tiles of elements of the given bytes to the domain of products: B^T d B in 16 bits, first down the columns,
// which neighbouring tiles share, then along the rows. With split, it is the high bytes that are transformed, with their signs, then
// the low ones without, and then their sums, 36 planes each.
func (a lanes) tiles(bytes int, f winogradForm) {
	name, halves := fmt.Sprintf("tiles%s%d%s", f.name, 8*bytes, a.suffix()), 1
	if f.split {
		name, halves = "splitTiles"+a.suffix(), 2
	}
	a.begin(name, name+" transforms a row of tiles.")
	size := a.bytes()
	rows := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.RSI, reg.RBX, reg.RDX}[:f.side]
	x, strip, n, tile, dst := reg.R14, reg.RDI, reg.RCX, reg.RSI, reg.RBX
	a.XORQ(x, x)
	a.MOVQ(x, field(tilesNext))
	a.MOVQ(x, field(tilesNextDst))

	a.Label("block")
	for i, r := range rows {
		a.MOVQ(field(tilesRow+i), r)
		a.ADDQ(field(tilesX), r)
	}
	a.MOVQ(field(tilesNext), x)
	a.MOVQ(field(tilesStrip), strip)
	a.MOVQ(field(tilesCols), n)
	a.Label("column")
	for half := range halves {
		for i, r := range rows {
			m, v := operand.Mem{Base: r, Index: x, Scale: 1}, a.v(i)
			if bytes == 1 {
				a.VPMOVZXBW(m, v)
				continue
			}
			a.load(m, v)
			switch {
			case f.split && half == 0:
				a.VPSRAW(operand.Imm(8), v, v)
			case f.split:
				a.VPSLLW(operand.Imm(8), v, v)
				a.VPSRLW(operand.Imm(8), v, v)
			}
		}
		for i, v := range f.transformed() {
			a.store(v, at(strip, (f.side*half+i)*size))
		}
	}
	a.ADDQ(field(tilesStep), x)
	a.ADDQ(operand.I32(f.side*halves*size), strip)
	a.DECQ(n)
	a.JNE(operand.LabelRef("column"))

	a.MOVQ(field(tilesDst), dst)
	a.ADDQ(field(tilesNextDst), dst)
	a.MOVQ(field(tilesTile), tile)
	a.MOVQ(field(tilesTiles), n)
	f.write(func(i, half int) []reg.VecPhysical {
		for j := range f.side {
			a.load(at(strip, (f.side*(halves*j+half)+i)*size), a.v(j))
		}
		return f.transformed()
	})

	a.ADDQ(operand.I32(size/2*bytes), field(tilesNext))
	a.ADDQ(operand.I32(size), field(tilesNextDst))
	a.DECQ(field(tilesBlocks))
	a.JNE(operand.LabelRef("block"))
	a.end()
}

// multiples loads a step into one, and 3 and 5 times as much into the other registers, and addresses up to 5 steps after a register.
func (a lanes) multiples(step int, one, three, five reg.Register) func(base reg.Register, i int) operand.Mem {
	a.MOVQ(field(step), one)
	a.LEAQ(operand.Mem{Base: one, Index: one, Scale: 2}, three)
	a.LEAQ(operand.Mem{Base: one, Index: one, Scale: 4}, five)
	return func(base reg.Register, i int) operand.Mem {
		m := operand.Mem{Base: base}
		switch i {
		case 1, 2, 4:
			m.Index, m.Scale = one, uint8(i)
		case 3:
			m.Index, m.Scale = three, 1
		case 5:
			m.Index, m.Scale = five, 1
		}
		return m
	}
}

// The fields of productsArgs.
const (
	productsX       = iota
	productsW       // in the order of the loops
	productsAcc     //
	productsPoints  // of a tile
	productsColumns // of blocks of output channels
	productsGroups  // of tiles
	productsSteps   // of 4 channels
	productsTile    // bytes between tiles of elements
	productsPlane   // and between their points
	productsTileAcc // and between tiles of products
	productsRow     // and, for halfProducts, between points of a column
	productsRowAcc  // and between rows of products that are half way back
	productsColumn  // scratch of the kernel
)

// ahead is how many bytes before they are used weights are fetched that lie far away.
const ahead = 4096

// products adds up the products of each point of all tiles over channels, for some tiles by some blocks of output channels at a time. Far
// weights are too many for the caches of a core.
//
// On a Zen 4 a store takes the place of two VPDPWSSD, whose third operand it is in the way of, but of no VPMADDWD. So the first step, which
// runs beside the stores of the tiles before, does without the former.
func (a lanes) products(tiles, blocks int, far bool) {
	name := fmt.Sprintf("products%dx%d%s", tiles, blocks, a.suffix())
	if far {
		name = "farP" + name[1:]
	}
	a.begin(name, fmt.Sprintf("%s adds up products of %d tiles by %d blocks of output channels.", name, tiles, blocks))
	size := a.bytes()
	x, next, w, first, acc, groups, n, seven, toAcc := reg.RSI, reg.R13, reg.RDX, reg.RDI, reg.RBX, reg.RCX, reg.R14, reg.R11, reg.R12
	sum := func(t, b int) reg.VecPhysical { return a.v(t*blocks + b) }
	weights := func(b int) reg.VecPhysical { return a.v(tiles*blocks + b) }
	d, tmp := a.v((tiles+1)*blocks), a.v((tiles+1)*blocks+1)
	tile := a.multiples(productsTile, reg.R8, reg.R9, reg.R10)
	a.LEAQ(operand.Mem{Base: reg.R9, Index: reg.R8, Scale: 4}, seven)
	a.MOVQ(field(productsTileAcc), toAcc)
	a.MOVQ(field(productsW), first)

	a.Label("point")
	a.MOVQ(field(productsColumns), n)
	a.MOVQ(n, field(productsColumn))
	a.Label("column")
	a.MOVQ(field(productsX), next)
	a.MOVQ(field(productsAcc), acc)
	a.MOVQ(field(productsGroups), groups)
	a.Label("group")
	a.MOVQ(next, x)
	a.MOVQ(first, w)
	a.MOVQ(field(productsSteps), n)
	step := func(first bool) {
		for i := 0; far && i < 2*blocks*size; i += 64 {
			a.PREFETCHT0(at(w, ahead+i))
		}
		for half := range 2 {
			for b := range blocks {
				a.load(at(w, (half*blocks+b)*size), weights(b))
			}
			for t := range tiles {
				m := tile(x, t)
				switch t {
				case 6:
					m.Index, m.Scale = reg.R9, 2
				case 7:
					m.Index, m.Scale = seven, 1
				}
				m.Disp = 4 * half
				a.VPBROADCASTD(m, d)
				for b := range blocks {
					switch {
					case first && half == 0:
						a.VPMADDWD(weights(b), d, sum(t, b))
					case a.zmm && !first:
						a.VPDPWSSD(weights(b), d, sum(t, b))
					default:
						a.VPMADDWD(weights(b), d, tmp)
						a.VPADDD(tmp, sum(t, b), sum(t, b))
					}
				}
			}
		}
		a.ADDQ(operand.Imm(8), x)
		a.ADDQ(operand.I32(2*blocks*size), w)
		a.DECQ(n)
	}
	step(true)
	a.JEQ(operand.LabelRef("store"))
	a.Label("step")
	step(false)
	a.JNE(operand.LabelRef("step"))
	a.Label("store")
	for t := range tiles {
		for b := range blocks {
			a.store(sum(t, b), at(acc, b*size))
		}
		a.ADDQ(toAcc, acc)
	}
	a.LEAQ(operand.Mem{Base: next, Index: reg.R8, Scale: 4}, next)
	switch tiles {
	case 5:
		a.ADDQ(reg.R8, next)
	case 8:
		a.LEAQ(operand.Mem{Base: next, Index: reg.R8, Scale: 4}, next)
	}
	a.DECQ(groups)
	a.JNE(operand.LabelRef("group"))
	a.MOVQ(w, first)
	a.productsEnd(blocks*size, n, "column", "point")
	a.end()
}

// productsEnd goes on to the next columns of blocks, whose sums are so many bytes on, and to the next points, whose sums follow those of the
// last column. n is lost.
func (a lanes) productsEnd(bytes int, n reg.Register, column, point string) {
	a.ADDQ(operand.I32(bytes), field(productsAcc))
	a.DECQ(field(productsColumn))
	a.JNE(operand.LabelRef(column))
	a.MOVQ(field(productsPlane), n)
	a.ADDQ(n, field(productsX))
	a.DECQ(field(productsPoints))
	a.JNE(operand.LabelRef(point))
}
