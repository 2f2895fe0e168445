package irtext

import (
	"math"
	"strconv"
	"strings"

	"quern/ir"
	"quern/ir/tensor"
)

// maxElems bounds the elements of a type, symbols counted as 1, so that no product of dimensions overflows.
const maxElems = math.MaxInt32

// typ reads elem[dim,...] and the Quant behind it, if any.
func (p *parser) typ() *ir.Type {
	at := p.expect(word, "a type")
	e, err := tensor.ParseElem(at.text)
	if err != nil {
		p.fail(at, "%w", err)
	}
	t := &ir.Type{Elem: e, Shape: items(p, p.dim)}
	n := 1
	for i, d := range t.Shape {
		switch {
		case d < 0 && !ir.IsSymbol(d):
			p.fail(at, "type %s: dimension %d is %d, want 0 or more", typeText(*t), i, d)
		case d > 0 && n > maxElems/d:
			p.fail(at, "type %s: more than %d elements", typeText(*t), maxElems)
		case d > 0:
			n *= d
		}
	}
	if p.is("{") {
		t.Quant = p.quant(e)
	}
	return t
}

// quant reads {s=.. z=.. axis=.. min=.. max=.. round=..}; the keys stand in any order and all but s and z have defaults.
func (p *parser) quant(e tensor.Elem) *ir.Quant {
	if !e.IsInt() {
		p.fail(p.tok, "scale and zero point on element type %v, want an integer", e)
	}
	q := &ir.Quant{}
	q.Min, q.Max = e.Range()
	p.want("{")
	seen := map[string]bool{}
	for !p.accept("}") {
		at := p.expect(word, "s, z, axis, min, max or round")
		if seen[at.text] {
			p.fail(at, "%s is given twice", at.text)
		}
		seen[at.text] = true
		p.want("=")
		switch at.text {
		case "s":
			q.Scale = oneOrMore(p, func() float64 { return float64(p.float()) })
		case "z":
			q.Zero = oneOrMore(p, func() int64 { return int64(p.number()) })
		case "axis":
			q.Axis = p.number()
		case "min":
			q.Min = int64(p.number())
		case "max":
			q.Max = int64(p.number())
		case "round":
			t := p.expect(word, "a rounding mode")
			r, err := ir.ParseRound(t.text)
			if err != nil {
				p.fail(t, "%w", err)
			}
			q.Round = r
		default:
			p.fail(at, "want s, z, axis, min, max or round, got %v", at)
		}
	}
	if !seen["s"] || !seen["z"] {
		p.fail(p.tok, "a quantized type needs both s and z")
	}
	return q
}

// oneOrMore reads one item bare or several in brackets.
func oneOrMore[T any](p *parser, item func() T) []T {
	if p.is("[") {
		return items(p, item)
	}
	return []T{item()}
}

// dim reads a number or the name of a symbol.
func (p *parser) dim() int {
	t := p.tok
	if t.kind == quoted || t.kind == word && bareSymbol(t.text) {
		return ir.Symbol(p.next().text)
	}
	return p.number()
}

// number reads an integer. Those that serve as handles of symbols are refused: they would print as names.
func (p *parser) number() int {
	t := p.expect(word, "an integer")
	n, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil {
		p.fail(t, "want an integer, got %v", t)
	}
	if ir.IsSymbol(int(n)) {
		p.fail(t, "%d is reserved for symbolic dimensions", n)
	}
	return int(n)
}

// float reads a float32, with or without an f behind it.
func (p *parser) float() float32 {
	t := p.expect(word, "a number")
	x, err := strconv.ParseFloat(t.text, 32)
	if err != nil {
		x, err = strconv.ParseFloat(strings.TrimSuffix(t.text, "f"), 32)
	}
	if err != nil {
		p.fail(t, "want a number that float32 holds, got %v", t)
	}
	return float32(x)
}

// constant reads const %c type = [element element ...].
func (p *parser) constant() {
	p.next()
	at := p.expect(value, "the name of a constant")
	p.pending = []result{{at: at}}
	typ := p.typ()
	p.pending[0].typ = typ
	if !typ.Known() {
		p.fail(at, "constant %v: type %s has symbolic dimensions", at, typeText(*typ))
	}
	p.want("=")
	if !p.is("[") && p.comment != "" {
		p.fail(at, "constant %v: the data was left out when this was printed in short form", at)
	}
	t := &tensor.T{Elem: typ.Elem, Shape: typ.Shape}
	p.want("[")
	for !p.accept("]") {
		switch {
		case typ.Elem.IsFloat():
			t.F = append(t.F, p.float())
		case typ.Elem == tensor.I64:
			t.I = append(t.I, int64(p.dim()))
		default:
			t.I = append(t.I, int64(p.number()))
		}
	}
	if n := tensor.Numel(typ.Shape); t.Len() != n {
		p.fail(at, "constant %v: want %d elements for %s, got %d", at, n, typeText(*typ), t.Len())
	}
	if t.Len() == 0 {
		t = tensor.New(typ.Elem, typ.Shape...)
	}
	if err := t.Check(); err != nil {
		p.fail(at, "constant %v: %w", at, err)
	}
	v := p.define(p.pending[0], nil)
	v.Const = t
	p.pending = nil
}
