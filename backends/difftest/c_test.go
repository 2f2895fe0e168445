// The C part of package difftest: emitted projects through real compilers, against the simulator and against the definition.
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
	"sync/atomic"
	"testing"
	"time"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/ir/hw"
)

// compiler is a C compiler with flags that make every warning an error and undefined behaviour a trap.
type compiler struct {
	path string
	args []string
	fast []string // more flags at -O2 where there is much to compile
}

// optimized is the compiler at -O2 with all sanitizers.
func (c compiler) optimized() compiler {
	c.args = append(slices.Clone(c.args), "-O2")
	return c
}

// hurried is optimized without the sanitizers that cost clang more than all the rest: 20 graphs take it 8 s with them, 3 s without.
func (c compiler) hurried() compiler {
	c = c.optimized()
	c.args = append(c.args, c.fast...)
	return c
}

// compilers finds gcc, clang and g++. Without any, tests skip; with QUERN_REQUIRE_CC they fail where one is missing.
func compilers(t testing.TB) []compiler {
	t.Helper()
	warn := strings.Fields("-Wall -Wextra -Werror -Wconversion -Wshadow -pedantic -Wno-unknown-pragmas")
	var found []compiler
	for _, c := range []struct{ names, args, fast string }{
		{"gcc cc", "-std=c99 -fsanitize=undefined -fsanitize-undefined-trap-on-error", ""},
		{"clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14", "-std=c99 -fsanitize=undefined -fsanitize-trap=undefined",
			"-fno-sanitize=alignment,null,object-size,pointer-overflow"},
		{"g++", "-x c++ -std=c++11", ""},
	} {
		path := ""
		for _, n := range strings.Fields(c.names) {
			if p, err := exec.LookPath(n); err == nil && path == "" {
				path = p
			}
		}
		if path != "" {
			found = append(found, compiler{path, append(slices.Clone(warn), strings.Fields(c.args)...), strings.Fields(c.fast)})
		} else if os.Getenv("QUERN_REQUIRE_CC") != "" {
			t.Fatalf("QUERN_REQUIRE_CC is set and none of %s is there", c.names)
		}
	}
	if len(found) == 0 {
		t.Skip("no C compiler")
	}
	return found
}

// project is an emitted project and what its testbench must print.
type project struct {
	files []hls.File
	want  string
	n     int // values compared
}

func newProject(files []hls.File, values, vectors int) project {
	return project{files, fmt.Sprintf("PASS: %d values in %d vectors\n", values, vectors), values}
}

// emit prints a program with vectors of the simulator. The simulator itself must agree with the definition on every buffer, and the text
// with the rules of the tools.
func emit(t testing.TB, p *hw.Program, in [][][]int64, o hls.Options) project {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatalf("%v\n%v", err, p)
	}
	s := m.NewState()
	var d project
	for _, x := range in {
		y, err := s.Run(x)
		if err != nil {
			t.Fatalf("%v\n%v", err, p)
		}
		want := reference(p, x)
		for _, b := range p.Buffers {
			if got := s.Buffer(b); !slices.Equal(got, want[b.ID]) {
				t.Fatalf("buffer %v: simulator and definition differ:\n%v\n%v\n%v", b, got, want[b.ID], p)
			}
		}
		v := hls.Vector{In: x}
		for _, o := range y {
			v.Out = append(v.Out, slices.Clone(o))
			d.n += len(o)
		}
		o.Vectors = append(o.Vectors, v)
	}
	if d.files, err = hls.Emit(p, o); err != nil {
		t.Fatalf("%v\n%v", err, p)
	}
	if err := hls.Check(d.files); err != nil {
		t.Fatalf("%v\n%v", err, p)
	}
	return newProject(d.files, d.n, len(in))
}

// runC compiles projects and runs them. It returns what the program printed; err is from running it.
func runC(t testing.TB, c compiler, ps []project) (string, error) {
	t.Helper()
	exe, _ := buildC(t, c, ps)
	out, err := exec.Command(exe).CombinedOutput()
	return string(out), err
}

