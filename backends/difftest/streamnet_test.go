package difftest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/frontend/onnx"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
	"quern/ir/irtest"
	"quern/ir/tensor"
	"quern/passes/fold"
	"quern/passes/quant"
)

// streamed prints a design with vectors of the simulator; the text must keep to the rules of the tools.
func streamed(t testing.TB, d *stream.Design, top string, vs []hls.Vector) project {
	t.Helper()
	files, err := hls.Emit(d.Prog, hls.Options{Style: "stream", Top: top, Design: d, Vectors: vs})
	if err != nil {
		t.Fatal(err)
	}
	if err := hls.Check(files); err != nil {
		t.Fatalf("%s: %v", top, err)
	}
	n := 0
	for _, v := range vs {
		for _, o := range v.Out {
			n += len(o)
		}
	}
	return newProject(files, n, len(vs))
}

// TestStreamGraphs: random graphs, quantized at random widths and folded at random, as streaming C++ against the simulator. QUERN_LONG
// runs 200, else there are a few.
func TestStreamGraphs(t *testing.T) {
	cs := cxx(t)
	n, batch := 10, 10
	if os.Getenv("QUERN_LONG") != "" {
		n = 200
	}
	for first := 0; first < n; first += batch {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			t.Parallel()
			var ps []project
			want, values, bits := "", 0, 0
			for i := first; i < first+batch; i++ {
				r := rand.New(rand.NewPCG(uint64(i), 9))
				g := irtest.RandomGraph(r, irtest.GraphOptions{Partial: true})
				in := irtest.RandomInputs(r, g, 2)
				c := quant.Config{Bits: quant.Bits{W: 2 + r.IntN(15), A: min(2+r.IntN(15), 12)}, PerTensor: r.IntN(4) == 0, Pow2: r.IntN(4) == 0,
					Symmetric: r.IntN(4) == 0, InputBits: 2 + r.IntN(15), OutputBits: 2 + r.IntN(15)} // tables over more than 12 bits make large files
				_, p := quantized(t, g, in, c)
				d, err := stream.Build(p, randomFolds(r, p))
				if err != nil {
					t.Fatalf("graph %d: %v", i, err)
				}
				pr := streamed(t, d, fmt.Sprintf("g%d", i), testVectors(t, p, in))
				ps = append(ps, pr)
				want += pr.want
				values += pr.n
				bits += pr.n * p.Outputs[0].Range.Bits()
			}
			for _, c := range cs {
				if got, err := runC(t, c, ps); err != nil || got != want {
					t.Fatalf("%s: graphs %d..%d: %v\n%s", c.path, first, first+batch-1, err, got)
				}
			}
			t.Logf("%d values, %d bits equal with %d compilers", values, bits, len(cs))
		})
	}
}

// foldedNetwork quantizes a model and folds it to be as fast as fits a part. Results of 4 bits and fewer are counted with thresholds.
func foldedNetwork(t testing.TB, path string, bits int, in [][]*tensor.T, device string) *stream.Design {
	t.Helper()
	g, err := onnx.Import(path, onnx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: bits, A: bits}})
	d, err := part.Find(device)
	if err != nil {
		t.Fatal(err)
	}
	folds, err := fold.Search(p, fold.Options{Part: d, ClockNS: 10})
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.Build(p, withThresholds(folds))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStreamNetworks: trained networks on images, folded for a part. With QUERN_LONG there is ConvNet beside LeNet, and QUERN_MODELS
// names a folder with cifar10_resnet8_mlperf.onnx and mlperf_vww96_mobilenet.onnx of MLPerf Tiny, which are left out without it.
func TestStreamNetworks(t *testing.T) {
	t.Parallel()
	cs := cxx(t)
	type network struct {
		path, part string
		images     int
		raw        bool
		size       int // 0: as CIFAR-10 has it
	}
	nets := []network{{"../../testdata/models/lenet_e400.onnx", "xc7z020clg400-1", 8, false, 0}}
	if os.Getenv("QUERN_LONG") != "" {
		nets = append(nets, network{"../../testdata/models/convnet_e40.onnx", "xc7z020clg400-1", 8, false, 0})
	}
	if dir := os.Getenv("QUERN_MODELS"); dir != "" {
		nets = append(nets, network{filepath.Join(dir, "cifar10_resnet8_mlperf.onnx"), "xczu7ev-ffvc1156-2-e", 2, true, 0},
			network{filepath.Join(dir, "mlperf_vww96_mobilenet.onnx"), "xczu7ev-ffvc1156-2-e", 1, true, 96})
	}
	for _, n := range nets {
		for _, bits := range []int{4, 8} {
			name := strings.TrimSuffix(filepath.Base(n.path), ".onnx")
			t.Run(fmt.Sprintf("%s_int%d", name, bits), func(t *testing.T) {
				in, _ := cifar10(t, "../../testdata/data/cifar10/test_batch.bin", n.images, n.raw)
				if n.size > 0 {
					in = enlarged(in, n.size)
				}
				d := foldedNetwork(t, n.path, bits, in, n.part)
				pr := streamed(t, d, name, testVectors(t, d.Prog, in))
				lines, rom := 0, 0
				for _, f := range pr.files {
					switch f.Name {
					case name + ".cpp":
						lines = bytes.Count(f.Data, []byte("\n"))
					case "weights.h":
						rom = len(f.Data)
					}
				}
				for _, c := range cs {
					exe, built := buildC(t, c.optimized(), []project{pr})
					cmd := exec.Command(exe)
					out, err := cmd.CombinedOutput()
					if err != nil || string(out) != pr.want {
						t.Fatalf("%s: %v\n%s", c.path, err, out)
					}
					t.Logf("%s: %d values, %d bits equal; %d stages, %d lines, %d bytes of weights.h; %.1f s of user time to build, %.2f s to run",
						filepath.Base(c.path), pr.n, pr.n*d.Prog.Outputs[0].Range.Bits(), len(d.Stages), lines, rom, built.Seconds(), cmd.ProcessState.UserTime().Seconds())
				}
			})
		}
	}
}

// enlarged are images of n by n pixels, each pixel of the given ones repeated.
func enlarged(in [][]*tensor.T, n int) [][]*tensor.T {
	var out [][]*tensor.T
	for _, x := range in {
		s := x[0].Shape
		y := tensor.New(tensor.F32, 1, s[1], n, n)
		for i := range y.F {
			c, row, col := i/n/n, i/n%n, i%n
			y.F[i] = x[0].F[(c*s[2]+row*s[2]/n)*s[3]+col*s[3]/n]
		}
		out = append(out, []*tensor.T{y})
	}
	return out
}
