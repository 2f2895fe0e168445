package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
)

// BenchmarkStartup runs the built program: the process, the initialization of all packages, and a line of output.
func BenchmarkStartup(b *testing.B) {
	exe := filepath.Join(b.TempDir(), "quern")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var cpu time.Duration
	for b.Loop() {
		var out strings.Builder
		cmd := exec.Command(exe, "version")
		cmd.Stdout = &out
		if err := cmd.Run(); err != nil || out.String() != "quern "+version+"\n" {
			b.Fatalf("%v: %q", err, out.String())
		}
		cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	b.ReportMetric(cpu.Seconds()*1e3/float64(b.N), "cpu-ms/op")
}

// quernOK runs a command and returns what it prints.
func quernOK(b *testing.B, args ...string) string {
	b.Helper()
	var out, errw strings.Builder
	if code := run(context.Background(), append([]string{"quern"}, args...), strings.NewReader(""), &out, &errw); code != 0 {
		b.Fatalf("%v: exit code %d: %s", args, code, errw.String())
	}
	return out.String()
}

// BenchmarkInfo reads a model of 5 MB: 5 convolutions of 160 channels.
func BenchmarkInfo(b *testing.B) {
	const layers, c = 5, 160
	value := func(name string) *onnxpb.ValueInfoProto {
		shape := &onnxpb.TensorShapeProto{}
		for _, d := range []int64{1, c, 16, 16} {
			shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}})
		}
		return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Shape: shape}}}}
	}
	g := &onnxpb.GraphProto{Name: proto.String("wide"), Input: []*onnxpb.ValueInfoProto{value("v0")}, Output: []*onnxpb.ValueInfoProto{value(fmt.Sprint("v", layers))}}
	for i := range layers {
		w := &onnxpb.Data{Type: int32(onnxpb.TensorProto_FLOAT), Dims: []int{c, c, 3, 3}, F32: make([]float32, c*c*9)}
		for k := range w.F32 {
			w.F32[k] = float32(k%511-255) / 4096
		}
		t, err := onnxpb.Encode(fmt.Sprint("w", i), w)
		if err != nil {
			b.Fatal(err)
		}
		g.Initializer = append(g.Initializer, t)
		pads := &onnxpb.AttributeProto{Name: proto.String("pads"), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: []int64{1, 1, 1, 1}}
		g.Node = append(g.Node, &onnxpb.NodeProto{OpType: proto.String("Conv"), Input: []string{fmt.Sprint("v", i), fmt.Sprint("w", i)}, Output: []string{fmt.Sprint("v", i+1)}, Attribute: []*onnxpb.AttributeProto{pads}})
	}
	m := &onnxpb.ModelProto{IrVersion: proto.Int64(8), Graph: g, OpsetImport: []*onnxpb.OperatorSetIdProto{{Domain: proto.String(""), Version: proto.Int64(13)}}}
	file := filepath.Join(b.TempDir(), "wide.onnx")
	if err := onnxpb.WriteFile(file, m); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		quernOK(b, "info", file)
	}
}

// BenchmarkCompile turns int-8 networks into projects of both styles: LeNet, and ResNet-8 and ResNet-20 where QUERN_MODELS names a folder with
// the public models. Of style stream it reports what it reached in that time, too.
func BenchmarkCompile(b *testing.B) {
	nets := [][]string{{"LeNet", "../../testdata/models/lenet_e400.onnx"}}
	if dir := os.Getenv("QUERN_MODELS"); dir != "" {
		nets = append(nets, []string{"ResNet8", filepath.Join(dir, "cifar10_resnet8_mlperf.onnx"), "--scale", "1"},
			[]string{"ResNet20", filepath.Join(dir, "cifar10_akamaster_resnet20_unfolded_bn.onnx"), "--mean", ".485,.456,.406", "--std", ".229,.224,.225"})
	}
	for _, net := range nets {
		model := filepath.Join(b.TempDir(), "q.onnx")
		quernOK(b, append([]string{"quantize", "--calib", "../../testdata/data/cifar10:train", "--calib-limit", "50", "-o", model}, net[1:]...)...)
		for _, style := range []string{"c99", "stream"} {
			b.Run(net[0]+"/"+style, func(b *testing.B) {
				dir := b.TempDir()
				var r compileReport
				for b.Loop() {
					if err := json.Unmarshal([]byte(quernOK(b, "compile", model, "--style", style, "-o", dir, "--json")), &r); err != nil {
						b.Fatal(err)
					}
				}
				if r.Stream != nil {
					b.ReportMetric(float64(r.Stream.Interval), "cycles")
					b.ReportMetric(float64(r.Stream.FIFOBits), "FIFO-bits")
				}
			})
		}
	}
}
