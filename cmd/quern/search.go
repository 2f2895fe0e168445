package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"quern/frontend/data"
	"quern/frontend/onnx"
	"quern/ir"
	"quern/passes/bits"
	"quern/passes/lower"
	"quern/passes/quant"
)

var searchCommand = &cli.Command{
	Name: "search", Usage: "mixed precision: bits for each layer under a budget of accuracy, or of size, bit operations or LUTs", ArgsUsage: "MODEL",
	Flags: append(append([]cli.Flag{
		&cli.StringFlag{Name: "objective", Value: "size", Usage: "what to make small: size (bits of weights), macs (bit operations) or lut (of multipliers)"},
		&cli.Float64Flag{Name: "max-drop", Value: 0.5, Usage: "points of top-1 that may be lost against float on the held-out samples"},
		&cli.StringFlag{Name: "budget", Usage: "instead of --max-drop: the most that the objective may be, a number or N% of that with 8 bits everywhere"},
		&cli.StringFlag{Name: "weights", Usage: "bits of weights to choose from", DefaultText: "2,3,4,5,6,8, or those of --config"},
		&cli.StringFlag{Name: "activations", Usage: "bits of activations to choose from", DefaultText: "3,4,5,6,8, or those of --config"},
		&cli.StringFlag{Name: "data", Usage: "held-out data for verification", DefaultText: "samples of --calib that calibration does not use"},
		&cli.IntFlag{Name: "limit", Value: 1000, Usage: "held-out samples; 0 takes all"},
		&cli.IntFlag{Name: "samples", Value: 64, Usage: "calibration samples for the sensitivity of layers"},
		&cli.IntFlag{Name: "lanes", Value: 512, Usage: "for lut: products of the whole network in one clock cycle"},
		&cli.StringFlag{Name: "o", Required: true, Usage: "the quantized model; the front is written beside it as NAME.front.json, .csv and .html"},
		configFlag,
	}, recipeFlags...), preprocessFlags...),
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		s, err := newSearch(c, path)
		if err != nil {
			return err
		}
		if err := s.run(c.Context, c); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := s.write(c.String("o")); err != nil {
			return err
		}
		return report(c, s.result(), s.print)
	},
}

// search is one run of quern search.
type search struct {
	model     string
	objective string
	maxDrop   float64
	budget    string
	lanes     int
	net       *network
	cost      bits.Cost
	held      *data.Dataset
	samples   int

	front    []bits.Point
	best     bits.Point
	repairs  []string
	float    float64 // top-1 on held-out samples
	top1     float64
	int8     float64 // cost with 8 bits everywhere
	verified map[int]float64
	graph    *ir.Graph
	layers   []layerStat
}

func newSearch(c *cli.Context, path string) (*search, error) {
	s := &search{model: path, objective: c.String("objective"), maxDrop: c.Float64("max-drop"), budget: c.String("budget"), lanes: c.Int("lanes"), samples: c.Int("samples"), verified: map[int]float64{}}
	if s.budget != "" && c.IsSet("max-drop") {
		return nil, usagef("--budget and --max-drop: want one of them")
	}
	if s.maxDrop < 0 || s.lanes < 1 || s.samples < 1 || c.Int("limit") < 0 {
		return nil, usagef("--max-drop and --limit: want 0 or more, --lanes and --samples: want 1 or more")
	}
	if _, err := bits.Objective(s.objective, &bits.Problem{}, 1); err != nil {
		return nil, usageError{err}
	}
	file, err := openConfig(c)
	if err != nil {
		return nil, err
	}
	r, err := newRecipe(c, quant.Bits{W: 8, A: 8})
	if err != nil {
		return nil, err
	}
	ws, as := []int{2, 3, 4, 5, 6, 8}, []int{3, 4, 5, 6, 8}
	for _, l := range []struct {
		flag string
		to   *[]int
	}{{"weights", &ws}, {"activations", &as}} {
		if file != nil && l.flag == "weights" && file.searchW != nil {
			ws = file.searchW
		}
		if file != nil && l.flag == "activations" && file.searchA != nil {
			as = file.searchA
		}
		if !c.IsSet(l.flag) {
			continue
		}
		list, err := parseWidths(c.String(l.flag))
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", l.flag, err)
		}
		*l.to = nil
		for _, b := range list {
			if b.W != b.A {
				return nil, usagef("--%s: want numbers, got a pair", l.flag)
			}
			*l.to = append(*l.to, b.W)
		}
		slices.Sort(*l.to)
	}
	g, err := preparedWith(c, path)
	if err != nil {
		return nil, err
	}
	if isQuantized(g) {
		return nil, fmt.Errorf("%s is quantized already: a search takes float models", path)
	}
	if err := file.apply(c.IsSet, g, &r.config, &r.observer); err != nil {
		return nil, err
	}
	pinned := r.config.Layers
	for _, b := range []*int{&r.config.InputBits, &r.config.OutputBits} {
		if *b == 0 {
			*b = 8
		}
	}
	base, err := s.split(c, r, g)
	if err != nil {
		return nil, err
	}
	if s.net, err = newNetwork(c.Context, r, base, pinned, ws, as); err != nil {
		return nil, err
	}
	s.cost, err = bits.Objective(s.objective, &s.net.Problem, s.lanes)
	return s, err
}

