package lower

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// origins is what blocks say, element by element.
func origins(t *testing.T, bs []block, n int) []int64 {
	t.Helper()
	from := make([]int64, n)
	for _, b := range bs {
		p := hw.Piece{SrcOff: int(b.src), DstOff: b.dst, Size: b.size, SrcStride: b.srcStride, DstStride: b.dstStride}
		p.Walk(func(src, dst int) {
			if dst < 0 || dst >= n || from[dst] != 0 {
				t.Fatalf("%+v writes element %d of %d, which is outside or written already", b, dst, n)
			}
			from[dst] = int64(src)
		})
	}
	return from
}

// TestBlocks: the strided copies put together again are the list they were cut from, for lists without any order and for those that
// operators make.
func TestBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 3000 {
		var from []int64
		switch i % 3 {
		case 0: // hardly any order
			from = make([]int64, r.IntN(12))
			for j := range from {
				from[j] = int64(r.IntN(3))<<40 + int64(r.IntN(5))
				if r.IntN(3) == 0 {
					from[j] = 0
				}
			}
		case 1: // runs of any stride, forward, backward and standing still, some of which belong together
			for range r.IntN(5) {
				first, step, again, next := int64(r.IntN(2))<<40+int64(50+r.IntN(50)), int64(r.IntN(7)-3), 1+r.IntN(3), int64(r.IntN(9)-4)
				for k := range again {
					for j := range 1 + r.IntN(4) {
						from = append(from, first+int64(k)*next+int64(j)*step)
					}
					if r.IntN(2) == 0 {
						from = append(from, make([]int64, r.IntN(3))...)
					}
				}
			}
		case 2: // a transposed, sliced and padded tensor
			x := offsets([]int{1, 1 + r.IntN(4), 1 + r.IntN(4), 1 + r.IntN(4)}, int64(r.IntN(2))<<40+1)
			perm := r.Perm(4)
			x = x.Permute(perm)
			starts, ends := make([]int, 4), make([]int, 4)
			pads := make([]int, 8)
			for a, d := range x.Shape {
				starts[a] = r.IntN(d)
				ends[a] = starts[a] + 1 + r.IntN(d-starts[a])
				pads[a], pads[4+a] = r.IntN(2), r.IntN(2)
			}
			for _, o := range []op.Op{&op.Slice{Starts: starts, Ends: ends}, &op.Pad{Mode: "constant", Pads: pads}} {
				y, err := o.Eval([]*tensor.T{x})
				if err != nil {
					t.Fatal(err)
				}
				x = y[0]
			}
			from = x.I
		}
		bs := blocks(from)
		if got := origins(t, bs, len(from)); !slices.Equal(got, from) {
			t.Fatalf("case %d: %v\nbecame %+v:\n%v", i, from, bs, got)
		}
		for _, b := range bs {
			if len(b.size) != len(b.srcStride) || len(b.size) != len(b.dstStride) {
				t.Fatalf("case %d: %+v", i, b)
			}
		}
		if i%3 == 2 && len(bs) != 1 {
			t.Fatalf("case %d: %d blocks for a strided tensor, want 1: %v %+v", i, len(bs), from, bs)
		}
	}
}

// TestOffsets: element i of the model's tensor lies at the offset that the port of its buffer says.
func TestOffsets(t *testing.T) {
	for _, shape := range [][]int{{1, 3, 4, 5}, {1, 6}, {2, 3}, {7}, {}, {1}, {1, 2, 3}, {1, 1, 1, 4}} {
		x := offsets(shape, 100)
		dims, perm := layout(shape)
		port := &hw.Port{Shape: noBatch(shape), Perm: perm}
		k := int64(100)
		port.Walk(func(off int) {
			if x.I[off] != k {
				t.Fatalf("shape %v: element %d is at %d, want %d", shape, off, x.I[off], k)
			}
			k++
		})
		if int(k-100) != tensor.Numel(shape) || tensor.Numel(dims) != tensor.Numel(shape) {
			t.Errorf("shape %v: %d elements in %v", shape, k-100, dims)
		}
	}
}

