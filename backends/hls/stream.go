package hls

import (
	"fmt"
	"slices"
	"strings"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// streamer prints a stream design: a function for each stage, all in one DATAFLOW region.
type streamer struct {
	*emitter
	d    *stream.Design
	fns  map[*stream.Stage]string
	chs  map[*stream.Channel]string
	roms []*rom
	mems map[string]*rom // of the stage that is printed: numbers by channel and thresholds
}

// printStream prints the design as C++11 for the tools' arbitrary precision types. Ports are AXI4-Streams of words with TLAST.
func printStream(e *emitter) (*design, error) {
	if e.o.Design == nil || e.o.Design.Prog != e.p {
		return nil, fmt.Errorf("style stream: want a stream design of the program")
	}
	if err := stream.Verify(e.o.Design); err != nil {
		return nil, err
	}
	s := &streamer{emitter: e, d: e.o.Design, fns: map[*stream.Stage]string{}, chs: map[*stream.Channel]string{}}
	for _, st := range s.d.Stages {
		s.fns[st] = e.ids.pick(e.o.Top+"_"+st.Name, "")
	}
	for _, c := range s.d.Channels {
		s.chs[c] = e.ids.pick(c.Name, "")
	}
	body := &writer{}
	for _, st := range s.d.Stages {
		body.raw("")
		s.stage(body, st)
	}
	w := &writer{}
	e.head(w, fmt.Sprintf("%s.cpp: the network as stages joined by FIFOs, all at work at the same time.", e.o.Top))
	w.raw("#include %q", e.o.Top+".h")
	w.raw("#include \"weights.h\"")
	s.traceMacro(w)
	w.Write(body.Bytes())
	w.raw("")
	s.top(w)
	files := []File{{e.o.Top + ".h", s.header()}, {e.o.Top + ".cpp", w.Bytes()}, {"weights.h", s.weights()}, {"stream.h", streamH},
		{"tb.cpp", s.streamTestbench()}}
	functions := map[*hw.Kernel]string{}
	for _, l := range s.d.Layers() {
		functions[l.Kernel] = s.fns[l.Unit()]
	}
	return &design{files: append(files, standIns...), language: &langCXX, about: s.about, portType: s.portType, layers: s.layers,
		functions: functions, describe: s.describe}, nil
}

// apType is the type of exactly the bits of a range.
func apType(r hw.Interval) string {
	if r.Signed() {
		return fmt.Sprintf("ap_int<%d>", r.Bits())
	}
	return fmt.Sprintf("ap_uint<%d>", r.Bits())
}

func word(bits int) string { return fmt.Sprintf("ap_uint<%d>", bits) }

// fifo is the type of the FIFO of a channel.
func fifo(c *stream.Channel) string { return fmt.Sprintf("hls::stream<%s >", word(c.Width())) }

// axisBits is the width of a port's data: that of the words of its channel, in bytes. A port that nothing reads has one element.
func axisBits(s *stream.Stage) int {
	n := s.Port.Range.Bits()
	for _, c := range append(slices.Clone(s.In), s.Out...) {
		n = c.Width()
	}
	return (n + 7) / 8 * 8
}

// axis is the type of a transfer. Vivado HLS wants 1 bit at least for each of the side channels.
func axisType(s *stream.Stage) string { return fmt.Sprintf("ap_axiu<%d, 1, 1, 1>", axisBits(s)) }

func (s *streamer) ports() (in, out []*stream.Stage) {
	for _, st := range s.d.Stages {
		switch st.Kind {
		case stream.Load:
			in = append(in, st)
		case stream.Store:
			out = append(out, st)
		}
	}
	return in, out
}

func (s *streamer) streamSignature() string {
	var args []string
	in, out := s.ports()
	for i, st := range in {
		args = append(args, fmt.Sprintf("hls::stream<%s > &%s", axisType(st), s.in[i]))
	}
	for i, st := range out {
		args = append(args, fmt.Sprintf("hls::stream<%s > &%s", axisType(st), s.out[i]))
	}
	return fmt.Sprintf("void %s(%s)", s.o.Top, strings.Join(args, ", "))
}

func (s *streamer) header() []byte {
	w := &writer{}
	s.head(w, fmt.Sprintf("%s.h: the top function. README.md has the order and the meaning of the words.", s.o.Top))
	w.guard(strings.ToUpper(s.o.Top) + "_H")
	w.raw("#include \"stream.h\"")
	w.raw("")
	w.raw("%s;", s.streamSignature())
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

// top prints the top function: interface, FIFOs, one call for each stage.
func (s *streamer) top(w *writer) {
	w.line("%s", s.streamSignature())
	w.line("{")
	w.depth++
	for _, p := range append(slices.Clone(s.in), s.out...) {
		w.raw("#pragma HLS INTERFACE axis port=%s", p)
	}
	w.raw("#pragma HLS INTERFACE s_axilite port=return bundle=control")
	w.raw("#pragma HLS DATAFLOW")
	for _, c := range s.d.Channels {
		w.line("%s %s(%s);", fifo(c), s.chs[c], quote(s.chs[c]))
		w.raw("#pragma HLS STREAM variable=%s depth=%d", s.chs[c], c.Depth)
	}
	in, out := 0, 0
	for _, st := range s.d.Stages {
		var args []string
		if st.Kind == stream.Load {
			args = append(args, s.in[in])
			in++
		}
		for _, c := range append(slices.Clone(st.In), st.Out...) {
			args = append(args, s.chs[c])
		}
		if st.Kind == stream.Store {
			args = append(args, s.out[out])
			out++
		}
		w.line("%s(%s);", s.fns[st], strings.Join(args, ", "))
	}
	w.close(1)
}

// input and output are the names of a stage's FIFOs inside its function.
func input(st *stream.Stage, i int) string {
	if len(st.In) == 1 {
		return "x"
	}
	return fmt.Sprintf("x%d", i)
}

func output(st *stream.Stage, i int) string {
	if len(st.Out) == 1 {
		return "y"
	}
	return fmt.Sprintf("y%d", i)
}

// stage prints the function of a stage.
func (s *streamer) stage(w *writer, st *stream.Stage) {
	w.line("/* %v%s: %d iterations", st.Kind, foldText(st), st.Iterations())
	if st.Kernel != nil {
		w.line(" *   %v, from %s", st.Kernel.Kind, comment(st.Kernel.Pos.String()))
		if st.Kernel.Dot != nil || st.Kernel.Window != nil {
			w.line(" *   %s", geometryText(stream.Geometry(st.Kernel), ""))
		}
	}
	var args []string
	if st.Kind == stream.Load {
		args = append(args, fmt.Sprintf("hls::stream<%s > &x", axisType(st)))
	}
	for i, c := range st.In {
		args = append(args, fmt.Sprintf("%s &%s", fifo(c), input(st, i)))
		w.line(" *   %s: %d words of %d %v", input(st, i), c.Words, c.Lanes, c.Range)
	}
	for i, c := range st.Out {
		args = append(args, fmt.Sprintf("%s &%s", fifo(c), output(st, i)))
		w.line(" *   %s: %d words of %d %v", output(st, i), c.Words, c.Lanes, c.Range)
	}
	if st.Kind == stream.Store {
		args = append(args, fmt.Sprintf("hls::stream<%s > &y", axisType(st)))
	}
	w.line(" */")
	w.line("static void %s(%s)", s.fns[st], strings.Join(args, ", "))
	w.line("{")
	w.depth++
	switch st.Kind {
	case stream.Load:
		s.load(w, st)
	case stream.Store:
		s.store(w, st)
	case stream.Fork:
		s.fork(w, st)
	case stream.Split:
		s.split(w, st)
	case stream.Join:
		s.join(w, st)
	case stream.Slide:
		s.slide(w, st)
	case stream.MVU:
		s.mvu(w, st)
	case stream.Lane:
		s.lane(w, st)
	case stream.Global:
		s.global(w, st)
	case stream.Map:
		s.mapStage(w, st)
	case stream.Weave:
		s.weave(w, st)
	case stream.Reorder:
		s.reorder(w, st)
	}
	w.close(1)
}

func foldText(st *stream.Stage) string {
	switch st.Kind {
	case stream.MVU, stream.Lane, stream.Global, stream.Map, stream.Weave, stream.Reorder:
		return fmt.Sprintf(", %v", st.Fold)
	}
	return ""
}

// run opens the loop over the iterations of a stage. Its pipeline moves on when no input comes, so that nothing is held back in it.
func (w *writer) run(st *stream.Stage) {
	w.open("run: for (int i = 0; i < %d; i++)", st.Iterations())
	w.raw("#ifdef __VITIS_HLS__")
	w.raw("#pragma HLS PIPELINE II=1 style=flp")
	w.raw("#else")
	w.raw("#pragma HLS PIPELINE II=1 enable_flush")
	w.raw("#endif")
}

// lanes opens a loop over the lanes of a word, which is unrolled; for one lane the variable p is not needed and 0 is returned as its
// name.
func (w *writer) lanes(n int, v string) (name string, blocks int) {
	if n == 1 {
		return "0", 0
	}
	w.open("for (int %s = 0; %s < %d; %s++)", v, v, n, v)
	w.raw("#pragma HLS UNROLL")
	return v, 1
}

// counter is a variable that counts 0..n-1 and starts again; none where n is 1.
type counter struct {
	name string
	n    int
}

func (c counter) declare(w *writer) {
	if c.n > 1 {
		w.line("%s %s = 0;", apType(hw.Interval{Lo: 0, Hi: int64(c.n - 1)}), c.name)
	}
}

// String is the variable, or 0.
func (c counter) String() string {
	if c.n == 1 {
		return "0"
	}
	return c.name
}

// is is the condition that the counter has a value; last that it has the greatest.
func (c counter) is(v int) string {
	if c.n == 1 {
		return "true"
	}
	return fmt.Sprintf("%s == %d", c.name, v)
}

func (c counter) last() string { return c.is(c.n - 1) }

// advance prints the step of counters of which the first is the fastest; after prints what happens when all start again.
func (w *writer) advance(after func(), cs ...counter) {
	for len(cs) > 0 && cs[0].n == 1 {
		cs = cs[1:]
	}
	if len(cs) == 0 {
		if after != nil {
			after()
		}
		return
	}
	c := cs[0]
	w.open("if (%s)", c.last())
	w.line("%s = 0;", c.name)
	w.advance(after, cs[1:]...)
	w.orElse()
	w.line("%s += 1;", c.name)
	w.close(1)
}

func (w *writer) orElse() {
	w.depth--
	w.line("} else {")
	w.depth++
}

// times is the term that adds c times the counter to a sum; nothing where that is 0.
func (c counter) times(k int) string {
	switch {
	case c.n == 1 || k == 0:
		return ""
	case k == 1:
		return " + " + c.name
	}
	return fmt.Sprintf(" + %d * %s", k, c.name)
}
