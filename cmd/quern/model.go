package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/backends/interp"
	"quern/backends/sim"
	"quern/frontend/data"
	"quern/frontend/onnx"
	"quern/frontend/onnxgo"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtext"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
	"quern/passes/quant"
)

// readModel imports an ONNX file, or parses textual IR (.ir).
func readModel(path string) (*ir.Graph, error) {
	if filepath.Ext(path) == ".ir" {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return irtext.Parse(filepath.Base(path), src)
	}
	return onnx.Import(path, onnx.Options{})
}

var readerFlag = &cli.StringFlag{Name: "reader", Value: "quern", Usage: "what decodes an ONNX file: quern, or onnx-go to compare with"}

var dimFlag = &cli.StringSliceFlag{Name: "dim", Usage: "NAME=SIZE: the size of a dimension that an ONNX file leaves open; once for each"}

// readModelWith reads a model as --reader and --dim say.
func readModelWith(c *cli.Context, path string) (*ir.Graph, error) {
	o := onnx.Options{Dims: map[string]int{}}
	for _, s := range c.StringSlice("dim") {
		name, size, _ := strings.Cut(s, "=")
		n, err := strconv.Atoi(size)
		if _, twice := o.Dims[name]; err != nil || n < 1 || name == "" || twice {
			return nil, usagef("--dim %q: want NAME=SIZE, each name once, SIZE 1 or more", s)
		}
		o.Dims[name] = n
	}
	switch r := c.String("reader"); {
	case r != "quern" && r != "onnx-go":
		return nil, usagef("--reader %q: want quern or onnx-go", r)
	case filepath.Ext(path) == ".ir" && (r != "quern" || len(o.Dims) > 0):
		return nil, usagef("%s: --reader and --dim are for ONNX files", path)
	case filepath.Ext(path) == ".ir":
		return readModel(path)
	case r == "onnx-go":
		return onnxgo.Import(path, o)
	}
	return onnx.Import(path, o)
}

// preparedWith is prepared for a model as --reader and --dim say.
func preparedWith(c *cli.Context, path string) (*ir.Graph, error) {
	g, err := readModelWith(c, path)
	if err != nil {
		return nil, err
	}
	return g, passes.Run(g, nil)
}

// isQuantized reports whether a prepared graph has quantized values.
func isQuantized(g *ir.Graph) bool {
	return slices.ContainsFunc(g.Values(), func(v *ir.Value) bool { return v.Type.IsQuant() && v.Const == nil })
}

// prepared is a model after the passes.
func prepared(path string, c *passes.Config) (*ir.Graph, error) {
	g, err := readModel(path)
	if err != nil {
		return nil, err
	}
	if err := passes.Run(g, c); err != nil {
		return nil, err
	}
	return g, nil
}

// runner computes a model's outputs for one sample: one float slice for each input, in the model's layout without the batch axis.
// A runner is used by one goroutine at a time, and what it returns is good until its next run.
type runner func(in [][]float32) ([]*tensor.T, error)

// sampler is a runner for sample i of a data set.
type sampler func(i int) ([]*tensor.T, error)

// backend makes runners.
type backend struct {
	name    string
	outputs []*ir.Value
	new     func() runner
	bytes   func(b *data.Bytes) func() sampler // samplers that take bytes as they are stored; nil, as may be its result, if there are none
	layers  []layer
	timed   func(after func(layer int)) runner // a runner that says when it begins (-1) and when it is through with a layer
}

// layer is a node that the interpreter or a kernel that the simulator runs.
type layer struct {
	name, kind string
	macs       int
	bits       int // of multiplications, as the peaks of bench count them: 32 for float32, 8 or 16 if elements and weights fit so many, else 0
}

// openBackend prepares a backend for a prepared graph. name "" means sim for a quantized model and interp for a float one.
func openBackend(g *ir.Graph, name string) (*backend, error) {
	if name == "" {
		name = "interp"
		if isQuantized(g) {
			name = "sim"
		}
	}
	switch name {
	case "interp":
		return interpBackend(g)
	case "sim":
		if !isQuantized(g) {
			return nil, fmt.Errorf("%s: the simulator needs a quantized model, and this one is float: run quern quantize first", g.Name)
		}
		return simBackend(g)
	}
	return nil, usagef("backend %q: want interp or sim", name)
}

// batchShape is an input's shape with the batch axis set to 1.
func batchShape(v *ir.Value) ([]int, error) {
	s := slices.Clone(v.Type.Shape)
	for i, d := range s {
		if ir.IsSymbol(d) && i == 0 {
			s[i] = 1
		} else if ir.IsSymbol(d) {
			return nil, fmt.Errorf("input %q: dimension %d (%s) is open, want a number", v.Name, i, ir.DimString(d))
		}
	}
	return s, nil
}

// over makes samplers for a data set.
func (b *backend) over(r *data.Reader) func() sampler {
	if x := r.Bytes(); x != nil && b.bytes != nil {
		if s := b.bytes(x); s != nil {
			return s
		}
	}
	return func() sampler {
		run, x := b.new(), make([]float32, r.Size())
		in := [][]float32{x}
		return func(i int) ([]*tensor.T, error) {
			r.Read(x, i)
			return run(in)
		}
	}
}

