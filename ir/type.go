package ir

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"quern/ir/tensor"
)

// Type is the type of a value. A negative dimension is symbolic: see Symbol.
type Type struct {
	Elem  tensor.Elem
	Shape []int
	Quant *Quant // set only with an integer element type
}

// T is shorthand for a type without Quant.
func T(e tensor.Elem, shape ...int) Type { return Type{Elem: e, Shape: shape} }

// Clone copies the shape and the Quant.
func (t Type) Clone() Type {
	t.Shape = slices.Clone(t.Shape)
	t.Quant = t.Quant.Clone()
	return t
}

// IsQuant reports whether the value stands for reals held as integers.
func (t Type) IsQuant() bool { return t.Quant != nil }

// Real is the type of the same values as real numbers: float32 for a quantized type, else the type itself.
func (t Type) Real() Type {
	if t.Quant == nil {
		return t
	}
	return Type{Elem: tensor.F32, Shape: t.Shape}
}

// Known reports whether no dimension is symbolic.
func (t Type) Known() bool {
	for _, d := range t.Shape {
		if d < 0 {
			return false
		}
	}
	return true
}

func (t Type) String() string {
	var b strings.Builder
	b.WriteString(t.Elem.String())
	b.WriteByte('[')
	for i, d := range t.Shape {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(DimString(d))
	}
	b.WriteByte(']')
	if t.Quant != nil {
		b.WriteString(t.Quant.text(t.Elem))
	}
	return b.String()
}

// Round is a rounding mode of a conversion to an integer.
type Round uint8

// The rounding modes. HalfEven is ONNX's; the names are those of the hardware primitives.
const (
	HalfEven   Round = iota
	HalfUp           // ties toward +infinity (AP_RND)
	HalfAway         // ties away from zero (AP_RND_INF; QONNX calls it HALF_UP)
	Floor            // toward -infinity (AP_TRN)
	Ceil             // toward +infinity
	Away             // away from zero (QONNX calls it UP)
	ToZero           // toward zero (AP_TRN_ZERO; QONNX calls it DOWN)
	HalfToZero       // ties toward zero (AP_RND_ZERO; QONNX calls it HALF_DOWN)
)

var roundNames = [...]string{"half_even", "half_up", "half_away", "floor", "ceil", "away", "to_zero", "half_to_zero"}

func (r Round) String() string { return roundNames[r] }

// ParseRound reads what String writes.
func ParseRound(s string) (Round, error) {
	if i := slices.Index(roundNames[:], s); i >= 0 {
		return Round(i), nil
	}
	return 0, fmt.Errorf("rounding mode %q: want one of %s", s, strings.Join(roundNames[:], ", "))
}

// Apply rounds to an integer.
func (r Round) Apply(x float64) float64 {
	switch r {
	case HalfEven:
		return math.RoundToEven(x)
	case HalfUp:
		f := math.Floor(x)
		if x-f >= 0.5 {
			f++
		}
		return f
	case HalfAway:
		return math.Round(x)
	case Floor:
		return math.Floor(x)
	case Ceil:
		return math.Ceil(x)
	case Away:
		return math.Copysign(math.Ceil(math.Abs(x)), x)
	case ToZero:
		return math.Trunc(x)
	case HalfToZero:
		t := math.Trunc(x)
		if math.Abs(x-t) > 0.5 {
			t += math.Copysign(1, x)
		}
		return t
	}
	panic("ir: rounding mode " + strconv.Itoa(int(r)))
}

// nearest reports whether the mode rounds to the nearest integer; the others round to the next one in some direction.
func (r Round) nearest() bool { return r <= HalfAway || r == HalfToZero }

// Quant says which reals the integers of a value stand for: real = (q - Zero) * Scale, q in Min..Max. Conversion from reals is
// q = clamp(Round(real/Scale) + Zero, Min, Max), which is ONNX's QuantizeLinear.
//
// Scale has one entry, or one for each index of the axis. Zero has one entry or as many as Scale. Scales are numbers that
// float32 can hold, so that they survive a model file; arithmetic with them is in float64.
type Quant struct {
	Scale    []float64
	Zero     []int64
	Axis     int // meaningful when len(Scale) > 1
	Min, Max int64
	Round    Round
}

// NewQuant is a per-tensor Quant over the whole range of the element type. The scale is rounded to float32.
func NewQuant(e tensor.Elem, scale float64, zero int64) *Quant {
	lo, hi := e.Range()
	return &Quant{Scale: []float64{float64(float32(scale))}, Zero: []int64{zero}, Min: lo, Max: hi}
}

// Clone copies; nil stays nil.
func (q *Quant) Clone() *Quant {
	if q == nil {
		return nil
	}
	c := *q
	c.Scale, c.Zero = slices.Clone(q.Scale), slices.Clone(q.Zero)
	return &c
}

// Equal compares all fields; nil equals only nil. The axis counts only when there is more than one scale.
func (q *Quant) Equal(o *Quant) bool {
	if q == nil || o == nil {
		return q == o
	}
	return slices.Equal(q.Scale, o.Scale) && slices.Equal(q.Zero, o.Zero) && (len(q.Scale) == 1 || q.Axis == o.Axis) &&
		q.Min == o.Min && q.Max == o.Max && q.Round == o.Round
}

