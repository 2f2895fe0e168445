package calib

import (
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"

	"quern/ir"
	"quern/ir/tensor"
)

// Runner runs a model; backends/interp is one. It must be safe for use by several goroutines. observe is called for graph inputs
// and for every node result, with tensors that stay unchanged until it returns.
type Runner interface {
	Run(in []*tensor.T, observe func(v *ir.Value, t *tensor.T)) ([]*tensor.T, error)
}

// Options of Collect.
type Options struct {
	Values   []*ir.Value       // what to watch; nil: all inputs and node results that stand for reals
	Channels bool              // fill Stats.Channels for values of 2 dims and more
	Workers  int               // goroutines; 0: as many as the machine has cores
	Progress func(samples int) // called now and then, from one goroutine at a time, with the number of samples done
}

// Result has the statistics of the watched values.
type Result struct {
	Samples int
	Values  []*ir.Value // in graph order
	stats   map[*ir.Value]*Stats
}

// Of is the statistics of a value; nil if it was not watched.
func (r *Result) Of(v *ir.Value) *Stats { return r.stats[v] }

// All goes through the values in graph order.
func (r *Result) All() iter.Seq2[*ir.Value, *Stats] {
	return func(yield func(*ir.Value, *Stats) bool) {
		for _, v := range r.Values {
			if !yield(v, r.stats[v]) {
				return
			}
		}
	}
}

// Batches makes a sequence of a slice.
func Batches(b [][]*tensor.T) iter.Seq2[[]*tensor.T, error] {
	return func(yield func([]*tensor.T, error) bool) {
		for _, in := range b {
			if !yield(in, nil) {
				return
			}
		}
	}
}

// batch is one unit of work: the inputs of a run and the number of its first sample.
type batch struct {
	in    []*tensor.T
	first int
	size  int
}

// failure orders errors by sample, so that the same one is reported whichever goroutine is faster.
type failure struct {
	sample int
	err    error
}

// Collect runs the model on each batch (one tensor for each graph input, the samples along axis 0) and gathers statistics. The
// result does not depend on the number of workers. NaN and infinity in a watched value are an error that names value and sample.
func Collect(r Runner, g *ir.Graph, batches iter.Seq2[[]*tensor.T, error], o Options) (*Result, error) {
	res := &Result{stats: map[*ir.Value]*Stats{}}
	for _, v := range g.Values() {
		if v.Const == nil && v.Type.Real().Elem.IsFloat() && (o.Values == nil || slices.Contains(o.Values, v)) {
			res.Values = append(res.Values, v)
			res.stats[v] = &Stats{}
		}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	work := make(chan batch)
	stop := make(chan struct{})
	var fails []failure
	var mu sync.Mutex // guards fails, res.Samples and the merge
	fail := func(f failure) {
		mu.Lock()
		defer mu.Unlock()
		if len(fails) == 0 {
			close(stop)
		}
		fails = append(fails, f)
	}
	var wg sync.WaitGroup
	for range o.Workers {
		wg.Go(func() {
			w := &watcher{stats: map[*ir.Value]*Stats{}, channels: o.Channels}
			for _, v := range res.Values {
				w.stats[v] = &Stats{}
			}
			for b := range work {
				if f := w.run(r, b); f.err != nil {
					fail(f)
					continue // the feeder stops; batches already handed out still run, an earlier sample may fail in one of them
				}
				mu.Lock()
				res.Samples += b.size
				if o.Progress != nil {
					o.Progress(res.Samples)
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			for _, v := range res.Values {
				res.stats[v].Merge(w.stats[v])
			}
		})
	}
	feed(g, batches, work, stop, fail)
	close(work)
	wg.Wait()
	if len(fails) > 0 {
		return nil, slices.MinFunc(fails, func(a, b failure) int { return a.sample - b.sample }).err
	}
	if res.Samples == 0 {
		return nil, errors.New("calibration: want at least one sample, got none")
	}
	return res, nil
}

// feed hands out the batches in order until they end or something failed.
func feed(g *ir.Graph, batches iter.Seq2[[]*tensor.T, error], work chan<- batch, stop <-chan struct{}, fail func(failure)) {
	first := 0
	for in, err := range batches {
		if err != nil {
			fail(failure{first, err})
			return
		}
		if len(in) != len(g.Inputs) {
			fail(failure{first, fmt.Errorf("calibration sample %d: want %d inputs, got %d", first, len(g.Inputs), len(in))})
			return
		}
		size := 1
		if len(in) > 0 && len(in[0].Shape) > 0 {
			size = in[0].Shape[0]
		}
		select {
		case work <- batch{in, first, size}:
		case <-stop:
			return
		}
		first += size
	}
}

// watcher gathers the statistics of one goroutine.
type watcher struct {
	stats    map[*ir.Value]*Stats
	channels bool
}

func (w *watcher) run(r Runner, b batch) failure {
	bad := failure{sample: b.first}
	_, err := r.Run(b.in, func(v *ir.Value, t *tensor.T) {
		s := w.stats[v]
		if s == nil || bad.err != nil {
			return
		}
		if i, err := w.observe(s, t, b.size); err != nil {
			bad.sample = b.first + i
			bad.err = fmt.Errorf("calibration sample %d: %%%s: %w", bad.sample, v.Name, err)
			if v.Def != nil {
				bad.err = v.Def.Wrap(bad.err)
			}
		}
	})
	if bad.err == nil && err != nil {
		bad.err = fmt.Errorf("calibration sample %d: %w", b.first, err)
	}
	return bad
}

// observe adds the samples of one tensor one by one; a tensor whose first axis is not the batch counts as a single sample and has
// no channels. It returns the index of the sample that failed.
func (w *watcher) observe(s *Stats, t *tensor.T, size int) (int, error) {
	if len(t.Shape) == 0 || t.Shape[0] != size {
		return 0, s.Add(t.F)
	}
	inner := tensor.Numel(t.Shape[1:])
	for i := range size {
		x := t.F[i*inner : (i+1)*inner]
		if err := s.Add(x); err != nil {
			return i, err
		}
		if w.channels && len(t.Shape) > 1 && inner > 0 {
			s.AddChannels(x, t.Shape[1], inner/t.Shape[1])
		}
	}
	return 0, nil
}
