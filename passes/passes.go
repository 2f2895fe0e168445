// Package passes brings a graph into the form that is calibrated, quantized and lowered: an ordered list of small functions (List), each
// followed by ir.Verify.
//
//	err := passes.Run(g, nil)                                    // all of List
//	err := passes.Run(g, &passes.Config{Dump: "ir"}, "fold")     // one pass, the text after it in ir/01-fold.ir
//
// A pass has a file of its own; what passes share is in rewrite.go. Passes replace operators and constants and never write into
// them, since copies of a graph share both. A node that replaces another takes its position. Float passes leave alone whatever has
// a Quant, except where the change is right for integers too.
//
// To add a pass: a file with a func(*ir.Graph) error, a row in List with the reason for its place, rows in order for the passes it
// depends on, and goldens under testdata/<name>.
package passes

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir"
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
	{"identity", "removes operators that change nothing", "first: before all patterns, which look at direct neighbours", false, identity},
	{"early-dce", "removes nodes that nothing reads", "before all that counts readers: a dead one would keep two nodes from being merged", false, dce},
	{"fold", "computes nodes whose inputs are constant", "before the patterns that need constant weights", false, fold},
	{"dynamic", "layers of dynamically quantized activations become layers over reals with quantized weights", "after fold, so that scales are constants; before all that takes Mul and Add for its own", false, dynamic},
	{"functions", "activation functions written out as arithmetic become one operator", "before affine, which would fold their constants into layers", false, functions},
	{"pool", "reductions over all of an image become global pools", "before reshape: it makes a Flatten where the reduction dropped the axes", false, pool},
	{"gemm", "brings MatMul and Gemm with constant weights into one form: alpha = beta = 1, weights [out,in], bias [out] or none", "affine knows this form only; before reshape, which takes the Transpose it makes for transA", true, gemm},
	{"reshape", "joins chains of Reshape, Flatten, Squeeze, Unsqueeze and of Transpose", "after pool and gemm, which make links of such chains", false, reshape},
	{"act", "clips in a row become one; Clip from 0 is Relu", "before cse: clips that became equal are computed once", false, act},
	{"cse", "computes equal nodes once", "after all that makes equal nodes look equal; before affine, which counts readers", false, cse},
	{"affine", "Add, Sub, Mul, Div by a constant for each channel, and BatchNormalization, go into the layer before or behind them or become a depthwise layer", "after gemm and cse; once it is through, layers stand beside layers", true, affine},
	{"pad", "a Concat with zeros becomes a Pad; a Pad of zeros around an image becomes the padding of the layer behind it", "after affine: a shift goes into the layer behind it only while that does not pad", false, pad},
	{"absorb", "Quantize and Dequantize nodes become types", "after the float passes, which do not see through quantized constants", true, quant.Absorb},
	{"constants", "quantized constants behind a Transpose, Reshape or the like are computed", "after absorb, which makes the Dequantize of weights a type; before propagate, which would give the Transpose that type", false, quant.Constants},
	{"streamline", "linear functions between quantized values go into the scales, biases and thresholds beside them", "after constants, when weights are known by their integers; before propagate, which gives the results of layers their types", true, streamline},
	{"propagate", "types move through operators that only move values", "needs the types that absorb made", true, quant.Propagate},
	{"fuse-act", "a Relu or Clip becomes the clamp of the value before it", "last of the three: it needs the final types", true, quant.FuseAct},
	{"dce", "removes nodes that nothing reads", "last: it clears up after all others", false, dce},
}

