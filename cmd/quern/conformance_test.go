package main

import (
	"io"
	"os"
	"regexp"
	"testing"
)

const (
	onnxData  = "/usr/share/libonnx-testdata/data" // Debian's libonnx-testdata
	knownList = "../../testdata/conformance/known.txt"
)

// TestNewerOpsets runs the cases of opsets 18 to 24 that testdata/conformance/newer.py made with onnxruntime: all have to pass.
func TestNewerOpsets(t *testing.T) {
	cases, err := findCases("../../testdata/conformance/newer", regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	runCases(cases)
	for _, s := range surprises(cases, nil, true) {
		t.Error(s)
	}
}

// TestConformance runs ONNX's own cases: what does not pass is what the list says. QUERN_UPDATE rewrites the list.
func TestConformance(t *testing.T) {
	if _, err := os.Stat(onnxData); err != nil {
		if os.Getenv("QUERN_REQUIRE_ONNX") != "" {
			t.Fatalf("%v: want Debian's libonnx-testdata", err)
		}
		t.Skip(err)
	}
	cases, err := findCases(onnxData, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	list, err := readKnown(knownList)
	if err != nil {
		t.Fatal(err)
	}
	runCases(cases)
	if os.Getenv("QUERN_UPDATE") != "" {
		if err := writeFile(knownList, func(w io.Writer) error { return writeKnown(w, updateKnown(cases, list)) }); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, s := range surprises(cases, list, true) {
		t.Error(s)
	}
	if n := summarize(cases).Total; n.Cases < 1000 {
		t.Errorf("only %d cases under %s", n.Cases, onnxData)
	}
}
