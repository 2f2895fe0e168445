package bits

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// random makes a problem small enough to try all choices. Losses are multiples of 1/64, so that sums are exact in any order.
func random(r *rand.Rand) *Problem {
	p := &Problem{}
	widths := func() ([]int, []float64) {
		n := 1 + r.IntN(3)
		w, loss := r.Perm(15)[:n], make([]float64, n)
		for i := range w {
			w[i] += 2
			loss[i] = float64(r.IntN(40)) / 64
		}
		return w, loss
	}
	for range r.IntN(4) {
		w, loss := widths()
		p.Acts = append(p.Acts, Act{[]string{"a"}, w, loss})
	}
	for range 1 + r.IntN(4) {
		w, loss := widths()
		p.Layers = append(p.Layers, Layer{"l", 1 + r.IntN(50), 1 + r.IntN(50), r.IntN(len(p.Acts)+1) - 1, 8, w, loss})
	}
	return p
}

// all calls f with each choice.
func all(p *Problem, f func(w, a []int)) {
	w, a := make([]int, len(p.Layers)), make([]int, len(p.Acts))
	var try func(k int)
	try = func(k int) {
		switch {
		case k < len(w):
			for _, w[k] = range p.Layers[k].Widths {
				try(k + 1)
			}
		case k < len(w)+len(a):
			for _, a[k-len(w)] = range p.Acts[k-len(w)].Widths {
				try(k + 1)
			}
		default:
			f(w, a)
		}
	}
	try(0)
}

// TestSolve compares the front with all choices: every one is beaten or equalled by a point, and every point is a choice that none beats.
func TestSolve(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	points := 0
	for i := range 400 {
		p := random(r)
		name := []string{"size", "macs", "lut"}[i%3]
		cost, err := Objective(name, p, 64)
		if err != nil {
			t.Fatal(err)
		}
		front, err := p.Solve(cost)
		if err != nil {
			t.Fatal(err)
		}
		points += len(front)
		for k, f := range front {
			if k > 0 && (f.Cost <= front[k-1].Cost || f.Loss >= front[k-1].Loss) {
				t.Fatalf("case %d: points %d and %d are not in order: %v, %v", i, k-1, k, front[k-1], f)
			}
			if c, l := p.Total(cost, f.W, f.A); math.Abs(c-f.Cost) > 1e-9*c || l != f.Loss {
				t.Fatalf("case %d: %v says cost %v, loss %v; its widths have %v, %v", i, k, f.Cost, f.Loss, c, l)
			}
		}
		all(p, func(w, a []int) {
			c, l := p.Total(cost, w, a)
			best := Under(front, c*(1+1e-9))
			if best == nil || best.Loss > l {
				t.Fatalf("case %d (%s): w %v a %v has cost %v, loss %v; the front has %v", i, name, w, a, c, l, best)
			}
			for _, f := range front {
				if c < f.Cost*(1-1e-9) && l <= f.Loss {
					t.Fatalf("case %d (%s): w %v a %v has cost %v, loss %v and beats %v", i, name, w, a, c, l, f)
				}
			}
		})
	}
	if points < 1000 {
		t.Errorf("only %d points in 400 fronts", points)
	}
}

// TestThin: a front of more points than MaxPoints keeps its ends and, at every cost, a loss no worse than that a step of cost earlier.
func TestThin(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 6))
	var f []partial
	for i := range 5 * MaxPoints {
		f = append(f, partial{float64(i) + r.Float64()/2, float64(5*MaxPoints - i), nil})
	}
	got := thin(slices.Clone(f))
	if len(got) > MaxPoints || len(got) < MaxPoints/2 || got[0] != f[0] || got[len(got)-1] != f[len(f)-1] {
		t.Fatalf("%d points, %v to %v", len(got), got[0], got[len(got)-1])
	}
	step := (f[len(f)-1].cost - f[0].cost) / (MaxPoints - 2)
	k := 0
	for _, p := range f {
		for k+1 < len(got) && got[k+1].cost <= p.cost+step {
			k++
		}
		if got[k].loss > p.loss {
			t.Fatalf("at cost %v loss %v became %v", p.cost, p.loss, got[k].loss)
		}
	}
}

// TestObjective has the formulas by hand.
func TestObjective(t *testing.T) {
	p := &Problem{Layers: []Layer{{Count: 10, MACs: 300}, {Count: 7, MACs: 100}}}
	for _, c := range []struct {
		name  string
		layer int
		want  float64
	}{
		{"size", 0, 10 * 3}, {"macs", 0, 300 * 3 * 4},
		{"lut", 0, 48 * (3*7 + 7)}, // three quarters of 64 products of 7 bits, ceil(7/6) = 2
		{"lut", 1, 16 * (3*7 + 7)},
	} {
		cost, err := Objective(c.name, p, 64)
		if err != nil || cost(&p.Layers[c.layer], 3, 4) != c.want {
			t.Errorf("%s of layer %d: %v, %v, want %v", c.name, c.layer, cost(&p.Layers[c.layer], 3, 4), err, c.want)
		}
	}
	if _, err := Objective("speed", p, 1); err == nil || !strings.Contains(err.Error(), `objective "speed": want one of [size macs lut]`) {
		t.Error(err)
	}
}

// TestCheck: what does not fit together is named.
func TestCheck(t *testing.T) {
	p := &Problem{Layers: []Layer{{Name: "conv", Act: 1, Widths: []int{4}, Loss: []float64{0}}, {Name: "fc", Act: -1}}, Acts: []Act{{Names: []string{"relu"}, Widths: []int{4}}}}
	_, err := p.Solve(nil)
	for _, want := range []string{"conv reads activation 1 of 1", "fc: 0 widths", "[relu]: 1 widths and 0 losses"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}
