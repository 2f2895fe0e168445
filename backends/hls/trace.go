package hls

import (
	"strings"

	"quern/ir/hw"
)

// traceValues is the number of values of a layer that layers.h has at most: it is read by a compiler.
const traceValues = 1 << 16

// traced reports whether the testbench can compare single layers.
func (e *emitter) traced() bool { return e.o.Vectors[0].Layers != nil && len(e.p.Kernels) > 0 }

// traceMacro prints the definition of Q_TRACE, whose argument is there in C simulation with QUERN_TRACE only.
func (e *emitter) traceMacro(w *writer) {
	if !e.traced() {
		return
	}
	w.raw("")
	w.raw("#if defined(QUERN_TRACE) && !defined(__SYNTHESIS__)")
	w.raw("#include \"layers.h\"")
	w.raw("#define Q_TRACE(...) __VA_ARGS__")
	w.raw("#else")
	w.raw("#define Q_TRACE(...)")
	w.raw("#endif")
}

// trace prints the comparison of n values of a layer, which are an expression of the variable e.
func (e *emitter) trace(w *writer, k *hw.Kernel, n int, value string) {
	if !e.traced() {
		return
	}
	for i, have := range e.p.Kernels {
		if have == k {
			w.line("Q_TRACE(for (int e = 0; e < %d; e++) q_layer(%d, %s);)", n, i, value)
		}
	}
}

// layersH prints what every kernel with a function computes for the first vector.
func (e *emitter) layersH(d *design) []byte {
	w := &writer{}
	e.head(w, "layers.h: what the simulator computed in every layer for the first vector, for C simulation with QUERN_TRACE.")
	w.guard(strings.ToUpper(e.o.Top) + "_LAYERS_H")
	for _, h := range []string{"stdint", "stdio", "stdlib"} {
		w.raw("#include <%s.h>", h)
	}
	at := make([]string, len(e.p.Kernels)) // C names of arrays
	for i, k := range e.p.Kernels {
		if d.functions[k] == "" {
			continue
		}
		v := e.o.Vectors[0].Layers[i]
		v = v[:min(len(v), traceValues)]
		at[i] = e.ids.pick("q_layer_"+d.functions[k], "")
		w.raw("")
		w.line("/* %s: %s, from %s */", d.functions[k], dims(k.Out.Shape), comment(k.Pos.String()))
		w.line("static const %v %s[%d] = {", storage(k.Out.Range), at[i], len(v))
		w.depth++
		w.numbers([]int{len(v)}, v)
		w.depth--
		w.line("};")
	}
	w.raw("")
	w.line("/* Compares the next result of a layer, in the first run. */")
	w.line("static void q_layer(int layer, long long got)")
	w.line("{")
	w.depth++
	w.line("static long seen[%d];", len(at))
	w.line("const long i = seen[layer]++;")
	w.line("const char *name = \"\";")
	w.line("long long want = got;")
	w.line("switch (layer) {")
	for i, k := range e.p.Kernels {
		if at[i] == "" {
			continue
		}
		w.line("case %d:", i)
		w.depth++
		w.line("name = %s;", quote(k.Name+" ("+k.Pos.String()+")"))
		w.line("if (i < %d) want = %s[i];", min(k.Out.Len(), traceValues), at[i])
		w.line("break;")
		w.depth--
	}
	w.line("}")
	w.open("if (got != want)")
	w.line("printf(\"FAIL: layer %%s, vector 0, index %%ld: got %%lld, want %%lld\\n\", name, i, got, want);")
	w.line("exit(1);")
	w.close(2)
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}
