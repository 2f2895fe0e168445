package hls

import (
	"fmt"
	"strconv"
	"strings"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
)

// readme prints what the user of a project must know: the interface, how the host lays out and converts numbers, how to run.
func (e *emitter) readme(d *design) []byte {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	l := d.language
	p("# %s\n", e.o.Top)
	p("%s as integers, printed by quern %s in the style %s.", code(e.model()), e.version(), e.o.Style)
	p("`%s.%s` computes the same bits as quern's simulator; the testbench checks that on %d vectors.\n", e.o.Top, l.ext, len(e.o.Vectors))
	p("## Run\n")
	p("    make csim                                  # any %s compiler; prints PASS, or the first wrong value and exits 1", l.name)
	p("    vitis_hls -f run_hls.tcl                   # C simulation and synthesis for %s at %v ns", e.o.Part, e.o.ClockNS)
	p("    vivado_hls -f run_vivado_hls.tcl           # the same in Vivado HLS up to 2020.1")
	p("    COSIM=1 EXPORT=1 vitis_hls -f run_hls.tcl  # C/RTL co-simulation and an IP as well\n")
	if e.traced() {
		p("`make csim` compares the result of every layer for the first vector (layers.h, macro QUERN_TRACE, TRACE=1 for the tools), so that")
		p("the first layer that is wrong is named. Synthesis does not see it.\n")
	}
	p("## Interface\n")
	d.about(p)
	for i, f := range e.p.Inputs {
		e.portText(p, "Input", e.in[i], f, d)
	}
	for i, f := range e.p.Outputs {
		e.portText(p, "Output", e.out[i], f, d)
	}
	p("`quantize_input.c` has the host's side in C: `%s_quantize_*` makes the integers of an input out of the model's reals, layout", e.o.Top)
	p("included, and `%s_dequantize_*` the reals of an output.\n", e.o.Top)
	d.layers(p)
	return []byte(b.String())
}

// arithmetic are the accumulator, the weights and the multiply-accumulates of a kernel, for a table; empty where it has none.
func arithmetic(k *hw.Kernel) (acc, weights, macs string) {
	if k.Dot != nil {
		acc, weights, macs = k.Dot.AccRange().String(), k.Dot.WeightRange().String(), strconv.Itoa(k.Dot.MACs())
	}
	if k.Window != nil {
		acc = k.Window.Acc.String()
	}
	return acc, weights, macs
}

var roundText = map[ir.Round]string{
	ir.HalfEven:   "to the nearest integer, ties to even",
	ir.HalfUp:     "to the nearest integer, ties up",
	ir.HalfAway:   "to the nearest integer, ties away from zero",
	ir.HalfToZero: "to the nearest integer, ties towards zero",
	ir.Ceil:       "up, but a quotient within 2^-23 of itself beside an integer is that integer",
	ir.Away:       "away from zero, but a quotient within 2^-23 of itself beside an integer is that integer",
	ir.ToZero:     "towards zero, but a quotient within 2^-23 of itself beside an integer is that integer",
	ir.Floor:      "down, but a quotient within 2^-23 of itself beside an integer is that integer",
}

// portText describes one array of the interface.
func (e *emitter) portText(p printf, word, id string, f *hw.Buffer, d *design) {
	q := f.Port.Quant
	scale := strconv.FormatFloat(q.Scale[0], 'g', -1, 64)
	t, more := d.portType(f)
	p("### %s `%s`: %s\n", word, id, t)
	for _, l := range more {
		p("- %s", l)
	}
	p("- The model's %s, shape %v without its batch; here %s, channels last.", code(f.Port.Name), f.Port.Shape, dims(f.Shape))
	p("- Element %s of the model is at index `%v`.", subscripts(f.Port), portIndex(f.Port))
	p("- Scale %s, zero point %d, integers %d..%d.", scale, q.Zero[0], q.Min, q.Max)
	if word == "Input" {
		p("- integer = clamp(round(real / scale) + zero point, %d, %d), in double; round %s.\n", q.Min, q.Max, roundText[q.Round])
	} else {
		p("- real = (integer - zero point) * scale.\n")
	}
}

// axis is the name of an index of the model's tensor.
func axis(i int) string { return fmt.Sprintf("a%d", i) }

func subscripts(p *hw.Port) string {
	if len(p.Shape) == 0 {
		return "(a scalar)"
	}
	s := ""
	for i := range p.Shape {
		s += "[" + axis(i) + "]"
	}
	return "`" + s + "`"
}

// portIndex is the offset into the array of an element of the model's tensor.
func portIndex(p *hw.Port) affine {
	shape := make([]int, len(p.Perm))
	for i, a := range p.Perm {
		shape[i] = p.Shape[a]
	}
	index := affine{}
	for i, stride := range tensor.Strides(shape) {
		index = index.plus(stride, variable{axis(p.Perm[i]), 0, shape[i] - 1})
	}
	return index
}

// code is text for a Markdown code span inside a table.
func code(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "/", "\n", " ").Replace(s) + "`"
}
