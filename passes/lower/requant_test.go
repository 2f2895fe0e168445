package lower

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/hw"
)

// ratioError is |m*2^-t/r - 1|, exact but for the last conversion.
func ratioError(m, t int64, r float64) float64 {
	x := new(big.Rat).SetFrac(big.NewInt(m), new(big.Int).Lsh(big.NewInt(1), uint(t)))
	d := new(big.Rat).SetFloat64(r)
	x.Quo(x.Sub(x, d), d)
	f, _ := x.Abs(x).Float64()
	return f
}

// TestMultiplier: multipliers fit their width and are as near to the ratio as the width allows, or 12 bits where they share a shift;
// they do share it where that is possible; no bit of them is idle.
func TestMultiplier(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	shared, own, pow := 0, 0, 0
	for i := range 5000 {
		bits := 8 + r.IntN(23)
		by := hw.By(r.IntN(2))
		spread := []float64{0, 0.5, 3}[r.IntN(3)]
		middle := -3 + 6*r.NormFloat64()
		ratios := make([]float64, 1+r.IntN(5))
		for c := range ratios {
			ratios[c] = math.Exp2(min(middle+spread*r.NormFloat64(), float64(bits-1)))
			ratios[c] = max(ratios[c], math.Exp2(float64(bits-60))) // below, a shift of 61 leaves fewer bits
			if i%4 == 0 {
				ratios[c] = math.Exp2(math.Round(math.Log2(ratios[c])))
			}
		}
		m := newMultiplier(ratios, bits, 8, by)
		name := fmt.Sprintf("case %d: %v in %d bits: %v >> %v", i, ratios, bits, m.M, m.T)
		if len(m.M.V) > 1 && m.M.By != by || len(m.T.V) > 1 && m.T.By != by {
			t.Fatalf("%s: want numbers by %v", name, by)
		}
		least, most, isPow2 := math.Inf(1), 0.0, true
		for _, x := range ratios {
			f, _ := math.Frexp(x)
			least, most, isPow2 = min(least, x), max(most, x), isPow2 && f == 0.5
		}
		small := int64(math.MaxInt64)
		idle, room := true, true
		for c, x := range ratios {
			k, s := m.M.At(c, c), m.T.At(c, c)
			if s < 0 || s > 61 || k < 1 || k >= 1<<bits {
				t.Fatalf("%s: channel %d: want a shift in 0..61 and %d bits", name, c, bits)
			}
			if isPow2 && (ratioError(k, s, x) != 0 || k != int64(max(x, 1))) {
				t.Fatalf("%s: channel %d: a power of two needs no multiplier", name, c)
			}
			small = min(small, k)
			idle, room = idle && k%2 == 0, room && s > 0
		}
		if idle && room && !isPow2 {
			t.Fatalf("%s: all multipliers are even", name)
		}
		if isPow2 {
			pow++
			continue
		}
		limit := math.Ldexp(1, -bits)
		// The least multiplier at the greatest one's shift; near the limit either is right.
		low := least / most * math.Ldexp(1, bits)
		if floor := math.Ldexp(1, min(11, bits-2)); low > 2.01*floor {
			shared++
			if len(m.T.V) != 1 {
				t.Fatalf("%s: one shift would do", name)
			}
			limit = 0.5 / floor
		} else if low > 0.49*floor {
			continue
		} else {
			own++
		}
		for c, x := range ratios {
			e := ratioError(m.M.At(c, c), m.T.At(c, c), x)
			if e > limit || len(ratios) == 1 && e > math.Ldexp(1, -bits) {
				t.Fatalf("%s: channel %d is %v of itself off, want at most %v", name, c, e, limit)
			}
		}
	}
	if min(shared, own, pow) < 250 {
		t.Errorf("%d shared a shift, %d did not, %d were powers of two: too few to test it", shared, own, pow)
	}
}

// TestMultiplierTable has the cases whose answer is plain.
func TestMultiplierTable(t *testing.T) {
	for _, c := range []struct {
		ratios []float64
		bits   int
		m, t   []int64
	}{
		{[]float64{0.75}, 17, []int64{3}, []int64{2}},
		{[]float64{0.5, 0.125}, 17, []int64{1, 1}, []int64{1, 3}},
		{[]float64{4, 1}, 17, []int64{4, 1}, []int64{0, 0}},
		{[]float64{5}, 17, []int64{5}, []int64{0}},
		{[]float64{1. / 3}, 8, []int64{171}, []int64{9}},
		{[]float64{1 - 0x1p-20}, 8, []int64{1}, []int64{0}},              // rounds up into the next bit
		{[]float64{1 - 0x1p-20, 0.7}, 8, []int64{64, 45}, []int64{6, 6}}, // so the other has a bit less
		{[]float64{0.75, 0.5}, 17, []int64{3, 2}, []int64{2, 2}},         // one shift, common factors gone
		{[]float64{0.75, 0x3p-20}, 17, []int64{3, 3}, []int64{2, 20}},    // too far apart: own shifts
		{[]float64{math.Ldexp(3, -61)}, 17, []int64{3}, []int64{61}},     // no shift beyond 61
		{[]float64{0x1p-70, 0x1p-71}, 17, []int64{0, 0}, []int64{0, 0}},  // nothing is left of these
	} {
		m := newMultiplier(c.ratios, c.bits, 8, hw.ByChannel)
		for i := range c.ratios {
			if k, s := m.M.At(i, i), m.T.At(i, i); k != c.m[i] || s != c.t[i] {
				t.Errorf("%v in %d bits: %v >> %v, want %v >> %v", c.ratios, c.bits, m.M, m.T, c.m, c.t)
				break
			}
		}
	}
}

