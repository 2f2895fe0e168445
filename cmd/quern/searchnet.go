package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"quern/backends/interp"
	"quern/frontend/data"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/bits"
	"quern/passes/quant"
)

// network is a model as the search sees it: which widths there are to choose, and what each does to the outputs.
type network struct {
	bits.Problem
	recipe  *recipe
	base    *calibrated
	pinned  map[string]quant.Bits // what a config file says of single layers
	in      [][]*tensor.T         // samples
	want    []*tensor.T           // float outputs
	isProbs bool
}

// wide is the width that stands for float while one layer's width is tried: 16 bits leave about 1/65536 of the range as error.
const wide = 16

// newNetwork finds layers and activations. widths are those to choose from; a pinned one has no choice.
func newNetwork(ctx context.Context, r *recipe, base *calibrated, pinned map[string]quant.Bits, ws, as []int) (*network, error) {
	n := &network{recipe: r, base: base, pinned: pinned}
	q, err := r.quantize(ctx, base, quant.Bits{W: wide, A: wide}, map[string]quant.Bits{}, false)
	if err != nil {
		return nil, err
	}
	acts := &actFinder{of: map[*ir.Value]int{}}
	hardware := map[*ir.Value]bool{} // leave the hardware: OutputBits
	for _, v := range q.Outputs {
		hardware[v] = true
	}
	for _, node := range q.Nodes {
		for _, v := range node.In {
			if v != nil && v.Type.IsQuant() && !node.Out[0].Type.IsQuant() {
				hardware[v] = true
			}
		}
	}
	fixed := map[*ir.Value]int{}
	for _, node := range q.Nodes {
		out := node.Out[0]
		if !out.Type.IsQuant() {
			continue
		}
		_, isInput := node.Op.(*op.Quantize)
		switch {
		case isInput, hardware[out]:
			fixed[out] = int(out.Type.Elem.Bits)
		case quant.Moves(node):
			acts.join(node, fixed)
		default:
			acts.add(out, quant.LayerName(node))
		}
	}
	index := acts.number()
	for _, g := range acts.groups() {
		n.Acts = append(n.Acts, bits.Act{Names: g, Widths: choice(as, func(name string) int { return pinned[name].A }, g)})
	}
	for _, node := range q.Nodes {
		if op.Of(node.Op).Class != op.MAC || !node.Out[0].Type.IsQuant() || node.In[1].Const == nil {
			continue
		}
		name := quant.LayerName(node)
		l := bits.Layer{Name: name, Count: node.In[1].Const.Len(), MACs: macs(node), Act: -1, Widths: choice(ws, func(name string) int { return pinned[name].W }, []string{name})}
		if i, ok := acts.of[node.In[0]]; ok {
			l.Act = index[acts.root(i)]
		} else {
			l.In = int(node.In[0].Type.Elem.Bits)
		}
		n.Layers = append(n.Layers, l)
	}
	if len(n.Layers) == 0 {
		return nil, fmt.Errorf("%s has no layer with weights: there is nothing to search", q.Name)
	}
	return n, nil
}

// choice is the list of widths, or the pinned one of the first name that has one.
func choice(widths []int, pinned func(name string) int, names []string) []int {
	for _, name := range names {
		if w := pinned(name); w != 0 {
			return []int{w}
		}
	}
	return widths
}

// actFinder groups activations that must have one width: the inputs of a Concat.
type actFinder struct {
	of     map[*ir.Value]int // value -> activation, through what only moves data
	parent []int
	names  []string
}

func (f *actFinder) add(v *ir.Value, name string) {
	f.of[v] = len(f.parent)
	f.parent, f.names = append(f.parent, len(f.parent)), append(f.names, name)
}

func (f *actFinder) root(i int) int {
	for f.parent[i] != i {
		i = f.parent[i]
	}
	return i
}

// join gives the results of a node that moves data the activation of its inputs, which become one.
func (f *actFinder) join(n *ir.Node, fixed map[*ir.Value]int) {
	first := -1
	for _, v := range n.In {
		i, ok := f.of[v]
		if v == nil || !ok {
			continue
		}
		if i = f.root(i); first < 0 {
			first = i
		}
		f.parent[max(i, first)] = min(i, first)
		first = min(i, first)
	}
	for _, o := range n.Out {
		if first >= 0 {
			f.of[o] = first
		} else {
			fixed[o] = int(o.Type.Elem.Bits)
		}
	}
}

// number gives the roots numbers in order.
func (f *actFinder) number() map[int]int {
	r := map[int]int{}
	for i := range f.parent {
		if f.root(i) == i {
			r[i] = len(r)
		}
	}
	return r
}