// buildC compiles projects, all with one call of the compiler: the testbenches become functions of one program, called in order until
// one fails. It returns the path of the program, which runs only one of them where its number is an argument, and the
// compiler's user time.
func buildC(t testing.TB, c compiler, ps []project) (exe string, user time.Duration) {
	t.Helper()
	dir := t.TempDir()
	var all, body bytes.Buffer
	for i, p := range ps {
		sub := filepath.Join(dir, fmt.Sprintf("p%d", i))
		if err := hls.WriteDir(sub, p.files); err != nil {
			t.Fatal(err)
		}
		own := []string{"main"}
		for j := range 16 { // at most so many ports
			own = append(own, fmt.Sprintf("tb_in%d", j), fmt.Sprintf("tb_out%d", j))
		}
		for _, s := range own {
			fmt.Fprintf(&all, "#define %s p%d_%s\n", s, i, s)
		}
		for _, f := range p.files {
			if strings.HasSuffix(f.Name, ".c") || strings.HasSuffix(f.Name, ".cpp") {
				fmt.Fprintf(&all, "#include \"p%d/%s\"\n", i, f.Name)
			}
		}
		for _, s := range append(own, "TB_VECTORS") {
			fmt.Fprintf(&all, "#undef %s\n", s)
		}
		fmt.Fprintf(&body, "    if ((only < 0 || only == %d) && p%d_main() != 0) return 1;\n", i, i)
	}
	fmt.Fprintf(&all, "#include <stdlib.h>\nint main(int argc, char **argv)\n{\n    const int only = argc > 1 ? atoi(argv[1]) : -1;\n%s    return 0;\n}\n", body.String())
	src := filepath.Join(dir, "all.c")
	exe = filepath.Join(dir, "all")
	if err := os.WriteFile(src, all.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(c.args), "-isystem", filepath.Join(dir, "p0", "ap"), "-o", exe)
	if strings.Contains(c.path, "++") {
		args = append(args, "-x", "c++")
	}
	cmd := exec.Command(c.path, append(args, src)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", c.path, strings.Join(c.args, " "), err, out[:min(len(out), 4000)])
	}
	return exe, cmd.ProcessState.UserTime()
}

// TestRandomPrograms: the C of random programs, through every compiler, computes the bits of the simulator and of the definition.
func TestRandomPrograms(t *testing.T) {
	cs := compilers(t)
	n, batch := 100, 20
	switch {
	case testing.Short():
		n = 20
	case os.Getenv("QUERN_LONG") != "":
		n = 240
	}
	count := map[string]int{}
	var values atomic.Int64
	t.Run("batch", func(t *testing.T) {
		for first := 0; first < n; first += batch {
			var ps []*hw.Program
			for i := first; i < first+batch; i++ {
				ps = append(ps, numbered(i))
				tally(count, ps[i-first])
			}
			t.Run(fmt.Sprint(first), func(t *testing.T) {
				t.Parallel()
				use := cs[:min(2, len(cs))]
				if first/batch%4 == 0 {
					use = cs
				}
				values.Add(compareC(t, use, first, ps))
			})
		}
		t.Run("optimized", func(t *testing.T) {
			t.Parallel()
			var ps []*hw.Program
			for i := range 6 {
				ps = append(ps, numbered(i))
			}
			for _, c := range cs {
				values.Add(compareC(t, []compiler{c.optimized()}, 0, ps))
			}
		})
	})
	t.Logf("%d programs: %d output values equal, %d compilers", n, values.Load(), len(cs))
	for _, want := range []string{"dot", "window", "map", "move", "channel", "pixel", "grouped", "wide"} {
		if count[want] < n/20 {
			t.Errorf("the random programs have %d of %s: too few to test it", count[want], want)
		}
	}
	for i := range hw.Prims {
		if s := hw.Prim(i).String(); count[s] < n/20 {
			t.Errorf("the random programs have %d of %s: too few to test it", count[s], s)
		}
	}
}

func numbered(i int) *hw.Program {
	return randomProgram(rand.New(rand.NewPCG(uint64(i), 2)), fmt.Sprintf("rnd%d", i))
}

// compareC runs a batch of programs, numbered from first, through compilers and returns the number of values compared.
func compareC(t *testing.T, cs []compiler, first int, programs []*hw.Program) (values int64) {
	var ps []project
	want := ""
	for i, p := range programs {
		r := rand.New(rand.NewPCG(uint64(first+i), 3))
		d := emit(t, p, samples(r, p, 3), hls.Options{Lanes: 1 + r.IntN(9), Model: "a/*b*/\\"})
		ps = append(ps, d)
		want += d.want
	}
	for _, c := range cs {
		out, err := runC(t, c, ps)
		if err != nil || out != want {
			failed := strings.Count(out, "PASS")
			t.Fatalf("%s, program %d: %v\n%s\n%v", c.path, first+failed, err, out, programs[min(failed, len(programs)-1)])
		}
		for _, p := range ps {
			values += int64(p.n)
		}
	}
	return values
}

// tally counts what a program uses.
func tally(count map[string]int, p *hw.Program) {
	for _, k := range p.Kernels {
		count[k.Kind.String()]++
		if k.Dot != nil && k.Dot.Groups > 1 {
			count["grouped"]++
		}
		if k.Prog == nil {
			continue
		}
		for _, s := range k.Prog.Code {
			count[s.Prim.String()]++
			if len(s.Imm.V) > 1 {
				count[[]string{"channel", "pixel"}[s.Imm.By]]++
			}
			if s.Range.Bits() > 32 {
				count["wide"]++
			}
		}
	}
}
