package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dotSet is a family of inner products of one instruction set and element type: acc[lane] += a step's elements times weights.
type dotSet struct {
	suffix string // of the names
	zmm    bool
	op     string   // VPDPBUSD and VPDPWSSD multiply and add; VPMADDWD needs an addition
	narrow bool     // weights of words lie in memory as bytes
	tiles  [][2]int // pixels, blocks of lanes
}

// The tiles keep accumulators, weights and elements in registers: eight or four pixels share each load of weights, and a single
// pixel takes many blocks to keep the multipliers busy.
var dots = []dotSet{
	{"U8AVX512", true, "VPDPBUSD", false, [][2]int{{8, 2}, {8, 1}, {1, 8}, {1, 4}, {1, 2}, {1, 1}}},
	{"I16AVX512", true, "VPDPWSSD", false, [][2]int{{8, 2}, {8, 1}, {1, 8}, {1, 4}, {1, 2}, {1, 1}}},
	{"I16AVX2", false, "VPMADDWD", false, [][2]int{{4, 2}, {4, 1}, {1, 8}, {1, 7}, {1, 6}, {1, 5}, {1, 4}, {1, 3}, {1, 2}, {1, 1}}},
	{"NarrowAVX2", false, "VPMADDWD", true, [][2]int{{1, 8}, {1, 7}, {1, 6}, {1, 5}, {1, 4}, {1, 3}, {1, 2}, {1, 1}}},
}

// The fields of dotArgs.
const (
	dotX = iota
	dotW
	dotAcc
	dotBias
	dotOff
	dotOffLast
	dotSpan
	dotPix
	dotTiles
	dotStride
	dotNextAcc // scratch of the kernel: what points beyond an object must not lie in a pointer of Go
	dotNextPix
	dotPlaces // of dotRequant: offsets of the tiles' results in acc, 32 bits each
	dotMul
	dotTodo // the constants of nearestRegs
	dotPlus
	dotLo
	dotHi
	dotRest // of dotRequant: planes of steps behind the runs
	dotRestX
	dotRestPlanes
	dotRestApart // bytes between planes
)

// dot is one tile: for every tile of pixels, for every run of the window, for every step of 4 bytes, all accumulators of all pixels.
func (a asm) dot(s dotSet, pixels, blocks int) {
	name := fmt.Sprintf("dot%dx%d%s", pixels, blocks, s.suffix)
	a.begin(name, fmt.Sprintf("%s adds up %d pixels by %d blocks of output channels.", name, pixels, blocks))
	a.MOVQ(field(dotAcc), reg.RBX)
	a.MOVQ(reg.RBX, field(dotNextAcc))
	a.dotTiles(s, pixels, blocks, false, func(acc func(p, b int) reg.VecPhysical) {
		to := reg.RBX
		a.MOVQ(field(dotNextAcc), to)
		for p := range pixels {
			for b := range blocks {
				a.move(s.zmm, acc(p, b), at(to, lanes{a, s.zmm}.bytes()*b))
			}
			a.ADDQ(field(dotStride), to)
		}
		a.MOVQ(to, field(dotNextAcc))
	})
}

// dotRequant is dot with nearestInts behind it: acc has elements, as many bytes as those of the window.
func (a asm) dotRequant(s dotSet, pixels, blocks int) {
	name := fmt.Sprintf("dotRequant%dx%d%s", pixels, blocks, s.suffix)
	a.begin(name, fmt.Sprintf("%s makes elements of %d pixels by %d blocks of output channels.", name, pixels, blocks))
	l, bytes, registers := lanes{a, s.zmm}, 1, 1 // of four
	if !s.zmm {
		bytes, registers = 2, 2
	}
	r := l.nearestRegs((pixels+1)*blocks + 2)
	l.loadNearest(r, bytes, dotPlus, reg.RBX)
	a.MOVQ(field(dotPlaces), reg.RBX)
	a.MOVQ(reg.RBX, field(dotNextAcc))
	a.dotTiles(s, pixels, blocks, s.zmm, func(acc func(p, b int) reg.VecPhysical) {
		to, mul, stride, stride3 := reg.RCX, reg.RBX, reg.R8, reg.R9
		a.MOVQ(field(dotNextAcc), to)
		a.MOVLQSX(at(to, 0), to)
		a.ADDQ(field(dotAcc), to)
		a.ADDQ(operand.Imm(4), field(dotNextAcc))
		a.MOVQ(field(dotMul), mul)
		a.MOVQ(field(dotStride), stride)
		a.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
		if s.zmm {
			r.todo = reg.EDX
			a.MOVL(field(dotTodo), r.todo)
		}
		place := []operand.Mem{at(to, 0), {Base: to, Index: stride, Scale: 1}, {Base: to, Index: stride, Scale: 2}, {Base: to, Index: stride3, Scale: 1}}
		each := 4 / blocks // pixels of four registers
		for p := 0; p < pixels; p += each {
			var v []reg.VecPhysical
			var factors []operand.Op
			for i := range 4 {
				x := acc(p+i/blocks, i%blocks)
				a.VCVTDQ2PS(x, x)
				v, factors = append(v, x), append(factors, at(mul, l.bytes()*(i%blocks)))
			}
			packed := l.nearestInts(bytes, v, factors, r, fmt.Sprintf("pixels%d", p))
			for i := range each {
				of := each / registers // pixels of a register
				l.storePart(packed[i/of], i%of, of, place[i])
			}
			a.LEAQ(operand.Mem{Base: to, Index: stride, Scale: uint8(each)}, to)
		}
	})
}

