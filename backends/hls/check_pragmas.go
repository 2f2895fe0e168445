package hls

import (
	"slices"
)

// placement says where a pragma can stand and which of the tools knows it.
type placement struct {
	name    string
	dialect int  // +1: Vitis HLS only, -1: Vivado HLS only
	loop    bool // only at the start of a loop body
}

// pragmas are those that the tools know and the emitters use. The tools pass over what they do not know, so a slip of the pen would
// stay unnoticed.
var pragmas = []placement{
	{"ARRAY_PARTITION", 0, false},
	{"BIND_OP", 1, false},
	{"BIND_STORAGE", 1, false},
	{"DATAFLOW", 0, false},
	{"DEPENDENCE", 0, false},
	{"INLINE", 0, false},
	{"INTERFACE", 0, false},
	{"LOOP_FLATTEN", 0, true},
	{"LOOP_TRIPCOUNT", 0, true},
	{"PIPELINE", 0, true},
	{"RESOURCE", -1, false},
	{"STREAM", 0, false},
	{"UNROLL", 0, true},
}

// pragma checks one pragma; loop is the loop at the start of whose body it stands, with its number of iterations.
func (s *scope) pragma(p *pragma, loop *node, trips int) {
	i := slices.IndexFunc(pragmas, func(q placement) bool { return q.name == p.name })
	if i < 0 {
		s.bad(p.line, "pragma %s: none that both tools or one of them is known to take", p.name)
		return
	}
	if q := pragmas[i]; q.loop && loop == nil {
		s.bad(p.line, "%s does not stand at the start of a loop", p.name)
	} else {
		s.dialectOf(p, p.name, q.dialect)
	}
	if _, ok := p.value["style"]; ok {
		s.dialectOf(p, "style", 1)
	}
	if p.has("enable_flush") {
		s.dialectOf(p, "enable_flush", -1)
	}
	d, known := s.variable(p)
	if !known {
		return
	}
	switch p.name {
	case "ARRAY_PARTITION":
		s.partitions(p, d)
	case "INTERFACE":
		s.port(p)
	case "STREAM":
		if n, ok := p.number("depth", minDepth); !ok || n < minDepth {
			s.bad(p.line, "STREAM of depth %s, want %d at least", p.value["depth"], minDepth)
		}
		if !d.stream {
			s.bad(p.line, "STREAM of %s, which is no stream", d.name)
		}
	case "BIND_STORAGE", "BIND_OP":
		s.bound[0] = append(s.bound[0], d.name)
	case "RESOURCE":
		s.bound[1] = append(s.bound[1], d.name)
	case "PIPELINE":
		if n, ok := p.number("ii", 1); !ok || n < 1 {
			s.bad(p.line, "PIPELINE with II=%s, want a number", p.value["ii"])
		}
	case "UNROLL":
		if n, ok := p.number("factor", trips); !ok || n < 1 || n > trips {
			s.bad(p.line, "UNROLL by %s of a loop of %d iterations", p.value["factor"], trips)
		}
	}
}

// dialectOf checks that what only one tool knows stands in the branch for it.
func (s *scope) dialectOf(p *pragma, what string, want int) {
	switch {
	case want == 1 && p.dialect != 1:
		s.bad(p.line, "%s is not in #ifdef __VITIS_HLS__", what)
	case want == -1 && p.dialect != -1:
		s.bad(p.line, "%s is not in the #else of #ifdef __VITIS_HLS__", what)
	}
}

// variable is what a pragma is about; known is false where it names what is not there.
func (s *scope) variable(p *pragma) (d declared, known bool) {
	name, ok := p.value["variable"]
	if !ok {
		for _, need := range []string{"ARRAY_PARTITION", "BIND_OP", "BIND_STORAGE", "RESOURCE", "STREAM"} {
			if p.name == need {
				s.bad(p.line, "%s names no variable", p.name)
				return d, false
			}
		}
		return d, true
	}
	for _, d := range slices.Backward(s.vars) {
		if d.name == name {
			return d, true
		}
	}
	for _, d := range s.globals {
		if d.name == name {
			return d, true
		}
	}
	s.bad(p.line, "%s of %s, which is not in scope", p.name, name)
	return d, false
}

