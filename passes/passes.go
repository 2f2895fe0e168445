// Package passes brings a graph into the form that is calibrated, quantized and lowered: an ordered list of small functions (List), each
// followed by ir.Verify.
package passes

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quern/ir"
	"quern/ir/irtext"
	"quern/passes/quant"
)

// Pass is one transformation of a graph.
type Pass struct {
	Name     string
	Doc      string // one line: what it does
	Why      string // why it stands where it stands
	Required bool   // cannot be disabled: later stages rely on it
	Run      func(g *ir.Graph) error
}

// List is the order of the passes. All are safe on float and on quantized graphs.
var List = []*Pass{
	{"identity", "removes operators that change nothing", "first: all later patterns look at direct neighbours", false, identity},
	{"fold", "computes nodes whose inputs are constant", "before the patterns that need constant weights", false, fold},
	{"gemm", "brings MatMul and Gemm with constant weights into one form: alpha = beta = 1, weights [out,in]", "affine and bn-fold know this form only", true, gemm},
	{"affine", "Add, Sub, Mul, Div by a constant for each channel, and BatchNormalization, go into the layer before them or become a depthwise layer", "after gemm; before act, which looks at layers and their activations", true, affine},
	{"pool", "means over all of an image become GlobalAveragePool", "any time before lowering", false, pool},
	{"act", "Clip from 0 is Relu; Relu of Relu is Relu", "before fuse-act", false, act},
	{"absorb", "Quantize and Dequantize nodes become types", "after the float passes, which do not see through quantized constants", true, quant.Absorb},
	{"propagate", "types move through operators that only move values", "needs the types that absorb made", true, quant.Propagate},
	{"fuse-act", "a Relu or Clip becomes the clamp of the value before it", "last of the three: it needs the final types", true, quant.FuseAct},
	{"dce", "removes nodes that nothing reads", "last: it clears up after all others", false, dce},
}

// order are the constraints that List keeps; a test checks them.
var order = []struct{ before, after, why string }{
	{"identity", "affine", "a Dropout or Identity between a layer and its BatchNormalization hides the pair"},
	{"fold", "gemm", "weights behind a constant Transpose or Reshape are constants only after folding"},
	{"gemm", "affine", "affine takes Gemm in normal form only"},
	{"affine", "act", "a Relu behind a BatchNormalization is the layer's own once that is folded"},
	{"absorb", "propagate", "propagate moves the types that absorb makes"},
	{"propagate", "fuse-act", "a Relu before a MaxPool gets its type from behind the pool"},
	{"fuse-act", "dce", "fusing leaves values that nothing reads"},
}

// Config says what else happens when passes run.
type Config struct {
	Dump    string    // folder for NN-pass.ir after each pass that changed the graph
	Disable []string  // passes not to run
	Trace   io.Writer // a line for each pass
}

// ByName finds a pass; the error lists the names there are.
func ByName(name string) (*Pass, error) {
	var names []string
	for _, p := range List {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("no pass %q; there are %s", name, strings.Join(names, ", "))
}

// Run runs the named passes in their order in the arguments, or all of List. The graph is changed in place.
func Run(g *ir.Graph, c *Config, names ...string) error {
	if c == nil {
		c = &Config{}
	}
	for _, name := range c.Disable {
		p, err := ByName(name)
		if err != nil {
			return err
		}
		if p.Required {
			return fmt.Errorf("pass %s cannot be disabled: %s", name, p.Doc)
		}
	}
	list := List
	if len(names) > 0 {
		list = nil
		for _, name := range names {
			p, err := ByName(name)
			if err != nil {
				return err
			}
			list = append(list, p)
		}
	}
	if err := ir.Verify(g); err != nil {
		return fmt.Errorf("before the passes: %w", err)
	}
	was := ""
	if c.Dump != "" {
		if err := os.MkdirAll(c.Dump, 0o777); err != nil {
			return err
		}
		was = irtext.String(g)
	}
	for i, p := range list {
		if slices.Contains(c.Disable, p.Name) {
			continue
		}
		n := len(g.Nodes)
		if err := p.run(g); err != nil {
			return fmt.Errorf("pass %s: %w", p.Name, err)
		}
		if err := ir.Verify(g); err != nil {
			return fmt.Errorf("pass %s broke the graph: %w", p.Name, err)
		}
		if c.Trace != nil {
			fmt.Fprintf(c.Trace, "%-10s %4d nodes, was %d\n", p.Name, len(g.Nodes), n)
		}
		if c.Dump == "" {
			continue
		}
		if now := irtext.String(g); now != was {
			was = now
			if err := os.WriteFile(filepath.Join(c.Dump, fmt.Sprintf("%02d-%s.ir", i, p.Name)), []byte(now), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

// run turns a panic, which is a broken invariant, into an error.
func (p *Pass) run(g *ir.Graph) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: %v", r)
		}
	}()
	return p.Run(g)
}
