package stream

import (
	"errors"
	"fmt"
	"slices"
)

// Verify checks a network: every channel has one writer and one reader, words fit the limits of the tools, and over one run each stage
// reads and writes as many words as its channels carry; thresholds have the results of the programs that they stand for. It returns all violations joined.
func Verify(d *Design) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	names := map[string]bool{}
	name := func(s string) {
		if names[s] {
			fail("the name %s is taken twice", s)
		}
		names[s] = true
	}
	at := map[*Stage]int{}
	for i, s := range d.Stages {
		name(s.Name)
		at[s] = i
	}
	for i, c := range d.Channels {
		name(c.Name)
		switch {
		case c.ID != i:
			fail("channel %s: ID %d, want %d", c.Name, c.ID, i)
		case c.From == nil || c.To == nil:
			fail("channel %s: want one writer and one reader", c.Name)
		case at[c.From] >= at[c.To]:
			fail("channel %s: from stage %s to %s, which is not behind it", c.Name, c.From.Name, c.To.Name)
		case c.Lanes < 1 || c.Lanes > MaxLanes || c.Width() > MaxWidth:
			fail("channel %s: %d lanes, %d bits, want at most %d and %d", c.Name, c.Lanes, c.Width(), MaxLanes, MaxWidth)
		case c.Depth < MinDepth:
			fail("channel %s: depth %d, want %d at least", c.Name, c.Depth, MinDepth)
		case c.From != nil && !slices.Contains(c.From.Out, c) || c.To != nil && !slices.Contains(c.To.In, c):
			fail("channel %s is not among those of its stages", c.Name)
		}
	}
	for _, s := range d.Stages {
		if err := s.verify(); err != nil {
			fail("stage %s (%v): %w", s.Name, s.Kind, err)
		}
	}
	return errors.Join(errs...)
}

// verify counts the words of one run.
func (s *Stage) verify() error {
	if len(s.In) > 32 || len(s.Out) > 32 {
		return fmt.Errorf("%d inputs and %d outputs, want at most 32", len(s.In), len(s.Out))
	}
	if s.iterations < 1 {
		return errors.New("no iterations")
	}
	if s.Fold.Thresholds != (s.Thresholds != nil) && s.Kind != Slide {
		return fmt.Errorf("%v, and thresholds are %v", s.Fold, s.Thresholds != nil)
	}
	if s.Thresholds != nil {
		if err := s.Thresholds.Verify(s.Kernel.Prog, s.Kernel.ProgIn()); err != nil {
			return fmt.Errorf("thresholds: %w", err)
		}
	}
	in, out := make([]int, len(s.In)), make([]int, len(s.Out))
	c := s.Cursor()
	for range s.iterations {
		st := c.Next()
		for i := range in {
			in[i] += int(st.Read >> i & 1)
		}
		for i := range out {
			out[i] += int(st.Write >> i & 1)
		}
	}
	for i, c := range s.In {
		if c.To != s || in[i] != c.Words {
			return fmt.Errorf("reads %d words of %s, want %d", in[i], c.Name, c.Words)
		}
	}
	for i, c := range s.Out {
		if c.From != s || out[i] != c.Words {
			return fmt.Errorf("writes %d words to %s, want %d", out[i], c.Name, c.Words)
		}
	}
	return nil
}
