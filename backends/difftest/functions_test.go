package difftest

import (
	"math/rand/v2"
	"testing"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
	"quern/passes/lower"
	"quern/passes/quant"
)

// TestFunctions sends every operator of one input that has a lowering rule, and is a table or a move, through quantization, a file and
// back: simulator against interpreter. The reals that a function has no value for are kept out of its input.
func TestFunctions(t *testing.T) {
	attrs := map[string]ir.Op{
		"DepthToSpace": &op.DepthToSpace{Blocksize: 2, Mode: "CRD"}, "SpaceToDepth": &op.SpaceToDepth{Blocksize: 2},
		"Celu": &op.Celu{Alpha: 0.6}, "Shrink": &op.Shrink{Lambd: 0.3, Bias: 0.2}, "ThresholdedRelu": &op.ThresholdedRelu{Alpha: 0.4},
		"Swish": &op.Swish{Alpha: 1.7}, "Transpose": &op.Transpose{Perm: []int{0, 2, 3, 1}},
	}
	from := map[string][2]float32{
		"Acos": {-0.8, 0.8}, "Acosh": {1, 4}, "Asin": {-0.8, 0.8}, "Atanh": {-0.8, 0.8}, "Log": {0.1, 4}, "Sqrt": {0, 4}, "Reciprocal": {0.5, 4},
		"Tan": {-1.3, 1.3},
	}
	moves := map[string]bool{"DepthToSpace": true, "SpaceToDepth": true, "Transpose": true, "Identity": true}
	r := rand.New(rand.NewPCG(31, 32))
	tried, clipped := 0, 0
	for i := range op.Table {
		d := &op.Table[i]
		if lower.Rules[d.Name] == nil || d.Class != op.TableFunc && !moves[d.Name] || d.MinIn > 1 {
			continue // of two inputs (Pow): TestOperators
		}
		o := attrs[d.Name]
		if o == nil {
			o = d.New()
		}
		lo, hi := float32(-2), float32(2)
		if b, ok := from[d.Name]; ok {
			lo, hi = b[0]-0.1, b[1]+0.1
		}
		for _, bits := range []int{4, 8, 11} {
			x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, ir.Symbol("N"), 8, 4, 6)}
			g := &ir.Graph{Name: d.Name, Inputs: []*ir.Value{x}}
			if b, ok := from[d.Name]; ok {
				n, err := g.Append(&op.Clip{Min: b[0], Max: b[1]}, ir.Pos{}, []*ir.Value{x}, "c")
				if err != nil {
					t.Fatal(err)
				}
				x = n.Out[0]
			}
			n, err := g.Append(o, ir.Pos{File: d.Name}, []*ir.Value{x}, "y")
			if err != nil {
				t.Fatal(err)
			}
			g.Outputs = n.Out
			var in [][]*tensor.T
			for range 3 {
				v := tensor.New(tensor.F32, 1, 8, 4, 6)
				for k := range v.F {
					v.F[k] = lo + (hi-lo)*r.Float32()
				}
				in = append(in, []*tensor.T{v})
			}
			var hist [2]int
			q, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: bits, A: bits}, InputBits: bits, OutputBits: bits})
			compare(t, q, p, in, &hist)
			if len(q.Nodes) == 2 && hist[1] > 0 || hist[0] < 8*4*6 {
				t.Errorf("%s at %d bits: %d integers equal, %d one step apart: want all equal", d.Name, bits, hist[0], hist[1])
			}
			clipped += hist[1]
			tried++
		}
	}
	t.Logf("%d programs; %d integers one step apart, all behind a Clip, whose scale changes", tried, clipped)
}
