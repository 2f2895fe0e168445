package hw

import (
	"errors"
	"strconv"
)

// Prim is a primitive of scalar programs: a piece of hardware on one integer.
type Prim uint8

// The primitives.
const (
	Add Prim = iota
	Sub
	Mul
	Max
	Min
	AddI
	MulI
	MaxI
	MinI
	DivInto
	RshFloor
	RshHalfUp
	RshHalfEven
	RshHalfAway
	RshCeil
	RshAway
	RshToZero
	RshHalfToZero
	Wrap
	Lut
	numPrims
)

// Operand says what stands in Instr.Imm.
type Operand uint8

// The operands of a primitive beside its arguments.
const (
	NoImm  Operand = iota
	Number         // a constant, or one for each channel or pixel
	Shift          // a shift distance 0..61, or one for each channel
	Width          // a width in bits 1..63
	Table          // Instr.Table
)

// Row is the single definition of a primitive.
type Row struct {
	Name string
	Args int // 1 or 2
	Imm  Operand
	// Eval is the meaning. It does not overflow where Bound gave no error.
	Eval func(a, b, imm int64) int64
	// Bound is the exact interval of results over intervals of arguments.
	Bound func(a, b Interval, imm int64) (Interval, error)
	// C is the expression in C, with {a}, {b} and {i} for the arguments and the immediate; functions are those of
	// backends/hls/rt/fixed.h. All operands are int64_t there, or of the width that Bound proves.
	C string
}

// Prims is the table of primitives, by Prim. Lut's Eval and Bound need the table and are in Instr.
var Prims = [numPrims]Row{
	Add: {"add", 2, NoImm, func(a, b, _ int64) int64 { return a + b },
		func(a, b Interval, _ int64) (Interval, error) { return Interval{a.Lo + b.Lo, a.Hi + b.Hi}.check() }, "{a} + {b}"},
	Sub: {"sub", 2, NoImm, func(a, b, _ int64) int64 { return a - b },
		func(a, b Interval, _ int64) (Interval, error) { return Interval{a.Lo - b.Hi, a.Hi - b.Lo}.check() }, "{a} - {b}"},
	Mul: {"mul", 2, NoImm, func(a, b, _ int64) int64 { return a * b },
		func(a, b Interval, _ int64) (Interval, error) { return a.mul(b) }, "{a} * {b}"},
	Max: {"max", 2, NoImm, func(a, b, _ int64) int64 { return max(a, b) },
		func(a, b Interval, _ int64) (Interval, error) { return Interval{max(a.Lo, b.Lo), max(a.Hi, b.Hi)}, nil }, "q_max({a}, {b})"},
	Min: {"min", 2, NoImm, func(a, b, _ int64) int64 { return min(a, b) },
		func(a, b Interval, _ int64) (Interval, error) { return Interval{min(a.Lo, b.Lo), min(a.Hi, b.Hi)}, nil }, "q_min({a}, {b})"},
	AddI: {"addi", 1, Number, func(a, _, i int64) int64 { return a + i },
		func(a, _ Interval, i int64) (Interval, error) {
			if i <= -limit || i >= limit {
				return a, errWide
			}
			return Interval{a.Lo + i, a.Hi + i}.check()
		}, "{a} + {i}"},
	MulI: {"muli", 1, Number, func(a, _, i int64) int64 { return a * i },
		func(a, _ Interval, i int64) (Interval, error) { return a.mul(Interval{i, i}) }, "{a} * {i}"},
	MaxI: {"maxi", 1, Number, func(a, _, i int64) int64 { return max(a, i) },
		func(a, _ Interval, i int64) (Interval, error) { return Interval{max(a.Lo, i), max(a.Hi, i)}.check() }, "q_max({a}, {i})"},
	MinI: {"mini", 1, Number, func(a, _, i int64) int64 { return min(a, i) },
		func(a, _ Interval, i int64) (Interval, error) { return Interval{min(a.Lo, i), min(a.Hi, i)}.check() }, "q_min({a}, {i})"},
	// DivInto is i / a rounded towards minus infinity, for a that is proved to be positive: the one division, for reciprocals of sums.
	DivInto: {"divinto", 1, Number, func(a, _, i int64) int64 { return floorDiv(i, a) }, boundDivInto, "q_div({i}, {a})"},
	// Shifts right by i bits with rounding; i = 0 changes nothing. All are monotone, so the ends bound them.
	RshFloor:      rsh("rsh_floor", func(a, _, i int64) int64 { return a >> i }),
	RshHalfUp:     rsh("rsh_half_up", func(a, _, i int64) int64 { return (a + half(i)) >> i }),
	RshHalfEven:   rsh("rsh_half_even", rshHalfEven),
	RshHalfAway:   rsh("rsh_half_away", rshHalfAway),
	RshCeil:       rsh("rsh_ceil", func(a, _, i int64) int64 { return (a + (1<<i - 1)) >> i }),
	RshAway:       rsh("rsh_away", func(a, _, i int64) int64 { return (a + (1<<i-1)&^(a>>63)) >> i }),
	RshToZero:     rsh("rsh_to_zero", func(a, _, i int64) int64 { return (a + (1<<i-1)&(a>>63)) >> i }),
	RshHalfToZero: rsh("rsh_half_to_zero", rshHalfToZero),
	// Wrap keeps the low i bits as a two's complement number: an accumulator of i bits that wraps around.
	Wrap: {"wrap", 1, Width, wrap, boundWrap, "q_wrap({a}, {i})"},
	Lut:  {"lut", 1, Table, nil, nil, "{t}[{a} - ({i})]"},
}

