package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/frontend/data"
	"quern/ir"
	"quern/ir/hw"
)

var compileCommand = &cli.Command{
	Name: "compile", Usage: "turn a quantized model into an HLS project", ArgsUsage: "MODEL",
	Flags: append([]cli.Flag{
		&cli.StringFlag{Name: "target", Value: "hls", Usage: "hls"},
		&cli.StringFlag{Name: "style", Value: "c99", Usage: "c99"},
		&cli.StringFlag{Name: "o", Required: true, Usage: "folder of the project"},
		&cli.StringFlag{Name: "part", Value: "xc7z020clg400-1", Usage: "device, for the scripts"},
		&cli.Float64Flag{Name: "clock", Value: 10, Usage: "clock period in ns"},
		&cli.StringFlag{Name: "top", Usage: "name of the top function", DefaultText: "from the file's name"},
		&cli.StringFlag{Name: "data", Usage: "samples for the testbench", DefaultText: "pseudo-random inputs"},
		&cli.IntFlag{Name: "vectors", Value: 4, Usage: "number of test vectors"},
		&cli.BoolFlag{Name: "csim", Usage: "build the testbench with $CC or cc and run it"},
		readerFlag, dimFlag, jsonFlag,
	}, preprocessFlags...),
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		if c.String("target") != "hls" {
			return usagef("--target %q: want hls", c.String("target"))
		}
		if c.Int("vectors") < 1 {
			return usagef("--vectors %d: want 1 or more", c.Int("vectors"))
		}
		g, err := preparedWith(c, path)
		if err != nil {
			return err
		}
		low, err := lowered(path, g)
		if err != nil {
			return err
		}
		in, err := vectorInputs(c, g, low.Prog)
		if err != nil {
			return err
		}
		vs, err := vectors(low.Prog, in)
		if err != nil {
			return err
		}
		top := c.String("top")
		if top == "" {
			top = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
			low.Prog.Name, top = top, ""
		}
		files, err := hls.Emit(low.Prog, hls.Options{Top: top, Style: c.String("style"), Part: c.String("part"), ClockNS: c.Float64("clock"), Vectors: vs, Model: filepath.Base(path), Version: version})
		if err != nil {
			return err
		}
		if err := hls.WriteDir(c.String("o"), files); err != nil {
			return err
		}
		r := struct {
			Output  string `json:"output"`
			Files   int    `json:"files"`
			Bytes   int    `json:"bytes"`
			Kernels int    `json:"kernels"`
			MACs    int    `json:"macs"`
			Vectors int    `json:"vectors"`
			Host    string `json:"host,omitempty"`
			CSim    string `json:"csim,omitempty"`
		}{Output: c.String("o"), Files: len(files), Kernels: len(low.Prog.Kernels), MACs: low.Prog.MACs(), Vectors: len(vs)}
		for _, f := range files {
			r.Bytes += len(f.Data)
		}
		if low.Tail != nil {
			var ops []string
			for _, n := range low.Tail.Nodes {
				ops = append(ops, n.Op.OpName())
			}
			r.Host = strings.Join(ops, ", ")
		}
		if c.Bool("csim") {
			if r.CSim, err = csim(c.String("o")); err != nil {
				return err
			}
		}
		return report(c, r, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %d files, %d bytes, %d kernels, %d MACs, %d test vectors\n", r.Output, r.Files, r.Bytes, r.Kernels, r.MACs, r.Vectors)
			if r.Host != "" {
				fmt.Fprintf(w, "  left for the host, in float: %s\n", r.Host)
			}
			if r.CSim != "" {
				fmt.Fprintf(w, "  csim: %s\n", r.CSim)
			}
		})
	},
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
	return sampleInputs(p, d.Head(n), pre)
}

func sampleInputs(p *hw.Program, d *data.Dataset, pre data.Preprocess) ([][][]int64, error) {
	var r [][][]int64
	for i := range d.Len() {
		x := make([]int64, p.Inputs[0].Len())
		if err := p.Inputs[0].Port.Quantize(x, sample(d, pre, i)); err != nil {
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

// vectors runs the simulator on the inputs.
func vectors(p *hw.Program, in [][][]int64) ([]hls.Vector, error) {
	m, err := sim.New(p)
	if err != nil {
		return nil, err
	}
	s := m.NewState()
	var r []hls.Vector
	for _, x := range in {
		y, err := s.Run(x)
		if err != nil {
			return nil, err
		}
		v := hls.Vector{In: x}
		for _, o := range y {
			v.Out = append(v.Out, append([]int64(nil), o...))
		}
		r = append(r, v)
	}
	return r, nil
}

// compiler is the C compiler to use: $CC, or cc, gcc, clang, whichever is there first; "" if none.
func compiler() string {
	for _, cc := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if cc != "" {
			if path, err := exec.LookPath(cc); err == nil {
				return path
			}
		}
	}
	return ""
}

// csim builds the testbench in a folder of its own and returns its verdict; a wrong bit is an error.
func csim(dir string) (string, error) {
	cc := compiler()
	if cc == "" {
		return "", fmt.Errorf("no C compiler found for csim (CC, cc, gcc, clang)")
	}
	tmp, err := os.MkdirTemp("", "quern-csim-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	src, err := filepath.Glob(filepath.Join(dir, "*.c"))
	if err != nil {
		return "", err
	}
	exe := filepath.Join(tmp, "tb")
	args := append([]string{"-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wno-unknown-pragmas", "-o", exe}, src...)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cc, err, out)
	}
	out, err := exec.Command(exe).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("csim: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
