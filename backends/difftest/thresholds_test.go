package difftest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/backends/sim/dataflow"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// withThresholds counts results with thresholds wherever there are any.
func withThresholds(folds map[*hw.Kernel]stream.Fold) map[*hw.Kernel]stream.Fold {
	for k, f := range folds {
		if f.Thresholds = true; f.Check(k) == nil {
			folds[k] = f
		}
	}
	return folds
}

// TestStreamThresholds: random programs whose results have 2 to 4 bits, which are counted with thresholds, as a dataflow network and as
// C++ against the simulator, which knows nothing of thresholds. QUERN_LONG runs 200 of them in C++, else there are 40.
func TestStreamThresholds(t *testing.T) {
	t.Parallel()
	n, batch := 40, 20
	if os.Getenv("QUERN_LONG") != "" {
		n = 200
	}
	count := map[string]int{}
	values := 0
	var ps []project
	want, from := "", 0
	for i := range 400 {
		r := rand.New(rand.NewPCG(uint64(i), 11))
		p := (&builder{r: r, p: &hw.Program{Name: fmt.Sprintf("narrow%d", i)}, narrow: true}).random()
		d, err := stream.Build(p, withThresholds(randomFolds(r, p)))
		if err != nil {
			t.Fatalf("%d: %v\n%v", i, err, p)
		}
		for _, s := range d.Stages {
			th := s.Thresholds
			if th == nil {
				continue
			}
			count[s.Kind.String()]++
			count[fmt.Sprintf("%d levels", th.Levels())]++
			if len(th.T) == 1 {
				count["one row"]++
			}
			if slices.Contains(th.Falling, true) {
				count["falling"]++
				if slices.Contains(th.Falling, false) {
					count["mixed"]++
				}
			}
		}
		m, err := sim.New(p)
		if err != nil {
			t.Fatal(err)
		}
		in := samples(r, p, 2)
		got, err := dataflow.Run(d, in[0])
		if err != nil {
			t.Fatal(err)
		}
		right, err := m.NewState().Run(in[0])
		if err != nil {
			t.Fatal(err)
		}
		for j := range right {
			values += len(right[j])
			if !slices.Equal(got[j], right[j]) {
				t.Fatalf("%d: output %d: got %v, want %v\n%v\n%v", i, j, got[j], right[j], p, d)
			}
		}
		if i < n {
			pr := emit(t, p, in, hls.Options{Style: "stream", Top: fmt.Sprintf("n%d", i), Design: d})
			if err := hls.Check(pr.files); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			ps = append(ps, pr)
			want += pr.want
		}
		if len(ps) == batch || i == n-1 {
			for _, c := range cxx(t) {
				if got, err := runC(t, c, ps); err != nil || got != want {
					t.Fatalf("%s: programs %d..%d: %v\n%s", c.path, from, i, err, got)
				}
			}
			ps, want, from = nil, "", i+1
		}
	}
	t.Logf("%d values equal; stages with thresholds: %v", values, count)
	for _, what := range []string{"mvu", "lane", "global", "map", "one row", "falling", "mixed", "1 levels", "3 levels", "7 levels", "15 levels"} {
		if count[what] < 10 {
			t.Errorf("%d stages with thresholds are of kind %q, want 10 at least", count[what], what)
		}
	}
}
