package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
)

// vectorsH prints the test vectors.
func (e *emitter) vectorsH() []byte {
	w := &writer{}
	e.head(w, "vectors.h: inputs, and the outputs that quern's simulator computed for them.")
	w.guard(strings.ToUpper(e.o.Top) + "_VECTORS_H")
	w.raw("#include <stdint.h>")
	w.raw("")
	w.raw("#define TB_VECTORS %d", len(e.o.Vectors))
	array := func(name string, i int, b *hw.Buffer, data func(v Vector) [][]int64) {
		w.raw("")
		w.line("/* %s: %s */", comment(b.Port.Name), dims(b.Shape))
		w.line("static const %v %s%d[TB_VECTORS][%d] = {", storage(b.Range), name, i, b.Len())
		w.depth++
		for _, v := range e.o.Vectors {
			w.line("{")
			w.depth++
			w.numbers([]int{b.Len()}, data(v)[i])
			w.depth--
			w.line("},")
		}
		w.depth--
		w.line("};")
	}
	for i, b := range e.p.Inputs {
		array("tb_in", i, b, func(v Vector) [][]int64 { return v.In })
	}
	for i, b := range e.p.Outputs {
		array("tb_out", i, b, func(v Vector) [][]int64 { return v.Out })
	}
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

// testbench compares every output value with the simulator's and stops at the first difference. It serves C simulation and C/RTL
// co-simulation, which both take the exit code.
func (e *c99) testbench() []byte {
	w := &writer{}
	e.head(w, "tb.c: runs the vectors and exits with 1 at the first wrong value.")
	w.raw("#include <stdio.h>")
	w.raw("#include %q", e.o.Top+".h")
	w.raw("#include \"vectors.h\"")
	w.raw("")
	w.line("int main(void)")
	w.line("{")
	w.depth++
	w.line("long n = 0;")
	var args []string
	for i := range e.p.Inputs {
		args = append(args, fmt.Sprintf("tb_in%d[t]", i))
	}
	for i, b := range e.p.Outputs {
		w.line("static %v got%d[%d];", storage(b.Range), i, b.Len())
		args = append(args, fmt.Sprintf("got%d", i))
	}
	w.open("for (int t = 0; t < TB_VECTORS; t++)")
	for i, b := range e.p.Outputs {
		w.open("for (int i = 0; i < %d; i++)", b.Len())
		w.line("got%d[i] = tb_out%d[t][i] == 0; /* wrong, so that what is not written is noticed */", i, i)
		w.close(1)
	}
	w.line("%s(%s);", e.o.Top, strings.Join(args, ", "))
	for i, b := range e.p.Outputs {
		w.open("for (int i = 0; i < %d; i++, n++)", b.Len())
		w.open("if (got%d[i] != tb_out%d[t][i])", i, i)
		w.line("printf(\"FAIL: output %%s, vector %%d, index %%d: got %%lld, want %%lld\\n\", %s, t, i,", quote(b.Port.Name))
		w.line("       (long long)got%d[i], (long long)tb_out%d[t][i]);", i, i)
		w.line("return 1;")
		w.close(2)
	}
	w.close(1)
	w.line("printf(\"PASS: %%ld values in %%d vectors\\n\", n, TB_VECTORS);")
	w.line("return 0;")
	w.close(1)
	return w.Bytes()
}
