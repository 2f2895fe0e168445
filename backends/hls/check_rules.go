package hls

import (
	"slices"
	"strings"

	"quern/ir/hw/stream"
)

// scope is what the statements of a function are checked in.
type scope struct {
	*checker
	f        *function
	vars     []declared // parameters and locals so far, inner ones last
	labels   []string
	copies   int         // of the loop body by the unrolled loops around
	pipeline int         // line of the PIPELINE of a loop around; 0 for none
	bound    [2][]string // variables bound to hardware for Vitis HLS and for Vivado HLS
}

// function checks one function.
func (c *checker) function(f *function) {
	s := &scope{checker: c, f: f, vars: slices.Clone(f.params), copies: 1}
	for _, p := range f.params {
		if p.stream && !p.ref {
			c.fail(f.file, p.line, "stream %s is not passed by reference", p.name)
		}
	}
	s.block(f.body)
	tools := [2]string{"Vitis HLS", "Vivado HLS"}
	for i := range s.bound {
		for _, v := range s.bound[i] {
			if !slices.Contains(s.bound[1-i], v) {
				c.fail(f.file, f.line, "%s is bound to hardware for %s and not for %s", v, tools[i], tools[1-i])
			}
		}
	}
	interfaces, dataflow := []string{}, false
	walk(f.body, func(n *node) {
		if n.kind != nPragma {
			return
		}
		switch n.pragma.name {
		case "INTERFACE":
			interfaces = append(interfaces, n.pragma.value["port"])
		case "DATAFLOW":
			dataflow = true
		}
	})
	if f.name == c.top {
		for _, p := range f.params {
			if !slices.Contains(interfaces, p.name) {
				c.fail(f.file, p.line, "parameter %s of the top function has no INTERFACE", p.name)
			}
		}
	}
	if dataflow {
		s.dataflow()
	}
}

func (s *scope) bad(line int, format string, args ...any) { s.fail(s.f.file, line, format, args...) }

// block checks statements; what they declare is gone behind them.
func (s *scope) block(body []*node) {
	vars := len(s.vars)
	for _, n := range body {
		s.node(n)
	}
	s.vars = s.vars[:vars]
}

func (s *scope) node(n *node) {
	if n.label != "" {
		if slices.Contains(s.labels, n.label) {
			s.bad(n.line, "label %s is taken twice in %s", n.label, s.f.name)
		}
		s.labels = append(s.labels, n.label)
	}
	switch n.kind {
	case nPlain:
		if d, ok := declaration(n.toks); ok {
			s.vars = append(s.vars, d)
		}
		if s.pipeline > 0 {
			for _, t := range calls(n.toks) {
				if s.rolled(t.text, nil) {
					s.bad(t.line, "%s has a loop that is not unrolled and is called in the loop pipelined in line %d", t.text, s.pipeline)
				}
			}
		}
	case nPragma:
		s.pragma(&n.pragma, nil, 0)
	case nLoop:
		s.bad(n.line, "a while loop, whose number of iterations is not constant")
		for _, b := range n.body {
			if b.kind == nPragma {
				s.pragma(&b.pragma, n, 1)
			} else {
				s.node(b)
			}
		}
	case nFor:
		s.loop(n)
	default:
		s.block(n.body)
	}
}

// loop checks a for loop: its head, the pragmas at the start of its body, and the body.
func (s *scope) loop(n *node) {
	v, trips := tripCount(n)
	if trips <= 0 {
		s.bad(n.line, "the number of iterations is not constant: want for (int i = 0; i < N; i++) with numbers")
		trips = 1
	}
	vars := len(s.vars)
	s.vars = append(s.vars, declared{name: v, line: n.line})
	copies, pipeline := s.copies, s.pipeline
	body := n.body
	if factor := unroll(n, trips); factor > 0 {
		s.copies *= factor
		if most := s.mostCopies(); s.copies > most {
			s.bad(n.line, "unrolling makes %d copies of the body, want %d at most", s.copies, most)
		}
	}
	if pipeline > 0 && unroll(n, trips) != trips {
		s.bad(n.line, "a loop that is not unrolled, in the loop pipelined in line %d", pipeline)
	}
	for len(body) > 0 && body[0].kind == nPragma {
		if p := &body[0].pragma; p.name == "PIPELINE" && s.pipeline == 0 {
			s.pipeline = p.line
		}
		s.pragma(&body[0].pragma, n, trips)
		body = body[1:]
	}
	walk(body, func(b *node) {
		if i := slices.IndexFunc(b.toks, func(t token) bool { return t.text == v }); v != "" && i >= 0 && b.kind == nPlain && assigns(b.toks[i:]) {
			s.bad(b.line, "the loop variable %s is changed in the body", v)
		}
	})
	s.block(body)
	s.vars = s.vars[:vars]
	s.copies, s.pipeline = copies, pipeline
}

// assigns reports whether a statement from a variable on changes it.
func assigns(toks []token) bool {
	var ops strings.Builder
	for _, t := range toks[1:min(len(toks), 4)] {
		if t.kind != tPunct {
			break
		}
		ops.WriteString(t.text)
	}
	op := ops.String()
	return strings.HasPrefix(op, "=") && !strings.HasPrefix(op, "==") || strings.HasPrefix(op, "+=") || strings.HasPrefix(op, "-=") ||
		strings.HasPrefix(op, "++") || strings.HasPrefix(op, "--")
}

// mostCopies is the limit of copies of a loop body: what the printer of either style keeps to.
func (s *scope) mostCopies() int {
	if strings.HasSuffix(s.f.file, ".c") {
		return maxUnroll
	}
	return stream.MaxUnroll
}

// tripCount is the variable and the number of iterations of for (int v = A; v < B; v++ or v += C); 0 for any other loop.
func tripCount(n *node) (v string, trips int) {
	var text []string
	var nums []int
	for _, t := range n.toks {
		if k, ok := number(t); ok {
			nums = append(nums, k)
			text = append(text, "#")
			continue
		}
		text = append(text, t.text)
	}
	if len(text) < 2 {
		return "", 0
	}
	v = text[1]
	head := strings.ReplaceAll(strings.Join(text, " ")+" ", " "+v+" ", " v ")
	switch strings.TrimSpace(head) {
	case "int v = # ; v < # ; v + +":
		nums = append(nums, 1)
	case "int v = # ; v < # ; v + = #":
	default:
		return v, 0
	}
	if nums[2] < 1 {
		return v, 0
	}
	return v, (nums[1] - nums[0] + nums[2] - 1) / nums[2]
}

// unroll is the number of copies that a loop's UNROLL makes of its body; 0 without one.
func unroll(n *node, trips int) int {
	for _, b := range n.body {
		if b.kind != nPragma {
			break
		}
		if b.pragma.name == "UNROLL" {
			f, _ := b.pragma.number("factor", trips)
			return f
		}
	}
	return 0
}

// rolled reports whether a function or one that it calls has a loop that is not unrolled.
func (c *checker) rolled(name string, seen []string) bool {
	if slices.Contains(seen, name) {
		return false
	}
	found := false
	for _, f := range c.named(name) {
		walk(f.body, func(n *node) {
			if n.kind == nFor {
				_, trips := tripCount(n)
				found = found || unroll(n, trips) != trips
			}
			for _, t := range calls(n.toks) {
				found = found || c.rolled(t.text, append(seen, name))
			}
		})
	}
	return found
}
