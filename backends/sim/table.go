package sim

import (
	"math"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// tabled is a Map of one input by a table of all values that its elements can have.
type tabled[X uint8 | int16, Y uint8 | int16 | int64] struct {
	k       *hw.Kernel
	in, out *layout
	table   *kernels.Table[X, Y]
	lines
}

// prepareTable is nil where the program is no function of one element of 8 or 16 bits. Other native code is faster than a table of portable
// code, and so are columns than one of 16 bits without a table in the program.
func (m *Machine) prepareTable(k *hw.Kernel, portable bool) runner {
	in, out := &m.layouts[k.In[0].ID], &m.layouts[k.Out.ID]
	bytes := in.kind == u8 && out.kind == u8
	switch {
	case len(k.In) != 1 || in.kind == i64 || !single(k.Prog):
		return nil
	case !portable && !(bytes && kernels.HasTables(m.level)), in.kind == i16 && !lookup(k.Prog):
		return nil
	}
	l, ok := newLines(in, out)
	if !ok {
		return nil
	}
	t := composed(k.Prog)
	switch {
	case bytes:
		return newTabled[uint8, uint8](m, k, l, t)
	case in.kind == u8 && out.kind == i16:
		return newTabled[uint8, int16](m, k, l, t)
	case in.kind == u8:
		return newTabled[uint8, int64](m, k, l, t)
	case out.kind == u8:
		return newTabled[int16, uint8](m, k, l, t)
	case out.kind == i16:
		return newTabled[int16, int16](m, k, l, t)
	}
	return newTabled[int16, int64](m, k, l, t)
}

func newTabled[X uint8 | int16, Y uint8 | int16 | int64](m *Machine, k *hw.Kernel, l lines, t []int64) *tabled[X, Y] {
	r := &tabled[X, Y]{k: k, in: &m.layouts[k.In[0].ID], out: &m.layouts[k.Out.ID], lines: l}
	r.table = newTable[X, Y](m, k.In[0].Range.Lo-r.in.zero, t, r.out.zero)
	return r
}

// newTable is a table of elements that are stored from first on, with results stored less zero.
func newTable[X uint8 | int16, Y uint8 | int16 | int64](m *Machine, first int64, t []int64, zero int64) *kernels.Table[X, Y] {
	y := make([]Y, len(t))
	for i, v := range t {
		y[i] = Y(v - zero)
	}
	return kernels.NewTable(m.level, X(first), y)
}

func (r *tabled[X, Y]) run(s *State) {
	x, y := cellsOf[X](&s.bufs[r.k.In[0].ID]), cellsOf[Y](&s.bufs[r.k.Out.ID])
	n := r.width * r.out.c
	for row := range r.rows {
		r.table.Run(y[r.from(r.out, row):][:n], x[r.from(r.in, row):])
	}
}

// single reports whether a program is the same for all channels and pixels.
func single(p *hw.Prog) bool {
	for i := range p.Code {
		if len(p.Code[i].Imm.V) > 1 {
			return false
		}
	}
	return len(p.Code) > 0
}

// pairTabled is a Map of two inputs of up to 4 bits by a table of all pairs.
type pairTabled struct {
	k     *hw.Kernel
	table *kernels.PairTable
	runs  kernels.Runs
	at    [3]int // as in blended
}

// preparePairs is nil where the program is no function of two elements of at most 16 values in bytes, or registers look up no tables.
func (m *Machine) preparePairs(k *hw.Kernel) runner {
	if len(k.In) != 2 || !single(k.Prog) {
		return nil
	}
	in, out := [2]*layout{&m.layouts[k.In[0].ID], &m.layouts[k.In[1].ID]}, &m.layouts[k.Out.ID]
	a, b := k.Prog.In[0], k.Prog.In[1]
	if in[0].kind != u8 || in[1].kind != u8 || out.kind != u8 || a.Hi-a.Lo > 15 || b.Hi-b.Lo > 15 {
		return nil
	}
	var t [256]uint8
	vals := make([]int64, k.Prog.Last()+1)
	for x := a.Lo; x <= a.Hi; x++ {
		for y := b.Lo; y <= b.Hi; y++ {
			vals[0], vals[1] = x, y
			t[(x-in[0].zero)&15<<4|(y-in[1].zero)&15] = uint8(k.Prog.Eval(vals, 0, 0) - out.zero)
		}
	}
	r, ok := &pairTabled{k: k}, false
	if r.runs, r.at, ok = runsOf(in, out); !ok {
		return nil
	}
	if r.table = kernels.NewPairTable(m.level, &t); r.table == nil {
		return nil
	}
	return r
}

func (r *pairTabled) run(s *State) {
	r.table.Run(s.bufs[r.k.Out.ID].u8[r.at[2]:], s.bufs[r.k.In[0].ID].u8[r.at[0]:], s.bufs[r.k.In[1].ID].u8[r.at[1]:], r.runs)
}

func lookup(p *hw.Prog) bool {
	for i := range p.Code {
		if p.Code[i].Prim == hw.Lut {
			return true
		}
	}
	return false
}

// composed are the results of a program for all values of its input, which are at most 1<<16.
func composed(p *hw.Prog) []int64 {
	in := p.In[0]
	t, vals := make([]int64, 0, min(in.Hi-in.Lo+1, math.MaxUint16+1)), make([]int64, p.Last()+1)
	for v := in.Lo; v <= in.Hi; v++ {
		vals[0] = v
		t = append(t, p.Eval(vals, 0, 0))
	}
	return t
}
