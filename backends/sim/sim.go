// Package sim executes hardware programs bit for bit: what it computes is what the emitted C computes.
//
//	m, err := sim.New(prog)
//	s := m.NewState() // one for each goroutine
//	out, err := s.RunFloat(in)
//
// Values are held as int64, and convolutions read their input through a padded int32 copy. The reduction of a Dot kernel is native
// code (see backends/kernels), exact in any order because the accumulator's range is proved; scalar programs run column by column
// over a row of the output.
package sim

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// Machine is a program made ready to run. It is immutable and safe for concurrent use.
type Machine struct {
	p     *hw.Program
	steps []step
	row   int // longest row that a scalar program works on
	cols  int // most columns of a scalar program
}

// step is one kernel.
type step struct {
	k     *hw.Kernel
	epi   *epilogue
	win   kernels.Window
	dot   *kernels.Dot[int32]
	group []*kernels.Dot[int32] // grouped convolutions: one for each group
	deep  *kernels.Depthwise[int32]
	pad   padded
	moves []run
}

// padded is the geometry of the padded copy of an input: the rows and columns that windows touch.
type padded struct{ h, w, c, top, left int }

// New checks a program and prepares it.
func New(p *hw.Program) (*Machine, error) {
	if err := hw.Verify(p); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	m := &Machine{p: p, cols: 1}
	for _, k := range p.Kernels {
		s := step{k: k}
		switch {
		case k.Dot != nil:
			g := &k.Dot.Geometry
			if err := narrow(k, g); err != nil {
				return nil, err
			}
			s.prepareDot(k.Dot)
			m.row = max(m.row, g.OW*g.OC)
		case k.Window != nil:
			g := &k.Window.Geometry
			if err := narrow(k, g); err != nil {
				return nil, err
			}
			s.pad = padOf(g)
			s.win = window(g, s.pad, g.C, true)
			m.row = max(m.row, g.OW*g.OC)
		case k.Move != nil:
			s.moves = runs(k.Move)
		default:
			m.row = max(m.row, k.Out.Len())
		}
		if k.Prog != nil {
			s.epi = newEpilogue(k)
			m.cols = max(m.cols, k.Prog.Last()+1)
		}
		m.steps = append(m.steps, s)
	}
	return m, nil
}

// narrow checks that input and padding fit the int32 of the padded copy.
func narrow(k *hw.Kernel, g *hw.Geometry) error {
	r := k.In[0].Range.Union(hw.Interval{Lo: g.PadValue, Hi: g.PadValue})
	if r.Lo < -1<<31 || r.Hi >= 1<<31 {
		return fmt.Errorf("sim: kernel %s: input and padding in %d..%d, want 32 bits", k.Name, r.Lo, r.Hi)
	}
	return nil
}

// padOf is the padded copy that holds every element a window touches.
func padOf(g *hw.Geometry) padded {
	return padded{h: max((g.OH-1)*g.SH+(g.KH-1)*g.DH+1, g.PH+g.H), w: max((g.OW-1)*g.SW+(g.KW-1)*g.DW+1, g.PW+g.W), c: g.C, top: g.PH, left: g.PW}
}

// window is the sliding window over a padded copy. Where columns are adjacent and all channels take part, a whole kernel row is one run.
func window(g *hw.Geometry, p padded, run int, taps bool) kernels.Window {
	w := kernels.Window{Run: run, Step: g.SW * p.c}
	if !taps && g.DW == 1 && run == p.c {
		w.Run = run * g.KW
		for ky := range g.KH {
			w.Off = append(w.Off, ky*g.DH*p.w*p.c)
		}
		return w
	}
	for ky := range g.KH {
		for kx := range g.KW {
			w.Off = append(w.Off, (ky*g.DH*p.w+kx*g.DW)*p.c)
		}
	}
	return w
}

