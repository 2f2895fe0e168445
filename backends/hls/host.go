package hls

import (
	"fmt"
	"strconv"
	"strings"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
)

// The host's side: C that converts between the reals of the model and the integers of the ports, with the results of hw.Port.

func (e *emitter) quantizeName(i int) string   { return e.o.Top + "_quantize_" + e.in[i] }
func (e *emitter) dequantizeName(i int) string { return e.o.Top + "_dequantize_" + e.out[i] }

func (e *emitter) quantizeSignature(i int) string {
	b := e.p.Inputs[i]
	return fmt.Sprintf("int %s(const float real[%d], %v integers[%d])", e.quantizeName(i), b.Len(), storage(b.Range), b.Len())
}

func (e *emitter) dequantizeSignature(i int) string {
	b := e.p.Outputs[i]
	return fmt.Sprintf("void %s(const %v integers[%d], float real[%d])", e.dequantizeName(i), storage(b.Range), b.Len(), b.Len())
}

// quantizeH declares the host's functions.
func (e *emitter) quantizeH() []byte {
	w := &writer{}
	e.head(w, "quantize_input.h: for the host, between the reals of the model and the integers of the hardware.")
	w.guard(strings.ToUpper(e.o.Top) + "_QUANTIZE_INPUT_H")
	w.raw("#include <stdint.h>")
	w.raw("")
	w.externC(func() { e.hostFunctions(w) })
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

// hostFunctions declares a function for each port.
func (e *emitter) hostFunctions(w *writer) {
	for i, b := range e.p.Inputs {
		w.raw("")
		w.line("/* Input %s: reals in the model's shape %v, row major, without the batch; integers in the order of the hardware, %s.",
			comment(b.Port.Name), b.Port.Shape, dims(b.Shape))
		w.line(" * Returns 0, or 1 if a real is no number; its integer is the least then. */")
		w.raw("%s;", e.quantizeSignature(i))
	}
	for i, b := range e.p.Outputs {
		w.raw("")
		w.line("/* Output %s: integers in the order of the hardware, %s; reals in the model's shape %v. */", comment(b.Port.Name), dims(b.Shape), b.Port.Shape)
		w.raw("%s;", e.dequantizeSignature(i))
	}
}

// ups are the conditions under which a rounding mode takes the integer above v, where f is the one below and d is v - f.
var ups = map[ir.Round]string{
	ir.HalfEven:   "d > 0.5 || (d == 0.5 && %[1]s_floor(f / 2) * 2 < f)",
	ir.HalfUp:     "d >= 0.5",
	ir.HalfAway:   "d > 0.5 || (d == 0.5 && v > 0)",
	ir.HalfToZero: "d > 0.5 || (d == 0.5 && v < 0)",
	ir.Floor:      "0",
	ir.Ceil:       "d > 0",
	ir.Away:       "d > 0 && v > 0",
	ir.ToZero:     "d > 0 && v < 0",
}

// quantizeC defines them, without the C library: C99, and C++11 too.
func (e *emitter) quantizeC() []byte {
	w := &writer{}
	e.head(w, "quantize_input.c: see quantize_input.h.")
	w.raw("#include \"quantize_input.h\"")
	top := e.o.Top
	w.raw("")
	w.line("static double %s_floor(double v)", top)
	w.line("{")
	w.depth++
	w.line("/* From 2^52 on all are integers; infinities are among them. */")
	w.line("const double n = v < 4503599627370496.0 && v > -4503599627370496.0 ? (double)(int64_t)v : v;")
	w.line("return n > v ? n - 1 : n;")
	w.close(1)
	used := map[ir.Round]bool{}
	for _, b := range e.p.Inputs {
		if r := b.Port.Quant.Round; snaps(r) {
			used[ir.HalfEven], used[r] = true, true
		} else {
			used[r] = true
		}
	}
	for r := ir.HalfEven; r <= ir.HalfToZero; r++ {
		if !used[r] {
			continue
		}
		up := ups[r]
		if strings.Contains(up, "%") {
			up = fmt.Sprintf(up, top)
		}
		w.raw("")
		w.line("static double %s_round_%v(double v)", top, r)
		w.line("{")
		w.depth++
		w.line("const double f = %s_floor(v);", top)
		if r == ir.Floor {
			w.line("return f;")
		} else {
			w.line("const double d = v - f;")
			w.line("return %s ? f + 1 : f;", up)
		}
		w.close(1)
	}
	for i, b := range e.p.Inputs {
		w.raw("")
		e.quantizeBody(w, i, b)
	}
	for i, b := range e.p.Outputs {
		q := b.Port.Quant
		w.raw("")
		w.line("%s", e.dequantizeSignature(i))
		w.line("{")
		w.depth++
		n := w.elements(b.Port)
		w.line("real[%v] = (float)((double)((int64_t)integers[%v] - (%s)) * %s);", modelIndex(b.Port), portIndex(b.Port), literal(q.Zero[0]), double(q.Scale[0]))
		w.close(n + 1)
	}
	return w.Bytes()
}

// snaps reports whether a mode takes a quotient that is an integer but for the rounding of float32 as that integer (ir.Quant.Quantize).
func snaps(r ir.Round) bool {
	return r == ir.Floor || r == ir.Ceil || r == ir.Away || r == ir.ToZero
}

// quantizeBody prints the function of an input: ir.Quant.Quantize for each element.
func (e *emitter) quantizeBody(w *writer, i int, b *hw.Buffer) {
	q, t := b.Port.Quant, storage(b.Range)
	w.line("%s", e.quantizeSignature(i))
	w.line("{")
	w.depth++
	w.line("int bad = 0;")
	n := w.elements(b.Port)
	w.line("double v = (double)real[%v] / %s;", modelIndex(b.Port), double(q.Scale[0]))
	w.line("%v *to = &integers[%v];", t, portIndex(b.Port))
	if snaps(q.Round) {
		w.line("const double near = %s_round_%v(v), off = v > near ? v - near : near - v;", e.o.Top, ir.HalfEven)
		w.line("if (off <= (near < 0 ? -near : near) * %s) v = near;", double(0x1p-23))
	}
	w.line("v = %s_round_%v(v) + %s;", e.o.Top, q.Round, double(float64(q.Zero[0])))
	w.open("if (v >= %s)", double(float64(q.Max)))
	w.line("*to = %s;", literal(q.Max))
	w.depth--
	w.line("} else if (v >= %s) {", double(float64(q.Min)))
	w.depth++
	w.line("*to = (%v)v;", t)
	w.orElse()
	w.line("bad |= v != v;")
	w.line("*to = %s;", literal(q.Min))
	w.close(n + 1)
	w.line("return bad;")
	w.close(1)
}

// elements opens loops over the axes of a port's tensor in the model.
func (w *writer) elements(p *hw.Port) (loops int) {
	for i, n := range p.Shape {
		a := axis(i)
		w.open("for (int %s = 0; %s < %d; %s++)", a, a, n, a)
	}
	return len(p.Shape)
}

// modelIndex is the offset of an element in the model's tensor.
func modelIndex(p *hw.Port) affine {
	index := affine{}
	for i, s := range tensor.Strides(p.Shape) {
		index = index.plus(s, variable{axis(i), 0, p.Shape[i] - 1})
	}
	return index
}

// double is a literal of type double with exactly the value.
func double(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}
