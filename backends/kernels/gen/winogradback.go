package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of untilesArgs.
const (
	untilesX      = iota
	untilesAcc    // of the first tile
	untilesBias   // for each channel
	untilesSquare // scratch, with AVX2: 4 registers for each column of products
	untilesTile   // bytes from acc to each tile's first pixel
	untilesTiles  // their number
	untilesBlocks // registers of channels
	untilesPlane  // bytes between the products of a tile, and between pixels of acc
	untilesRow    // bytes between rows of acc
	untilesNinth  // modulo 2^32
	untilesHigh   // bytes from acc to the second parts of split sums
	untilesBlock  // scratch of the kernel
)

// square is a tile of products on its way to sums: first down the columns, with results in registers, or in memory where these are too few;
// then along the rows.
type square struct {
	lanes
	form winogradForm
	free []reg.VecPhysical
	at   reg.Register     // memory
	half [4][6]operand.Op // what columns makes
}

// squareRegs are the registers that a square takes, from the first one on: those of a column, beside the results of all others.
func (a lanes) squareRegs(f winogradForm) int {
	n := f.points - len(f.memory) + 1
	if a.zmm {
		n += 4 * (f.points - 1)
	}
	return n
}

func (a lanes) newSquare(f winogradForm, at reg.Register) *square {
	s := &square{lanes: a, form: f, at: at}
	for i := range a.squareRegs(f) {
		s.free = append(s.free, a.v(i))
	}
	return s
}

// registers are those of operands.
func registers(ops []operand.Op) []reg.VecPhysical {
	var r []reg.VecPhysical
	for _, op := range ops {
		if v, ok := op.(reg.VecPhysical); ok {
			r = append(r, v)
		}
	}
	return r
}

func (s *square) take() reg.VecPhysical {
	v := s.free[0]
	s.free = s.free[1:]
	return v
}

func (s *square) give(v ...reg.VecPhysical) { s.free = append(s.free, v...) }

// sums is restored of operands, which are loaded as it wants them.
func (s *square) sums(ops []operand.Op) []reg.VecPhysical {
	for i, op := range ops {
		if m, ok := op.(operand.Mem); ok && !s.form.memory[i] {
			v := s.take()
			s.load(m, v)
			ops[i] = v
		}
	}
	sums, free := s.form.restored(ops, s.take())
	s.give(free...)
	return sums
}

// columns reads the products from p on, and moves p on by as many planes as there are columns, or in the form's way.
func (s *square) columns(p reg.Register) {
	for j := range s.form.points {
		var ops []operand.Op
		for _, m := range s.form.column(p, j) {
			ops = append(ops, m)
		}
		for i, v := range s.sums(ops) {
			s.half[i][j] = v
			if !s.zmm {
				m := at(s.at, (s.form.points*i+j)*s.bytes())
				s.store(v, m)
				s.half[i][j] = m
				s.give(v)
			}
		}
		s.ADDQ(reg.R8, p)
	}
}

// row is the sums of a row, times 9 and a power of two. Who has used them gives them back.
func (s *square) row(i int) []reg.VecPhysical { return s.sums(s.half[i][:s.form.points]) }

// untiles takes the products of tiles back to sums of 4x4 pixels.
//
// With split, products are those of splitTiles with weights split alike: sums h of high bytes, l of low ones, and m of both added up.
// They fit 26 bits, or m - h - l does, and what results are two parts of Wide, without biases: h<<16 + (m-h-l)<<8 + l modulo 2^32, and
// h + (m-h-l)>>8.
func (a lanes) untiles(f winogradForm) {
	split := f.split
	name, parts := "untiles"+f.name+a.suffix(), 1
	if split {
		name, parts = "splitUntiles"+a.suffix(), 3
	}
	a.begin(name, name+" transforms products back.")
	size := a.bytes()
	x, to, bias, memory, high, p := reg.RSI, reg.RDI, reg.RDX, reg.RBX, reg.RCX, reg.R13
	tile, from := reg.R14, reg.R13
	if split {
		from = bias // there are none
	}
	ninth := a.v(a.squareRegs(f))
	a.VPBROADCASTD(field(untilesNinth), ninth)
	a.MOVQ(field(untilesTile), tile)
	a.MOVQ(field(untilesX), x)
	if !a.zmm {
		a.MOVQ(field(untilesSquare), memory)
	}
	plane := a.multiples(untilesPlane, reg.R8, reg.R9, reg.R10)
	f.first()

	a.Label("tile")
	a.MOVQ(at(tile, 0), to)
	a.ADDQ(field(untilesAcc), to)
	a.MOVQ(field(untilesBlocks), p)
	a.MOVQ(p, field(untilesBlock))
	if !split {
		a.MOVQ(field(untilesBias), bias)
	}
	a.Label("block")
	a.MOVQ(x, from)
	for part := range parts {
		s := a.newSquare(f, memory)
		s.columns(from)
		if split {
			a.ADDQ(reg.R10, from)
		}
		a.MOVQ(to, p)
		if split {
			a.MOVQ(to, high)
			a.ADDQ(field(untilesHigh), high)
		}
		for i := range 4 {
			for j, v := range s.row(i) {
				a.VPMULLD(ninth, v, v)
				a.VPSRAD(operand.Imm(f.shift(i, j)), v, v)
				switch {
				case !split:
					a.VPADDD(at(bias, 0), v, v)
					a.store(v, plane(p, j))
				case part == 0:
					a.store(v, plane(high, j))
				case part == 1:
					a.store(v, plane(p, j))
				default:
					n := a.squareRegs(f) + 1
					h, l, tmp := a.v(n), a.v(n+1), a.v(n+2)
					a.load(plane(high, j), h)
					a.load(plane(p, j), l)
					a.VPSUBD(h, v, v)
					a.VPSUBD(l, v, v)
					a.VPSLLD(operand.Imm(6), v, v)
					a.VPSRAD(operand.Imm(6), v, v)
					a.VPSLLD(operand.Imm(8), v, tmp)
					a.VPADDD(tmp, l, l)
					a.VPSLLD(operand.Imm(16), h, tmp)
					a.VPADDD(tmp, l, l)
					a.store(l, plane(p, j))
					a.VPSRAD(operand.Imm(8), v, v)
					a.VPADDD(v, h, h)
					a.store(h, plane(high, j))
				}
				s.give(v)
			}
			if i < 3 {
				a.ADDQ(field(untilesRow), p)
				if split {
					a.ADDQ(field(untilesRow), high)
				}
			}
		}
	}
	for _, r := range []reg.Register{x, to, bias} {
		a.ADDQ(operand.I32(size), r)
	}
	a.DECQ(field(untilesBlock))
	a.JNE(operand.LabelRef("block"))
	f.next()
	a.ADDQ(operand.Imm(8), tile)
	a.DECQ(field(untilesTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}
