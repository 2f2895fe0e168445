package hls

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
)

// cc finds the first of some compilers; the test skips without one, or fails with QUERN_REQUIRE_CC.
func cc(t *testing.T, names ...string) string {
	t.Helper()
	for _, n := range names {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	if os.Getenv("QUERN_REQUIRE_CC") != "" {
		t.Fatalf("QUERN_REQUIRE_CC is set and none of %v is there", names)
	}
	t.Skipf("none of %v is there", names)
	return ""
}

// passThrough is a program whose output is its input, with a layout that moves elements and a given conversion.
func passThrough(q *ir.Quant) *hw.Program {
	p := &hw.Program{Name: "pass"}
	b := p.NewBuffer("x", []int{4, 5, 3}, hw.Interval{Lo: q.Min, Hi: q.Max})
	b.Port = &hw.Port{Name: "x", Shape: []int{3, 4, 5}, Perm: []int{1, 2, 0}, Quant: q}
	p.Inputs, p.Outputs = []*hw.Buffer{b}, []*hw.Buffer{b}
	return p
}

// TestHostC: the C that quantizes and dequantizes has the results of hw.Port, in all rounding modes, for ties, numbers beside
// integers, huge ones, infinities and NaN, through a layout that moves every element.
func TestHostC(t *testing.T) {
	gcc := cc(t, "cc", "gcc", "clang")
	n := 60
	for mode := ir.HalfEven; mode <= ir.HalfToZero; mode++ {
		q := &ir.Quant{Scale: []float64{float64(float32(0.3))}, Zero: []int64{-7}, Min: -128, Max: 127, Round: mode}
		if mode%2 == 1 {
			q = &ir.Quant{Scale: []float64{0.25}, Zero: []int64{3}, Min: 0, Max: 40000, Round: mode}
		}
		p := passThrough(q)
		o := options(p)
		o.Top = "pass"
		dir := t.TempDir()
		if err := WriteDir(filepath.Join(dir, "p"), emit(t, p, o)); err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, uint64(mode)))
		var reals, want strings.Builder
		const runs = 40
		for range runs {
			x := make([]float32, n)
			for i := range x {
				s := q.Scale[0]
				switch r.IntN(8) {
				case 0:
					x[i] = float32((float64(r.IntN(300)-150) + 0.5) * s)
				case 1:
					x[i] = float32(float64(r.IntN(300)-150) * s)
				case 2:
					x[i] = math.Nextafter32(float32(float64(r.IntN(300)-150)*s), float32(r.IntN(2)*2-1)*1e9)
				case 3:
					x[i] = float32(math.Ldexp(r.Float64()-0.5, r.IntN(200)-100))
				case 4:
					x[i] = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), math.MaxFloat32}[r.IntN(5)]
				default:
					x[i] = float32(r.NormFloat64() * 40 * s)
				}
				fmt.Fprintf(&reals, "%#08xU, ", math.Float32bits(x[i]))
			}
			y, back := make([]int64, n), make([]float32, n)
			if err := p.Inputs[0].Port.Quantize(y, x); err != nil {
				t.Fatal(err)
			}
			p.Inputs[0].Port.Dequantize(back, y)
			for i := range y {
				fmt.Fprintf(&want, "%d %08x\n", y[i], math.Float32bits(back[i]))
			}
		}
		typ := storage(p.Inputs[0].Range)
		main := fmt.Sprintf(`#include <stdio.h>
#include <string.h>
#include "p/quantize_input.c"
static const uint32_t bits[%[2]d][%[1]d] = {%[3]s};
int main(void)
{
    float real[%[1]d], back[%[1]d];
    %[4]v x[%[1]d];
    for (int r = 0; r < %[2]d; r++) {
        memcpy(real, bits[r], sizeof real);
        if (pass_quantize_x(real, x)) return 2;
        pass_dequantize_x_1(x, back);
        for (int i = 0; i < %[1]d; i++) {
            uint32_t b;
            memcpy(&b, &back[i], sizeof b);
            printf("%%lld %%08x\n", (long long)x[i], (unsigned)b);
        }
    }
    real[17] = 0 / (real[0] - real[0]);
    return pass_quantize_x(real, x) == 1 ? 0 : 3;
}
`, n, runs, reals.String(), typ)
		src, exe := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
		if err := os.WriteFile(src, []byte(main), 0o644); err != nil {
			t.Fatal(err)
		}
		args := strings.Fields("-std=c99 -Wall -Wextra -Werror -Wconversion -Wshadow -pedantic -Wno-missing-braces -o")
		if out, err := exec.Command(gcc, append(args, exe, src)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", mode, err, out)
		}
		out, err := exec.Command(exe).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", mode, err, out)
		}
		got, lines := strings.Split(string(out), "\n"), strings.Split(want.String(), "\n")
		for i := range lines {
			if at(got, i) != lines[i] {
				t.Fatalf("%v: element %d of run %d: got %s, want %s", mode, i%n, i/n, at(got, i), lines[i])
			}
		}
	}
}