// moves lowers a graph and returns the kernels that are left, by kind and number of blocks.
func moves(t *testing.T, text string) string {
	t.Helper()
	low, err := Lower(parse(t, text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, k := range low.Prog.Kernels {
		d := k.Kind.String()
		if k.Move != nil {
			d = fmt.Sprintf("%s %d from %d", d, len(k.Move.Pieces), len(k.In))
			if k.Move.Filled {
				d += fmt.Sprintf(" fill %d", k.Move.Fill)
			}
		}
		s = append(s, d)
	}
	return strings.Join(s, ", ")
}

// TestMoves: what costs a kernel and what does not.
func TestMoves(t *testing.T) {
	const head = "graph g(%x i8[1,3,2,4]{s=0.5 z=7}, %u i8[1,3,2,4]{s=0.5 z=7}) {\n  %a i8[1,3,2,4]{s=0.5 z=7} = Neg(%x)\n  %b i8[1,3,2,4]{s=0.5 z=7} = Neg(%u)\n"
	for _, c := range []struct{ name, body, want string }{
		{"the same order in another shape", "  %y i8[1,3,8]{s=0.5 z=7} = Reshape<shape=[1,3,8]>(%a)\n  return %y", "map, move 1 from 1"},
		{"channels to elements", "  %y i8[1,24]{s=0.5 z=7} = Flatten(%a)\n  return %y", "map, move 1 from 1"},
		{"the image as it is", "  %y i8[1,3,2,4]{s=0.5 z=7} = Identity(%a)\n  return %y", "map"},
		{"another grid", "  %y i8[1,3,2,4]{s=0.25 z=7} = Identity(%a)\n  return %y", "map, map"},
		{"a narrower range of the same grid", "  %y i8[1,3,2,4]{s=0.5 z=7 max=9} = Identity(%a)\n  return %y", "map, map"},
		{"zeros are the zero point", "  %y i8[1,3,2,6]{s=0.5 z=7} = Pad<pads=[0,0,0,1,0,0,0,1]>(%a)\n  return %y", "map, move 1 from 1 fill 7"},
		{"the fill of the result's grid", "  %y i8[1,3,2,6]{s=0.5 z=-3} = Pad<pads=[0,0,0,1,0,0,0,1]>(%a)\n  return %y", "map, map, move 1 from 1 fill -3"},
		{"two sources", "  %y i8[1,6,2,4]{s=0.5 z=7} = Concat<axis=1>(%a, %b)\n  return %y", "map, map, move 2 from 2"},
		{"a source that is not used", "  %c i8[1,6,2,4]{s=0.5 z=7} = Concat<axis=1>(%a, %b)\n  %y i8[1,3,2,4]{s=0.5 z=7} = Slice<starts=[3],ends=[6],axes=[1]>(%c)\n  return %y",
			"map, map, move 2 from 2, move 1 from 1"},
		{"one result of two that nobody reads", "  %y i8[1,1,2,4]{s=0.5 z=7}, %z i8[1,2,2,4]{s=0.5 z=7} = Split<axis=1,split=[1,2]>(%a)\n  return %y", "map, move 1 from 1"},
	} {
		if got := moves(t, head+c.body+"\n}"); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	// A value that the interface has under two names is copied.
	if got := moves(t, "graph g(%x i8[1,4]{s=0.5 z=7}) {\n  %y i8[1,4]{s=0.5 z=7} = Identity(%x)\n  return %y\n}"); got != "map" {
		t.Errorf("an input that is an output: %s, want map", got)
	}
}

// TestFlatten: the Flatten before a matrix product moves nothing, the weights do; and the product is that of the moved elements.
func TestFlatten(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, shape := range [][]int{{1, 3, 2, 4}, {1, 2, 5}} {
		n := tensor.Numel(shape)
		q := ir.NewQuant(tensor.I(6), 0.5, 3)
		x := &ir.Value{Name: "x", Type: ir.Type{Elem: tensor.I(6), Shape: shape, Quant: q}}
		flat, err := ir.NewNode(&op.Flatten{Axis: 1}, ir.Pos{}, []*ir.Value{x}, "f")
		if err != nil {
			t.Fatal(err)
		}
		flat.Out[0].Type.Elem, flat.Out[0].Type.Quant = x.Type.Elem, q
		w := &ir.Value{Name: "w", Type: ir.Type{Elem: tensor.I(5), Shape: []int{2, n}, Quant: ir.NewQuant(tensor.I(5), 1, 0)}, Const: tensor.New(tensor.I(5), 2, n)}
		for i := range w.Const.I {
			w.Const.I[i] = r.Int64N(31) - 15
		}
		fc, err := ir.NewNode(&op.Gemm{Alpha: 1, Beta: 1, TransB: true}, ir.Pos{}, []*ir.Value{flat.Out[0], w}, "y")
		if err != nil {
			t.Fatal(err)
		}
		fc.Out[0].Type.Elem, fc.Out[0].Type.Quant = tensor.I(16), ir.NewQuant(tensor.I(16), 0.5, 0)
		g := &ir.Graph{Name: "g", Inputs: []*ir.Value{x}, Nodes: []*ir.Node{flat, fc}, Outputs: fc.Out}
		low, err := Lower(g, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(low.Prog.Kernels) != 1 {
			t.Fatalf("%v: want one kernel\n%v", shape, low.Prog)
		}
		ints := make([]int64, n)
		for i := range ints {
			ints[i] = r.Int64N(64) - 32
		}
		var in []int64
		low.Prog.Inputs[0].Port.Walk(func(off int) { in = append(in, ints[off]) })
		y := simulate(t, low.Prog, [][]int64{in})
		for o := range 2 {
			want := int64(0)
			for i, k := range ints {
				want += (k - 3) * w.Const.I[o*n+i]
			}
			if y[0][o] != want {
				t.Errorf("%v: result %d is %d, want %d", shape, o, y[0][o], want)
			}
		}
	}
}
