package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/backends/interp"
	"quern/frontend/data"
	"quern/frontend/onnx"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/calib"
	"quern/passes/lower"
	"quern/passes/quant"
)

var quantizeCommand = &cli.Command{
	Name: "quantize", Usage: "calibrate a float model and quantize it to integers", ArgsUsage: "MODEL",
	Flags: append(append([]cli.Flag{
		&cli.IntFlag{Name: "w", Value: 8, Usage: "bits of weights, 2 to 16"},
		&cli.IntFlag{Name: "a", Value: 8, Usage: "bits of activations, 2 to 16"},
		&cli.StringFlag{Name: "o", Required: true, Usage: "the quantized model, ONNX"},
		&cli.StringFlag{Name: "format", Usage: "qdq (QuantizeLinear and DequantizeLinear) or qonnx (Quant nodes)", DefaultText: "qdq if all widths are 4, 8 or 16, else qonnx"},
		configFlag,
	}, recipeFlags...), preprocessFlags...),
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		file, err := openConfig(c)
		if err != nil {
			return err
		}
		r, err := newRecipe(c, quant.Bits{W: c.Int("w"), A: c.Int("a")})
		if err != nil {
			return err
		}
		format, err := onnx.ParseFormat(c.String("format"))
		if err != nil {
			return usageError{err}
		}
		g, err := preparedWith(c, path)
		if err != nil {
			return err
		}
		if isQuantized(g) { // in part: what the model says stays
			if _, err := lower.Lower(g, lower.Options{}); err == nil {
				return fmt.Errorf("%s is quantized already", path)
			}
		}
		if err := file.apply(c.IsSet, g, &r.config, &r.observer); err != nil {
			return err
		}
		d, p, err := openData(c, r.calib, g)
		if err != nil {
			return err
		}
		d = d.Spread(r.limit)
		if r.stages.Has("equalize") {
			quant.Equalize(g)
		}
		stats, err := calibrate(c.Context, g, d, p)
		if err != nil {
			return err
		}
		float := g.Clone()
		cal, err := calibration(c.Context, g, d, p, r.stages, r.seed)
		if err != nil {
			return err
		}
		left, err := optimize(g, stats, r.config, r.observer, cal)
		if err != nil {
			return err
		}
		low, err := lower.Lower(g, lower.Options{}) // what cannot be lowered is found here, not after the file is written
		if err != nil {
			return err
		}
		layers, err := layerStats(c.Context, float, g, d.Head(layerSamples), p)
		if err != nil {
			return err
		}
		setMeta(g, p)
		if format == "" {
			format = onnx.DefaultFormat(g)
		}
		if err := onnx.Export(c.String("o"), g, format); err != nil {
			return err
		}
		info, err := os.Stat(c.String("o"))
		if err != nil {
			return err
		}
		out := struct {
			Output  string `json:"output"`
			Format  string `json:"format"`
			W       int    `json:"w"`
			A       int    `json:"a"`
			Method  string `json:"method"`
			Samples int    `json:"calibration_samples"`
			Kernels int    `json:"kernels"`
			MACs    int    `json:"macs"`
			Bits    int    `json:"weight_bits"`
			Bytes   int64  `json:"file_bytes"`

			Layers  []layerStat `json:"layers"`
			Hurting []string    `json:"layers_that_hurt_most"`
			Nearest []string    `json:"layers_rounded_to_nearest,omitempty"`
		}{c.String("o"), string(format), r.config.W, r.config.A, r.method, stats.Samples, len(low.Prog.Kernels), low.Prog.MACs(), weightBits(g), info.Size(), layers, hurting(layers, 3), layerNames(left)}
		return report(c, out, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s, W%d A%d, calibrated on %d samples; %d kernels, %d MACs, weights of %d bytes packed\n", out.Output, out.Format, out.W, out.A, out.Samples, out.Kernels, out.MACs, (out.Bits+7)/8)
			printLayers(w, layers)
			for _, n := range out.Nearest {
				fmt.Fprintf(w, "  %s: weights are rounded to the nearest; %s knows Conv and Gemm only\n", n, out.Method)
			}
		})
	},
}

