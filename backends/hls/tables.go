package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
)

// table is a constant array of weights.h.
type table struct {
	name string
	dims []int
	v    []int64
	elem ctype
	note string
}

// table adds a table of a kernel, with the smallest element type. Axes of size 1 are dropped, but for the first.
func (e *c99) table(k *hw.Kernel, suffix string, dims []int, v []int64, note string) *table {
	r := hw.Interval{Lo: v[0], Hi: v[0]}
	for _, x := range v {
		r.Lo, r.Hi = min(r.Lo, x), max(r.Hi, x)
	}
	t := &table{name: e.ids.pick(e.fn[k], suffix), dims: dims[:1:1], v: v, elem: storage(r), note: fmt.Sprintf("%s; %v in %d..%d", note, r, r.Lo, r.Hi)}
	for _, d := range dims[1:] {
		if d > 1 {
			t.dims = append(t.dims, d)
		}
	}
	e.tables = append(e.tables, t)
	return t
}

// declare prints a constant array.
func (w *writer) declare(t *table) {
	w.line("/* %s; %d numbers %s */", comment(t.note), len(t.v), hw.Digest(t.v))
	w.line("static const %v %s%s = {", t.elem, t.name, brackets(t.dims))
	w.depth++
	w.numbers(t.dims, t.v)
	w.depth--
	w.line("};")
}

func brackets(dims []int) string {
	s := ""
	for _, d := range dims {
		s += fmt.Sprintf("[%d]", d)
	}
	return s
}

// numbers prints a braced block for each index of all axes but the last, on one line where it fits into 120 columns.
func (w *writer) numbers(dims []int, v []int64) {
	if len(dims) == 1 {
		for _, l := range wrapped(v, 120-4*w.depth) {
			w.line("%s", l)
		}
		return
	}
	n := len(v) / dims[0]
	for i := range dims[0] {
		part := v[i*n : (i+1)*n]
		if l := wrapped(part, 120-4*w.depth-3); len(dims) == 2 && len(l) == 1 {
			w.line("{%s},", strings.TrimSuffix(l[0], ","))
			continue
		}
		w.line("{")
		w.depth++
		w.numbers(dims[1:], part)
		w.depth--
		w.line("},")
	}
}

// wrapped lists numbers, a comma after each, in lines of a width.
func wrapped(v []int64, width int) (lines []string) {
	var b strings.Builder
	for _, x := range v {
		s := literal(x) + ","
		if b.Len() > 0 && b.Len()+1+len(s) > width {
			lines = append(lines, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return append(lines, b.String())
}

// head starts a C file: what it is, where it comes from, nothing that changes from run to run.
func (e *emitter) head(w *writer, what string) {
	w.line("/* %s", what)
	w.line(" *")
	w.line(" * %s, printed by quern %s. Do not edit: change the model and print it again.", comment(e.model()), comment(e.version()))
	w.line(" */")
}

func (e *emitter) model() string {
	if e.o.Model != "" {
		return e.o.Model
	}
	return e.p.Name
}

func (e *emitter) version() string {
	if e.o.Version != "" {
		return e.o.Version
	}
	return "(unversioned)"
}

func (w *writer) guard(macro string) {
	w.raw("#ifndef %s", macro)
	w.raw("#define %s", macro)
	w.raw("")
}

func (e *c99) weightsH() []byte {
	w := &writer{}
	e.head(w, "weights.h: weights, biases, multipliers and tables.")
	guard := strings.ToUpper(e.o.Top) + "_WEIGHTS_H"
	w.guard(guard)
	w.raw("#include <stdint.h>")
	for _, t := range e.tables {
		w.raw("")
		w.declare(t)
	}
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}
