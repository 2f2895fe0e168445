package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"quern/frontend/data"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/tensor"
	"quern/passes/lower"
)

// pixels are the preprocessing of --raw-input: what flags and model say about scale, mean and std, as a function of a pixel.
func pixels(c *cli.Context, g *ir.Graph) (*lower.Pixels, error) {
	if len(g.Inputs) != 1 {
		return nil, fmt.Errorf("%s has %d inputs: --raw-input is for models with one", g.Name, len(g.Inputs))
	}
	pre, err := preprocessing(c, g)
	if err != nil {
		return nil, err
	}
	shape, err := batchShape(g.Inputs[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.Name, err)
	}
	n := max(1, len(pre.Mean), len(pre.Std))
	if err := pre.Check(n); err != nil {
		return nil, fmt.Errorf("%s: preprocessing: %w", g.Name, err)
	}
	size := tensor.Numel(shape)
	if len(shape) == 4 { // batch, channels and two axes, or channels last
		if at := map[string]int{"nchw": 1, "nhwc": 3}[pre.Layout]; n > 1 && shape[at] != n {
			return nil, fmt.Errorf("%s: input %q has %d channels (layout %s), but mean and std have %d values", g.Name, g.Inputs[0].Name, shape[at], pre.Layout, n)
		}
	} else if size%n != 0 {
		return nil, fmt.Errorf("%s: input %q has %d elements, which %d channels do not share", g.Name, g.Inputs[0].Name, size, n)
	}
	p := &lower.Pixels{Channels: n}
	p.Channel = func(off int) int { return off / (size / n) }
	if len(shape) == 4 && pre.Layout == "nhwc" {
		p.Channel = func(off int) int { return off % n }
	}
	p.Real = func(c, pixel int) float32 {
		raw, real := make([]float32, n), make([]float32, n)
		raw[c] = float32(pixel)
		pre.Apply(real, raw, []int{n, 1})
		return real[c]
	}
	return p, nil
}

// pixelInputs are the pixels of samples in the layout of the program's port.
func pixelInputs(p *hw.Program, d *data.Dataset, pre data.Preprocess) ([][][]int64, error) {
	port := p.Inputs[0].Port
	raw := data.NewReader(d, data.Preprocess{Scale: 1, Layout: pre.Layout})
	var r [][][]int64
	for i := range raw.Len() {
		s := raw.Sample(i)
		for j, v := range s {
			if float32(port.Quant.Quantize(float64(v), 0)) != v {
				return nil, fmt.Errorf("%s: sample %d, element %d is %v, want a pixel of 0..255 for --raw-input", d.Name, i, j, v)
			}
		}
		x := make([]int64, p.Inputs[0].Len())
		if err := port.Quantize(x, s); err != nil {
			return nil, err
		}
		r = append(r, [][]int64{x})
	}
	return r, nil
}
