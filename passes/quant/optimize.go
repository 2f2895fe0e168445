package quant

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// Stage is a part of post-training quantization that can be switched. All change constants only.
type Stage struct {
	Name string
	Doc  string // one line: what it does
	Why  string // why it stands where it stands
}

// StageList is the order of the stages.
var StageList = []Stage{
	{"equalize", "channels between two layers are scaled to equal ranges", "first: it changes the values that all others look at"},
	{"target", "weights aim at the float output from inputs as the quantized network has them", "before the rounding it is for"},
	{"scales", "weight scales are searched for the least error of the output", "with the rounding: each candidate is rounded"},
	{"gptq", "what rounding a weight takes from the output, weights not yet rounded make up for", "before descent, which starts from it"},
	{"descent", "integers change one at a time as long as the error of the output falls", "polishes what gptq leaves"},
	{"refit", "the scale that is best for the integers, and descent again", "needs the integers"},
	{"adaround", "for weights of 3 bits and fewer: integers are learned on what comes out of the activation", "starts from the integers there are"},
	{"bias", "each channel's mean is that of the float network", "last: all before it moves the mean"},
}

// Stages says which stages run.
type Stages []string

// Has reports whether a stage runs.
func (s Stages) Has(name string) bool { return slices.Contains(s, name) }

// The methods of quantization.
var methods = []struct {
	name   string
	stages Stages
}{
	{"nearest", Stages{}},
	{"fast", Stages{"bias"}}, // two runs over the samples, and ResNet-8 keeps 27 points more at W4A4
	{"best", Stages{"equalize", "target", "scales", "gptq", "descent", "refit", "adaround", "bias"}},
}

// ParseStages reads the name of a method, then names of stages to add (+name) or leave out (-name): best,-equalize.
func ParseStages(s string) (Stages, error) {
	var names []string
	name, rest, more := strings.Cut(s, ",")
	for _, m := range methods {
		names = append(names, m.name)
		if m.name != name {
			continue
		}
		r := slices.Clone(m.stages)
		if !more {
			return r, nil
		}
		for _, t := range strings.Split(rest, ",") {
			var known []string
			for _, k := range StageList {
				known = append(known, k.Name)
			}
			if len(t) < 2 || t[0] != '+' && t[0] != '-' || !slices.Contains(known, t[1:]) {
				return nil, fmt.Errorf("method %q: %q: want + or - and one of %s", s, t, strings.Join(known, ", "))
			}
			r = slices.DeleteFunc(r, func(k string) bool { return k == t[1:] })
			if t[0] == '+' {
				r = append(r, t[1:])
			}
		}
		return r, nil
	}
	return nil, fmt.Errorf("method %q: want %s", s, strings.Join(names, " or "))
}

// Calibration is what the stages know of the data.
type Calibration struct {
	Stages  Stages
	Samples iter.Seq2[[]*tensor.T, error] // one tensor for each graph input; it may be gone through several times
	New     maker                         // makes a graph ready to run
	Seed    uint64                        // of the choice of pixels
	Memory  int                           // bytes for activations between layers; 0 means 1 GiB
}

// Optimize quantizes a prepared float graph, which Equalize may have been through: types as Quantize chooses them, and the constants that the
// stages find. Run passes fuse-act and dce afterwards. The result depends on the data and the seed only, not on the number of cores. left are the
// layers that have a form that the stages do not know: their weights are rounded to the nearest.
func Optimize(g *ir.Graph, c *Config, cal *Calibration) (left []*ir.Node, err error) {
	float := g.Clone()
	from := map[*ir.Node]*ir.Node{}
	for i, n := range g.Nodes {
		from[n] = float.Nodes[i]
	}
	if err := Quantize(g, c); err != nil {
		return nil, err
	}
	if err := FuseAct(g); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc([]string{"scales", "gptq", "descent", "refit", "bias"}, cal.Stages.Has) {
		return nil, nil
	}
	budget := cal.Memory
	if budget == 0 {
		budget = 1 << 30
	}
	samples, err := take(cal.Samples, max(16, budget/(2*footprint(float))))
	if err != nil {
		return nil, err
	}
	if len(samples) == 0 {
		return nil, errors.New("calibration: want at least one sample, got none")
	}
	wf, wq := newWalk(float, cal.New, samples), newWalk(g, cal.New, samples)
	names := g.Names()
	for _, n := range slices.Clone(g.Nodes) {
		f := from[n]
		if f == nil {
			continue // the Quantize of an input
		}
		l := newLayer(n, f)
		if l == nil {
			if op.Of(n.Op).Class == op.MAC && f.In[1].Const != nil && !f.In[1].Type.IsQuant() {
				left = append(left, n)
			}
			continue
		}
		if err := wf.to(f); err != nil {
			return nil, err
		}
		if err := wq.to(n); err != nil {
			return nil, err
		}
		if err := l.optimize(c.For(LayerName(n)), cal, wf, wq, names); err != nil {
			return nil, n.Wrap(err)
		}
	}
	return left, nil
}

