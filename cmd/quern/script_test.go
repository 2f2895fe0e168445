package main

import (
	"context"
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"quern/ir/op"
	"quern/passes/lower"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"quern": func() { os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the commands as a user would: testdata/script/*.txtar. $REPO is the root of the repository.
func TestScripts(t *testing.T) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: func(e *testscript.Env) error {
		e.Setenv("REPO", repo)
		e.Setenv("CC", os.Getenv("CC"))
		return nil
	}, UpdateScripts: os.Getenv("QUERN_UPDATE") != ""})
}

// TestExitCodes: 0 good, 1 the work failed, 2 wrong usage.
func TestExitCodes(t *testing.T) {
	model := "../../testdata/models/lenet_mnist_e10.onnx"
	for _, c := range []struct {
		want int
		args string
	}{
		{0, "version"}, {0, "info " + model}, {0, "info --json --reader onnx-go " + model},
		{1, "info nowhere.onnx"}, {1, "info script_test.go"}, {1, "info ."}, {1, "info --dim M=1 " + model}, {1, "eval --data nowhere " + model},
		{2, "info"}, {2, "info a b"}, {2, "info --nonsense " + model}, {2, "nonsense"}, {2, "info --reader x " + model}, {2, "info --dim N=0 " + model},
		{2, "quantize " + model}, {2, "eval " + model},
	} {
		var out, errw strings.Builder
		got := run(context.Background(), append([]string{"quern"}, strings.Fields(c.args)...), strings.NewReader(""), &out, &errw)
		if got != c.want || (got == 0) != (errw.Len() == 0) {
			t.Errorf("quern %s: exit code %d, want %d; stderr %q", c.args, got, c.want, errw.String())
		}
	}
}

// TestImports holds the layers apart: ir imports nothing above it, frontend, passes and back ends meet only in ir (and the leaf
// backends/kernels), cmd imports all. Tests are exempt.
func TestImports(t *testing.T) {
	layer := func(path string) string { return strings.SplitN(strings.TrimPrefix(path, "quern/"), "/", 2)[0] }
	seen := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" || d.Name() == ".git" {
			return fs.SkipDir
		}
		p, err := build.ImportDir(path, 0)
		if err != nil {
			return nil // no Go files here
		}
		rel, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		pkg := "quern/" + filepath.ToSlash(rel)
		seen++
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, "quern/") || imp == "quern/backends/kernels" || layer(pkg) == "cmd" {
				continue
			}
			from, to := layer(pkg), layer(imp)
			if to != "ir" && (from != to || from == "backends") {
				t.Errorf("%s imports %s: want only quern/ir/... (and quern/backends/kernels) from its layer", pkg, imp)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 15 {
		t.Fatalf("only %d packages found", seen)
	}
}

// TestOperatorTable keeps the README's table of operators equal to the registry. QUERN_UPDATE rewrites it.
func TestOperatorTable(t *testing.T) {
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- operators -->\n", "<!-- end of operators -->"
	text := string(b)
	i, j := strings.Index(text, begin), strings.Index(text, end)
	if i < 0 || j < i {
		t.Fatal("README.md has no marks for the table of operators")
	}
	want := operatorTable()
	if os.Getenv("QUERN_UPDATE") != "" {
		if err := os.WriteFile("../../README.md", []byte(text[:i+len(begin)]+want+text[j:]), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := text[i+len(begin) : j]; got != want {
		t.Errorf("the table of operators in README.md is stale: run QUERN_UPDATE=1 go test ./cmd/quern\nwant:\n%s", want)
	}
}

func operatorTable() string {
	var b strings.Builder
	b.WriteString("| operator | ONNX versions | class | in hardware | what |\n|---|---|---|---|---|\n")
	for i := range op.Table {
		d := &op.Table[i]
		if d.Domain != "" {
			continue
		}
		hwText := "host only"
		if lower.Rules[d.Name] != nil {
			hwText = "yes"
		}
		var since []string
		for _, s := range d.Since {
			since = append(since, strconv.Itoa(s))
		}
		b.WriteString("| " + d.Name + " | " + strings.Join(since, ", ") + " | " + d.Class.String() + " | " + hwText + " | " + strings.ReplaceAll(d.Doc, "|", "\\|") + " |\n")
	}
	return b.String()
}
