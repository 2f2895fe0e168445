// Package hls prints a hardware program as a project for high-level synthesis: C, a self-checking testbench with the simulator's
// vectors, scripts for Vitis HLS and Vivado HLS, and a manifest. It decides nothing about the arithmetic: every width and range is
// the one that package hw proved, every operation the C spelling of its row in hw.Prims.
//
// A style (see styles) prints the design itself; the tables, the vectors and the project around it are common to all styles.
package hls

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// Options say how to print a program.
type Options struct {
	Top     string         // C name of the top function and of its files; empty: made from the program's name
	Style   string         // "c99"; empty means that
	Part    string         // device; empty: xc7z020clg400-1
	ClockNS float64        // clock period in ns; 0: 10
	Design  *stream.Design // of style stream
	Timing  *Timing        // of Design by cycle simulation, for README and manifest; nil: not known
	Lanes   int            // most output channels that a Dot kernel sums at a time, each with a multiplier of its own; 0: 8
	Vectors []Vector       // what the testbench checks; at least one
	Model   string         // name of the model, for headings
	// ModelHash is the SHA-256 of the model's file in hexadecimal digits, for the manifest.
	ModelHash string
	Version   string // of quern, for headings
}

// Vector is one run: the port buffers of the program in their own layout and order.
type Vector struct {
	In, Out [][]int64
	// Layers are the results of all kernels in their order, of the first vector: with them the testbench finds the first layer that is wrong.
	// nil: it cannot.
	Layers [][]int64
}

// Timing is what cycle simulation says about a stream design, in clock cycles.
type Timing struct {
	First    int `json:"first_word"` // from the start to the first word at an output
	Latency  int `json:"latency"`    // to the last word
	Interval int `json:"interval"`   // between samples
}

// File is a file of the project. Its name is relative to the project.
type File struct {
	Name string
	Data []byte
}

// Limits of the tools: Vivado HLS refuses more than 1024 partitions of an array, and unrolling beyond a few dozen copies of a loop
// body makes synthesis crawl.
const (
	maxPartitions = 1024
	maxUnroll     = 64
)

// A style prints the design.
type style struct {
	name  string
	print func(e *emitter) (*design, error)
}

// design is what a style has printed: the files that are synthesized and the testbench, and what the files around them say of it.
type design struct {
	files     []File
	language  *language
	about     func(p printf)                        // README: the interface, and what the function does
	portType  func(b *hw.Buffer) (string, []string) // README: type of a port, and lines beside those about layout and scale
	layers    func(p printf)                        // README: what is computed where
	functions map[*hw.Kernel]string                 // C names of the kernels
	describe  func(m *manifest)                     // adds to the manifest what only this style has
}

// printf prints a line of README.
type printf func(format string, args ...any)

var styles = []style{
	{"c99", printC99},
	{"stream", printStream},
}

//go:embed rt/fixed.h
var fixedH []byte

//go:embed rt/stream.h
var streamH []byte

//go:embed rt/ap/ap_int.h
var apIntH []byte

//go:embed rt/ap/hls_stream.h
var hlsStreamH []byte

//go:embed rt/ap/ap_axi_sdata.h
var apAxiH []byte

// standIns are the headers of the tools in as far as the design uses them.
var standIns = []File{{"ap/ap_int.h", apIntH}, {"ap/hls_stream.h", hlsStreamH}, {"ap/ap_axi_sdata.h", apAxiH}}

// emitter is what the printers share: the options with their defaults, the names, and the tables met so far.
type emitter struct {
	p       *hw.Program
	o       Options
	ids     *names
	in, out []string // C names of the top function's parameters
}

// Emit prints a program. The same program and options give the same bytes. The vectors are not run; their sizes and ranges are checked.
func Emit(p *hw.Program, o Options) ([]File, error) {
	if err := hw.Verify(p); err != nil {
		return nil, fmt.Errorf("hls: %w", err)
	}
	e, st, err := newEmitter(p, o)
	if err != nil {
		return nil, fmt.Errorf("hls: %w", err)
	}
	d, err := st.print(e)
	if err != nil {
		return nil, fmt.Errorf("hls: %w", err)
	}
	files := append(d.files,
		File{"vectors.h", e.vectorsH()},
		File{"quantize_input.h", e.quantizeH()},
		File{"quantize_input.c", e.quantizeC()},
		File{"Makefile", e.makefile(d.language)},
		File{"run_hls.tcl", e.tcl(vitis, d.language)},
		File{"run_vivado_hls.tcl", e.tcl(vivado, d.language)},
		File{"README.md", e.readme(d)},
	)
	if e.traced() {
		files = append(files, File{"layers.h", e.layersH(d)})
	}
	return append(files, File{"manifest.json", e.manifest(d, files)}), nil
}

