package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestKnown: what is not as the list says is a surprise, and an update leaves none.
func TestKnown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known.txt")
	text := `# comment

node/bad  fail  because of rounding
node/fixed  refused  Foo: no such operator
node/gone  refused  because it was there once
node/seq_*  refused  because sequences are out of scope
node/str_*  refused  because strings are out of scope
node/twice  refused  Foo: no such operator
node/twice  refused  because of both sides
node/worse  refused  Foo: no such operator
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := readKnown(file)
	if err != nil {
		t.Fatal(err)
	}
	cases := []*confCase{
		{name: "node/bad", outcome: failed, reason: "3 of 4 elements differ"},
		{name: "node/fixed", outcome: pass},
		{name: "node/good", outcome: pass},
		{name: "node/new", outcome: refused, reason: "Bar: no such operator"},
		{name: "node/seq_a", outcome: refused, reason: "x"},
		{name: "node/str_a", outcome: refused, reason: "y"},
		{name: "node/str_b", outcome: pass},
		{name: "node/twice", outcome: refused, reason: "z"},
		{name: "node/worse", outcome: failed, reason: "crash"},
	}
	want := []string{
		"node/fixed passes, but is listed as refused (Foo: no such operator)",
		"node/new: refused: Bar: no such operator",
		"node/str_b passes, but is listed as refused (because strings are out of scope)",
		"node/worse: fail, but listed as refused: crash",
	}
	if got := surprises(cases, list, false); !reflect.DeepEqual(got, want) {
		t.Errorf("surprises:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	want = append(want, "node/gone is listed, but there is no such case", "node/twice is listed, but there is no such case")
	if got := surprises(cases, list, true); !reflect.DeepEqual(got, want) {
		t.Errorf("surprises of all:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	list = updateKnown(cases, list)
	if got := surprises(cases, list, true); got != nil {
		t.Errorf("after an update there are surprises: %q", got)
	}
	var b strings.Builder
	if err := writeKnown(&b, list); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "\n")
	if want := `node/bad  fail  because of rounding
node/new  refused  Bar: no such operator
node/seq_*  refused  because sequences are out of scope
node/str_a  refused  y
node/twice  refused  because of both sides
node/worse  fail  crash
`; got != want {
		t.Errorf("updated list:\n%s\nwant:\n%s", got, want)
	}
	for _, bad := range []string{"node/a refused", "node/a pass because", "node/[ refused because"} {
		if err := os.WriteFile(file, []byte(bad+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readKnown(file); err == nil || !strings.Contains(err.Error(), "known.txt:1: ") {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
}
