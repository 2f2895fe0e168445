package difftest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/ir"
	"quern/ir/hw"
)

// faultNet is a small network whose every number matters: padding, a table, clamps on both sides, shifts with many ties.
func faultNet(t testing.TB) *hw.Program {
	t.Helper()
	p := &hw.Program{Name: "net"}
	in := p.NewBuffer("image", []int{5, 5, 2}, hw.Interval{Lo: -8, Hi: 7})
	in.Port = &hw.Port{Name: "image", Shape: []int{2, 5, 5}, Perm: []int{1, 2, 0}, Quant: &ir.Quant{Scale: []float64{0.5}, Zero: []int64{-3}, Min: -8, Max: 7}}
	p.Inputs = []*hw.Buffer{in}
	r := rand.New(rand.NewPCG(1, 1))

	conv := &hw.Dot{Groups: 1, Geometry: hw.Geometry{H: 5, W: 5, C: 2, OH: 5, OW: 5, OC: 4, KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1, PadValue: -3}}
	for range 4 * 9 * 2 {
		conv.Weights = append(conv.Weights, int32(1+r.IntN(3))*int32(1-2*r.IntN(2)))
	}
	conv.Bias = []int64{5, -6, 7, -8}
	a := kernel(t, p, "conv", hw.KDot, in, []int{5, 5, 4}, func(k *hw.Kernel, q *hw.Prog) [][]hw.Interval {
		k.Dot = conv
		if err := conv.Bound(in.Range); err != nil {
			t.Fatal(err)
		}
		q.Clamp(q.OpI(hw.RshHalfEven, 0, hw.Scalar(2)), -9, 8)
		return [][]hw.Interval{conv.Acc}
	})
	pool := &hw.Window{Reduce: hw.ReduceMax, Geometry: hw.Geometry{H: 5, W: 5, C: 4, OH: 2, OW: 2, OC: 4, KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}}
	b := kernel(t, p, "pool", hw.KWindow, a, []int{2, 2, 4}, func(k *hw.Kernel, q *hw.Prog) [][]hw.Interval {
		k.Window = pool
		if err := pool.Bound(a.Range); err != nil {
			t.Fatal(err)
		}
		q.Lookup(0, -9, []int64{9, 4, 7, 1, 3, -5, 8, 2, -9, 6, 0, 5, -3, -8, -2, -6, -7, -4})
		return [][]hw.Interval{{pool.Acc}}
	})
	out := kernel(t, p, "both", hw.KMap, b, []int{2, 2, 4}, func(k *hw.Kernel, q *hw.Prog) [][]hw.Interval {
		q.OpI(hw.MulI, 0, hw.PerChannel([]int64{3, -2, 5, 7}))
		return [][]hw.Interval{{b.Range}}
	})
	out.Port = &hw.Port{Name: "logits", Shape: []int{4, 2, 2}, Perm: []int{1, 2, 0}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: out.Range.Lo, Max: out.Range.Hi}}
	p.Outputs = []*hw.Buffer{out}
	return p
}

func kernel(t testing.TB, p *hw.Program, name string, kind hw.Kind, in *hw.Buffer, shape []int, fill func(*hw.Kernel, *hw.Prog) [][]hw.Interval) *hw.Buffer {
	t.Helper()
	k := &hw.Kernel{Name: name, Kind: kind, In: []*hw.Buffer{in}, Prog: hw.NewProg(hw.Interval{})}
	ranges := fill(k, k.Prog)
	if err := k.Prog.Analyze(ranges); err != nil {
		t.Fatal(err)
	}
	k.Out = p.NewBuffer(name+"_out", shape, k.Prog.Out())
	p.Kernels = append(p.Kernels, k)
	return k.Out
}

var verdict = regexp.MustCompile(`^FAIL: output logits, vector (\d+), index (\d+): got (-?\d+), want (-?\d+)\n$`)

