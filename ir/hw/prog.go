package hw

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// By says what the entries of a Vec belong to.
type By uint8

// A Vec is indexed by output channel (the last axis of the buffer) or by output pixel (all other axes together).
const (
	ByChannel By = iota
	ByPixel
)

// Vec is an immediate: one number, or one for each channel or pixel.
type Vec struct {
	V  []int64
	By By
}

// Scalar is a Vec of one number.
func Scalar(x int64) Vec { return Vec{V: []int64{x}} }

// PerChannel is a Vec by channel, or a scalar where all numbers are equal.
func PerChannel(v []int64) Vec {
	for _, x := range v {
		if x != v[0] {
			return Vec{V: v}
		}
	}
	return Scalar(v[0])
}

// At is the entry for channel c and pixel p.
func (v Vec) At(c, p int) int64 {
	switch {
	case len(v.V) == 1:
		return v.V[0]
	case v.By == ByPixel:
		return v.V[p]
	}
	return v.V[c]
}

// Bounds is the interval of the entries.
func (v Vec) Bounds() Interval { return Interval{slices.Min(v.V), slices.Max(v.V)} }

// Instr is one step of a scalar program. A and B number its arguments: inputs first, then the results of earlier steps.
type Instr struct {
	Prim  Prim
	A, B  int
	Imm   Vec     // for lut: the input that Table[0] belongs to
	Table []int64 // for lut
	Range Interval
}

// Prog is straight-line code on the integers of one output element: the epilogue of a Dot or Window kernel (one input: the
// accumulator) or the body of a Map (one input for each buffer). Its result is the last value.
//
// Ranges are derived by Analyze and never chosen.
type Prog struct {
	In   []Interval
	Code []Instr
}

// NewProg is a program without code: its result is its last input.
func NewProg(in ...Interval) *Prog { return &Prog{In: in} }

// Last is the number of the result so far.
func (p *Prog) Last() int { return len(p.In) + len(p.Code) - 1 }

// Range is the proved range of a value.
func (p *Prog) Range(v int) Interval {
	if v < len(p.In) {
		return p.In[v]
	}
	return p.Code[v-len(p.In)].Range
}

// Out is the proved range of the result.
func (p *Prog) Out() Interval { return p.Range(p.Last()) }

// Op appends a two-argument step and returns its number.
func (p *Prog) Op(prim Prim, a, b int) int {
	p.Code = append(p.Code, Instr{Prim: prim, A: a, B: b})
	return p.Last()
}

// OpI appends a step with an immediate and returns its number.
func (p *Prog) OpI(prim Prim, a int, imm Vec) int {
	p.Code = append(p.Code, Instr{Prim: prim, A: a, Imm: imm})
	return p.Last()
}

// Lookup appends a table step: table[v - first].
func (p *Prog) Lookup(a int, first int64, table []int64) int {
	p.Code = append(p.Code, Instr{Prim: Lut, A: a, Imm: Scalar(first), Table: table})
	return p.Last()
}

// Clamp appends maxi and mini, or nothing where the range is known to be inside.
func (p *Prog) Clamp(a int, lo, hi int64) int {
	return p.OpI(MinI, p.OpI(MaxI, a, Scalar(lo)), Scalar(hi))
}

// Analyze derives the range of every step, for each channel on its own, from the ranges of the inputs: in[i] has one interval or
// one for each channel. It fails on a step that could leave 63 bits, on a table that does not cover its input and on a malformed step.
func (p *Prog) Analyze(in [][]Interval) error {
	if len(in) == 0 {
		return errors.New("no inputs")
	}
	for i := range p.Code {
		if err := p.Code[i].check(len(in) + i); err != nil {
			return fmt.Errorf("step v%d (%v): %w", len(in)+i, p.Code[i].Prim, err)
		}
	}
	n := 1
	for i := range in {
		n = max(n, len(in[i]))
	}
	for i := range p.Code {
		if v := p.Code[i].Imm; v.By == ByChannel {
			n = max(n, len(v.V))
		}
	}
	p.In = make([]Interval, len(in))
	vals := make([]Interval, len(in)+len(p.Code))
	for c := range n {
		for i := range in {
			if len(in[i]) != 1 && len(in[i]) != n {
				return fmt.Errorf("input %d has ranges for %d channels, want %d", i, len(in[i]), n)
			}
			vals[i] = in[i][c%len(in[i])]
			if _, err := vals[i].check(); err != nil || vals[i].Lo > vals[i].Hi {
				return fmt.Errorf("input %d has range %d..%d, want one of 63 bits", i, vals[i].Lo, vals[i].Hi)
			}
			if c == 0 {
				p.In[i] = vals[i]
			}
			p.In[i] = p.In[i].Union(vals[i])
		}
		for i := range p.Code {
			s := &p.Code[i]
			k := len(in) + i
			if s.Imm.By == ByChannel && len(s.Imm.V) > 1 && len(s.Imm.V) != n {
				return fmt.Errorf("step v%d (%v) has numbers for %d channels, want %d", k, s.Prim, len(s.Imm.V), n)
			}
			r, err := s.bound(vals[s.A], vals[s.B], c)
			if err != nil {
				return fmt.Errorf("step v%d (%v) over %d..%d: %w", k, s.Prim, vals[s.A].Lo, vals[s.A].Hi, err)
			}
			vals[k] = r
			if c == 0 {
				s.Range = r
			}
			s.Range = s.Range.Union(r)
		}
	}
	return nil
}

