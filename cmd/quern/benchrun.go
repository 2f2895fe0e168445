package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"quern/backends/kernels"
	"quern/frontend/data"
	"quern/ir"
	"quern/ir/tensor"
	"quern/passes"
)

type benchOptions struct {
	runs       int
	seconds    float64
	rival, ort string
	rivalModel string
	data       string
}

// benchmark is a model with what it is measured on.
type benchmark struct {
	benchOptions
	path    string
	level   kernels.Level
	source  *ir.Graph // as read
	graph   *ir.Graph // prepared
	b       *backend
	inputs  [][][]float32 // by image and input
	labels  []int         // nil: none
	runners []runner      // one for each core
}

func (b *benchmark) open(c *cli.Context, g *ir.Graph) error {
	b.source, b.graph = g, g.Clone()
	if err := passes.Run(b.graph, nil); err != nil {
		return err
	}
	for _, v := range b.graph.Inputs {
		if t := v.Type.Real(); !t.Elem.IsFloat() {
			return fmt.Errorf("%s: input %q is %v: bench feeds floats", b.path, v.Name, v.Type)
		}
	}
	var err error
	if b.b, err = openBackend(b.graph, c.String("backend")); err != nil {
		return err
	}
	b.data = c.String("data")
	if b.data == "" {
		err = b.random(c, max(c.Int("limit"), 1))
	} else {
		err = b.samples(c)
	}
	for range runtime.GOMAXPROCS(0) {
		b.runners = append(b.runners, b.b.new())
	}
	return err
}

// random makes pixels of 0 to 255 and preprocesses them for a model with one input that looks like an image, else numbers of -1 to 1.
func (b *benchmark) random(c *cli.Context, n int) error {
	r := rand.New(rand.NewPCG(1, 2))
	pre, err := preprocessing(c, b.graph)
	if err != nil {
		return err
	}
	var shapes [][]int
	for _, v := range b.graph.Inputs {
		s, err := batchShape(v)
		if err != nil {
			return fmt.Errorf("%s: %w", b.path, err)
		}
		shapes = append(shapes, s)
	}
	for range n {
		var in [][]float32
		for _, s := range shapes {
			x := make([]float32, tensor.Numel(s))
			image := len(shapes) == 1 && len(s) == 4
			for i := range x {
				x[i] = 2*r.Float32() - 1
				if image {
					x[i] = float32(r.IntN(256))
				}
			}
			if image {
				chw := s[1:]
				if pre.Layout == "nhwc" {
					chw = []int{s[3], s[1], s[2]}
				}
				if err := pre.Check(chw[0]); err != nil {
					return fmt.Errorf("%s: preprocessing: %w", b.path, err)
				}
				out := make([]float32, len(x))
				pre.Apply(out, x, chw)
				x = out
			}
			in = append(in, x)
		}
		b.inputs = append(b.inputs, in)
	}
	return nil
}

func (b *benchmark) samples(c *cli.Context) error {
	d, pre, err := openData(c, b.data, b.graph)
	if err != nil {
		return err
	}
	if n := c.Int("limit"); n > 0 {
		d = d.Head(n)
	}
	b.take(d, pre)
	return nil
}

func (b *benchmark) take(d *data.Dataset, pre data.Preprocess) {
	r := data.NewReader(d, pre)
	for i := range r.Len() {
		b.inputs = append(b.inputs, [][]float32{r.Sample(i)})
	}
	b.labels = d.Labels
}

// measure does all measurements, those of the rival in alternation with ours.
func (b *benchmark) measure(ctx context.Context) (*benchReport, error) {
	r := &benchReport{Model: filepath.Base(b.path), Backend: b.b.name, Machine: thisMachine(b.level), Data: b.data, Images: len(b.inputs), Runs: b.runs, Seconds: b.seconds}
	for _, l := range b.b.layers {
		r.MACs += l.macs
	}
	classes, err := b.classify(ctx)
	if err != nil {
		return nil, err
	}
	r.Top1 = b.top1(classes)
	peaks, err := newPeaks(b.b.name, b.level)
	if err != nil {
		return nil, err
	}
	var v *rival
	if b.rival != "" {
		if v, err = b.newRival(ctx); err != nil {
			return nil, err
		}
		defer v.close()
		if r.Rival, err = v.check(classes); err != nil {
			return nil, err
		}
		r.Rival.Top1 = b.top1(v.classes)
	}
	cores := []int{1}
	if n := len(b.runners); n > 1 {
		cores = append(cores, n)
	}
	layers := newLayerTimer(b.b)
	rates, perCPU := make([][]float64, len(cores)), make([][]float64, len(cores))
	peakRates := make([][]float64, len(peaks))
	var medians, p90s []float64
	for k := range b.runs + 1 { // the first warms up
		for i, n := range cores {
			rate, cpu, times, err := b.run(ctx, n)
			if err != nil {
				return nil, err
			}
			if v != nil {
				if err := v.round(n, rate, cpu, k > 0); err != nil {
					return nil, err
				}
			}
			if k > 0 {
				rates[i], perCPU[i] = append(rates[i], rate), append(perCPU[i], cpu)
				if n == 1 {
					slices.Sort(times)
					medians, p90s = append(medians, quantile(times, 0.5)/1e3), append(p90s, quantile(times, 0.9)/1e3)
				}
			}
		}
		if err := b.runLayers(ctx, layers, k > 0); err != nil {
			return nil, err
		}
		for i, p := range peaks {
			if rate := p.rate(min(b.seconds, 0.1)); k > 0 {
				peakRates[i] = append(peakRates[i], rate)
			}
		}
	}
	for i, n := range cores {
		r.Throughput = append(r.Throughput, throughput{n, spreadOf(rates[i]), spreadOf(perCPU[i])})
	}
	r.Latency = latency{spreadOf(medians), spreadOf(p90s)}
	for i, p := range peaks {
		p.GOPS = spreadOf(peakRates[i])
		r.Peaks = append(r.Peaks, *p)
	}
	layers.report(r)
	if v != nil {
		if err := v.finish(r.Rival); err != nil {
			return nil, err
		}
	}
	r.Memory = peakMemory()
	r.Machine.LoadAfter = load()
	return r, nil
}