// dotTiles adds up tiles of pixels, with planes of rests or without; store is for the sums of each.
func (a asm) dotTiles(s dotSet, pixels, blocks int, rests bool, store func(acc func(p, b int) reg.VecPhysical)) {
	size := 64
	if !s.zmm {
		size = 32
	}
	px := []reg.Register{reg.R8, reg.R9, reg.R10, reg.R11, reg.R12, reg.R13, reg.RSI, reg.RDI}[:pixels]
	off, end, w, k := reg.RBX, reg.RCX, reg.RDX, reg.R14
	acc := func(p, b int) reg.VecPhysical { return vec(s.zmm, p*blocks+b) }
	free := pixels * blocks
	weights := func(b int) reg.VecPhysical { return vec(s.zmm, free+b) }
	if pixels == 1 {
		free -= blocks // weights come from memory
	}
	x, tmp, wide := vec(s.zmm, free+blocks), vec(s.zmm, free+blocks+1), vec(s.zmm, free+blocks+2)
	each := size // bytes of the weights of a block
	if s.narrow {
		each /= 2
	}

	a.MOVQ(field(dotPix), off)
	a.MOVQ(off, field(dotNextPix))
	a.Label("tile")
	a.places(px, off, dotX, dotNextPix)
	a.MOVQ(field(dotW), w)
	a.MOVQ(field(dotBias), off)
	for b := range blocks {
		a.move(s.zmm, at(off, size*b), acc(0, b))
		for p := 1; p < pixels; p++ {
			a.VMOVAPS(acc(0, b), acc(p, b))
		}
	}
	a.MOVQ(field(dotOff), off)

	a.Label("run")
	a.MOVQ(at(off, 0), k)
	a.ADDQ(operand.Imm(8), off)
	a.MOVQ(k, end)
	a.ADDQ(field(dotSpan), end)

	step := func() {
		if pixels > 1 {
			for b := range blocks {
				a.move(s.zmm, at(w, size*b), weights(b))
			}
		}
		for i, p := range px {
			a.VPBROADCASTD(operand.Mem{Base: p, Index: k, Scale: 1}, x)
			for b := range blocks {
				var src operand.Op = weights(b)
				if pixels == 1 {
					src = at(w, each*b)
				}
				if s.narrow {
					a.VPMOVSXBW(src, wide)
					src = wide
				}
				switch s.op {
				case "VPDPBUSD":
					a.VPDPBUSD(src, x, acc(i, b))
				case "VPDPWSSD":
					a.VPDPWSSD(src, x, acc(i, b))
				default:
					a.VPMADDWD(src, x, tmp)
					a.VPADDD(tmp, acc(i, b), acc(i, b))
				}
			}
		}
		a.ADDQ(operand.I32(each*blocks), w)
	}
	a.Label("step")
	step()
	a.ADDQ(operand.Imm(4), k)
	a.CMPQ(k, end)
	a.JLT(operand.LabelRef("step"))
	a.CMPQ(off, field(dotOffLast))
	a.JLS(operand.LabelRef("run"))
	if rests {
		a.MOVQ(field(dotRestPlanes), end)
		a.MOVQ(field(dotRest), k)
		a.SUBQ(field(dotRestX), k)
		a.JMP(operand.LabelRef("rests"))
		a.Label("rest")
		step()
		a.ADDQ(field(dotRestApart), k)
		a.Label("rests")
		a.DECQ(end)
		a.JGE(operand.LabelRef("rest"))
	}

	store(acc)
	a.DECQ(field(dotTiles))
	a.JNE(operand.LabelRef("tile"))
	a.end()
}

// move is an unaligned load or store of a whole register.
func (a asm) move(zmm bool, from, to operand.Op) {
	if zmm {
		a.VMOVDQU32(from, to)
		return
	}
	a.VMOVDQU(from, to)
}
