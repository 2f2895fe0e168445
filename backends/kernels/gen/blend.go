package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of blendArgs.
const (
	blendA = iota
	blendB
	blendDst
	blendCount // steps of a row
	blendRows
	blendRowA // bytes from a row to the next one
	blendRowB
	blendRowDst
	blendHigh // from here on the low halves of numbers
	blendLow
	blendPlus
	blendAdd
	blendLo // both words of the low half, or all bytes
	blendHi
	blendMask
	blendTie
	blendHalf
	blendShift // whole numbers
	blendSign
	blendTodo  // as nearestRegs.todo has: whether add and limits change anything
	blendNextA // scratch of the kernel, as in dot.go
	blendNextB
	blendNextDst
)

// blendPlaces are the places of the low part of a multiplier: a byte has as many to the left in a word with a sign.
const blendPlaces = 7

// The bits of blendTodo beside those of nearestRegs.todo.
const (
	blendTies  = 1 << (2 + iota) // ties matter
	blendWhole                   // the pair itself is added
	blendTwice                   // there is a high part
	blendFar                     // it is blendPlaces to the left
)

// blend is Blend.Run, on tensors with elements of the given bytes. Pairs of words, of either tensor, are multiplied by pairs of
// multipliers in up to two parts, whose sum p is as blendPairs says:
//
//	y = min(max((p >> shift, less its lowest bit where p is half way and that bit counts) + add, lo), hi)
//
// where plus has what rounding adds. With sign, rounding is as in scaled instead: p + half + (p>>sign & tie). Packing saturates to 16 bits
// and then to an element; as lo and hi are elements, limits come last.
func (a lanes) blend(bytesA, bytesB, to int, sign bool) {
	name := fmt.Sprintf("blend%dx%dto%d%s", 8*bytesA, 8*bytesB, 8*to, a.suffix())
	if sign {
		name = "signB" + name[1:]
	}
	a.begin(name, name+" is Blend.Run in whole steps.")
	x, y, dst, n, todo := reg.RSI, reg.RBX, reg.RDI, reg.RDX, reg.ECX
	tensors := []reg.Register{x, y, dst}
	for i, p := range tensors {
		a.MOVQ(field(blendA+i), p)
		a.MOVQ(p, field(blendNextA+i))
	}
	a.MOVL(field(blendTodo), todo)
	r := a.blendRegs(sign)
	for i, v := range r.numbers() {
		if v != nil {
			a.VPBROADCASTD(field(blendHigh+i), v)
		}
	}
	a.VMOVQ(field(blendShift), r.shift)
	if sign {
		a.VMOVQ(field(blendSign), r.sign)
	}
	halves := 3 - to                          // with AVX2, to is 2
	inLanes := a.zmm && bytesA+bytesB+to == 3 // halves of lanes are unpacked, and packed where they were
	switch {
	case inLanes:
		a.clear(r.zero)
	case to == 1:
		a.interleaved(r.order, reg.R8)
	}
	if a.zmm {
		a.MOVL(operand.U32(1<<blendPlaces*0x10001), reg.R8L)
		a.VPBROADCASTD(reg.R8L, r.places)
	}
	extend := func(bytes, half int, from reg.Register, to reg.VecPhysical) {
		m := at(from, half*a.bytes()/2*bytes)
		if bytes == 1 {
			a.VPMOVZXBW(m, to)
		} else {
			a.load(m, to)
		}
	}
	// steps are those of a row.
	steps := func(name string, where blendWhere) {
		var words []reg.VecPhysical
		a.Label(name)
		if inLanes {
			a.load(at(x, 0), r.mixed[1])
			a.load(at(y, 0), a.v(0))
			a.VPUNPCKLBW(a.v(0), r.mixed[1], r.mixed[0])
			a.VPUNPCKHBW(a.v(0), r.mixed[1], r.mixed[1])
		}
		for half := range halves {
			where := func(bit uint32, label string, body func()) { where(bit, fmt.Sprint(label, half), body) }
			pairs, sums := []reg.VecPhysical{a.v(0), a.v(1)}, []reg.VecPhysical{a.v(2 + 2*half), a.v(3 + 2*half)}
			if inLanes {
				a.VPUNPCKHBW(r.zero, r.mixed[half], pairs[1])
				a.VPUNPCKLBW(r.zero, r.mixed[half], pairs[0])
			} else {
				extend(bytesA, half, x, pairs[0])
				extend(bytesB, half, y, sums[0])
				a.VPUNPCKHWD(sums[0], pairs[0], pairs[1])
				a.VPUNPCKLWD(sums[0], pairs[0], pairs[0])
			}
			a.blendPairs(a.zmm && bytesA+bytesB == 2, pairs, sums, where, r)
			a.blendRound(sums, pairs, sign, where, r)
			where(nearestPlus, "sum", func() {
				for _, p := range sums {
					a.VPADDD(r.add, p, p)
				}
			})
			a.VPACKSSDW(sums[1], sums[0], sums[0])
			words = append(words, sums[0])
		}
		v, min, max := words[0], a.VPMINSW, a.VPMAXSW
		if to == 1 {
			a.VPACKUSWB(words[1], v, v)
			if !inLanes {
				a.VPERMQ(v, r.order, v)
			}
			min, max = a.VPMINUB, a.VPMAXUB
		}
		where(nearestLimits, "limited", func() {
			max(r.lo, v, v)
			min(r.hi, v, v)
		})
		a.store(v, at(dst, 0))
		a.ADDQ(operand.I32(halves*a.bytes()/2*bytesA), x)
		a.ADDQ(operand.I32(halves*a.bytes()/2*bytesB), y)
		a.ADDQ(operand.I32(a.bytes()), dst)
		a.DECQ(n)
		a.JNE(operand.LabelRef(name))
	}
	a.Label("row")
	for i, p := range tensors {
		a.MOVQ(field(blendNextA+i), p)
	}
	a.MOVQ(field(blendCount), n)
	var forms []uint32
	if !a.zmm && !sign {
		forms = blendForms
	}
	for _, form := range forms {
		a.CMPL(todo, operand.Imm(uint64(form)))
		a.JEQ(operand.LabelRef(fmt.Sprint("form", form)))
	}
	steps("next", func(bit uint32, label string, body func()) { a.where(todo, bit, label, body) })
	a.Label("end")
	for i := range tensors {
		a.MOVQ(field(blendRowA+i), n)
		a.ADDQ(n, field(blendNextA+i))
	}
	a.DECQ(field(blendRows))
	a.JNE(operand.LabelRef("row"))
	a.end()
	for _, form := range forms {
		steps(fmt.Sprint("form", form), func(bit uint32, _ string, body func()) {
			if form&bit != 0 {
				body()
			}
		})
		a.JMP(operand.LabelRef("end"))
	}
}

