package hw

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quern/ir"
)

// rounded is a*2^-i rounded exactly: the quotient and the remainder of whole numbers.
func rounded(p Prim, a, i int64) int64 {
	d := new(big.Int).Lsh(big.NewInt(1), uint(i))
	q, r := new(big.Int).DivMod(big.NewInt(a), d, new(big.Int)) // Euclidean: 0 <= r < d, so q is the floor
	up := false
	switch r.Lsh(r, 1).Cmp(d) {
	case 1:
		up = p != RshFloor && (p != RshToZero || a < 0) && (p != RshAway || a > 0)
	case -1:
		up = r.Sign() != 0 && (p == RshCeil || p == RshToZero && a < 0 || p == RshAway && a > 0)
	case 0:
		up = p == RshCeil || (p == RshToZero || p == RshHalfToZero) && a < 0 || p == RshAway && a > 0 || p == RshHalfUp || p == RshHalfEven && q.Bit(0) == 1 || p == RshHalfAway && a >= 0
	}
	if up {
		q.Add(q, big.NewInt(1))
	}
	return q.Int64()
}

var shifts = []Prim{RshFloor, RshHalfUp, RshHalfEven, RshHalfAway, RshCeil, RshAway, RshToZero, RshHalfToZero}

func TestShifts(t *testing.T) {
	for _, p := range shifts {
		for i := int64(0); i <= 12; i++ {
			for a := int64(-4096); a <= 4096; a++ {
				if got, want := Prims[p].Eval(a, 0, i), rounded(p, a, i); got != want {
					t.Fatalf("%v of %d by %d: got %d, want %d", p, a, i, got, want)
				}
			}
		}
		// The largest arguments that Bound lets pass, and ties near them.
		r := rand.New(rand.NewPCG(1, uint64(p)))
		for i := int64(0); i <= 61; i++ {
			for k := range int64(40) {
				a := r.Int64N(limit)>>r.IntN(62)&^(1<<i-1) + k%5 - 2
				if i > 0 && k%2 == 0 {
					a += 1 << (i - 1)
				}
				if k%3 == 0 {
					a = limit - 1 - half(i) - k/3
				}
				for _, a := range []int64{a, -a} {
					b, err := Prims[p].Bound(Interval{a, a}, Interval{}, i)
					if err != nil {
						continue
					}
					if got, want := Prims[p].Eval(a, 0, i), rounded(p, a, i); got != want || b != (Interval{want, want}) {
						t.Fatalf("%v of %d by %d: got %d in %v, want %d", p, a, i, got, b, want)
					}
				}
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for i := int64(1); i <= 13; i++ {
		for a := int64(-4096); a <= 4096; a++ {
			got := Prims[Wrap].Eval(a, 0, i)
			if got < -1<<(i-1) || got >= 1<<(i-1) || (got-a)%(1<<i) != 0 {
				t.Fatalf("wrap of %d to %d bits: got %d", a, i, got)
			}
		}
	}
	for i := int64(1); i <= 63; i++ {
		x := Interval{-1 << (i - 1), 1<<(i-1) - 1} // what has i bits stays
		if b, err := Prims[Wrap].Bound(x, Interval{}, i); err != nil || b != x {
			t.Errorf("wrap of %v to %d bits: got %v, %v", x, i, b, err)
		}
		if i < 62 {
			if b, err := Prims[Wrap].Bound(Interval{x.Lo, x.Hi + 1}, Interval{}, i); err != nil || b != x {
				t.Errorf("wrap of %v and one more to %d bits: got %v, %v", x, i, b, err)
			}
		}
	}
}

func TestRows(t *testing.T) {
	names := map[string]bool{}
	for p := range numPrims {
		row := &Prims[p]
		if row.Name == "" || names[row.Name] || p.String() != row.Name {
			t.Errorf("primitive %d: name %q, want another than those before", p, row.Name)
		}
		names[row.Name] = true
		if row.C == "" || row.Args < 1 || row.Args > 2 || !strings.Contains(row.C, "{a}") ||
			strings.Contains(row.C, "{b}") != (row.Args == 2) || strings.Contains(row.C, "{i}") != (row.Imm != NoImm) {
			t.Errorf("%v: C %q for %d arguments, immediate %d", p, row.C, row.Args, row.Imm)
		}
		if (row.Eval == nil || row.Bound == nil) != (p == Lut) {
			t.Errorf("%v: Eval or Bound is missing", p)
		}
	}
}

// Bound is the exact interval of all results over small intervals.
func TestBounds(t *testing.T) {
	const n = 6
	var all []Interval
	for lo := int64(-n); lo <= n; lo++ {
		for hi := lo; hi <= n; hi++ {
			all = append(all, Interval{lo, hi})
		}
	}
	none := []Interval{{}}
	for p := range Lut {
		row := &Prims[p]
		bs, lo, hi := none, int64(0), int64(0)
		switch row.Imm {
		case NoImm:
			bs = all
		case Number:
			lo, hi = -n, n
		case Shift:
			lo, hi = 0, n
		case Width:
			lo, hi = 1, n
		}
		for _, a := range all {
			for _, b := range bs {
				if p == DivInto && a.Lo < 1 {
					if r, err := row.Bound(a, b, 1); err == nil {
						t.Fatalf("%v over %v: got %v, want an error", p, a, r)
					}
					continue
				}
				for i := lo; i <= hi; i++ {
					first := row.Eval(a.Lo, b.Lo, i)
					want := Interval{first, first}
					for x := a.Lo; x <= a.Hi; x++ {
						for y := b.Lo; y <= b.Hi; y++ {
							v := row.Eval(x, y, i)
							want = want.Union(Interval{v, v})
						}
					}
					got, err := row.Bound(a, b, i)
					if err != nil || got != want {
						t.Fatalf("%v over %v and %v, %d: got %v, %v, want %v", p, a, b, i, got, err, want)
					}
				}
			}
		}
	}
}

func TestBoundsWide(t *testing.T) {
	top, bottom := Interval{limit - 1, limit - 1}, Interval{-limit, -limit}
	one, minus := Interval{1, 1}, Interval{-1, -1}
	fails := []struct {
		p    Prim
		a, b Interval
		i    int64
	}{
		{Add, top, one, 0}, {Add, bottom, minus, 0}, {Add, top, top, 0}, {Add, bottom, bottom, 0},
		{Sub, top, minus, 0}, {Sub, bottom, one, 0}, {Sub, bottom, top, 0}, {Sub, one, bottom, 0},
		{Mul, top, Interval{2, 2}, 0}, {Mul, bottom, bottom, 0}, {Mul, Interval{1 << 31, 1 << 31}, Interval{1 << 31, 1 << 31}, 0},
		{Mul, bottom, minus, 0},
		{AddI, top, Interval{}, 1}, {AddI, bottom, Interval{}, -1}, {AddI, one, Interval{}, 1<<63 - 1}, {AddI, one, Interval{}, -1 << 63},
		{MulI, top, Interval{}, 2}, {MulI, one, Interval{}, -1 << 63}, {MulI, bottom, Interval{}, -1},
		{MaxI, one, Interval{}, limit}, {MinI, one, Interval{}, -limit - 1},
		{RshHalfUp, top, Interval{}, 1}, {RshHalfEven, top, Interval{}, 1}, {RshHalfAway, top, Interval{}, 61}, {RshCeil, top, Interval{}, 1},
		{RshAway, Interval{0, limit - 1<<60}, Interval{}, 61},
		{DivInto, Interval{0, 1}, Interval{}, 1}, {DivInto, bottom, Interval{}, 1}, {DivInto, one, Interval{}, limit},
		{RshFloor, one, Interval{}, -1}, {RshFloor, one, Interval{}, 62},
	}
	for _, f := range fails {
		if r, err := Prims[f.p].Bound(f.a, f.b, f.i); err == nil {
			t.Errorf("%v over %v and %v, %d: got %v, want an error", f.p, f.a, f.b, f.i, r)
		}
	}
	for _, f := range []struct {
		p    Prim
		a, b Interval
		i    int64
		want Interval
	}{
		{DivInto, one, one, -limit, bottom}, {DivInto, top, one, -limit, Interval{-2, -2}}, {DivInto, Interval{2, limit - 1}, one, limit - 1, Interval{1, limit/2 - 1}},
		{Add, top, minus, 0, Interval{limit - 2, limit - 2}}, {Sub, minus, top, 0, bottom}, {AddI, Interval{limit - 2, limit - 2}, one, 1, top},
		{Mul, Interval{1 << 31, 1 << 31}, Interval{1<<31 - 1, 1<<31 - 1}, 0, Interval{limit - 1<<31, limit - 1<<31}},
		{RshFloor, Interval{limit - 1 - 1<<60, limit - 1 - 1<<60}, one, 61, one}, {MaxI, bottom, one, limit - 1, top},
	} {
		if got, err := Prims[f.p].Bound(f.a, f.b, f.i); err != nil || got != f.want {
			t.Errorf("%v over %v and %v, %d: got %v, %v, want %v", f.p, f.a, f.b, f.i, got, err, f.want)
		}
	}
}

func TestInterval(t *testing.T) {
	for lo := int64(-40); lo <= 40; lo++ {
		for hi := lo; hi <= 40; hi++ {
			x := Interval{lo, hi}
			fits := func(b int) bool {
				if lo < 0 {
					return lo >= -1<<(b-1) && hi < 1<<(b-1)
				}
				return hi < 1<<b
			}
			if b := x.Bits(); !fits(b) || b > 1 && fits(b-1) || x.Signed() != (lo < 0) {
				t.Fatalf("%d..%d: %d bits, %v", lo, hi, b, x)
			}
		}
	}
	for want, x := range map[string]Interval{"u1": {0, 0}, "u8": {0, 255}, "i9": {-1, 255}, "i8": {-128, 127}, "i1": {-1, 0}, "i63": {-limit, limit - 1}} {
		if x.String() != want {
			t.Errorf("%d..%d: got %v, want %s", x.Lo, x.Hi, x, want)
		}
	}
}

// randomProg appends steps that Analyze takes.
func randomProg(r *rand.Rand, channels, pixels int) (*Prog, [][]Interval) {
	n := 1 + r.IntN(2)
	in := make([][]Interval, n)
	for i := range in {
		for range []int{1, channels}[r.IntN(2)] {
			lo := r.Int64N(201) - 100
			in[i] = append(in[i], Interval{lo, lo + r.Int64N(60)})
		}
	}
	p := NewProg(make([]Interval, n)...)
	vec := func(f func() int64) Vec {
		v := Vec{}
		switch r.IntN(4) {
		case 0:
			for range channels {
				v.V = append(v.V, f())
			}
		case 1:
			v.By = ByPixel
			for range pixels {
				v.V = append(v.V, f())
			}
		default:
			v = Scalar(f())
		}
		return v
	}
	for range 1 + r.IntN(8) {
		a, b := r.IntN(p.Last()+1), r.IntN(p.Last()+1)
		prim := Prim(r.IntN(int(numPrims)))
		old := len(p.Code)
		switch Prims[prim].Imm {
		case NoImm:
			p.Op(prim, a, b)
		case Number:
			p.OpI(prim, a, vec(func() int64 { return []int64{0, 1, r.Int64N(41) - 20, r.Int64N(400) - 200}[r.IntN(4)] }))
		case Shift:
			p.OpI(prim, a, vec(func() int64 { return max(0, r.Int64N(7)-2) }))
		case Width:
			p.OpI(prim, a, vec(func() int64 { return 1 + r.Int64N(12) }))
		case Table:
			if p.Analyze(in) != nil {
				panic("analyzed before")
			}
			x := p.Range(a)
			if x.Hi-x.Lo > 5000 {
				continue
			}
			table := make([]int64, x.Hi-x.Lo+3)
			for i := range table {
				table[i] = r.Int64N(300) - 100
			}
			p.Lookup(a, x.Lo-1, table)
		}
		if p.Analyze(in) != nil {
			p.Code = p.Code[:old]
		}
	}
	if err := p.Analyze(in); err != nil {
		panic(err)
	}
	return p, in
}

// Results lie inside the derived ranges and Simplify changes none of them.
func TestAnalyzeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	shorter := 0
	for trial := range 2000 {
		const channels, pixels = 3, 2
		p, in := randomProg(r, channels, pixels)
		s := &Prog{In: slices.Clone(p.In), Code: slices.Clone(p.Code)}
		s.Simplify()
		if len(s.Code) < len(p.Code) {
			shorter++
		}
		if s.Out() != p.Out() {
			t.Fatalf("trial %d: Simplify changes the range %v of the result to %v\n%v%v", trial, p.Out(), s.Out(), p, s)
		}
		again := &Prog{Code: slices.Clone(s.Code)}
		if err := again.Analyze(in); err != nil {
			t.Fatal(err)
		}
		for i := range s.Code {
			if s.Code[i].Range != again.Code[i].Range {
				t.Fatalf("trial %d: after Simplify step %d has range %v, Analyze gives %v\n%v%v", trial, i, s.Code[i].Range, again.Code[i].Range, p, s)
			}
		}
		vals, short := make([]int64, p.Last()+1), make([]int64, p.Last()+1)
		for range 20 {
			c, px := r.IntN(channels), r.IntN(pixels)
			for i := range in {
				x := in[i][c%len(in[i])]
				vals[i] = []int64{x.Lo, x.Hi, x.Lo + r.Int64N(x.Hi-x.Lo+1)}[r.IntN(3)]
				short[i] = vals[i]
			}
			got := p.Eval(vals, c, px)
			for i, v := range vals {
				if !p.Range(i).Contains(Interval{v, v}) {
					t.Fatalf("trial %d: v%d is %d\n%v", trial, i, v, p)
				}
			}
			if v := s.Eval(short, c, px); v != got {
				t.Fatalf("trial %d: %d, simplified %d\n%v\n%v", trial, got, v, p, s)
			}
		}
	}
	if shorter < 50 {
		t.Errorf("Simplify shortened %d programs only", shorter)
	}
}

func TestAnalyzeErrors(t *testing.T) {
	x := [][]Interval{{{0, 10}}}
	for want, f := range map[string]func(p *Prog){
		"step v1 (add): reads v0 and v1, which are later":    func(p *Prog) { p.Op(Add, 0, 1) },
		"step v1 (rsh_floor): immediate 62..62, want 0..61":  func(p *Prog) { p.OpI(RshFloor, 0, Scalar(62)) },
		"step v1 (wrap): immediate 0..0, want 1..63":         func(p *Prog) { p.OpI(Wrap, 0, Scalar(0)) },
		"step v1 (addi): immediate of 0 numbers":             func(p *Prog) { p.OpI(AddI, 0, Vec{}) },
		"step v1 (lut) over 0..10: table covers 1..11":       func(p *Prog) { p.Lookup(0, 1, make([]int64, 11)) },
		"step v1 (lut) over 0..10: table covers 0..9":        func(p *Prog) { p.Lookup(0, 0, make([]int64, 10)) },
		"step v1 (muli) over 0..10: needs more than 63 bits": func(p *Prog) { p.OpI(MulI, 0, Scalar(1<<60)) },
		"step v1 (muli) has numbers for 2 channels, want 3":  func(p *Prog) { p.OpI(MulI, 0, PerChannel([]int64{1, 2})); p.OpI(AddI, 1, PerChannel([]int64{1, 2, 3})) },
		"step v2 (lut) over 0..20: table covers 0..10":       func(p *Prog) { p.Lookup(p.Op(Add, 0, 0), 0, make([]int64, 11)) },
	} {
		p := NewProg(Interval{})
		f(p)
		if err := p.Analyze(x); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := NewProg().Analyze(nil); err == nil {
		t.Error("a program without inputs: no error")
	}
	if err := NewProg(Interval{}).Analyze([][]Interval{{{1, 0}}}); err == nil {
		t.Error("an empty range: no error")
	}
}

// dotProgram is a convolution 2x3x2 with a 1x2 kernel and two output channels, ended by a shift and a clamp, then a map.
func dotProgram(t *testing.T) *Program {
	p := &Program{Name: "tiny"}
	quant := func(lo, hi int64) *ir.Quant {
		return &ir.Quant{Scale: []float64{0.5}, Zero: []int64{0}, Min: lo, Max: hi}
	}
	x := p.NewBuffer("x", []int{2, 3, 2}, Interval{0, 15})
	x.Port = &Port{Name: "x", Shape: []int{2, 2, 3}, Perm: []int{1, 2, 0}, Quant: quant(0, 15)}
	d := &Dot{
		Geometry: Geometry{H: 2, W: 3, C: 2, OH: 2, OW: 2, OC: 2, KH: 1, KW: 2, SH: 1, SW: 1, DH: 1, DW: 1},
		Groups:   1, Weights: []int32{1, -2, 3, 4, -5, 0, 0, 2}, Bias: []int64{10, -20},
	}
	if err := d.Bound(x.Range); err != nil {
		t.Fatal(err)
	}
	if want := []Interval{{10 - 30, 10 + 15*8}, {-20 - 75, -20 + 30}}; !slices.Equal(d.Acc, want) {
		t.Fatalf("Bound: got %v, want %v", d.Acc, want)
	}
	prog := NewProg(Interval{})
	prog.Clamp(prog.OpI(RshHalfEven, 0, PerChannel([]int64{2, 1})), -8, 7)
	if err := prog.Analyze([][]Interval{d.Acc}); err != nil {
		t.Fatal(err)
	}
	h := p.NewBuffer("h", []int{2, 2, 2}, prog.Out())
	double := NewProg(h.Range)
	double.Op(Add, 0, 0)
	if err := double.Analyze([][]Interval{{h.Range}}); err != nil {
		t.Fatal(err)
	}
	y := p.NewBuffer("y", []int{2, 2, 2}, double.Out())
	y.Port = &Port{Name: "y", Shape: []int{2, 2, 2}, Perm: []int{1, 2, 0}, Quant: quant(-16, 14)}
	p.Inputs, p.Outputs = []*Buffer{x}, []*Buffer{y}
	p.Kernels = []*Kernel{
		{Name: "conv", Kind: KDot, In: []*Buffer{x}, Out: h, Dot: d, Prog: prog},
		{Name: "twice", Kind: KMap, In: []*Buffer{h}, Out: y, Prog: double},
	}
	return p
}

func TestVerify(t *testing.T) {
	p := dotProgram(t)
	if err := Verify(p); err != nil {
		t.Fatal(err)
	}
	if p.MACs() != 2*2*2*2*2 {
		t.Errorf("%d MACs, want 32", p.MACs())
	}
	text := p.String()
	for _, f := range []struct {
		want  string
		plant func(p *Program)
	}{
		{"input x: its port gives 0..15, range 0..14", func(p *Program) { p.Buffers[0].Range.Hi-- }},
		{"accumulator ranges are not those of the weights", func(p *Program) { p.Buffers[0].Range.Hi++ }},
		{"accumulator ranges are not those of the weights", func(p *Program) { p.Kernels[0].Dot.Weights[0]++ }},
		{"accumulator ranges are not those of the weights", func(p *Program) { p.Kernels[0].Dot.Acc[1].Lo++ }},
		{"kernel conv (dot): output range i5, want i4", func(p *Program) { p.Buffers[1].Range.Hi = 8 }},
		{"kernel twice (map): program is for inputs", func(p *Program) { p.Buffers[1].Range.Lo++ }},
		{"kernel conv (dot): step v1: range", func(p *Program) { p.Kernels[0].Prog.Code[0].Range.Hi++ }},
		{"kernel conv (dot): want 8 weights and 2 biases, got 7 and 2", func(p *Program) { p.Kernels[0].Dot.Weights = p.Kernels[0].Dot.Weights[:7] }},
		{"kernel conv (dot): want 8 weights and 2 biases, got 8 and 1", func(p *Program) { p.Kernels[0].Dot.Bias = p.Kernels[0].Dot.Bias[:1] }},
		{"kernel twice (map): reads buffer h before it is written", func(p *Program) { slices.Reverse(p.Kernels) }},
		{"kernel twice (map): buffer h is written twice", func(p *Program) { p.Kernels[1].Out = p.Buffers[1] }},
		{"output y is not written", func(p *Program) { p.Kernels = p.Kernels[:1] }},
		{"buffer h: ID 2, want 1", func(p *Program) { p.Buffers[1].ID = 2 }},
		{"buffer y is not among the buffers", func(p *Program) { p.Buffers = p.Buffers[:2] }},
		{"kernel conv (map): the name is taken twice", func(p *Program) { p.Kernels[1].Name = "conv" }},
		{"the name is not a C identifier", func(p *Program) { p.Kernels[1].Name = "2x" }},
		{"another kind of loop nest is set", func(p *Program) { p.Kernels[0].Kind = KMap }},
		{"3 groups of 2 and 2 channels", func(p *Program) { p.Kernels[0].Dot.Groups = 3 }},
		{"geometry 2x4x2 to 2x2x2, buffers [2 3 2] to [2 2 2]", func(p *Program) { p.Kernels[0].Dot.W = 4 }},
		{"want 1 or more", func(p *Program) { p.Kernels[0].Dot.SW = 0 }},
		{"padding -1,0: want 0 or more", func(p *Program) { p.Kernels[0].Dot.PH = -1 }},
		{"port permutation [1 1 0]", func(p *Program) { p.Buffers[2].Port.Perm = []int{1, 1, 0} }},
		{"input x: no port", func(p *Program) { p.Buffers[0].Port = nil }},
		{"want 1 input, got 2", func(p *Program) { p.Kernels[0].In = append(p.Kernels[0].In, p.Buffers[0]) }},
		{"input x has shape [2 3 2], want [2 2 2]", func(p *Program) { p.Kernels[1].In[0] = p.Buffers[0] }},
		{"no program", func(p *Program) { p.Kernels[1].Prog = nil }},
		{"immediate 70..70, want 0..61", func(p *Program) { p.Kernels[0].Prog.Code[0].Imm = Scalar(70) }},
		{"step v1: 3 numbers by pixel, want 4", func(p *Program) {
			p.Kernels[0].Prog.Code[0].Imm = Vec{V: []int64{1, 2, 1}, By: ByPixel}
			if err := p.Kernels[0].Prog.Analyze([][]Interval{p.Kernels[0].Dot.Acc}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		p := dotProgram(t)
		f.plant(p)
		err := Verify(p)
		if err == nil || !strings.Contains(err.Error(), f.want) {
			t.Errorf("got %v, want %s", err, f.want)
		}
	}
	if dotProgram(t).String() != text {
		t.Error("two equal programs have different texts")
	}
	if p.Kernels[0].Dot.Weights[5] = 1; p.String() == text {
		t.Error("the text does not depend on the weights")
	}
}

func TestVerifyMove(t *testing.T) {
	move := func() *Program {
		p := dotProgram(t)
		h, y := p.Buffers[1], p.Buffers[2]
		y.Range = h.Range.Union(Interval{0, 0})
		p.Kernels[1] = &Kernel{Name: "flip", Kind: KMove, In: []*Buffer{h}, Out: y, Move: &Move{Filled: true, Pieces: []Piece{
			{SrcOff: 6, Size: []int{4}, SrcStride: []int{-2}, DstStride: []int{1}}}}}
		return p
	}
	if err := Verify(move()); err != nil {
		t.Fatal(err)
	}
	for want, plant := range map[string]func(m *Move){
		"4 of 8 elements written, filled is false":              func(m *Move) { m.Filled = false },
		"piece 0 leaves its buffers or writes an element twice": func(m *Move) { m.Pieces[0].SrcOff = 5 },
		"piece 1 leaves its buffers or writes an element twice": func(m *Move) { m.Pieces = append(m.Pieces, m.Pieces[0]) },
		"piece 0: bad source or ranks":                          func(m *Move) { m.Pieces[0].Src = 1 },
		"output range i4, want i6":                              func(m *Move) { m.Fill = -30 },
	} {
		p := move()
		plant(p.Kernels[1].Move)
		if err := Verify(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The bound of a dot holds for every partial sum in any order, and is reached.
func TestDotBound(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		k := 1 + r.IntN(6)
		d := &Dot{Geometry: Geometry{KH: 1, KW: 1, C: k, OC: 1, PadValue: r.Int64N(9) - 4}, Groups: 1, Bias: []int64{r.Int64N(21) - 10}}
		for range k {
			d.Weights = append(d.Weights, int32(r.IntN(9)-4))
		}
		lo := r.Int64N(9) - 4
		x := Interval{lo, lo + r.Int64N(5)}
		if err := d.Bound(x); err != nil {
			t.Fatal(err)
		}
		x = x.Union(Interval{d.PadValue, d.PadValue})
		want := Interval{d.Bias[0], d.Bias[0]}
		for _, w := range d.Weights { // each term at its best, if it is on the right side of 0
			a, b := int64(w)*x.Lo, int64(w)*x.Hi
			want.Lo += min(a, b, 0)
			want.Hi += max(a, b, 0)
		}
		if d.Acc[0] != want {
			t.Fatalf("weights %v bias %v over %v: got %v, want %v", d.Weights, d.Bias, x, d.Acc[0], want)
		}
	}
	for _, x := range []Interval{{-limit, 0}, {0, limit - 1}, {-1 << 40, 1 << 40}} {
		d := &Dot{Geometry: Geometry{KH: 1, KW: 1, C: 1, OC: 1}, Groups: 1, Bias: []int64{0}, Weights: []int32{-1 << 31}}
		if err := d.Bound(x); err == nil || d.Acc != nil {
			t.Errorf("weight -2^31 over %v: got %v, %v, want an error", x, d.Acc, err)
		}
	}
	d := &Dot{Geometry: Geometry{KH: 1, KW: 1, C: 2, OC: 1}, Groups: 1, Bias: []int64{1 << 61}, Weights: []int32{-1 << 31, -1 << 31}}
	if err := d.Bound(Interval{-1 << 31, 0}); err == nil {
		t.Errorf("two terms of 2^62: got %v, want an error", d.Acc)
	}
	w := &Window{Geometry: Geometry{KH: 2, KW: 3, PadValue: -1}, Reduce: ReduceSum}
	if err := w.Bound(Interval{3, 9}); err != nil || w.Acc != (Interval{-6, 54}) {
		t.Errorf("sum of 6 over -1..9: got %v, %v", w.Acc, err)
	}
	w.Reduce = ReduceMax
	if err := w.Bound(Interval{3, 9}); err != nil || w.Acc != (Interval{-1, 9}) {
		t.Errorf("max over -1..9: got %v, %v", w.Acc, err)
	}
}

func TestPort(t *testing.T) {
	p := &Port{Name: "x", Shape: []int{2, 3}, Perm: []int{1, 0}, Quant: &ir.Quant{Scale: []float64{0.5}, Zero: []int64{1}, Min: -8, Max: 7}}
	dst := make([]int64, 6)
	if err := p.Quantize(dst, []float32{0, 0.5, 1, -0.5, 100, -100}); err != nil || fmt.Sprint(dst) != "[1 0 2 7 3 -8]" {
		t.Errorf("got %v, %v", dst, err)
	}
	back := make([]float32, 6)
	p.Dequantize(back, dst)
	if fmt.Sprint(back) != "[0 0.5 1 -0.5 3 -4.5]" {
		t.Errorf("got %v", back)
	}
	nan := float32(0)
	nan /= nan
	if err := p.Quantize(dst, []float32{0, 0, nan, 0, 0, 0}); err == nil || err.Error() != `input "x": element 2 is NaN` {
		t.Errorf("NaN: %v", err)
	}
	if err := p.Quantize(dst, back[:5]); err == nil || err.Error() != `input "x": want 6 elements, got 5` {
		t.Errorf("5 elements: %v", err)
	}
}
