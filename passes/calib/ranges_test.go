package calib

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// gauss is n normal numbers; relu clips them at 0.
func gauss(seed uint64, n int, relu bool) (*Stats, []float32) {
	r := rand.New(rand.NewPCG(seed, 9))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
		if relu {
			x[i] = max(0, x[i])
		}
	}
	s := &Stats{}
	if err := s.Add(x); err != nil {
		panic(err)
	}
	return s, x
}

func TestPercentile(t *testing.T) {
	s, x := gauss(1, 100000, false)
	slices.Sort(x)
	for _, p := range []float64{90, 99, 99.9, 99.99} {
		r := s.Percentile(p)
		i := int(float64(len(x)) * (100 - p) / 100)
		// The histogram is at most 2^-10 of the range away, the order statistic itself sits between its neighbours.
		near := func(got, want float64) bool { return math.Abs(got-want) < 8.0/1024 }
		if !near(r.Lo, float64(x[i])) || !near(r.Hi, float64(x[len(x)-1-i])) {
			t.Errorf("percentile %v: %v, want %v..%v", p, r, x[i], x[len(x)-1-i])
		}
	}
	if r := s.Percentile(100); r != s.MinMax() {
		t.Errorf("percentile 100: %v, want all of it: %v", r, s.MinMax())
	}
	pos, _ := gauss(1, 1000, true)
	if r := pos.Percentile(99); r.Lo != 0 || !(r.Hi > 0 && r.Hi < float64(pos.Max)) {
		t.Errorf("percentile of positive data: %v, want 0 to less than %v", r, pos.Max)
	}
}

// trueError is the mean squared error over the data themselves.
func trueError(x []float32, scale float64, zero, lo, hi int64) float64 {
	sum := 0.0
	for _, v := range x {
		q := min(max(math.RoundToEven(float64(v)/scale)+float64(zero), float64(lo)), float64(hi))
		d := float64(v) - (q-float64(zero))*scale
		sum += d * d
	}
	return sum / float64(len(x))
}

func TestErrorAgainstData(t *testing.T) {
	for _, relu := range []bool{false, true} {
		s, x := gauss(2, 200000, relu)
		for _, c := range []struct {
			scale        float64
			zero, lo, hi int64
		}{
			{0.5, 0, -8, 7}, {0.2, 0, -8, 7}, {0.02, 0, -128, 127}, {0.03, 100, 0, 255}, {1, 3, 0, 7}, {0.0001, 0, -32768, 32767}, {4, 0, 0, 1},
		} {
			got, want := s.Error(c.scale, c.zero, c.lo, c.hi), trueError(x, c.scale, c.zero, c.lo, c.hi)
			if math.Abs(got-want) > 0.03*want {
				t.Errorf("relu=%v %+v: error %g, want %g", relu, c, got, want)
			}
		}
	}
}

func TestErrorAtPoints(t *testing.T) {
	var s Stats
	if err := s.Add([]float32{6, 6, 6, 0}); err != nil { // a saturated activation: all mass on one edge of a bin
		t.Fatal(err)
	}
	if e := s.Error(6, 0, 0, 1); e > 1e-5 {
		t.Errorf("error of an exact quantizer: %v, want about 0", e)
	}
	if e := s.Error(4, 0, 0, 1); math.Abs(e-3) > 0.01 {
		t.Errorf("error when 6 becomes 4: %v, want 3/4 of 4", e)
	}
}

// TestMSEIsTheBest compares the search with a fine scan of the data themselves.
func TestMSEIsTheBest(t *testing.T) {
	for _, relu := range []bool{false, true} {
		s, x := gauss(3, 20000, relu)
		for _, l := range []Levels{{-2, 1, false}, {-7, 7, false}, {-8, 7, true}, {0, 15, relu == false}, {-128, 127, false}} {
			scale, zero := l.Quantizer(s.MSE(l))
			got := trueError(x, scale, zero, l.Min, l.Max)
			best := math.Inf(1)
			full := s.MinMax()
			for f := 1.0; f > 0.02; f *= 0.97 {
				sc, z := l.Quantizer(Range{full.Lo * f, full.Hi * f})
				best = min(best, trueError(x, sc, z, l.Min, l.Max))
			}
			if got > 1.02*best {
				t.Errorf("relu=%v %+v: error %g with scale %v zero %d, a scan finds %g", relu, l, got, scale, zero, best)
			}
		}
	}
}

func TestEntropyCutsATail(t *testing.T) {
	s, _ := gauss(4, 100000, false)
	if err := s.Add([]float32{60, -70}); err != nil { // two outliers
		t.Fatal(err)
	}
	r := s.Entropy(Levels{-127, 127, false})
	if !(r.Hi > 2.5 && r.Hi < 20) || r.Lo != -r.Hi {
		t.Errorf("entropy range %v, want both ends alike, about 3 to 10", r)
	}
	if r := s.Entropy(Levels{-32768, 32767, false}); r != s.MinMax() {
		t.Errorf("entropy at 16 bits: %v, want %v", r, s.MinMax())
	}
	uniform := &Stats{}
	x := make([]float32, 100000)
	for i := range x {
		x[i] = float32(i) / float32(len(x))
	}
	if err := uniform.Add(x); err != nil {
		t.Fatal(err)
	}
	if r := uniform.Entropy(Levels{0, 255, false}); r.Hi < 0.95 {
		t.Errorf("entropy of a uniform distribution: %v, want nothing cut", r)
	}
}

func TestEmptyAndConstant(t *testing.T) {
	for _, x := range [][]float32{nil, {0, 0}, {3, 3, 3}, {-2}} {
		s := &Stats{}
		if err := s.Add(x); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"minmax", "percentile:99.9", "mse", "entropy"} {
			m, err := ParseMethod(name)
			if err != nil || m.String() != name {
				t.Fatalf("%s: method %v, error %v", name, m, err)
			}
			for _, l := range []Levels{{-8, 7, false}, {0, 15, false}, {0, 255, true}} {
				r := m.Range(s, l)
				scale, zero := l.Quantizer(r)
				if !(r.Lo <= 0 && r.Hi >= 0) || r.Lo < float64(min(s.Min, 0)) || r.Hi > float64(max(s.Max, 0)) || !(scale > 0) || zero < l.Min || zero > l.Max {
					t.Errorf("%s of %v for %+v: %v scale %v zero %d", name, x, l, r, scale, zero)
				}
			}
		}
	}
}

func TestParseMethodErrors(t *testing.T) {
	for in, want := range map[string]string{
		"best":           `calibration method "best": want minmax, percentile, percentile:P, mse or entropy`,
		"mse:3":          `calibration method "mse:3": want minmax, percentile, percentile:P, mse or entropy`,
		"percentile:20":  `calibration method "percentile:20": want a percentile above 50, at most 100`,
		"percentile:abc": `calibration method "percentile:abc": want a percentile above 50, at most 100`,
	} {
		if _, err := ParseMethod(in); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