// sampled is the number of columns that a layer of k inputs is fitted to: fewer than some multiple of k would fit the sample and not the data.
func sampled(k int) int { return max(8192, 16*k) }

// optimize finds the constants of one layer, all layers before it being final.
func (l *layer) optimize(c *Config, cal *Calibration, wf, wq *walk, names *ir.Names) error {
	samples := len(wf.live)
	out := l.node.Out[0].Type.Shape[2:]
	per := (sampled(l.k) + samples - 1) / samples
	if l.conv != nil {
		per = min(per, tensor.Numel(out))
	}
	on := cal.Stages
	round := slices.ContainsFunc([]string{"scales", "gptq", "descent", "refit"}, on.Has)
	at := func(i int) (xf, xq *tensor.T) { return wf.live[i][l.from.In[0]], wq.live[i][l.node.In[0]] }
	ms, err := l.gather(samples, at, out, per, cal.Seed, round)
	if err != nil {
		return err
	}
	if round && on.Has("bias") { // it repairs the means, so that the weights need not
		for _, m := range ms {
			m.centre()
		}
	}
	w := l.node.In[1]
	r := &rounder{c: c, on: on, top: float64(w.Type.Quant.Max), w0: l.w, rows: l.rows}
	if round {
		for g, m := range ms {
			o, err := newObjective(m, l.w[g*l.rows*l.k:][:l.rows*l.k], on.Has("target"))
			if err != nil {
				return err
			}
			r.objs = append(r.objs, o)
		}
		r.run(w.Type.Quant)
		if on.Has("adaround") && w.Type.Elem.Bits <= adaBits {
			if err := l.reconstruct(r, ms, samples, at, out, on.Has("bias"), cal.Seed); err != nil {
				return err
			}
		}
		l.node.In[1] = r.value(w)
	} else {
		r.scale = w.Type.Quant.Scale
		for _, x := range w.Const.I {
			r.q = append(r.q, float64(x))
		}
	}
	return l.setBias(ms, r, on.Has("bias"), names)
}

// setBias makes the bias anew at the accumulator's scale, which the weights' scale has changed. With correct each channel has the mean of
// the float network.
func (l *layer) setBias(ms []*moments, r *rounder, correct bool, names *ir.Names) error {
	n := l.node
	if l.bias == nil && !correct {
		return nil
	}
	b := tensor.New(tensor.F32, l.groups*l.rows)
	copy(b.F, l.bias)
	if correct {
		for ch := range b.F {
			m := ms[ch/l.rows]
			s := r.scale[min(ch, len(r.scale)-1)]
			b.F[ch] += float32(m.y[ch%l.rows] - s*dot(r.q[ch*l.k:(ch+1)*l.k], m.x))
		}
	}
	name := names.New(n.Out[0].Name + "_bias")
	if len(n.In) > 2 && n.In[2] != nil {
		name = n.In[2].Name
	}
	sx, _ := n.In[0].Type.Quant.At(0)
	v, err := Bias(&ir.Value{Name: name, Type: ir.T(tensor.F32, len(b.F)), Const: b}, n.In[1].Type.Quant, sx, name)
	if err != nil {
		return err
	}
	n.In = append(n.In[:2:2], v)
	return nil
}
