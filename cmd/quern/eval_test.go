package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"quern/frontend/data"
	"quern/passes"
)

// TestSamplers: samples straight from bytes give what their reals give, and the simulator allocates nothing for one.
func TestSamplers(t *testing.T) {
	d, err := data.Open(mnistTest, data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, bits := range []string{"4", "8", "16", "32"} {
		model := mnistModel
		if bits != "32" {
			model = filepath.Join(t.TempDir(), "q.onnx")
			quern(t, "quantize", mnistModel, "--calib", mnistTrain, "--calib-limit", "20", "-w", bits, "-a", bits, "-o", model)
		}
		g, err := prepared(model, &passes.Config{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := openBackend(g, "")
		if err != nil {
			t.Fatal(err)
		}
		r := data.NewReader(d, data.Preprocess{Mean: []float64{0.1307}, Std: []float64{0.3081}})
		run, sampler := b.new(), b.over(r)()
		for i := range 20 {
			want, err := run([][]float32{r.Sample(i)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := sampler(i)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range want[0].F {
				if math.Float32bits(v) != math.Float32bits(got[0].F[k]) {
					t.Fatalf("%s bits, sample %d: got %v, want %v", bits, i, got[0].F, want[0].F)
				}
			}
		}
		if n := testing.AllocsPerRun(5, func() { _, _ = sampler(3) }); b.name == "sim" && n != 0 {
			t.Errorf("%s bits: %v allocations for a sample, want none", bits, n)
		}
	}
}

// TestShareOut: each sample once, and an error or a cancelled context ends the work.
func TestShareOut(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 1000} {
		for workers := 1; workers < 5; workers++ {
			seen, done := make([]atomic.Int64, n), atomic.Int64{}
			step := func(more, of int) { done.Add(int64(more)) }
			if err := shareOut(context.Background(), n, make([]int, workers), step, func(_, i int) error { seen[i].Add(1); return nil }); err != nil {
				t.Fatal(err)
			}
			for i := range seen {
				if seen[i].Load() != 1 {
					t.Errorf("%d samples, %d workers: sample %d was taken %d times", n, workers, i, seen[i].Load())
				}
			}
			if done.Load() != int64(n) {
				t.Errorf("%d samples, %d workers: progress of %d", n, workers, done.Load())
			}
		}
	}
	broken := errors.New("broken")
	none := func(int, int) {}
	if err := shareOut(context.Background(), 100, make([]int, 2), none, func(_, i int) error {
		if i == 70 {
			return broken
		}
		return nil
	}); err != broken {
		t.Errorf("got %v, want the error of sample 70", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var count atomic.Int64
	err := shareOut(ctx, 1000, make([]int, 2), none, func(_, i int) error { cancel(); count.Add(1); return nil })
	if err != context.Canceled || count.Load() > 2 {
		t.Errorf("cancelled: %v after %d samples", err, count.Load())
	}
}

// TestProgress: the line is there at once, says how much of what is done, and is gone in the end.
func TestProgress(t *testing.T) {
	var b strings.Builder
	step := progress(&b, "eval")
	step(1, 4)
	if s := b.String(); !strings.HasPrefix(s, "\r\x1b[Keval [=======                       ] 1/4, ") {
		t.Errorf("after one of four: %q", s)
	}
	step(2, 4)
	step(1, 4)
	if s := b.String(); !strings.HasSuffix(s, "\r\x1b[K") || strings.Count(s, "\x1b[K") < 2 {
		t.Errorf("in the end: %q", s)
	}
}
