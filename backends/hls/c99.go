package hls

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir/hw"
)

// printC99 prints the design as one plain C99 file, which is C++11 too: a static function for each kernel, called in order by the top
// function on static arrays. Ports are AXI masters that the top function copies from and to, so that kernels read block RAM.
func printC99(em *emitter) (*design, error) {
	e := &c99{emitter: em, fn: map[*hw.Kernel]string{}, arr: map[*hw.Buffer]string{}}
	// All names share one space, so that no local name hides a global one.
	for i, k := range e.p.Kernels {
		e.fn[k] = e.ids.pick(e.o.Top+"_"+short(k.Name, fmt.Sprint(k.Kind, i)), "")
	}
	for _, b := range e.p.Buffers {
		e.arr[b] = e.ids.pick("b_"+short(b.Name, fmt.Sprint(b.ID)), "")
	}
	kernels := &writer{}
	for _, k := range e.p.Kernels {
		if alias(k) {
			continue
		}
		kernels.raw("")
		e.kernel(kernels, k)
	}
	w := &writer{}
	e.head(w, fmt.Sprintf("%s.c: the network as loops over static arrays.", e.o.Top))
	w.raw("#include %q", e.o.Top+".h")
	w.raw("#include \"fixed.h\"")
	if len(e.tables) > 0 {
		w.raw("#include \"weights.h\"")
	}
	e.traceMacro(w)
	w.Write(kernels.Bytes())
	w.raw("")
	e.top(w)
	return &design{files: []File{{e.o.Top + ".h", e.header()}, {e.o.Top + ".c", w.Bytes()}, {"weights.h", e.weightsH()}, {"fixed.h", fixedH}, {"tb.c", e.testbench()}},
		portType: e.portType, language: &langC, about: e.about, layers: e.layers, functions: e.fn}, nil
}

// c99 is the emitter of the style: with names for functions and arrays, and the tables met so far.
type c99 struct {
	*emitter
	fn     map[*hw.Kernel]string // C names of kernels
	arr    map[*hw.Buffer]string // C names of the static arrays of buffers
	tables []*table
}

// about describes the interface.
func (e *c99) about(p printf) {
	p("    %s\n", e.signature())
	p("Every array is an AXI4 master (`m_axi`, bundles gmem0 and up) whose address is a register of the AXI4-Lite slave `control`, which")
	p("also starts the function and tells when it is done. The function copies its inputs to block RAM, runs its kernels one after the")
	p("other and copies the outputs back; all intermediate values stay on the chip. One call is one sample. For plain memories in place of")
	p("the masters, change `m_axi` to `ap_memory` and drop the `s_axilite` lines of the arrays.\n")
}

// portType is the type of a port, and nothing more to know of it.
func (e *c99) portType(b *hw.Buffer) (string, []string) {
	return fmt.Sprintf("%v[%d]", storage(b.Range), b.Len()), nil
}

// layers is the table of kernels.
func (e *c99) layers(p printf) {
	p("## Kernels\n")
	p("| function | from | kind | output | accumulator | weights | multiply-accumulates |")
	p("|---|---|---|---|---|---|---|")
	for _, k := range e.p.Kernels {
		acc, weights, macs := arithmetic(k)
		p("| %s | %s | %v | %s %v | %s | %s | %s |", e.fn[k], code(k.Pos.String()), k.Kind, dims(k.Out.Shape), k.Out.Range, acc, weights, macs)
	}
	p("\n%d multiply-accumulates in one call. A type such as i21 is the narrowest signed one that holds the proved range (u: unsigned);", e.p.MACs())
	p("the C uses the next stdint type, and the tools trim the rest. A convolution sums up to %d output channels at a time, each with a", e.o.Lanes)
	p("multiplier of its own.")
}

