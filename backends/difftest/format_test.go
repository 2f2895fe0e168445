// The files between quantize and compile: the same program out of either format, at every width.
package difftest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/frontend/onnx"
	"quern/ir"
	"quern/ir/hw"
	"quern/ir/irtest"
	"quern/ir/irtext"
	"quern/ir/tensor"
	"quern/passes"
	"quern/passes/lower"
	"quern/passes/quant"
)

// throughFiles checks that a file of either format holds the same program: the artefact between quantize and compile is a file.
func throughFiles(t testing.TB, g *ir.Graph, prog *hw.Program) {
	t.Helper()
	for _, f := range []onnx.Format{onnx.QDQ, onnx.QONNX} {
		p, err := onnx.ToProto(g, f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := onnx.FromProto(p, "random.onnx", onnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := passes.Run(back, nil); err != nil {
			t.Fatal(err)
		}
		again, err := lower.Lower(back, lower.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := prog.String(), again.Prog.String(); a != b {
			t.Fatalf("the program changed on its way through a file in format %s:\n%s\nbecame\n%s", f, a, b)
		}
	}
}

// TestWidths: every width from 2 to 16 on LeNet, ConvNet and a residual net, weights and activations alike and apart.
func TestWidths(t *testing.T) {
	images, _ := cifar10(t, "../../testdata/data/cifar10/test_batch.bin", 2, false)
	model := func(name string) *ir.Graph {
		g, err := onnx.Import("../../testdata/models/"+name+".onnx", onnx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	res := residual(t)
	for _, c := range []struct {
		name string
		g    *ir.Graph
		in   [][]*tensor.T
	}{
		{"LeNet", model("lenet_e40"), images},
		{"ConvNet", model("convnet_e10"), images},
		{"residual", res, irtest.RandomInputs(rand.New(rand.NewPCG(2, 2)), res, 4)},
	} {
		if err := passes.Run(c.g, nil); err != nil {
			t.Fatal(err)
		}
		ranges := calibrated(t, c.g, c.in)
		programs := map[string]bool{}
		for bits := 2; bits <= 16; bits++ {
			for _, b := range []quant.Bits{{W: bits, A: bits}, {W: bits, A: 18 - bits}} {
				g := c.g.Clone()
				p := integers(t, g, quant.Config{Bits: b, Range: ranges})
				throughFiles(t, g, p)
				programs[p.String()] = true
			}
		}
		if len(programs) != 29 { // W9 A9 twice
			t.Errorf("%s: %d programs, want 29", c.name, len(programs))
		}
	}
}

// residual is a small net with random weights: a skip connection around two layers, one through a layer of its own, a Concat, a Relu that
// two read, an average.
func residual(t testing.TB) *ir.Graph {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) string {
		s := make([]string, n)
		for i := range s {
			s[i] = fmt.Sprintf("%.4f", r.NormFloat64()/3)
		}
		return "[" + strings.Join(s, " ") + "]"
	}
	g, err := irtext.Parse("residual.ir", []byte(`graph residual(%x f32[N,3,8,8]) {
		const %wa f32[4,3,3,3] = `+random(108)+`
		const %ba f32[4] = `+random(4)+`
		const %wb f32[4,4,3,3] = `+random(144)+`
		const %bb f32[4] = `+random(4)+`
		const %wc f32[4,4,3,3] = `+random(144)+`
		const %wd f32[8,4,1,1] = `+random(32)+`
		const %we f32[8,4,3,3] = `+random(288)+`
		const %be f32[8] = `+random(8)+`
		const %wf f32[5,12] = `+random(60)+`
		const %bf f32[5] = `+random(5)+`
		%a f32[N,4,8,8] = Conv<pads=[1,1,1,1]>(%x, %wa, %ba)
		%ar f32[N,4,8,8] = Relu(%a)
		%b f32[N,4,8,8] = Conv<pads=[1,1,1,1]>(%ar, %wb, %bb)
		%br f32[N,4,8,8] = Relu(%b)
		%c f32[N,4,8,8] = Conv<pads=[1,1,1,1]>(%br, %wc)
		%s f32[N,4,8,8] = Add(%c, %ar)
		%sr f32[N,4,8,8] = Relu(%s)
		%d f32[N,8,4,4] = Conv<strides=[2,2]>(%sr, %wd)
		%e f32[N,8,4,4] = Conv<pads=[1,1,1,1],strides=[2,2]>(%sr, %we, %be)
		%u f32[N,8,4,4] = Add(%d, %e)
		%m f32[N,4,4,4] = MaxPool<kernel_shape=[2,2],strides=[2,2]>(%sr)
		%k f32[N,12,4,4] = Concat<axis=1>(%u, %m)
		%p f32[N,12,1,1] = GlobalAveragePool(%k)
		%f f32[N,12] = Flatten(%p)
		%y f32[N,5] = Gemm<transB=true>(%f, %wf, %bf)
		return %y
	}`))
	if err != nil {
		t.Fatal(err)
	}
	return g
}
