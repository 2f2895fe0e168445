package dataflow

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// randomDesign is a network of convolutions, pools and sums over images of one shape, with branches that part and meet anywhere, and
// any folding.
func randomDesign(t testing.TB, r *rand.Rand) *stream.Design {
	t.Helper()
	p := &hw.Program{Name: "random"}
	v := hw.Interval{Lo: 0, Hi: 15}
	shape := []int{3 + r.IntN(4), 3 + r.IntN(4), 1 + r.IntN(4)}
	port := func(b *hw.Buffer) *hw.Port {
		return &hw.Port{Name: b.Name, Shape: shape, Perm: []int{0, 1, 2}, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 15}}
	}
	x := p.NewBuffer("x", shape, v)
	x.Port = port(x)
	p.Inputs = []*hw.Buffer{x}
	g := hw.Geometry{H: shape[0], W: shape[1], C: shape[2], OH: shape[0], OW: shape[1], OC: shape[2], KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1}
	for i := range 2 + r.IntN(6) {
		any := func() *hw.Buffer { return p.Buffers[r.IntN(len(p.Buffers))] }
		k := &hw.Kernel{Name: fmt.Sprintf("k%d", i), In: []*hw.Buffer{any()}}
		k.Prog = hw.NewProg(hw.Interval{})
		switch r.IntN(3) {
		case 0:
			k.Kind = hw.KDot
			k.Dot = &hw.Dot{Geometry: g, Groups: 1, Weights: make([]int32, g.C*g.C*9), Bias: make([]int64, g.C)}
			for j := range k.Dot.Weights {
				k.Dot.Weights[j] = int32(r.IntN(5))
			}
			if err := k.Dot.Bound(v); err != nil {
				t.Fatal(err)
			}
		case 1:
			k.Kind = hw.KWindow
			k.Window = &hw.Window{Geometry: g}
			if err := k.Window.Bound(v); err != nil {
				t.Fatal(err)
			}
		default:
			k.Kind, k.In = hw.KMap, append(k.In, any())
			k.Prog = hw.NewProg(v, v)
			k.Prog.Op(hw.Add, 0, 1)
		}
		k.Prog.Clamp(k.Prog.Last(), 0, 15)
		if err := k.Prog.Analyze(k.ProgIn()); err != nil {
			t.Fatal(err)
		}
		k.Out = p.NewBuffer(k.Name, shape, v)
		p.Kernels = append(p.Kernels, k)
	}
	y := p.Buffers[len(p.Buffers)-1]
	y.Port = port(y)
	p.Outputs = []*hw.Buffer{y}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	folds := map[*hw.Kernel]stream.Fold{}
	for _, k := range p.Kernels {
		pe, simd := stream.PEs(k), stream.SIMDs(k)
		folds[k] = stream.Fold{PE: pe[r.IntN(len(pe))], SIMD: simd[r.IntN(len(simd))]}
	}
	d, err := stream.Build(p, folds)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTime: Time has the numbers of the engine that goes cycle by cycle, and its deadlocks, over random designs and depths.
func TestTime(t *testing.T) {
	still := 0
	for i := range 300 {
		r := rand.New(rand.NewPCG(11, uint64(i)))
		d := randomDesign(t, r)
		deep := []int{2, 10, 60, 600}[r.IntN(4)]
		for _, c := range d.Channels {
			c.Depth = 2 + r.IntN(deep)
		}
		runs := 1 + r.IntN(4)
		want, wantErr := reference(d, runs)
		got, err := Time(d, runs)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) {
			t.Fatalf("%d: %d runs\n got %+v, %v\nwant %+v, %v\n%v", i, runs, got, err, want, wantErr, d)
		}
		if err != nil {
			still++
		}
		if Live(d) == nil && err != nil {
			t.Errorf("%d: is said to be live, but: %v", i, err)
		}
	}
	if still < 20 || still > 280 {
		t.Errorf("%d of 300 stand still, want both kinds", still)
	}
}

// TestReset: a network that is run again and again, with FIFOs that are bold after what they did before, has the numbers of the reference.
func TestReset(t *testing.T) {
	bold, wrong := 0, 0
	for i := range 60 {
		r := rand.New(rand.NewPCG(15, uint64(i)))
		d := randomDesign(t, r)
		for _, c := range d.Channels {
			c.Depth = 2 + r.IntN(40)
		}
		n := newNetwork(compile(d))
		for range 8 {
			n.reset(depths(d), true, false)
			for _, f := range n.fifos {
				if f.room > f.depth {
					bold++
				}
			}
			runs := 1 + r.IntN(3)
			want, wantErr := reference(d, runs)
			var got *Timing
			err := n.run(runs)
			if err == nil {
				got = n.timing()
			}
			if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(err, wantErr) {
				t.Fatalf("%d: %d runs\n got %+v, %v\nwant %+v, %v\n%v", i, runs, got, err, want, wantErr, d)
			}
			for _, f := range n.fifos {
				if f.wrong {
					wrong++
				}
			}
			d.Channels[r.IntN(len(d.Channels))].Depth = 2 + r.IntN(20)
		}
	}
	if bold < 500 || wrong < 20 {
		t.Errorf("%d FIFOs were bold, %d of them wrongly", bold, wrong)
	}
}

