package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"quern/backends/interp"
	"quern/frontend/data"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/quant"
)

// layerSamples is the number of calibration samples that the report by layers looks at.
const layerSamples = 64

// layerStat says what quantization does to the result of one layer of a network, over some samples: fake quantization against float.
type layerStat struct {
	Layer     string  `json:"layer"`
	Op        string  `json:"op"`
	Value     string  `json:"value"`
	W         int     `json:"w,omitempty"` // bits of the weights; none: 0
	A         int     `json:"a"`           // bits of the result
	SQNR      float64 `json:"sqnr_db"`     // signal to noise of the result, the noise of all layers before included; at most maxSQNR
	Weights   float64 `json:"weight_sqnr_db,omitempty"`
	Noise     float64 `json:"noise_added"`       // noise over signal of the result, less the greatest one of the inputs; not negative
	Saturated float64 `json:"saturated_percent"` // results that float has beyond the range of the type, by half a step or more
	Channels  int     `json:"channels"`
	Dead      int     `json:"dead_channels"`       // channels of the result that are the same number everywhere
	DeadFloat int     `json:"dead_channels_float"` // those of float
}

// maxSQNR stands for "no noise" in dB.
const maxSQNR = 200

// watch gathers what layerStat needs about one value. Sums are over samples in order, so that they do not depend on the machine.
type watch struct {
	signal, noise    float64
	n, saturated     int
	lo, hi, loF, hiF []float32 // by channel, quantized and float
}

// layerStats runs the float model and the quantized one over samples.
func layerStats(ctx context.Context, float, quantized *ir.Graph, d *data.Dataset, p data.Preprocess) ([]layerStat, error) {
	f, err := interp.New(float)
	if err != nil {
		return nil, err
	}
	q, err := interp.New(quantized)
	if err != nil {
		return nil, err
	}
	shape, err := batchShape(float.Inputs[0])
	if err != nil {
		return nil, err
	}
	var watched []*ir.Value
	for _, v := range quantized.Values() {
		if v.Const == nil && v.Def != nil && v.Type.IsQuant() && v.Type.Quant.PerTensor() {
			watched = append(watched, v)
		}
	}
	all := make([]map[string]*watch, d.Len())
	r := data.NewReader(d, p)
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(runtime.GOMAXPROCS(0))
	for i := range d.Len() {
		eg.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			in := []*tensor.T{tensor.Floats(shape, r.Sample(i)...)}
			want := map[string]*tensor.T{}
			if _, err := f.Run(in, func(v *ir.Value, t *tensor.T) { want[v.Name] = t }); err != nil {
				return err
			}
			seen := map[string]*watch{}
			_, err := q.Run(in, func(v *ir.Value, t *tensor.T) {
				ref := want[v.Name]
				if ref == nil && v.Def != nil && len(v.Def.In) > 0 && v.Def.In[0].Def == nil {
					ref = want[v.Def.In[0].Name] // the quantized input of the graph
				}
				if ref != nil && v.Def != nil && v.Type.IsQuant() && v.Type.Quant.PerTensor() && len(ref.F) == len(t.F) {
					seen[v.Name] = compare(v, t, ref)
				}
			})
			all[i] = seen
			return err
		})
	}
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	total := map[string]*watch{}
	for _, v := range watched {
		for _, seen := range all {
			if w := seen[v.Name]; w != nil {
				total[v.Name] = total[v.Name].add(w)
			}
		}
	}
	return statsOf(float, watched, total), nil
}

// compare looks at one tensor of one sample: fake-quantized t of value v, and ref, which float has in its place.
func compare(v *ir.Value, t, ref *tensor.T) *watch {
	q := v.Type.Quant
	scale, zero := q.At(0)
	lo, hi := (float64(q.Min-zero)-0.5)*scale, (float64(q.Max-zero)+0.5)*scale
	c := 1
	if len(t.Shape) > 1 {
		c = t.Shape[1]
	}
	w := &watch{n: len(t.F), lo: make([]float32, c), hi: make([]float32, c), loF: make([]float32, c), hiF: make([]float32, c)}
	inner := tensor.Numel(t.Shape) / max(c, 1)
	for i, x := range ref.F {
		e := float64(t.F[i]) - float64(x)
		w.signal += float64(x) * float64(x)
		w.noise += e * e
		if float64(x) < lo || float64(x) > hi {
			w.saturated++
		}
		k := i / max(inner, 1) % c
		if i%max(inner, 1) == 0 {
			w.lo[k], w.hi[k], w.loF[k], w.hiF[k] = t.F[i], t.F[i], x, x
		}
		w.lo[k], w.hi[k] = min(w.lo[k], t.F[i]), max(w.hi[k], t.F[i])
		w.loF[k], w.hiF[k] = min(w.loF[k], x), max(w.hiF[k], x)
	}
	return w
}