func (s *step) prepareDot(d *hw.Dot) {
	g := &d.Geometry
	s.pad = padOf(g)
	bits := 1
	for _, a := range d.Acc {
		bits = max(bits, hw.Interval{Lo: min(a.Lo, -1), Hi: a.Hi}.Bits())
	}
	cg, mg := g.C/d.Groups, g.OC/d.Groups
	k := g.KH * g.KW * cg
	switch {
	case d.Groups == 1:
		s.dot = kernels.NewDot[int32](window(g, s.pad, g.C, false), d.Weights, d.Bias, bits)
	case cg == 1 && mg == 1:
		s.deep = kernels.NewDepthwise[int32](window(g, s.pad, g.C, true), d.Weights, d.Bias)
	default:
		for q := range d.Groups {
			s.group = append(s.group, kernels.NewDot[int32](window(g, s.pad, cg, true), d.Weights[q*mg*k:(q+1)*mg*k], d.Bias[q*mg:(q+1)*mg], bits))
		}
	}
}

// State is the memory of one run. It is used by one goroutine at a time.
type State struct {
	m    *Machine
	bufs [][]int64 // by buffer ID
	pads [][]int32 // by kernel
	cols [][]int64 // scratch columns of scalar programs
	in   [][]int64
	out  [][]int64
	outF [][]float32
}

// NewState allocates all memory that runs need.
func (m *Machine) NewState() *State {
	s := &State{m: m}
	for _, b := range m.p.Buffers {
		s.bufs = append(s.bufs, make([]int64, b.Len()))
	}
	for i := range m.steps {
		st := &m.steps[i]
		var x []int32
		if g := st.geometry(); g != nil {
			x = make([]int32, st.pad.h*st.pad.w*st.pad.c)
			for j := range x {
				x[j] = int32(g.PadValue)
			}
		}
		s.pads = append(s.pads, x)
	}
	for range m.cols {
		s.cols = append(s.cols, make([]int64, m.row))
	}
	for _, b := range m.p.Inputs {
		s.in = append(s.in, make([]int64, b.Len()))
	}
	for _, b := range m.p.Outputs {
		s.out = append(s.out, s.bufs[b.ID])
		s.outF = append(s.outF, make([]float32, b.Len()))
	}
	return s
}

func (st *step) geometry() *hw.Geometry {
	switch {
	case st.k.Dot != nil:
		return &st.k.Dot.Geometry
	case st.k.Window != nil:
		return &st.k.Window.Geometry
	}
	return nil
}

// Run computes the outputs for one sample. Inputs and outputs are in the order of the program's ports, elements in the layout of the
// buffers. The result is the state's own memory, overwritten by the next Run. Inputs outside their range are an error.
func (s *State) Run(in [][]int64) ([][]int64, error) {
	p := s.m.p
	if len(in) != len(p.Inputs) {
		return nil, fmt.Errorf("sim: want %d inputs, got %d", len(p.Inputs), len(in))
	}
	for i, b := range p.Inputs {
		if len(in[i]) != b.Len() {
			return nil, fmt.Errorf("sim: input %q: want %d elements, got %d", b.Port.Name, b.Len(), len(in[i]))
		}
		for j, v := range in[i] {
			if v < b.Range.Lo || v > b.Range.Hi {
				return nil, fmt.Errorf("sim: input %q: element %d is %d, want %d..%d", b.Port.Name, j, v, b.Range.Lo, b.Range.Hi)
			}
		}
		copy(s.bufs[b.ID], in[i])
	}
	for i := range s.m.steps {
		s.step(i)
	}
	return s.out, nil
}

// RunFloat is Run from and to the reals of the model's tensors (row major, without the batch axis), converted by the ports.
func (s *State) RunFloat(in [][]float32) ([][]float32, error) {
	p := s.m.p
	if len(in) != len(p.Inputs) {
		return nil, fmt.Errorf("sim: want %d inputs, got %d", len(p.Inputs), len(in))
	}
	for i, b := range p.Inputs {
		if err := b.Port.Quantize(s.in[i], in[i]); err != nil {
			return nil, err
		}
	}
	out, err := s.Run(s.in)
	if err != nil {
		return nil, err
	}
	for i, b := range p.Outputs {
		b.Port.Dequantize(s.outF[i], out[i])
	}
	return s.outF, nil
}

