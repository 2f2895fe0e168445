package difftest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/backends/sim/dataflow"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// randomFolds gives each kernel any fold that it can have.
func randomFolds(r *rand.Rand, p *hw.Program) map[*hw.Kernel]stream.Fold {
	folds := map[*hw.Kernel]stream.Fold{}
	for _, k := range p.Kernels {
		pe, simd := stream.PEs(k), stream.SIMDs(k)
		for {
			f := stream.Fold{PE: pe[r.IntN(len(pe))], SIMD: simd[r.IntN(len(simd))], LUT: k.Dot != nil && r.IntN(2) == 0}
			if f.Check(k) == nil { // not too many multipliers
				if c := f; r.IntN(2) == 0 {
					if c.Thresholds = true; c.Check(k) == nil {
						f = c
					}
				}
				folds[k] = f
				break
			}
		}
	}
	return folds
}

// TestStreamValues: the dataflow network of a random program under random folds, run word by word, has the values of the simulator.
func TestStreamValues(t *testing.T) {
	kinds := map[stream.Kind]int{}
	values := 0
	for i := range 400 {
		p := numbered(i)
		r := rand.New(rand.NewPCG(7, uint64(i)))
		m, err := sim.New(p)
		if err != nil {
			t.Fatal(err)
		}
		st := m.NewState()
		for range 3 {
			d, err := stream.Build(p, randomFolds(r, p))
			if err != nil {
				t.Fatalf("%d: %v\n%v", i, err, p)
			}
			for _, s := range d.Stages {
				kinds[s.Kind]++
			}
			in := samples(r, p, 1)[0]
			got, err := dataflow.Run(d, in)
			if err != nil {
				t.Fatal(err)
			}
			want, err := st.Run(in)
			if err != nil {
				t.Fatal(err)
			}
			for j := range want {
				values += len(want[j])
				if !slices.Equal(got[j], want[j]) {
					t.Fatalf("%d: output %d: got %v, want %v\n%v\n%v", i, j, got[j], want[j], p, d)
				}
			}
		}
	}
	for k := stream.Load; k <= stream.Reorder; k++ {
		if kinds[k] < 20 {
			t.Errorf("%d stages of kind %v, want 20 at least", kinds[k], k)
		}
	}
	t.Logf("%d values equal; stages: %v", values, kinds)
}

// cxx finds g++ and clang++ with flags like those of compilers.
func cxx(t testing.TB) []compiler {
	t.Helper()
	warn := strings.Fields("-std=c++11 -Wall -Wextra -Werror -Wconversion -Wshadow -pedantic -Wno-unknown-pragmas -fsanitize=undefined")
	var found []compiler
	for _, c := range []struct{ names, args string }{
		{"g++", "-fsanitize-undefined-trap-on-error"},
		{"clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14", "-fsanitize-trap=undefined"},
	} {
		path := ""
		for _, n := range strings.Fields(c.names) {
			if p, err := exec.LookPath(n); err == nil && path == "" {
				path = p
			}
		}
		if path != "" {
			found = append(found, compiler{path, append(slices.Clone(warn), c.args), []string{"-O1"}})
		} else if os.Getenv("QUERN_REQUIRE_CC") != "" {
			t.Fatalf("QUERN_REQUIRE_CC is set and none of %s is there", c.names)
		}
	}
	if len(found) == 0 {
		t.Skip("no C++ compiler")
	}
	return found
}

// TestStreamPrograms: the streaming C++ of random programs under random folds has the bits of the simulator.
func TestStreamPrograms(t *testing.T) {
	t.Parallel()
	cs := cxx(t)
	n, batch := 20, 20
	if os.Getenv("QUERN_LONG") != "" {
		n = 240
	}
	for first := 0; first < n; first += batch {
		var ps []project
		want := ""
		values := 0
		for i := first; i < first+batch; i++ {
			p := numbered(i)
			r := rand.New(rand.NewPCG(8, uint64(i)))
			d, err := stream.Build(p, randomFolds(r, p))
			if err != nil {
				t.Fatal(err)
			}
			pr := emit(t, p, samples(r, p, 2), hls.Options{Style: "stream", Top: fmt.Sprintf("s%d", i), Design: d})
			ps = append(ps, pr)
			want += pr.want
			values += pr.n
		}
		for _, c := range cs {
			got, err := runC(t, c, ps)
			if err != nil || got != want {
				t.Fatalf("%s: programs %d..%d: %v\n%s", c.path, first, first+batch-1, err, got)
			}
		}
		t.Logf("%d values equal", values)
	}
}
