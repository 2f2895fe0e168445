package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of untilesArgs.
const (
	untilesX      = iota
	untilesDst    // of the first tile
	untilesEach   // a register of numbers for each channel: biases; or for requantization, see there
	untilesSquare // scratch, with AVX2: 4 registers for each column of products
	untilesTile   // bytes from dst to each tile's first pixel
	untilesTiles  // their number
	untilesBlocks // registers of channels
	untilesPlane  // bytes between the products of a tile, and between pixels of sums
	untilesRow    // bytes between rows of dst
	untilesNinth  // modulo 2^32
	untilesHigh   // bytes from dst to the second parts of split sums
	untilesRest   // bytes of the products of a point that are left out
	untilesPixel  // bytes between pixels that are requantized
	untilesTodo   // the constants of nearestRegs
	untilesPlus
	untilesLo
	untilesHi
	untilesBlock // scratch of the kernel
)

// square is a tile of products on its way to sums: first down the columns, with results in registers, or in memory where these are too few;
// then along the rows.
type square struct {
	lanes
	form winogradForm
	free []reg.VecPhysical
	at   reg.Register     // memory, or a row of products that are half way back
	half [4][6]operand.Op // what columns makes
	plus operand.Op       // of columns, for products that are half way back
}

// squareRegs are the registers that a square takes, from the first one on: those of a column, beside the results of all others.
func (a lanes) squareRegs(f winogradForm) int {
	n := f.points - len(f.memory) + 1
	if a.zmm {
		n += 4 * (f.points - 1)
	}
	return n
}

func (a lanes) newSquare(regs int, f winogradForm, at reg.Register) *square {
	s := &square{lanes: a, form: f, at: at}
	for i := range regs {
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

// columns reads the products from p on, and moves p on by as many planes as there are columns, or in the form's way. What is at plus, unless
// nil, is added to the product at 1 in both directions. Products that are half way back stay where they are, for row to read.
func (s *square) columns(p reg.Register, plus operand.Op) {
	if s.form.half {
		s.at, s.plus = reg.R11, plus
		s.MOVQ(p, s.at)
		return
	}
	for j := range s.form.points {
		var ops []operand.Op
		for _, m := range s.form.column(p, j) {
			ops = append(ops, m)
		}
		if j == 1 && plus != nil {
			v := s.take()
			s.load(ops[1].(operand.Mem), v)
			s.VPADDD(plus, v, v)
			ops[1] = v
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
func (s *square) row(i int) []reg.VecPhysical {
	if !s.form.half {
		return s.sums(s.half[i][:s.form.points])
	}
	// Planes as of multiples.
	ops := []operand.Op{operand.Mem{Base: s.at}, operand.Mem{Base: s.at, Index: reg.R8, Scale: 1}, operand.Mem{Base: s.at, Index: reg.R8, Scale: 2}, operand.Mem{Base: s.at, Index: reg.R9, Scale: 1},
		operand.Mem{Base: s.at, Index: reg.R8, Scale: 4}, operand.Mem{Base: s.at, Index: reg.R10, Scale: 1}}
	if s.plus != nil { // restored takes the product at 1 to row 0 twice, and once to the others
		v := s.take()
		s.load(ops[1].(operand.Mem), v)
		s.VPADDD(s.plus, v, v)
		if i == 0 {
			s.VPADDD(s.plus, v, v)
		}
		ops[1] = v
	}
	sums := s.sums(ops)
	s.LEAQ(operand.Mem{Base: s.at, Index: reg.R9, Scale: 2}, s.at)
	return sums
}

// back writes a function that takes the products of tiles, at RSI, back to 4x4 pixels at RDI: for each tile, for each register of channels,
// what body writes. It has numbers for each channel at RDX, of as many registers as given. R13, RCX and RBX, where memory of a square is, are free.
func (a lanes) back(name, doc string, f winogradForm, each, pixel int, prepare, body func()) {
	a.begin(name, name+doc)
	x, dst, numbers, tile, n := reg.RSI, reg.RDI, reg.RDX, reg.R14, reg.R13
	prepare()
	a.MOVQ(field(untilesTile), tile)
	a.MOVQ(field(untilesX), x)
	if !a.zmm {
		a.MOVQ(field(untilesSquare), reg.RBX)
	}
	f.first()
	a.Label("tile")
	a.MOVQ(at(tile, 0), dst)
	a.ADDQ(field(untilesDst), dst)
	a.MOVQ(field(untilesBlocks), n)
	a.MOVQ(n, field(untilesBlock))
	a.MOVQ(field(untilesEach), numbers)
	a.Label("block")
	body()
	a.ADDQ(operand.I32(a.bytes()), x)
	a.ADDQ(operand.I32(pixel), dst)
	a.ADDQ(operand.I32(each*a.bytes()), numbers)
	a.DECQ(field(untilesBlock))
	a.JNE(operand.LabelRef("block"))
	a.ADDQ(field(untilesRest), x)
	f.next()
	a.ADDQ(operand.Imm(8), tile)
	a.DECQ(field(untilesTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}

// untiles takes the products of tiles back to sums.
//
// With split, products are those of splitTiles with weights split alike: sums h of high bytes, l of low ones, and m of both added up.
// They fit 26 bits, or m - h - l does, and what results are two parts of Wide, without biases: h<<16 + (m-h-l)<<8 + l modulo 2^32, and
// h + (m-h-l)>>8.
func (a lanes) untiles(f winogradForm) {
	split := f.split
	name, parts, each := "untiles"+f.name+a.suffix(), 1, 1
	if split {
		name, parts, each = "splitUntiles"+a.suffix(), 3, 0
	}
	x, dst, bias, high, p := reg.RSI, reg.RDI, reg.RDX, reg.RCX, reg.R13
	from := p
	if split {
		from = bias // there are none
	}
	n := a.squareRegs(f)
	ninth, h, l, tmp := a.v(n), a.v(n+1), a.v(n+2), a.v(n+3)
	var plane func(base reg.Register, i int) operand.Mem
	a.back(name, " transforms products back.", f, each, a.bytes(), func() {
		a.VPBROADCASTD(field(untilesNinth), ninth)
		plane = a.multiples(untilesPlane, reg.R8, reg.R9, reg.R10)
	}, func() {
		a.MOVQ(x, from)
		for part := range parts {
			s := a.newSquare(n, f, reg.RBX)
			s.columns(from, nil)
			if split {
				a.ADDQ(reg.R10, from)
			}
			a.MOVQ(dst, p)
			if split {
				a.MOVQ(dst, high)
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
	})
}