// split divides the data into samples for calibration and held-out ones.
func (s *search) split(c *cli.Context, r *recipe, g *ir.Graph) (*calibrated, error) {
	d, p, err := openData(c, r.calib, g)
	if err != nil {
		return nil, err
	}
	if c.IsSet("data") {
		if s.held, _, err = openData(c, c.String("data"), g); err != nil {
			return nil, err
		}
		s.held = s.held.Head(c.Int("limit"))
		return r.with(g, d.Spread(r.limit), p), nil
	}
	// Spread takes turns among the classes, so the first samples of a larger choice are those of a smaller one.
	want := r.limit + c.Int("limit")
	if r.limit == 0 || c.Int("limit") == 0 || want >= d.Len() {
		return nil, usagef("%s has %d samples, too few for %d of --calib-limit and %d of --limit: give --data, or other limits", d.Name, d.Len(), r.limit, c.Int("limit"))
	}
	d = d.Spread(want)
	index := make([]int, want)
	for i := range index {
		index[i] = i
	}
	s.held = d.Subset(index[r.limit:])
	return r.with(g, d.Subset(index[:r.limit]), p), nil
}

// run finds the widths: sensitivities, the front, the cheapest point that holds the budget on calibration samples, and repair until it
// holds on held-out ones, too.
func (s *search) run(ctx context.Context, c *cli.Context) error {
	n := s.net
	index := rand.New(rand.NewPCG(n.recipe.seed, 0)).Perm(n.base.samples.Len())
	index = index[:min(s.samples, len(index))]
	slices.Sort(index)
	if err := n.observe(ctx, index); err != nil {
		return err
	}
	if err := n.sensitivities(ctx, bar(c.App.ErrWriter, "sensitivity")); err != nil {
		return err
	}
	var err error
	if s.front, err = n.Solve(s.cost); err != nil {
		return err
	}
	w, a := make([]int, len(n.Layers)), make([]int, len(n.Acts))
	for i := range w {
		w[i] = 8
	}
	for i := range a {
		a[i] = 8
	}
	for i := range n.Layers {
		l, in := &n.Layers[i], n.Layers[i].In
		if l.Act >= 0 {
			in = a[l.Act]
		}
		s.int8 += s.cost(l, w[i], in)
	}
	if s.float, err = s.accuracy(ctx, n.base.float, s.held); err != nil {
		return err
	}
	if s.budget != "" {
		err = s.underBudget(ctx)
	} else {
		err = s.underDrop(ctx)
	}
	if err != nil {
		return err
	}
	s.layers, err = layerStats(ctx, n.base.equal, s.graph, n.base.samples.Head(layerSamples), n.base.p)
	if err == nil {
		setMeta(s.graph, n.base.p)
	}
	return err
}

func (s *search) accuracy(ctx context.Context, g *ir.Graph, d *data.Dataset) (float64, error) {
	b, err := openBackend(g, "")
	if err != nil {
		return 0, err
	}
	a, err := evaluate(ctx, b, d, s.net.base.p, func(int, int) {})
	if err != nil {
		return 0, err
	}
	return a.Top1, nil
}

// measure quantizes by a choice of widths, as the method says, and runs the simulator.
func (s *search) measure(ctx context.Context, p *bits.Point, d *data.Dataset) (*ir.Graph, float64, error) {
	g, err := s.net.recipe.quantize(ctx, s.net.base, quant.Bits{W: 8, A: 8}, s.net.layers(p), true)
	if err != nil {
		return nil, 0, err
	}
	top1, err := s.accuracy(ctx, g, d)
	return g, top1, err
}

