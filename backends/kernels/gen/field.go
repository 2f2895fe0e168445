package main

import (
	"slices"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of winogradArgs.
const (
	winX      = iota
	winRow    // bytes from row to row of pixels
	winPixel  // and from pixel to pixel
	winSums   // the transformed tiles
	winPlane  // bytes from position to position of them
	winTile   // and from tile to tile
	winAt     // byte offset of each tile in winX, 32 bits
	winTiles  // their number
	winBlocks // of channels
	winConst  // constants, each a whole register of 64 bytes
	winBias
	winAdd // what is added to the results, laid out as winX, or 0
	winRelu
	winTmp      // memory of 36 registers
	winNextSums // scratch of the kernel
	winNextAt
)

// The constants of winogradArgs: the points a and b and what is made of them.
const (
	winA = iota
	winB
	winA2
	winB2
	winA3
	winB3
	winA2B2     // a*a*b*b
	winA2PlusB2 // a*a+b*b
)

// fieldWinograd holds the registers that both transforms use.
type fieldWinograd struct {
	lanes
	x, row, row3, pixel, pixel3, sums, plane, consts, blocks, tmp reg.Register

	used int   // vector registers up to here are in use; those behind are for constants, then for what is transformed once, if there are any
	held []int // constants in registers
}

// fieldWinograd begins a transform that needs some registers and constants.
func (a lanes) fieldWinograd(used int, constants ...int) fieldWinograd {
	w := fieldWinograd{a, reg.RSI, reg.R8, reg.R9, reg.R10, reg.R11, reg.RDI, reg.R12, reg.RBX, reg.RCX, reg.RDX, used, nil}
	if a.zmm {
		w.held = constants
	}
	return w
}

// times is to = x times a constant.
func (a fieldWinograd) times(i int, x, to reg.VecPhysical) {
	if k := slices.Index(a.held, i); k >= 0 {
		a.VMULPS(a.v(a.used+k), x, to)
		return
	}
	a.VMULPS(at(a.consts, 64*i), x, to)
}

// keep keeps element i of what is transformed once, kept is where it is then: in a register of its own, or brought back to one that is given.
func (a fieldWinograd) keep(v reg.VecPhysical, i int) {
	if r := a.used + len(a.held) + i; a.zmm && r < 32 {
		a.VMOVAPS(v, a.v(r))
		return
	}
	a.VMOVUPS(v, at(a.tmp, 64*i))
}

func (a fieldWinograd) kept(i int, to reg.VecPhysical) reg.VecPhysical {
	if r := a.used + len(a.held) + i; a.zmm && r < 32 {
		return a.v(r)
	}
	a.VMOVUPS(at(a.tmp, 64*i), to)
	return to
}

// kept6 are six of them, from i on; those that lie in memory come to registers 0 to 5.
func (a fieldWinograd) kept6(i int) func(int) reg.VecPhysical {
	var r [6]reg.VecPhysical
	for j := range r {
		r[j] = a.kept(i+j, a.v(j))
	}
	return func(j int) reg.VecPhysical { return r[j] }
}

// loops writes the loops over tiles and blocks of channels around a body, which finds its tile at x and its sums at sums. It may use R13 and R14.
func (a fieldWinograd) loops(body func()) {
	a.MOVQ(field(winSums), a.sums)
	a.MOVQ(a.sums, field(winNextSums))
	a.MOVQ(field(winAt), reg.R13)
	a.MOVQ(reg.R13, field(winNextAt))
	a.MOVQ(field(winRow), a.row)
	a.MOVQ(field(winPixel), a.pixel)
	a.LEAQ(operand.Mem{Base: a.row, Index: a.row, Scale: 2}, a.row3)
	a.LEAQ(operand.Mem{Base: a.pixel, Index: a.pixel, Scale: 2}, a.pixel3)
	a.MOVQ(field(winPlane), a.plane)
	a.MOVQ(field(winConst), a.consts)
	a.MOVQ(field(winTmp), a.tmp)
	for i, c := range a.held {
		a.VMOVUPS(at(a.consts, 64*c), a.v(a.used+i))
	}
	a.Label("tile")
	a.MOVQ(field(winNextAt), reg.R13)
	a.MOVLQSX(at(reg.R13, 0), a.x)
	a.ADDQ(operand.Imm(4), field(winNextAt))
	a.MOVQ(field(winNextSums), a.sums)
	a.MOVQ(field(winBlocks), a.blocks)
	a.Label("block")
	body()
	a.ADDQ(operand.I32(a.bytes()), a.x)
	a.ADDQ(operand.I32(a.bytes()), a.sums)
	a.DECQ(a.blocks)
	a.JNE(operand.LabelRef("block"))
	a.MOVQ(field(winTile), reg.R13)
	a.ADDQ(reg.R13, field(winNextSums))
	a.DECQ(field(winTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}

// rowsOf are the addresses of 6 rows that lie step bytes apart, from the addresses of the first and the fourth.
func rowsOf(base, far, step reg.Register) []operand.Mem {
	var r []operand.Mem
	for _, b := range []reg.Register{base, far} {
		r = append(r, at(b, 0), operand.Mem{Base: b, Index: step, Scale: 1}, operand.Mem{Base: b, Index: step, Scale: 2})
	}
	return r
}

// winogradInput transforms tiles of 6 by 6 pixels, columns first, in the order of kernels.fieldIn.
func (a lanes) winogradInput() {
	name := "winogradInput" + a.suffix()
	a.begin(name, name+" transforms tiles of the input.")
	w := a.fieldWinograd(9, winA, winB, winA2, winB2, winA2B2, winA2PlusB2)
	w.loops(func() {
		col, far := reg.R13, reg.R14
		a.MOVQ(w.x, col)
		a.ADDQ(field(winX), col)
		for c := range 6 {
			a.LEAQ(operand.Mem{Base: col, Index: w.row3, Scale: 1}, far)
			for i, m := range rowsOf(col, far, w.row) {
				a.VMOVUPS(m, a.v(i))
			}
			w.in(a.v, func(i int, v reg.VecPhysical) { w.keep(v, 6*i+c) })
			a.ADDQ(w.pixel, col)
		}
		a.MOVQ(w.sums, col)
		for r := range 6 {
			w.in(w.kept6(6*r), func(_ int, v reg.VecPhysical) {
				a.VMOVUPS(v, at(col, 0))
				a.ADDQ(w.plane, col)
			})
		}
	})
}

// in transforms six numbers and gives the results in order, with registers 6 to 8.
func (a fieldWinograd) in(d func(int) reg.VecPhysical, store func(i int, v reg.VecPhysical)) {
	t, u, v := a.v(6), a.v(7), a.v(8)
	ends := func(i int, x, y, z reg.VecPhysical) { // (z - (a2+b2)*y) + a2*b2*x
		a.times(winA2PlusB2, y, t)
		a.VSUBPS(t, z, t)
		a.times(winA2B2, x, u)
		a.VADDPS(u, t, t)
		store(i, t)
	}
	ends(0, d(0), d(2), d(4))
	for i, k := range [][2]int{{winB2, winA}, {winA2, winB}} {
		a.times(k[0], d(2), t)
		a.VSUBPS(t, d(4), t)
		a.times(k[0], d(1), u)
		a.VSUBPS(u, d(3), u)
		a.times(k[1], u, u)
		a.VADDPS(u, t, v)
		store(1+2*i, v)
		a.VSUBPS(u, t, v)
		store(2+2*i, v)
	}
	ends(5, d(1), d(3), d(5))
}

// winogradOutput transforms sums to tiles of 4 by 4 pixels, columns first, in the order of kernels.transformOut, and adds the bias and what else there is.
func (a lanes) winogradOutput() {
	name := "winogradOutput" + a.suffix()
	a.begin(name, name+" transforms sums to the output.")
	w := a.fieldWinograd(14, winA, winB, winA2, winB2, winA3, winB3)
	bias, zero := a.v(12), a.v(13)
	a.VXORPS(zero, zero, zero)
	w.loops(func() {
		p, n := reg.R13, reg.R14
		for c := range 6 {
			a.IMUL3Q(operand.Imm(uint64(c)), w.plane, p)
			a.ADDQ(w.sums, p)
			a.IMUL3Q(operand.Imm(6), w.plane, n)
			for i := range 6 {
				a.VMOVUPS(at(p, 0), a.v(i))
				if i < 5 {
					a.ADDQ(n, p)
				}
			}
			w.out(a.v, func(i int, v reg.VecPhysical) { w.keep(v, 6*i+c) })
		}
		// The bias of the block lies as far from the first as the sums.
		a.MOVQ(w.sums, p)
		a.SUBQ(field(winNextSums), p)
		a.ADDQ(field(winBias), p)
		a.VMOVUPS(at(p, 0), bias)
		a.MOVQ(w.x, p)
		for r := range 4 {
			w.out(w.kept6(6*r), func(i int, v reg.VecPhysical) { a.VMOVAPS(v, a.v(8+i)) })
			for i := range 4 {
				a.VADDPS(bias, a.v(8+i), a.v(8+i))
			}
			pixels := func(base reg.Register) []operand.Mem {
				return []operand.Mem{at(base, 0), {Base: base, Index: w.pixel, Scale: 1}, {Base: base, Index: w.pixel, Scale: 2}, {Base: base, Index: w.pixel3, Scale: 1}}
			}
			label := string(rune('0' + r))
			a.MOVQ(field(winAdd), n)
			a.TESTQ(n, n)
			a.JZ(operand.LabelRef("added" + label))
			a.ADDQ(p, n)
			for i, m := range pixels(n) {
				a.VADDPS(m, a.v(8+i), a.v(8+i))
			}
			a.Label("added" + label)
			a.CMPQ(field(winRelu), operand.Imm(0))
			a.JEQ(operand.LabelRef("store" + label))
			for i := range 4 {
				a.relu(zero, a.v(8+i))
			}
			a.Label("store" + label)
			a.MOVQ(field(winX), n)
			a.ADDQ(p, n)
			for i, m := range pixels(n) {
				a.VMOVUPS(a.v(8+i), m)
			}
			a.ADDQ(w.row, p)
		}
	})
}

// out transforms six numbers and gives the results in order, with registers 6 and 7. The numbers are lost.
func (a fieldWinograd) out(m func(int) reg.VecPhysical, store func(i int, v reg.VecPhysical)) {
	t, u := a.v(6), a.v(7)
	a.VSUBPS(m(2), m(1), t)
	a.VADDPS(m(2), m(1), m(1)) // even: m1+m2
	a.VSUBPS(m(4), m(3), u)
	a.VADDPS(m(4), m(3), m(3)) // even: m3+m4
	a.VADDPS(m(1), m(0), m(0))
	a.VADDPS(m(3), m(0), m(0))
	store(0, m(0))
	two := func(k, l int, x, y reg.VecPhysical) { // m2 = k*x + l*y
		a.times(k, x, m(2))
		a.times(l, y, m(4))
		a.VADDPS(m(4), m(2), m(2))
	}
	two(winA, winB, t, u)
	store(1, m(2))
	two(winA2, winB2, m(1), m(3))
	store(2, m(2))
	two(winA3, winB3, t, u)
	a.VADDPS(m(5), m(2), m(2))
	store(3, m(2))
}

// The fields of maxArgs.
const (
	maxX = iota
	maxDst
	maxPix // byte offset of each pixel's window, 32 bits
	maxOut // and of its result
	maxOff // byte offset of each tap
	maxTaps
	maxPixels
	maxBlocks
	maxCount // of averages, a float32 number
)

// maxFloats is the maximum over windows, channels last. What is not a number stays: the instruction gives its second operand then, so both orders
// together have it.
func (a lanes) maxFloats() {
	a.windowFloats("maxFloats", "FieldMax", func(m operand.Mem, first bool) {
		if first {
			a.VMOVUPS(m, a.v(0))
			return
		}
		a.VMOVUPS(m, a.v(1))
		a.VMAXPS(a.v(0), a.v(1), a.v(2))
		a.VMAXPS(a.v(1), a.v(0), a.v(1))
		a.VORPS(a.v(1), a.v(2), a.v(0))
	}, func() {})
}

// averageFloats is the sum of each window, tap by tap, over a number.
func (a lanes) averageFloats() {
	a.windowFloats("averageFloats", "FieldAverage", func(m operand.Mem, first bool) {
		if first {
			a.VXORPS(a.v(0), a.v(0), a.v(0))
		}
		a.VADDPS(m, a.v(0), a.v(0))
	}, func() {
		a.VBROADCASTSS(field(maxCount), a.v(1))
		a.VDIVPS(a.v(1), a.v(0), a.v(0))
	})
}

// windowFloats is a function over windows, channels last: of the first tap and each of the others, and finish for the result in register 0.
func (a lanes) windowFloats(name, owner string, tap func(m operand.Mem, first bool), finish func()) {
	name += a.suffix()
	a.begin(name, name+" is "+owner+".Run for some pixels of an image.")
	x, dst, off, end, pix, out, blocks, n, k := reg.RSI, reg.RDI, reg.RBX, reg.RCX, reg.R8, reg.R9, reg.R10, reg.R11, reg.R12
	a.MOVQ(field(maxPix), pix)
	a.MOVQ(field(maxOut), out)
	a.MOVQ(field(maxPixels), n)
	a.Label("pixel")
	a.MOVLQSX(at(pix, 0), x)
	a.MOVLQSX(at(out, 0), dst)
	a.ADDQ(field(maxX), x)
	a.ADDQ(field(maxDst), dst)
	a.MOVQ(field(maxBlocks), blocks)
	a.Label("block")
	a.MOVQ(field(maxOff), off)
	a.MOVQ(field(maxTaps), end)
	a.LEAQ(operand.Mem{Base: off, Index: end, Scale: 4}, end)
	a.MOVLQSX(at(off, 0), k)
	tap(operand.Mem{Base: x, Index: k, Scale: 1}, true)
	a.JMP(operand.LabelRef("next"))
	a.Label("tap")
	a.MOVLQSX(at(off, 0), k)
	tap(operand.Mem{Base: x, Index: k, Scale: 1}, false)
	a.Label("next")
	a.ADDQ(operand.Imm(4), off)
	a.CMPQ(off, end)
	a.JNE(operand.LabelRef("tap"))
	finish()
	a.VMOVUPS(a.v(0), at(dst, 0))
	a.ADDQ(operand.I32(a.bytes()), x)
	a.ADDQ(operand.I32(a.bytes()), dst)
	a.DECQ(blocks)
	a.JNE(operand.LabelRef("block"))
	a.ADDQ(operand.Imm(4), pix)
	a.ADDQ(operand.Imm(4), out)
	a.DECQ(n)
	a.JNE(operand.LabelRef("pixel"))
	a.end()
}
