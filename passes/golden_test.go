package passes

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"quern/backends/interp"
	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/tensor"
)

// TestGolden runs testdata/<pass>/*.txtar: the pass turns -- in -- into -- want --, or fails with -- error --. QUERN_UPDATE=1 writes the
// result into the file. Besides, the pass must not change the numbers that the graph computes, nor a constant in place, nor anything
// when it is run again.
func TestGolden(t *testing.T) {
	for _, p := range List {
		files, err := filepath.Glob(filepath.Join("testdata", p.Name, "*.txtar"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("no testdata/%s/*.txtar", p.Name)
		}
		for _, file := range files {
			t.Run(p.Name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, p, file) })
		}
	}
	dirs, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if _, err := ByName(d.Name()); err != nil {
			t.Errorf("testdata/%s: %v", d.Name(), err)
		}
	}
}

func golden(t *testing.T, p *Pass, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) == 0 || a.Files[0].Name != "in" || len(a.Comment) == 0 {
		t.Fatalf("%s: want a comment and -- in -- first", file)
	}
	g, err := irtext.Parse("in.ir", a.Files[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	before := g.Clone()
	text := irtext.String(before)
	name, got := "want", ""
	if err := Run(g, nil, p.Name); err != nil {
		name, got = "error", err.Error()+"\n"
	} else {
		got = irtext.String(g)
		checkGolden(t, p, before, g)
	}
	if irtext.String(before) != text {
		t.Errorf("the pass changed operators or constants that a copy of the graph shares:\n%s", irtext.String(before))
	}
	if os.Getenv("QUERN_UPDATE") == "1" {
		a.Files = []txtar.File{a.Files[0], {Name: name, Data: []byte(got)}}
		if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if len(a.Files) != 2 || a.Files[1].Name != name || !bytes.Equal(a.Files[1].Data, []byte(got)) {
		t.Errorf("%s (QUERN_UPDATE=1 accepts):\ngot %s\n%swant %s", file, name, got, txtar.Format(&txtar.Archive{Files: a.Files[1:]}))
	}
}

func checkGolden(t *testing.T, p *Pass, before, after *ir.Graph) {
	t.Helper()
	tolerance := 1e-5
	if p.Name == "dynamic" { // which rounds activations no more: half a step of 1/255 of the range for each operand
		tolerance = 0.01
	}
	if d := difference(before, after, tolerance); d != "" {
		t.Error(d)
	}
	text := irtext.String(after)
	if err := Run(after, nil, p.Name); err != nil {
		t.Fatalf("second run: %v", err)
	}
	if now := irtext.String(after); now != text {
		t.Errorf("a second run changed\n%s\nto\n%s", text, now)
	}
	if names(before.Inputs) != names(after.Inputs) || names(before.Outputs) != names(after.Outputs) {
		t.Errorf("interface was %s -> %s, is %s -> %s", names(before.Inputs), names(before.Outputs), names(after.Inputs), names(after.Outputs))
	}
}

func names(vs []*ir.Value) string {
	var s []string
	for _, v := range vs {
		s = append(s, v.Name)
	}
	return strings.Join(s, ",")
}

// difference runs two graphs on the same random inputs and describes the first output element that differs, relative to the greatest
// number of its tensor, by more than the tolerance.
func difference(a, b *ir.Graph, tolerance float64) string {
	r := rand.New(rand.NewPCG(1, 7))
	for range 3 {
		var in []*tensor.T
		for _, v := range a.Inputs {
			shape := make([]int, len(v.Type.Shape))
			for i, d := range v.Type.Shape {
				if shape[i] = d; ir.IsSymbol(d) {
					shape[i] = 2
				}
			}
			x := tensor.New(v.Type.Real().Elem, shape...)
			for i := range x.F {
				x.F[i] = float32(4 * r.NormFloat64())
			}
			for i := range x.I {
				x.I[i] = int64(r.IntN(2)) // valid indices, shapes and bools
			}
			in = append(in, x)
		}
		x, err := outputs(a, in)
		if err != nil {
			return "before: " + err.Error()
		}
		y, err := outputs(b, in)
		if err != nil {
			return "after: " + err.Error()
		}
		for i := range x {
			if d := tensorDifference(x[i], y[i], tolerance); d != "" {
				return fmt.Sprintf("output %d: %s", i, d)
			}
		}
	}
	return ""
}

func outputs(g *ir.Graph, in []*tensor.T) ([]*tensor.T, error) {
	m, err := interp.New(g.Clone())
	if err != nil {
		return nil, err
	}
	return m.Run(in, nil)
}

func tensorDifference(x, y *tensor.T, tolerance float64) string {
	if x.String() != y.String() {
		return fmt.Sprintf("was %v, is %v", x, y)
	}
	size := 1.0
	for i := range x.Len() {
		if a := math.Abs(x.Float(i)); a <= math.MaxFloat32 {
			size = max(size, a)
		}
	}
	for i := range x.Len() {
		a, b := x.Float(i), y.Float(i)
		if !(a == b || a != a && b != b || math.Abs(a-b) <= tolerance*size) {
			return fmt.Sprintf("element %d of %v was %v, is %v", i, x, a, b)
		}
	}
	return ""
}
