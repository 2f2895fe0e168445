package onnx

import (
	"math"
	"strings"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// quantNode is QONNX Quant (also called IntQuant): x, scale, zero point, bit width, all but x constant; reals in and out. Its integers
// get the name of the output with _int behind it.
//
// QONNX adds the zero point and clamps before it rounds. Clamping first is the same for integer bounds; adding first differs only for
// reals exactly between two integers, and only where the zero point is odd (ROUND) or not 0 (HALF_UP).
func quantNode(n *node) {
	if !n.arity(4, 4) {
		return
	}
	bits := n.bitWidth()
	signed, narrow := n.flag("signed", true), n.flag("narrow", false)
	mode := take(n, "rounding_mode", "ROUND")
	round := n.rounding(mode)
	s, z := n.constInput(1, "scale"), n.constInput(2, "zero point")
	if n.failed {
		return
	}
	if signed && bits == 1 {
		if narrow || z.Len() != 1 || z.Float(0) != 0 {
			n.fail("1 signed bit stands for -1 and 1: want zero point 0, and not narrow")
		}
		if n.noMoreAttrs() {
			n.bipolar(s)
		}
		return
	}
	axis := n.quantAxis(s, z)
	e := tensor.U(bits)
	if signed {
		e = tensor.I(bits)
	}
	if n.failed {
		return
	}
	q := n.quant(e, s, z, axis)
	if q == nil {
		return
	}
	q.Round = round
	switch {
	case narrow && signed:
		q.Min++
	case narrow:
		q.Max--
	}
	lo, hi := int64(take(n, "quern_min", int(q.Min))), int64(take(n, "quern_max", int(q.Max)))
	if lo < q.Min || hi > q.Max || lo > hi {
		n.fail("quern_min %d, quern_max %d: want a range inside %d..%d", lo, hi, q.Min, q.Max)
	}
	if !n.noMoreAttrs() {
		return
	}
	x := n.in[0]
	if lo != q.Min || hi != q.Max {
		q.Min, q.Max = lo, hi
		x = n.dropClip(x, q)
	}
	out := n.outputs(1)
	v := n.quantize(x, e, q, n.im.names.New(out[0]+"_int"))
	if v == nil {
		return
	}
	n.emit(&op.Dequantize{}, []*ir.Value{v}, out)
}

// roundings are the modes of QONNX. The exporter writes the first name of each.
var roundings = []struct {
	name string
	mode ir.Round
}{
	{"ROUND", ir.HalfEven}, {"HALF_EVEN", ir.HalfEven}, {"HALF_UP", ir.HalfAway}, {"HALF_DOWN", ir.HalfToZero}, {"FLOOR", ir.Floor}, {"CEIL", ir.Ceil},
	{"UP", ir.Away}, {"DOWN", ir.ToZero}, {"ROUND_TO_ZERO", ir.ToZero},
}

func (n *node) rounding(name string) ir.Round {
	var names []string
	for _, r := range roundings {
		if strings.EqualFold(r.name, name) {
			return r.mode
		}
		names = append(names, r.name)
	}
	n.fail("rounding_mode %q is not supported, want one of %s", name, strings.Join(names, ", "))
	return 0
}

// bitWidth is input 3: an integer, though QONNX takes fractions, too. Biases have up to 48 bits in files.
func (n *node) bitWidth() int {
	t := n.constInput(3, "bitwidth")
	if t == nil || t.Len() == 0 {
		n.fail("input 3 (bitwidth): want one number")
		return 0
	}
	b := t.Float(0)
	for i := range t.Len() {
		if t.Float(i) != b {
			n.fail("input 3 (bitwidth): widths that differ by channel are not supported")
			return 0
		}
	}
	limit := 32.0
	if n.in[0].Const != nil {
		limit = 48
	}
	if b != math.Trunc(b) || b < 1 || b > limit {
		n.fail("input 3 (bitwidth) is %v, want an integer from 1 to %v", b, limit)
		return 0
	}
	return int(b)
}

// flag takes an attribute that is 0 or 1.
func (n *node) flag(name string, def bool) bool {
	d := 0
	if def {
		d = 1
	}
	v := take(n, name, d)
	if v != 0 && v != 1 {
		n.fail("attribute %s is %d, want 0 or 1", name, v)
	}
	return v != 0
}

// quantAxis finds the axis of input 0 along which scale or zero point run: their shapes broadcast to that of x, so it is the one place
// where they are not 1. 0 if they are single numbers.
func (n *node) quantAxis(params ...*tensor.T) int {
	found, rank := -1, len(n.shape())
	for i, t := range params {
		for k, d := range t.Shape {
			a := k - len(t.Shape) + rank
			switch {
			case d == 1:
			case a < 0 || found >= 0 && found != a:
				n.fail("input %d: shape %v runs along more than one axis of %v; want one number, or one for each index of an axis",
					i+1, t.Shape, n.in[0].Type)
				return 0
			default:
				found = a
			}
		}
	}
	return max(found, 0)
}

// clipSuffix ends the names of the Clip nodes that the exporter puts before a node which quantizes to a range of its own, for tools that do
// not know how it is said there.
const clipSuffix = "_quern_clip"

// dropClip takes such a Clip, to the range of q, out of the graph and returns what it reads.
func (n *node) dropClip(x *ir.Value, q *ir.Quant) *ir.Value {
	k := x.Def
	if k == nil || !strings.HasSuffix(k.Pos.Name, clipSuffix) || n.im.reads[x.Name] != 1 {
		return x
	}
	c, ok := k.Op.(*op.Clip)
	if !ok || !q.PerTensor() || q.Quantize(float64(c.Min), 0) != q.Min || q.Quantize(float64(c.Max), 0) != q.Max {
		return x
	}
	n.im.g.Remove(k)
	return k.In[0]
}
