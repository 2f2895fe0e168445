// Package irtext prints graphs as text and reads them back.
//
//	graph tiny(%x f32[N,4]) {
//	  meta "quern.scale" "255"
//	  const %w i8[4,2]{s=0.5 z=0} = [1 2 3 4 5 6 7 8]
//	  %h f32[N,2] = MatMul(%x, %w)  # node 3 "fc1" tiny.onnx
//	  %y u8[N,2]{s=0.1 z=0} = Relu(%h)  # node 4 "relu1" tiny.onnx
//	  return %y
//	}
//
// Names stand bare if they consist of letters, digits and _.:/- and else as Go strings: %"conv 1". A dimension is a size or the name
// of a symbol. Attributes that have their default are left out: Conv<strides=[2,2],group=4>(%x, %w, _); _ is an optional input that
// is not given. A node may have several results: %a f32[2], %b f32[3] = Split<axis=0>(%x). Floats are written so that they come
// back exact. The comment behind a node is its position in the model file and is read back; other comments, from # to the end of the
// line, are skipped.
//
// Printing what Parse returned gives a text whose parse prints the same again; text that Print wrote comes back byte for byte.
package irtext

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Option changes what Print writes. Without options everything is written and Parse reads it back.
type Option uint

const (
	// Short writes the hash and the range of constants of more than 64 elements in place of their data. Parse refuses such text.
	Short Option = 1 << iota
	// NoPos leaves out the positions of the nodes, for expected results of tests.
	NoPos
)

// fullLen is the greatest number of elements that Short writes, and that stand in one line.
const fullLen = 64

// String is the text of a graph.
func String(g *ir.Graph, opts ...Option) string {
	var b bytes.Buffer
	if err := Print(&b, g, opts...); err != nil {
		panic(err) // a Buffer does not fail
	}
	return b.String()
}

// Print writes the text of a graph. The error is that of w.
func Print(w io.Writer, g *ir.Graph, opts ...Option) error {
	p := printer{w: bufio.NewWriter(w)}
	for _, o := range opts {
		p.opts |= o
	}
	p.graph(g)
	return p.w.Flush() // a bufio.Writer keeps its first error
}

type printer struct {
	w    *bufio.Writer
	opts Option
}

func (p *printer) put(s ...string) {
	for _, s := range s {
		p.w.WriteString(s)
	}
}

func (p *printer) graph(g *ir.Graph) {
	p.put("graph ", nameText(g.Name), "(")
	for i, v := range g.Inputs {
		if i > 0 {
			p.put(", ")
		}
		p.put(valueText(v), " ", typeText(v.Type))
	}
	p.put(") {\n")
	for _, m := range g.Meta {
		p.put("  meta ", strconv.Quote(m[0]), " ", strconv.Quote(m[1]), "\n")
	}
	// A constant stands before the node that reads it first: the order of Values.
	done := map[*ir.Value]bool{}
	constant := func(v *ir.Value) {
		if v != nil && v.Const != nil && v.Def == nil && !done[v] {
			done[v] = true
			p.constant(v)
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			constant(v)
		}
		p.node(n)
	}
	for _, v := range g.Outputs {
		constant(v)
	}
	p.put("  return")
	for i, v := range g.Outputs {
		if i > 0 {
			p.put(",")
		}
		p.put(" ", valueText(v))
	}
	p.put("\n}\n")
}

func (p *printer) node(n *ir.Node) {
	p.put("  ")
	for i, v := range n.Out {
		if i > 0 {
			p.put(", ")
		}
		p.put(valueText(v), " ", typeText(v.Type))
	}
	p.put(" = ", opText(n.Op), "(")
	for i, v := range n.In {
		if i > 0 {
			p.put(", ")
		}
		p.put(valueText(v))
	}
	p.put(")")
	if p.opts&NoPos == 0 {
		p.put("  # ", posText(n.Pos))
	}
	p.put("\n")
}

// constant writes the data in one line, or in lines of up to lineLen bytes when there are more than fullLen elements.
func (p *printer) constant(v *ir.Value) {
	t := v.Const
	p.put("  const ", valueText(v), " ", typeText(v.Type), " = ")
	if p.opts&Short != 0 && t.Len() > fullLen {
		p.put(summary(t), "\n")
		return
	}
	const lineLen = 120
	p.put("[")
	wrap := t.Len() > fullLen
	col := lineLen
	for i := range t.Len() {
		s := elemText(t, i)
		switch {
		case wrap && col+1+len(s) > lineLen:
			p.put("\n    ")
			col = 4
		case i > 0:
			p.put(" ")
			col++
		}
		p.put(s)
		col += len(s)
	}
	if wrap {
		p.put("\n  ")
	}
	p.put("]\n")
}

