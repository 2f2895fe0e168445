// Package dataflow runs stream designs: Run for their values, word by word as the emitted C moves them, and Time for their clock cycles
// and FIFOs. Both follow the same loops (stream.Stage.Cursor).
package dataflow

import (
	"fmt"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// Run computes one sample: a slice of integers for each input port, and for each output port. The stages run one after the other on
// unbounded FIFOs, which gives the same values as any other order.
func Run(d *stream.Design, in [][]int64) ([][]int64, error) {
	if len(in) != len(d.Prog.Inputs) {
		return nil, fmt.Errorf("dataflow: want %d inputs, got %d", len(d.Prog.Inputs), len(in))
	}
	r := &runner{fifo: make([][]int64, len(d.Channels))}
	out := make([][]int64, len(d.Prog.Outputs))
	for _, s := range d.Stages {
		switch s.Kind {
		case stream.Load:
			for i, b := range d.Prog.Inputs {
				if b == s.Port {
					if len(in[i]) != b.Len() {
						return nil, fmt.Errorf("dataflow: input %s: want %d integers, got %d", b.Port.Name, b.Len(), len(in[i]))
					}
					for _, c := range s.Out {
						r.fifo[c.ID] = append(r.fifo[c.ID], in[i]...)
					}
				}
			}
		case stream.Store:
			for i, b := range d.Prog.Outputs {
				if b == s.Port {
					out[i] = r.fifo[s.In[0].ID]
				}
			}
		default:
			r.stage(s)
			for _, c := range s.In {
				if n := len(r.fifo[c.ID]); n != 0 {
					panic(fmt.Sprintf("dataflow: stage %s leaves %d elements of %s", s.Name, n, c.Name))
				}
			}
		}
	}
	return out, nil
}

// runner holds the elements that are in each channel.
type runner struct{ fifo [][]int64 }

// stage runs all iterations of a stage.
func (r *runner) stage(s *stream.Stage) {
	u := newUnit(s)
	cur := s.Cursor()
	in := make([][]int64, len(s.In))
	for range s.Iterations() {
		sl, _ := cur.(*stream.Slider)
		var tap stream.Tap
		var pix stream.Pixel
		if sl != nil {
			tap, pix = sl.Out, sl.In
		}
		st := cur.Next()
		for i, c := range s.In {
			in[i] = nil
			if st.Read>>i&1 != 0 {
				q := r.fifo[c.ID]
				in[i], r.fifo[c.ID] = q[:c.Lanes], q[c.Lanes:]
			}
		}
		var w []int64
		if sl != nil {
			w = u.slide(sl, tap, pix, in[0], st)
		} else {
			w = u.step(in, st)
		}
		for i, c := range s.Out {
			if st.Write>>i&1 != 0 {
				if len(w) != c.Lanes {
					panic(fmt.Sprintf("dataflow: stage %s writes %d elements to %s, want %d", s.Name, len(w), c.Name, c.Lanes))
				}
				r.fifo[c.ID] = append(r.fifo[c.ID], w...)
			}
		}
	}
}

// unit is the state of a stage between its iterations.
type unit struct {
	s    *stream.Stage
	k    *hw.Kernel
	i    int     // iteration
	mem  []int64 // line buffer, words of a window, stored sources
	acc  []int64
	vals []int64 // of the scalar program
}

func newUnit(s *stream.Stage) *unit {
	u := &unit{s: s, k: s.Kernel}
	if u.k != nil && u.k.Prog != nil {
		u.vals = make([]int64, u.k.Prog.Last()+1)
	}
	switch s.Kind {
	case stream.MVU:
		d := u.k.Dot
		u.mem, u.acc = make([]int64, d.KH*d.KW*d.C/d.Groups), make([]int64, s.Fold.PE)
	case stream.Lane:
		u.acc = make([]int64, s.Fold.PE)
	case stream.Global:
		u.acc = make([]int64, u.k.Window.C)
	case stream.Slide:
		sl := stream.NewSlider(s.Kernel, s.Fold)
		u.mem = make([]int64, sl.Lines*sl.G.W*sl.G.C)
	}
	return u
}

// slide is an iteration of a Slide; the word put out was complete before, so reading the memory comes first.
func (u *unit) slide(sl *stream.Slider, t stream.Tap, p stream.Pixel, in []int64, st stream.Step) (w []int64) {
	g := sl.G
	lanes := u.s.In[0].Lanes
	at := func(row, col, word int) []int64 {
		return u.mem[((row%sl.Lines*g.W+col)*sl.Words+word)*lanes:][:lanes]
	}
	if st.Write != 0 {
		w = make([]int64, lanes)
		y, x, inside := g.Inside(t.OY, t.OX, t.KY, t.KX)
		if inside {
			copy(w, at(y, x, t.B*sl.Block+t.J))
		} else {
			for i := range w {
				w[i] = g.PadValue
			}
		}
	}
	if st.Read != 0 {
		copy(at(p.Row, p.Col, p.Word), in)
	}
	return w
}

// step is an iteration of any other unit.
func (u *unit) step(in [][]int64, st stream.Step) []int64 {
	i := u.i
	u.i++
	f := u.s.Fold
	switch u.s.Kind {
	case stream.Fork:
		return in[0]
	case stream.Split:
		if in[0] != nil {
			u.mem = in[0]
		}
		n := u.s.Out[0].Lanes
		w := u.mem[:n]
		u.mem = u.mem[n:]
		return w
	case stream.Join:
		if i%(u.s.Out[0].Lanes/u.s.In[0].Lanes) == 0 {
			u.mem = nil
		}
		u.mem = append(u.mem, in[0]...)
		return u.mem
	case stream.MVU:
		return u.mvu(i, in[0], st)
	case stream.Lane:
		return u.lane(i, in[0], st)
	case stream.Global:
		return u.global(i, in[0], st)
	case stream.Map:
		return u.outputs(f.PE, i*f.PE, func(lane int, vals []int64) {
			for a, c := range u.s.Args {
				vals[a] = in[c][lane]
			}
		})
	case stream.Weave:
		if c := u.s.Plan.Control[i%len(u.s.Plan.Control)]; c != stream.ControlFill {
			return in[c.Source()]
		}
		return u.fill()
	case stream.Reorder:
		if st.Write == 0 {
			base := 0
			if u.mem == nil {
				for _, c := range u.s.In {
					base += c.Words * c.Lanes
				}
				u.mem = make([]int64, base)
				base = 0
			}
			for a, c := range u.s.In {
				if in[a] != nil {
					copy(u.mem[base+i*c.Lanes:], in[a])
				}
				base += c.Words * c.Lanes
			}
			return nil
		}
		if from := u.s.Plan.From[i-(u.s.Iterations()-len(u.s.Plan.From))]; from >= 0 {
			return u.mem[from*f.PE:][:f.PE]
		}
		return u.fill()
	}
	panic("dataflow: " + u.s.Kind.String())
}

func (u *unit) fill() []int64 {
	w := make([]int64, u.s.Fold.PE)
	for i := range w {
		w[i] = u.k.Move.Fill
	}
	return w
}

// mvu is an iteration of a matrix-vector unit: pixel, group, block of output channels, word of the window.
func (u *unit) mvu(i int, in []int64, st stream.Step) []int64 {
	d, f := u.k.Dot, u.s.Fold
	n := len(u.mem) // weights of a channel
	sf, nf := n/f.SIMD, d.OC/d.Groups/f.PE
	s, b, g := i%sf, i/sf%nf, i/(sf*nf)%d.Groups
	x := u.mem[s*f.SIMD:][:f.SIMD]
	if in != nil {
		copy(x, in)
	}
	first := (g*nf + b) * f.PE // output channel
	for p := range f.PE {
		if s == 0 {
			u.acc[p] = d.Bias[first+p]
		}
		w := d.Weights[(first+p)*n+s*f.SIMD:]
		for j, v := range x {
			u.acc[p] += v * int64(w[j])
		}
	}
	if st.Write == 0 {
		return nil
	}
	return u.outputs(f.PE, i/sf*f.PE, func(lane int, vals []int64) { vals[0] = u.acc[lane] })
}

// lane is an iteration of a Lane unit: pixel, block of channels, tap.
func (u *unit) lane(i int, in []int64, st stream.Step) []int64 {
	pe, n := u.s.Fold.PE, 0
	c := 0
	if d := u.k.Dot; d != nil {
		n = d.KH * d.KW
		c = i / n * pe % d.C
		for p, v := range in {
			if i%n == 0 {
				u.acc[p] = d.Bias[c+p]
			}
			u.acc[p] += v * int64(d.Weights[(c+p)*n+i%n])
		}
	} else {
		n = u.k.Window.KH * u.k.Window.KW
		for p, v := range in {
			u.reduce(p, v, i%n == 0)
		}
	}
	if st.Write == 0 {
		return nil
	}
	return u.outputs(pe, i/n*pe, func(lane int, vals []int64) { vals[0] = u.acc[lane] })
}

// reduce takes an element into the accumulator of a Window kernel.
func (u *unit) reduce(at int, v int64, first bool) {
	switch {
	case first:
		u.acc[at] = v
	case u.k.Window.Reduce == hw.ReduceMax:
		u.acc[at] = max(u.acc[at], v)
	default:
		u.acc[at] += v
	}
}

func (u *unit) global(i int, in []int64, st stream.Step) []int64 {
	pe, c := u.s.Fold.PE, u.k.Window.C
	first := i * pe % c
	for p, v := range in {
		u.reduce(first+p, v, i*pe < c)
	}
	if st.Write == 0 {
		return nil
	}
	return u.outputs(pe, first, func(lane int, vals []int64) { vals[0] = u.acc[first+lane] })
}

// outputs runs the scalar program, or counts thresholds, for the lanes of a word whose first element is element at of the kernel's result.
func (u *unit) outputs(lanes, at int, load func(lane int, vals []int64)) []int64 {
	w := make([]int64, lanes)
	ch := u.k.Out.Channels()
	for p := range lanes {
		load(p, u.vals)
		if t := u.s.Thresholds; t != nil {
			w[p] = t.Eval(u.vals[0], (at+p)%ch)
			continue
		}
		w[p] = u.k.Prog.Eval(u.vals, (at+p)%ch, (at+p)/ch)
	}
	return w
}
