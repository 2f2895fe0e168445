package difftest

import (
	"math/rand/v2"
	"testing"

	"quern/ir"
	"quern/ir/irtest"
	"quern/ir/op"
	"quern/passes/quant"
)

// TestPartlyQuantized: of random quantized graphs, random results and constants lose their types. Quantizing such a graph gives those types
// anew and keeps the others, and it lowers, comes back from a file and computes the same as ever.
func TestPartlyQuantized(t *testing.T) {
	var hist [2]int
	dropped, given := 0, 0
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 5))
		g := irtest.RandomGraph(r, irtest.GraphOptions{})
		in := irtest.RandomInputs(r, g, 3)
		c := quant.Config{Bits: quant.Bits{W: 2 + r.IntN(7), A: 2 + r.IntN(7)}}
		g, _ = quantized(t, g, in, c)
		g = g.Clone()
		kept := map[string]string{}
		for _, v := range g.Values() {
			switch {
			case !v.Type.IsQuant():
			case v.Const != nil && r.IntN(3) == 0:
				v.Const = v.Type.Quant.Reals(v.Const)
				v.Type = v.Type.Real()
				dropped++
			case v.Const == nil && droppable(g, v) && r.IntN(2) == 0:
				v.Type = v.Type.Real()
				dropped++
			default:
				kept[v.Name] = v.Type.String()
			}
		}
		g, p := quantized(t, g, in, quant.Config{Bits: quant.Bits{W: 2 + r.IntN(7), A: 2 + r.IntN(7)}})
		for _, v := range g.Values() {
			if want, ok := kept[v.Name]; ok && v.Type.String() != want {
				t.Errorf("seed %d: %%%s: got %v, want %s as given", seed, v.Name, v.Type, want)
			} else if ok {
				given++
			}
		}
		compare(t, g, p, in, &hist)
	}
	t.Logf("%d types dropped, %d of those kept found again; %d integers equal, %d one step apart", dropped, given, hist[0], hist[1])
	if dropped < 50 || given < 50 || hist[0] < 100*hist[1] {
		t.Error("too few types dropped or kept, or too many integers apart")
	}
}

// droppable leaves alone what a pass gives its type back from a neighbour, and the type of an input.
func droppable(g *ir.Graph, v *ir.Value) bool {
	if v.Def == nil || op.Of(v.Def.Op).Class == op.SameScale || op.Of(v.Def.Op).Class == op.Boundary {
		return false
	}
	for _, n := range g.Users(v) {
		if op.Of(n.Op).Class == op.SameScale {
			return false
		}
	}
	return true
}