// blendWhere runs a body where a bit of todo is set.
type blendWhere func(bit uint32, label string, body func())

// blendForms are values of todo that have steps of their own with AVX2: on a Zen 4, where a register takes few instructions, jumps over what is
// not to be done take longer than these.
var blendForms = []uint32{
	nearestLimits,
	nearestLimits | blendWhole,
	nearestLimits | blendTwice,
	nearestLimits | blendTwice | blendWhole,
	nearestLimits | blendTwice | blendFar,
}

// blendRegs are the constants of blend.
type blendRegs struct {
	high, low, plus, add, lo, hi, mask, tie reg.VecPhysical
	half                                    reg.VecPhysical // with sign
	shift, sign                             reg.VecPhysical
	order                                   reg.VecPhysical    // of packed bytes
	places                                  reg.VecPhysical    // words of 1<<blendPlaces
	zero                                    reg.VecPhysical    // in lanes
	mixed                                   [2]reg.VecPhysical // in lanes, bytes of either tensor
}

// numbers are those that are the same in all lanes, in the order of fields.
func (r *blendRegs) numbers() []reg.VecPhysical {
	return []reg.VecPhysical{r.high, r.low, r.plus, r.add, r.lo, r.hi, r.mask, r.tie, r.half}
}

// blendRegs leave registers 0 to 5 for sums, of which AVX2 uses four, and two for products.
func (a lanes) blendRegs(sign bool) blendRegs {
	r := blendRegs{high: a.v(6), low: a.v(7), plus: a.v(8), add: a.v(9), lo: a.v(10), hi: a.v(11), mask: a.v(12), tie: a.v(13), shift: reg.X14}
	if sign {
		r.half, r.mask, r.sign = a.v(12), nil, reg.X15
	}
	if a.zmm {
		r.order, r.zero, r.places = a.v(16), a.v(17), a.v(18)
		r.mixed = [2]reg.VecPhysical{a.v(19), a.v(20)}
	}
	return r
}

