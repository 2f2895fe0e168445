package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"quern/frontend/data"
	"quern/ir"
	"quern/ir/op"
)

// accuracy is what eval reports. Top1 and Top5 are in percent.
type accuracy struct {
	Backend string  `json:"backend"`
	Images  int     `json:"images"`
	Top1    float64 `json:"top1"`
	Top5    float64 `json:"top5"`
	Loss    float64 `json:"loss"` // mean cross entropy, natural logarithm
	Rate    float64 `json:"images_per_second"`

	classes []int // the class chosen for each image
}

var evalCommand = &cli.Command{
	Name: "eval", Usage: "accuracy of a model on labelled data", ArgsUsage: "MODEL",
	Flags: append([]cli.Flag{
		&cli.StringFlag{Name: "data", Required: true, Usage: "CIFAR-10 batches (DIR:test, DIR:train), IDX file, .npz, or a folder of class folders"},
		&cli.IntFlag{Name: "limit", Usage: "only the first N samples"},
		&cli.StringFlag{Name: "backend", Usage: "interp or sim", DefaultText: "sim for quantized models"},
		readerFlag, dimFlag, jsonFlag,
	}, preprocessFlags...),
	Action: func(c *cli.Context) error {
		path, err := modelArg(c)
		if err != nil {
			return err
		}
		if c.Int("limit") < 0 {
			return usagef("--limit %d: want 0 (all) or more", c.Int("limit"))
		}
		g, err := preparedWith(c, path)
		if err != nil {
			return err
		}
		scores(g)
		d, p, err := openData(c, c.String("data"), g)
		if err != nil {
			return err
		}
		b, err := openBackend(g, c.String("backend"))
		if err != nil {
			return err
		}
		a, err := evaluate(c.Context, b, d.Head(c.Int("limit")), p, bar(c.App.ErrWriter, "eval"))
		if err != nil {
			return err
		}
		return report(c, a, func(w io.Writer) {
			fmt.Fprintf(w, "%s: top-1 %.2f %%, top-5 %.2f %%, loss %.4f on %d images (%s, %.0f images/s)\n", g.Name, a.Top1, a.Top5, a.Loss, a.Images, a.Backend, a.Rate)
		})
	},
}

// scores lets a model that ends with the class, an ArgMax of its scores and what only reshapes it, end with the scores: of equal ones the
// first is the class in both cases.
func scores(g *ir.Graph) {
	if len(g.Outputs) != 1 {
		return
	}
	for v := g.Outputs[0]; v.Def != nil; v = v.Def.In[0] {
		switch o := v.Def.Op.(type) {
		case *op.ArgMax:
			if !o.SelectLastIndex {
				g.Outputs[0] = v.Def.In[0]
			}
			return
		case *op.Cast, *op.Squeeze, *op.Reshape, *op.Flatten, *op.Identity, *op.Unsqueeze:
		default:
			return
		}
	}
}

// evaluate runs a model with one output over a data set, images shared out over all cores.
func evaluate(ctx context.Context, b *backend, d *data.Dataset, p data.Preprocess, progress func(more, of int)) (*accuracy, error) {
	if d.Labels == nil {
		return nil, fmt.Errorf("%s has no labels: accuracy cannot be measured", d.Name)
	}
	if len(b.outputs) != 1 {
		return nil, fmt.Errorf("the model has %d outputs, want one with a score for each class", len(b.outputs))
	}
	probabilities := isSoftmax(b.outputs[0])
	n := d.Len()
	a := &accuracy{Backend: b.name, Images: n, classes: make([]int, n)}
	losses, top5 := make([]float64, n), make([]bool, n)
	start := time.Now()
	open := b.over(data.NewReader(d, p))
	samplers := make([]sampler, runtime.GOMAXPROCS(0))
	for w := range samplers {
		samplers[w] = open()
	}
	err := shareOut(ctx, n, samplers, progress, func(run sampler, i int) error {
		out, err := run(i)
		if err != nil {
			return fmt.Errorf("%s: sample %d: %w", d.Name, i, err)
		}
		y, label := out[0].F, d.Labels[i]
		if label >= len(y) {
			return fmt.Errorf("%s: sample %d has label %d, but the model has %d classes", d.Name, i, label, len(y))
		}
		above := 0
		for k, v := range y {
			if v > y[label] || v == y[label] && k < label {
				above++
			}
		}
		top5[i] = above < 5
		a.classes[i] = greatest(y)
		losses[i] = crossEntropy(y, label, probabilities)
		return nil
	})
	if err != nil {
		return nil, err
	}
	hits := 0
	for i, l := range losses {
		a.Loss += l
		if top5[i] {
			hits++
		}
	}
	a.Loss /= float64(n)
	a.Top1 = percentSame(a.classes, d.Labels)
	a.Top5 = 100 * float64(hits) / float64(n)
	a.Rate = float64(n) / time.Since(start).Seconds()
	return a, nil
}

