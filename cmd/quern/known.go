package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// known is one line of a list of the conformance cases that do not pass: name, outcome, reason. The name may be a pattern of path.Match.
type known struct {
	name    string
	outcome outcome
	reason  string
	used    bool
}

// byHand reports whether a person wrote the reason.
func (k *known) byHand() bool { return strings.HasPrefix(k.reason, "because ") }

var spaces = regexp.MustCompile(`\s+`)

// readKnown reads a list; lines that are empty or begin with # do not count.
func readKnown(file string) ([]*known, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []*known
	s := bufio.NewScanner(f)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		parts := spaces.Split(text, 3)
		if len(parts) < 3 || parts[1] != string(refused) && parts[1] != string(failed) {
			return nil, fmt.Errorf("%s:%d: want a name, refused or fail, and a reason, got %q", file, line, text)
		}
		if _, err := path.Match(parts[0], ""); err != nil {
			return nil, fmt.Errorf("%s:%d: %q: %w", file, line, parts[0], err)
		}
		list = append(list, &known{name: parts[0], outcome: outcome(parts[1]), reason: parts[2]})
	}
	return list, s.Err()
}

// findKnown is the line of a case: one that names it comes before patterns. nil: the case is not listed.
func findKnown(list []*known, name string) *known {
	for _, k := range list {
		if k.name == name {
			return k
		}
	}
	for _, k := range list {
		if ok, _ := path.Match(k.name, name); ok {
			return k
		}
	}
	return nil
}

// surprises compares what cases did with a list, and marks the lines that are used. Lines for no case count if all is set: if cases
// are all there are.
func surprises(cases []*confCase, list []*known, all bool) []string {
	var out []string
	for _, c := range cases {
		k := findKnown(list, c.name)
		switch {
		case k != nil:
			if k.used = true; c.outcome == pass {
				out = append(out, fmt.Sprintf("%s passes, but is listed as %s (%s)", c.name, k.outcome, k.reason))
			} else if c.outcome != k.outcome {
				out = append(out, fmt.Sprintf("%s: %s, but listed as %s: %s", c.name, c.outcome, k.outcome, c.reason))
			}
		case c.outcome != pass:
			out = append(out, fmt.Sprintf("%s: %s: %s", c.name, c.outcome, c.reason))
		}
	}
	for _, k := range list {
		if all && !k.used {
			out = append(out, fmt.Sprintf("%s is listed, but there is no such case", k.name))
		}
	}
	return out
}

// updateKnown is the list for what cases did. Lines that still hold stay, a pattern if it holds for all that it matches. Reasons that
// begin with "because" are written by hand and stay, too; others become the message of today.
func updateKnown(cases []*confCase, list []*known) []*known {
	list = slices.DeleteFunc(slices.Clone(list), func(k *known) bool {
		used := false
		for _, c := range cases {
			if ok, _ := path.Match(k.name, c.name); ok || k.name == c.name {
				if used = true; c.outcome != k.outcome {
					return true
				}
			}
		}
		return !used
	})
	for _, c := range cases {
		switch k := findKnown(list, c.name); {
		case c.outcome != pass && k == nil:
			list = append(list, &known{name: c.name, outcome: c.outcome, reason: c.reason})
		case c.outcome != pass && k.name == c.name && !k.byHand():
			k.reason = c.reason
		}
	}
	slices.SortFunc(list, func(a, b *known) int { // of two lines that a merge left that of a person
		if c := strings.Compare(a.name, b.name); c != 0 || a.byHand() == b.byHand() {
			return c
		}
		if a.byHand() {
			return -1
		}
		return 1
	})
	return slices.CompactFunc(list, func(a, b *known) bool { return a.name == b.name })
}

func writeKnown(w io.Writer, list []*known) error {
	_, err := io.WriteString(w, "# Conformance cases that do not pass: see README.md. QUERN_UPDATE=1 go test -run Conformance ./cmd/quern rewrites the list.\n")
	for _, k := range list {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s  %s  %s\n", k.name, k.outcome, k.reason)
		}
	}
	return err
}
