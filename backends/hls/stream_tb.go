package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw/stream"
)

// streamTestbench packs the vectors into words, runs the design and compares every element, and TLAST, with what the simulator computed.
func (s *streamer) streamTestbench() []byte {
	w := &writer{}
	s.head(w, "tb.cpp: runs the vectors and exits with 1 at the first wrong value.")
	w.raw("#include <cstdint>")
	w.raw("#include <cstdio>")
	w.raw("#include %q", s.o.Top+".h")
	w.raw("#include \"vectors.h\"")
	w.raw("")
	w.line("int main()")
	w.line("{")
	w.depth++
	w.line("long n = 0;")
	w.open("for (int t = 0; t < TB_VECTORS; t++)")
	in, out := s.ports()
	var args []string
	for i, st := range in {
		words, lanes := st.Iterations(), st.Port.Len()/st.Iterations()
		w.line("hls::stream<%s > in%d(\"in%d\");", axisType(st), i, i)
		args = append(args, fmt.Sprintf("in%d", i))
		w.open("for (int i = 0; i < %d; i++)", words)
		w.line("%s word;", axisType(st))
		w.line("%s data;", portWord(st))
		w.open("for (int p = 0; p < %d; p++)", lanes)
		w.line("q_put<%d>(data, p, %s(tb_in%d[t][i * %d + p]));", st.Port.Range.Bits(), apType(st.Port.Range), i, lanes)
		w.close(1)
		w.line("q_resize(word.data, data);")
		for _, f := range []string{"keep", "strb"} {
			w.line("word.%s = -1;", f)
		}
		for _, f := range []string{"user", "id", "dest"} {
			w.line("word.%s = 0;", f)
		}
		w.line("word.last = i == %d;", words-1)
		w.line("in%d.write(word);", i)
		w.close(1)
	}
	for i, st := range out {
		w.line("hls::stream<%s > out%d(\"out%d\");", axisType(st), i, i)
		args = append(args, fmt.Sprintf("out%d", i))
	}
	w.line("%s(%s);", s.o.Top, strings.Join(args, ", "))
	for i, st := range out {
		words, lanes := st.Iterations(), st.Port.Len()/st.Iterations()
		w.open("for (int i = 0; i < %d; i++)", words)
		w.line("const %s word = out%d.read();", axisType(st), i)
		w.line("%s data;", portWord(st))
		w.line("q_resize(data, word.data);")
		w.open("if (word.last != (i == %d))", words-1)
		w.line("std::printf(\"FAIL: output %%s, vector %%d, word %%d: TLAST is %%d\\n\", %s, t, i, word.last.to_int());", quote(st.Port.Port.Name))
		w.line("return 1;")
		w.close(1)
		w.open("for (int p = 0; p < %d; p++, n++)", lanes)
		w.line("const long long got = q_get<%s, %d>(data, p);", apType(st.Port.Range), st.Port.Range.Bits())
		w.line("const long long want = tb_out%d[t][i * %d + p];", i, lanes)
		w.open("if (got != want)")
		w.line("std::printf(\"FAIL: output %%s, vector %%d, index %%d: got %%lld, want %%lld\\n\", %s, t, i * %d + p, got, want);", quote(st.Port.Port.Name), lanes)
		w.line("return 1;")
		w.close(3)
	}
	w.close(1)
	w.line("std::printf(\"PASS: %%ld values in %%d vectors\\n\", n, TB_VECTORS);")
	w.line("return 0;")
	w.close(1)
	return w.Bytes()
}

// portWord is the type of the elements of a port's word, without the bits that fill the last byte.
func portWord(st *stream.Stage) string {
	return word(st.Port.Len() / st.Iterations() * st.Port.Range.Bits())
}