// summary is #<hash> least..greatest; it is for eyes only.
func summary(t *tensor.T) string {
	h := sha256.New()
	var b [8]byte
	lo, hi := 0, 0
	for i := range t.Len() {
		if x := t.Float(i); x < t.Float(lo) {
			lo = i
		} else if x > t.Float(hi) {
			hi = i
		}
		if t.F != nil {
			binary.LittleEndian.PutUint64(b[:], uint64(math.Float32bits(t.F[i])))
		} else {
			binary.LittleEndian.PutUint64(b[:], uint64(t.I[i]))
		}
		h.Write(b[:])
	}
	return fmt.Sprintf("#%x %s..%s", h.Sum(nil)[:6], elemText(t, lo), elemText(t, hi))
}

func elemText(t *tensor.T, i int) string {
	switch {
	case t.F != nil:
		s := strconv.FormatFloat(float64(t.F[i]), 'g', -1, 32)
		return strings.ToLower(strings.TrimPrefix(s, "+")) // inf, -inf, nan; others have no capitals
	case t.Elem == tensor.I64:
		return dimText(int(t.I[i]))
	}
	return strconv.FormatInt(t.I[i], 10)
}

// opText is the name of an operator and those of its attributes that do not have their default.
func opText(o ir.Op) string {
	if o == nil {
		return "<no operator>" // a broken graph must print, too
	}
	var list []string
	for _, a := range op.Attrs(o) {
		if !a.Default {
			list = append(list, a.Name+"="+attrText(a.Value))
		}
	}
	if len(list) == 0 {
		return o.OpName()
	}
	return o.OpName() + "<" + strings.Join(list, ",") + ">"
}

func attrText(x any) string {
	switch x := x.(type) {
	case int:
		return dimText(x)
	case []int:
		return "[" + dimList(x) + "]"
	}
	return op.FormatAttr(x)
}

func typeText(t ir.Type) string {
	s := t.Elem.String() + "[" + dimList(t.Shape) + "]"
	if t.Quant != nil {
		s += strings.TrimPrefix(ir.Type{Elem: t.Elem, Quant: t.Quant}.String(), t.Elem.String()+"[]")
	}
	return s
}

func dimList(shape []int) string {
	s := make([]string, len(shape))
	for i, d := range shape {
		s[i] = dimText(d)
	}
	return strings.Join(s, ",")
}

// dimText is a number or the name of a symbol, quoted when it could be taken for anything else.
func dimText(d int) string {
	s := ir.DimString(d)
	if ir.IsSymbol(d) && !bareSymbol(s) {
		return strconv.Quote(s)
	}
	return s
}

func bareSymbol(s string) bool { return bare(s) && (s[0] == '_' || letter(s[0])) }

func valueText(v *ir.Value) string {
	if v == nil {
		return "_"
	}
	return "%" + nameText(v.Name)
}

func nameText(s string) string {
	if bare(s) {
		return s
	}
	return strconv.Quote(s)
}

// bare reports whether a name needs no quotes.
func bare(s string) bool {
	for i := range len(s) {
		if !nameByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func nameByte(c byte) bool {
	return letter(c) || c >= '0' && c <= '9' || strings.IndexByte("_.:/-", c) >= 0
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// posText is node 3 "name" file; name and file are left out when empty, but a quoted file needs the name before it.
func posText(p ir.Pos) string {
	s := "node " + strconv.Itoa(p.Node)
	if p.Name != "" || p.File != "" && !bare(p.File) {
		s += " " + strconv.Quote(p.Name)
	}
	if p.File != "" {
		s += " " + nameText(p.File)
	}
	return s
}

// parsePos reads what posText writes.
func parsePos(s string) (ir.Pos, bool) {
	var pos ir.Pos
	s, ok := strings.CutPrefix(strings.TrimSpace(s), "node ")
	num, s, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(num)
	if !ok || err != nil {
		return pos, false
	}
	pos.Node = n
	if q, err := strconv.QuotedPrefix(s); err == nil && q[0] == '"' {
		if pos.Name, err = strconv.Unquote(q); err != nil {
			return ir.Pos{}, false
		}
		s = strings.TrimPrefix(s[len(q):], " ")
	}
	switch q, err := strconv.QuotedPrefix(s); {
	case s == "":
	case bare(s):
		pos.File = s
	case err == nil && q == s && q[0] == '"':
		if pos.File, err = strconv.Unquote(q); err != nil {
			return ir.Pos{}, false
		}
	default:
		return ir.Pos{}, false
	}
	return pos, true
}
