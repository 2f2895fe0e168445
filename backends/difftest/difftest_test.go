// Package difftest compares the three executions of one network: the interpreter over the graph, the simulator over the hardware
// program, and the emitted C through real compilers.
package difftest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/backends/interp"
	"quern/backends/sim"
	"quern/frontend/onnx"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtest"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/calib"
	"quern/passes/lower"
	"quern/passes/quant"
)

// quantized sends a float graph through calibration, quantization, files and back, and returns graph and program.
func quantized(t testing.TB, g *ir.Graph, in [][]*tensor.T, c quant.Config) (*ir.Graph, *hw.Program) {
	t.Helper()
	if err := passes.Run(g, nil); err != nil {
		t.Fatal(err)
	}
	c.Range = calibrated(t, g, in)
	p := integers(t, g, c)
	throughFiles(t, g, p)
	return g, p
}

// calibrated are the ranges that the values of a prepared float graph have over samples; copies of the graph may ask as well.
func calibrated(t testing.TB, g *ir.Graph, in [][]*tensor.T) func(v *ir.Value, bits int) (float64, float64, error) {
	t.Helper()
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	stats, err := calib.Collect(m, g, calib.Batches(in), calib.Options{})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*calib.Stats{}
	for v, s := range stats.All() {
		byName[v.Name] = s
	}
	return func(v *ir.Value, _ int) (float64, float64, error) {
		r := byName[v.Name].MinMax()
		return r.Lo, r.Hi, nil
	}
}

// integers quantizes a prepared graph and lowers it.
func integers(t testing.TB, g *ir.Graph, c quant.Config) *hw.Program {
	t.Helper()
	if err := quant.Quantize(g, &c); err != nil {
		t.Fatal(err)
	}
	if err := passes.Run(g, nil, "fuse-act", "dce"); err != nil {
		t.Fatal(err)
	}
	low, err := lower.Lower(g, lower.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return low.Prog
}

// compare runs interpreter and simulator layer by layer, each layer of the interpreter fed with the simulator's integers so that
// differences do not add up, and counts integers by their distance. More than one step is an error.
func compare(t testing.TB, g *ir.Graph, p *hw.Program, in [][]*tensor.T, hist *[2]int) {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	bufs := map[string]*hw.Buffer{}
	for _, b := range p.Buffers {
		bufs[b.Name] = b
	}
	bound, err := g.Bind(map[string]int{"N": 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range in {
		if _, err := s.RunFloat([][]float32{x[0].F}); err != nil {
			t.Fatal(err)
		}
		for _, n := range bound.Nodes {
			compareNode(t, n, s, bufs, hist)
		}
	}
}

func compareNode(t testing.TB, n *ir.Node, s *sim.State, bufs map[string]*hw.Buffer, hist *[2]int) {
	t.Helper()
	out := bufs[ident(n.Out[0].Name)]
	if out == nil || n.Op.OpName() == "Quantize" {
		return
	}
	one := &ir.Graph{Name: "one", Outputs: n.Out}
	k := &ir.Node{Op: n.Op, Pos: n.Pos}
	var in []*tensor.T
	for _, v := range n.In {
		if v == nil || v.Const != nil {
			k.In = append(k.In, v)
			continue
		}
		b := bufs[ident(v.Name)]
		if b == nil {
			return // merged into its reader
		}
		f := tensor.New(tensor.F32, v.Type.Shape...)
		port(v).Dequantize(f.F, s.Buffer(b))
		w := &ir.Value{Name: fmt.Sprintf("in%d", len(in)), Type: v.Type}
		one.Inputs, in, k.In = append(one.Inputs, w), append(in, f), append(k.In, w)
	}
	y := &ir.Value{Name: "y", Type: n.Out[0].Type, Def: k}
	k.Out, one.Nodes, one.Outputs = []*ir.Value{y}, []*ir.Node{k}, []*ir.Value{y}
	i, err := interp.New(one)
	if err != nil {
		t.Fatal(err)
	}
	r, err := i.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]int64, out.Len())
	if err := port(y).Quantize(want, r[0].F); err != nil {
		t.Fatal(err)
	}
	for j, got := range s.Buffer(out) {
		d := max(got-want[j], want[j]-got)
		if d > 1 {
			t.Fatalf("%v (%s): element %d: simulator %d, interpreter %d", n.Pos, n.Op.OpName(), j, got, want[j])
		}
		hist[d]++
	}
}

// port is the layout of a value's buffer: channels last, without the batch.
func port(v *ir.Value) *hw.Port {
	s := v.Type.Shape[1:]
	perm := make([]int, len(s))
	for i := range perm {
		perm[i] = (i + 1) % len(s)
	}
	return &hw.Port{Name: v.Name, Shape: s, Perm: perm, Quant: v.Type.Quant}
}

// ident is the name of a value's buffer, as the lowering makes it where names do not clash.
func ident(name string) string {
	s := strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
			return r
		}
		return '_'
	}, name), "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "t" + s
	}
	return s
}

