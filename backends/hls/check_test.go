package hls

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// tinyStream is tiny in the style stream, with folds between the least and the greatest.
func tinyStream(t testing.TB) []File {
	t.Helper()
	p := tiny(t)
	folds := map[*hw.Kernel]stream.Fold{}
	for _, k := range p.Kernels {
		pe, simd := stream.PEs(k), stream.SIMDs(k)
		folds[k] = stream.Fold{PE: pe[len(pe)/2], SIMD: simd[len(simd)/2]}
	}
	d, err := stream.Build(p, folds)
	if err != nil {
		t.Fatal(err)
	}
	o := options(p)
	o.Style, o.Design = "stream", d
	return emit(t, p, o)
}

// TestCheckGood: what the printers emit breaks no rule.
func TestCheckGood(t *testing.T) {
	if err := Check(tinyStream(t)); err != nil {
		t.Errorf("stream: %v", err)
	}
	for _, lanes := range []int{1, 3, 64} {
		for _, p := range []*hw.Program{tiny(t), wide(t)} {
			o := options(p)
			o.Lanes = lanes
			if err := Check(emit(t, p, o)); err != nil {
				t.Errorf("%s, %d lanes: %v", p.Name, lanes, err)
			}
		}
	}
}

// TestCheckBad plants violations, one at a time: each is reported as it is, in its line (where the @ stands), and nothing else is.
func TestCheckBad(t *testing.T) {
	const vitis = "#ifdef __VITIS_HLS__\n#pragma HLS BIND_STORAGE variable=tiny_conv_w type=rom_1p impl=lutram\n#else\n"
	const vivado = "#pragma HLS RESOURCE variable=tiny_conv_w core=ROM_1P_LUTRAM\n#endif\n"
	const flush = "#ifdef __VITIS_HLS__\n#pragma HLS PIPELINE II=1 style=flp\n#else\n#pragma HLS PIPELINE II=1 enable_flush\n#endif\n"
	const load = "static void tiny_image_load(hls::stream<ap_axiu<8, 1, 1, 1> > &x, hls::stream<ap_uint<8> > &y)\n{\n"
	const forkCall = "tiny_pool_fork(pool_out, pool_fork_out0, pool_fork_out1);"
	const tinyPool = "static void tiny_pool(hls::stream<ap_uint<8> > &x, hls::stream<ap_uint<8> > &y)\n{\n    ap_int<4> acc[2];\n"
	for _, c := range []struct{ file, old, new, want string }{
		// Loops, calls and names.
		{"tiny.cpp", "run: for (int i = 0; i < 16; i++)", "@run: for (int i = 0; i < i; i++)", "the number of iterations is not constant: want for (int i = 0; i < N; i++) with numbers"},
		{"tiny.cpp", "run: for (int i = 0; i < 16; i++)", "@run: while (!x.empty())", "a while loop, whose number of iterations is not constant"},
		{"tiny.cpp", "        y.write(v);\n    }\n}", "        y.write(v);\n        @i += 1;\n    }\n}", "the loop variable i is changed in the body"},
		{"tiny.cpp", load, load + "    @tiny_image_load(x, y);\n", "recursion: tiny_image_load calls tiny_image_load"},
		{"tiny.cpp", load, "static int a(int n) { return b(n); }\nstatic int b(int n) { @return a(n); }\n" + load, "recursion: b calls a"},
		{"tiny.cpp", load, load + "    @int *mine = new int;\n", "heap: new"},
		{"tiny.cpp", load, load + "    @std::vector<int> mine;\n", "library of C++: std"},
		{"tiny.cpp", load, load + "    @goto run;\n", "goto: goto"},
		{"tiny.cpp", load, "static ap_uint<3> @state;\n" + load, "state is a global variable: want constants only"},
		{"tiny.cpp", "        y.write(v);\n    }\n}", "        y.write(v);\n    }\n    @run: for (int j = 0; j < 2; j++) {\n    }\n}", "label run is taken twice in tiny_image_load"},
		{"tiny.h", "#include \"stream.h\"", "#include \"stream.h\"\n@#define __SYNTHESIS__", "defines __SYNTHESIS__, which belongs to the tools"},
		{"tiny.h", "#include \"stream.h\"", "#include \"stream.h\"\n@#define TWICE(x) x x", "macro TWICE has arguments and hides code"},
		{"tiny.cpp", load, load + "    @ap_uint<4097> wide;\n", "ap_uint of 4097 bits, want 1..4096"},
		// DATAFLOW.
		{"tiny.cpp", "    tiny_conv(conv_window_out, conv_out);\n", "    @if (true) tiny_conv(conv_window_out, conv_out);\n",
			"stream conv_window_out is written by 1 calls and read by 0, want one each|stream conv_out is written by 0 calls and read by 1, want one each|a call in a DATAFLOW function is conditional"},
		{"tiny.cpp", "    tiny_conv(conv_window_out, conv_out);\n", "    @for (int i = 0; i < 1; i++) tiny_conv(conv_window_out, conv_out);\n",
			"stream conv_window_out is written by 1 calls and read by 0, want one each|stream conv_out is written by 0 calls and read by 1, want one each|a loop or block in a DATAFLOW function"},
		{"tiny.cpp", forkCall, forkCall + "\n    " + forkCall, "stream pool_out is written by 1 calls and read by 2, want one each|" +
			"stream pool_fork_out0 is written by 2 calls and read by 1, want one each|stream pool_fork_out1 is written by 2 calls and read by 1, want one each"},
		{"tiny.cpp", "tiny_fc_store(fc_out, logits)", "tiny_fc_store(pad_join_out, logits)",
			"stream pad_join_out is written by 1 calls and read by 2, want one each|stream fc_out is written by 1 calls and read by 0, want one each"},
		{"tiny.cpp", "    " + forkCall, "    @int n = 0;\n    " + forkCall, "n is no stream: want only streams, pragmas and calls in a DATAFLOW function"},
		{"tiny.cpp", "    " + forkCall, "    @pool_out.read();\n    " + forkCall, "want only declarations, pragmas and calls of functions of the design in a DATAFLOW function"},
		{"tiny.cpp", "    hls::stream<ap_uint<8> > conv_out(", "    @static hls::stream<ap_uint<8> > conv_out(", "conv_out is static in a DATAFLOW function"},
		{"tiny.cpp", "(\"conv_out\");\n#pragma HLS STREAM variable=conv_out depth=2\n", "@(\"conv_out\");\n", "stream conv_out has no STREAM pragma"},
		{"tiny.cpp", "&x, hls::stream<ap_uint<8> > &y)\n{\n    run: for (int i = 0; i < 16", "&x, hls::stream<ap_uint<8> > @y)\n{\n    run: for (int i = 0; i < 16", "stream y is not passed by reference"},
		{"tiny.cpp", "#pragma HLS STREAM variable=conv_out depth=2", "@#pragma HLS STREAM variable=conv_out depth=1", "STREAM of depth 1, want 2 at least"},
		// Interfaces.
		{"tiny.cpp", load, load + "@#pragma HLS INTERFACE axis port=x\n", "INTERFACE in tiny_image_load, which is not the top function tiny"},
		{"tiny.cpp", "#pragma HLS INTERFACE axis port=input_1", "@#pragma HLS INTERFACE axis port=input_2", "parameter input_1 of the top function has no INTERFACE|INTERFACE of input_2, which is no parameter of tiny"},
		{"run_hls.tcl", "set_top tiny", "set_top tine", "the top function tine has 0 definitions, want 1|" +
			"INTERFACE in tiny, which is not the top function tine|INTERFACE in tiny, which is not the top function tine|INTERFACE in tiny, which is not the top function tine"},
		// Arrays and unrolling.
		{"tiny.cpp", tinyPool, strings.Replace(tinyPool, "acc[2]", "acc[1025]", 1) + "@", "ARRAY_PARTITION of acc into 1025 parts, want 1..1024"},
		{"tiny.cpp", tinyPool + "#pragma HLS ARRAY_PARTITION variable=acc complete dim=1", tinyPool + "@#pragma HLS ARRAY_PARTITION variable=acc complete dim=2", "ARRAY_PARTITION of acc along dim 2: it has 1"},
		{"tiny.cpp", tinyPool + "#pragma HLS ARRAY_PARTITION variable=acc complete dim=1", tinyPool + "@#pragma HLS ARRAY_PARTITION variable=acc cyclic factor=3 dim=1", "ARRAY_PARTITION of acc with factor 3, want 2..2"},
		{"tiny.cpp", tinyPool + "#pragma HLS ARRAY_PARTITION variable=acc", tinyPool + "@#pragma HLS ARRAY_PARTITION variable=bcc", "ARRAY_PARTITION of bcc, which is not in scope"},
		{"tiny.cpp", load + "    run: for (int i = 0; i < 16; i++) {\n" + flush, load + "    run: for (int i = 0; i < 16; i++) {\n" + flush +
			"        @for (int j = 0; j < 1025; j++) {\n#pragma HLS UNROLL\n        }\n", "unrolling makes 1025 copies of the body, want 1024 at most"},
		{"tiny.cpp", load + "    run: for (int i = 0; i < 16; i++) {\n" + flush, load + "    run: for (int i = 0; i < 16; i++) {\n" + flush +
			"        for (int j = 0; j < 33; j++) {\n#pragma HLS UNROLL\n            @for (int k = 0; k < 33; k++) {\n#pragma HLS UNROLL\n            }\n        }\n",
			"unrolling makes 1089 copies of the body, want 1024 at most"},
		{"tiny.c", "for (int p = 0; p < 2; p++) {", "@for (int p = 0; p < 65; p++) {", "unrolling makes 65 copies of the body, want 64 at most"},
		{"tiny.cpp", load + "    run: for (int i = 0; i < 16; i++) {\n" + flush, load + "    run: for (int i = 0; i < 16; i++) {\n" + flush +
			"        @for (int j = 0; j < 2; j++) {\n        }\n", "a loop that is not unrolled, in the loop pipelined in line 15"},
		{"tiny.cpp", load + "    run: for (int i = 0; i < 16; i++) {\n" + flush, "static void slow()\n{\n    for (int j = 0; j < 2; j++) {\n    }\n}\n" + load +
			"    run: for (int i = 0; i < 16; i++) {\n" + flush + "        @slow();\n", "slow has a loop that is not unrolled and is called in the loop pipelined in line 20"},
		{"tiny.c", "#pragma HLS PIPELINE II=1", "#pragma HLS PIPELINE II=1\n@#pragma HLS PIPLINE II=1", "pragma PIPLINE: none that both tools or one of them is known to take"},
		{"tiny.cpp", load, load + "@#pragma HLS PIPELINE II=1\n", "PIPELINE does not stand at the start of a loop"},
		// The two tools.
		{"tiny.cpp", flush, "@#pragma HLS PIPELINE II=1 style=flp\n", "style is not in #ifdef __VITIS_HLS__"},
		{"tiny.cpp", flush, "@#pragma HLS PIPELINE II=1 enable_flush\n", "enable_flush is not in the #else of #ifdef __VITIS_HLS__"},
		{"tiny.cpp", vitis + vivado, "@#pragma HLS BIND_STORAGE variable=tiny_conv_w type=rom_1p impl=lutram\n" + strings.Replace(vitis, "#pragma HLS BIND_STORAGE variable=tiny_conv_w type=rom_1p impl=lutram\n", "", 1) + vivado,
			"BIND_STORAGE is not in #ifdef __VITIS_HLS__"},
		{"tiny.cpp", vitis + vivado, "@" + strings.Replace(vivado, "#endif\n", "", 1) + strings.Replace(vitis, "#else\n", "#endif\n", 1), "RESOURCE is not in the #else of #ifdef __VITIS_HLS__"},
		{"tiny.cpp", "&y)\n{\n#pragma HLS ARRAY_PARTITION variable=tiny_conv_w complete dim=1\n" + vitis + vivado, "@&y)\n{\n#pragma HLS ARRAY_PARTITION variable=tiny_conv_w complete dim=1\n" + vitis + "#endif\n",
			"tiny_conv_w is bound to hardware for Vitis HLS and not for Vivado HLS"},
	} {
		files := tinyStream(t)
		if c.file == "tiny.c" {
			files = emit(t, tiny(t), options(tiny(t)))
		}
		at := slices.IndexFunc(files, func(f File) bool { return f.Name == c.file })
		before, after, ok := strings.Cut(string(files[at].Data), c.old)
		if !ok {
			t.Errorf("%s: no %q", c.file, c.old)
			continue
		}
		bad := before + c.new + after
		place := ""
		if i := strings.Index(bad, "@"); i >= 0 {
			place = fmt.Sprintf("%s:%d: ", c.file, 1+strings.Count(bad[:i], "\n"))
		}
		files[at].Data = []byte(strings.Replace(bad, "@", "", 1))
		err := Check(files)
		if err == nil {
			t.Errorf("%s: not found in %q", c.want, c.new)
			continue
		}
		var got []string
		for line := range strings.Lines(err.Error()) {
			_, text, _ := strings.Cut(line, ": ")
			got = append(got, strings.TrimSpace(text))
		}
		if strings.Join(got, "|") != c.want || !strings.Contains(err.Error(), place) {
			t.Errorf("%q: got %v, want %s%s", c.new, err, place, c.want)
		}
	}
}
