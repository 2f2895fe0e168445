package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/frontend/data"
	"quern/ir"
	"quern/ir/hw"
	"quern/passes/lower"
)

var compileCommand = &cli.Command{
	Name: "compile", Usage: "turn a quantized model into an HLS project", ArgsUsage: "MODEL",
	Flags: slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "target", Value: "hls", Usage: "hls"},
		&cli.StringFlag{Name: "style", Value: "c99", Usage: "c99: one layer after the other; stream: all at the same time, joined by FIFOs"},
		&cli.StringFlag{Name: "o", Required: true, Usage: "folder of the project"},
		&cli.StringFlag{Name: "part", Value: "xc7z020clg400-1", Usage: "device"},
		&cli.Float64Flag{Name: "clock", Value: 10, Usage: "clock period in ns"},
		&cli.StringFlag{Name: "top", Usage: "name of the top function", DefaultText: "from the file's name"},
		&cli.BoolFlag{Name: "raw-input", Usage: "take pixels of 0..255: scale, mean and std are in the hardware"},
		&cli.StringFlag{Name: "data", Usage: "samples for the testbench", DefaultText: "pseudo-random inputs"},
		&cli.IntFlag{Name: "vectors", Value: 4, Usage: "number of test vectors"},
		&cli.BoolFlag{Name: "csim", Usage: "build the testbench with $CC or cc ($CXX or c++ for style stream) and run it"},
		&cli.BoolFlag{Name: "check", Usage: "check the text against the rules of the HLS tools"},
		readerFlag, dimFlag, jsonFlag,
	}, streamFlags, preprocessFlags),
	Action: compile,
}

// compileReport is what compile prints.
type compileReport struct {
	Output  string        `json:"output"`
	Style   string        `json:"style"`
	Files   int           `json:"files"`
	Bytes   int           `json:"bytes"`
	Lines   int           `json:"lines"`
	Kernels int           `json:"kernels"`
	MACs    int           `json:"macs"`
	Vectors int           `json:"vectors"`
	Host    string        `json:"host,omitempty"`
	Stream  *streamReport `json:"stream,omitempty"`
	Check   string        `json:"check,omitempty"`
	CSim    string        `json:"csim,omitempty"`
}

func compile(c *cli.Context) error {
	path, err := modelArg(c)
	if err != nil {
		return err
	}
	style := c.String("style")
	switch {
	case c.String("target") != "hls":
		return usagef("--target %q: want hls", c.String("target"))
	case c.Int("vectors") < 1:
		return usagef("--vectors %d: want 1 or more", c.Int("vectors"))
	case style != "stream" && (c.IsSet("fps") || c.IsSet("folding") || c.IsSet("config")):
		return usagef("--fps, --folding and --config are for --style stream")
	}
	g, err := preparedWith(c, path)
	if err != nil {
		return err
	}
	var lo lower.Options
	if c.Bool("raw-input") {
		if lo.Pixels, err = pixels(c, g); err != nil {
			return err
		}
	}
	low, err := lowered(path, g, lo)
	if err != nil {
		return err
	}
	in, err := vectorInputs(c, g, low.Prog)
	if err != nil {
		return err
	}
	o := hls.Options{Top: c.String("top"), Style: style, Part: c.String("part"), ClockNS: c.Float64("clock"), Model: filepath.Base(path), Version: version}
	if o.ModelHash, err = hashFile(path); err != nil {
		return err
	}
	if o.Vectors, err = vectors(low.Prog, in); err != nil {
		return err
	}
	if o.Top == "" {
		low.Prog.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	}
	r := compileReport{Output: c.String("o"), Style: style, Kernels: len(low.Prog.Kernels), MACs: low.Prog.MACs(), Vectors: len(o.Vectors)}
	if style == "stream" {
		d, err := designFor(c, low.Prog)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		o.Design, o.Timing = d.Design, d.hlsTiming()
		r.Stream = d.report()
	}
	files, err := hls.Emit(low.Prog, o)
	if err != nil {
		return err
	}
	if err := hls.WriteDir(r.Output, files); err != nil {
		return err
	}
	r.Files = len(files)
	for _, f := range files {
		r.Bytes += len(f.Data)
		r.Lines += bytes.Count(f.Data, []byte("\n"))
	}
	if low.Tail != nil {
		var ops []string
		for _, n := range low.Tail.Nodes {
			ops = append(ops, n.Op.OpName())
		}
		r.Host = strings.Join(ops, ", ")
	}
	if c.Bool("check") {
		if err := hls.Check(files); err != nil {
			return fmt.Errorf("%s breaks rules of the HLS tools:\n%w", r.Output, err)
		}
		r.Check = "no violation"
	}
	if c.Bool("csim") {
		if r.CSim, err = csim(r.Output, style == "stream"); err != nil {
			return err
		}
	}
	return report(c, r, r.text)
}

