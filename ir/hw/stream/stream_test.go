package stream

import (
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
)

// network is an image 5x6x4 through a padded 3x3 convolution to 6 channels, a pool, and a Concat with the pooled input; all of it is put out.
func network(t *testing.T) *hw.Program {
	p := &hw.Program{Name: "net"}
	quant := &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 15}
	r := hw.Interval{Lo: 0, Hi: 15}
	x := p.NewBuffer("x", []int{5, 6, 4}, r)
	x.Port = &hw.Port{Name: "x", Shape: x.Shape, Perm: []int{0, 1, 2}, Quant: quant}
	p.Inputs = []*hw.Buffer{x}
	add := func(k *hw.Kernel, name string, shape []int) *hw.Buffer {
		k.Name = name
		k.Out = p.NewBuffer(name, shape, r)
		p.Kernels = append(p.Kernels, k)
		return k.Out
	}
	clamp := func(in hw.Interval) *hw.Prog {
		g := hw.NewProg(in)
		g.Clamp(0, 0, 15)
		if err := g.Analyze([][]hw.Interval{{in}}); err != nil {
			t.Fatal(err)
		}
		return g
	}
	d := &hw.Dot{Geometry: hw.Geometry{H: 5, W: 6, C: 4, OH: 5, OW: 6, OC: 6, KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1},
		Groups: 1, Weights: make([]int32, 6*9*4), Bias: make([]int64, 6)}
	for i := range d.Weights {
		d.Weights[i] = int32(i%5 - 2)
	}
	if err := d.Bound(r); err != nil {
		t.Fatal(err)
	}
	prog := hw.NewProg(hw.Interval{})
	prog.Clamp(0, 0, 15)
	if err := prog.Analyze([][]hw.Interval{d.Acc}); err != nil {
		t.Fatal(err)
	}
	c := add(&hw.Kernel{Kind: hw.KDot, In: []*hw.Buffer{x}, Dot: d, Prog: prog}, "conv", []int{5, 6, 6})
	pool := func(in *hw.Buffer, name string) *hw.Buffer {
		w := &hw.Window{Geometry: hw.Geometry{H: 5, W: 6, C: in.Channels(), OH: 2, OW: 3, OC: in.Channels(), KH: 2, KW: 2, SH: 2, SW: 2, DH: 1, DW: 1}}
		if err := w.Bound(r); err != nil {
			t.Fatal(err)
		}
		return add(&hw.Kernel{Kind: hw.KWindow, In: []*hw.Buffer{in}, Window: w, Prog: clamp(w.Acc)}, name, []int{2, 3, in.Channels()})
	}
	a, b := pool(c, "pool"), pool(x, "skip")
	m := &hw.Move{Pieces: []hw.Piece{{Size: []int{6, 6}, SrcStride: []int{6, 1}, DstStride: []int{10, 1}},
		{Src: 1, DstOff: 6, Size: []int{6, 4}, SrcStride: []int{4, 1}, DstStride: []int{10, 1}}}}
	y := add(&hw.Kernel{Kind: hw.KMove, In: []*hw.Buffer{a, b}, Move: m}, "concat", []int{2, 3, 10})
	flat := add(&hw.Kernel{Kind: hw.KMove, In: []*hw.Buffer{y}, Move: &hw.Move{Pieces: []hw.Piece{{Size: []int{60}, SrcStride: []int{1}, DstStride: []int{1}}}}}, "flat", []int{60})
	flat.Port = &hw.Port{Name: "flat", Shape: flat.Shape, Perm: []int{0}, Quant: quant}
	p.Outputs = []*hw.Buffer{flat}
	if err := hw.Verify(p); err != nil {
		t.Fatal(err)
	}
	return p
}

func kernel(p *hw.Program, name string) *hw.Kernel {
	return p.Kernels[slices.IndexFunc(p.Kernels, func(k *hw.Kernel) bool { return k.Name == name })]
}