// header declares the top function.
func (e *c99) header() []byte {
	w := &writer{}
	e.head(w, fmt.Sprintf("%s.h: the top function. README.md has the layouts, scales and zero points of its arrays.", e.o.Top))
	w.guard(strings.ToUpper(e.o.Top) + "_H")
	w.raw("#include <stdint.h>")
	w.raw("")
	w.externC(func() {
		w.raw("")
		w.raw("%s;", e.signature())
	})
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

func (e *c99) signature() string {
	var args []string
	for i, b := range e.p.Inputs {
		args = append(args, fmt.Sprintf("const %v %s[%d]", storage(b.Range), e.in[i], b.Len()))
	}
	for i, b := range e.p.Outputs {
		args = append(args, fmt.Sprintf("%v %s[%d]", storage(b.Range), e.out[i], b.Len()))
	}
	return fmt.Sprintf("void %s(%s)", e.o.Top, strings.Join(args, ", "))
}

// alias reports whether a kernel only gives its input another shape: its output can be the input's array.
func alias(k *hw.Kernel) bool {
	if k.Kind != hw.KMove || k.Move.Filled || len(k.Move.Pieces) != 1 {
		return false
	}
	p := &k.Move.Pieces[0]
	src := k.In[p.Src]
	size, ss, ds := mergeAxes(p)
	return src.Len() == k.Out.Len() && storage(src.Range) == storage(k.Out.Range) && p.SrcOff == 0 && p.DstOff == 0 &&
		len(size) <= 1 && (len(size) == 0 || ss[0] == 1 && ds[0] == 1)
}

// top prints the top function: interface, arrays, the copies from and to the ports, the calls.
func (e *c99) top(w *writer) {
	w.line("%s", e.signature())
	w.line("{")
	w.depth++
	ports := append(slices.Clone(e.in), e.out...)
	for i, b := range append(slices.Clone(e.p.Inputs), e.p.Outputs...) {
		w.raw("#pragma HLS INTERFACE m_axi port=%s offset=slave bundle=gmem%d depth=%d", ports[i], i, b.Len())
		w.raw("#pragma HLS INTERFACE s_axilite port=%s bundle=control", ports[i])
	}
	w.raw("#pragma HLS INTERFACE s_axilite port=return bundle=control")
	arrays := &writer{depth: 1}
	calls := &writer{depth: 1}
	var large []string
	array := func(b *hw.Buffer) {
		arrays.line("static %v %s[%d]; /* %s, %v in %d..%d */", storage(b.Range), e.arr[b], b.Len(), dims(b.Shape), b.Range, b.Range.Lo, b.Range.Hi)
		if b.Len() >= ramDepth {
			large = append(large, e.arr[b])
		}
	}
	read := e.readBuffers()
	for i, b := range e.p.Inputs {
		if !read[b] {
			calls.line("(void)%s; /* no output depends on it */", e.in[i])
			continue
		}
		array(b)
		copyLoop(calls, fmt.Sprintf("load_%d", i), e.arr[b], e.in[i], b.Len())
	}
	for _, k := range e.p.Kernels {
		if alias(k) {
			src := k.In[k.Move.Pieces[0].Src]
			calls.line("/* move, from %s: %s in the shape %s */", comment(k.Pos.String()), e.arr[src], dims(k.Out.Shape))
			e.arr[k.Out] = e.arr[src]
			continue
		}
		array(k.Out)
		var args []string
		for _, b := range sources(k) {
			args = append(args, e.arr[b])
		}
		calls.line("%s(%s);", e.fn[k], strings.Join(append(args, e.arr[k.Out]), ", "))
		e.trace(calls, k, k.Out.Len(), e.arr[k.Out]+"[e]")
	}
	for i, b := range e.p.Outputs {
		copyLoop(calls, fmt.Sprintf("store_%d", i), e.out[i], e.arr[b], b.Len())
	}
	w.Write(arrays.Bytes())
	// A kernel writes one element in a clock cycle and another kernel reads one: a port each.
	w.storage("ram_s2p", "RAM_S2P_BRAM", large...)
	w.raw("")
	w.Write(calls.Bytes())
	w.close(1)
}

// readBuffers are the buffers whose arrays some function or port reads.
func (e *c99) readBuffers() map[*hw.Buffer]bool {
	read := map[*hw.Buffer]bool{}
	for _, b := range e.p.Outputs {
		read[b] = true
	}
	for _, k := range slices.Backward(e.p.Kernels) {
		for _, b := range sources(k) {
			read[b] = read[b] || !alias(k) || read[k.Out]
		}
	}
	return read
}

func copyLoop(w *writer, label, dst, src string, n int) {
	// A loop even for one element: the tools infer a burst from it.
	w.open("%s: for (int i = 0; i < %d; i++)", label, n)
	w.raw("#pragma HLS PIPELINE II=1")
	w.line("%s[i] = %s[i];", dst, src)
	w.close(1)
}

func dims(shape []int) string {
	if len(shape) == 0 {
		return "scalar"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]")
}

// sources are the buffers that a kernel reads, each once: a function with the same array under two names would not synthesize well.
func sources(k *hw.Kernel) []*hw.Buffer {
	var used []bool
	switch k.Kind {
	case hw.KMap:
		used = liveValues(k.Prog)
	case hw.KMove:
		used = make([]bool, len(k.In))
		for i := range k.Move.Pieces {
			used[k.Move.Pieces[i].Src] = true
		}
	default:
		return k.In
	}
	var s []*hw.Buffer
	for i, b := range k.In {
		if used[i] && !slices.Contains(s, b) {
			s = append(s, b)
		}
	}
	return s
}

// param is the name of a source inside the function of a kernel: x, or x0, x1, ... where there are several.
func param(k *hw.Kernel, b *hw.Buffer) string {
	s := sources(k)
	if len(s) == 1 {
		return "x"
	}
	return fmt.Sprintf("x%d", slices.Index(s, b))
}

// kernel prints the function of a kernel.
func (e *c99) kernel(w *writer, k *hw.Kernel) {
	w.line("/* %v, from %s", k.Kind, comment(k.Pos.String()))
	var args []string
	for _, b := range sources(k) {
		args = append(args, fmt.Sprintf("const %v %s[%d]", storage(b.Range), param(k, b), b.Len()))
		w.line(" *   %s is %s, %s, %v in %d..%d", param(k, b), e.arr[b], dims(b.Shape), b.Range, b.Range.Lo, b.Range.Hi)
	}
	w.line(" *   y is %s, %s, %v in %d..%d", e.arr[k.Out], dims(k.Out.Shape), k.Out.Range, k.Out.Range.Lo, k.Out.Range.Hi)
	body := &writer{depth: 1}
	switch k.Kind {
	case hw.KDot:
		groups := ""
		if k.Dot.Groups > 1 {
			groups = fmt.Sprintf(" in %d groups", k.Dot.Groups)
		}
		w.line(" *   %s", geometryText(&k.Dot.Geometry, groups))
		e.dot(body, k)
	case hw.KWindow:
		w.line(" *   %v, %s", k.Window.Reduce, geometryText(&k.Window.Geometry, ""))
		e.window(body, k)
	case hw.KMap:
		e.mapped(body, k)
	case hw.KMove:
		e.move(body, k)
	}
	w.line(" */")
	args = append(args, fmt.Sprintf("%v y[%d]", storage(k.Out.Range), k.Out.Len()))
	w.line("static void %s(%s)", e.fn[k], strings.Join(args, ", "))
	w.line("{")
	w.Write(body.Bytes())
	w.line("}")
}

func geometryText(g *hw.Geometry, groups string) string {
	return fmt.Sprintf("%dx%dx%d to %dx%dx%d%s; kernel %dx%d, stride %dx%d, dilation %dx%d, %d above and %d left of value %d",
		g.H, g.W, g.C, g.OH, g.OW, g.OC, groups, g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.PH, g.PW, g.PadValue)
}

// ramDepth is the number of elements from which an array is bound to block RAM instead of what the tool chooses.
const ramDepth = 1024

// storage binds arrays to block RAM with given ports, in the words of either tool.
func (w *writer) storage(vitis, vivado string, arrays ...string) {
	if len(arrays) == 0 {
		return
	}
	w.raw("#ifdef __VITIS_HLS__")
	for _, a := range arrays {
		w.raw("#pragma HLS BIND_STORAGE variable=%s type=%s impl=bram", a, vitis)
	}
	w.raw("#else")
	for _, a := range arrays {
		w.raw("#pragma HLS RESOURCE variable=%s core=%s", a, vivado)
	}
	w.raw("#endif")
}

// partition splits an axis (from 1) of an array into banks that are read in the same clock cycle.
func (w *writer) partition(name, kind string, n, dim int) {
	if n > maxPartitions {
		panic(fmt.Sprintf("hls: %d partitions of %s", n, name))
	}
	if kind == "complete" {
		w.raw("#pragma HLS ARRAY_PARTITION variable=%s complete dim=%d", name, dim)
	} else {
		w.raw("#pragma HLS ARRAY_PARTITION variable=%s %s factor=%d dim=%d", name, kind, n, dim)
	}
}