func (w *watch) add(o *watch) *watch {
	if w == nil {
		return o
	}
	w.signal, w.noise, w.n, w.saturated = w.signal+o.signal, w.noise+o.noise, w.n+o.n, w.saturated+o.saturated
	for k := range w.lo {
		w.lo[k], w.hi[k] = min(w.lo[k], o.lo[k]), max(w.hi[k], o.hi[k])
		w.loF[k], w.hiF[k] = min(w.loF[k], o.loF[k]), max(w.hiF[k], o.hiF[k])
	}
	return w
}

// ratio is noise over signal.
func (w *watch) ratio() float64 {
	if w == nil || w.noise == 0 {
		return 0
	}
	return w.noise / max(w.signal, 1e-30)
}

// rounded is x to n digits after the point.
func rounded(x float64, n int) float64 {
	p := math.Pow10(n)
	return math.Round(x*p) / p
}

func decibels(noise float64) float64 {
	if !(noise > 0) {
		return maxSQNR
	}
	return min(rounded(-10*math.Log10(noise), 2), maxSQNR)
}

// statsOf makes the rows, in graph order, of the values that a layer chose the type of: what only moves data tells nothing new.
func statsOf(float *ir.Graph, watched []*ir.Value, total map[string]*watch) []layerStat {
	weights := map[string]*tensor.T{}
	for _, n := range float.Nodes {
		if op.Of(n.Op).Class == op.MAC && n.In[1].Const != nil {
			weights[quant.LayerName(n)] = n.In[1].Const
		}
	}
	var r []layerStat
	for _, v := range watched {
		w := total[v.Name]
		if w == nil || quant.Moves(v.Def) {
			continue
		}
		before := 0.0
		for _, in := range v.Def.In {
			if in != nil {
				before = max(before, total[in.Name].ratio())
			}
		}
		s := layerStat{Layer: quant.LayerName(v.Def), Op: v.Def.Op.OpName(), Value: v.Name, A: int(v.Type.Elem.Bits), SQNR: decibels(w.ratio()),
			Noise: rounded(max(0, w.ratio()-before), 6), Saturated: rounded(100*float64(w.saturated)/float64(max(w.n, 1)), 4), Channels: len(w.lo)}
		for k := range w.lo {
			if w.lo[k] == w.hi[k] {
				s.Dead++
			}
			if w.loF[k] == w.hiF[k] {
				s.DeadFloat++
			}
		}
		if op.Of(v.Def.Op).Class == op.MAC && v.Def.In[1].Type.IsQuant() {
			t := v.Def.In[1].Type
			s.W = int(t.Elem.Bits)
			if from := weights[s.Layer]; from != nil && v.Def.In[1].Const != nil {
				s.Weights = decibels(noiseOf(t.Quant.Reals(v.Def.In[1].Const).F, from.F))
			}
		}
		r = append(r, s)
	}
	return r
}

// noiseOf is the noise of x over the signal of want; 0 where the two do not have the same elements.
func noiseOf(x, want []float32) float64 {
	if len(x) != len(want) {
		return 0
	}
	w := watch{}
	for i, v := range want {
		e := float64(x[i]) - float64(v)
		w.signal += float64(v) * float64(v)
		w.noise += e * e
	}
	return w.ratio()
}

// hurting are the layers that add most noise, the worst first, at most n.
func hurting(layers []layerStat, n int) []string {
	s := slices.Clone(layers)
	slices.SortStableFunc(s, func(a, b layerStat) int { return cmp.Compare(b.Noise, a.Noise) })
	r := []string{}
	for _, l := range s {
		if l.Noise > 0 && len(r) < n {
			r = append(r, l.Layer)
		}
	}
	return r
}

// printLayers writes the report by layers as text.
func printLayers(w io.Writer, layers []layerStat) {
	fmt.Fprintf(w, "  %-28s %-18s %3s %3s %9s %9s %10s %10s %s\n", "layer", "operator", "W", "A", "SQNR dB", "weights", "noise", "saturated", "dead channels (in float)")
	for _, l := range layers {
		weights, bits := "", ""
		if l.W > 0 {
			weights, bits = fmt.Sprintf("%.1f", l.Weights), fmt.Sprint(l.W)
		}
		fmt.Fprintf(w, "  %-28s %-18s %3s %3d %9.1f %9s %9.3f%% %9.3f%% %d of %d (%d)\n", l.Layer, l.Op, bits, l.A, l.SQNR, weights, 100*l.Noise, l.Saturated, l.Dead, l.Channels, l.DeadFloat)
	}
	if h := hurting(layers, 3); len(h) > 0 {
		fmt.Fprintf(w, "  layers that hurt most: %s\n", strings.Join(h, ", "))
	}
}
