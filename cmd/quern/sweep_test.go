package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/passes/quant"
)

const (
	mnistModel = "../../testdata/models/lenet_mnist_e10.onnx"
	mnistTest  = "../../testdata/data/mnist/t10k-images-idx3-ubyte.gz"
	mnistTrain = "../../testdata/data/mnist/train-images-idx3-ubyte.gz"
)

// quern runs a command that must work and returns its stdout.
func quern(t *testing.T, args ...string) string {
	t.Helper()
	var out, errw strings.Builder
	if code := run(context.Background(), append([]string{"quern"}, args...), strings.NewReader(""), &out, &errw); code != 0 || errw.Len() > 0 {
		t.Fatalf("quern %s: exit code %d, stderr %q", strings.Join(args, " "), code, errw.String())
	}
	return out.String()
}

// TestSweepResumes: a result in the folder is taken as it is where model, options and data are the same, and measured anew where not.
func TestSweepResumes(t *testing.T) {
	dir := t.TempDir()
	args := []string{"sweep", mnistModel, "--calib", mnistTrain, "--calib-limit", "30", "--data", mnistTest, "--limit", "40", "--bits", "3,4/8", "-o", dir}
	first := quern(t, args...)
	files := map[string]string{}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, name := range []string{"sweep.json", "sweep.csv", "sweep.md", "sweep.html"} {
		files[name] = read(name)
	}
	if first != files["sweep.md"] {
		t.Errorf("stdout is\n%s\nsweep.md is\n%s", first, files["sweep.md"])
	}
	var f sweepFile
	edit := func(top1 float64) {
		if err := json.Unmarshal([]byte(files["sweep.json"]), &f); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.Rows {
			r.Test.Top1 = top1
		}
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sweep.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit(12.25)
	if len(f.Rows) != 3 || !f.Complete || len(f.Rows[2].Layers) != 6 || len(f.Rows[0].Layers) != 0 {
		t.Fatalf("sweep.json has %d rows, complete %v: want float, int-3 and W4A8, with 6 layers", len(f.Rows), f.Complete)
	}
	for _, c := range []struct {
		name  string
		more  []string
		fresh int // columns that are measured: float does not depend on how the rest is quantized
	}{
		{"same", nil, 0},
		{"observer", []string{"--observer", "mse"}, 2},
		{"calibration", []string{"--calib-limit", "31"}, 2},
		{"data", []string{"--limit", "41"}, 3},
		{"widths", []string{"--bits", "3,5"}, 1},
	} {
		edit(12.25)
		got := quern(t, append(args, c.more...)...)
		if n := 3 - strings.Count(got, " 12.25 |"); n != c.fresh {
			t.Errorf("%s: %d widths measured, want %d:\n%s", c.name, n, c.fresh, got)
		}
	}
	for name := range files { // and the same bytes again from the beginning
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	quern(t, args...)
	for name, want := range files {
		if got := read(name); got != want {
			t.Errorf("%s differs from one run to the next", name)
		}
	}
}

// TestWidths reads the lists of --bits.
func TestWidths(t *testing.T) {
	got, err := parseWidths("4, 8,2/16")
	if want := []quant.Bits{{W: 4, A: 4}, {W: 8, A: 8}, {W: 2, A: 16}}; err != nil || len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "1", "17", "4/", "4/17", "4/8/8", "4,4", "x"} {
		if _, err := parseWidths(bad); err == nil || !strings.Contains(err.Error(), "widths \"") {
			t.Errorf("%q: %v, want an error that shows it", bad, err)
		}
	}
}