// underBudget takes the point of least loss.
func (s *search) underBudget(ctx context.Context) error {
	limit, err := strconv.ParseFloat(strings.TrimSuffix(s.budget, "%"), 64)
	if err != nil || limit <= 0 {
		return usagef("--budget %q: want a positive number, or one with %%", s.budget)
	}
	if strings.HasSuffix(s.budget, "%") {
		limit *= s.int8 / 100
	}
	p := bits.Under(s.front, limit)
	if p == nil {
		return fmt.Errorf("--budget: %s is %.6g at least, want %.6g or less: allow fewer bits", s.objective, s.front[0].Cost, limit)
	}
	s.best = *p
	s.graph, s.top1, err = s.measure(ctx, &s.best, s.held)
	return err
}

// underDrop looks by bisection for the cheapest point that holds on the calibration samples, then verifies it on held-out samples and
// repairs it.
func (s *search) underDrop(ctx context.Context) error {
	seen := s.net.base.samples
	float, err := s.accuracy(ctx, s.net.base.float, seen)
	if err != nil {
		return err
	}
	lo, hi := -1, len(s.front)-1 // the last one is the best there is
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		_, top1, err := s.measure(ctx, &s.front[mid], seen)
		if err != nil {
			return err
		}
		s.verified[mid] = top1
		if holds(float, top1, s.maxDrop) {
			hi = mid
		} else {
			lo = mid
		}
	}
	s.best = s.front[hi]
	s.best.W, s.best.A = slices.Clone(s.best.W), slices.Clone(s.best.A)
	for {
		if s.graph, s.top1, err = s.measure(ctx, &s.best, s.held); err != nil {
			return err
		}
		if holds(s.float, s.top1, s.maxDrop) {
			return nil
		}
		done, err := s.repair(ctx)
		if err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("top-1 is %.2f %% with the widest choice and %.2f %% in float on %d held-out samples: --max-drop %v cannot be held; allow more bits", s.top1, s.float, s.held.Len(), s.maxDrop)
		}
	}
}

// holds allows for the rounding of percentages.
func holds(float, top1, drop float64) bool { return top1 >= float-drop-1e-9 }

// repair raises the layer or activation by one width that lowers the measured divergence most for what it costs.
func (s *search) repair(ctx context.Context) (bool, error) {
	n := s.net
	now, err := n.loss(ctx, n.layers(&s.best))
	if err != nil {
		return false, err
	}
	cost, _ := n.Total(s.cost, s.best.W, s.best.A)
	var best *bits.Point
	most, what := 0.0, ""
	try := func(list, widths []int, i int, name string) error {
		k := slices.Index(widths, list[i])
		if k+1 == len(widths) {
			return nil
		}
		list[i] = widths[k+1]
		p := bits.Point{W: slices.Clone(s.best.W), A: slices.Clone(s.best.A)}
		list[i] = widths[k]
		loss, err := n.loss(ctx, n.layers(&p))
		if err != nil {
			return err
		}
		p.Cost, p.Loss = n.Total(s.cost, p.W, p.A)
		// What costs nothing goes first; what does not help is still better than giving up.
		if gain := (now - loss + 1e-9) / max(p.Cost-cost, 1e-9*cost); best == nil || gain > most {
			best, most, what = &p, gain, fmt.Sprintf("%s to %d bits", name, widths[k+1])
		}
		return nil
	}
	for i := range n.Layers {
		if err := try(s.best.W, n.Layers[i].Widths, i, "weights of "+n.Layers[i].Name); err != nil {
			return false, err
		}
	}
	for i := range n.Acts {
		if err := try(s.best.A, n.Acts[i].Widths, i, "result of "+strings.Join(n.Acts[i].Names, ", ")); err != nil {
			return false, err
		}
	}
	if best == nil {
		return false, nil
	}
	s.best = *best
	s.repairs = append(s.repairs, what)
	return true, nil
}

// write exports the model and the front.
func (s *search) write(path string) error {
	if _, err := lower.Lower(s.graph, lower.Options{}); err != nil {
		return err
	}
	files, err := s.frontFiles(strings.TrimSuffix(path, filepath.Ext(path)))
	if err != nil {
		return err
	}
	if err := onnx.Export(path, s.graph, onnx.DefaultFormat(s.graph)); err != nil {
		return err
	}
	for _, f := range files {
		if err := writeFile(f[0], func(w io.Writer) error { _, err := io.WriteString(w, f[1]); return err }); err != nil {
			return err
		}
	}
	return nil
}
