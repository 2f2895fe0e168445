package hls

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quern/ir/hw"
)

// vectorsH prints the test vectors.
func (e *emitter) vectorsH() []byte {
	w := &writer{}
	e.head(w, "vectors.h: inputs and the outputs that quern's simulator computed for them.")
	w.guard(strings.ToUpper(e.o.Top) + "_VECTORS_H")
	w.raw("#include <stdint.h>")
	w.raw("")
	w.raw("#define TB_VECTORS %d", len(e.o.Vectors))
	print := func(name string, bufs []*hw.Buffer, data func(v Vector) [][]int64) {
		for i, b := range bufs {
			w.raw("")
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
	}
	print("tb_in", e.p.Inputs, func(v Vector) [][]int64 { return v.In })
	print("tb_out", e.p.Outputs, func(v Vector) [][]int64 { return v.Out })
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

// testbench compares every output value with the simulator's and stops at the first difference.
func (e *emitter) testbench() []byte {
	w := &writer{}
	e.head(w, "tb.c: runs the vectors and exits with 1 at the first wrong value.")
	w.raw("#include <stdio.h>")
	w.raw("#include \"%s.h\"", e.o.Top)
	w.raw("#include \"vectors.h\"")
	w.raw("")
	w.open("int main(void)")
	w.line("long n = 0;")
	for i, b := range e.p.Outputs {
		w.line("static %v got%d[%d];", storage(b.Range), i, b.Len())
	}
	w.open("for (int t = 0; t < TB_VECTORS; t++)")
	var args []string
	for i := range e.p.Inputs {
		args = append(args, fmt.Sprintf("tb_in%d[t]", i))
	}
	for i := range e.p.Outputs {
		args = append(args, fmt.Sprintf("got%d", i))
	}
	w.line("%s(%s);", e.o.Top, strings.Join(args, ", "))
	for i, b := range e.p.Outputs {
		w.open("for (int i = 0; i < %d; i++, n++)", b.Len())
		w.open("if (got%d[i] != tb_out%d[t][i])", i, i)
		w.line("printf(\"FAIL: output %%s, vector %%d, index %%d: got %%lld, want %%lld\\n\", %s, t, i, (long long)got%d[i], (long long)tb_out%d[t][i]);", quote(b.Port.Name), i, i)
		w.line("return 1;")
		w.close(2)
	}
	w.close(1)
	w.line("printf(\"PASS: %%ld values in %%d vectors\\n\", n, TB_VECTORS);")
	w.line("return 0;")
	w.close(1)
	return w.Bytes()
}

func (e *emitter) makefile() []byte {
	return fmt.Appendf(nil, `# make csim: builds the testbench with any C compiler and runs it.
CC ?= cc
CFLAGS ?= -std=c99 -O2 -Wall -Wextra -Werror -Wconversion -Wno-unknown-pragmas

.PHONY: csim clean
csim: tb
	./tb

tb: %[1]s.c tb.c %[1]s.h fixed.h weights.h vectors.h
	$(CC) $(CFLAGS) -o $@ %[1]s.c tb.c

clean:
	rm -f tb
`, e.o.Top)
}

// tool is what differs between the scripts of the two tools.
type tool struct{ name, script, open string }

var (
	vitis  = tool{"Vitis HLS", "run_hls.tcl", "open_solution -flow_target vivado solution1"}
	vivado = tool{"Vivado HLS", "run_vivado_hls.tcl", "open_solution solution1"}
)

func (e *emitter) tcl(t tool) []byte {
	cmd := "vitis_hls"
	if t == vivado {
		cmd = "vivado_hls"
	}
	return fmt.Appendf(nil, `# %[1]s: C simulation and synthesis. Run: %[2]s -f %[3]s
# Set COSIM=1 or EXPORT=1 in the environment for C/RTL co-simulation and IP export.
open_project -reset prj_%[4]s
set_top %[4]s
add_files %[4]s.c
add_files -tb tb.c
%[5]s
set_part {%[6]s}
create_clock -period %[7]v -name default
csim_design
csynth_design
if {[info exists ::env(COSIM)] && $::env(COSIM)} { cosim_design }
if {[info exists ::env(EXPORT)] && $::env(EXPORT)} { export_design -format ip_catalog }
exit
`, t.name, cmd, t.script, e.o.Top, t.open, e.o.Part, e.o.ClockNS)
}

func (e *emitter) readme() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s in integers, printed by quern %s. `%s.c` computes the same bits as quern's simulator: `make csim` checks them\nwith any C compiler (%d vectors), `vitis_hls -f run_hls.tcl` or `vivado_hls -f run_vivado_hls.tcl` synthesizes.\n\n## Ports\n\n",
		e.o.Top, e.model(), e.version(), e.o.Top, len(e.o.Vectors))
	b.WriteString("| port | model's name | model's shape | layout here | type | scale | zero point | range | rounding |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, side := range []struct {
		bufs []*hw.Buffer
		ids  []string
	}{{e.p.Inputs, e.in}, {e.p.Outputs, e.out}} {
		for i, f := range side.bufs {
			q := f.Port.Quant
			scale := fmt.Sprint(q.Scale[0])
			if len(q.Scale) > 1 {
				scale = fmt.Sprint(q.Scale)
			}
			fmt.Fprintf(&b, "| %s | %s | %v | %v, axes %v | %v | %s | %d | %d..%d | %v |\n", side.ids[i], f.Port.Name, f.Port.Shape, f.Shape, f.Port.Perm, storage(f.Range), scale, q.Zero[0], f.Range.Lo, f.Range.Hi, q.Round)
		}
	}
	b.WriteString("\nThe host converts: integer = clamp(round(real / scale) + zero point), real = (integer - zero point) * scale. Arrays are channels\nlast: axis i of the array is axis `axes[i]` of the model's tensor without its batch.\n\nEach array port is an AXI master (m_axi) whose address is set through the AXI-Lite slave `control`, which also starts the function.\nKernels run one after the other; all intermediate arrays are on the chip.\n\n## Kernels\n\n| function | kind | output | multiply-accumulates |\n|---|---|---|---|\n")
	for _, k := range e.p.Kernels {
		macs := 0
		if k.Dot != nil {
			macs = k.Dot.MACs()
		}
		fmt.Fprintf(&b, "| %s | %v | %v%v | %d |\n", e.fn[k], k.Kind, k.Out.Range, k.Out.Shape, macs)
	}
	return []byte(b.String())
}

