package dataflow

import (
	"errors"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// branches is an image that goes through a 3x3 convolution, and past it, into a sum: the branch past it has to hold what the convolution's
// windows have under way.
func branches(t *testing.T) *stream.Design {
	p := &hw.Program{Name: "branches"}
	r := hw.Interval{Lo: 0, Hi: 15}
	q := &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 15}
	x := p.NewBuffer("x", []int{8, 8, 2}, r)
	x.Port = &hw.Port{Name: "x", Shape: x.Shape, Perm: []int{0, 1, 2}, Quant: q}
	d := &hw.Dot{Geometry: hw.Geometry{H: 8, W: 8, C: 2, OH: 8, OW: 8, OC: 2, KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1},
		Groups: 1, Weights: make([]int32, 36), Bias: make([]int64, 2)}
	for i := range d.Weights {
		d.Weights[i] = int32(i % 3)
	}
	prog := func(in [][]hw.Interval, f func(g *hw.Prog)) *hw.Prog {
		g := hw.NewProg(make([]hw.Interval, len(in))...)
		f(g)
		g.Clamp(g.Last(), 0, 15)
		if err := g.Analyze(in); err != nil {
			t.Fatal(err)
		}
		return g
	}
	if err := d.Bound(r); err != nil {
		t.Fatal(err)
	}
	c := p.NewBuffer("c", x.Shape, r)
	y := p.NewBuffer("y", x.Shape, r)
	y.Port = &hw.Port{Name: "y", Shape: x.Shape, Perm: []int{0, 1, 2}, Quant: q}
	p.Kernels = []*hw.Kernel{
		{Name: "conv", Kind: hw.KDot, In: []*hw.Buffer{x}, Out: c, Dot: d, Prog: prog([][]hw.Interval{d.Acc}, func(g *hw.Prog) {})},
		{Name: "sum", Kind: hw.KMap, In: []*hw.Buffer{c, x}, Out: y, Prog: prog([][]hw.Interval{{r}, {r}}, func(g *hw.Prog) { g.Op(hw.Add, 0, 1) })},
	}
	p.Inputs, p.Outputs = []*hw.Buffer{x}, []*hw.Buffer{y}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	s, err := stream.Build(p, map[*hw.Kernel]stream.Fold{p.Kernels[0]: {PE: 2, SIMD: 2}, p.Kernels[1]: {PE: 2, SIMD: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSize: with the least depths the branches stand still, with those of Size they run at the interval of the slowest stage, and every
// depth that is more than the least is needed for that: one word less in the branch past the convolution, and it is slower or still.
func TestSize(t *testing.T) {
	d := branches(t)
	_, err := Time(d, 2)
	var dead *Deadlock
	if !errors.As(err, &dead) || !strings.Contains(err.Error(), "x_fork for a place in x_fork_out1 (depth 2)") {
		t.Fatalf("least depths: got %v, want a deadlock at the branch", err)
	}
	tm, err := Size(d, func() bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	slow := d.Slowest().Iterations()
	if tm.Interval < slow || tm.Interval > slow+slow/20 {
		t.Errorf("interval %d, slowest stage %v", tm.Interval, d.Slowest().Iterations())
	}
	if tm.First >= tm.Latency || tm.Latency > 2*tm.Interval {
		t.Errorf("first word after %d, last after %d, interval %d", tm.First, tm.Latency, tm.Interval)
	}
	for i, a := range tm.Stages {
		if n := d.Stages[i].Iterations(); a.Busy%n != 0 || a.Busy < 2*n {
			t.Errorf("stage %s began %d iterations, want a multiple of %d", d.Stages[i].Name, a.Busy, n)
		}
	}
	for _, c := range d.Channels {
		if c.Name != "x_fork_out1" {
			continue
		}
		// A row of 8 pixels and one more are under way before the first window is complete.
		if c.Depth < 9 {
			t.Errorf("branch of depth %d, want 9 at least", c.Depth)
		}
		c.Depth = 6
		if _, err := Time(d, 2); !errors.As(err, &dead) {
			t.Errorf("branch cut to 6 words: got %v, want a deadlock", err)
		}
	}
}

// TestChain: without branches a pipeline of one stage after the other is timed exactly.
func TestChain(t *testing.T) {
	p := &hw.Program{Name: "chain"}
	r := hw.Interval{Lo: 0, Hi: 15}
	q := &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 15}
	x := p.NewBuffer("x", []int{10, 2}, r)
	x.Port = &hw.Port{Name: "x", Shape: x.Shape, Perm: []int{0, 1}, Quant: q}
	p.Inputs, p.Outputs = []*hw.Buffer{x}, []*hw.Buffer{x}
	d, err := stream.Build(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	tm, err := Time(d, 3)
	if err != nil {
		t.Fatal(err)
	}
	// Load begins in cycle 1 and writes in 2; the word can be read in 3; Store writes it in 4. There are 20 words; the last is begun in
	// cycle 20 and written in 21, and the next run begins in 21 + restart.
	if tm.First != 4 || tm.Latency != 23 || tm.Interval != 20+restart {
		t.Errorf("first %d, latency %d, interval %d, want 4, 23, %d", tm.First, tm.Latency, tm.Interval, 20+restart)
	}
}
