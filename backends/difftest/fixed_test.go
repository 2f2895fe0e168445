package difftest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/ir/hw"
)

// TestFixed compares every function of fixed.h with its row of hw.Prims, over the whole domain in which the row's Bound proves the
// result: all small numbers, and the neighbours of all powers of two with all shifts and widths.
func TestFixed(t *testing.T) {
	cs := compilers(t)
	var numbers []int64
	for a := int64(-70); a <= 70; a++ {
		numbers = append(numbers, a)
	}
	r := rand.New(rand.NewPCG(4, 4))
	for s := 7; s <= 62; s += 2 {
		for _, a := range []int64{1<<s - 1, 1 << s, 1<<s + 1, 3<<(s-1) + r.Int64N(3) - 1} {
			numbers = append(numbers, a, -a)
		}
	}
	var src bytes.Buffer
	src.WriteString("#include <stdio.h>\n#include \"fixed.h\"\n")
	body, cases := "", 0
	for i := range hw.Prims {
		row := &hw.Prims[i]
		if !strings.HasPrefix(row.C, "q_") {
			continue
		}
		var a, b, want []int64
		add := func(x, y int64) {
			imm, second := y, hw.Interval{Lo: y, Hi: y}
			if _, err := row.Bound(hw.Interval{Lo: x, Hi: x}, second, imm); err == nil && x >= -1<<62 && x < 1<<62 {
				a, b, want = append(a, x), append(b, y), append(want, row.Eval(x, y, imm))
			}
		}
		for _, x := range numbers {
			switch row.Imm {
			case hw.Shift, hw.Width:
				lo := int64(0)
				if row.Imm == hw.Width {
					lo = 1
				}
				most := int64(61)
				if max(x, -x) <= 70 { // larger shifts of small numbers are all alike
					most = 8
				}
				for n := lo; n <= most; n++ {
					add(x, n)
				}
				if row.Imm == hw.Width {
					add(x, 62)
					add(x, 63)
				}
			default:
				for range 12 {
					add(x, numbers[r.IntN(len(numbers))])
				}
				add(x, x)
			}
		}
		for c, v := range [][]int64{a, b, want} {
			fmt.Fprintf(&src, "static const int64_t %c%d[] = {", "abw"[c], i)
			for j, x := range v {
				if j%8 == 0 {
					src.WriteByte('\n')
				}
				fmt.Fprintf(&src, "%dLL,", x)
			}
			src.WriteString("};\n")
		}
		arg := fmt.Sprintf("b%d[i]", i)
		if row.Imm == hw.Shift || row.Imm == hw.Width {
			arg = "(int)" + arg
		}
		expr := strings.NewReplacer("{a}", fmt.Sprintf("a%d[i]", i), "{b}", arg, "{i}", arg).Replace(row.C)
		body += fmt.Sprintf(`    for (int i = 0; i < %d; i++) {
        if (%s != w%d[i]) {
            printf("%s(%%lld, %%lld) is %%lld, want %%lld\n", (long long)a%d[i], (long long)b%d[i], (long long)%s, (long long)w%d[i]);
            return 1;
        }
    }
`, len(a), expr, i, row.Name, i, i, expr, i)
		cases += len(a)
		if len(a) < 2000 {
			t.Errorf("%s: only %d cases", row.Name, len(a))
		}
	}
	fmt.Fprintf(&src, "int main(void)\n{\n%s    puts(\"ok\");\n    return 0;\n}\n", body)

	dir := t.TempDir()
	p := faultNet(t)
	for _, f := range emit(t, p, samples(r, p, 1), hls.Options{}).files {
		if f.Name == "fixed.h" {
			write(t, filepath.Join(dir, f.Name), f.Data)
		}
	}
	write(t, filepath.Join(dir, "check.c"), src.Bytes())
	for _, c := range cs {
		for _, c := range []compiler{c, c.optimized()} {
			exe := filepath.Join(dir, "check")
			if out, err := exec.Command(c.path, append(slices.Clone(c.args), "-o", exe, filepath.Join(dir, "check.c"))...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", c.path, err, out[:min(len(out), 3000)])
			}
			if out, err := exec.Command(exe).CombinedOutput(); err != nil || string(out) != "ok\n" {
				t.Errorf("%s: %v\n%s", c.path, err, out)
			}
		}
	}
	t.Logf("%d cases, %d compilers at two levels", cases, len(cs))
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
