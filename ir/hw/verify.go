package hw

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks a program: buffers written once and before they are read, sizes and geometries that fit, and that every stored range
// is what the weights and the inputs' ranges prove. It returns all violations joined.
func Verify(p *Program) error {
	var errs []error
	written := map[*Buffer]bool{}
	for i, b := range p.Buffers {
		if b.ID != i {
			errs = append(errs, fmt.Errorf("buffer %s: ID %d, want %d", b.Name, b.ID, i))
		}
	}
	for _, b := range p.Inputs {
		written[b] = true
		if b.Port == nil {
			errs = append(errs, fmt.Errorf("input %s has no port", b.Name))
		}
	}
	names := map[string]bool{}
	for _, k := range p.Kernels {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("kernel %s (%v): "+format, append([]any{k.Name, k.Kind}, args...)...))
		}
		if names[k.Name] {
			fail("the name is taken twice")
		}
		names[k.Name] = true
		for _, b := range k.In {
			if !written[b] {
				fail("reads buffer %s before it is written", b.Name)
			}
		}
		if written[k.Out] {
			fail("buffer %s is written twice", k.Out.Name)
		}
		written[k.Out] = true
		if err := k.check(); err != nil {
			fail("%w", err)
		}
	}
	for _, b := range p.Outputs {
		if !written[b] || b.Port == nil {
			errs = append(errs, fmt.Errorf("output %s is not written or has no port", b.Name))
		}
	}
	return errors.Join(errs...)
}

func (k *Kernel) check() error {
	var in [][]Interval
	switch k.Kind {
	case KDot:
		d := k.Dot
		if len(k.In) != 1 {
			return fmt.Errorf("want 1 input, got %d", len(k.In))
		}
		if err := d.Geometry.check(k); err != nil {
			return err
		}
		if d.Groups < 1 || d.C%d.Groups != 0 || d.OC%d.Groups != 0 {
			return fmt.Errorf("%d groups of %d and %d channels", d.Groups, d.C, d.OC)
		}
		if want := d.OC * d.KH * d.KW * d.C / d.Groups; len(d.Weights) != want || len(d.Bias) != d.OC {
			return fmt.Errorf("want %d weights and %d biases, got %d and %d", want, d.OC, len(d.Weights), len(d.Bias))
		}
		was := d.Acc
		d.Bound(k.In[0].Range)
		if !slices.Equal(was, d.Acc) {
			return fmt.Errorf("accumulator ranges are not those of the weights")
		}
		in = [][]Interval{d.Acc}
	case KWindow:
		w := k.Window
		if len(k.In) != 1 {
			return fmt.Errorf("want 1 input, got %d", len(k.In))
		}
		if err := w.Geometry.check(k); err != nil {
			return err
		}
		if w.C != w.OC {
			return fmt.Errorf("%d channels become %d", w.C, w.OC)
		}
		was := w.Acc
		w.Bound(k.In[0].Range)
		if was != w.Acc {
			return fmt.Errorf("accumulator range %v, want %v", was, w.Acc)
		}
		in = [][]Interval{{w.Acc}}
	case KMap:
		for _, b := range k.In {
			if !slices.Equal(b.Shape, k.Out.Shape) {
				return fmt.Errorf("input %s has shape %v, want %v", b.Name, b.Shape, k.Out.Shape)
			}
			in = append(in, []Interval{b.Range})
		}
	case KMove:
		return k.checkMove()
	}
	if k.Prog == nil {
		return errors.New("no program")
	}
	q := &Prog{Code: slices.Clone(k.Prog.Code)}
	if err := q.Analyze(in); err != nil {
		return err
	}
	for i := range q.Code {
		if q.Code[i].Range != k.Prog.Code[i].Range {
			return fmt.Errorf("step v%d: range %v, want %v", len(q.In)+i, k.Prog.Code[i].Range, q.Code[i].Range)
		}
		if v := q.Code[i].Imm; len(v.V) > 1 && v.By == ByPixel && len(v.V) != k.Out.Len()/k.Out.Channels() {
			return fmt.Errorf("step v%d: %d numbers by pixel, want %d", len(q.In)+i, len(v.V), k.Out.Len()/k.Out.Channels())
		} else if len(v.V) > 1 && v.By == ByChannel && len(v.V) != k.Out.Channels() {
			return fmt.Errorf("step v%d: %d numbers by channel, want %d", len(q.In)+i, len(v.V), k.Out.Channels())
		}
	}
	if q.Out() != k.Out.Range {
		return fmt.Errorf("output range %v, want %v", k.Out.Range, q.Out())
	}
	return nil
}

func (g *Geometry) check(k *Kernel) error {
	if g.H*g.W*g.C != k.In[0].Len() || g.OH*g.OW*g.OC != k.Out.Len() || g.OC != k.Out.Channels() || g.C != k.In[0].Channels() {
		return fmt.Errorf("geometry %dx%dx%d to %dx%dx%d, buffers %v to %v", g.H, g.W, g.C, g.OH, g.OW, g.OC, k.In[0].Shape, k.Out.Shape)
	}
	for _, v := range []int{g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.OH, g.OW, g.OC} {
		if v < 1 {
			return fmt.Errorf("geometry %+v: want 1 or more", *g)
		}
	}
	if g.PH < 0 || g.PW < 0 {
		return fmt.Errorf("padding %d,%d: want 0 or more", g.PH, g.PW)
	}
	return nil
}

func (k *Kernel) checkMove() error {
	n := make([]bool, k.Out.Len())
	r := Interval{}
	first := true
	add := func(v Interval) {
		if first {
			r, first = v, false
		}
		r = r.Union(v)
	}
	count := 0
	for i, p := range k.Move.Pieces {
		if p.Src < 0 || p.Src >= len(k.In) || len(p.Size) != len(p.SrcStride) || len(p.Size) != len(p.DstStride) {
			return fmt.Errorf("piece %d: bad source or ranks", i)
		}
		src := k.In[p.Src]
		bad := false
		p.Walk(func(s, d int) {
			if s < 0 || s >= src.Len() || d < 0 || d >= len(n) || n[d] {
				bad = true
				return
			}
			n[d] = true
			count++
		})
		if bad {
			return fmt.Errorf("piece %d leaves its buffers or writes an element twice", i)
		}
		add(src.Range)
	}
	if (count < len(n)) != k.Move.Filled {
		return fmt.Errorf("%d of %d elements written, filled is %v", count, len(n), k.Move.Filled)
	}
	if k.Move.Filled {
		add(Interval{k.Move.Fill, k.Move.Fill})
	}
	if r != k.Out.Range {
		return fmt.Errorf("output range %v, want %v", k.Out.Range, r)
	}
	return nil
}

// Walk calls f with every pair of source and destination offsets, the last axis fastest.
func (p *Piece) Walk(f func(src, dst int)) {
	for _, s := range p.Size {
		if s == 0 {
			return
		}
	}
	idx := make([]int, len(p.Size))
	s, d := p.SrcOff, p.DstOff
	for {
		f(s, d)
		a := len(idx) - 1
		for ; a >= 0; a-- {
			idx[a]++
			s += p.SrcStride[a]
			d += p.DstStride[a]
			if idx[a] < p.Size[a] {
				break
			}
			s -= idx[a] * p.SrcStride[a]
			d -= idx[a] * p.DstStride[a]
			idx[a] = 0
		}
		if a < 0 {
			return
		}
	}
}
