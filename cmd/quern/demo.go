package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"quern/backends/hls"
	"quern/frontend/data"
	"quern/frontend/onnx"
	"quern/passes/calib"
	"quern/passes/lower"
	"quern/passes/quant"
	"quern/testdata"
)

// demoRow is one width in the demo's table.
type demoRow struct {
	Bits      int     `json:"bits"`
	Top1      float64 `json:"top1"`
	Agree     float64 `json:"agreement_with_float"` // percent of images with the same class
	RoundTrip bool    `json:"same_program_after_export_and_import"`
	HLS       string  `json:"hls"`
	CSim      string  `json:"csim"`
}

var demoCommand = &cli.Command{
	Name: "demo", Usage: "the whole road on an embedded LeNet and MNIST images: calibrate, quantize, simulate, emit and check C",
	Flags: []cli.Flag{&cli.StringFlag{Name: "o", Value: "quern-demo", Usage: "folder for the HLS projects and models"}, jsonFlag},
	Action: func(c *cli.Context) error {
		if c.NArg() != 0 {
			return usagef("demo takes no arguments")
		}
		tmp, err := os.MkdirTemp("", "quern-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		if err := unpack(tmp); err != nil {
			return err
		}
		return demo(c, tmp, c.String("o"))
	},
}

// unpack writes the embedded files to a folder, since the readers take paths.
func unpack(dir string) error {
	return fs.WalkDir(testdata.Demo, ".", func(path string, d fs.DirEntry, err error) error {
		to := filepath.Join(dir, path)
		if err != nil || d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := testdata.Demo.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
}

func demo(c *cli.Context, dir, out string) error {
	w := c.App.Writer
	if c.Bool("json") {
		w = io.Discard
	}
	model := filepath.Join(dir, "models", "lenet_mnist_e10.onnx")
	g, err := prepared(model, nil)
	if err != nil {
		return err
	}
	p, err := preprocessing(c, g)
	if err != nil {
		return err
	}
	test, err := dataset(filepath.Join(dir, "data", "mnist", "t10k-images-idx3-ubyte.gz"), g, p)
	if err != nil {
		return err
	}
	calibration, err := dataset(filepath.Join(dir, "data", "mnist", "train-images-idx3-ubyte.gz"), g, p)
	if err != nil {
		return err
	}
	fb, err := openBackend(g, "interp")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "LeNet for MNIST: %d nodes after the passes; calibrating on %d images, testing on %d\n", len(g.Nodes), calibration.Len(), test.Len())
	fa, err := evaluate(c.Context, fb, test, p, bar(c.App.ErrWriter, "float"))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "  float   top-1 %6.2f %%\n", fa.Top1)
	stats, err := calibrate(c.Context, g, calibration, p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	var rows []demoRow
	for _, bits := range []int{4, 8, 16} {
		row, err := demoWidth(c, model, stats, bits, out, test, p, fa)
		if err != nil {
			return fmt.Errorf("int-%d: %w", bits, err)
		}
		rows = append(rows, *row)
		fmt.Fprintf(w, "  int-%-2d  top-1 %6.2f %%   same class as float on %6.2f %%   %s   csim: %s\n", bits, row.Top1, row.Agree, row.HLS, row.CSim)
	}
	fmt.Fprintf(w, "csim compiles the emitted C and compares every output bit with the simulator's.\n")
	return report(c, struct {
		Float float64   `json:"float_top1"`
		Rows  []demoRow `json:"rows"`
	}{fa.Top1, rows}, func(io.Writer) {})
}

// demoWidth quantizes the model to one width, sends it through a file and back, and compiles it.
func demoWidth(c *cli.Context, model string, stats *calib.Result, bits int, out string, test *data.Dataset, p data.Preprocess, fa *accuracy) (*demoRow, error) {
	g, err := prepared(model, nil)
	if err != nil {
		return nil, err
	}
	if err := quantize(g, stats, quant.Config{Bits: quant.Bits{W: bits, A: bits}}, nil); err != nil {
		return nil, err
	}
	setMeta(g, p)
	before, err := lower.Lower(g, lower.Options{})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(out, fmt.Sprintf("lenet_int%d.onnx", bits))
	if err := onnx.Export(file, g, ""); err != nil {
		return nil, err
	}
	if g, err = prepared(file, nil); err != nil {
		return nil, err
	}
	after, err := lower.Lower(g, lower.Options{})
	if err != nil {
		return nil, err
	}
	row := &demoRow{Bits: bits, HLS: filepath.Join(out, fmt.Sprintf("lenet_int%d", bits)), RoundTrip: before.Prog.String() == after.Prog.String(), CSim: "no C compiler found"}
	if !row.RoundTrip {
		return nil, fmt.Errorf("the program changed on its way through %s", file)
	}
	b, err := openBackend(g, "sim")
	if err != nil {
		return nil, err
	}
	a, err := evaluate(c.Context, b, test, p, bar(c.App.ErrWriter, fmt.Sprintf("int-%d", bits)))
	if err != nil {
		return nil, err
	}
	same := 0
	for i, k := range a.classes {
		if k == fa.classes[i] {
			same++
		}
	}
	row.Top1, row.Agree = a.Top1, 100*float64(same)/float64(a.Images)
	in, err := sampleInputs(after.Prog, test.Head(8), p)
	if err != nil {
		return nil, err
	}
	vs, err := vectors(after.Prog, in)
	if err != nil {
		return nil, err
	}
	files, err := hls.Emit(after.Prog, hls.Options{Top: fmt.Sprintf("lenet_int%d", bits), Vectors: vs, Model: filepath.Base(file), Version: version})
	if err != nil {
		return nil, err
	}
	if err := hls.WriteDir(row.HLS, files); err != nil {
		return nil, err
	}
	if compiler("CC", compilers...) != "" {
		row.CSim, err = csim(row.HLS, false)
	}
	return row, err
}
