package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// randomMove is a program of one Move: slices with steps, turned, repeated and mirrored, of buffers of random types, side by side, with
// gaps. Padded poolings on some buffers make borders.
func randomMove(r *rand.Rand) *hw.Program {
	p := &hw.Program{Name: "t"}
	shape := []int{1 + r.IntN(6), 1 + r.IntN(6), 1 + r.IntN([]int{6, 150}[r.IntN(2)])}
	strides := []int{shape[1] * shape[2], shape[2], 1}
	mv, k := &hw.Move{}, &hw.Kernel{Name: "k", Kind: hw.KMove}
	var ranges hw.Interval
	fixed := r.IntN(2) == 0 // one type for all
	plain := r.IntN(8) == 0 // a copy
	written := 0
	for c := 0; c < shape[2]; {
		n := min(shape[2]-c, 1+r.IntN(shape[2]))
		if plain {
			n = shape[2]
		}
		size, at := []int{shape[0], shape[1], n}, []int{0, 0, c}
		for a := range 2 {
			if !plain && r.IntN(4) == 0 {
				size[a] = 1 + r.IntN(shape[a])
				at[a] = r.IntN(shape[a] - size[a] + 1)
			}
		}
		written += size[0] * size[1] * size[2]
		c += n
		// Source axes in another order, with steps and slack.
		to := r.Perm(3)
		if plain || r.IntN(2) == 0 {
			to = []int{0, 1, 2}
		}
		from, step, start := make([]int, 3), make([]int, 3), make([]int, 3)
		for a := range 3 {
			step[a] = []int{1, 1, 1, 1, 1, 2, 3, -1, -2, 0}[r.IntN(10)]
			slack := r.IntN(2) * r.IntN(2)
			if plain {
				step[a], slack = 1, 0
			}
			span := (size[a] - 1) * max(step[a], -step[a])
			from[to[a]] = span + 1 + slack
			start[a] = r.IntN(from[to[a]] - span)
			if step[a] < 0 {
				start[a] += span
			}
		}
		bits := 1 + r.IntN([]int{20, 8}[r.IntN(2)])
		lo := -r.Int64N(1 << bits)
		if fixed {
			bits, lo = 8, 0
		}
		x := p.NewBuffer(fmt.Sprint("x", len(k.In)), from, hw.Interval{Lo: lo, Hi: lo + 1<<bits - 1})
		x.Port = port(x)
		k.In = append(k.In, x)
		if len(k.In) == 1 {
			ranges = x.Range
		}
		ranges = ranges.Union(x.Range)
		piece := hw.Piece{Src: len(k.In) - 1, Size: make([]int, 3), SrcStride: make([]int, 3), DstStride: make([]int, 3)}
		in := []int{from[1] * from[2], from[2], 1}
		loops := []int{0, 1, 2}
		if !plain && r.IntN(3) == 0 {
			loops = r.Perm(3)
		}
		for i, a := range loops {
			piece.Size[i], piece.SrcStride[i], piece.DstStride[i] = size[a], step[a]*in[to[a]], strides[a]
			piece.SrcOff += start[a] * in[to[a]]
			piece.DstOff += at[a] * strides[a]
		}
		mv.Pieces = append(mv.Pieces, piece)
	}
	if mv.Filled = written < shape[0]*shape[1]*shape[2]; mv.Filled {
		mv.Fill = ranges.Lo + r.Int64N(ranges.Hi-ranges.Lo+1)
		ranges = ranges.Union(hw.Interval{Lo: mv.Fill, Hi: mv.Fill})
	}
	k.Move = mv
	k.Out = p.NewBuffer("y", shape, ranges)
	k.Out.Port = port(k.Out)
	p.Inputs, p.Outputs = k.In, []*hw.Buffer{k.Out}
	p.Kernels = []*hw.Kernel{k}
	for _, b := range append([]*hw.Buffer{k.Out}, k.In...) {
		if r.IntN(2) == 0 {
			g := hw.Geometry{H: b.Shape[0], W: b.Shape[1], C: b.Shape[2], OH: b.Shape[0], OW: b.Shape[1], OC: b.Shape[2], KH: 3, KW: 3, SH: 1, SW: 1, DH: 1, DW: 1, PH: 1, PW: 1, PadValue: b.Range.Lo}
			z := p.NewBuffer("z"+b.Name, b.Shape, b.Range)
			z.Port = port(z)
			w := &hw.Window{Geometry: g, Reduce: hw.ReduceMax, Acc: b.Range}
			prog := hw.NewProg(b.Range)
			p.Kernels = append(p.Kernels, &hw.Kernel{Name: "pool" + b.Name, Kind: hw.KWindow, In: []*hw.Buffer{b}, Out: z, Window: w, Prog: prog})
			p.Outputs = append(p.Outputs, z)
		}
	}
	return p
}

// TestMove compares moves by every level of this CPU with their definition, and sees that neither move nor fill touches a border.
func TestMove(t *testing.T) {
	for _, level := range kernels.Levels() {
		borders, shared := 0, 0
		for seed := range uint64(1500) {
			r := rand.New(rand.NewPCG(seed, 31))
			p := randomMove(r)
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v\n%v", seed, err, p)
			}
			k := p.Kernels[0]
			out := &m.layouts[k.Out.ID]
			if out.border() {
				borders++
			}
			if _, ok := m.steps[0].(nothing); ok {
				shared++
			}
			s := m.NewState()
			for range 2 {
				var in [][]int64
				for _, b := range k.In {
					in = append(in, elements(r, b))
				}
				got, err := s.Run(in)
				if err != nil {
					t.Fatal(err)
				}
				want := make([]int64, k.Out.Len())
				for i := range want {
					want[i] = k.Move.Fill
				}
				for _, q := range k.Move.Pieces {
					q.Walk(func(from, to int) { want[to] = in[q.Src][from] })
				}
				if !slices.Equal(got[0], want) {
					t.Fatalf("%v seed %d: got %v, want %v\n%v", level, seed, got[0], want, p)
				}
				for i, b := range p.Outputs[1:] {
					x := want
					if j := slices.Index(k.In, p.Kernels[i+1].In[0]); j >= 0 {
						x = in[j]
					}
					if want := largest(p.Kernels[i+1], x); !slices.Equal(got[i+1], want) {
						t.Fatalf("%v seed %d: %s: got %v, want %v\n%v", level, seed, b.Name, got[i+1], want, p)
					}
				}
			}
			if n := testing.AllocsPerRun(1, func() { m.steps[0].run(s) }); n != 0 {
				t.Fatalf("%v seed %d: %v allocations, want none", level, seed, n)
			}
		}
		if borders < 100 || shared < 10 {
			t.Errorf("%v: %d programs with borders, %d of shared memory, want more", level, borders, shared)
		}
	}
}

// largest is the definition of a pooling without a program.
func largest(k *hw.Kernel, x []int64) []int64 {
	g := &k.Window.Geometry
	var y []int64
	for oy := range g.OH {
		for ox := range g.OW {
			for c := range g.C {
				v := g.PadValue
				for ky := range g.KH {
					for kx := range g.KW {
						if iy, ix, ok := g.Inside(oy, ox, ky, kx); ok {
							v = max(v, x[(iy*g.W+ix)*g.C+c])
						}
					}
				}
				y = append(y, v)
			}
		}
	}
	return y
}
