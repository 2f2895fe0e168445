package hls

import (
	"fmt"
)

// language is what the two languages of designs differ in for compilers and tools.
type language struct {
	name, std, ext       string // for people, for -std, of source files
	compiler, flags      string // variables of make
	program              string // the usual compiler
	other                string // another one, for an example
	warn                 string // beside -Wall -Wextra
	include, includeText string // more options, and the line that explains them
	headers              string // that the design includes, beside those of every project
}

var (
	langC = language{name: "C", std: "c99", ext: "c", compiler: "CC", flags: "CFLAGS", program: "cc", other: "clang", warn: " -Wconversion", headers: "fixed.h"}
	// The stand-ins for the tools' headers are looked for by name in the Makefile alone: the tools have their own.
	langCXX = language{name: "C++11", std: "c++11", ext: "cpp", compiler: "CXX", flags: "CXXFLAGS", program: "c++", other: "clang++", include: " -isystem $(AP_INCLUDE)",
		includeText: "# AP_INCLUDE names the folder of the tools' own ap_int.h, hls_stream.h and ap_axi_sdata.h; ap holds stand-ins for them.\nAP_INCLUDE ?= ap\n",
		headers:     "stream.h"}
)

// makefile builds the testbench with the trace of layers, and the host's functions on their own.
func (e *emitter) makefile(l *language) []byte {
	header, text, define := "", "", ""
	if e.traced() {
		header, define = " layers.h", " -DQUERN_TRACE"
		text = "# QUERN_TRACE makes it compare the result of every layer, so that the first wrong one is named.\n"
	}
	cc := ""
	if l.compiler != "CC" {
		cc = "CC ?= cc\n"
	}
	return fmt.Appendf(nil, `# make csim: builds the testbench with any %[2]s compiler and runs it; make %[5]s=%[8]s csim with another one.
%[14]s%[10]s%[5]s ?= %[7]s
%[6]s ?= -std=%[3]s -O2 -Wall -Wextra -Werror%[9]s -Wno-unknown-pragmas
%[16]sHOSTFLAGS ?= -std=c99 -O2 -Wall -Wextra -Werror -Wconversion

.PHONY: csim host clean
csim: tb
	./tb

tb: %[1]s.%[4]s tb.%[4]s %[1]s.h %[12]s weights.h vectors.h%[13]s
	$(%[5]s) $(%[6]s)%[15]s%[11]s -o $@ %[1]s.%[4]s tb.%[4]s

host: quantize_input.o
quantize_input.o: quantize_input.c quantize_input.h
	$(CC) $(HOSTFLAGS) -c -o $@ quantize_input.c

clean:
	rm -f tb quantize_input.o
`, e.o.Top, l.name, l.std, l.ext, l.compiler, l.flags, l.program, l.other, l.warn, l.includeText, l.include, l.headers, header, text, define, cc)
}

// tool is what differs between the scripts of the two tools.
type tool struct{ name, command, script, solution string }

var (
	vitis  = tool{"Vitis HLS", "vitis_hls", "run_hls.tcl", "open_solution -reset -flow_target vivado solution1"}
	vivado = tool{"Vivado HLS", "vivado_hls", "run_vivado_hls.tcl", "open_solution -reset solution1"}
)

// tcl prints the script for a tool. Each step can be switched by a variable of the environment: those that take minutes are off.
func (e *emitter) tcl(t tool, l *language) []byte {
	return fmt.Appendf(nil, `# %[1]s: C simulation and synthesis, printed by quern.
#
#   %[2]s -f %[3]s
#
# CSIM, CSYNTH, COSIM (C/RTL co-simulation) and EXPORT (IP catalog) in the environment switch a step with 1 or 0; TRACE=1 makes C
# simulation compare every layer.
proc on {name default} {
    if {[info exists ::env($name)]} { return $::env($name) }
    return $default
}

set trace [expr {[on TRACE 0] ? " -DQUERN_TRACE" : ""}]
open_project -reset prj_%[4]s
set_top %[4]s
add_files -cflags "-std=%[8]s$trace" %[4]s.%[9]s
add_files -tb -cflags "-std=%[8]s -Wno-unknown-pragmas$trace" tb.%[9]s
%[5]s
set_part {%[6]s}
create_clock -period %[7]v -name default
if {[on CSIM 1]} { csim_design }
if {[on CSYNTH 1]} { csynth_design }
if {[on COSIM 0]} { cosim_design }
if {[on EXPORT 0]} { export_design -format ip_catalog }
exit
`, t.name, t.command, t.script, e.o.Top, t.solution, e.o.Part, e.o.ClockNS, l.std, l.ext)
}
