package difftest

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// TestStreamFaults changes the streaming C++ in ways that a back end could be wrong, one at a time: csim must exit with an error that
// says what is wrong, be it a value, the order of words, their number or TLAST.
func TestStreamFaults(t *testing.T) {
	t.Parallel()
	c := cxx(t)[0]
	c.args = []string{"-std=c++11", "-w"} // a fault may also cause warnings
	p := faultNet(t)
	d, err := stream.Build(p, map[*hw.Kernel]stream.Fold{p.Kernels[0]: {PE: 2, SIMD: 1}, p.Kernels[1]: {PE: 2, SIMD: 1}, p.Kernels[2]: {PE: 4, SIMD: 1}})
	if err != nil {
		t.Fatal(err)
	}
	in := samples(rand.New(rand.NewPCG(2, 2)), p, 12)
	const value = `^FAIL: output logits, vector \d+, index \d+: got -?\d+, want -?\d+\n`
	faults := []struct{ name, file, old, new, want string }{
		{"no fault", "weights.h", "", "", `^PASS: 192 values in 12 vectors\n$`},
		{"one weight", "weights.h", "0x5ULL, 0x3ULL, 0x1ULL", "0x5ULL, 0x2ULL, 0x1ULL", value},
		{"one bias", "weights.h", "-6, -8,", "-6, -7,", value},
		{"one multiplier", "weights.h", "7,\n    },\n};", "6,\n    },\n};", value},
		{"one table entry", "weights.h", "-7, -4,", "-7, -5,", value},
		{"pad value", "net.cpp", "q_put<4>(v, 0, ap_int<4>(-3))", "q_put<4>(v, 0, ap_int<4>(0))", value},
		{"rounding", "net.cpp", "q_rsh_half_even", "q_rsh_half_up", value},
		{"clamp", "net.cpp", "v2 < 8 ? ap_int<5>(v2) : ap_int<5>(8)", "v2 < 7 ? ap_int<5>(v2) : ap_int<5>(7)", value},
		{"distance of packed weights", "net.cpp", "(m1, 0) * 64", "(m1, 0) * 32", value},
		{"borrow between packed products", "net.cpp", "t = (t - t0) >> 6", "t = t >> 6", value},
		{"fold counter of weights", "net.cpp", "if (tile == 35)", "if (tile == 34)", value},
		{"fold counter of channels", "net.cpp", "if (block == 1)", "if (block == 0)", value},
		{"window read in the wrong fold", "net.cpp", "if (nf == 0)", "if (nf == 1)", value},
		{"lane", "net.cpp", "net_conv_out_w[1][tile]", "net_conv_out_w[0][tile]", value},
		{"border", "net.cpp", "xx < 5;", "xx < 4;", value},
		{"line of the memory", "net.cpp", "line += -4;", "line += -3;", value},
		{"row taken in too soon", "net.cpp", "row < y0 + 4", "row < y0 + 5", value},
		{"order of narrow words", "net.cpp", "if (part == 1) {\n            y.write(v);", "if (part == 0) {\n            y.write(v);", value},
		{"missing iteration", "net.cpp", "i < 900;", "i < 899;", `^FAIL: read from conv_out_out, which is empty\n$`},
		{"dropped word", "net.cpp", "y.write(r);", "if (i != 35) y.write(r);", `^FAIL: read from conv_out_out, which is empty\n$`},
		{"word written twice", "net.cpp", "y.write(v);", "y.write(v); if (i == 7) y.write(v);", `^FAIL: (1 words are left in image_load_out\n|output logits)`},
		{"input left", "net.cpp", "i < 50;", "i < 49;", `^FAIL: read from image_load_out, which is empty\n$`},
		{"no TLAST", "net.cpp", "t.last = i == 3;", "t.last = 0;", `^FAIL: output logits, vector 0, word 3: TLAST is 0\n$`},
		{"TLAST too soon", "net.cpp", "t.last = i == 3;", "t.last = i >= 2;", `^FAIL: output logits, vector 0, word 2: TLAST is 1\n`},
		{"missing stage", "net.cpp", "    net_both_out_store(both_out_out, logits);\n", "", `^FAIL: `},
	}
	var ps []project
	for i, f := range faults {
		top := fmt.Sprintf("net%d", i)
		pr := emit(t, p, in, hls.Options{Style: "stream", Top: top, Design: d})
		for j, x := range pr.files {
			if x.Name != strings.Replace(f.file, "net", top, 1) {
				continue
			}
			before, after, ok := strings.Cut(string(x.Data), strings.ReplaceAll(f.old, "net_", top+"_"))
			if !ok {
				t.Fatalf("%s: %s has no %q", f.name, x.Name, f.old)
			}
			pr.files[j].Data = []byte(before + strings.ReplaceAll(f.new, "net_", top+"_") + after)
		}
		ps = append(ps, pr)
	}
	exe, _ := buildC(t, c, ps)
	for i, f := range faults {
		out, err := exec.Command(exe, fmt.Sprint(i)).CombinedOutput()
		if (err == nil) != (i == 0) || !regexp.MustCompile(f.want).Match(out) {
			t.Errorf("%s: got %v: %q, want %s", f.name, err, out, f.want)
		}
	}
}
