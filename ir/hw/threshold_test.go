package hw

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// randomScalar is a program of one input of at most 4000 integers, with numbers by channel, that ends in a few bits.
func randomScalar(r *rand.Rand) (*Prog, [][]Interval) {
	const channels = 3
	var in []Interval
	for range channels {
		lo := r.Int64N(3000) - 2000
		in = append(in, Interval{lo, lo + r.Int64N(1000)})
	}
	if r.IntN(3) == 0 {
		in = in[:1]
	}
	p := NewProg(Interval{})
	vec := func(f func() int64) Vec {
		if r.IntN(2) == 0 {
			return Scalar(f())
		}
		return Vec{V: []int64{f(), f(), f()}}
	}
	ok := func() bool { return p.Analyze([][]Interval{in}) == nil }
	ok()
	for range 1 + r.IntN(5) {
		was := len(p.Code)
		a := r.IntN(p.Last() + 1)
		if r.IntN(3) > 0 {
			a = p.Last()
		}
		switch prim := Prim(r.IntN(int(numPrims))); Prims[prim].Imm {
		case NoImm:
			p.Op(prim, a, r.IntN(p.Last()+1))
		case Number:
			if prim == DivInto && p.Range(a).Lo < 1 {
				a = p.OpI(MaxI, a, Scalar(1+r.Int64N(9)))
			}
			most := int64(100)
			if r.IntN(2) == 0 {
				most = 5
			}
			p.OpI(prim, a, vec(func() int64 { return r.Int64N(2*most+1) - most }))
		case Shift:
			p.OpI(prim, a, vec(func() int64 { return r.Int64N(7) }))
		case Width:
			p.OpI(prim, a, Scalar(min(63, max(1, int64(p.Range(a).Bits())-1+r.Int64N(4)))))
		case Table:
			v := p.Range(a)
			if v.Hi-v.Lo > 3000 {
				continue
			}
			t := make([]int64, v.Hi-v.Lo+1)
			step := r.Int64N(3) - 1 // falls, is constant, rises
			for i := range t {
				if i > 0 {
					t[i] = t[i-1] + step*r.Int64N(3)
				}
			}
			if r.IntN(4) == 0 {
				t[r.IntN(len(t))] += 7
			}
			p.Lookup(a, v.Lo, t)
		}
		if !ok() {
			p.Code = p.Code[:was]
			ok()
		}
	}
	p.OpI(RshHalfEven, p.Last(), Scalar(max(0, int64(p.Out().Bits())-2-r.Int64N(4))))
	lo := r.Int64N(8) - 6
	p.Clamp(p.Last(), lo, lo+1+r.Int64N(15))
	if !ok() {
		panic("the end does not analyze")
	}
	return p, [][]Interval{in}
}

