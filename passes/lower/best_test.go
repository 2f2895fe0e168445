package lower

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/backends/sim"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// TestPlaces: ArgMax, ArgMin and TopK along every axis, over few levels so that equals abound, against the operators' own kernels.
func TestPlaces(t *testing.T) {
	places := 0
	for i, o := range []ir.Op{
		&op.ArgMax{Axis: 1}, &op.ArgMax{Axis: 1, KeepDims: true, SelectLastIndex: true}, &op.ArgMax{Axis: -1}, &op.ArgMax{Axis: 2, SelectLastIndex: true},
		&op.ArgMin{Axis: 1, KeepDims: true}, &op.ArgMin{Axis: 3, SelectLastIndex: true}, &op.ArgMin{Axis: 2},
		&op.TopK{Axis: 1, K: 1, Largest: true}, &op.TopK{Axis: -1, K: 3, Largest: true}, &op.TopK{Axis: 1, K: 5}, &op.TopK{Axis: 2, K: 2},
	} {
		t.Run(fmt.Sprintf("%s/%d", o.OpName(), i), func(t *testing.T) {
			for trial := range 20 {
				r := rand.New(rand.NewPCG(uint64(trial), uint64(i)))
				e := tensor.I(2 + r.IntN(4))
				lo, hi := e.Range()
				shape := []int{1, 5, 2 + r.IntN(3), 3 + r.IntN(4)}
				x := &ir.Value{Name: "x", Type: ir.Type{Elem: e, Shape: shape, Quant: ir.NewQuant(e, 0.25, lo+r.Int64N(hi-lo+1))}}
				names := []string{"y", "z"}
				if o.OpName() != "TopK" {
					names = names[:1]
				}
				n, err := ir.NewNode(o, ir.Pos{Node: 1, Name: "node"}, []*ir.Value{x}, names...)
				if err != nil {
					t.Fatal(err)
				}
				g := &ir.Graph{Name: "places", Inputs: []*ir.Value{x}, Nodes: []*ir.Node{n}, Outputs: n.Out}
				g.SetMeta("quern.whole", "true")
				low, err := Lower(g, Options{})
				if err != nil {
					t.Fatal(err)
				}
				m, err := sim.New(low.Prog)
				if err != nil {
					t.Fatal(err)
				}
				s := m.NewState()
				reals := tensor.New(tensor.F32, shape...)
				for j := range reals.F {
					reals.F[j] = x.Type.Quant.Dequantize(lo+r.Int64N(hi-lo+1), 0)
				}
				want, err := op.Eval(o, []*tensor.T{reals})
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.RunFloat([][]float32{reals.F})
				if err != nil {
					t.Fatal(err)
				}
				if len(got) != len(want) || low.Tail != nil {
					t.Fatalf("%d results, want %d; tail %v", len(got), len(want), low.Tail)
				}
				for k, w := range want {
					for j := range got[k] {
						if got[k][j] != float32(w.Float(j)) {
							t.Fatalf("result %d, element %d is %v, want %v of\n%v", k, j, got[k][j], w.Float(j), reals.F)
						}
						places++
					}
				}
			}
		})
	}
	if places < 1000 {
		t.Errorf("only %d elements compared", places)
	}
}