// blendPairs makes sums of registers of pairs, which it overwrites: low.pair + plus, and as todo says the pair itself, as a number of 32 bits, and
// high.pair or high.pair<<7. Bytes leave room in words for such a shift. On a Zen 4, multiplications, shifts and what unpacks and packs share pipes,
// which additions need not.
func (a lanes) blendPairs(bytes bool, pairs, sums []reg.VecPhysical, where blendWhere, r blendRegs) {
	for _, p := range sums {
		a.VMOVAPS(r.plus, p)
	}
	where(blendWhole, "whole", func() {
		for i, p := range sums {
			a.VPADDD(pairs[i], p, p)
		}
	})
	for i, p := range sums {
		if a.zmm {
			a.VPDPWSSD(r.low, pairs[i], p)
			continue
		}
		product := a.v(4 + i)
		a.VPMADDWD(r.low, pairs[i], product)
		a.VPADDD(product, p, p)
	}
	where(blendTwice, "once", func() {
		if bytes {
			where(blendFar, "near", func() {
				for _, v := range pairs {
					a.VPMULLW(r.places, v, v)
				}
			})
			for i, p := range sums {
				a.VPDPWSSD(r.high, pairs[i], p)
			}
			return
		}
		for _, v := range pairs {
			a.VPMADDWD(r.high, v, v)
		}
		where(blendFar, "near", func() {
			for _, v := range pairs {
				a.VPSLLD(operand.Imm(blendPlaces), v, v)
			}
		})
		for i, p := range sums {
			a.VPADDD(pairs[i], p, p)
		}
	})
}

// blendRound is p >> shift, rounded. mask has the bits below a unit, and tie those that stay of what is half way. With AVX2, mask has the
// unit, too, and tie what is left of an odd number that is half way, which is then one less.
func (a lanes) blendRound(p, t []reg.VecPhysical, sign bool, where blendWhere, r blendRegs) {
	each := func(body func(i int, p, t reg.VecPhysical)) {
		for i := range p {
			body(i, p[i], t[i])
		}
	}
	if sign {
		each(func(_ int, p, t reg.VecPhysical) {
			a.VPSRAD(r.sign, p, t)
			if a.zmm {
				a.VPANDD(r.tie, t, t)
			} else {
				a.VPAND(r.tie, t, t)
			}
			a.VPADDD(r.half, p, p)
			a.VPADDD(t, p, p)
			a.VPSRAD(r.shift, p, p)
		})
		return
	}
	masks := []reg.Register{reg.K1, reg.K2}
	where(blendTies, "find", func() {
		each(func(i int, p, t reg.VecPhysical) {
			if a.zmm {
				a.VPTESTNMD(r.mask, p, masks[i])
				return
			}
			a.VPAND(r.mask, p, t)
			a.VPCMPEQD(r.tie, t, t)
		})
	})
	each(func(_ int, p, _ reg.VecPhysical) { a.VPSRAD(r.shift, p, p) })
	where(blendTies, "even", func() {
		each(func(i int, p, t reg.VecPhysical) {
			if a.zmm {
				a.VPANDD(r.tie, p, masks[i], p)
			} else {
				a.VPADDD(t, p, p)
			}
		})
	})
}
