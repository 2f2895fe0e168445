package hls

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"quern/ir/hw"
)

// writer prints indented C.
type writer struct {
	bytes.Buffer
	depth int
}

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(w, "%s"+format+"\n", append([]any{strings.Repeat("    ", w.depth)}, args...)...)
}

// raw prints a line without indentation: directives.
func (w *writer) raw(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) open(format string, args ...any) {
	w.line(format+" {", args...)
	w.depth++
}

// close ends n blocks.
func (w *writer) close(n int) {
	for range n {
		w.depth--
		w.line("}")
	}
}

// externC prints declarations that C++ is to link as those of C.
func (w *writer) externC(declare func()) {
	w.raw("#ifdef __cplusplus")
	w.raw("extern \"C\" {")
	w.raw("#endif")
	declare()
	w.raw("")
	w.raw("#ifdef __cplusplus")
	w.raw("}")
	w.raw("#endif")
}

// variable is an integer variable of the C program with the values it can have.
type variable struct {
	name   string
	lo, hi int
}

// loop is a counted loop from 0 below n. The label names it in the reports of the tools.
type loop struct {
	label   string
	v       variable
	n, step int
}

// over is a loop over 0..n-1. Its variable has only the value 0 where n is 1; such a loop is not printed.
func over(label, name string, n int) loop {
	return loop{label, variable{name, 0, n - 1}, n, 1}
}

// as is the same loop under another label: labels are unique in a function.
func (l loop) as(label string) loop {
	l.label = label
	return l
}

// loops opens the loops that run more than once and returns how many blocks to close. With pipeline, the innermost starts an iteration
// in every clock cycle.
func (w *writer) loops(pipeline bool, ls ...loop) int {
	n := 0
	for _, l := range ls {
		if l.v.hi == 0 {
			continue
		}
		inc := l.v.name + "++"
		if l.step > 1 {
			inc = fmt.Sprintf("%s += %d", l.v.name, l.step)
		}
		w.open("%s: for (int %s = 0; %s < %d; %s)", l.label, l.v.name, l.v.name, l.n, inc)
		n++
	}
	if pipeline && n > 0 {
		w.raw("#pragma HLS PIPELINE II=1")
	}
	return n
}

// unrolled opens a loop all of whose iterations happen at once.
func (w *writer) unrolled(l loop) int {
	if l.n > maxUnroll {
		panic(fmt.Sprintf("hls: unrolling a loop of %d iterations", l.n))
	}
	n := w.loops(false, l)
	if n > 0 {
		w.raw("#pragma HLS UNROLL")
	}
	return n
}

// affine is an integer expression k + sum c*v.
type affine struct {
	k int
	c []int
	v []variable
}

// affineOf is k + c1*v1 + c2*v2...; terms alternates coefficients (int) and variables.
func affineOf(k int, terms ...any) affine {
	a := affine{k: k}
	for i := 0; i < len(terms); i += 2 {
		a = a.plus(terms[i].(int), terms[i+1].(variable))
	}
	return a
}

// plus adds c*v. A variable with one value is a constant.
func (a affine) plus(c int, v variable) affine {
	if v.lo == v.hi {
		a.k += c * v.lo
		return a
	}
	if c != 0 {
		a.c = append(a.c[:len(a.c):len(a.c)], c)
		a.v = append(a.v[:len(a.v):len(a.v)], v)
	}
	return a
}

// add adds c*b.
func (a affine) add(c int, b affine) affine {
	a.k += c * b.k
	for i, d := range b.c {
		a = a.plus(c*d, b.v[i])
	}
	return a
}

// bounds are the least and the greatest value; exact, as the variables vary independently.
func (a affine) bounds() (lo, hi int) {
	lo, hi = a.k, a.k
	for i, c := range a.c {
		lo += min(c*a.v[i].lo, c*a.v[i].hi)
		hi += max(c*a.v[i].lo, c*a.v[i].hi)
	}
	return lo, hi
}

func (a affine) String() string {
	s := ""
	part := func(neg bool, text string) {
		switch {
		case s == "" && neg:
			s = "-" + text
		case s == "":
			s = text
		case neg:
			s += " - " + text
		default:
			s += " + " + text
		}
	}
	for i, c := range a.c {
		text := a.v[i].name
		if c != 1 && c != -1 {
			text = fmt.Sprintf("%d * %s", max(c, -c), text)
		}
		part(c < 0, text)
	}
	if a.k != 0 || s == "" {
		part(a.k < 0, strconv.Itoa(max(a.k, -a.k)))
	}
	return s
}

// named declares a variable for a when a is more than a variable or a constant.
func (w *writer) named(name string, a affine) variable {
	lo, hi := a.bounds()
	if len(a.v) == 0 || len(a.v) == 1 && a.c[0] == 1 && a.k == 0 {
		return variable{a.String(), lo, hi}
	}
	w.line("const int %s = %v;", name, a)
	return variable{name, lo, hi}
}

// ctype is a stdint type.
type ctype struct {
	bits   int
	signed bool
}

var (
	i32 = ctype{32, true}
	i64 = ctype{64, true}
)

func (t ctype) String() string {
	if t.signed {
		return fmt.Sprintf("int%d_t", t.bits)
	}
	return fmt.Sprintf("uint%d_t", t.bits)
}

func (t ctype) holds(r hw.Interval) bool {
	if t.signed {
		return -1<<(t.bits-1) <= r.Lo && r.Hi <= 1<<(t.bits-1)-1
	}
	return r.Lo >= 0 && r.Hi <= 1<<t.bits-1
}

// storage is the smallest type for a range: unsigned below 32 bits where nothing is negative.
func storage(r hw.Interval) ctype {
	for _, t := range [...]ctype{{8, false}, {8, true}, {16, false}, {16, true}, i32, {32, false}} {
		if t.holds(r) {
			return t
		}
	}
	return i64
}

// scalar is the type for computing: int32_t where the range fits.
func scalar(r hw.Interval) ctype {
	if i32.holds(r) {
		return i32
	}
	return i64
}

// assign is an expression for storing one of a type into another that holds its value: a cast unless the type is the same or C widens it.
func assign(expr string, from, to ctype) string {
	if from == to || from.bits < to.bits && (to.signed || !from.signed) {
		return expr
	}
	return cast(expr, to)
}

// operand is an expression as an operand of arithmetic in i32 or i64.
func operand(expr string, from, in ctype) string {
	if from == in || in == i32 && from.bits < 32 { // C promotes what is narrower than int
		return expr
	}
	return cast(expr, in)
}

func cast(expr string, to ctype) string {
	if !enclosed(expr) {
		expr = "(" + expr + ")"
	}
	return fmt.Sprintf("(%v)%s", to, expr)
}

// enclosed reports whether the expression is one call or subscript: its spaces are inside brackets.
func enclosed(expr string) bool {
	depth := 0
	for _, c := range expr {
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		case ' ':
			if depth == 0 {
				return false
			}
		}
	}
	return true
}

// literal is a C constant; one beyond 32 bits is a long long.
func literal(x int64) string {
	switch {
	case x == math.MinInt64:
		return "(-9223372036854775807LL - 1)"
	case x < -math.MaxInt32 || x > math.MaxInt32:
		return fmt.Sprintf("%dLL", x)
	}
	return strconv.FormatInt(x, 10)
}

// comment makes any text safe inside a C comment: one line, and a dot for what could end the comment or the line, or be a trigraph.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune("*?\\", r) {
			return '.'
		}
		return r
	}, s)
}

// quote is a C string literal of any bytes.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '?' {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}
