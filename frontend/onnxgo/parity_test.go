package onnxgo

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	onnxgo "github.com/owulveryck/onnx-go"

	"quern/frontend/onnx"
	"quern/frontend/onnx/onnxpb"
	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
)

// conformance holds the cases of Debian's libonnx-testdata. QUERN_REQUIRE_ONNX=1 makes it a failure that it is missing.
const conformance = "/usr/share/libonnx-testdata/data"

// outcome says what the two readers made of a model.
type outcome string

const (
	refused  outcome = "refused by both readers"
	only     outcome = "refused by frontend/onnx only"
	undecode outcome = "onnx-go cannot decode it"
	equal    outcome = "equal with nothing said beside"
	opset    outcome = "equal once the opset is said"
	shapes   outcome = "equal once the shapes of inputs are said"
	header   outcome = "equal once opset and shapes are said"
	differs  outcome = "differs"
)

// text is a graph without what onnx-go drops whatever is said: the names of the graph and of its nodes, and the metadata.
func text(t *testing.T, g *ir.Graph) string {
	g.Name, g.Meta = "g", nil
	for _, n := range g.Nodes {
		n.Pos.Name = ""
	}
	var b bytes.Buffer
	if err := irtext.Print(&b, g, irtext.Short); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// compare reads a model in both ways, and says where they part.
func compare(t *testing.T, path string, o onnx.Options) (outcome, string) {
	p, err := onnxpb.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bare := Options{File: filepath.Base(path), Import: o}
	full := Header(p, bare)
	var refusal string
	try := func(o Options) string {
		g, err := Decode(data, o)
		if err != nil {
			refusal = err.Error()
			return ""
		}
		return text(t, g)
	}
	if err := decodes(data); err != nil {
		return undecode, err.Error()
	}
	g, err := onnx.Import(path, o)
	if err != nil {
		if try(full) != "" {
			return only, err.Error()
		}
		return refused, err.Error()
	}
	want := text(t, g)
	onlyOpset, onlyShapes := bare, full
	onlyOpset.Opset, onlyShapes.Opset = full.Opset, 0
	for _, c := range []struct {
		is   outcome
		with Options
	}{{equal, bare}, {opset, onlyOpset}, {shapes, onlyShapes}, {header, full}} {
		refusal = ""
		if try(c.with) == want {
			return c.is, ""
		}
	}
	if refusal != "" {
		return differs, refusal
	}
	return differs, "want\n" + want + "got\n" + try(full)
}

// decodes is the error of onnx-go itself where it cannot read a model: into a backend, as its decoder depends on what that offers.
func decodes(data []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return onnxgo.NewModel(New(Options{})).UnmarshalBinary(data)
}

// TestModels: the float models of the repository give the same graph in both ways, with their open batch said beside.
func TestModels(t *testing.T) {
	files, err := filepath.Glob("../../testdata/models/*.onnx")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	for _, f := range files {
		got, why := compare(t, f, onnx.Options{})
		if got != shapes && got != header {
			t.Errorf("%s: %s\n%s", f, got, why)
		}
	}
}

// TestConformance: so do all conformance cases but those in testdata/losses.txt, which onnx-go cannot decode.
func TestConformance(t *testing.T) {
	if _, err := os.Stat(conformance); err != nil {
		if os.Getenv("QUERN_REQUIRE_ONNX") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	known := losses(t)
	count := map[outcome]int{}
	for _, group := range []string{"node", "pytorch-converted", "pytorch-operator", "simple"} {
		files, err := filepath.Glob(filepath.Join(conformance, group, "*", "model.onnx"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s cases: %v", group, err)
		}
		for _, f := range files {
			name := group + "/" + filepath.Base(filepath.Dir(f))
			got, why := compare(t, f, onnx.Options{Consts: parameters(t, f)})
			count[got]++
			switch {
			case got == differs || got == only || got == undecode:
				if known[name] == "" {
					t.Errorf("%s: %s; testdata/losses.txt does not list it\n%s", name, got, why)
				}
			case known[name] != "":
				t.Errorf("%s: %s, but testdata/losses.txt lists it: %s", name, got, known[name])
			}
			delete(known, name)
		}
	}
	for _, o := range []outcome{equal, opset, shapes, header, differs, only, undecode, refused} {
		t.Logf("%4d %s", count[o], o)
	}
	if len(known) > 0 {
		t.Errorf("testdata/losses.txt lists cases that do not exist: %v", known)
	}
	if n := count[equal] + count[opset] + count[shapes] + count[header]; n < 300 {
		t.Errorf("only %d cases are equal", n)
	}
}

// losses reads testdata/losses.txt: a case and the reason in each line.
func losses(t *testing.T) map[string]string {
	f, err := os.Open("testdata/losses.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, why, _ := strings.Cut(line, " ")
		if why = strings.TrimSpace(why); why == "" || known[name] != "" {
			t.Fatalf("testdata/losses.txt: %q: want one line for each case, with a reason", line)
		}
		known[name] = why
	}
	return known
}

// parameters are the inputs of a case that are not float: those that operators want as constants are among them.
func parameters(t *testing.T, model string) map[string]*tensor.T {
	p, err := onnxpb.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	r := map[string]*tensor.T{}
	for i, v := range p.GetGraph().GetInput() {
		file := filepath.Join(filepath.Dir(model), "test_data_set_0", "input_"+string(rune('0'+i))+".pb")
		if i > 9 || v.GetType().GetTensorType() == nil {
			continue
		}
		if x, err := onnx.ReadTensor(file); err == nil && !x.Elem.IsFloat() {
			r[v.GetName()] = x
		}
	}
	return r
}
