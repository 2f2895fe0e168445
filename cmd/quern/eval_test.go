package main

import (
	"strings"
	"testing"
)

// TestProgress: the line is there at once, says how much of what is done, and is gone in the end.
func TestProgress(t *testing.T) {
	var b strings.Builder
	step := progress(&b, "eval")
	step(4, 4) // the order of numbers does not matter
	if s := b.String(); !strings.HasPrefix(s, "\r\x1b[Keval [=======                       ] 1/4, ") {
		t.Errorf("after one of four: %q", s)
	}
	for i := range 3 {
		step(i, 4)
	}
	if s := b.String(); !strings.HasSuffix(s, "\r\x1b[K") || strings.Count(s, "\x1b[K") < 2 {
		t.Errorf("in the end: %q", s)
	}
}
