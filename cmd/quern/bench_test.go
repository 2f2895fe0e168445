package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quern/frontend/onnx/onnxpb"
)

// keys are the paths of an object of JSON; elements of arrays have one path together.
func keys(v any, path string, to map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			keys(x, path+"."+k, to)
		}
	case []any:
		for _, x := range v {
			keys(x, path+"[]", to)
		}
	default:
		to[path] = true
	}
}

func benchJSON(t *testing.T, args ...string) map[string]any {
	t.Helper()
	var out, errw strings.Builder
	args = append([]string{"quern", "bench", "--json", "--runs", "3", "--seconds", "0.005"}, args...)
	if code := run(context.Background(), args, strings.NewReader(""), &out, &errw); code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, errw.String())
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(out.String()), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBenchSchema: other programs read these keys; times are positive and the layers are those of the program.
func TestBenchSchema(t *testing.T) {
	model, data := filepath.Join(t.TempDir(), "q.onnx"), "../../testdata/data/mnist/t10k-images-idx3-ubyte.gz"
	var errw strings.Builder
	if run(context.Background(), strings.Fields("quern quantize ../../testdata/models/lenet_mnist_e10.onnx --calib "+data+" --calib-limit 20 -o "+model), strings.NewReader(""), &errw, &errw) != 0 {
		t.Fatal(errw.String())
	}
	v := benchJSON(t, "--data", data, "--limit", "9", model)
	got := map[string]bool{}
	keys(v, "", got)
	var want []string
	for _, k := range strings.Fields(`.model .backend .macs .data .images .runs .seconds .top1 .peak_memory_bytes
		.machine.cpu .machine.cores .machine.os .machine.arch .machine.kernels .machine.go .machine.quern .machine.load_before .machine.load_after
		.throughput[].threads .throughput[].images_per_second* .throughput[].images_per_cpu_second* .latency_us.median* .latency_us.p90*
		.peaks[].bits .peaks[].kernel .peaks[].gops* .layers[].name .layers[].kind .layers[].macs .layers[].ns* .layers[].gops .layers[].percent_of_peak
		.layers[].percent_of_time .rest_ns*`) {
		if k, three := strings.CutSuffix(k, "*"); three {
			want = append(want, k+".median", k+".q1", k+".q3")
		} else {
			want = append(want, k)
		}
	}
	for _, k := range want {
		if !got[k] {
			t.Errorf("%s is missing", k)
		}
		delete(got, k)
	}
	for k := range got {
		t.Errorf("%s is new: add it to the test", k)
	}
	macs := 0.0
	for _, l := range v["layers"].([]any) {
		l := l.(map[string]any)
		macs += l["macs"].(float64)
		if ns := l["ns"].(map[string]any); !(ns["q1"].(float64) > 0 && ns["q1"].(float64) <= ns["median"].(float64) && ns["median"].(float64) <= ns["q3"].(float64)) {
			t.Errorf("layer %v: times %v, want ascending positive numbers", l["name"], ns)
		}
	}
	if macs != v["macs"].(float64) || macs != 416520 {
		t.Errorf("%v MACs in layers, %v in all, want 416520", macs, v["macs"])
	}
}

// TestBenchNoNode: without node the rival cannot run, and that is said.
func TestBenchNoNode(t *testing.T) {
	t.Setenv("PATH", "")
	var out, errw strings.Builder
	args := strings.Fields("quern bench --limit 3 --rival onnxruntime ../../testdata/models/lenet_mnist_e10.onnx")
	if code := run(context.Background(), args, strings.NewReader(""), &out, &errw); code != 1 || !strings.Contains(errw.String(), "needs node") || out.Len() > 0 {
		t.Errorf("exit code %d, %q", code, errw.String())
	}
}

// TestBenchRival needs node and the folder that QUERN_ORT names: onnxruntime finds the same classes, at both batches, of a model
// whose batch is fixed.
func TestBenchRival(t *testing.T) {
	_, err := exec.LookPath("node")
	if os.Getenv("QUERN_ORT") == "" || err != nil {
		if os.Getenv("QUERN_REQUIRE_ORT") != "" {
			t.Fatal("QUERN_ORT does not name a folder with node_modules/onnxruntime-node, or there is no node")
		}
		t.Skip("no onnxruntime")
	}
	m, err := onnxpb.ReadFile("../../testdata/models/lenet_mnist_e10.onnx")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range append(slices.Clone(m.Graph.Input), m.Graph.Output...) {
		v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 1}
	}
	model := filepath.Join(t.TempDir(), "one.onnx")
	if err := onnxpb.WriteFile(model, m); err != nil {
		t.Fatal(err)
	}
	v := benchJSON(t, "--data", "../../testdata/data/mnist/t10k-images-idx3-ubyte.gz", "--limit", "70", "--rival", "onnxruntime", model)["rival"].(map[string]any)
	if v["same_class_percent"].(float64) != 100 || v["model"] != "one.onnx" || len(v["cases"].([]any))%len(rivalBatches) != 0 {
		t.Errorf("got %v", v)
	}
	var out, errw strings.Builder
	if code := run(context.Background(), []string{"quern", "bench", "--rival", "onnxruntime", "--ort", t.TempDir(), model}, strings.NewReader(""), &out, &errw); code != 1 || !strings.Contains(errw.String(), "npm install onnxruntime-node") {
		t.Errorf("with a folder that has no onnxruntime: exit code %d, %q", code, errw.String())
	}
}

// TestQuantile: interpolated, as in R's type 7.
func TestQuantile(t *testing.T) {
	for _, c := range []struct {
		x    []float64
		want spread
	}{
		{[]float64{3}, spread{3, 3, 3}}, {[]float64{4, 1, 2, 3}, spread{2.5, 1.75, 3.25}}, {[]float64{123456, 123456, 0}, spread{123460, 61728, 123460}},
	} {
		if got := spreadOf(c.x); got != c.want {
			t.Errorf("spreadOf(%v) = %+v, want %+v", c.x, got, c.want)
		}
	}
}
