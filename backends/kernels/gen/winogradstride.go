package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// everyOther is the form for windows at every other pixel, in the order of kernels.stridePlane.
func (a lanes) everyOther() winogradForm {
	x := reg.RSI
	f := winogradForm{name: "Stride", side: 9, points: 5, transformed: a.transformedPhases, restored: a.restoredPhases}
	f.write = func(tile func(i, half int) []reg.VecPhysical) {
		even, odd, last := reg.RBX, reg.RDX, reg.R10
		times := func(base reg.Register, n int) operand.Mem { // of planes
			m := operand.Mem{Base: base}
			switch n {
			case 2, 4, 8:
				m.Index, m.Scale = reg.R8, uint8(n)
			case 6, 12:
				m.Index, m.Scale = reg.R9, uint8(n/3)
			}
			return m
		}
		row := func(i, apart int) {
			a.LEAQ(operand.Mem{Base: even, Index: reg.R8, Scale: 1}, odd)
			v := tile(i, 0)
			for j := range 4 {
				a.store(v[j], times(even, j*apart))
				a.store(v[5+j], times(odd, j*apart))
			}
			a.store(v[4], at(last, 0))
			a.ADDQ(reg.R8, last)
		}
		a.MOVQ(field(tilesPlane), reg.R8)
		a.LEAQ(operand.Mem{Base: reg.R8, Index: reg.R8, Scale: 2}, reg.R9)
		f.loop(a, func() {
			a.LEAQ(operand.Mem{Base: even, Index: reg.R8, Scale: 8}, last)
			a.LEAQ(operand.Mem{Base: last, Index: reg.R8, Scale: 8}, last)
			a.LEAQ(operand.Mem{Base: last, Index: reg.R8, Scale: 8}, last)
			a.LEAQ(operand.Mem{Base: last, Index: reg.R9, Scale: 8}, last)
			a.LEAQ(operand.Mem{Base: last, Index: reg.R9, Scale: 8}, last)
			for i := range 4 {
				row(i, 4)
				a.LEAQ(times(even, 2), even)
				row(5+i, 4)
				a.LEAQ(times(even, 2), even)
				a.LEAQ(times(even, 12), even)
			}
			row(4, 2)
			a.MOVQ(last, even)
		})
	}
	f.first = func() {
		a.LEAQ(operand.Mem{Base: reg.R8, Index: reg.R9, Scale: 1}, reg.R11) // 4 planes
		a.LEAQ(operand.Mem{Base: reg.R11, Index: reg.R11, Scale: 2}, reg.R12)
	}
	f.column = func(p reg.Register, j int) []operand.Mem {
		if j == 4 {
			a.LEAQ(operand.Mem{Base: p, Index: reg.R11, Scale: 4}, p)
			return []operand.Mem{{Base: p}, {Base: p, Index: reg.R8, Scale: 1}, {Base: p, Index: reg.R8, Scale: 2}, {Base: p, Index: reg.R9, Scale: 1}, {Base: p, Index: reg.R8, Scale: 4}}
		}
		return []operand.Mem{{Base: p}, {Base: p, Index: reg.R11, Scale: 1}, {Base: p, Index: reg.R11, Scale: 2}, {Base: p, Index: reg.R12, Scale: 1}, {Base: p, Index: reg.R11, Scale: 4}}
	}
	f.next = func() { a.LEAQ(operand.Mem{Base: x, Index: reg.R12, Scale: 2}, x) } // 25 planes on: the blocks were one
	f.shift = func(i, j int) uint64 { return 2 }                                  // all are 6 times too large in each direction
	return f
}

// transformedPhases are the registers with B^T of registers 0 to 8, which are lost: of the even ones F(4,2) at 0, 1, -1, infinity and 2, and
// of the odd ones what is added at the first four of these.
func (a lanes) transformedPhases() []reg.VecPhysical {
	d0, d1, d2, d3, d4 := a.v(0), a.v(2), a.v(4), a.v(6), a.v(8)
	e0, e1, e2, e3 := a.v(1), a.v(3), a.v(5), a.v(7)
	s, t, u := a.v(9), a.v(10), a.v(11)
	a.VPSUBW(e2, e0, e0)
	a.VPSUBW(e1, e3, e3)
	a.VPADDW(e2, e1, s)
	a.VPSUBW(e1, e2, e2)
	a.VPSUBW(d2, d0, d0)
	a.VPADDW(d0, d0, d0)
	a.VPSUBW(d1, d3, t)
	a.VPADDW(t, d0, d0) // 2 d0 - d1 - 2 d2 + d3
	a.VPSUBW(d2, d4, d4)
	a.VPSUBW(t, d4, d4)
	a.VPSUBW(t, d4, d4) // 2 d1 - d2 - 2 d3 + d4
	a.VPSUBW(d2, d3, d3)
	a.VPADDW(d1, d1, d1)
	a.VPADDW(d2, d2, d2)
	a.VPSUBW(d1, d3, u) // -2 d1 - d2 + d3
	a.VPADDW(d1, d3, d3)
	a.VPSUBW(d2, d3, d3) // 2 d1 - 3 d2 + d3
	return []reg.VecPhysical{d0, u, d3, d4, t, e0, s, e2, e3}
}

// restoredPhases is restored for five registers.
func (a lanes) restoredPhases(m []operand.Op, s reg.VecPhysical) (sums, free []reg.VecPhysical) {
	r := registers(m)
	m0, m1, m2, infinity, two := r[0], r[1], r[2], r[3], r[4]
	a.VPADDD(m2, m1, s)
	a.VPSUBD(m2, m1, m1)
	a.VPADDD(s, m0, m0)
	a.VPADDD(two, m0, m0) // m0 + s + m3
	a.VPADDD(m1, infinity, infinity)
	a.VPADDD(two, two, two)
	a.VPADDD(two, m1, m1) // d + 2 m3
	a.VPADDD(two, two, two)
	a.VPADDD(two, s, s) // s + 4 m3
	a.VPADDD(two, two, two)
	a.VPADDD(two, infinity, infinity) // d + 8 m3 + infinity
	return []reg.VecPhysical{m0, m1, s, infinity}, []reg.VecPhysical{m2, two}
}