func interpBackend(g *ir.Graph) (*backend, error) {
	m, err := interp.New(g)
	if err != nil {
		return nil, err
	}
	var shapes [][]int
	for _, v := range g.Inputs {
		s, err := batchShape(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", g.Name, err)
		}
		shapes = append(shapes, s)
	}
	runs := func(run func(in []*tensor.T) ([]*tensor.T, error)) runner {
		x := make([]*tensor.T, len(shapes))
		for i, s := range shapes {
			x[i] = &tensor.T{Elem: tensor.F32, Shape: s}
		}
		return func(in [][]float32) ([]*tensor.T, error) {
			for i := range x {
				x[i].F = in[i]
			}
			return run(x)
		}
	}
	b := &backend{name: "interp", outputs: g.Outputs, new: func() runner { return runs(m.NewState().Run) }}
	at := map[*ir.Value]int{}
	for _, v := range g.Inputs {
		at[v] = -1
	}
	for i, n := range g.Nodes {
		l := layer{name: quant.LayerName(n), kind: n.Op.OpName(), macs: macs(n)}
		if l.macs > 0 {
			l.bits = 32
		}
		b.layers = append(b.layers, l)
		for _, v := range n.Out {
			at[v] = i
		}
	}
	b.timed = func(after func(int)) runner {
		return runs(func(in []*tensor.T) ([]*tensor.T, error) {
			return m.Run(in, func(v *ir.Value, _ *tensor.T) { after(at[v]) })
		})
	}
	return b, nil
}

func simBackend(g *ir.Graph) (*backend, error) {
	low, err := lower.Lower(g, lower.Options{})
	if err != nil {
		return nil, err
	}
	m, err := sim.New(low.Prog)
	if err != nil {
		return nil, err
	}
	// The program's inputs are in the order of their first use; those of the model may be in another.
	at := make([]int, len(low.Prog.Inputs))
	for i, b := range low.Prog.Inputs {
		at[i] = slices.IndexFunc(g.Inputs, func(v *ir.Value) bool { return v.Name == b.Port.Name })
	}
	var tail *interp.Interp
	if low.Tail != nil {
		if tail, err = interp.New(low.Tail); err != nil {
			return nil, err
		}
	}
	shapes := make([][]int, len(low.Prog.Outputs))
	places := make([]bool, len(low.Prog.Outputs)) // integers that stand for themselves: of an ArgMax or TopK
	for i, b := range low.Prog.Outputs {
		for _, v := range g.Values() {
			if v.Name == b.Port.Name {
				if shapes[i], err = batchShape(v); err != nil {
					return nil, err
				}
				places[i] = v.Type.Elem == tensor.I64 && !v.Type.IsQuant()
			}
		}
	}
	order := outputOrder(g, low)
	b := &backend{name: "sim", outputs: g.Outputs}
	// results makes the model's outputs of the program's, in memory that the runs of one state share.
	results := func() func(y [][]float32) ([]*tensor.T, error) {
		var rest *interp.State
		if tail != nil {
			rest = tail.NewState()
		}
		out := make([]*tensor.T, len(shapes))
		for i, s := range shapes {
			out[i] = &tensor.T{Elem: tensor.F32, Shape: s}
			if places[i] {
				out[i] = tensor.New(tensor.I64, s...)
			}
		}
		ordered := make([]*tensor.T, len(order))
		for i, j := range order {
			if j >= 0 { // else the tail computes it
				ordered[i] = out[j]
			}
		}
		return func(y [][]float32) ([]*tensor.T, error) {
			for i, t := range out {
				if !places[i] {
					t.F = y[i]
					continue
				}
				for j, f := range y[i] {
					t.I[j] = int64(f)
				}
			}
			if rest != nil {
				return rest.Run(out)
			}
			return ordered, nil
		}
	}
	runs := func(s *sim.State) runner {
		x, finish := make([][]float32, len(at)), results()
		return func(in [][]float32) ([]*tensor.T, error) {
			for i, j := range at {
				x[i] = in[j]
			}
			y, err := s.RunFloat(x)
			if err != nil {
				return nil, err
			}
			return finish(y)
		}
	}
	b.new = func() runner { return runs(m.NewState()) }
	b.bytes = func(x *data.Bytes) func() sampler {
		px := m.NewPixels(x.Tables, x.Planes, x.Interleaved)
		if px == nil {
			return nil
		}
		return func() sampler {
			s, finish := m.NewState(), results()
			return func(i int) ([]*tensor.T, error) {
				y, err := s.RunPixels(px, x.Sample(i))
				if err != nil {
					return nil, err
				}
				return finish(y)
			}
		}
	}
	number := map[*hw.Kernel]int{}
	for i, k := range low.Prog.Kernels {
		number[k] = i
		b.layers = append(b.layers, kernelLayer(k))
	}
	b.timed = func(after func(int)) runner {
		s := m.NewState()
		s.Before, s.After = func() { after(-1) }, func(k *hw.Kernel) { after(number[k]) }
		return runs(s)
	}
	return b, nil
}

