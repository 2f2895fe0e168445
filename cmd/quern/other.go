package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/frontend/data"
	"quern/frontend/onnx"
	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
)

var optCommand = &cli.Command{
	Name: "opt", Usage: "run passes on a model or textual IR and print the IR", ArgsUsage: "MODEL",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "passes", Usage: "names separated by commas, in the order to run", DefaultText: "all"},
		&cli.StringFlag{Name: "disable", Usage: "names of passes not to run"},
		&cli.StringFlag{Name: "dump", Usage: "folder for the IR after each pass that changed it"},
		&cli.StringFlag{Name: "html", Usage: "one page with the IR after each pass"},
		&cli.BoolFlag{Name: "short", Usage: "print long constants as digests"},
		&cli.BoolFlag{Name: "list", Usage: "list the passes"},
		readerFlag, dimFlag,
	},
	Action: func(c *cli.Context) error {
		if c.Bool("list") {
			for _, p := range passes.List {
				fmt.Fprintf(c.App.Writer, "%-10s %s\n           %s\n", p.Name, p.Doc, p.Why)
			}
			return nil
		}
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		g, err := readModelWith(c, path)
		if err != nil {
			return err
		}
		if err := passes.Run(g, &passes.Config{Dump: c.String("dump"), HTML: c.String("html"), Disable: names(c.String("disable"))}, names(c.String("passes"))...); err != nil {
			return err
		}
		return irtext.Print(c.App.Writer, g, shortOption(c)...)
	},
}

func names(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

func shortOption(c *cli.Context) []irtext.Option {
	if c.Bool("short") {
		return []irtext.Option{irtext.Short}
	}
	return nil
}

var dumpCommand = &cli.Command{
	Name: "dump", Usage: "print a model as textual IR, or as the hardware program", ArgsUsage: "MODEL",
	Flags: []cli.Flag{
		&cli.BoolFlag{Name: "hw", Usage: "the hardware program of a quantized model"},
		&cli.BoolFlag{Name: "prepared", Usage: "after the passes"},
		&cli.BoolFlag{Name: "short", Usage: "print long constants as digests"},
		readerFlag, dimFlag,
	},
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		g, err := readModelWith(c, path)
		if err != nil {
			return err
		}
		if c.Bool("hw") || c.Bool("prepared") {
			if err := passes.Run(g, nil); err != nil {
				return err
			}
		}
		if !c.Bool("hw") {
			return irtext.Print(c.App.Writer, g, shortOption(c)...)
		}
		low, err := lowered(path, g, lower.Options{})
		if err != nil {
			return err
		}
		_, err = io.WriteString(c.App.Writer, low.Prog.String())
		return err
	},
}

var runCommand = &cli.Command{
	Name: "run", Usage: "compute a model's outputs for given inputs", ArgsUsage: "MODEL",
	Flags: []cli.Flag{
		&cli.StringSliceFlag{Name: "input", Required: true, Usage: "NAME=FILE, FILE a .npy or an ONNX TensorProto .pb; once for each input"},
		&cli.StringFlag{Name: "output", Required: true, Usage: "folder for NAME.npy of each output"},
		&cli.StringFlag{Name: "backend", Usage: "interp or sim", DefaultText: "sim for quantized models"},
		readerFlag, dimFlag, jsonFlag,
	},
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		g, err := preparedWith(c, path)
		if err != nil {
			return err
		}
		in, err := readInputs(g, c.StringSlice("input"))
		if err != nil {
			return err
		}
		b, err := openBackend(g, c.String("backend"))
		if err != nil {
			return err
		}
		out, err := runBatch(b, g, in)
		if err != nil {
			return err
		}
		dir := c.String("output")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		var written []port
		for i, v := range g.Outputs {
			a := &data.Array{Shape: out[i].Shape, F32: out[i].F, I64: out[i].I}
			file := filepath.Join(dir, strings.ReplaceAll(v.Name, "/", "_")+".npy")
			if err := writeFile(file, func(w io.Writer) error { return data.WriteNPY(w, a) }); err != nil {
				return err
			}
			written = append(written, port{file, out[i].String()})
		}
		return report(c, struct {
			Backend string `json:"backend"`
			Outputs []port `json:"outputs"`
		}{b.name, written}, func(w io.Writer) {
			for _, p := range written {
				fmt.Fprintf(w, "%s: %s\n", p.Name, p.Type)
			}
		})
	},
}

// readInputs reads one tensor for each input of the graph.
func readInputs(g *ir.Graph, args []string) ([]*tensor.T, error) {
	in := make([]*tensor.T, len(g.Inputs))
	for _, a := range args {
		name, file, ok := strings.Cut(a, "=")
		if !ok {
			return nil, usagef("--input %q: want NAME=FILE", a)
		}
		v, err := g.Input(name)
		if err != nil {
			return nil, err
		}
		t, err := readTensor(file)
		if err != nil {
			return nil, err
		}
		want := v.Type.Real()
		if want.Elem.IsFloat() && t.I != nil { // pixels are often kept as bytes
			f := tensor.New(tensor.F32, t.Shape...)
			for i, x := range t.I {
				f.F[i] = float32(x)
			}
			t = f
		} else if !want.Elem.IsFloat() {
			t.Elem = want.Elem
		}
		for i, x := range t.F {
			if x != x {
				return nil, fmt.Errorf("%s: element %d is not a number", file, i)
			}
		}
		for i, w := range g.Inputs {
			if w == v {
				in[i] = t
			}
		}
	}
	for i, v := range g.Inputs {
		if in[i] == nil {
			return nil, usagef("no --input for %q (%v)", v.Name, v.Type)
		}
		ok := len(in[i].Shape) == len(v.Type.Shape)
		for a, d := range v.Type.Shape {
			ok = ok && (ir.IsSymbol(d) || d == in[i].Shape[a])
		}
		if !ok {
			return nil, fmt.Errorf("input %q: want %v, got %v", v.Name, v.Type, in[i])
		}
	}
	return in, nil
}

func readTensor(file string) (*tensor.T, error) {
	if filepath.Ext(file) == ".pb" {
		return onnx.ReadTensor(file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := data.ReadNPY(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if a.F32 != nil {
		return tensor.Floats(a.Shape, a.F32...), nil
	}
	return tensor.Ints(tensor.I64, a.Shape, a.I64...), nil
}

// runBatch runs sample after sample along an open batch axis, and the whole tensors at once where the batch is fixed.
func runBatch(b *backend, g *ir.Graph, in []*tensor.T) ([]*tensor.T, error) {
	n := 1
	if d := g.Inputs[0].Type.Shape; len(d) > 0 && ir.IsSymbol(d[0]) {
		n = in[0].Shape[0]
	}
	if n == 0 {
		return nil, fmt.Errorf("input %q has no samples", g.Inputs[0].Name)
	}
	run := b.new()
	out := make([]*tensor.T, len(g.Outputs))
	for s := range n {
		x := make([][]float32, len(in))
		for i, t := range in {
			if t.F == nil {
				return nil, fmt.Errorf("input %q: integer inputs are not supported by run", g.Inputs[i].Name)
			}
			k := t.Len() / n
			x[i] = t.F[s*k : (s+1)*k]
		}
		y, err := run(x)
		if err != nil {
			return nil, err
		}
		for i, t := range y {
			if out[i] == nil {
				out[i] = &tensor.T{Elem: t.Elem, Shape: append([]int(nil), t.Shape...)}
				if n > 1 {
					out[i].Shape[0] = n
				}
			}
			out[i].F = append(out[i].F, t.F...)
			out[i].I = append(out[i].I, t.I...)
		}
	}
	return out, nil
}
