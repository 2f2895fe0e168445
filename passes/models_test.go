package passes

import (
	"os"
	"path/filepath"
	"testing"

	"quern/frontend/onnx"
	"quern/ir/irtext"
)

// TestModels: trained networks compute the same before and after the passes, and what is left has the form that lowers. QUERN_MODELS is a
// folder of further float models.
func TestModels(t *testing.T) {
	files := []string{"../testdata/models/convnet_e1.onnx", "../testdata/models/lenet_mnist_e10.onnx"}
	if dir := os.Getenv("QUERN_MODELS"); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
		if err != nil || len(more) == 0 {
			t.Fatalf("QUERN_MODELS=%s: %d models, error %v", dir, len(more), err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g, err := onnx.Import(file, onnx.Options{})
			if err != nil {
				t.Fatal(err)
			}
			before := g.Clone()
			if err := Run(g, nil); err != nil {
				t.Fatal(err)
			}
			if d := difference(before, g, 1e-4); d != "" {
				t.Error(d)
			}
			for _, n := range g.Nodes {
				switch name := n.Op.OpName(); name {
				case "BatchNormalization", "Div", "ReduceMean", "Identity", "Dropout":
					t.Errorf("%v: %s is left:\n%s", n.Pos, name, irtext.String(g, irtext.Short))
				}
			}
		})
	}
}