// half is half a unit of the last place that stays after a shift by i.
func half(i int64) int64 {
	if i == 0 {
		return 0
	}
	return 1 << (i - 1)
}

func rshHalfEven(a, _, i int64) int64 {
	if i == 0 {
		return a
	}
	// Ties round up where the floor is odd: add half less one, and the lowest bit of the floor.
	return (a + half(i) - 1 + a>>i&1) >> i
}

func rshHalfAway(a, _, i int64) int64 {
	if a < 0 && i > 0 {
		a-- // a negative tie then rounds down
	}
	return (a + half(i)) >> i
}

func rshHalfToZero(a, _, i int64) int64 {
	if a >= 0 && i > 0 {
		a-- // a positive tie then rounds down
	}
	return (a + half(i)) >> i
}

func rsh(name string, eval func(a, b, i int64) int64) Row {
	most := half // what is added before the shift
	switch name {
	case "rsh_ceil", "rsh_away":
		most = func(i int64) int64 { return 1<<i - 1 }
	}
	return Row{name, 1, Shift, eval, func(a, _ Interval, i int64) (Interval, error) {
		if i < 0 || i > 61 || a.Hi+most(i) >= limit || a.Lo <= -limit {
			return a, errWide
		}
		return Interval{eval(a.Lo, 0, i), eval(a.Hi, 0, i)}, nil
	}, "q_" + name + "({a}, {i})"}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func boundDivInto(a, _ Interval, i int64) (Interval, error) {
	if a.Lo < 1 {
		return a, errors.New("the divisor may be 0 or negative")
	}
	if i < -limit || i >= limit {
		return a, errWide
	}
	x, y := floorDiv(i, a.Lo), floorDiv(i, a.Hi) // monotone in a
	return Interval{min(x, y), max(x, y)}, nil
}

func wrap(a, _, i int64) int64 { return a << (64 - i) >> (64 - i) }

func boundWrap(a, _ Interval, i int64) (Interval, error) {
	full := Interval{-1 << (i - 1), 1<<(i-1) - 1}
	if a.Hi-a.Lo >= 1<<i-1 {
		return full, nil
	}
	lo, hi := wrap(a.Lo, 0, i), wrap(a.Hi, 0, i)
	if lo > hi { // the interval crosses the point of wrapping
		return full, nil
	}
	return Interval{lo, hi}, nil
}

func (p Prim) String() string { return Prims[p].Name }

func itoa(x int64) string { return strconv.FormatInt(x, 10) }
