package calib

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// samples are of very different sizes and signs, so that ranges grow late and on both sides.
func samples(seed uint64, n int) [][]float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	s := make([][]float32, n)
	for i := range s {
		scale := math.Exp(4 * r.NormFloat64())
		s[i] = make([]float32, 1+r.IntN(50))
		for j := range s[i] {
			switch r.IntN(5) {
			case 0: // zeros of both signs
				s[i][j] = float32(math.Copysign(0, r.Float64()-0.5))
			case 1: // exact powers of two sit on edges of bins
				s[i][j] = float32(math.Ldexp(1, r.IntN(20)-10))
			default:
				s[i][j] = float32(scale * r.NormFloat64())
			}
		}
	}
	s[n/2] = []float32{math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1e-40}
	return s
}

func TestOrderAndSplitDoNotMatter(t *testing.T) {
	data := samples(1, 60)
	var want Stats
	for _, x := range data {
		if err := want.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(2, 2))
	for range 30 {
		r.Shuffle(len(data), func(i, j int) { data[i], data[j] = data[j], data[i] })
		parts := make([]Stats, 1+r.IntN(4))
		for _, x := range data {
			if err := parts[r.IntN(len(parts))].Add(x); err != nil {
				t.Fatal(err)
			}
		}
		var got Stats
		for i := range parts {
			got.Merge(&parts[i])
		}
		// big.Int keeps spare capacity: compare the numbers, then everything else.
		for _, p := range [][2]*exact{{&got.sum, &want.sum}, {&got.sumSq, &want.sumSq}} {
			if p[0].v.Cmp(&p[1].v) != 0 {
				t.Fatalf("sums differ: %v, want %v", p[0].float(), p[1].float())
			}
		}
		a, b := got, want
		a.sum, a.sumSq, b.sum, b.sumSq = exact{}, exact{}, exact{}, exact{}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("got %+v, want %+v", a, b)
		}
	}
}

func TestHistogramAgainstBruteForce(t *testing.T) {
	var s Stats
	var all []float32
	for _, x := range samples(3, 40) {
		if err := s.Add(x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x...)
	}
	pos, neg := make([]int64, Bins), make([]int64, Bins)
	zeros := int64(0)
	for _, v := range all {
		switch f := float64(v); {
		case f > 0:
			pos[int(math.Floor(f/s.pos.width()))]++
		case f < 0:
			neg[int(math.Floor(-f/s.neg.width()))]++
		default:
			zeros++
		}
	}
	if !slices.Equal(pos, s.pos.bins) || !slices.Equal(neg, s.neg.bins) || zeros != s.Zeros || s.N != int64(len(all)) {
		t.Error("the histogram is not the one of the whole data at its final width")
	}
	if s.Min != slices.Min(all) || s.Max != slices.Max(all) {
		t.Errorf("range %v..%v, want %v..%v", s.Min, s.Max, slices.Min(all), slices.Max(all))
	}
	if w := s.pos.width() * Bins; float64(s.Max) >= w || float64(s.Max) < w/2 {
		t.Errorf("histogram reaches to %v for a maximum of %v, want less than twice as far", w, s.Max)
	}
}

func TestMoments(t *testing.T) {
	var s Stats
	var n, sum, sq float64
	for _, x := range samples(4, 40) {
		if err := s.Add(x); err != nil {
			t.Fatal(err)
		}
		for _, v := range x {
			n, sum, sq = n+1, sum+float64(v), sq+float64(v)*float64(v)
		}
	}
	mean := sum / n
	if math.Abs(s.Mean()-mean) > 1e-9*math.Abs(mean) {
		t.Errorf("mean %v, want %v", s.Mean(), mean)
	}
	if want := sq/n - mean*mean; math.Abs(s.Variance()-want) > 1e-9*want {
		t.Errorf("variance %v, want %v", s.Variance(), want)
	}
}

func TestExact(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var e exact
	want := new(big.Rat)
	for range 300 {
		x := math.Float64frombits(r.Uint64())
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		e.add(x)
		want.Add(want, new(big.Rat).SetFloat64(x))
		if w, _ := want.Float64(); w != e.float() {
			t.Fatalf("sum is %v, want %v", e.float(), w)
		}
	}
	for _, x := range []float64{0, 5e-324, -5e-324, 1, -1, math.MaxFloat64} {
		var e exact
		if e.add(x); e.float() != x {
			t.Errorf("sum of %v alone is %v", x, e.float())
		}
	}
}

func TestAddRefusesNaN(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		var s Stats
		err := s.Add([]float32{1, float32(bad)})
		if err == nil || s.N != 0 {
			t.Errorf("%v: error %v with %d elements counted, want an error and none", bad, err, s.N)
		}
	}
}

func TestChannels(t *testing.T) {
	var a, b, both Stats
	x, y := []float32{1, 2, -3, 4}, []float32{5, -6, 7, 8}
	a.AddChannels(x, 2, 2)
	b.AddChannels(y, 2, 2)
	a.N, b.N = 4, 4 // as Add would
	both.Merge(&a)
	both.Merge(&b)
	for i, want := range []Channel{{N: 4, Min: -6, Max: 5}, {N: 4, Min: -3, Max: 8}} {
		c := both.Channels[i]
		if c.N != want.N || c.Min != want.Min || c.Max != want.Max {
			t.Errorf("channel %d: %d elements %v..%v, want %d, %v..%v", i, c.N, c.Min, c.Max, want.N, want.Min, want.Max)
		}
	}
	if m := both.Channels[0].Mean(); m != 0.5 {
		t.Errorf("mean of channel 0 is %v, want 0.5", m)
	}
}