// TestSteady: what is said to repeat goes on like that, and ends where it should.
func TestSteady(t *testing.T) {
	repeating := 0
	for i := range 60 {
		r := rand.New(rand.NewPCG(12, uint64(i)))
		d := randomDesign(t, r)
		for _, c := range d.Channels {
			c.Depth = 20 + r.IntN(60)
		}
		tm, err := Steady(d, 60)
		if err != nil {
			continue
		}
		if tm.Repeats == 0 {
			continue
		}
		repeating++
		runs := tm.Stages[0].Busy / d.Stages[0].Iterations()
		a, err := Time(d, runs+3*tm.Repeats)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Time(d, runs+6*tm.Repeats)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a.Marks, b.Marks) || a.First != tm.First || a.Latency != tm.Latency || tm.Repeats == 1 && b.Interval != tm.Interval {
			t.Errorf("%d: steady %+v, later %+v, %+v", i, tm, a, b)
		}
	}
	if repeating < 30 {
		t.Errorf("%d of 60 schedules repeat", repeating)
	}
}

// TestSizeRandom: the depths that Size finds are live and give the interval of the slowest stage. Each one before a stage that reads
// several channels is needed: cut to a quarter, the network stands still or slows down.
func TestSizeRandom(t *testing.T) {
	cut, still, repeat := 0, 0, 0
	for i := range 60 {
		d := randomDesign(t, rand.New(rand.NewPCG(13, uint64(i))))
		tm, err := Size(d, func() bool { return true })
		if err != nil {
			t.Fatalf("%d: %v\n%v", i, err, d)
		}
		if err := Live(d); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if tm.Repeats > 0 {
			repeat++
		}
		for _, c := range d.Channels {
			if len(c.To.In) < 2 || c.Depth < 16 {
				continue
			}
			was := c.Depth
			c.Depth /= 4
			slow, err := Steady(d, 12)
			var dead *Deadlock
			switch {
			case errors.As(err, &dead):
				still++
			case err != nil || slow.Interval <= tm.Interval:
				t.Errorf("%d: %s cut from %d to %d: %+v %v, want it slower than %d", i, c.Name, was, c.Depth, slow, err, tm.Interval)
			}
			cut++
			c.Depth = was
		}
	}
	t.Logf("%d depths cut, %d stand still", cut, still)
	if cut < 10 || still < 5 || repeat < 50 {
		t.Errorf("%d depths cut, %d stand still; %d of 60 schedules repeat", cut, still, repeat)
	}
}

// TestEnliven: with the least depths some of the designs stand still, and with those of enliven or lazy none does.
func TestEnliven(t *testing.T) {
	grew := 0
	for i := range 60 {
		d := randomDesign(t, rand.New(rand.NewPCG(14, uint64(i))))
		for _, c := range d.Channels {
			c.Depth = stream.MinDepth
		}
		before := Live(d)
		if err := enliven(compile(d)); err != nil {
			t.Fatal(err)
		}
		if before != nil {
			grew++
		}
		if _, err := Time(d, 5); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		for k, n := range lazy(compile(d)) {
			d.Channels[k].Depth = max(stream.MinDepth, n)
		}
		if err := Live(d); err != nil {
			t.Errorf("%d: lazily: %v", i, err)
		}
	}
	if grew < 10 {
		t.Errorf("%d of 60 needed more than the least depths", grew)
	}
}

// TestCritical: what the last end waited for goes back to the start without a gap (critical panics if not), on random designs and depths, in
// networks whose FIFOs are bold as well. If it waited for no place, then unbounded FIFOs do not make it come sooner.
func TestCritical(t *testing.T) {
	free, bound := 0, 0
	for i := range 300 {
		r := rand.New(rand.NewPCG(16, uint64(i)))
		d := randomDesign(t, r)
		deep := []int{10, 60, 600}[r.IntN(3)]
		for _, c := range d.Channels {
			c.Depth = 2 + r.IntN(deep)
		}
		n := newNetwork(compile(d))
		n.keep = 1 + r.IntN(4)
		run := func() (end int, causes []series) {
			n.reset(depths(d), false, false)
			if n.run(n.keep) != nil {
				return 0, nil
			}
			for _, p := range n.procs {
				if p.s.Kind == stream.Store {
					end = max(end, p.ends[n.keep-1])
				}
			}
			return end, n.critical()
		}
		end, causes := run()
		if again, same := run(); again != end || !reflect.DeepEqual(causes, same) {
			t.Fatalf("%d: end %d after %v, then %d after %v", i, end, causes, again, same)
		}
		if end == 0 {
			continue
		}
		if len(causes) > 0 {
			bound++
			continue
		}
		free++
		for _, c := range d.Channels {
			c.Depth = n.keep * c.Words
		}
		if least, causes := run(); least < end || causes != nil {
			t.Errorf("%d: end %d after no place, with unbounded FIFOs %d after %v", i, end, least, causes)
		}
	}
	if free < 10 || bound < 50 {
		t.Errorf("%d ends waited for no place, %d for some", free, bound)
	}
}
