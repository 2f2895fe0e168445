// Package sim executes hardware programs bit for bit: what it computes is what the emitted C computes.
//
//	m, err := sim.New(prog)
//	s := m.NewState() // one for each goroutine
//	out, err := s.RunFloat(in)
//
// Values are held in 8, 16 or 64 bits as their range allows, with a border where sliding windows want one. Convolutions of narrow
// integers are native code where the CPU has the instructions (see backends/kernels), with the usual requantization behind them; all
// else is portable Go over rows of int64. Sums are exact in any order, because the accumulator's range is proved.
package sim

import (
	"fmt"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// Machine is a program made ready to run. It is immutable and safe for concurrent use.
type Machine struct {
	p       *hw.Program
	level   kernels.Level
	layouts []layout  // by buffer ID
	pads    []int64   // the value of each layout's border
	inputs  []*input  // of the program, nil where portable code quantizes
	outputs []*output // of the program
	steps   []runner
	same    []int    // by buffer ID: the one whose memory it shares, or itself
	elided  []runner // by buffer ID: what writes a buffer that runs leave out, or nil
	copies  []border // images that are not a buffer itself
	row     int      // longest row that a scalar program works on
	cols    int      // most columns of a scalar program
	acc     int      // most accumulators of native code
	reals   int      // most reals of an output that are turned around at a time
}

// runner is one kernel made ready.
type runner interface{ run(s *State) }

// border is a layout and the value of its border.
type border struct {
	layout
	pad int64
}

// New checks a program and prepares it for this CPU, or as the environment variable QUERN_CPU says (see kernels.Best).
func New(p *hw.Program) (*Machine, error) {
	level, err := kernels.Best()
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return newMachine(p, level)
}

func newMachine(p *hw.Program, level kernels.Level) (*Machine, error) {
	if err := hw.Verify(p); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	m := &Machine{p: p, level: level, cols: 1}
	q, parts := split(p, level)
	m.layouts, m.pads = plan(q, level)
	for i := range m.layouts {
		m.same = append(m.same, i)
	}
	for _, ks := range parts {
		r := m.prepare(ks[0])
		if len(ks) > 1 {
			r = &chain{r, m.prepare(ks[1])}
		}
		m.steps = append(m.steps, r)
	}
	m.fuse()
	for _, b := range p.Inputs {
		m.inputs = append(m.inputs, m.prepareInput(b))
	}
	for _, b := range p.Outputs {
		m.outputs = append(m.outputs, m.prepareOutput(b))
	}
	return m, nil
}

func (m *Machine) prepare(k *hw.Kernel) runner {
	var e *epilogue
	if k.Prog != nil {
		e = newEpilogue(k, m.level)
		m.cols = max(m.cols, k.Prog.Last()+1)
	}
	switch {
	case k.Dot != nil:
		return m.prepareDot(k, e)
	case k.Window != nil:
		return m.prepareWindow(k, e)
	case k.Move != nil:
		return m.prepareMove(k)
	}
	return m.prepareMap(k, e)
}

// State is the memory of one run. It is used by one goroutine at a time.
type State struct {
	// Called, unless nil, by Run before the first kernel and after each one: to measure times.
	Before func()
	After  func(k *hw.Kernel)

	m       *Machine
	bufs    []cells   // by buffer ID
	copies  []cells   // as Machine.copies
	row     []int64   // accumulators of a scalar program
	cols    [][]int64 // scratch columns of scalar programs
	spread  []int64   // and one of a number for each pixel
	acc     []int32   // accumulators of native code
	in      [][]int64
	scratch cells // of native inputs, in the types of their buffers
	out     [][]int64
	outF    [][]float32
	reals   []float32
}

// NewState allocates all memory that runs need.
func (m *Machine) NewState() *State {
	s := &State{m: m, row: kernels.MakeColumn(m.row), spread: kernels.MakeColumn(m.row), acc: make([]int32, m.acc), reals: make([]float32, m.reals)}
	for i := range m.layouts {
		l, pad := &m.layouts[i], m.pads[i]
		if !l.holds(pad) {
			pad = l.zero // there is no border
		}
		s.bufs = append(s.bufs, newCells(l, pad))
	}
	for i, j := range m.same {
		s.bufs[i] = s.bufs[j]
	}
	for i := range m.copies {
		s.copies = append(s.copies, newCells(&m.copies[i].layout, m.copies[i].pad))
	}
	for range m.cols {
		s.cols = append(s.cols, kernels.MakeColumn(m.row))
	}
	most := 0
	for _, b := range m.p.Inputs {
		s.in = append(s.in, make([]int64, b.Len()))
		most = max(most, b.Len())
	}
	s.scratch = cells{u8: make([]uint8, most), i16: make([]int16, most)}
	for _, b := range m.p.Outputs {
		s.out = append(s.out, make([]int64, b.Len()))
		s.outF = append(s.outF, make([]float32, b.Len()))
	}
	return s
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
		s.write(b, in[i])
	}
	s.run()
	for i, b := range p.Outputs {
		s.read(b, s.out[i])
	}
	return s.out, nil
}

// run executes the kernels on the input buffers.
func (s *State) run() {
	if s.Before != nil {
		s.Before()
	}
	for i, r := range s.m.steps {
		r.run(s)
		if s.After != nil {
			s.After(s.m.p.Kernels[i])
		}
	}
}

// RunFloat is Run from and to the reals of the model's tensors (row major, without the batch axis), converted by the ports. The result
// is the state's own memory, too.
func (s *State) RunFloat(in [][]float32) ([][]float32, error) {
	p := s.m.p
	if len(in) != len(p.Inputs) {
		return nil, fmt.Errorf("sim: want %d inputs, got %d", len(p.Inputs), len(in))
	}
	for i, b := range p.Inputs {
		if r := s.m.inputs[i]; r != nil {
			if err := r.put(s, in[i]); err != nil {
				return nil, err
			}
			continue
		}
		if err := b.Port.Quantize(s.in[i], in[i]); err != nil {
			return nil, err
		}
		s.write(b, s.in[i])
	}
	return s.results(), nil
}

// results runs the kernels and makes reals of the outputs.
func (s *State) results() [][]float32 {
	s.run()
	for i, o := range s.m.outputs {
		o.get(s, s.outF[i], s.out[i])
	}
	return s.outF
}

// Buffer is a copy of a buffer as the last Run left it.
func (s *State) Buffer(b *hw.Buffer) []int64 {
	if e := s.m.elided[b.ID]; e != nil {
		e.run(s)
	}
	r := make([]int64, b.Len())
	s.read(b, r)
	return r
}

func (s *State) read(b *hw.Buffer, dst []int64) {
	l := &s.m.layouts[b.ID]
	s.bufs[b.ID].get(l, dst, 0, l.h*l.w)
}

func (s *State) write(b *hw.Buffer, src []int64) {
	l := &s.m.layouts[b.ID]
	s.bufs[b.ID].put(l, src, 0, l.h*l.w)
}