var (
	methodFlag = &cli.StringFlag{Name: "method", Value: "fast", Usage: "nearest, fast or best; stages of it are added with ,+STAGE and left out with ,-STAGE: " + stageNames()}
	seedFlag   = &cli.Uint64Flag{Name: "seed", Usage: "of the choice of pixels that the stages look at"}
)

func stageNames() string {
	var s []string
	for _, k := range quant.StageList {
		s = append(s, k.Name)
	}
	return strings.Join(s, ", ")
}

func layerNames(nodes []*ir.Node) []string {
	var s []string
	for _, n := range nodes {
		s = append(s, quant.LayerName(n))
	}
	return s
}

// weightBits is the size of all quantized constants, packed.
func weightBits(g *ir.Graph) int {
	n := 0
	for _, v := range g.Consts() {
		if v.Type.IsQuant() {
			n += v.Const.Len() * int(v.Type.Elem.Bits)
		}
	}
	return n
}

// samples are the samples of a data set for a model with one input.
func samples(ctx context.Context, g *ir.Graph, d *data.Dataset, p data.Preprocess) (iter.Seq2[[]*tensor.T, error], error) {
	shape, err := batchShape(g.Inputs[0])
	if err != nil {
		return nil, err
	}
	r := data.NewReader(d, p)
	return func(yield func([]*tensor.T, error) bool) {
		for i := range r.Len() {
			if !yield([]*tensor.T{tensor.Floats(shape, r.Sample(i)...)}, ctx.Err()) {
				return
			}
		}
	}, nil
}

// calibrate runs the float model over the samples.
func calibrate(ctx context.Context, g *ir.Graph, d *data.Dataset, p data.Preprocess) (*calib.Result, error) {
	m, err := interp.New(g)
	if err != nil {
		return nil, err
	}
	s, err := samples(ctx, g, d, p)
	if err != nil {
		return nil, err
	}
	return calib.Collect(m, g, s, calib.Options{})
}

// calibration is what the stages of quantization need.
func calibration(ctx context.Context, g *ir.Graph, d *data.Dataset, p data.Preprocess, stages quant.Stages, seed uint64) (*quant.Calibration, error) {
	s, err := samples(ctx, g, d, p)
	if err != nil {
		return nil, err
	}
	return &quant.Calibration{Stages: stages, Samples: s, Seed: seed, New: func(g *ir.Graph) (calib.Runner, error) { return interp.New(g) }}, nil
}

// quantize gives a calibrated graph its integer types, weights rounded to the nearest. method nil chooses by width.
func quantize(g *ir.Graph, stats *calib.Result, c quant.Config, method *calib.Method) error {
	_, err := optimize(g, stats, c, method, &quant.Calibration{})
	return err
}

// optimize is quantize with the stages that cal says, but for equalize, which comes before calibration. It returns the layers whose weights are
// rounded to the nearest because the stages have no form for them.
func optimize(g *ir.Graph, stats *calib.Result, c quant.Config, method *calib.Method, cal *quant.Calibration) ([]*ir.Node, error) {
	byName := map[string]*calib.Stats{} // the statistics may be of another copy of the same graph
	for v, s := range stats.All() {
		byName[v.Name] = s
	}
	c.Range = func(v *ir.Value, bits int) (float64, float64, error) {
		s := byName[v.Name]
		if s == nil || s.N == 0 {
			return 0, 0, fmt.Errorf("%%%s was not seen in calibration", v.Name)
		}
		m := calib.Method{Name: "minmax"}
		own, given := c.Observers[quant.Owner(g, v, func(name string) bool { _, ok := c.Observers[name]; return ok })]
		switch {
		case given:
			m = own
		case method != nil:
			m = *method
		case slices.Contains(g.Inputs, v), g.IsOutput(v):
			// pixels fill their range, and clipped logits tie
		case bits <= 8:
			// On LeNet, ConvNet and ResNet-8 no other observer is better, at 4 bits and at 8: a percentile of 99.99 clips what 8 bits
			// have room for. Observers chosen for each value, by the error behind the next layers or of the outputs, do not pay on LeNet
			// and ResNet-8.
			m = calib.Method{Name: "mse"}
		}
		l := calib.Levels{Min: 0, Max: 1<<bits - 1}
		if s.Min < 0 {
			l = calib.Levels{Min: -1 << (bits - 1), Max: 1<<(bits-1) - 1, Affine: !c.Symmetric && !c.For(quant.Owner(g, v, func(name string) bool { _, ok := c.Scalings[name]; return ok })).Pow2}
		}
		r := m.Range(s, l)
		return r.Lo, r.Hi, nil
	}
	left, err := quant.Optimize(g, &c, cal)
	if err != nil {
		return nil, err
	}
	return left, passes.Run(g, nil, "fuse-act", "dce")
}

