package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// randomMap is a program of one Map with a random scalar program over up to 3 inputs.
func randomMap(r *rand.Rand) *hw.Program {
	for {
		p := &hw.Program{Name: "t"}
		shape := []int{1 + r.IntN(5), 1 + r.IntN(5), 1 + r.IntN(20)}
		c, pixels := shape[2], shape[0]*shape[1]
		k := &hw.Kernel{Name: "k", Kind: hw.KMap}
		words, nibbles := r.IntN(2) == 0, r.IntN(4) == 0 // words that no bytes hold
		for i := range 1 + r.IntN(3) {
			bits := 1 + r.IntN([]int{24, 12}[r.IntN(2)])
			switch {
			case nibbles:
				bits = 1 + r.IntN(4)
			case words:
				bits = 9 + r.IntN(8)
			}
			lo := -r.Int64N(1 << bits)
			x := p.NewBuffer(fmt.Sprint("x", i), shape, hw.Interval{Lo: lo, Hi: lo + 1<<bits - 1})
			x.Port = port(x)
			k.In = append(k.In, x)
		}
		k.Prog = hw.NewProg(make([]hw.Interval, len(k.In))...)
		if len(k.In) == 2 && r.IntN(2) == 0 { // a residual addition
			most, round, shift := int64(1)<<r.IntN(16), hw.RshFloor+hw.Prim(r.IntN(8)), r.Int64N(20)
			if r.IntN(2) == 0 { // multipliers of many bits
				most, round, shift = 1<<(16+r.IntN(9)), []hw.Prim{hw.RshFloor, hw.RshHalfUp, hw.RshHalfEven}[r.IntN(3)], 15+r.Int64N(10)
			}
			k.Prog.OpI(hw.MulI, 0, hw.Scalar(r.Int64N(most+1)))
			k.Prog.OpI(hw.MulI, 1, hw.Scalar(r.Int64N(most+1)))
			k.Prog.OpI(hw.AddI, k.Prog.Op(hw.Prim(r.IntN(2)), 2, 3), hw.Scalar(r.Int64N(most+1)<<r.IntN(16)))
			k.Prog.OpI(round, k.Prog.Last(), hw.Scalar(shift))
			k.Prog.OpI(hw.AddI, k.Prog.Last(), hw.Scalar(r.Int64N(20)-10))
			wide := r.IntN(8)
			k.Prog.Clamp(k.Prog.Last(), (r.Int64N(200)-200)<<wide, r.Int64N(300)<<wide)
		}
		if len(k.In) == 2 && len(k.Prog.Code) == 0 && r.IntN(3) == 0 { // a gate
			a, b := 0, 1
			if r.IntN(2) == 0 {
				a = k.Prog.OpI(hw.AddI, 0, hw.Scalar(r.Int64N(1<<9)-1<<8))
			}
			if r.IntN(2) == 0 {
				b = k.Prog.OpI(hw.AddI, 1, hw.Scalar(r.Int64N(1<<9)-1<<8))
			}
			k.Prog.OpI(hw.MulI, k.Prog.Op(hw.Mul, b, a), hw.Scalar(r.Int64N(1<<r.IntN(17)+1)))
			k.Prog.OpI(hw.RshFloor+hw.Prim(r.IntN(8)), k.Prog.Last(), hw.Scalar(r.Int64N(40)))
			k.Prog.Clamp(k.Prog.Last(), -r.Int64N(200), r.Int64N(300))
		}
		vec := func(lo, hi int64) hw.Vec {
			n := []int{1, 1, c, pixels}[r.IntN(4)]
			v := hw.Vec{V: make([]int64, n)}
			if n == pixels && n > 1 {
				v.By = hw.ByPixel
			}
			for i := range v.V {
				v.V[i] = lo + r.Int64N(hi-lo+1)
			}
			return v
		}
		for range r.IntN(10) * min(1, r.IntN(3)) {
			a := k.Prog.Last() // most often the last one, so that there are chains
			if r.IntN(3) == 0 {
				a = r.IntN(a + 1)
			}
			switch prim := hw.Prim(r.IntN(len(hw.Prims))); {
			case prim == hw.Lut:
				table := make([]int64, 1<<12)
				for i := range table {
					table[i] = r.Int64N(1000) - 500
				}
				k.Prog.Clamp(a, -100, 3000)
				k.Prog.Lookup(k.Prog.Last(), -1000, table)
			case hw.Prims[prim].Args == 2:
				k.Prog.Op(prim, a, r.IntN(k.Prog.Last()+1))
			case hw.Prims[prim].Imm == hw.Shift:
				v := vec(0, []int64{3, 20, 61}[r.IntN(3)])
				if v.By == hw.ByPixel {
					v = hw.Scalar(v.V[0])
				}
				k.Prog.OpI(prim, a, v)
			case hw.Prims[prim].Imm == hw.Width:
				k.Prog.OpI(prim, a, hw.Scalar(1+r.Int64N(63)))
			case prim == hw.DivInto:
				k.Prog.OpI(hw.MaxI, a, hw.Scalar(1))
				k.Prog.OpI(prim, k.Prog.Last(), vec(-1<<30, 1<<30))
			default:
				most := int64(1) << r.IntN(30)
				k.Prog.OpI(prim, a, vec(-most, most))
			}
		}
		if len(k.Prog.Code) == 0 || k.Prog.Analyze(k.ProgIn()) != nil {
			continue // too wide
		}
		k.Out = p.NewBuffer("y", shape, k.Prog.Out())
		k.Out.Port = port(k.Out)
		p.Kernels, p.Inputs, p.Outputs = []*hw.Kernel{k}, k.In, []*hw.Buffer{k.Out}
		if hw.Verify(p) == nil {
			return p
		}
	}
}

