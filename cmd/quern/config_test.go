package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quern/passes/calib"
	"quern/passes/quant"
)

// TestConfigErrors: every message has the file and the line, and says what is wanted.
func TestConfigErrors(t *testing.T) {
	g, err := prepared(mnistModel, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "c.yaml: it is empty; want defaults, layers, search or folding"},
		{"syntax", "defaults:\n  weights: [4\n", "c.yaml: line 1: did not find expected ',' or ']'"},
		{"no mapping", "- 4\n", "c.yaml:1: config: want keys with values, got a list"},
		{"unknown key", "defaults:\n  weights: 4\nlayer:\n", `c.yaml:3: config: unknown key "layer", want one of defaults, layers, search, folding`},
		{"unknown default", "defaults:\n  bits: 4\n", `c.yaml:2: defaults: unknown key "bits", want one of weights, activations, observer, scale, input, output, symmetric`},
		{"twice", "defaults:\n  weights: 4\n  weights: 5\n", `c.yaml:3: defaults: key "weights" is there already in line 2`},
		{"width", "defaults:\n  weights: 17\n", `c.yaml:2: weights: want 2 to 16 bits, got "17"`},
		{"half a width", "defaults:\n  activations: 4.5\n", `c.yaml:2: activations: want 2 to 16 bits, got "4.5"`},
		{"observer", "defaults:\n  observer: average\n", `c.yaml:2: observer "average": want minmax,`},
		{"scale", "layers:\n  /0/Conv:\n    scale: row\n", `c.yaml:3: scale "row": want one of channel, tensor, channel-pow2, tensor-pow2`},
		{"symmetric", "defaults: {symmetric: 3}\n", `c.yaml:1: symmetric: want true or false, got "3"`},
		{"layer key", "layers:\n  /0/Conv:\n    input: 4\n", `c.yaml:3: layer "/0/Conv": unknown key "input"`},
		{"search", "search:\n  weights: 4\n", `c.yaml:2: weights: want a list of widths as [4, 8], got "4"`},
		{"search width", "search:\n  weights: [4,\n  99]\n", `c.yaml:3: weights: want 2 to 16 bits, got "99"`},
		{"fold key", "folding:\n  a:\n    PE: 4\n", `c.yaml:3: folding of layer "a": unknown key "PE", want one of pe, simd, lut, thresholds`},
		{"fold number", "folding:\n  a:\n    pe: 1.5\n", `c.yaml:3: pe: want a number of 1 or more, got "1.5"`},
		{"fold truth", "folding:\n  a: {lut: 2}\n", `c.yaml:2: lut: want true or false, got "2"`},
		{"unknown layer", "layers:\n\n  /0/Cnov: {weights: 4}\n", `c.yaml:3: no layer "/0/Cnov" in torch_jit; the nearest name is "/0/Conv"`},
		{"no weights", "layers:\n  /1/Relu:\n    weights: 4\n", `c.yaml:3: layer "/1/Relu": Relu has no weights`},
		{"moves", "layers:\n  /2/MaxPool:\n    activations: 4\n", `c.yaml:3: layer "/2/MaxPool": MaxPool only moves or selects data`},
		{"json", `{"layers": {"/9/Gem": {"weights": 4}}}`, `c.yaml:1: no layer "/9/Gem" in torch_jit; the nearest name is "/9/Gemm"`},
		{"all at once", "layers:\n  a: {weights: 1}\n  b: {scale: x}\n", "c.yaml:2: weights: want 2 to 16 bits, got \"1\"\nc.yaml:3: scale"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parseConfig("c.yaml", []byte(c.text))
			if err == nil {
				var m *calib.Method
				err = f.apply(func(string) bool { return false }, g, &quant.Config{}, &m)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestConfig: what a file says is in the model, flags win over defaults, and layers over both. JSON is the same.
func TestConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("c.yaml", `
defaults: {weights: 5, activations: 6, output: 9, observer: minmax, scale: tensor}
layers:
  /3/Conv: {weights: 3, activations: 10, scale: channel-pow2, observer: "percentile:99"}
  /8/Relu: {activations: 7}
`)
	write("c.json", `{"defaults": {"weights": 5, "activations": 6, "output": 9, "observer": "minmax", "scale": "tensor"},
 "layers": {"/3/Conv": {"weights": 3, "activations": 10, "scale": "channel-pow2", "observer": "percentile:99"}, "/8/Relu": {"activations": 7}}}`)
	bits := func(args ...string) string {
		t.Helper()
		q := filepath.Join(dir, "q.onnx")
		quern(t, append([]string{"quantize", mnistModel, "--calib", mnistTrain, "--calib-limit", "20", "-o", q}, args...)...)
		g, err := prepared(q, nil)
		if err != nil {
			t.Fatal(err)
		}
		var r []string
		for _, n := range g.Nodes {
			if len(n.In) > 2 {
				w := n.In[1].Type
				kind := map[bool]string{true: " tensor", false: " channel"}[w.Quant.PerTensor()]
				pow2 := true
				for _, s := range append(n.Out[0].Type.Quant.Scale, w.Quant.Scale...) {
					f, _ := math.Frexp(s)
					pow2 = pow2 && f == 0.5
				}
				if pow2 {
					kind += " pow2"
				}
				r = append(r, w.Elem.String()+" "+n.Out[0].Type.Elem.String()+kind)
			}
		}
		return strings.Join(r, ", ")
	}
	want := "i5 u6 tensor, i3 u10 channel pow2, i5 u7 tensor, i5 u6 tensor, i5 i9 tensor"
	for _, file := range []string{"c.yaml", "c.json"} {
		if got := bits("--config", filepath.Join(dir, file)); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	if got, want := bits("--config", filepath.Join(dir, "c.yaml"), "-w", "4", "--output-bits", "8"), "i4 u6 tensor, i3 u10 channel pow2, i4 u7 tensor, i4 u6 tensor, i4 i8 tensor"; got != want {
		t.Errorf("with flags: %s, want %s", got, want)
	}
}

// TestSchema: the schema that the README shows is a file that the reader takes.
func TestSchema(t *testing.T) {
	f, err := parseConfig("schema", []byte(configSchema))
	if err != nil {
		t.Fatal(err)
	}
	if f.defaults.weights != 4 || f.input != 8 || len(f.layers) != 1 || f.layers[0].name != "/0/Conv" || !f.layers[0].scale.PerTensor || len(f.searchW) != 5 || len(f.folding) != 1 || !f.folding[0].fold.Thresholds {
		t.Errorf("read as %+v", f)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "    "+strings.ReplaceAll(strings.TrimSpace(configSchema), "\n", "\n    ")+"\n") {
		t.Error("README.md does not have configSchema as it is")
	}
}