// classify is the index of the greatest number of the first output for each image.
func (b *benchmark) classify(ctx context.Context) ([]int, error) {
	r := make([]int, len(b.inputs))
	return r, shareOut(ctx, len(r), b.runners, func(int, int) {}, func(run runner, i int) error {
		y, err := run(b.inputs[i])
		if err == nil {
			r[i] = greatest(y[0].F)
		}
		return err
	})
}

// top1 is in percent; nil without labels.
func (b *benchmark) top1(classes []int) *float64 {
	if b.labels == nil || classes == nil {
		return nil
	}
	p := percentSame(classes, b.labels)
	return &p
}

// run computes images on n cores for a time; it returns images per second and per second of CPU time (0 if that is not known), and the ns of
// each image if n is 1.
func (b *benchmark) run(ctx context.Context, n int) (rate, perCPU float64, times []float64, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	var mu sync.Mutex
	done := 0
	before, _ := cpuSeconds()
	start := time.Now()
	end := start.Add(time.Duration(b.seconds * 1e9))
	var eg errgroup.Group
	for w := range n {
		eg.Go(func() error {
			count, last := 0, time.Now()
			for i := w; ctx.Err() == nil; i += n {
				if _, err := b.runners[w](b.inputs[i%len(b.inputs)]); err != nil {
					return err
				}
				count++
				now := time.Now()
				if n == 1 {
					times = append(times, float64(now.Sub(last).Nanoseconds()))
				}
				if last = now; !now.Before(end) {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			done += count
			return ctx.Err()
		})
	}
	err = eg.Wait()
	rate = float64(done) / time.Since(start).Seconds()
	if after, ok := cpuSeconds(); ok && after > before {
		perCPU = float64(done) / (after - before)
	}
	return rate, perCPU, times, err
}

// runLayers is run on one core with a look at the clock after each layer.
func (b *benchmark) runLayers(ctx context.Context, t *layerTimer, keep bool) error {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	end := time.Now().Add(time.Duration(b.seconds * 1e9))
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.image(b.inputs[i%len(b.inputs)]); err != nil {
			return err
		}
		if i+1 >= maxTimed || !time.Now().Before(end) {
			break
		}
	}
	t.next(keep)
	return nil
}

// maxTimed bounds the memory for the times of layers in one measurement.
const maxTimed = 4096

// layerTimer takes the time of layers. Of one measurement the median over the images counts: other programs disturb some of them.
type layerTimer struct {
	layers []layer
	run    runner
	last   time.Time
	now    []float64   // of the current image, by layer
	images [][]float64 // of this measurement, by layer; the last is the rest
	ns     [][]float64 // by layer and measurement
}

func newLayerTimer(b *backend) *layerTimer {
	n := len(b.layers)
	t := &layerTimer{layers: b.layers, now: make([]float64, n), images: make([][]float64, n+1), ns: make([][]float64, n+1)}
	t.run = b.timed(func(i int) {
		now := time.Now()
		if i >= 0 {
			t.now[i] += float64(now.Sub(t.last).Nanoseconds())
		}
		t.last = now
	})
	return t
}

func (t *layerTimer) image(in [][]float32) error {
	clear(t.now)
	start := time.Now()
	if _, err := t.run(in); err != nil {
		return err
	}
	rest := float64(time.Since(start).Nanoseconds())
	for i, x := range t.now {
		rest -= x
		t.images[i] = append(t.images[i], x)
	}
	t.images[len(t.now)] = append(t.images[len(t.now)], rest)
	return nil
}

// next ends a measurement.
func (t *layerTimer) next(keep bool) {
	for i, x := range t.images {
		slices.Sort(x)
		if keep {
			t.ns[i] = append(t.ns[i], quantile(x, 0.5))
		}
		t.images[i] = x[:0]
	}
}

func (t *layerTimer) report(r *benchReport) {
	r.Rest = spreadOf(t.ns[len(t.layers)])
	total := r.Rest.Median
	for i, l := range t.layers {
		x := layerTime{Name: l.name, Kind: l.kind, MACs: l.macs, NS: spreadOf(t.ns[i])}
		total += x.NS.Median
		if x.NS.Median > 0 {
			x.GOPS = significant(2 * float64(l.macs) / x.NS.Median)
		}
		for k := range r.Peaks { // ascending: the first that is wide enough
			if p := &r.Peaks[k]; x.Peak == nil && l.bits > 0 && l.bits <= p.Bits && p.GOPS.Median > 0 {
				of := rounded(100*x.GOPS/p.GOPS.Median, 1)
				x.Peak = &of
			}
		}
		r.Layers = append(r.Layers, x)
	}
	for i := range r.Layers {
		r.Layers[i].Share = rounded(100*r.Layers[i].NS.Median/max(total, 1), 1)
	}
}
