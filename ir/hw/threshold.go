package hw

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sort"
)

// ThresholdBits is the widest result that is counted with thresholds: one bit more doubles them.
const ThresholdBits = 4

// Thresholds are a scalar program of one input as a count: its result is Lo plus the number of thresholds of the channel that the
// input reaches, or Hi less that number where the function falls.
type Thresholds struct {
	Lo, Hi  int64     // least and greatest result of all channels
	T       [][]int64 // by channel, or one row for all; each has Hi-Lo thresholds, ascending
	Falling []bool    // by row of T
}

// Row is the row of T that a channel has.
func (t *Thresholds) Row(c int) int {
	if len(t.T) == 1 {
		return 0
	}
	return c
}

// Levels is the number of thresholds of a channel.
func (t *Thresholds) Levels() int { return int(t.Hi - t.Lo) }

// Range is the interval of the thresholds. It may end one above what the input can be: a threshold that is never reached.
func (t *Thresholds) Range() Interval {
	r := Interval{t.T[0][0], t.T[0][0]}
	for _, row := range t.T {
		r = r.Union(Interval{row[0], row[len(row)-1]})
	}
	return r
}

// Eval is the result for an input.
func (t *Thresholds) Eval(x int64, channel int) int64 {
	row := t.Row(channel)
	n := int64(0)
	for _, v := range t.T[row] {
		if x >= v {
			n++
		}
	}
	if t.Falling[row] {
		return t.Hi - n
	}
	return t.Lo + n
}

// direction says how a value can change where the input of its program grows.
type direction uint8

const (
	rising  direction = 1 << iota // or staying
	falling                       // or staying
	either  = rising | falling
)

func (d direction) flip() direction { return d>>1 | d<<1&either }

// times is the direction of a factor in a product whose other factor has a range.
func (d direction) times(r Interval) direction {
	switch {
	case r.Lo >= 0:
		return d
	case r.Hi <= 0:
		return d.flip()
	case d == 0:
		return 0
	}
	return either
}

// direction proves from the primitives how the result of a channel changes over an interval of the input. The program must have one
// input and no numbers by pixel.
func (p *Prog) direction(in Interval, channel int) (direction, error) {
	vals, dirs := []Interval{in}, []direction{rising}
	for i := range p.Code {
		s := &p.Code[i]
		r, err := s.bound(vals[s.A], vals[s.B], channel)
		if err != nil {
			return either, err
		}
		a, b := dirs[s.A], dirs[s.B]
		var imm int64
		if Prims[s.Prim].Imm != NoImm {
			imm = s.Imm.At(channel, 0)
		}
		var d direction
		switch s.Prim {
		case Add, Max, Min:
			d = a | b
		case Sub:
			d = a | b.flip()
		case Mul: // f*g changes by the change of f times g, and f times the change of g
			d = a.times(vals[s.B]) | b.times(vals[s.A])
		case MulI:
			d = a.times(Interval{imm, imm})
		case DivInto: // by a positive number
			if d = a.flip(); imm < 0 {
				d = a
			}
		case Wrap:
			if x := vals[s.A]; r.Hi-r.Lo == x.Hi-x.Lo && wrap(x.Lo, 0, imm) == r.Lo {
				d = a
			} else if a != 0 {
				d = either // it wraps around somewhere
			}
		case Lut:
			var table direction
			t := s.Table[vals[s.A].Lo-imm : vals[s.A].Hi-imm+1]
			for j := 1; j < len(t); j++ {
				switch {
				case t[j] > t[j-1]:
					table |= rising
				case t[j] < t[j-1]:
					table |= falling
				}
			}
			switch table {
			case rising:
				d = a
			case falling:
				d = a.flip()
			case either:
				d = table
			}
		case AddI, MaxI, MinI, RshFloor, RshHalfUp, RshHalfEven, RshHalfAway, RshCeil, RshAway, RshToZero, RshHalfToZero:
			d = a
		default:
			d = either
		}
		if r.Lo == r.Hi {
			d = 0
		}
		vals, dirs = append(vals, r), append(dirs, d)
	}
	return dirs[p.Last()], nil
}