// TestMap compares scalar programs by every level of this CPU with their definition, and sees that steps are fused and not fused.
func TestMap(t *testing.T) {
	for _, level := range kernels.Levels() {
		fused, blends, splits, gates, pairs, tables, prims := 0, 0, 0, 0, 0, 0, map[hw.Prim]int{}
		for seed := range uint64(1500) {
			r := rand.New(rand.NewPCG(seed, 11))
			p := randomMap(r)
			k := p.Kernels[0]
			m, err := newMachine(p, level)
			if err != nil {
				t.Fatalf("seed %d: %v\n%v", seed, err, p)
			}
			switch r := m.steps[0].(type) {
			case *goMap:
				fused += len(k.Prog.Code) - len(r.epi.steps)
			case *blended:
				blends++
				if r.split != nil {
					splits++
				}
			case *multiplied:
				gates++
			case *pairTabled:
				pairs++
			default:
				tables++
			}
			for i := range k.Prog.Code {
				prims[k.Prog.Code[i].Prim]++
			}
			var in [][]int64
			for _, b := range k.In {
				in = append(in, elements(r, b))
			}
			got, err := m.NewState().Run(in)
			if err != nil {
				t.Fatal(err)
			}
			vals, c := make([]int64, k.Prog.Last()+1), k.Out.Channels()
			for i, y := range got[0] {
				for j := range in {
					vals[j] = in[j][i]
				}
				if want := k.Prog.Eval(vals, i%c, i/c); y != want {
					t.Fatalf("%v seed %d: element %d: got %d, want %d\n%v", level, seed, i, y, want, p)
				}
			}
		}
		if fused < 100 || tables < 10 || min(blends, 10*splits, 5*gates) < 100 && level != kernels.Generic {
			t.Errorf("%v: %d fused steps, %d tables and %d blended programs, %d of them split, and %d gates, want more", level, fused, tables, blends, splits, gates)
		}
		if pairs < 20 && kernels.HasTables(level) {
			t.Errorf("%v: %d tables of pairs, want more", level, pairs)
		}
		for prim := range hw.Prims {
			if prims[hw.Prim(prim)] < 20 {
				t.Errorf("%v: %v came %d times, want more", level, hw.Prim(prim), prims[hw.Prim(prim)])
			}
		}
	}
}