// shareOut calls do for each of n samples, side by side by as many workers as given. They take blocks of neighbouring samples, so that
// they seldom meet, and ever smaller ones, so that none is left with much to do when the others are through.
func shareOut[W any](ctx context.Context, n int, workers []W, progress func(more, of int), do func(w W, i int) error) error {
	const most = 64 // samples between two signs of progress
	var mu sync.Mutex
	next := 0
	take := func() (lo, hi int) {
		mu.Lock()
		defer mu.Unlock()
		lo = next
		next += min(n-next, max(1, min(most, (n-next)/(4*len(workers)))))
		return lo, next
	}
	eg, ctx := errgroup.WithContext(ctx)
	for _, w := range workers {
		eg.Go(func() error {
			for {
				lo, hi := take()
				if lo == hi {
					return nil
				}
				for i := lo; i < hi; i++ {
					if err := ctx.Err(); err != nil {
						return err
					}
					if err := do(w, i); err != nil {
						return err
					}
				}
				progress(hi-lo, n)
			}
		})
	}
	return eg.Wait()
}

// greatest is the index of the greatest number, the first of several.
func greatest(y []float32) (best int) {
	for k, v := range y {
		if v > y[best] {
			best = k
		}
	}
	return best
}

// percentSame is the share of samples with the same class in both, which top-1 is with labels.
func percentSame(a, b []int) float64 {
	same := 0
	for i, k := range a {
		if k == b[i] {
			same++
		}
	}
	return 100 * float64(same) / float64(len(a))
}

func isSoftmax(v *ir.Value) bool {
	if v.Def == nil {
		return false
	}
	_, ok := v.Def.Op.(*op.Softmax)
	return ok
}

// crossEntropy is -log of the probability of the label, from logits or from probabilities.
func crossEntropy(y []float32, label int, probabilities bool) float64 {
	if probabilities {
		return -math.Log(max(float64(y[label]), 1e-12))
	}
	most := float64(y[0])
	for _, v := range y {
		most = max(most, float64(v))
	}
	sum := 0.0
	for _, v := range y {
		sum += math.Exp(float64(v) - most)
	}
	return math.Log(sum) + most - float64(y[label])
}

// bar shows progress on a terminal; elsewhere it does nothing.
func bar(w io.Writer, what string) func(more, of int) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func(int, int) {}
	}
	return progress(w, what)
}

// progress writes a line that it overwrites, ten times a second at most, and clears when all things are done. Calls, which say how many
// more are, come from many goroutines. An own one, as the usual package brings net/http and with it cgo.
func progress(w io.Writer, what string) func(more, of int) {
	var mu sync.Mutex
	var last time.Time
	start, count := time.Now(), 0
	return func(more, of int) {
		mu.Lock()
		defer mu.Unlock()
		count += more
		const width = 30
		switch now := time.Now(); {
		case count >= of:
			fmt.Fprint(w, "\r\x1b[K") // a failing terminal does not stop the work
		case now.Sub(last) >= 100*time.Millisecond:
			last = now
			n := width * count / of
			fmt.Fprintf(w, "\r\x1b[K%s [%s%s] %d/%d, %.0f/s", what, strings.Repeat("=", n), strings.Repeat(" ", width-n), count, of, float64(count)/now.Sub(start).Seconds())
		}
	}
}
