package hls

import (
	"quern/ir/hw/stream"
)

// load prints the reading of a port. TLAST of an input is not looked at: the number of words is known.
func (s *streamer) load(w *writer, st *stream.Stage) {
	w.run(st)
	if len(st.Out) == 0 {
		w.line("x.read(); /* no output depends on it */")
		w.close(1)
		return
	}
	c := st.Out[0]
	w.line("const %s t = x.read();", axisType(st))
	w.line("%s v;", word(c.Width()))
	w.line("q_resize(v, t.data);")
	w.line("y.write(v);")
	w.close(1)
}

// store prints the writing of a port, with TLAST at the last word of a run.
func (s *streamer) store(w *writer, st *stream.Stage) {
	c := st.In[0]
	w.run(st)
	w.line("const %s v = x.read();", word(c.Width()))
	w.line("%s t;", axisType(st))
	w.line("q_resize(t.data, v);")
	for _, f := range []string{"keep", "strb"} {
		w.line("t.%s = -1;", f)
	}
	for _, f := range []string{"user", "id", "dest"} {
		w.line("t.%s = 0;", f)
	}
	w.line("t.last = i == %d;", st.Iterations()-1)
	w.line("y.write(t);")
	w.close(1)
}

func (s *streamer) fork(w *writer, st *stream.Stage) {
	w.run(st)
	w.line("const %s v = x.read();", word(st.In[0].Width()))
	for i := range st.Out {
		w.line("%s.write(v);", output(st, i))
	}
	w.close(1)
}

// split prints the cutting of wide words, the lowest part first.
func (s *streamer) split(w *writer, st *stream.Stage) {
	in, out := st.In[0], st.Out[0]
	part := counter{"part", in.Lanes / out.Lanes}
	w.line("%s v;", word(in.Width()))
	part.declare(w)
	w.run(st)
	w.open("if (%s)", part.is(0))
	w.line("v = x.read();")
	w.orElse()
	w.line("q_shift_out<%d>(v);", out.Width())
	w.close(1)
	w.line("%s r;", word(out.Width()))
	w.line("q_resize(r, v);")
	w.line("y.write(r);")
	w.advance(nil, part)
	w.close(1)
}

// join prints the putting together of narrow words, the first lowest.
func (s *streamer) join(w *writer, st *stream.Stage) {
	in, out := st.In[0], st.Out[0]
	part := counter{"part", out.Lanes / in.Lanes}
	w.line("%s v;", word(out.Width()))
	part.declare(w)
	w.run(st)
	w.line("q_shift_in(v, x.read());")
	w.open("if (%s)", part.last())
	w.line("y.write(v);")
	w.close(1)
	w.advance(nil, part)
	w.close(1)
}

// convert prints the word r of one channel out of the word v of another, which differ in the range of their elements at most.
func (w *writer) convert(r string, to *stream.Channel, v string, from *stream.Channel) {
	if apType(to.Range) == apType(from.Range) {
		w.line("%s = %s;", r, v)
		return
	}
	p, n := w.lanes(to.Lanes, "p")
	w.line("q_put<%d>(%s, %s, %s(q_get<%s, %d>(%s, %s)));", to.Range.Bits(), r, p, apType(to.Range), apType(from.Range), from.Range.Bits(), v, p)
	w.close(n)
}

// constantWord prints a word whose elements all have a value.
func (w *writer) constantWord(name string, c *stream.Channel, v int64) {
	w.line("%s %s;", word(c.Width()), name)
	p, n := w.lanes(c.Lanes, "p")
	w.line("q_put<%d>(%s, %s, %s(%s));", c.Range.Bits(), name, p, apType(c.Range), literal(v))
	w.close(n)
}