func TestBuild(t *testing.T) {
	p := network(t)
	d, err := Build(p, map[*hw.Kernel]Fold{kernel(p, "conv"): {PE: 3, SIMD: 4}, kernel(p, "pool"): {PE: 2, SIMD: 1}, kernel(p, "concat"): {PE: 2, SIMD: 1}})
	if err != nil {
		t.Fatal(err)
	}
	// The reshape at the end is no stage. The convolution takes 2 blocks of outputs x 9 taps of one word; the pool of 6 channels 3 words x 4
	// taps for each of 6 pixels; the concatenation 3 words of one source and 2 of the other for each pixel.
	const want = `design net
load x_load  30 iterations
    out x_load_out 30 words of 4xu4 depth 2
fork x_fork  30 iterations
    in  x_load_out 30 words of 4xu4 depth 2
    out x_fork_out0 30 words of 4xu4 depth 2
    out x_fork_out1 30 words of 4xu4 depth 2
slide conv_window  PE 3 SIMD 4  272 iterations
    in  x_fork_out0 30 words of 4xu4 depth 2
    out conv_window_out 270 words of 4xu4 depth 2
mvu conv  PE 3 SIMD 4  540 iterations
    in  conv_window_out 270 words of 4xu4 depth 2
    out conv_out 60 words of 3xu4 depth 2
split conv_split  180 iterations
    in  conv_out 60 words of 3xu4 depth 2
    out conv_split_out 180 words of 1xu4 depth 2
join conv_join  180 iterations
    in  conv_split_out 180 words of 1xu4 depth 2
    out conv_join_out 90 words of 2xu4 depth 2
slide pool_window  PE 2 SIMD 1  95 iterations
    in  conv_join_out 90 words of 2xu4 depth 2
    out pool_window_out 72 words of 2xu4 depth 2
lane pool  PE 2 SIMD 1  72 iterations
    in  pool_window_out 72 words of 2xu4 depth 2
    out pool_out 18 words of 2xu4 depth 2
`
	got := d.String()
	if !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant a beginning of\n%s", got, want)
	}
	if want := "weave concat  PE 2 SIMD 1  30 iterations\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %s", got, want)
	}
	for _, s := range d.Stages {
		if s.Kind == Weave && len(s.Plan.Control) != 5 {
			t.Errorf("control of the concatenation repeats after %d steps, want 5: %v", len(s.Plan.Control), s.Plan.Control)
		}
	}
	if s := d.Slowest(); s.Name != "conv" {
		t.Errorf("slowest stage is %s, want conv", s.Name)
	}
}

