package main

import (
	"fmt"

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

// requantTiles takes the products of tiles back to elements of the given bytes, requantized by nearestInts: see kernels.RequantWinograd. The
// numbers for each channel are what is added to the product at 1 in both directions, which is part of every sum as often as the smallest
// multiple says, and multipliers for each shift, which leave the division by a power of two to them, from the largest one down. With pool,
// they are elements of the largest of two by two pixels each.
func (a lanes) requantTiles(f winogradForm, bytes int, pool bool) {
	name := "requantTiles"
	if pool {
		name = "poolTiles"
	}
	name = fmt.Sprintf("%s%s%d%s", name, f.name, 8*bytes, a.suffix())
	x, dst, numbers, pixel, p := reg.RSI, reg.RDI, reg.RDX, reg.RCX, reg.R13
	n := a.squareRegs(f)
	together := 1 // rows that are requantized at a time
	if !a.zmm {
		n += 4 // for what rows leave
		if !pool {
			together = 2 // for each step takes longer than the next one
		}
	}
	ninth, r := a.v(n), a.nearestRegs(n+1)
	most := f.shift(0, 0)
	each := int(most-f.shift(3, 3)) + 2
	a.back(name, " is RequantWinograd.Run's way back.", f, each, bytes*a.bytes()/4, func() {
		a.VPBROADCASTD(field(untilesNinth), ninth)
		a.loadNearest(r, bytes, untilesPlus, reg.RBX)
		if a.zmm {
			r.todo = reg.EBX
			a.MOVL(field(untilesTodo), r.todo)
		}
		a.MOVQ(field(untilesPixel), pixel)
		a.multiples(untilesPlane, reg.R8, reg.R9, reg.R10)
	}, func() {
		a.MOVQ(x, p)
		s := a.newSquare(n, f, reg.RBX)
		s.columns(p, at(numbers, 0))
		a.MOVQ(dst, p)
		row := func(i int) []reg.VecPhysical {
			v := s.row(i)
			for _, v := range v {
				a.VPMULLD(ninth, v, v)
			}
			return v
		}
		// write takes pixels with the shifts of their sums, by fours: those of a row, or two of a row and two of the next one. After each two, p
		// has to move on.
		write := func(label string, v []reg.VecPhysical, shifts []uint64, next func(pixels int)) {
			var mul []operand.Op
			for i, v := range v {
				a.VCVTDQ2PS(v, v)
				mul = append(mul, at(numbers, (1+int(most-shifts[i]))*a.bytes()))
			}
			packed := a.nearestInts(bytes, v, mul, r, label)
			apart := func() {
				per := len(v) / len(packed)
				for j := range v {
					m := operand.Mem{Base: p}
					if j%2 > 0 {
						m.Index, m.Scale = pixel, 1
					}
					a.storePart(packed[j/per], j%per, per, m)
					if j%2 > 0 {
						next(j + 1)
					}
				}
			}
			if a.zmm && !pool {
				// With one register of channels, pixels lie side by side.
				a.CMPQ(pixel, operand.Imm(uint64(bytes*a.bytes()/4)))
				a.JNE(operand.LabelRef(label + "Apart"))
				for i, v := range packed {
					a.store(v, at(p, i*a.bytes()))
				}
				next(2)
				next(4)
				a.JMP(operand.LabelRef(label + "Next"))
				a.Label(label + "Apart")
				apart()
				a.Label(label + "Next")
			} else {
				apart()
			}
			s.give(v...)
		}
		if !pool {
			for i := 0; i < 4; i += together {
				var v []reg.VecPhysical
				var shifts []uint64
				for j := i; j < i+together; j++ {
					v = append(v, row(j)...)
					shifts = append(shifts, f.shift(j, 0), f.shift(j, 1), f.shift(j, 2), f.shift(j, 3))
				}
				write(fmt.Sprintf("row%d", i), v, shifts, func(pixels int) {
					switch {
					case pixels%4 > 0:
						a.LEAQ(operand.Mem{Base: p, Index: pixel, Scale: 2}, p)
					case 4*i+pixels < 16:
						a.ADDQ(field(untilesRow), p)
					}
				})
			}
			return
		}
		// largest brings v to the largest of v and w, which is a smaller multiple by a shift, and is given back.
		largest := func(v, w reg.VecPhysical, shift uint64) reg.VecPhysical {
			if shift > 0 {
				a.VPSLLD(operand.Imm(shift), w, w)
			}
			a.VPMAXSD(w, v, v)
			s.give(w)
			return v
		}
		pairs := func(i int) []reg.VecPhysical {
			v := row(i)
			return []reg.VecPhysical{largest(v[0], v[1], f.shift(i, 0)-f.shift(i, 1)), largest(v[2], v[3], f.shift(i, 2)-f.shift(i, 3))}
		}
		var v []reg.VecPhysical
		var shifts []uint64
		for i := 0; i < 4; i += 2 {
			above, below := pairs(i), pairs(i+1)
			for j := range 2 {
				shift := f.shift(i, 2*j)
				v, shifts = append(v, largest(above[j], below[j], shift-f.shift(i+1, 2*j))), append(shifts, shift)
			}
		}
		write("largest", v, shifts, func(pixels int) {
			if pixels < 4 {
				a.ADDQ(field(untilesRow), p)
			}
		})
	})
}

// storePart stores one of as many parts of a register.
func (a lanes) storePart(v reg.VecPhysical, i, parts int, to operand.Mem) {
	n := operand.Imm(uint64(i))
	switch {
	case parts == 1:
		a.store(v, to)
	case !a.zmm:
		if i > 0 {
			a.VEXTRACTI128(n, v, to)
		} else {
			a.VMOVDQU(v.AsX(), to)
		}
	case parts == 2:
		if i > 0 {
			a.VEXTRACTI64X4(n, v, to)
		} else {
			a.VMOVDQU32(v.AsY(), to)
		}
	case i > 0:
		a.VEXTRACTI32X4(n, v, to)
	default:
		a.VMOVDQU32(v.AsX(), to)
	}
}
