package calib

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// relu is the graph y = Relu(x), and a Runner for it.
type relu struct{ g *ir.Graph }

func newRelu(t *testing.T) *relu {
	t.Helper()
	x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, ir.Symbol("N"), 2, 2)}
	g := &ir.Graph{Name: "relu", Inputs: []*ir.Value{x}}
	n, err := g.Append(&op.Relu{}, ir.Pos{File: "m.onnx", Node: 0, Name: "act"}, []*ir.Value{x}, "y")
	if err != nil {
		t.Fatal(err)
	}
	g.Outputs = n.Out
	return &relu{g}
}

func (r *relu) Run(in []*tensor.T, observe func(*ir.Value, *tensor.T)) ([]*tensor.T, error) {
	if in[0].F[0] == 99 {
		return nil, errors.New("runner broke")
	}
	observe(r.g.Inputs[0], in[0])
	out, err := op.Eval(r.g.Nodes[0].Op, in)
	if err != nil {
		return nil, err
	}
	observe(r.g.Outputs[0], out[0])
	return out, nil
}

// batches has 40 samples in batches of the given size; sample i holds +-i and +-i/2.
func batches(size int) [][]*tensor.T {
	var r [][]*tensor.T
	for i := 0; i < 40; i += size {
		n := min(size, 40-i)
		x := tensor.New(tensor.F32, n, 2, 2)
		for j := range n {
			v := float32(i + j)
			copy(x.F[4*j:], []float32{v, -v, v / 2, -v / 2})
		}
		r = append(r, []*tensor.T{x})
	}
	return r
}

func TestCollect(t *testing.T) {
	r := newRelu(t)
	var first *Result
	for _, size := range []int{1, 3, 40} {
		for _, workers := range []int{1, 2, 5} {
			done := 0
			res, err := Collect(r, r.g, Batches(batches(size)), Options{Channels: true, Workers: workers, Progress: func(n int) { done = n }})
			if err != nil {
				t.Fatal(err)
			}
			if res.Samples != 40 || done != 40 || len(res.Values) != 2 {
				t.Fatalf("batch %d: %d samples, progress %d, %d values, want 40, 40, 2", size, res.Samples, done, len(res.Values))
			}
			x, y := res.Of(r.g.Inputs[0]), res.Of(r.g.Outputs[0])
			if x.Min != -39 || x.Max != 39 || y.Min != 0 || y.Max != 39 || y.Zeros != 82 || y.N != 160 {
				t.Errorf("x %v..%v, y %v..%v with %d zeros of %d", x.Min, x.Max, y.Min, y.Max, y.Zeros, y.N)
			}
			if c := y.Channels[1]; c.N != 80 || c.Max != 19.5 || c.Mean() != 780.0/4/40 {
				t.Errorf("channel 1 of y: %d elements to %v, mean %v", c.N, c.Max, c.Mean())
			}
			if first == nil {
				first = res
			}
			for v, s := range res.All() {
				want := first.Of(v)
				if s.Mean() != want.Mean() || s.Variance() != want.Variance() || !reflect.DeepEqual(s.pos, want.pos) || !reflect.DeepEqual(s.neg, want.neg) {
					t.Errorf("batch %d, %d workers: %%%s differs", size, workers, v.Name)
				}
			}
		}
	}
}

func TestCollectSomeValues(t *testing.T) {
	r := newRelu(t)
	res, err := Collect(r, r.g, Batches(batches(4)), Options{Values: r.g.Outputs})
	if err != nil {
		t.Fatal(err)
	}
	if res.Of(r.g.Inputs[0]) != nil || res.Of(r.g.Outputs[0]) == nil {
		t.Error("want statistics of the output only")
	}
}

func TestCollectErrors(t *testing.T) {
	r := newRelu(t)
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		name string
		edit func(b [][]*tensor.T)
		want string
	}{
		{"nan input", func(b [][]*tensor.T) { b[3][0].F[6] = float32(math.NaN()); b[7][0].F[0] = inf }, "calibration sample 10: %x: element 2 is NaN"},
		{"runner", func(b [][]*tensor.T) { b[2][0].F[0] = 99; b[3][0].F[0] = inf }, "calibration sample 6: runner broke"},
		{"inputs", func(b [][]*tensor.T) { b[5] = nil }, "calibration sample 15: want 1 inputs, got 0"},
	} {
		for range 20 { // the goroutines race differently each time
			b := batches(3)
			c.edit(b)
			if _, err := Collect(r, r.g, Batches(b), Options{Workers: 4}); err == nil || err.Error() != c.want {
				t.Fatalf("%s: got %v, want %s", c.name, err, c.want)
			}
		}
	}
	if _, err := Collect(r, r.g, Batches(nil), Options{}); err == nil || err.Error() != "calibration: want at least one sample, got none" {
		t.Errorf("no samples: %v", err)
	}
	broken := func(yield func([]*tensor.T, error) bool) { yield(nil, fmt.Errorf("disk is gone")) }
	if _, err := Collect(r, r.g, broken, Options{}); err == nil || err.Error() != "disk is gone" {
		t.Errorf("broken source: %v", err)
	}
}

func TestCollectNamesTheNode(t *testing.T) {
	r := newRelu(t)
	_, err := Collect(runnerFunc(func(in []*tensor.T, observe func(*ir.Value, *tensor.T)) ([]*tensor.T, error) {
		observe(r.g.Outputs[0], tensor.Floats([]int{1, 2, 2}, 0, 0, 0, float32(math.NaN())))
		return nil, nil
	}), r.g, Batches(batches(1)[:1]), Options{})
	if want := `m.onnx: node 0 "act" (Relu): calibration sample 0: %y: element 3 is NaN`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

type runnerFunc func([]*tensor.T, func(*ir.Value, *tensor.T)) ([]*tensor.T, error)

func (f runnerFunc) Run(in []*tensor.T, observe func(*ir.Value, *tensor.T)) ([]*tensor.T, error) {
	return f(in, observe)
}
