// Package irtest helps to test all layers: expected texts in files, random graphs and programs, random inputs.
package irtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden compares got with the file at path and reports the first line that differs. With QUERN_UPDATE=1 in the environment it writes
// the file instead.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if os.Getenv("QUERN_UPDATE") == "1" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (QUERN_UPDATE=1 writes it)", err)
	}
	if d := difference(want, got); d != "" {
		t.Errorf("%s: %s(QUERN_UPDATE=1 accepts it)", path, d)
	}
}

// difference describes the first line in which two texts differ, with the two lines before it; "" if there is none.
func difference(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	w, g := strings.SplitAfter(string(want), "\n"), strings.SplitAfter(string(got), "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "line %d differs\n", i+1)
	for _, s := range w[max(i-2, 0):i] {
		fmt.Fprintf(&b, "       %s", s)
	}
	for _, side := range []struct {
		name  string
		lines []string
	}{{"want", w}, {"got", g}} {
		s := "(the end)"
		if i < len(side.lines) && side.lines[i] != "" {
			s = strings.TrimSuffix(side.lines[i], "\n")
			if !strings.HasSuffix(side.lines[i], "\n") {
				s += " (without a newline)"
			}
		}
		fmt.Fprintf(&b, "%4s   %s\n", side.name, s)
	}
	return b.String()
}