// testVectors are the first samples with what the simulator makes of them.
func testVectors(t testing.TB, p *hw.Program, in [][]*tensor.T) []hls.Vector {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	var vs []hls.Vector
	for _, x := range in {
		q := make([]int64, p.Inputs[0].Len())
		if err := p.Inputs[0].Port.Quantize(q, x[0].F); err != nil {
			t.Fatal(err)
		}
		y, err := s.Run([][]int64{q})
		if err != nil {
			t.Fatal(err)
		}
		v := hls.Vector{In: [][]int64{q}}
		for _, o := range y {
			v.Out = append(v.Out, slices.Clone(o))
		}
		vs = append(vs, v)
	}
	return vs
}

// TestRandomGraphs: float graph, calibration, random widths, file and back, simulator against interpreter, C against simulator.
// QUERN_LONG is the number of graphs; without it there are a few.
func TestRandomGraphs(t *testing.T) {
	n := 16
	if s := os.Getenv("QUERN_LONG"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("QUERN_LONG=%q: want a number of graphs", s)
		}
	}
	var ds []project
	var hist [2]int
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		g := irtest.RandomGraph(r, irtest.GraphOptions{Partial: true})
		in := irtest.RandomInputs(r, g, 3)
		c := quant.Config{Bits: quant.Bits{W: 2 + r.IntN(15), A: 2 + r.IntN(15)}, PerTensor: r.IntN(4) == 0, Pow2: r.IntN(4) == 0, Symmetric: r.IntN(4) == 0,
			InputBits: 2 + r.IntN(15), OutputBits: 2 + r.IntN(15), Whole: true}
		if c.A > 12 { // tables over more bits make large files
			c.A = 12
		}
		g, p := quantized(t, g, in, c)
		compare(t, g, p, in, &hist)
		vs := testVectors(t, p, in)
		files, err := hls.Emit(p, hls.Options{Top: fmt.Sprintf("net_%d", seed), Vectors: vs, Version: "test"})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		ds = append(ds, newProject(files, len(vs)*p.Outputs[0].Len(), len(vs)))
	}
	t.Logf("simulator against interpreter, layer by layer: %d integers equal, %d one step apart", hist[0], hist[1])
	if hist[0] < 100*hist[1] {
		t.Errorf("%d of %d integers differ by a step: too many for rounding at ties and the width of multipliers", hist[1], hist[0]+hist[1])
	}
	values := 0
	for _, c := range compilers(t) {
		for i := 0; i < len(ds); i += 20 {
			part := ds[i:min(i+20, len(ds))]
			fast := c.optimized()
			if i >= 40 {
				fast = c.hurried()
			}
			out, err := runC(t, fast, part)
			want := ""
			for _, d := range part {
				want += d.want
				values += d.n
			}
			if err != nil || out != want {
				t.Fatalf("%s, graphs %d and on: %v\n%s", c.path, i, err, out)
			}
		}
	}
	t.Logf("C against simulator: %d output values equal", values)
}

