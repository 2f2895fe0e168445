package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// weave prints a Move that takes its sources' words in their order: a memory says what each iteration does.
func (s *streamer) weave(w *writer, st *stream.Stage) {
	out, plan := st.Out[0], st.Plan
	most := 0
	for _, c := range plan.Control {
		most = max(most, int(c))
	}
	step := counter{"step", len(plan.Control)}
	t := apType(hw.Interval{Lo: 0, Hi: int64(most)})
	r := s.rom(st, "_control", t, []int{len(plan.Control)}, func(i []int) string { return literal(int64(plan.Control[i[0]])) },
		"0: the fill value; 1 + 2 i: a word of source i; 2 + 2 i: a word of source i is dropped")
	step.declare(w)
	w.run(st)
	w.line("const %s what = %s[%v];", t, r.name, step)
	w.constantWord("r", out, st.Kernel.Move.Fill)
	for i, c := range st.In {
		w.open("if (what == %d || what == %d)", 1+2*i, 2+2*i)
		w.line("const %s v = %s.read();", word(c.Width()), input(st, i))
		w.convert("r", out, "v", c)
		w.close(1)
	}
	var writes []string
	for i := range st.In {
		writes = append(writes, fmt.Sprintf("what == %d", 1+2*i))
	}
	w.open("if (%s)", strings.Join(append([]string{"what == 0"}, writes...), " || "))
	s.put(w, st)
	w.close(1)
	w.advance(nil, step)
	w.close(1)
}

// reorder prints a Move that stores its sources and then reads them in another order.
func (s *streamer) reorder(w *writer, st *stream.Stage) {
	out, plan := st.Out[0], st.Plan
	most := 0
	for i, c := range st.In {
		w.line("%s mem%d[%d];", word(c.Width()), i, c.Words)
		most = max(most, c.Words)
	}
	// From is stored with 1 added: 0 is the fill value.
	total := 0
	for _, c := range st.In {
		total += c.Words
	}
	t := apType(hw.Interval{Lo: 0, Hi: int64(total)})
	r := s.rom(st, "_from", t, []int{len(plan.From)}, func(i []int) string { return literal(int64(plan.From[i[0]] + 1)) },
		"1 + the place of each output word in the sources, one behind the other; 0: the fill value")
	w.romStorage(r)
	at := counter{"at", most}
	next := counter{"next", len(plan.From)}
	w.line("bool full = false; /* all sources are stored */")
	at.declare(w)
	next.declare(w)
	w.run(st)
	w.open("if (!full)")
	for i, c := range st.In {
		if c.Words < most {
			w.open("if (%v < %d)", at, c.Words)
		}
		w.line("mem%d[%v] = %s.read();", i, at, input(st, i))
		if c.Words < most {
			w.close(1)
		}
	}
	w.advance(func() { w.line("full = true;") }, at)
	w.orElse()
	w.line("const %s from = %s[%v];", t, r.name, next)
	w.constantWord("r", out, st.Kernel.Move.Fill)
	first := 1
	for i, c := range st.In {
		w.open("if (from >= %d && from < %d)", first, first+c.Words)
		w.line("const %s v = mem%d[from - %d];", word(c.Width()), i, first)
		w.convert("r", out, "v", c)
		w.close(1)
		first += c.Words
	}
	s.put(w, st)
	w.advance(nil, next)
	w.close(2)
}