// manifest names the model and the tool, and every file with its hash.
func (e *emitter) manifest(files []File) []byte {
	type file struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	}
	m := struct {
		Generator string  `json:"generator"`
		Version   string  `json:"version"`
		Model     string  `json:"model"`
		Top       string  `json:"top"`
		Style     string  `json:"style"`
		Part      string  `json:"part"`
		ClockNS   float64 `json:"clock_ns"`
		Kernels   int     `json:"kernels"`
		MACs      int     `json:"macs"`
		Vectors   int     `json:"vectors"`
		Files     []file  `json:"files"`
	}{"quern", e.version(), e.model(), e.o.Top, e.o.Style, e.o.Part, e.o.ClockNS, len(e.p.Kernels), e.p.MACs(), len(e.o.Vectors), nil}
	for _, f := range files {
		m.Files = append(m.Files, file{f.Name, fmt.Sprintf("%x", sha256.Sum256(f.Data))})
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // strings and numbers only
	}
	return append(b, '\n')
}

// WriteDir writes a project into a folder, which appears whole or not at all. A project of quern's that is there (it has a manifest) is
// replaced; any other folder with something in it is refused.
func WriteDir(dir string, files []File) error {
	dir = filepath.Clean(dir)
	old, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if len(old) > 0 {
		m, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil || !strings.Contains(string(m), `"generator": "quern"`) {
			return fmt.Errorf("%s is not empty and was not made by quern (no manifest.json of ours): choose another folder", dir)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*.part")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // of no effect once renamed
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(tmp, f.Name), f.Data, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}