// order are the constraints that List keeps; a test checks them.
var order = []struct{ before, after, why string }{
	{"early-dce", "fold", "what nothing reads must not fail in fold"},
	{"early-dce", "affine", "what nothing reads must not count as a reader"},
	{"identity", "affine", "a Dropout or Identity between a layer and its BatchNormalization hides the pair"},
	{"identity", "functions", "an Identity inside a written-out function hides it"},
	{"fold", "gemm", "weights behind a constant Transpose or Reshape are constants only after folding"},
	{"fold", "dynamic", "the bias of a dynamically quantized convolution is behind a constant Reshape"},
	{"dynamic", "affine", "affine would make the scales of a dynamically quantized layer a layer of their own"},
	{"fold", "functions", "the 3 and the 6 of a HardSwish may be computed from other constants"},
	{"functions", "affine", "Add(x, 3) of a HardSwish becomes a layer of its own in affine"},
	{"pool", "reshape", "the Flatten that pool makes may stand before a Reshape"},
	{"gemm", "reshape", "the Transpose that gemm makes may stand behind another"},
	{"gemm", "affine", "affine takes Gemm in normal form only"},
	{"affine", "pad", "a shift behind a Pad goes into the layer behind both only while that does not pad"},
	{"cse", "affine", "two equal activations of one layer are two readers, one after cse"},
	{"identity", "act", "two activations with a scale of 1 between them are neighbours once that is gone"},
	{"act", "cse", "two clips of one value may be equal only after each is joined with the clip before it"},
	{"absorb", "constants", "weights are quantized constants only after absorb"},
	{"affine", "streamline", "neighbours are one linear function after affine"},
	{"constants", "streamline", "weights behind a Transpose are a layer's own only once that is computed"},
	{"streamline", "propagate", "a function behind a MaxPool goes into the layer before it only while no type stands between them"},
	{"constants", "propagate", "propagate would give a Transpose of weights a type of its own"},
	{"absorb", "propagate", "propagate moves the types that absorb makes"},
	{"propagate", "fuse-act", "a Relu before a MaxPool gets its type from behind the pool"},
	{"act", "fuse-act", "of two clips in a row fuse-act takes only the last"},
	{"fuse-act", "dce", "fusing leaves values that nothing reads"},
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

// Run runs the named passes in their order in the arguments, or all of List. The graph is changed in place; when a pass fails it is left
// as the pass left it.
func Run(g *ir.Graph, c *Config, names ...string) error {
	if c == nil {
		c = &Config{}
	}
	list, err := c.choose(names)
	if err != nil {
		return err
	}
	if err := ir.Verify(g); err != nil {
		return fmt.Errorf("before the passes: %w", err)
	}
	rec, err := newRecorder(g, c)
	if err != nil {
		return err
	}
	for i, p := range list {
		if err := rec.pass(g, i+1, p); err != nil {
			rec.broken(g, i+1, p)
			return fmt.Errorf("pass %s: %w%s", p.Name, err, rec.see())
		}
	}
	return rec.close()
}

// choose is the list of passes to run.
func (c *Config) choose(names []string) ([]*Pass, error) {
	for _, name := range c.Disable {
		p, err := ByName(name)
		if err != nil {
			return nil, err
		}
		if p.Required {
			return nil, fmt.Errorf("pass %s cannot be disabled: %s", name, p.Doc)
		}
	}
	list := List
	if len(names) > 0 {
		list = nil
		for _, name := range names {
			p, err := ByName(name)
			if err != nil {
				return nil, err
			}
			list = append(list, p)
		}
	}
	if c.StopAfter != "" {
		p, err := ByName(c.StopAfter)
		if err != nil {
			return nil, err
		}
		i := slices.Index(list, p)
		if i < 0 {
			return nil, fmt.Errorf("cannot stop after pass %s: it is not among those to run", p.Name)
		}
		list = list[:i+1]
	}
	return slices.DeleteFunc(slices.Clone(list), func(p *Pass) bool { return slices.Contains(c.Disable, p.Name) }), nil
}

// run turns a panic, which is a broken invariant, into an error, and verifies what the pass left.
func (p *Pass) run(g *ir.Graph) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r, stack()}
		}
	}()
	if err := p.Run(g); err != nil {
		return err
	}
	if err := ir.Verify(g); err != nil {
		return fmt.Errorf("it broke the graph: %w", err)
	}
	return nil
}