func kernelLayer(k *hw.Kernel) layer {
	l := layer{name: k.Name, kind: k.Kind.String()}
	if k.Dot == nil {
		return l
	}
	l.macs = k.Dot.MACs()
	x, w := k.In[0].Range, k.Dot.WeightRange()
	for _, bits := range []int{16, 8} {
		if n := int64(1) << (bits - 1); x.Hi-x.Lo < 2*n && w.Lo >= -n && w.Hi < n {
			l.bits = bits
		}
	}
	return l
}

// outputOrder finds the program's output for each output of the model.
func outputOrder(g *ir.Graph, low *lower.Lowered) []int {
	var r []int
	for _, v := range g.Outputs {
		r = append(r, slices.IndexFunc(low.Prog.Outputs, func(b *hw.Buffer) bool { return b.Port.Name == v.Name }))
	}
	return r
}

// preprocessFlags are shared by the commands that read data.
var preprocessFlags = []cli.Flag{
	&cli.Float64Flag{Name: "scale", Usage: "input = (pixel/SCALE - mean)/std; 1 keeps raw pixels", DefaultText: "the model's metadata, or 255"},
	&cli.StringFlag{Name: "mean", Usage: "one number, or one for each channel: 0.49,0.48,0.45"},
	&cli.StringFlag{Name: "std", Usage: "as --mean"},
	&cli.StringFlag{Name: "layout", Usage: "nchw or nhwc: how the model wants images", DefaultText: "nchw"},
}

// preprocessing is what the flags say, over the model's metadata, over the defaults.
func preprocessing(c *cli.Context, g *ir.Graph) (data.Preprocess, error) {
	p, _, err := data.ParsePreprocess(g.MetaValue)
	if err != nil {
		return p, fmt.Errorf("%s: metadata: %w", g.Name, err)
	}
	if c.IsSet("scale") {
		if p.Scale = c.Float64("scale"); !(p.Scale > 0) {
			return p, usagef("--scale %v: want a positive number", p.Scale)
		}
	}
	for _, f := range []struct {
		name string
		to   *[]float64
	}{{"mean", &p.Mean}, {"std", &p.Std}} {
		if !c.IsSet(f.name) {
			continue
		}
		*f.to = nil
		for _, s := range strings.Split(c.String(f.name), ",") {
			x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
			if err != nil {
				return p, usagef("--%s: %q is not a number", f.name, s)
			}
			*f.to = append(*f.to, x)
		}
	}
	if c.IsSet("layout") {
		if p.Layout = c.String("layout"); p.Layout != "nchw" && p.Layout != "nhwc" {
			return p, usagef("--layout %q: want nchw or nhwc", p.Layout)
		}
	}
	return p, nil
}

// dataset opens data for a model with one input and checks that samples fit it.
func dataset(path string, g *ir.Graph, p data.Preprocess) (*data.Dataset, error) {
	d, err := data.Open(path, data.Options{})
	if err != nil {
		return nil, err
	}
	if len(g.Inputs) != 1 {
		return nil, fmt.Errorf("%s has %d inputs: data sets feed models with one", g.Name, len(g.Inputs))
	}
	s, err := batchShape(g.Inputs[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	if s[0] != 1 && len(s) > 1 {
		return nil, fmt.Errorf("%s: input %q has a fixed batch of %d, want 1 or an open one", g.Name, g.Inputs[0].Name, s[0])
	}
	if tensor.Numel(d.Shape) != tensor.Numel(s) {
		return nil, fmt.Errorf("%s: samples are %v, but input %q of %s wants %v", d.Name, d.Shape, g.Inputs[0].Name, g.Name, g.Inputs[0].Type)
	}
	channels := 1
	if len(d.Shape) > 0 {
		channels = d.Shape[0]
	}
	if err := p.Check(channels); err != nil {
		return nil, fmt.Errorf("%s: preprocessing: %w", d.Name, err)
	}
	return d, nil
}

// openData is dataset with the preprocessing that flags and model say.
func openData(c *cli.Context, path string, g *ir.Graph) (*data.Dataset, data.Preprocess, error) {
	p, err := preprocessing(c, g)
	if err != nil {
		return nil, p, err
	}
	d, err := dataset(path, g, p)
	return d, p, err
}

// lowered is the program of a prepared model, which must be quantized.
func lowered(path string, g *ir.Graph, o lower.Options) (*lower.Lowered, error) {
	if !isQuantized(g) {
		return nil, fmt.Errorf("%s is a float model: run quern quantize first", path)
	}
	return lower.Lower(g, o)
}

// setMeta keeps the preprocessing in the model.
func setMeta(g *ir.Graph, p data.Preprocess) {
	g.Meta = slices.DeleteFunc(g.Meta, func(kv [2]string) bool { return slices.Contains(data.MetaKeys, kv[0]) })
	g.Meta = append(g.Meta, p.Meta()...)
}