func TestFoldCheck(t *testing.T) {
	p := network(t)
	for _, c := range []struct {
		kernel string
		fold   Fold
		want   string
	}{
		{"conv", Fold{PE: 6, SIMD: 4}, ""},
		{"conv", Fold{PE: 4, SIMD: 4}, "layer conv (<graph>: node 0): PE 4: want one of [1 2 3 6]"},
		{"conv", Fold{PE: 6, SIMD: 3}, "layer conv (<graph>: node 0): SIMD 3: want one of [1 2 4]"},
		{"conv", Fold{PE: 0, SIMD: 1}, "layer conv (<graph>: node 0): PE 0: want one of [1 2 3 6]"},
		{"pool", Fold{PE: 2, SIMD: 2}, "layer pool (<graph>: node 0): SIMD 2: want one of [1]"},
		{"concat", Fold{PE: 2, SIMD: 1}, ""},
		{"concat", Fold{PE: 4, SIMD: 1}, "layer concat (<graph>: node 0): PE 4: want one of [1 2]"},
		{"conv", Fold{PE: 6, SIMD: 4, Thresholds: true}, ""},
		{"concat", Fold{PE: 2, SIMD: 1, Thresholds: true}, "layer concat (<graph>: node 0): PE 2 SIMD 1 THR: no thresholds for it: it only moves elements"},
	} {
		err := c.fold.Check(kernel(p, c.kernel))
		if got := ""; err != nil {
			if got = err.Error(); got != c.want {
				t.Errorf("%s %v: got %q, want %q", c.kernel, c.fold, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s %v: no error, want %q", c.kernel, c.fold, c.want)
		}
		if _, err2 := Build(p, map[*hw.Kernel]Fold{kernel(p, c.kernel): c.fold}); (err == nil) != (err2 == nil) {
			t.Errorf("%s %v: Build says %v", c.kernel, c.fold, err2)
		}
	}
}

// TestPlan: what a Move becomes.
func TestPlan(t *testing.T) {
	move := func(src, dst []int, pieces ...hw.Piece) *hw.Kernel {
		p := &hw.Program{}
		x := p.NewBuffer("x", src, hw.Interval{Lo: 0, Hi: 1})
		return &hw.Kernel{Kind: hw.KMove, In: []*hw.Buffer{x}, Out: p.NewBuffer("y", dst, x.Range), Move: &hw.Move{Pieces: pieces}}
	}
	all := func(off, n, ss, ds int) hw.Piece {
		return hw.Piece{SrcOff: off, Size: []int{n}, SrcStride: []int{ss}, DstStride: []int{ds}}
	}
	slice := move([]int{4, 4}, []int{2, 4}, hw.Piece{SrcOff: 4, Size: []int{2, 4}, SrcStride: []int{8, 1}, DstStride: []int{4, 1}})
	if l := moveLanes(slice); l != 4 {
		t.Errorf("rows of 4: %d lanes, want 4", l)
	}
	if p, k := newPlan(slice, 4); k != Weave || !slices.Equal(p.Control, []Control{controlDrop(0), controlPass(0)}) || p.Length != 4 {
		t.Errorf("every second row: %v %+v", k, p)
	}
	back := move([]int{4}, []int{4}, all(3, 4, -1, 1))
	if p, k := newPlan(back, 1); k != Reorder || !slices.Equal(p.From, []int{3, 2, 1, 0}) {
		t.Errorf("backwards: %v %+v", k, p)
	}
	pad := move([]int{2}, []int{4}, all(0, 2, 1, 1))
	pad.Move.Pieces[0].DstOff = 1
	if p, k := newPlan(pad, 1); k != Weave || !slices.Equal(p.Control, []Control{ControlFill, controlPass(0), controlPass(0), ControlFill}) {
		t.Errorf("pad: %v %+v", k, p)
	}
	if same := move([]int{2, 2}, []int{4}, all(0, 4, 1, 1)); !alias(same) || alias(back) || alias(pad) {
		t.Error("only the reshape is an alias")
	}
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		want  string
		plant func(d *Design)
	}{
		{"channel x_load_out: depth 1, want 2 at least", func(d *Design) { d.Channels[0].Depth = 1 }},
		{"stage x_load (load): writes 120 words to x_load_out, want 119", func(d *Design) { d.Channels[0].Words-- }},
		{"the name conv is taken twice", func(d *Design) { d.Stages[0].Name = "conv" }},
		{"channel x_load_out: want one writer and one reader", func(d *Design) { d.Channels[0].To = nil }},
		{"which is not behind it", func(d *Design) { slices.Reverse(d.Stages) }},
		{"stage conv (mvu): writes 179 words to conv_out, want 180", func(d *Design) { at(d, "conv").iterations-- }},
		{"stage conv (mvu): thresholds: channel 0: 0 for input ", func(d *Design) { at(d, "conv").Thresholds.T[0][0]++ }},
		{"stage conv (mvu): PE 1 SIMD 1 THR, and thresholds are false", func(d *Design) { at(d, "conv").Thresholds = nil }},
		{"5000 lanes", func(d *Design) { d.Channels[0].Lanes = 5000 }},
		{"channel x_load_out is not among those of its stages", func(d *Design) { d.Stages[0].Out = nil }},
	} {
		p := network(t)
		d, err := Build(p, map[*hw.Kernel]Fold{kernel(p, "conv"): {PE: 1, SIMD: 1, Thresholds: true}})
		if err != nil {
			t.Fatal(err)
		}
		c.plant(d)
		if err := Verify(d); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func at(d *Design, name string) *Stage {
	return d.Stages[slices.IndexFunc(d.Stages, func(s *Stage) bool { return s.Name == name })]
}

// TestSlider: over many geometries a Slide ends, and takes no longer than reading and writing one after the other.
func TestSlider(t *testing.T) {
	for _, g := range []hw.Geometry{
		{H: 8, W: 8, OH: 8, OW: 8, KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1},
		{H: 8, W: 8, OH: 4, OW: 4, KH: 3, KW: 3, SH: 2, SW: 2, DH: 1, DW: 1},
		{H: 9, W: 5, OH: 5, OW: 1, KH: 3, KW: 3, SH: 1, SW: 1, DH: 2, DW: 2},
		{H: 7, W: 7, OH: 2, OW: 2, KH: 1, KW: 1, SH: 4, SW: 3, DH: 1, DW: 1},
		{H: 3, W: 3, OH: 5, OW: 5, KH: 5, KW: 5, SH: 1, SW: 1, DH: 1, DW: 1, PH: 4, PW: 4},
		{H: 1, W: 9, OH: 1, OW: 4, KH: 1, KW: 2, SH: 1, SW: 2, DH: 1, DW: 1},
	} {
		g.C, g.OC = 2, 3
		k := &hw.Kernel{Dot: &hw.Dot{Geometry: g, Groups: 1}}
		s := NewSlider(k, Fold{PE: 1, SIMD: 1})
		n := s.count()
		read, written := g.H*g.W*2, g.OH*g.OW*g.KH*g.KW*2
		if n < max(read, written) || n > read+written+2*Lag {
			t.Errorf("%+v: %d iterations for %d words in and %d out", g, n, read, written)
		}
		if s.Lines > g.H {
			t.Errorf("%+v: %d lines", g, s.Lines)
		}
	}
}
