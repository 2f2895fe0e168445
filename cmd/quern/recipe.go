package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/frontend/data"
	"quern/ir"
	"quern/passes/calib"
	"quern/passes/quant"
)

// recipe is how models are quantized, all but the widths of layers.
type recipe struct {
	calib    string // DATA
	limit    int
	config   quant.Config
	observer *calib.Method // nil: by width
	method   string
	stages   quant.Stages
	seed     uint64
}

// recipeFlags are shared by the commands that quantize.
var recipeFlags = []cli.Flag{
	&cli.StringFlag{Name: "calib", Required: true, Usage: "calibration data: as eval's --data"},
	&cli.IntFlag{Name: "calib-limit", Value: 1000, Usage: "samples, spread over the classes; 0 takes all"},
	&cli.IntFlag{Name: "input-bits", Usage: "bits of the input", DefaultText: "max(a, 8)"},
	&cli.IntFlag{Name: "output-bits", Usage: "bits of the output", DefaultText: "max(a, 8)"},
	&cli.StringFlag{Name: "observer", Usage: "activation ranges: minmax, percentile[:P], mse or entropy", DefaultText: "mse up to 8 bits, else minmax"},
	&cli.BoolFlag{Name: "per-tensor", Usage: "one weight scale for each layer"},
	&cli.BoolFlag{Name: "pow2", Usage: "scales are powers of two: shifts only"},
	&cli.BoolFlag{Name: "symmetric", Usage: "zero point 0 for signed activations"},
	&cli.BoolFlag{Name: "whole", Usage: "a closing Softmax, LogSoftmax, ArgMax, ArgMin or TopK goes into hardware, too, not to the host"},
	methodFlag, seedFlag, readerFlag, dimFlag, jsonFlag,
}

// newRecipe reads recipeFlags; bits are the widths to begin with.
func newRecipe(c *cli.Context, bits quant.Bits) (*recipe, error) {
	r := &recipe{calib: c.String("calib"), limit: c.Int("calib-limit"), method: c.String("method"), seed: c.Uint64("seed")}
	var err error
	if r.stages, err = quant.ParseStages(r.method); err != nil {
		return nil, usageError{err}
	}
	r.config = quant.Config{Bits: bits, InputBits: c.Int("input-bits"), OutputBits: c.Int("output-bits"),
		PerTensor: c.Bool("per-tensor"), Pow2: c.Bool("pow2"), Symmetric: c.Bool("symmetric"), Whole: c.Bool("whole")}
	if r.limit < 0 {
		return nil, usagef("--calib-limit %d: want 0 (all) or more", r.limit)
	}
	if c.IsSet("observer") {
		m, err := calib.ParseMethod(c.String("observer"))
		if err != nil {
			return nil, usageError{err}
		}
		r.observer = &m
	}
	if err := r.config.Check(); err != nil {
		return nil, usageError{err}
	}
	return r, nil
}

// String names all options, but for the calibration data.
func (r *recipe) String() string {
	c := &r.config
	s := []string{"method " + r.method}
	if r.seed != 0 {
		s = append(s, fmt.Sprintf("seed %d", r.seed))
	}
	if r.observer != nil {
		s = append(s, "observer "+r.observer.String())
	}
	for _, o := range []struct {
		name string
		n    int
	}{{"input-bits", c.InputBits}, {"output-bits", c.OutputBits}} {
		if o.n != 0 {
			s = append(s, fmt.Sprintf("%s %d", o.name, o.n))
		}
	}
	for _, o := range []struct {
		name string
		on   bool
	}{{"per-tensor", c.PerTensor}, {"pow2", c.Pow2}, {"symmetric", c.Symmetric}, {"whole", c.Whole}} {
		if o.on {
			s = append(s, o.name)
		}
	}
	return strings.Join(s, ", ")
}

// open is a prepared float model with its calibration samples.
func (r *recipe) open(c *cli.Context, g *ir.Graph) (*calibrated, error) {
	d, p, err := openData(c, r.calib, g)
	if err != nil {
		return nil, err
	}
	return r.with(g, d.Spread(r.limit), p), nil
}

func (r *recipe) with(g *ir.Graph, d *data.Dataset, p data.Preprocess) *calibrated {
	m := &calibrated{float: g, equal: g, samples: d, p: p}
	if r.stages.Has("equalize") {
		m.equal = g.Clone()
		quant.Equalize(m.equal)
	}
	return m
}

// calibrated is a float model with its calibration samples; statistics are gathered when they are needed first.
type calibrated struct {
	float   *ir.Graph // as it is
	equal   *ir.Graph // what is quantized: equalized if the method does so
	samples *data.Dataset
	p       data.Preprocess
	stats   *calib.Result
}

// quantize makes a quantized copy of a model. layers, unless nil, replaces the recipe's widths of single layers. Without optimal weights
// are rounded to the nearest, whatever the method.
func (r *recipe) quantize(ctx context.Context, m *calibrated, b quant.Bits, layers map[string]quant.Bits, optimal bool) (*ir.Graph, error) {
	if m.stats == nil {
		var err error
		if m.stats, err = calibrate(ctx, m.equal, m.samples, m.p); err != nil {
			return nil, err
		}
	}
	q, c := m.equal.Clone(), r.config
	c.Bits = b
	if layers != nil {
		c.Layers = layers
	}
	if !optimal {
		return q, quantize(q, m.stats, c, r.observer)
	}
	cal, err := calibration(ctx, q, m.samples, m.p, r.stages, r.seed)
	if err != nil {
		return nil, err
	}
	_, err = optimize(q, m.stats, c, r.observer, cal)
	return q, err
}
