package tensor

import (
	"fmt"
	"strconv"
)

// Kind is the class of an element type.
type Kind uint8

// The kinds. Invalid is the zero value, so that an element type nobody set is noticed.
const (
	Invalid Kind = iota
	Float
	BFloat
	Int
	Uint
	Bool
)

// Elem is an element type: a kind and a width in bits. Integers have any width from 1 to 64; those of up to 48 bits can be
// quantized values, 64-bit ones are shapes and indices. Floats are 16, 32 or 64 bits wide; all are stored as float32.
type Elem struct {
	Kind Kind
	Bits uint8
}

// The element types that have no width to choose.
var (
	F32  = Elem{Float, 32}
	F64  = Elem{Float, 64}
	F16  = Elem{Float, 16}
	BF16 = Elem{BFloat, 16}
	I64  = Elem{Int, 64}
	I32  = Elem{Int, 32}
	B    = Elem{Bool, 1}
)

// I and U are the signed and the unsigned integer of a width in bits.
func I(bits int) Elem { return Elem{Int, uint8(bits)} }
func U(bits int) Elem { return Elem{Uint, uint8(bits)} }

// IsFloat reports whether values are stored in T.F; otherwise they are in T.I.
func (e Elem) IsFloat() bool { return e.Kind == Float || e.Kind == BFloat }

// IsInt reports whether e is a signed or unsigned integer (bool is neither).
func (e Elem) IsInt() bool { return e.Kind == Int || e.Kind == Uint }

// Range is the least and the greatest value of an integer or bool type. 64-bit unsigned is cut to the range of int64.
func (e Elem) Range() (lo, hi int64) {
	switch e.Kind {
	case Int:
		return -1 << (e.Bits - 1), 1<<(e.Bits-1) - 1
	case Uint:
		if e.Bits >= 63 {
			return 0, 1<<63 - 1
		}
		return 0, 1<<e.Bits - 1
	case Bool:
		return 0, 1
	}
	panic("tensor: Range of " + e.String())
}

// String is the form of the textual IR: f32, bf16, i8, u4, bool.
func (e Elem) String() string {
	switch e.Kind {
	case Float:
		return "f" + strconv.Itoa(int(e.Bits))
	case BFloat:
		return "bf" + strconv.Itoa(int(e.Bits))
	case Int:
		return "i" + strconv.Itoa(int(e.Bits))
	case Uint:
		return "u" + strconv.Itoa(int(e.Bits))
	case Bool:
		return "bool"
	}
	return "invalid"
}

// ParseElem reads what String writes.
func ParseElem(s string) (Elem, error) {
	bad := fmt.Errorf("element type %q: want f16, f32, f64, bf16, bool, or i or u with a width from 1 to 64", s)
	switch s {
	case "bool":
		return B, nil
	case "bf16":
		return BF16, nil
	case "f16", "f32", "f64":
		n, _ := strconv.Atoi(s[1:])
		return Elem{Float, uint8(n)}, nil
	case "":
		return Elem{}, bad
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil || n < 1 || n > 64 || strconv.Itoa(n) != s[1:] {
		return Elem{}, bad
	}
	switch s[0] {
	case 'i':
		return I(n), nil
	case 'u':
		return U(n), nil
	}
	return Elem{}, bad
}