// cifar10 are the first images of a binary batch, as the networks of testdata/models want them or as raw pixels, and their classes.
func cifar10(t testing.TB, path string, n int, raw bool) (in [][]*tensor.T, class []int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	mean, std := []float32{0.4914, 0.4822, 0.4465}, []float32{0.2470, 0.2435, 0.2616}
	for i := range min(n, len(b)/3073) {
		x := tensor.New(tensor.F32, 1, 3, 32, 32)
		for j := range x.F {
			if x.F[j] = float32(b[i*3073+1+j]); !raw {
				x.F[j] = (x.F[j]/255 - mean[j/1024]) / std[j/1024]
			}
		}
		in, class = append(in, []*tensor.T{x}), append(class, int(b[i*3073]))
	}
	return in, class
}

// TestNetworks takes trained networks through the same road at three widths, with real images.
func TestNetworks(t *testing.T) {
	names := []string{"lenet_e400"}
	if os.Getenv("QUERN_LONG") != "" {
		names = append(names, "convnet_e40")
	}
	in, _ := cifar10(t, "../../testdata/data/cifar10/test_batch.bin", 8, false)
	for _, name := range names {
		for _, bits := range []int{4, 8, 16} {
			g, err := onnx.Import("../../testdata/models/"+name+".onnx", onnx.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var hist [2]int
			g, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: bits, A: bits}})
			compare(t, g, p, in[:2], &hist)
			if hist[0] == 0 {
				t.Error("nothing was compared")
			}
			vs := testVectors(t, p, in)
			files, err := hls.Emit(p, hls.Options{Top: name, Vectors: vs})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range compilers(t) {
				d := newProject(files, 10*len(vs), len(vs))
				if out, err := runC(t, c.optimized(), []project{d}); err != nil || out != d.want {
					t.Errorf("%s, %s int-%d: %v\n%s", c.path, name, bits, err, out)
				}
			}
			t.Logf("%s int-%d: %d integers equal to the interpreter, %d one step apart; C equal to the simulator on %d values", name, bits, hist[0], hist[1], 10*len(vs))
		}
	}
}

// TestPlantedFaults changes the C text and expects the testbench to notice.
func TestPlantedFaults(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	g := irtest.RandomGraph(r, irtest.GraphOptions{})
	in := irtest.RandomInputs(r, g, 20)
	_, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: 6, A: 6}})
	vs := testVectors(t, p, in)
	files, err := hls.Emit(p, hls.Options{Top: "net", Vectors: vs})
	if err != nil {
		t.Fatal(err)
	}
	c := compilers(t)[0]
	if out, err := runC(t, c, []project{{files: files}}); err != nil || !strings.HasPrefix(out, "PASS") {
		t.Fatalf("without a fault: %v\n%s", err, out)
	}
	for _, f := range []struct{ name, file, old, new string }{
		{"rounding", "net.c", "q_rsh_half_even(", "q_rsh_floor("},
		{"multiplier", "net.c", "v0 * ", "v0 * 2 * "},
		{"lower clamp", "net.c", "= (int32_t)q_max(", "= 1 + (int32_t)q_max("},
		{"accumulator", "net.c", "acc[p] += ", "acc[p] -= "},
	} {
		bad := make([]hls.File, len(files))
		changed := false
		for i, x := range files {
			bad[i] = x
			if x.Name == f.file && bytes.Contains(x.Data, []byte(f.old)) {
				bad[i].Data = bytes.ReplaceAll(x.Data, []byte(f.old), []byte(f.new))
				changed = true
			}
		}
		if !changed {
			t.Errorf("%s: %q does not occur in %s", f.name, f.old, f.file)
			continue
		}
		quiet := c
		quiet.args = []string{"-std=c99", "-O1", "-w"}
		out, err := runC(t, quiet, []project{{files: bad}})
		if err == nil || !strings.Contains(out, "FAIL: output") {
			t.Errorf("%s: the testbench did not notice: %v\n%s", f.name, err, out)
		}
	}
}
