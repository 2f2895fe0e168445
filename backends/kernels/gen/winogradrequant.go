package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
