package kernels

import (
	"os"
	"slices"
	"testing"
)

// TestForced fails where QUERN_CPU asks for instructions that this CPU does not have.
func TestForced(t *testing.T) {
	l, err := Best()
	if err != nil {
		t.Fatal(err)
	}
	if name := os.Getenv("QUERN_CPU"); name != "" && l.String() != name {
		t.Errorf("QUERN_CPU=%s gives %v", name, l)
	}
}

func TestBest(t *testing.T) {
	levels := Levels()
	for _, l := range []Level{Generic, AVX2, AVX512} {
		t.Setenv("QUERN_CPU", l.String())
		got, err := Best()
		if has := slices.Contains(levels, l); has != (err == nil) || has && got != l {
			t.Errorf("QUERN_CPU=%v on a CPU with %v: got %v, %v", l, levels, got, err)
		}
	}
	t.Setenv("QUERN_CPU", "sse9")
	if _, err := Best(); err == nil {
		t.Error("QUERN_CPU=sse9 was taken")
	}
	t.Setenv("QUERN_CPU", "")
	if got, err := Best(); err != nil || got != levels[len(levels)-1] {
		t.Errorf("got %v, %v, want the last of %v", got, err, levels)
	}
}
