package onnx

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"quern/frontend/onnx/onnxpb"
)

// largeModel writes a chain of MatMul of about 100 MB in 25 weights and returns the size of all its files. form says how the file keeps
// the weights: raw, typed or external.
func largeModel(tb testing.TB, dir, form string) (path string, size int64) {
	const n, dim = 25, 1024
	text := fmt.Sprintf("in x0 f32[N,%d]\n", dim)
	for i := range n {
		text += fmt.Sprintf("x%d = MatMul(x%d, w%d)\n", i+1, i, i)
	}
	m := parseModel(tb, text+fmt.Sprintf("out x%d", n))
	data := make([]float32, dim*dim)
	for i := range data {
		data[i] = float32(i%97-48) / 4096
	}
	var beside []byte
	for i := range n {
		t, err := onnxpb.Encode(fmt.Sprintf("w%d", i), &onnxpb.Data{Type: int32(onnxpb.TensorProto_FLOAT), Dims: []int{dim, dim}, F32: data})
		if err != nil {
			tb.Fatal(err)
		}
		switch form {
		case "typed":
			t.RawData, t.FloatData = nil, data
		case "external":
			t.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
			for _, kv := range [][2]string{{"location", "m.data"}, {"offset", strconv.Itoa(len(beside))}, {"length", strconv.Itoa(len(t.RawData))}} {
				t.ExternalData = append(t.ExternalData, &onnxpb.StringStringEntryProto{Key: &kv[0], Value: &kv[1]})
			}
			beside = append(beside, t.RawData...)
			t.RawData = nil
		}
		m.Graph.Initializer = append(m.Graph.Initializer, t)
	}
	path = filepath.Join(dir, "m.onnx")
	if err := onnxpb.WriteFile(path, m); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "m.data"), beside, 0o666); err != nil {
		tb.Fatal(err)
	}
	return path, int64(proto.Size(m) + len(beside))
}

// BenchmarkImport100MB imports in a process of its own each time. peak-B/B is the most memory that it ever had, as the system counts it
// (all of it: the program, too), for each byte of the model; cpu-s is user and system time, which a busy machine does not change.
// Wanted: under 2 s and under 3.
func BenchmarkImport100MB(b *testing.B) {
	for _, form := range []string{"raw", "typed", "external"} {
		b.Run(form, func(b *testing.B) {
			path, size := largeModel(b, b.TempDir(), form)
			b.SetBytes(size)
			var peak, took, cpu float64
			for b.Loop() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestImportChild$", "-test.v")
				cmd.Env = append(os.Environ(), "QUERN_IMPORT_CHILD="+path)
				out, err := cmd.CombinedOutput()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				_, line, _ := strings.Cut(string(out), "child: ")
				var kB, s float64
				if _, err := fmt.Sscanf(line, "%f kB %f s", &kB, &s); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				peak, took = math.Max(peak, kB*1024), took+s
				cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			}
			b.ReportMetric(peak/float64(size), "peak-B/B")
			b.ReportMetric(took/float64(b.N), "import-s/op")
			b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
		})
	}
}

// TestImportChild is the child of BenchmarkImport100MB.
func TestImportChild(t *testing.T) {
	path := os.Getenv("QUERN_IMPORT_CHILD")
	if path == "" {
		t.Skip("only for BenchmarkImport100MB")
	}
	start := time.Now()
	g, err := Import(path, Options{})
	if err != nil || len(g.Nodes) != 25 {
		t.Fatal(g, err)
	}
	took := time.Since(start)
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, kB, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Printf("child: %s kB %f s\n", strings.Fields(kB)[0], took.Seconds())
}