// TestMultiplierOutBits: a shift that leaves a channel 16 bits is shared for results of 8 bits; of 16, it would be off by steps.
func TestMultiplierOutBits(t *testing.T) {
	ratios := []float64{0.7, 0.7 / 256}
	for _, c := range []struct{ out, shifts int }{{8, 1}, {12, 1}, {13, 2}, {16, 2}} {
		if m := newMultiplier(ratios, 24, c.out, hw.ByChannel); len(m.T.V) != c.shifts {
			t.Errorf("%d bits: %v >> %v, want %d shifts", c.out, m.M, m.T, c.shifts)
		}
	}
}

// TestMultiplierBits: 17 bits and a sign for results of up to 8 bits, 24 above, or what the options say; less where product and
// accumulator would leave 63 bits; never less than 8.
func TestMultiplierBits(t *testing.T) {
	for _, c := range []struct{ option, out, acc, want int }{
		{0, 8, 20, 17}, {0, 9, 20, 24}, {0, 2, 44, 17}, {0, 2, 45, 16}, {0, 16, 37, 24}, {0, 16, 38, 23}, {0, 8, 53, 8}, {0, 8, 54, 0},
		{31, 8, 20, 30}, {31, 16, 40, 21}, {9, 16, 20, 8}, {8, 8, 20, 0}, {25, 8, 61, 0},
	} {
		l := &lowerer{opt: Options{MultiplierBits: c.option}}
		q := &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: 1<<c.out - 1}
		got, err := l.multiplierBits(q, c.acc)
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("option %d, results of %d bits, accumulator of %d: %d bits, %v; want %d", c.option, c.out, c.acc, got, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("accumulator of %d bits leaves", c.acc)) {
			t.Errorf("%v", err)
		}
	}
}

// TestRequant: the appended steps against the definition in exact arithmetic, in every rounding mode: at most one step apart, and none
// where the scales are powers of two.
func TestRequant(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	off, all := 0, 0
	for i := range 3000 {
		bits := 2 + r.IntN(15)
		q := &ir.Quant{Scale: []float64{float64(float32(math.Exp(r.NormFloat64())))}, Zero: []int64{r.Int64N(1<<bits) - 1<<(bits-1)}, Round: ir.Round(r.IntN(4))}
		q.Min = -1<<(bits-1) + r.Int64N(2)
		q.Max = 1<<(bits-1) - 1 - r.Int64N(2)
		acc := bits + r.IntN(20)
		scale := make([]float64, 1+r.IntN(3))
		for c := range scale {
			// The accumulator covers the result's range once or more.
			scale[c] = q.Scale[0] * math.Exp2(float64(bits-acc)+r.Float64()*2)
			if i%3 == 0 {
				_, e := math.Frexp(scale[c])
				scale[c] = math.Ldexp(1, e)
			}
		}
		if i%3 == 0 {
			_, e := math.Frexp(q.Scale[0])
			q.Scale[0] = math.Ldexp(1, e)
		}
		rg := hw.Interval{Lo: -1 << acc >> 1, Hi: 1<<acc>>1 - 1}
		p := hw.NewProg(rg)
		l := &lowerer{}
		if _, err := l.requant(p, 0, acc, scale, hw.ByChannel, q); err != nil {
			t.Fatal(err)
		}
		if err := p.Analyze([][]hw.Interval{{rg}}); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			x, c := rg.Lo+r.Int64N(1<<acc), r.IntN(len(scale))
			vals := make([]int64, 1+len(p.Code))
			vals[0] = x
			got := p.Eval(vals, c, 0)
			want := exactQuantize(q, new(big.Rat).Mul(new(big.Rat).SetInt64(x), new(big.Rat).SetFloat64(scale[c])))
			all++
			if d := max(got-want, want-got); d > 1 || d > 0 && i%3 == 0 {
				t.Fatalf("case %d: %d*%v to %+v is %d, want %d\n%v", i, x, scale[c], *q, got, want, p)
			} else if d > 0 {
				off++
			}
		}
	}
	if off*50 > all {
		t.Errorf("%d of %d are a step off", off, all)
	}
}

// exactQuantize is ir.Quant's definition without a float: q = clamp(round(x/scale) + zero).
func exactQuantize(q *ir.Quant, x *big.Rat) int64 {
	v := new(big.Rat).Quo(x, new(big.Rat).SetFloat64(q.Scale[0]))
	floor := new(big.Int).Div(v.Num(), v.Denom()) // Euclidean, the denominator is positive
	part := new(big.Rat).Sub(v, new(big.Rat).SetInt(floor))
	up := false
	switch c := part.Cmp(big.NewRat(1, 2)); q.Round {
	case ir.HalfEven:
		up = c > 0 || c == 0 && floor.Bit(0) == 1
	case ir.HalfUp:
		up = c >= 0
	case ir.HalfAway:
		up = c > 0 || c == 0 && v.Sign() > 0
	}
	n := floor.Int64()
	if up {
		n++
	}
	return max(q.Min, min(q.Max, n+q.Zero[0]))
}