// check looks at what does not depend on ranges. The step is value number k.
func (s *Instr) check(k int) error {
	if s.Prim >= numPrims {
		return errors.New("unknown primitive")
	}
	if s.A < 0 || s.A >= k || s.B < 0 || s.B >= k {
		return fmt.Errorf("reads v%d and v%d, which are later", s.A, s.B)
	}
	imm := Prims[s.Prim].Imm
	if imm == NoImm {
		return nil
	}
	if len(s.Imm.V) == 0 || imm == Table && len(s.Imm.V) != 1 {
		return fmt.Errorf("immediate of %d numbers", len(s.Imm.V))
	}
	lo, hi := int64(0), int64(61)
	switch imm {
	case Width:
		lo, hi = 1, 63
	case Number, Table:
		return nil
	}
	if r := s.Imm.Bounds(); r.Lo < lo || r.Hi > hi {
		return fmt.Errorf("immediate %d..%d, want %d..%d", r.Lo, r.Hi, lo, hi)
	}
	return nil
}

func (s *Instr) bound(a, b Interval, c int) (Interval, error) {
	if s.Prim == Lut {
		lo, hi := a.Lo-s.Imm.V[0], a.Hi-s.Imm.V[0]
		if lo < 0 || hi >= int64(len(s.Table)) {
			return a, fmt.Errorf("table covers %d..%d", s.Imm.V[0], s.Imm.V[0]+int64(len(s.Table))-1)
		}
		t := s.Table[lo : hi+1]
		return Interval{slices.Min(t), slices.Max(t)}.check()
	}
	row := &Prims[s.Prim]
	if row.Imm == NoImm {
		return row.Bound(a, b, 0)
	}
	if len(s.Imm.V) == 1 || s.Imm.By == ByChannel {
		return row.Bound(a, b, s.Imm.At(c, 0))
	}
	var u Interval
	for i, x := range s.Imm.V {
		r, err := row.Bound(a, b, x)
		if err != nil {
			return a, err
		}
		if i == 0 {
			u = r
		}
		u = u.Union(r)
	}
	return u, nil
}

// Eval runs the program for one element: the reference for every other executor. vals is scratch of at least Last()+1 numbers
// whose first len(In) entries are the inputs.
func (p *Prog) Eval(vals []int64, c, pixel int) int64 {
	k := len(p.In)
	for i := range p.Code {
		s := &p.Code[i]
		switch {
		case s.Prim == Lut:
			vals[k+i] = s.Table[vals[s.A]-s.Imm.V[0]]
		case Prims[s.Prim].Args == 2:
			vals[k+i] = Prims[s.Prim].Eval(vals[s.A], vals[s.B], 0)
		default:
			vals[k+i] = Prims[s.Prim].Eval(vals[s.A], 0, s.Imm.At(c, pixel))
		}
	}
	return vals[p.Last()]
}

// Simplify drops steps that change nothing over the proved ranges: maxi and mini outside the range, addi 0, muli 1, shifts by 0.
// It needs a last Analyze, after which ranges stay right.
func (p *Prog) Simplify() {
	k := len(p.In)
	to := make([]int, 0, k+len(p.Code))
	for i := range k {
		to = append(to, i)
	}
	var code []Instr
	for i, s := range p.Code {
		a := p.Range(s.A)
		b := Interval{}
		if Prims[s.Prim].Imm != NoImm {
			b = s.Imm.Bounds()
		}
		same := false
		switch s.Prim {
		case MaxI:
			same = b.Hi <= a.Lo
		case MinI:
			same = b.Lo >= a.Hi
		case AddI, RshFloor, RshHalfUp, RshHalfEven, RshHalfAway, RshCeil, RshAway, RshToZero, RshHalfToZero:
			same = b == Interval{}
		case MulI:
			same = b == Interval{1, 1}
		}
		// The result must stay the last value: a no-op at the end may go only if what it reads is last then.
		if same && (i < len(p.Code)-1 || to[s.A] == k+len(code)-1) {
			to = append(to, to[s.A])
			continue
		}
		s.A = to[s.A]
		if Prims[s.Prim].Args == 2 {
			s.B = to[s.B]
		}
		code = append(code, s)
		to = append(to, k+len(code)-1)
	}
	p.Code = code
}

// String prints one line for each step: `v1 i36 = muli v0, 20723`.
func (p *Prog) String() string {
	var b strings.Builder
	for i, r := range p.In {
		fmt.Fprintf(&b, "v%d %v\n", i, r)
	}
	for i := range p.Code {
		s := &p.Code[i]
		fmt.Fprintf(&b, "v%d %v = %v v%d", len(p.In)+i, s.Range, s.Prim, s.A)
		if Prims[s.Prim].Args == 2 {
			fmt.Fprintf(&b, ", v%d", s.B)
		} else {
			b.WriteString(", " + s.Imm.String())
		}
		if s.Prim == Lut {
			b.WriteString(", " + Digest(s.Table))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// String is the number, or a digest of several with their range.
func (v Vec) String() string {
	if len(v.V) == 1 {
		return itoa(v.V[0])
	}
	s := "[channel "
	if v.By == ByPixel {
		s = "[pixel "
	}
	if len(v.V) <= 4 {
		for i, x := range v.V {
			if i > 0 {
				s += ","
			}
			s += itoa(x)
		}
		return s + "]"
	}
	b := v.Bounds()
	return fmt.Sprintf("%s%d: %d..%d %s]", s, len(v.V), b.Lo, b.Hi, Digest(v.V))
}