func (r compileReport) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %d files, %d bytes, %d kernels, %d MACs, %d test vectors\n", r.Output, r.Files, r.Bytes, r.Kernels, r.MACs, r.Vectors)
	if r.Host != "" {
		fmt.Fprintf(w, "  left for the host, in float: %s\n", r.Host)
	}
	if r.Stream != nil {
		r.Stream.text(w)
	}
	if r.Check != "" {
		fmt.Fprintf(w, "  check: %s\n", r.Check)
	}
	if r.CSim != "" {
		fmt.Fprintf(w, "  csim: %s\n", r.CSim)
	}
}

// hashFile is the SHA-256 of a file in hexadecimal digits.
func hashFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(b)), err
}

// vectorInputs are the port integers of the test vectors: samples of --data, or pseudo-random integers over the ports' ranges.
func vectorInputs(c *cli.Context, g *ir.Graph, p *hw.Program) ([][][]int64, error) {
	n := c.Int("vectors")
	if !c.IsSet("data") {
		return randomInputs(p, n), nil
	}
	d, pre, err := openData(c, c.String("data"), g)
	if err != nil {
		return nil, err
	}
	if c.Bool("raw-input") {
		return pixelInputs(p, d.Head(n), pre)
	}
	return sampleInputs(p, d.Head(n), pre)
}

func sampleInputs(p *hw.Program, d *data.Dataset, pre data.Preprocess) ([][][]int64, error) {
	var r [][][]int64
	reals := data.NewReader(d, pre)
	for i := range reals.Len() {
		x := make([]int64, p.Inputs[0].Len())
		if err := p.Inputs[0].Port.Quantize(x, reals.Sample(i)); err != nil {
			return nil, err
		}
		r = append(r, [][]int64{x})
	}
	return r, nil
}

// randomInputs are deterministic: the same program gets the same vectors.
func randomInputs(p *hw.Program, n int) [][][]int64 {
	s := uint64(1)
	var r [][][]int64
	for range n {
		var in [][]int64
		for _, b := range p.Inputs {
			x := make([]int64, b.Len())
			for i := range x {
				s = s*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
				x[i] = b.Range.Lo + int64((s>>33)%uint64(b.Range.Hi-b.Range.Lo+1))
			}
			in = append(in, x)
		}
		r = append(r, in)
	}
	return r
}

// vectors runs the simulator on the inputs. The first vector has the results of all kernels with it, for the trace.
func vectors(p *hw.Program, in [][][]int64) ([]hls.Vector, error) {
	m, err := sim.New(p)
	if err != nil {
		return nil, err
	}
	s := m.NewState()
	var r []hls.Vector
	for i, x := range in {
		y, err := s.Run(x)
		if err != nil {
			return nil, err
		}
		v := hls.Vector{In: x}
		for _, o := range y {
			v.Out = append(v.Out, slices.Clone(o))
		}
		if i == 0 {
			for _, k := range p.Kernels {
				v.Layers = append(v.Layers, s.Buffer(k.Out))
			}
		}
		r = append(r, v)
	}
	return r, nil
}

// compilers are the usual names of C compilers.
var compilers = []string{"cc", "gcc", "clang"}

// compiler is the first compiler that is there: that of an environment variable, or one of the usual names; "" if none.
func compiler(variable string, names ...string) string {
	for _, cc := range append([]string{os.Getenv(variable)}, names...) {
		if cc != "" {
			if path, err := exec.LookPath(cc); err == nil {
				return path
			}
		}
	}
	return ""
}

// csim builds the testbench in a folder of its own, as the project's Makefile does, and returns its verdict; a wrong bit is an error.
func csim(dir string, cxx bool) (string, error) {
	cc, ext := compiler("CC", compilers...), "*.c"
	args := []string{"-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wno-unknown-pragmas"}
	if cxx {
		cc, ext = compiler("CXX", "c++", "g++", "clang++"), "*.cpp"
		args = []string{"-std=c++11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-isystem", filepath.Join(dir, "ap")}
	}
	if cc == "" {
		return "", fmt.Errorf("no compiler found for csim: want one in CC or CXX, or named cc, gcc, clang, c++, g++ or clang++")
	}
	tmp, err := os.MkdirTemp("", "quern-csim-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	src, err := filepath.Glob(filepath.Join(dir, ext))
	if err != nil {
		return "", err
	}
	exe := filepath.Join(tmp, "tb")
	args = append(args, "-DQUERN_TRACE", "-o", exe)
	if out, err := exec.Command(cc, append(args, src...)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cc, err, out)
	}
	out, err := exec.Command(exe).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("csim: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