// partitions checks an ARRAY_PARTITION.
func (s *scope) partitions(p *pragma, d declared) {
	dim, ok := p.number("dim", 1)
	if !ok || dim < 0 || dim > len(d.dims) {
		s.bad(p.line, "ARRAY_PARTITION of %s along dim %s: it has %d", d.name, p.value["dim"], len(d.dims))
		return
	}
	size := 1
	for i, n := range d.dims {
		if dim == 0 || dim == i+1 {
			size *= n
		}
	}
	switch {
	case p.has("complete"):
		if size < 1 || size > maxPartitions {
			s.bad(p.line, "ARRAY_PARTITION of %s into %d parts, want 1..%d", d.name, size, maxPartitions)
		}
	case p.has("cyclic") || p.has("block"):
		if n, ok := p.number("factor", 0); !ok || n < 2 || n > min(size, maxPartitions) {
			s.bad(p.line, "ARRAY_PARTITION of %s with factor %s, want 2..%d", d.name, p.value["factor"], min(size, maxPartitions))
		}
	default:
		s.bad(p.line, "ARRAY_PARTITION of %s: want complete, cyclic or block", d.name)
	}
}

// port checks an INTERFACE.
func (s *scope) port(p *pragma) {
	name := p.value["port"]
	switch {
	case s.f.name != s.top:
		s.bad(p.line, "INTERFACE in %s, which is not the top function %s", s.f.name, s.top)
	case name != "return" && !slices.ContainsFunc(s.f.params, func(d declared) bool { return d.name == name }):
		s.bad(p.line, "INTERFACE of %s, which is no parameter of %s", name, s.f.name)
	}
}

// dataflow checks that a DATAFLOW function has the canonical form.
func (s *scope) dataflow() {
	f := s.f
	var fifos []declared
	for _, p := range f.params {
		if p.stream {
			fifos = append(fifos, p)
		}
	}
	locals := len(fifos)
	var lines []int // of the calls
	for _, n := range f.body {
		switch d, ok := declaration(n.toks); {
		case n.kind == nPragma:
		case n.kind == nIf:
			s.bad(n.line, "a call in a DATAFLOW function is conditional")
		case n.kind != nPlain:
			s.bad(n.line, "a loop or block in a DATAFLOW function")
		case ok && d.static:
			s.bad(n.line, "%s is static in a DATAFLOW function", d.name)
		case ok && !d.stream:
			s.bad(n.line, "%s is no stream: want only streams, pragmas and calls in a DATAFLOW function", d.name)
		case ok:
			fifos = append(fifos, d)
		case len(n.toks) < 3 || n.toks[0].kind != tName || n.toks[1].text != "(" || len(s.named(n.toks[0].text)) != 1:
			s.bad(n.line, "want only declarations, pragmas and calls of functions of the design in a DATAFLOW function")
		default:
			lines = append(lines, n.line)
		}
	}
	for i, d := range fifos {
		reads, writes := s.ends(d)
		if i >= locals {
			if writes != 1 || reads != 1 {
				s.bad(d.line, "stream %s is written by %d calls and read by %d, want one each", d.name, writes, reads)
			}
			sized := false
			for _, n := range f.body {
				sized = sized || n.kind == nPragma && n.pragma.name == "STREAM" && n.pragma.value["variable"] == d.name
			}
			if !sized {
				s.bad(d.line, "stream %s has no STREAM pragma", d.name)
			}
		} else if writes+reads != 1 {
			s.bad(d.line, "port %s is written by %d calls and read by %d, want one in all", d.name, writes, reads)
		}
	}
	if len(lines) == 0 {
		s.bad(f.line, "DATAFLOW function %s calls nothing", f.name)
	}
}

// ends counts the calls of a DATAFLOW function that read a stream and those that write it.
func (s *scope) ends(d declared) (reads, writes int) {
	for _, n := range s.f.body {
		if n.kind != nPlain || len(n.toks) < 3 || n.toks[1].text != "(" {
			continue
		}
		callees := s.named(n.toks[0].text)
		for i, arg := range split(n.toks[2 : len(n.toks)-1]) {
			if len(arg) != 1 || arg[0].text != d.name {
				continue
			}
			for _, g := range callees {
				if i >= len(g.params) {
					s.bad(n.line, "%s has %d parameters", g.name, len(g.params))
					continue
				}
				r, w := g.uses(g.params[i].name)
				if r {
					reads++
				}
				if w {
					writes++
				}
			}
		}
	}
	return reads, writes
}

// uses reports whether a function reads or writes a stream among its parameters.
func (f *function) uses(name string) (reads, writes bool) {
	walk(f.body, func(n *node) {
		for i := 0; i+2 < len(n.toks); i++ {
			if n.toks[i].text == name && n.toks[i+1].text == "." {
				reads = reads || n.toks[i+2].text == "read"
				writes = writes || n.toks[i+2].text == "write"
			}
		}
	})
	return reads, writes
}