// Buffer is a copy of a buffer as the last Run left it.
func (s *State) Buffer(b *hw.Buffer) []int64 { return append([]int64(nil), s.bufs[b.ID]...) }

func (s *State) step(i int) {
	st := &s.m.steps[i]
	k := st.k
	out := s.bufs[k.Out.ID]
	switch {
	case k.Dot != nil || k.Window != nil:
		g := st.geometry()
		x := s.fill(i, g)
		for oy := range g.OH {
			row := out[oy*g.OW*g.OC:][:g.OW*g.OC]
			st.reduce(g, row, x[oy*g.SH*st.pad.w*g.C:])
			st.epi.run(s, row, oy*g.OW)
		}
	case k.Move != nil:
		if k.Move.Filled {
			for j := range out {
				out[j] = k.Move.Fill
			}
		}
		for _, r := range st.moves {
			src := s.bufs[k.In[r.src].ID]
			if r.step == 1 {
				copy(out[r.dst:r.dst+r.n], src[r.from:r.from+r.n])
				continue
			}
			for j := range r.n {
				out[r.dst+j] = src[r.from+j*r.step]
			}
		}
	default:
		for j, b := range k.In {
			copy(s.cols[j][:len(out)], s.bufs[b.ID])
		}
		st.epi.columns(s, len(out), 0)
		copy(out, s.cols[k.Prog.Last()])
	}
}

// reduce computes the accumulators of a row of output pixels; x starts at the window of the first.
func (st *step) reduce(g *hw.Geometry, row []int64, x []int32) {
	switch w := st.k.Window; {
	case w != nil && w.Reduce == hw.ReduceMax:
		kernels.MaxRow(&st.win, row, x, g.OW)
	case w != nil:
		kernels.SumRow(&st.win, row, x, g.OW)
	case st.dot != nil:
		kernels.DotRow(st.dot, row, g.OC, x, g.OW)
	case st.deep != nil:
		kernels.DepthwiseRow(st.deep, row, x, g.OW)
	default:
		cg, mg := g.C/len(st.group), g.OC/len(st.group)
		for q, d := range st.group {
			kernels.DotRow(d, row[q*mg:], g.OC, x[q*cg:], g.OW)
		}
	}
}

// fill copies the input of a kernel into its padded copy; the border has its value already.
func (s *State) fill(i int, g *hw.Geometry) []int32 {
	st := &s.m.steps[i]
	x, in := s.pads[i], s.bufs[st.k.In[0].ID]
	n := g.W * g.C
	for y := range g.H {
		dst := x[((y+st.pad.top)*st.pad.w+st.pad.left)*g.C:][:n]
		for j, v := range in[y*n:][:n] {
			dst[j] = int32(v)
		}
	}
	return x
}

// run is a copy of n elements with a constant step in the source.
type run struct{ src, from, dst, n, step int }

// runs flattens the pieces of a Move.
func runs(m *hw.Move) []run {
	var r []run
	for _, p := range m.Pieces {
		last := len(p.Size) - 1
		if last < 0 || p.DstStride[last] != 1 {
			p.Walk(func(src, dst int) { r = append(r, run{p.Src, src, dst, 1, 1}) })
			continue
		}
		outer := hw.Piece{SrcOff: p.SrcOff, DstOff: p.DstOff, Size: p.Size[:last], SrcStride: p.SrcStride[:last], DstStride: p.DstStride[:last]}
		outer.Walk(func(src, dst int) { r = append(r, run{p.Src, src, dst, p.Size[last], p.SrcStride[last]}) })
	}
	return r
}