// thresholdRows are the input ranges of the channels that can differ: one if no number of the program is by channel and there is one range.
func (p *Prog) thresholdRows(in [][]Interval) ([]Interval, error) {
	if len(in) != 1 {
		return nil, fmt.Errorf("it has %d inputs, want one", len(in))
	}
	if n := p.Out().Bits(); n > ThresholdBits {
		return nil, fmt.Errorf("its result has %d bits, want at most %d", n, ThresholdBits)
	}
	if n := p.In[0].Bits(); n > 62 { // so that their number fits an int
		return nil, fmt.Errorf("its input has %d bits, want at most 62", n)
	}
	rows := in[0]
	for i := range p.Code {
		v := &p.Code[i].Imm
		switch {
		case len(v.V) < 2:
		case v.By == ByPixel:
			return nil, fmt.Errorf("step v%d (%v) has numbers by pixel", i+1, p.Code[i].Prim)
		case len(rows) == 1:
			rows = slices.Repeat(rows, len(v.V))
		}
	}
	return rows, nil
}

// Thresholds turns a program, whose input has the given ranges (Kernel.ProgIn), into thresholds. They are exact: found by a binary search
// over the range of each channel. An error says why there are none.
func (p *Prog) Thresholds(in [][]Interval) (*Thresholds, error) {
	rows, err := p.thresholdRows(in)
	if err != nil {
		return nil, err
	}
	vals := make([]int64, p.Last()+1)
	t := &Thresholds{Falling: make([]bool, len(rows))}
	for c, r := range rows {
		d, err := p.direction(r, c)
		if err != nil {
			return nil, err
		}
		if d == either {
			return nil, fmt.Errorf("its result is not proved to rise or to fall with the input (channel %d)", c)
		}
		t.Falling[c] = d == falling
		for _, x := range []int64{r.Lo, r.Hi} {
			vals[0] = x
			y := p.Eval(vals, c, 0)
			if c == 0 && x == r.Lo {
				t.Lo, t.Hi = y, y
			}
			t.Lo, t.Hi = min(t.Lo, y), max(t.Hi, y)
		}
	}
	if t.Lo == t.Hi {
		return nil, errors.New("its result is constant")
	}
	for c, r := range rows {
		var row []int64
		for i := range t.Hi - t.Lo {
			n := sort.Search(int(r.Hi-r.Lo+1), func(n int) bool {
				vals[0] = r.Lo + int64(n)
				y := p.Eval(vals, c, 0)
				return y > t.Lo+i && !t.Falling[c] || y < t.Hi-i && t.Falling[c]
			})
			row = append(row, r.Lo+int64(n))
		}
		t.T = append(t.T, row)
	}
	same := true
	for c := range t.T {
		same = same && slices.Equal(t.T[c], t.T[0]) && t.Falling[c] == t.Falling[0]
	}
	if same {
		t.T, t.Falling = t.T[:1], t.Falling[:1]
	}
	return t, nil
}

// Verify proves that thresholds are those of a program: its result goes one way over the range of each channel, and passes each level
// exactly at its threshold.
func (t *Thresholds) Verify(p *Prog, in [][]Interval) error {
	rows, err := p.thresholdRows(in)
	if err != nil {
		return err
	}
	if len(t.T) != len(t.Falling) || len(t.T) != 1 && len(t.T) != len(rows) || t.Levels() < 1 || bits.Len(uint(t.Levels())) > ThresholdBits {
		return fmt.Errorf("thresholds for %d channels and %d levels, want %d channels", len(t.T), t.Levels(), len(rows))
	}
	vals := make([]int64, p.Last()+1)
	for c, r := range rows {
		row := t.T[t.Row(c)]
		down := t.Falling[t.Row(c)]
		if len(row) != t.Levels() || !slices.IsSorted(row) {
			return fmt.Errorf("channel %d: %v: want %d numbers, ascending", c, row, t.Levels())
		}
		d, err := p.direction(r, c)
		if err != nil {
			return err
		}
		if d == either || d == rising && down || d == falling && !down {
			return fmt.Errorf("channel %d: the result does not go the way of the thresholds", c)
		}
		at := func(x int64) int64 { vals[0] = x; return p.Eval(vals, c, 0) }
		check := func(x int64) {
			if got, want := t.Eval(x, c), at(x); got != want && err == nil {
				err = fmt.Errorf("channel %d: %d for input %d, want %d", c, got, x, want)
			}
		}
		// Between two thresholds the count stays, so what is equal at both ends is equal between them.
		check(r.Lo)
		check(r.Hi)
		for _, v := range row {
			for _, x := range []int64{v - 1, v} {
				if x >= r.Lo && x <= r.Hi {
					check(x)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