// PerTensor reports whether one scale serves all elements.
func (q *Quant) PerTensor() bool { return len(q.Scale) == 1 }

// At is the scale and the zero point of channel c of the axis.
func (q *Quant) At(c int) (scale float64, zero int64) {
	if len(q.Scale) == 1 {
		c = 0
	}
	scale = q.Scale[c]
	if len(q.Zero) == 1 {
		c = 0
	}
	return scale, q.Zero[c]
}

// Quantize converts a real of channel c. NaN is the caller's to exclude; it gives Min.
//
// A real is a float32 number, so an integer v's real may lie up to 2^-24 of itself beside (v-Zero)*Scale. The modes that round to
// nearest do not see that; Floor would turn v into v-1, so it and the other directions take a quotient within 2^-23 of an integer as that integer. Thus
// Quantize(Dequantize(v)) is v in every mode, as long as v-Zero has at most 22 bits.
func (q *Quant) Quantize(x float64, c int) int64 {
	s, z := q.At(c)
	v := x / s
	if n := math.RoundToEven(v); !q.Round.nearest() && math.Abs(v-n) <= math.Abs(n)*0x1p-23 {
		v = n
	}
	v = q.Round.Apply(v) + float64(z)
	switch {
	case v >= float64(q.Max):
		return q.Max
	case v >= float64(q.Min):
		return int64(v)
	}
	return q.Min
}

// Dequantize is the real that integer v of channel c stands for, rounded to float32.
func (q *Quant) Dequantize(v int64, c int) float32 {
	s, z := q.At(c)
	return float32(float64(v-z) * s)
}

// Channels calls f for every run of elements that share a scale: data[lo:hi] belongs to channel c.
func (q *Quant) Channels(shape []int, f func(c, lo, hi int)) {
	n := tensor.Numel(shape)
	if q.PerTensor() && len(q.Zero) == 1 {
		f(0, 0, n)
		return
	}
	inner := tensor.Numel(shape[q.Axis+1:])
	for i, lo := 0, 0; lo < n; i, lo = i+1, lo+inner {
		f(i%shape[q.Axis], lo, lo+inner)
	}
}

// text prints {s=0.5 z=3}, then what is not the default: axis, min, max, round.
func (q *Quant) text(e tensor.Elem) string {
	var b strings.Builder
	b.WriteString("{s=")
	list(&b, len(q.Scale), func(i int) string { return formatScale(q.Scale[i]) })
	b.WriteString(" z=")
	list(&b, len(q.Zero), func(i int) string { return strconv.FormatInt(q.Zero[i], 10) })
	if len(q.Scale) > 1 || len(q.Zero) > 1 {
		fmt.Fprintf(&b, " axis=%d", q.Axis)
	}
	if lo, hi := e.Range(); lo != q.Min || hi != q.Max {
		fmt.Fprintf(&b, " min=%d max=%d", q.Min, q.Max)
	}
	if q.Round != HalfEven {
		b.WriteString(" round=" + q.Round.String())
	}
	b.WriteByte('}')
	return b.String()
}

// formatScale is the shortest text that gives the same float32, which is what every valid scale is.
func formatScale(s float64) string {
	if float64(float32(s)) == s {
		return strconv.FormatFloat(s, 'g', -1, 32)
	}
	return strconv.FormatFloat(s, 'g', -1, 64)
}

// list writes one item bare and several in brackets.
func list(b *strings.Builder, n int, item func(int) string) {
	if n == 1 {
		b.WriteString(item(0))
		return
	}
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(item(i))
	}
	b.WriteByte(']')
}

// Handles of symbols are symBase and the numbers under it, at most symCount of them: far under every dimension and index that a model
// can hold, and above the least int64, which exporters write for "to the end".
const (
	symBase  = -1 << 40
	symCount = 1 << 32
)

var symbols = struct {
	sync.RWMutex
	names []string
	index map[string]int
}{index: map[string]int{}}

// Symbol is the handle of a symbolic dimension such as a batch "N": a large negative number, the same for the same name. It
// stands in shapes in place of a size, and also as an element of int64 constants, so that the Shape, Gather, Concat, Reshape
// chains of exporters fold while the batch stays open: moving elements about does not disturb a handle, arithmetic refuses it.
func Symbol(name string) int {
	symbols.Lock()
	defer symbols.Unlock()
	i, ok := symbols.index[name]
	if !ok {
		i = len(symbols.names)
		symbols.names = append(symbols.names, name)
		symbols.index[name] = i
	}
	return symBase - i
}

// IsSymbol reports whether a dimension or an int64 element is a handle of Symbol.
func IsSymbol(d int) bool { return d <= symBase && d > symBase-symCount }

// DimString is the size or the name of the symbol.
func DimString(d int) string {
	if IsSymbol(d) {
		symbols.RLock()
		defer symbols.RUnlock()
		if i := symBase - d; i < len(symbols.names) {
			return symbols.names[i]
		}
	}
	return strconv.Itoa(d)
}
