package hls

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"quern/ir/hw"
)

// generator marks manifests as ours.
const generator = "quern"

func (e *emitter) makefile() []byte {
	return fmt.Appendf(nil, `# make csim: builds the testbench with any C compiler and runs it; make CC=clang csim with another one.
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
type tool struct{ name, command, script, solution string }

var (
	vitis  = tool{"Vitis HLS", "vitis_hls", "run_hls.tcl", "open_solution -reset -flow_target vivado solution1"}
	vivado = tool{"Vivado HLS", "vivado_hls", "run_vivado_hls.tcl", "open_solution -reset solution1"}
)

// tcl prints the script for a tool. Each step can be switched by a variable of the environment: those that take minutes are off.
func (e *emitter) tcl(t tool) []byte {
	std, ext := "c99", "c"
	if e.o.Style == "stream" {
		std, ext = "c++11", "cpp"
	}
	return fmt.Appendf(nil, `# %[1]s: C simulation and synthesis, printed by quern.
#
#   %[2]s -f %[3]s
#
# CSIM, CSYNTH, COSIM (C/RTL co-simulation) and EXPORT (IP catalog) in the environment switch a step with 1 or 0.
proc on {name default} {
    if {[info exists ::env($name)]} { return $::env($name) }
    return $default
}

open_project -reset prj_%[4]s
set_top %[4]s
add_files -cflags "-std=%[8]s" %[4]s.%[9]s
add_files -tb -cflags "-std=%[8]s -Wno-unknown-pragmas" tb.%[9]s
%[5]s
set_part {%[6]s}
create_clock -period %[7]v -name default
if {[on CSIM 1]} { csim_design }
if {[on CSYNTH 1]} { csynth_design }
if {[on COSIM 0]} { cosim_design }
if {[on EXPORT 0]} { export_design -format ip_catalog }
exit
`, t.name, t.command, t.script, e.o.Top, t.solution, e.o.Part, e.o.ClockNS, std, ext)
}

// manifest describes the project for programs: names, widths, kernels, and every other file with its hash.
func (e *emitter) manifest(files []File) []byte {
	type port struct {
		Name  string `json:"name"`  // of the parameter
		Model string `json:"model"` // name in the model
		Shape []int  `json:"shape"` // of the array, channels last
		Type  string `json:"type"`
		Lo    int64  `json:"lo"`
		Hi    int64  `json:"hi"`
	}
	type kernel struct {
		Name   string `json:"name"`
		Node   string `json:"node"`
		Kind   string `json:"kind"`
		Shape  []int  `json:"shape"`
		Bits   int    `json:"bits"`               // of an output element
		Acc    int    `json:"acc_bits,omitempty"` // of the accumulator
		Weight int    `json:"weight_bits,omitempty"`
		MACs   int    `json:"macs,omitempty"`
	}
	type file struct {
		Name   string `json:"name"`
		SHA256 string `json:"sha256"`
	}
	m := struct {
		Generator string   `json:"generator"`
		Version   string   `json:"version"`
		Model     string   `json:"model"`
		Top       string   `json:"top"`
		Style     string   `json:"style"`
		Part      string   `json:"part"`
		ClockNS   float64  `json:"clock_ns"`
		MACs      int      `json:"macs"`
		Vectors   int      `json:"vectors"`
		Program   string   `json:"program_sha256"` // of the program's text form
		Inputs    []port   `json:"inputs"`
		Outputs   []port   `json:"outputs"`
		Kernels   []kernel `json:"kernels"`
		Files     []file   `json:"files"`
	}{Generator: generator, Version: e.version(), Model: e.model(), Top: e.o.Top, Style: e.o.Style, Part: e.o.Part, ClockNS: e.o.ClockNS,
		MACs: e.p.MACs(), Vectors: len(e.o.Vectors), Program: fmt.Sprintf("%x", sha256.Sum256([]byte(e.p.String())))}
	ports := func(bufs []*hw.Buffer, ids []string) (ps []port) {
		for i, b := range bufs {
			ps = append(ps, port{ids[i], b.Port.Name, b.Shape, storage(b.Range).String(), b.Range.Lo, b.Range.Hi})
		}
		return ps
	}
	m.Inputs, m.Outputs = ports(e.p.Inputs, e.in), ports(e.p.Outputs, e.out)
	for _, k := range e.p.Kernels {
		j := kernel{Name: e.fn[k], Node: k.Pos.String(), Kind: k.Kind.String(), Shape: k.Out.Shape, Bits: k.Out.Range.Bits()}
		if k.Dot != nil {
			j.Acc, j.Weight, j.MACs = k.Dot.AccRange().Bits(), k.Dot.WeightRange().Bits(), k.Dot.MACs()
		}
		if k.Window != nil {
			j.Acc = k.Window.Acc.Bits()
		}
		m.Kernels = append(m.Kernels, j)
	}
	for _, f := range files {
		m.Files = append(m.Files, file{f.Name, fmt.Sprintf("%x", sha256.Sum256(f.Data))})
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err) // strings and finite numbers only
	}
	return append(b, '\n')
}
