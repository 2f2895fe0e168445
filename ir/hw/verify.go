package hw

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// Verify checks a program: buffers written once and before they are read, sizes and geometries that fit, and that every stored range
// is what the weights and the inputs' ranges prove. It returns all violations joined and changes nothing.
func Verify(p *Program) error {
	var errs []error
	written := map[*Buffer]bool{}
	for i, b := range p.Buffers {
		if b.ID != i {
			errs = append(errs, fmt.Errorf("buffer %s: ID %d, want %d", b.Name, b.ID, i))
		}
		if _, err := b.Range.check(); err != nil || b.Range.Lo > b.Range.Hi || slices.ContainsFunc(b.Shape, func(d int) bool { return d < 1 }) {
			errs = append(errs, fmt.Errorf("buffer %s: shape %v, range %d..%d", b.Name, b.Shape, b.Range.Lo, b.Range.Hi))
		}
	}
	has := func(b *Buffer) bool { return b.ID >= 0 && b.ID < len(p.Buffers) && p.Buffers[b.ID] == b }
	for _, b := range p.Inputs {
		if written[b] || !has(b) {
			errs = append(errs, fmt.Errorf("input %s is listed twice or not among the buffers", b.Name))
		}
		written[b] = true
		if err := b.checkPort(); err != nil {
			errs = append(errs, fmt.Errorf("input %s: %w", b.Name, err))
		} else if q := b.Port.Quant; q.Min > q.Max || !b.Range.Contains(Interval{q.Min, q.Max}) {
			errs = append(errs, fmt.Errorf("input %s: its port gives %d..%d, range %d..%d", b.Name, q.Min, q.Max, b.Range.Lo, b.Range.Hi))
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
		if !identifier.MatchString(k.Name) {
			fail("the name is not a C identifier")
		}
		names[k.Name] = true
		for _, b := range k.In {
			if !written[b] {
				fail("reads buffer %s before it is written", b.Name)
			}
		}
		if !has(k.Out) {
			fail("buffer %s is not among the buffers", k.Out.Name)
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
		if !written[b] {
			errs = append(errs, fmt.Errorf("output %s is not written", b.Name))
		}
		if err := b.checkPort(); err != nil {
			errs = append(errs, fmt.Errorf("output %s: %w", b.Name, err))
		}
	}
	return errors.Join(errs...)
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkPort checks that the port reaches every element of the buffer once.
func (b *Buffer) checkPort() error {
	p := b.Port
	if p == nil || p.Quant == nil || !p.Quant.PerTensor() || len(p.Quant.Zero) != 1 {
		return errors.New("no port with one scale and zero point")
	}
	perm := slices.Clone(p.Perm)
	slices.Sort(perm)
	for i, a := range perm {
		if a != i {
			return fmt.Errorf("port permutation %v", p.Perm)
		}
	}
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	if len(perm) != len(p.Shape) || n != b.Len() {
		return fmt.Errorf("port of shape %v and permutation %v, buffer %v", p.Shape, p.Perm, b.Shape)
	}
	return nil
}

func (k *Kernel) check() error {
	if (k.Dot != nil) != (k.Kind == KDot) || (k.Window != nil) != (k.Kind == KWindow) || (k.Move != nil) != (k.Kind == KMove) {
		return errors.New("another kind of loop nest is set")
	}
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
		want := *d // Bound sets a slice of its own
		if err := want.Bound(k.In[0].Range); err != nil {
			return err
		}
		if !slices.Equal(want.Acc, d.Acc) {
			return errors.New("accumulator ranges are not those of the weights")
		}
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
		want := *w
		if err := want.Bound(k.In[0].Range); err != nil {
			return err
		}
		if want.Acc != w.Acc {
			return fmt.Errorf("accumulator range %d..%d, want %d..%d", w.Acc.Lo, w.Acc.Hi, want.Acc.Lo, want.Acc.Hi)
		}
	case KMap:
		for _, b := range k.In {
			if !slices.Equal(b.Shape, k.Out.Shape) {
				return fmt.Errorf("input %s has shape %v, want %v", b.Name, b.Shape, k.Out.Shape)
			}
		}
	case KMove:
		return k.checkMove()
	}
	if k.Prog == nil {
		return errors.New("no program")
	}
	q := &Prog{Code: slices.Clone(k.Prog.Code)}
	if err := q.Analyze(k.ProgIn()); err != nil {
		return err
	}
	if !slices.Equal(q.In, k.Prog.In) {
		return fmt.Errorf("program is for inputs %v, want %v", k.Prog.In, q.In)
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
	for _, v := range []int{g.H, g.W, g.C, g.KH, g.KW, g.SH, g.SW, g.DH, g.DW, g.OH, g.OW, g.OC} {
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
		if p.Src < 0 || p.Src >= len(k.In) || len(p.Size) != len(p.SrcStride) || len(p.Size) != len(p.DstStride) || slices.ContainsFunc(p.Size, func(n int) bool { return n < 1 }) {
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
