// Exported files in onnxruntime, and in onnx.checker.
package difftest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"

	"quern/backends/interp"
	"quern/backends/sim"
	"quern/frontend/onnx"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtest"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/quant"
)

// ortJob is a job of testdata/ort.js.
type ortJob struct {
	Model    string `json:"model"`
	Input    string `json:"input"`
	Samples  int    `json:"samples"`
	Shape    []int  `json:"shape"`
	Optimize string `json:"optimize"`
	Output   string `json:"output"`
}

// requireORT is the folder with onnxruntime-node that QUERN_ORT names. Without it tests skip; QUERN_REQUIRE_ORT makes that a failure.
func requireORT(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("QUERN_ORT")
	_, err := exec.LookPath("node")
	if dir != "" && err == nil {
		return dir
	}
	msg := "QUERN_ORT does not name a folder with node_modules/onnxruntime-node, or there is no node"
	if os.Getenv("QUERN_REQUIRE_ORT") != "" {
		t.Fatal(msg)
	}
	t.Skip(msg)
	return ""
}

// runORT runs files of both formats, without and with onnxruntime's optimizations, on the samples; it returns the output of each job.
func runORT(t testing.TB, dir string, gs []*ir.Graph, in [][][]*tensor.T) (names []string, outs [][]float32) {
	t.Helper()
	tmp := t.TempDir()
	var jobs []ortJob
	for i, g := range gs {
		var raw []byte
		for _, x := range in[i] {
			for _, f := range x[0].F {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
			}
		}
		input := filepath.Join(tmp, fmt.Sprintf("%d.in", i))
		if err := os.WriteFile(input, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, f := range []onnx.Format{onnx.QDQ, onnx.QONNX} {
			model := filepath.Join(tmp, fmt.Sprintf("%d.%s.onnx", i, f))
			if err := onnx.Export(model, g, f); err != nil {
				t.Fatal(err)
			}
			for _, o := range []string{"disabled", "all"} {
				names = append(names, fmt.Sprintf("%s, optimizations %s", f, o))
				jobs = append(jobs, ortJob{model, input, len(in[i]), in[i][0][0].Shape, o, fmt.Sprintf("%s.%s.out", model, o)})
			}
		}
	}
	list, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tmp, "jobs.json")
	if err := os.WriteFile(file, list, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("node", "testdata/ort.js", dir, file).CombinedOutput(); err != nil {
		t.Fatalf("onnxruntime: %v\n%s", err, out)
	}
	for _, j := range jobs {
		b, err := os.ReadFile(j.Output)
		if err != nil {
			t.Fatal(err)
		}
		y := make([]float32, len(b)/4)
		for i := range y {
			y[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
		outs = append(outs, y)
	}
	return names, outs
}

// simulated and interpreted are the outputs of the first port, as reals in the model's layout.
func simulated(t testing.TB, p *hw.Program, in [][]*tensor.T) (y []float32) {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	for _, x := range in {
		r, err := s.RunFloat([][]float32{x[0].F})
		if err != nil {
			t.Fatal(err)
		}
		y = append(y, r[0]...)
	}
	return y
}

func interpreted(t testing.TB, g *ir.Graph, in [][]*tensor.T) (y []float32) {
	t.Helper()
	m, err := interp.New(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range in {
		r, err := m.Run(x, nil)
		if err != nil {
			t.Fatal(err)
		}
		y = append(y, r[0].F...)
	}
	return y
}

// cut makes the named value the only output of a graph: what the host computes behind the hardware goes.
func cut(t testing.TB, g *ir.Graph, name string) {
	t.Helper()
	for _, v := range g.Values() {
		if v.Name == name {
			g.Outputs = []*ir.Value{v}
		}
	}
	if err := passes.Run(g, nil, "dce"); err != nil {
		t.Fatal(err)
	}
}

// steps counts outputs by their distance in steps of the output's scale; the last entry is four and more.
func steps(t testing.TB, a, b []float32, scale float64) (h [5]int) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%d outputs, want %d", len(a), len(b))
	}
	for i := range a {
		h[int(min(4, math.Round(math.Abs(float64(a[i])-float64(b[i]))/scale)))]++
	}
	return h
}

func top1(y []float32, class []int) float64 {
	n, good := len(y)/len(class), 0
	for i, c := range class {
		best := 0
		for k := range n {
			if y[i*n+k] > y[i*n+best] {
				best = k
			}
		}
		if best == c {
			good++
		}
	}
	return 100 * float64(good) / float64(len(class))
}

// TestOnnxruntimeImages compares networks on real images: interpreter, simulator and both formats in onnxruntime. A step more or less
// in an early layer may be several in the last one, so what holds is that few outputs are far apart, and that the accuracy is the same.
//
// QUERN_CIFAR10 names a folder with CIFAR-10's test_batch.bin, else the 200 images of testdata are taken; QUERN_IMAGES is how many (1000).
// QUERN_MODELS may name a folder with cifar10_resnet8_mlperf.onnx.
func TestOnnxruntimeImages(t *testing.T) {
	dir := requireORT(t)
	n, batch := 1000, "../../testdata/data/cifar10/test_batch.bin"
	if s := os.Getenv("QUERN_IMAGES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("QUERN_IMAGES=%q: want a number of images", s)
		}
	}
	if d := os.Getenv("QUERN_CIFAR10"); d != "" {
		batch = filepath.Join(d, "test_batch.bin")
	}
	nets := []struct {
		file string
		raw  bool
	}{{"../../testdata/models/lenet_e400.onnx", false}, {"../../testdata/models/convnet_e40.onnx", false}}
	if d := os.Getenv("QUERN_MODELS"); d != "" {
		nets = append(nets, nets[0])
		nets[2].file, nets[2].raw = filepath.Join(d, "cifar10_resnet8_mlperf.onnx"), true
	}
	for _, net := range nets {
		name := strings.TrimSuffix(filepath.Base(net.file), ".onnx")
		images, class := cifar10(t, batch, n, net.raw)
		calibration, _ := cifar10(t, "../../testdata/data/cifar10/data_batch_1.bin", 100, net.raw)
		float, err := onnx.Import(net.file, onnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := passes.Run(float, nil); err != nil {
			t.Fatal(err)
		}
		ranges := calibrated(t, float, calibration)
		for _, b := range []quant.Bits{{W: 4, A: 8}, {W: 5, A: 7}, {W: 8, A: 8}, {W: 16, A: 16}} {
			g := float.Clone()
			p := integers(t, g, quant.Config{Bits: b, Range: ranges})
			cut(t, g, p.Outputs[0].Port.Name)
			scale := p.Outputs[0].Port.Quant.Scale[0]
			want := simulated(t, p, images)
			y := interpreted(t, g, images)
			good := top1(want, class)
			t.Logf("%s W%d A%d, %d images: simulator top-1 %.2f", name, b.W, b.A, len(class), good)
			report := func(what string, y []float32) {
				h := steps(t, y, want, scale)
				have := top1(y, class)
				t.Logf("  %s: top-1 %.2f; %v outputs 0, 1, 2, 3, 4 and more steps from the simulator", what, have, h)
				if far := len(want) / 50; h[3]+h[4] > far {
					t.Errorf("%s W%d A%d, %s: more than %d of %d outputs are 3 or more steps apart", name, b.W, b.A, what, far, len(want))
				}
				if math.Abs(have-good) > max(1, 200/float64(len(class))) {
					t.Errorf("%s W%d A%d, %s: top-1 %.2f, simulator %.2f", name, b.W, b.A, what, have, good)
				}
			}
			report("interpreter", y)
			names, outs := runORT(t, dir, []*ir.Graph{g}, [][][]*tensor.T{images})
			for i, what := range names {
				if b.W == 8 && what == "qdq, optimizations all" && !cpu.X86.HasAVX512VNNI && !cpu.X86.HasAVXVNNI {
					// Its kernels add two products of 8 bits in 16 bits, which saturates; session.x64quantprecision, which is to mend that, fails on ConvNet.
					t.Logf("  onnxruntime %s: top-1 %.2f; inexact without VNNI, not compared", what, top1(outs[i], class))
					continue
				}
				report("onnxruntime "+what, outs[i])
			}
		}
	}
}

// TestOnnxruntimeGraphs: onnxruntime takes files of both formats at any widths, whether it optimizes or not, and means the same by them.
func TestOnnxruntimeGraphs(t *testing.T) {
	dir := requireORT(t)
	n := 40
	if s := os.Getenv("QUERN_LONG"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	var gs []*ir.Graph
	var ins [][][]*tensor.T
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		in := irtest.RandomInputs(r, g, 4)
		if err := passes.Run(g, nil); err != nil {
			t.Fatal(err)
		}
		c := quant.Config{Range: calibrated(t, g, in), InputBits: 2 + r.IntN(15), PerTensor: r.IntN(4) == 0, Pow2: r.IntN(4) == 0,
			Symmetric: r.IntN(4) == 0, Bits: quant.Bits{W: 2 + r.IntN(15), A: 2 + r.IntN(15)}}
		c.A = min(c.A, 12)               // tables
		c.OutputBits = 2 + r.IntN(c.A-1) // or one step inside would be many outside
		integers(t, g, c)
		gs, ins = append(gs, g), append(ins, in)
	}
	names, outs := runORT(t, dir, gs, ins)
	var total [5]int
	for i, g := range gs {
		want := interpreted(t, g, ins[i])
		for k := range 4 {
			h := steps(t, outs[4*i+k], want, g.Outputs[0].Type.Quant.Scale[0])
			for j := range h {
				total[j] += h[j]
			}
			if h[4] > len(want)/4 {
				t.Errorf("graph %d, %s: %v outputs 0, 1, 2, 3, 4 and more steps from the interpreter", i, names[4*i+k], h)
			}
		}
	}
	t.Logf("%d graphs, 2 formats, with and without optimizations: %v outputs 0, 1, 2, 3, 4 and more steps from the interpreter", n, total)
}

// TestChecker has python3-onnx check files of both formats, as far as it knows their opset; QUERN_REQUIRE_CHECKER makes its absence a failure.
func TestChecker(t *testing.T) {
	python := "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import onnx").Run(); err != nil {
		if os.Getenv("QUERN_REQUIRE_CHECKER") != "" {
			t.Fatalf("%s has no module onnx: %v", python, err)
		}
		t.Skip("no python3-onnx")
	}
	dir := t.TempDir()
	for seed := range 12 {
		r := rand.New(rand.NewPCG(uint64(seed), 6))
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		in := irtest.RandomInputs(r, g, 2)
		if err := passes.Run(g, nil); err != nil {
			t.Fatal(err)
		}
		// 5 to 8 bits: the types of opset 13
		integers(t, g, quant.Config{Range: calibrated(t, g, in), Bits: quant.Bits{W: 5 + r.IntN(4), A: 5 + r.IntN(4)}})
		for _, f := range []onnx.Format{onnx.QDQ, onnx.QONNX} {
			if err := onnx.Export(filepath.Join(dir, fmt.Sprintf("%d.%s.onnx", seed, f)), g, f); err != nil {
				t.Fatal(err)
			}
		}
	}
	const script = `
import glob, onnx, sys
n = skipped = 0
for f in sorted(glob.glob(sys.argv[1] + '/*.onnx')):
    m = onnx.load(f)
    if m.opset_import[0].version > onnx.defs.onnx_opset_version():
        skipped += 1
        continue
    onnx.checker.check_model(m, full_check=True)
    n += 1
print(n, skipped)
`
	out, err := exec.Command(python, "-c", script, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var checked, skipped int
	if _, err := fmt.Sscan(string(out), &checked, &skipped); err != nil || checked < 12 {
		t.Errorf("checked and skipped: %s, want at least 12 checked", out)
	}
}
