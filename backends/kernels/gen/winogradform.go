package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winogradForm is what differs between windows at every pixel and at every other.
type winogradForm struct {
	name         string
	split, half  bool // see splitTiles and halfway
	side, points int  // of a tile of elements, and of products
	transformed  func() []reg.VecPhysical
	memory       map[int]bool // operands of restored that may be in memory
	restored     func(m []operand.Op, tmp reg.VecPhysical) (sums, free []reg.VecPhysical)
	write        func(tile func(i, half int) []reg.VecPhysical) // the rows of a tile of elements, at RBX, which moves on to the next tile
	first, next  func()                                         // address the products of a tile at RSI, and move RSI from its last block on to the next tile
	column       func(p reg.Register, j int) []operand.Mem      // of products, where p moves on by a plane each time
	shift        func(i, j int) uint64                          // of sums, after the division by 9
}

// everyPixel is F(4x4,3x3), in the order of rows.
func (a lanes) everyPixel(split bool) winogradForm {
	dst, x := reg.RBX, reg.RSI
	f := winogradForm{split: split, side: 6, points: 6, transformed: a.transformed, memory: map[int]bool{0: true, 5: true}, restored: a.restored}
	f.write = func(tile func(i, half int) []reg.VecPhysical) {
		plane := a.multiples(tilesPlane, reg.R8, reg.R9, reg.R10)
		a.LEAQ(operand.Mem{Base: reg.R9, Index: reg.R9, Scale: 1}, reg.R11)
		low, sum := reg.R12, reg.R13
		further := func(by, from, to reg.Register) { // 36 planes
			a.LEAQ(operand.Mem{Base: from, Index: by, Scale: 4}, to)
			a.LEAQ(operand.Mem{Base: to, Index: by, Scale: 2}, to)
		}
		f.loop(a, func() {
			if split {
				further(reg.R11, dst, low)
				further(reg.R11, low, sum)
			}
			for i := range 6 {
				for j, v := range tile(i, 0) {
					a.store(v, plane(dst, j))
				}
				if split {
					for j, v := range tile(i, 1) {
						a.store(v, plane(low, j))
						a.VPADDW(plane(dst, j), v, v)
						a.store(v, plane(sum, j))
					}
				}
				a.ADDQ(reg.R11, dst)
				if split {
					a.ADDQ(reg.R11, low)
					a.ADDQ(reg.R11, sum)
				}
			}
			if split {
				a.MOVQ(sum, dst)
			}
		})
	}
	f.first = func() {
		a.LEAQ(operand.Mem{Base: reg.R9, Index: reg.R9, Scale: 1}, reg.R11) // 6 planes
		a.LEAQ(operand.Mem{Base: reg.R11, Index: reg.R11, Scale: 2}, reg.R12)
		a.LEAQ(operand.Mem{Base: reg.R11, Index: reg.R11, Scale: 4}, reg.R10)
	}
	f.column = func(p reg.Register, j int) []operand.Mem {
		return []operand.Mem{{Base: p}, {Base: p, Index: reg.R11, Scale: 1}, {Base: p, Index: reg.R11, Scale: 2}, {Base: p, Index: reg.R12, Scale: 1}, {Base: p, Index: reg.R11, Scale: 4}, {Base: p, Index: reg.R10, Scale: 1}}
	}
	f.next = func() {
		// The next tile is 36 planes on for each part: the blocks were one, and here are 30 and 5.
		a.ADDQ(reg.R10, x)
		a.LEAQ(operand.Mem{Base: x, Index: reg.R8, Scale: 4}, x)
		a.ADDQ(reg.R8, x)
		if split {
			for range 2 {
				a.ADDQ(reg.R10, x)
				a.ADDQ(reg.R11, x)
			}
		}
	}
	// The products of the first row and column are 24 times too large, the others 12 times, in each direction.
	f.shift = func(i, j int) uint64 { return uint64(6 - min(i, 1) - min(j, 1)) }
	return f
}

// loop repeats a body for the tiles of RCX, with the strip of each in RDI.
func (f winogradForm) loop(a lanes, body func()) {
	strip, n, tile := reg.RDI, reg.RCX, reg.RSI
	a.Label("tile")
	a.MOVQ(at(tile, 0), strip)
	a.ADDQ(field(tilesStrip), strip)
	body()
	a.ADDQ(operand.Imm(8), tile)
	a.DECQ(n)
	a.JNE(operand.LabelRef("tile"))
}

// transformed is B^T of registers 0 to 5.
func (a lanes) transformed() []reg.VecPhysical {
	return a.transformedOf([]reg.VecPhysical{a.v(0), a.v(1), a.v(2), a.v(3), a.v(4), a.v(5)}, []reg.VecPhysical{a.v(6), a.v(7), a.v(8), a.v(9), a.v(10)})
}

// transformedOf is B^T of six registers with five more for the work. The first three of the six have the first results then, the fourth is
// lost, and the last two stay.
func (a lanes) transformedOf(d, tmp []reg.VecPhysical) []reg.VecPhysical {
	p, q, r, s, t := tmp[0], tmp[1], tmp[2], tmp[3], tmp[4]
	a.VPSLLW(operand.Imm(2), d[2], p)
	a.VPSUBW(p, d[4], p) // d4 - 4 d2
	a.VPSLLW(operand.Imm(2), d[1], q)
	a.VPSUBW(q, d[3], q) // d3 - 4 d1
	a.VPSUBW(d[2], d[4], r)
	a.VPSUBW(d[1], d[3], s)
	a.VPADDW(s, s, s) // 2 d3 - 2 d1
	a.VPSUBW(d[2], d[0], d[0])
	a.VPSLLW(operand.Imm(2), d[0], d[0])
	a.VPADDW(r, d[0], d[0]) // 4 d0 - 5 d2 + d4
	a.VPSUBW(d[3], d[5], d[3])
	a.VPADDW(s, s, t)
	a.VPSUBW(t, d[3], d[3]) // 4 d1 - 5 d3 + d5
	a.VPADDW(q, p, d[1])
	a.VPSUBW(q, p, d[2])
	a.VPADDW(s, r, q)
	a.VPSUBW(s, r, p)
	return []reg.VecPhysical{d[0], d[1], d[2], q, p, d[3]}
}

// restored are the registers with what A^T makes of six operands, of which the first and the last one may be in memory, and those that are free
// then. All are lost, and one more is for the work.
func (a lanes) restored(m []operand.Op, s reg.VecPhysical) (sums, free []reg.VecPhysical) {
	d, t, e, u := m[1].(reg.VecPhysical), m[2].(reg.VecPhysical), m[3].(reg.VecPhysical), m[4].(reg.VecPhysical)
	a.VPADDD(t, d, s)
	a.VPSUBD(t, d, d)
	a.VPADDD(u, e, t)
	a.VPSUBD(u, e, e)
	a.VPADDD(t, s, u)
	a.VPADDD(m[0], s, s)
	a.VPADDD(u, s, s) // m0 + 2 s + t
	a.VPADDD(t, u, u) // s + 2 t
	a.VPADDD(e, d, t) // d + e
	a.VPADDD(m[5], e, e)
	a.VPSLLD(operand.Imm(2), e, e)
	a.VPADDD(d, e, e) // d + 4 e + 4 m5
	return []reg.VecPhysical{s, t, u, e}, registers([]operand.Op{m[0], d, m[5]})
}