var infoCommand = &cli.Command{
	Name: "info", Usage: "operators, shapes, parameters, MACs, and what is not supported", ArgsUsage: "MODEL",
	Flags: []cli.Flag{readerFlag, dimFlag, jsonFlag},
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		g, err := readModelWith(c, path)
		if err != nil {
			return err
		}
		return info(c, g)
	},
}

type port struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type opCount struct {
	Op    string `json:"op"`
	Nodes int    `json:"nodes"`
	MACs  int    `json:"macs"`
	Class string `json:"class"`
}

func info(c *cli.Context, g *ir.Graph) error {
	r := struct {
		Name       string    `json:"name"`
		Quantized  bool      `json:"quantized"`
		Inputs     []port    `json:"inputs"`
		Outputs    []port    `json:"outputs"`
		Nodes      int       `json:"nodes"`
		Parameters int       `json:"parameters"`
		MACs       int       `json:"macs"`
		Operators  []opCount `json:"operators"`
		Host       []string  `json:"host_operators"`
	}{Name: g.Name, Nodes: len(g.Nodes), Host: []string{}}
	for _, v := range g.Inputs {
		r.Inputs = append(r.Inputs, port{v.Name, v.Type.String()})
	}
	for _, v := range g.Outputs {
		r.Outputs = append(r.Outputs, port{v.Name, v.Type.String()})
	}
	for _, v := range g.Consts() {
		if v.Const.Elem.IsFloat() || v.Type.IsQuant() {
			r.Parameters += v.Const.Len()
		}
	}
	for _, n := range g.Nodes {
		name := n.Op.OpName()
		if name == "Quantize" {
			r.Quantized = true
		}
		i := slices.IndexFunc(r.Operators, func(o opCount) bool { return o.Op == name })
		if i < 0 {
			i = len(r.Operators)
			r.Operators = append(r.Operators, opCount{Op: name, Class: op.Of(n.Op).Class.String()})
			if op.Of(n.Op).Class == op.None {
				r.Host = append(r.Host, name)
			}
		}
		r.Operators[i].Nodes++
		m := macs(n)
		r.Operators[i].MACs += m
		r.MACs += m
	}
	return report(c, r, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d nodes, %d parameters, %d multiply-accumulates for one sample\n", r.Name, r.Nodes, r.Parameters, r.MACs)
		for _, p := range r.Inputs {
			fmt.Fprintf(w, "  input   %-24s %s\n", p.Name, p.Type)
		}
		for _, p := range r.Outputs {
			fmt.Fprintf(w, "  output  %-24s %s\n", p.Name, p.Type)
		}
		for _, o := range r.Operators {
			fmt.Fprintf(w, "  %4d x  %-24s %-10s %d MACs\n", o.Nodes, o.Op, o.Class, o.MACs)
		}
		for _, h := range r.Host {
			fmt.Fprintf(w, "  %s has no integer form: at the end of the model the host computes it, elsewhere quantization refuses it\n", h)
		}
	})
}

// macs is the number of multiply-accumulates of a node for a batch of one; 0 where a size is open.
func macs(n *ir.Node) int {
	if op.Of(n.Op).Class != op.MAC {
		return 0
	}
	out := 1
	for i, d := range n.Out[0].Type.Shape {
		if ir.IsSymbol(d) && i == 0 {
			d = 1
		}
		out *= d
	}
	w := n.In[1].Type.Shape
	if out < 0 || !n.In[1].Type.Known() || len(w) < 2 {
		return 0
	}
	k := tensor.Numel(w[1:])
	if o, ok := n.Op.(*op.Gemm); ok && !o.TransB {
		k = w[0]
	} else if _, ok := n.Op.(*op.MatMul); ok {
		k = w[len(w)-2]
	}
	return min(out*k, math.MaxInt)
}