// TestThresholds: what is proved to rise or fall does, thresholds count what the program computes, for every input, and Verify sees every
// threshold that is moved.
func TestThresholds(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	counted, refused, monotone, fall, rowsOf := 0, 0, 0, 0, 0
	for n := range 6000 {
		p, in := randomScalar(r)
		th, err := p.Thresholds(in)
		rows, rowErr := p.thresholdRows(in)
		if rowErr != nil {
			if err == nil {
				t.Fatalf("%d: no error, want %v", n, rowErr)
			}
			continue
		}
		vals := make([]int64, p.Last()+1)
		all := true
		for c, iv := range rows {
			var dirs direction
			last := int64(0)
			for x := iv.Lo; x <= iv.Hi; x++ {
				vals[0] = x
				y := p.Eval(vals, c, 0)
				if x > iv.Lo && y > last {
					dirs |= rising
				} else if x > iv.Lo && y < last {
					dirs |= falling
				}
				last = y
				if err == nil && th.Eval(x, c) != y {
					t.Fatalf("%d: channel %d input %d: %d, want %d\n%v%+v", n, c, x, th.Eval(x, c), y, p, th)
				}
			}
			all = all && dirs != either
			if d, derr := p.direction(iv, c); derr != nil || d|dirs != d {
				t.Fatalf("%d: channel %d: direction %v (%v), values go %v\n%v", n, c, d, derr, dirs, p)
			}
		}
		if err != nil {
			refused++
			if all && !strings.Contains(err.Error(), "constant") {
				monotone++
			}
			continue
		}
		counted++
		if err := th.Verify(p, in); err != nil {
			t.Fatalf("%d: %v\n%v%+v", n, err, p, th)
		}
		if len(th.T) > 1 {
			rowsOf++
		}
		row := r.IntN(len(th.T))
		if th.Falling[row] {
			fall++
		}
		// A threshold moved past an input that it parts from the next, if that keeps the order.
		i := r.IntN(th.Levels())
		was := th.T[row][i]
		iv := rows[row]
		if was > iv.Lo && was <= iv.Hi && (i == 0 || th.T[row][i-1] < was) {
			th.T[row][i]--
			if th.Verify(p, in) == nil {
				t.Fatalf("%d: threshold %d of row %d moved from %d, not noticed\n%v", n, i, row, was, p)
			}
			th.T[row][i]++
		}
		th.Falling[row] = !th.Falling[row]
		differs := false
		for c, iv := range rows {
			for x := iv.Lo; x <= iv.Hi; x++ {
				vals[0] = x
				differs = differs || th.Eval(x, c) != p.Eval(vals, c, 0)
			}
		}
		if differs && th.Verify(p, in) == nil {
			t.Fatalf("%d: the other direction of row %d was not noticed\n%v%+v", n, row, p, th)
		}
	}
	t.Logf("%d programs counted, %d of them by channel, %d with a falling row looked at; %d refused, %d of them in fact monotone", counted, rowsOf, fall, refused, monotone)
	if counted < 1000 || fall < 200 || rowsOf < 500 || refused < 100 {
		t.Error("too few programs of a kind")
	}
}

// TestThresholdErrors: programs that have none.
func TestThresholdErrors(t *testing.T) {
	in := func(lo, hi int64) []Interval { return []Interval{{lo, hi}} }
	for _, c := range []struct {
		name string
		in   [][]Interval
		code func(p *Prog)
		want string
	}{
		{"wide result", [][]Interval{in(0, 100)}, func(p *Prog) { p.Clamp(0, 0, 16) }, "its result has 5 bits, want at most 4"},
		{"two inputs", [][]Interval{in(0, 3), in(0, 3)}, func(p *Prog) { p.Op(Add, 0, 1) }, "it has 2 inputs"},
		{"by pixel", [][]Interval{in(0, 3)}, func(p *Prog) { p.OpI(AddI, 0, Vec{V: []int64{1, 2}, By: ByPixel}) }, "v1 (addi) has numbers by pixel"},
		{"square", [][]Interval{in(-2, 2)}, func(p *Prog) { p.Op(Mul, 0, 0) }, "not proved to rise or to fall with the input (channel 0)"},
		{"constant", [][]Interval{in(-3, 3)}, func(p *Prog) { p.OpI(MaxI, 0, Scalar(5)) }, "its result is constant"},
		{"wrap", [][]Interval{in(0, 9)}, func(p *Prog) { p.OpI(Wrap, 0, Scalar(3)) }, "not proved"},
	} {
		p := NewProg(make([]Interval, len(c.in))...)
		c.code(p)
		if err := p.Analyze(c.in); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Thresholds(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	// A square of what is never negative rises.
	p := NewProg(Interval{})
	p.Op(Mul, 0, 0)
	if err := p.Analyze([][]Interval{in(0, 3)}); err != nil {
		t.Fatal(err)
	}
	if th, err := p.Thresholds([][]Interval{in(0, 3)}); err != nil || th.Eval(3, 0) != 9 || th.Levels() != 9 {
		t.Errorf("square of 0..3: %+v, %v", th, err)
	}
}