// TestFaultsAreNoticed changes the C text in ways that a back end could be wrong, one at a time: the testbench must exit with an error
// and name the first wrong value.
func TestFaultsAreNoticed(t *testing.T) {
	c := compilers(t)[0]
	c.args = []string{"-std=c99", "-w"} // a fault may also cause warnings
	p := faultNet(t)
	in := samples(rand.New(rand.NewPCG(2, 2)), p, 12)
	good := emit(t, p, in, hls.Options{Lanes: 2})
	if out, err := runC(t, c, []project{good}); err != nil || out != good.want {
		t.Fatalf("without a fault: %v\n%s", err, out)
	}
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	for _, f := range []struct{ name, file, old, new string }{
		{"one weight", "weights.h", firstNumber(t, good, "net_conv_w"), "0,"},
		{"one bias", "weights.h", "5, -6, 7, -8,", "5, -6, 7, -7,"},
		{"one multiplier", "weights.h", "3, -2, 5, 7,", "3, -2, 5, 6,"},
		{"one table entry", "weights.h", "-6, -7, -4,", "-6, -7, -5,"},
		{"rounding", "net.c", "q_rsh_half_even(", "q_rsh_half_up("},
		{"shift", "net.c", "q_rsh_half_even(v0, 2)", "q_rsh_half_even(v0, 3)"},
		{"pad value", "net.c", "] : -3)", "] : 0)"},
		{"lower clamp", "net.c", "q_max(v1, -9)", "q_max(v1, -8)"},
		{"upper clamp", "net.c", "q_min(v2, 8)", "q_min(v2, 7)"},
		{"bounds", "net.c", "iy < 5", "iy < 4"},
		{"stride", "net.c", "10 * iy", "9 * iy"},
		{"missing tap", "net.c", "kx < 3", "kx < 2"},
		{"accumulation", "net.c", "acc[p] += ", "acc[p] = "},
		{"maximum", "net.c", "v > acc ? v : acc", "v < acc ? v : acc"},
		{"width", "weights.h", "static const int8_t net_conv_w", "static const uint8_t net_conv_w"},
		{"nothing written", "net.c", "logits[i] = b_both_out[i];", ""},
	} {
		bad := project{files: slices.Clone(good.files)}
		changed := false
		for i, x := range bad.files {
			if text := string(x.Data); x.Name == f.file && strings.Contains(text, f.old) {
				bad.files[i].Data = []byte(strings.Replace(text, f.old, f.new, 1))
				changed = true
			}
		}
		if !changed {
			t.Errorf("%s: %s has no %q", f.name, f.file, f.old)
			continue
		}
		out, err := runC(t, c, []project{bad})
		place := verdict.FindStringSubmatch(out)
		if err == nil || place == nil {
			t.Errorf("%s: not noticed: %v\n%s", f.name, err, out)
			continue
		}
		var vector, index int
		var got, want int64
		fmt.Sscan(strings.Join(place[1:], " "), &vector, &index, &got, &want)
		y, err := s.Run(in[vector])
		if err != nil {
			t.Fatal(err)
		}
		if y[0][index] != want || got == want {
			t.Errorf("%s: %s: the simulator has %d there", f.name, strings.TrimSpace(out), y[0][index])
		}
	}
}

// TestUndefinedTraps: the flags under which all C runs do stop undefined behaviour.
func TestUndefinedTraps(t *testing.T) {
	for _, c := range compilers(t) {
		if !strings.Contains(strings.Join(c.args, " "), "-fsanitize") {
			continue
		}
		for _, c := range []compiler{c, c.optimized()} {
			for _, expr := range []string{"2147483647 + c", "1 << (31 + c)", "a[3 + c]", "-c / (c - 1)"} {
				dir := t.TempDir()
				src, exe := filepath.Join(dir, "ub.c"), filepath.Join(dir, "ub")
				write(t, src, []byte("int a[4];\nint main(int c, char **v)\n{\n    (void)v;\n    return ("+expr+") == 7;\n}\n"))
				if out, err := exec.Command(c.path, append(slices.Clone(c.args), "-o", exe, src)...).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", c.path, err, out)
				}
				err := exec.Command(exe).Run()
				if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != -1 { // -1: by a signal
					t.Errorf("%s %v: %s: %v, want a trap", c.path, c.args, expr, err)
				}
			}
		}
	}
}

// firstNumber is the text of the first number of a table that is not 0, with what precedes it on its line.
func firstNumber(t *testing.T, p project, table string) string {
	t.Helper()
	for _, f := range p.files {
		if m := regexp.MustCompile(table + `[^=]*= [{\s]*(-?[1-9]\d*,)`).FindSubmatch(f.Data); m != nil && f.Name == "weights.h" {
			return string(m[1])
		}
	}
	t.Fatalf("no table %s", table)
	return ""
}

// TestMakeCSim: the emitted Makefile alone builds and runs the testbench, and fails where it fails.
func TestMakeCSim(t *testing.T) {
	c := compilers(t)[0]
	mk, err := exec.LookPath("make")
	if err != nil {
		t.Skip("no make")
	}
	p := faultNet(t)
	d := emit(t, p, samples(rand.New(rand.NewPCG(3, 3)), p, 2), hls.Options{})
	dir := filepath.Join(t.TempDir(), "out")
	if err := hls.WriteDir(dir, d.files); err != nil {
		t.Fatal(err)
	}
	run := func() (string, error) {
		out, err := exec.Command(mk, "-C", dir, "--no-print-directory", "CC="+c.path, "csim").CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || !strings.HasSuffix(out, d.want) {
		t.Fatalf("%v\n%s", err, out)
	}
	src := filepath.Join(dir, "net.c")
	text, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(src, []byte(strings.Replace(string(text), "q_rsh_half_even", "q_rsh_floor", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err == nil || !strings.Contains(out, "FAIL: output logits") {
		t.Errorf("with a fault: %v\n%s", err, out)
	}
}