func (f *actFinder) groups() [][]string {
	index := f.number()
	r := make([][]string, len(index))
	for i, name := range f.names {
		k := index[f.root(i)]
		r[k] = append(r[k], name)
	}
	return r
}

// observe computes the float outputs of some of the calibration samples.
func (n *network) observe(ctx context.Context, samples []int) error {
	shape, err := batchShape(n.base.float.Inputs[0])
	if err != nil {
		return err
	}
	r := data.NewReader(n.base.samples, n.base.p)
	for _, i := range samples {
		n.in = append(n.in, []*tensor.T{tensor.Floats(shape, r.Sample(i)...)})
	}
	n.isProbs = isSoftmax(n.base.float.Outputs[0])
	n.want, err = n.outputs(ctx, n.base.float)
	return err
}

func (n *network) outputs(ctx context.Context, g *ir.Graph) ([]*tensor.T, error) {
	m, err := interp.New(g)
	if err != nil {
		return nil, err
	}
	r := make([]*tensor.T, len(n.in))
	eg, ctx := errgroup.WithContext(ctx)
	eg.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n.in {
		eg.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			out, err := m.Run(n.in[i], nil)
			if err == nil {
				r[i] = out[0]
			}
			return err
		})
	}
	return r, eg.Wait()
}

// loss is the divergence of the outputs of a choice of widths from float: Kullback-Leibler of the classes' probabilities, the mean over
// samples, by fake quantization.
func (n *network) loss(ctx context.Context, layers map[string]quant.Bits) (float64, error) {
	q, err := n.recipe.quantize(ctx, n.base, quant.Bits{W: wide, A: wide}, layers, false)
	if err != nil {
		return 0, err
	}
	got, err := n.outputs(ctx, q)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for i := range got {
		sum += divergence(n.want[i].F, got[i].F, n.isProbs)
	}
	return sum / float64(len(got)), nil
}

// divergence is the sum of p*log(p/q).
func divergence(p, q []float32, probabilities bool) float64 {
	a, b := logProbabilities(p, probabilities), logProbabilities(q, probabilities)
	sum := 0.0
	for i := range a {
		sum += math.Exp(a[i]) * (a[i] - b[i])
	}
	return max(sum, 0)
}

func logProbabilities(y []float32, probabilities bool) []float64 {
	r := make([]float64, len(y))
	for i := range y {
		r[i] = -crossEntropy(y, i, probabilities)
	}
	return r
}

// sensitivities fills the losses: each width of each layer and activation by itself. A narrower width is taken to lose no less than a
// wider one: where it seems so, the samples say so by chance.
func (n *network) sensitivities(ctx context.Context, progress func(more, of int)) error {
	total := 0
	for i := range n.Layers {
		total += len(n.Layers[i].Widths)
	}
	for i := range n.Acts {
		total += len(n.Acts[i].Widths)
	}
	try := func(widths []int, set func(b int) map[string]quant.Bits) ([]float64, error) {
		r := make([]float64, len(widths))
		for k, b := range slices.Backward(widths) {
			var err error
			if len(widths) > 1 { // without a choice the loss does not matter
				if r[k], err = n.loss(ctx, set(b)); err != nil {
					return nil, err
				}
			}
			if k+1 < len(r) {
				r[k] = max(r[k], r[k+1])
			}
			progress(1, total)
		}
		return r, nil
	}
	var err error
	for i := range n.Layers {
		l := &n.Layers[i]
		if l.Loss, err = try(l.Widths, func(b int) map[string]quant.Bits { return map[string]quant.Bits{l.Name: {W: b}} }); err != nil {
			return err
		}
	}
	for i := range n.Acts {
		a := &n.Acts[i]
		if a.Loss, err = try(a.Widths, func(b int) map[string]quant.Bits {
			m := map[string]quant.Bits{}
			for _, name := range a.Names {
				m[name] = quant.Bits{A: b}
			}
			return m
		}); err != nil {
			return err
		}
	}
	return nil
}

// layers is a choice as quant.Config.Layers takes it.
func (n *network) layers(p *bits.Point) map[string]quant.Bits {
	m := map[string]quant.Bits{}
	for i := range n.Layers {
		m[n.Layers[i].Name] = quant.Bits{W: p.W[i]}
	}
	for i := range n.Acts {
		for _, name := range n.Acts[i].Names {
			b := m[name]
			b.A = p.A[i]
			m[name] = b
		}
	}
	return m
}
