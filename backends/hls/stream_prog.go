package hls

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// program prints a scalar program with exact widths, one line for each step, and returns the result. Numbers by channel come from memories by
// lane and block.
func (s *streamer) program(w *writer, st *stream.Stage, in []string, lane string, block, pixel counter) string {
	p := st.Kernel.Prog
	live := liveValues(p)
	for i, r := range p.In {
		if live[i] {
			w.line("const %s v%d = %s(%s);", apType(r), i, apType(r), in[i])
		}
	}
	for i := range p.Code {
		n := len(p.In) + i
		if !live[n] {
			continue
		}
		c := &p.Code[i]
		w.line("const %s v%d = %s;", apType(c.Range), n, s.apStep(st, n, c, lane, block, pixel))
	}
	return fmt.Sprintf("v%d", p.Last())
}

// apStep is the expression of a step. Sums and products of the tools' types are exact, so only what shifts, wraps or chooses names a width.
func (s *streamer) apStep(st *stream.Stage, n int, c *hw.Instr, lane string, block, pixel counter) string {
	p := st.Kernel.Prog
	a, t := fmt.Sprintf("v%d", c.A), apType(c.Range)
	if c.Prim == hw.Lut {
		r := s.lutROM(st, n, c)
		return fmt.Sprintf("%s(%s[%s])", t, r.name, offset(a, c.Imm.V[0]))
	}
	row := &hw.Prims[c.Prim]
	b := fmt.Sprintf("v%d", c.B)
	if row.Imm != hw.NoImm {
		b = s.apImmediate(st, n, c, lane, block, pixel)
	}
	switch c.Prim {
	case hw.Add, hw.AddI:
		return a + " + " + b
	case hw.Sub:
		return a + " - " + b
	case hw.Mul, hw.MulI:
		return a + " * " + b
	case hw.Max, hw.MaxI:
		return fmt.Sprintf("%s > %s ? %s(%s) : %s(%s)", a, b, t, a, t, b)
	case hw.Min, hw.MinI:
		return fmt.Sprintf("%s < %s ? %s(%s) : %s(%s)", a, b, t, a, t, b)
	case hw.DivInto:
		k := max(p.Range(c.A).Bits(), c.Imm.Bounds().Bits()) + 2
		return fmt.Sprintf("q_div<%s, %d>(ap_int<%d>(%s), ap_int<%d>(%s))", t, k, k, b, k, a)
	}
	// A function of stream.h on a number of k bits: the argument with half a unit of what is shifted out, or the width to wrap at.
	r := p.Range(c.A)
	most := slices.Max(c.Imm.V)
	k := max(r.Bits()+1, 2)
	if row.Imm == hw.Shift {
		k = max(k, int(most)+1) + 1
	} else {
		k = max(k, int(most))
	}
	name := "q_" + strings.TrimPrefix(row.Name, "q_")
	if len(c.Imm.V) > 1 {
		b = "(" + b + ").to_int()"
	}
	k = min(k, 64)
	return fmt.Sprintf("%s<%s, %d>(ap_int<%d>(%s), %s)", name, t, k, k, a, b)
}

// offset is a - first as an index.
func offset(a string, first int64) string {
	switch {
	case first == 0:
		return a
	case first < 0:
		return fmt.Sprintf("%s + %s", a, literal(-first))
	}
	return fmt.Sprintf("%s - %s", a, literal(first))
}

// apImmediate is a literal, or an element of a memory.
func (s *streamer) apImmediate(st *stream.Stage, n int, c *hw.Instr, lane string, block, pixel counter) string {
	v := c.Imm
	if len(v.V) == 1 {
		if v.V[0] < 0 {
			return "(" + literal(v.V[0]) + ")"
		}
		return literal(v.V[0])
	}
	key := fmt.Sprintf("_v%d", n)
	if v.By == hw.ByPixel {
		r := s.rom(st, key, apType(v.Bounds()), []int{len(v.V)}, func(i []int) string { return literal(v.V[i[0]]) },
			fmt.Sprintf("%v of v%d by pixel", c.Prim, n))
		return fmt.Sprintf("%s[%v]", r.name, pixel)
	}
	r := s.channelROM(st, key, v.V, st.Out[0].Lanes, fmt.Sprintf("%v of v%d", c.Prim, n))
	return fmt.Sprintf("%s[%s][%v]", r.name, lane, block)
}
