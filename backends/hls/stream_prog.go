package hls

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// memories adds the memories by channel of what makes a stage's results, one for each lane so that all can be read at the same time.
func (s *streamer) memories(w *writer, st *stream.Stage) {
	s.mems = map[string]*rom{}
	lanes := st.Out[0].Lanes
	add := func(key string, r *rom) {
		s.mems[key] = r
		w.partitioned(r, 1)
	}
	if t := st.Thresholds; t != nil {
		bits, n := t.Range().Bits(), t.Levels()
		if len(t.T) == 1 {
			add("_t", s.rom(st, "_t", apType(t.Range()), []int{n}, func(i []int) string { return literal(t.T[0][i[0]]) }, "thresholds of every channel"))
			return
		}
		r := s.rom(st, "_t", word(n*bits), []int{lanes, len(t.T) / lanes}, func(i []int) string {
			return packed(bits, n, func(j int) int64 { return t.T[i[1]*lanes+i[0]][j] })
		}, fmt.Sprintf("thresholds by lane and block, %d of %v in a word", n, t.Range()))
		add("_t", r)
		w.romStorage(r)
		if mixed(t) {
			add("_d", s.channelROM(st, "_d", falling(t), lanes, "1 where the result falls"))
		}
		return
	}
	p := st.Kernel.Prog
	live := liveValues(p)
	for i := range p.Code {
		n, v := len(p.In)+i, &p.Code[i].Imm
		if live[n] && len(v.V) > 1 && v.By == hw.ByChannel {
			key := fmt.Sprintf("_v%d", n)
			add(key, s.channelROM(st, key, v.V, lanes, fmt.Sprintf("%v of v%d", p.Code[i].Prim, n)))
		}
	}
}

// mixed reports whether results of some channels rise and of others fall.
func mixed(t *hw.Thresholds) bool {
	return slices.Contains(t.Falling, true) && slices.Contains(t.Falling, false)
}

func falling(t *hw.Thresholds) []int64 {
	v := make([]int64, len(t.Falling))
	for i, f := range t.Falling {
		if f {
			v[i] = 1
		}
	}
	return v
}

// count prints the counting of thresholds that x reaches, and returns the result.
func (s *streamer) count(w *writer, st *stream.Stage, x, lane string, block counter) string {
	t, in := st.Thresholds, st.Kernel.Prog.In[0]
	mem := s.mems["_t"]
	w.line("const %s v0 = %s(%s);", apType(in), apType(in), x)
	if len(t.T) > 1 {
		w.line("const %s levels = %s[%s][%v];", mem.elem, mem.name, lane, block)
	}
	w.line("%s reached = 0;", apType(hw.Interval{Hi: int64(t.Levels())}))
	k, loops := w.lanes(t.Levels(), "k")
	at := fmt.Sprintf("%s[%s]", mem.name, k)
	if len(t.T) > 1 {
		at = fmt.Sprintf("q_get<%s, %d>(levels, %s)", apType(t.Range()), t.Range().Bits(), k)
	}
	w.line("reached += v0 >= %s ? 1 : 0;", at)
	w.close(loops)
	y := apType(hw.Interval{Lo: t.Lo, Hi: t.Hi})
	up, down := fmt.Sprintf("%s(reached + %s)", y, literal(t.Lo)), fmt.Sprintf("%s(%s - reached)", y, literal(t.Hi))
	switch {
	case mixed(t):
		w.line("const %s v1 = %s[%s][%v] == 1 ? %s : %s;", y, s.mems["_d"].name, lane, block, down, up)
	case t.Falling[0]:
		w.line("const %s v1 = %s;", y, down)
	default:
		w.line("const %s v1 = %s;", y, up)
	}
	return "v1"
}

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
	return fmt.Sprintf("%s[%s][%v]", s.mems[key].name, lane, block)
}
