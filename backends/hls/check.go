package hls

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"quern/ir/hw/stream"
)

// maxWord is the widest ap_int of both tools, minDepth the least depth of a FIFO that lets writer and reader work at the same time.
const (
	maxWord  = stream.MaxWidth
	minDepth = stream.MinDepth
)

// Check reads the emitted text of a project and reports where it breaks a rule of the HLS tools, all violations joined, each with file
// and line. It reads the sources that run_hls.tcl gives to synthesis and what they include, but not the headers in ap/; it knows
// nothing of how they were printed. The rules are those of UG902 (Vivado HLS) and UG1399 (Vitis HLS):
//
//   - loops count up to a constant, no while, no goto, no recursion, no heap, nothing of std
//   - in a DATAFLOW function only declarations, pragmas and calls; each FIFO has one call that writes it and one that reads it, a
//     STREAM pragma with a depth of 2 or more, and is passed by reference
//   - INTERFACE pragmas only in the top function, naming its parameters, each of them
//   - ARRAY_PARTITION of at most 1024 parts along an axis that the array has, words of at most 4096 bits, at most 64 (C99) or 1024
//     copies of a loop body
//   - in a pipelined loop all inner loops are unrolled
//   - pragmas name variables that exist; those that only one of the tools knows stand in the branch for it, and what is bound to
//     hardware for one tool is bound for the other
//   - labels are unique in a function; no macro whose name starts with two underscores is defined
func Check(files []File) error {
	c := &checker{files: files}
	c.read()
	for _, f := range c.funcs {
		c.function(f)
	}
	c.recursion()
	slices.SortStableFunc(c.found, func(a, b violation) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	var errs []error
	for i, v := range c.found {
		if i == 0 || v != c.found[i-1] {
			errs = append(errs, fmt.Errorf("%s:%d: %s", v.file, v.line, v.text))
		}
	}
	return errors.Join(errs...)
}

// violation is a broken rule.
type violation struct {
	file string
	line int
	text string
}

type checker struct {
	files   []File
	top     string
	funcs   []*function
	globals []declared
	found   []violation
}

func (c *checker) fail(file string, line int, format string, args ...any) {
	c.found = append(c.found, violation{file, line, fmt.Sprintf(format, args...)})
}

// read parses the files of the design.
func (c *checker) read() {
	todo := c.script()
	for i := 0; i < len(todo); i++ {
		at := slices.IndexFunc(c.files, func(f File) bool { return f.Name == todo[i] })
		if at < 0 {
			c.fail(todo[i], 0, "the design needs this file and it is not in the project")
			continue
		}
		name := todo[i]
		fail := func(line int, format string, args ...any) { c.fail(name, line, format, args...) }
		toks, includes := scan(string(c.files[at].Data), fail)
		c.words(name, toks)
		p := &cParser{file: name, toks: toks, fail: fail}
		p.fileScope()
		c.funcs = append(c.funcs, p.funcs...)
		c.globals = append(c.globals, p.globals...)
		for _, inc := range includes {
			if inc = path.Join(path.Dir(name), inc); !slices.Contains(todo, inc) {
				todo = append(todo, inc)
			}
		}
	}
	if n := len(c.named(c.top)); n != 1 && c.top != "" {
		c.fail(todo[0], 0, "the top function %s has %d definitions, want 1", c.top, n)
	}
}

// script finds the top function and the sources in the script of Vitis HLS.
func (c *checker) script() (sources []string) {
	const name = "run_hls.tcl"
	at := slices.IndexFunc(c.files, func(f File) bool { return f.Name == name })
	if at < 0 {
		c.fail(name, 0, "the project has no such file")
		return nil
	}
	for line := range strings.Lines(string(c.files[at].Data)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "set_top":
			c.top = f[1]
		case len(f) > 1 && f[0] == "add_files" && !slices.Contains(f, "-tb"):
			sources = append(sources, f[len(f)-1])
		}
	}
	if c.top == "" || len(sources) == 0 {
		c.fail(name, 0, "want set_top and add_files")
	}
	return sources
}

// named are the functions of a name.
func (c *checker) named(name string) (fs []*function) {
	for _, f := range c.funcs {
		if f.name == name {
			fs = append(fs, f)
		}
	}
	return fs
}

// forbidden are names that no synthesizable text has.
var forbidden = map[string]string{
	"new": "heap", "delete": "heap", "malloc": "heap", "calloc": "heap", "realloc": "heap", "free": "heap", "alloca": "heap",
	"goto": "goto", "throw": "exception", "try": "exception", "virtual": "virtual function", "std": "library of C++",
}

// words checks single names and the widths of types.
func (c *checker) words(file string, toks []token) {
	for i, t := range toks {
		if t.kind != tName {
			continue
		}
		if what, ok := forbidden[t.text]; ok {
			c.fail(file, t.line, "%s: %s", what, t.text)
		}
		if i+2 < len(toks) && toks[i+1].text == "<" && (t.text == "ap_int" || t.text == "ap_uint" || t.text == "ap_axiu" || t.text == "ap_axis") {
			if n, ok := number(toks[i+2]); ok && (n < 1 || n > maxWord) {
				c.fail(file, t.line, "%s of %d bits, want 1..%d", t.text, n, maxWord)
			}
		}
	}
}

// number is the value of a plain number.
func number(t token) (int, bool) {
	n, err := strconv.ParseInt(strings.TrimRight(t.text, "uUlL"), 0, 64)
	return int(n), err == nil && t.kind == tNumber
}

// calls are the names of the functions that tokens call.
func calls(toks []token) (names []token) {
	for i, t := range toks {
		if t.kind != tName {
			continue
		}
		j := i + 1
		if j < len(toks) && toks[j].text == "<" { // arguments of a template
			depth := 0
			for k := j; k < len(toks); k++ {
				if toks[k].text == "<" {
					depth++
				}
				if toks[k].text == ">" {
					depth--
				}
				if depth == 0 {
					j = k + 1
					break
				}
			}
		}
		if j < len(toks) && toks[j].text == "(" && toks[j].kind == tPunct {
			names = append(names, t)
		}
	}
	return names
}

// walk calls f for all statements.
func walk(body []*node, f func(n *node)) {
	for _, n := range body {
		f(n)
		walk(n.body, f)
	}
}

// recursion reports functions that call themselves, over others or directly.
func (c *checker) recursion() {
	state := map[string]int{} // 1: under way, 2: done
	var visit func(f *function)
	visit = func(f *function) {
		state[f.name] = 1
		walk(f.body, func(n *node) {
			for _, t := range calls(n.toks) {
				for _, g := range c.named(t.text) {
					switch state[g.name] {
					case 0:
						visit(g)
					case 1:
						c.fail(f.file, t.line, "recursion: %s calls %s", f.name, g.name)
					}
				}
			}
		})
		state[f.name] = 2
	}
	for _, f := range c.funcs {
		if state[f.name] == 0 {
			visit(f)
		}
	}
}