var partName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

func newEmitter(p *hw.Program, o Options) (*emitter, *style, error) {
	if o.Style == "" {
		o.Style = styles[0].name
	}
	var st *style
	known := ""
	for i := range styles {
		if styles[i].name == o.Style {
			st = &styles[i]
		}
		known += " " + styles[i].name
	}
	if st == nil {
		return nil, nil, fmt.Errorf("style %q: want one of:%s", o.Style, known)
	}
	if o.Part == "" {
		o.Part = "xc7z020clg400-1"
	}
	if !partName.MatchString(o.Part) {
		return nil, nil, fmt.Errorf("part %q: want letters, digits and - only", o.Part)
	}
	if o.ClockNS == 0 {
		o.ClockNS = 10
	}
	if !(o.ClockNS > 0) || math.IsInf(o.ClockNS, 0) {
		return nil, nil, fmt.Errorf("clock period %v ns: want a positive number", o.ClockNS)
	}
	if o.Lanes == 0 {
		o.Lanes = 8
	}
	if o.Lanes < 1 || o.Lanes > maxUnroll {
		return nil, nil, fmt.Errorf("%d lanes: want 1..%d", o.Lanes, maxUnroll)
	}
	if len(p.Outputs) == 0 {
		return nil, nil, fmt.Errorf("program %s has no output", p.Name)
	}
	for _, b := range p.Buffers {
		if n := b.Len(); n < 1 || n > math.MaxInt32 {
			return nil, nil, fmt.Errorf("buffer %s has %d elements, want 1..%d", b.Name, n, math.MaxInt32)
		}
	}
	if err := checkVectors(p, o.Vectors); err != nil {
		return nil, nil, err
	}
	e := &emitter{p: p, o: o, ids: newNames()}
	if o.Top == "" {
		e.o.Top = e.ids.pick(p.Name, "")
	} else if got := e.ids.pick(o.Top, ""); got != o.Top {
		return nil, nil, fmt.Errorf("top function %q: want a C name that is not taken, for example %q", o.Top, got)
	}
	for _, b := range p.Inputs {
		e.in = append(e.in, e.ids.param(b.Port.Name))
	}
	for _, b := range p.Outputs {
		e.out = append(e.out, e.ids.param(b.Port.Name))
	}
	return e, st, nil
}

// checkVectors makes sure that the testbench checks something and that its numbers fit their C types.
func checkVectors(p *hw.Program, vs []Vector) error {
	if len(vs) == 0 {
		return fmt.Errorf("no test vectors: the testbench would check nothing")
	}
	for i, v := range vs {
		for _, side := range []struct {
			word string
			bufs []*hw.Buffer
			data [][]int64
		}{{"input", p.Inputs, v.In}, {"output", p.Outputs, v.Out}} {
			if len(side.data) != len(side.bufs) {
				return fmt.Errorf("vector %d: want %d %ss, got %d", i, len(side.bufs), side.word, len(side.data))
			}
			for j, b := range side.bufs {
				if len(side.data[j]) != b.Len() {
					return fmt.Errorf("vector %d: %s %q: want %d values, got %d", i, side.word, b.Port.Name, b.Len(), len(side.data[j]))
				}
				for n, x := range side.data[j] {
					if x < b.Range.Lo || x > b.Range.Hi {
						return fmt.Errorf("vector %d: %s %q: value %d at index %d is not in %d..%d",
							i, side.word, b.Port.Name, x, n, b.Range.Lo, b.Range.Hi)
					}
				}
			}
		}
	}
	for _, v := range vs[:1] {
		if v.Layers == nil {
			continue
		}
		if len(v.Layers) != len(p.Kernels) {
			return fmt.Errorf("vector 0: want the results of %d kernels, got %d", len(p.Kernels), len(v.Layers))
		}
		for i, k := range p.Kernels {
			if len(v.Layers[i]) != k.Out.Len() {
				return fmt.Errorf("vector 0: kernel %s: want %d values, got %d", k.Name, k.Out.Len(), len(v.Layers[i]))
			}
		}
	}
	return nil
}
