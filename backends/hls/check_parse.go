package hls

import (
	"slices"
	"strings"
)

// nodeKind is the kind of a statement.
type nodeKind uint8

const (
	nPlain nodeKind = iota // up to its semicolon
	nBlock
	nFor
	nLoop // while or do
	nIf
	nPragma
)

// node is a statement.
type node struct {
	kind   nodeKind
	line   int
	label  string
	toks   []token // of a plain statement, or between the brackets of its head
	body   []*node // of a block, loop or if; then the branch of else
	pragma pragma
}

// declared is a variable, a parameter or a global constant.
type declared struct {
	name   string
	line   int
	dims   []int // 0 where the size is no plain number
	stream bool
	ref    bool
	static bool
}

// function is a definition.
type function struct {
	name   string
	file   string
	line   int
	static bool // or inline
	params []declared
	body   []*node
}

// cParser builds the functions and globals of one file. It knows as much of C as the emitters print.
type cParser struct {
	file    string
	toks    []token
	at      int
	fail    func(line int, format string, args ...any)
	funcs   []*function
	globals []declared
}

func (p *cParser) peek() token {
	if p.at < len(p.toks) {
		return p.toks[p.at]
	}
	line := 0
	if len(p.toks) > 0 {
		line = p.toks[len(p.toks)-1].line
	}
	return token{kind: tEnd, line: line}
}

func (p *cParser) next() token {
	t := p.peek()
	p.at = min(p.at+1, len(p.toks))
	return t
}

// balanced takes the tokens from an opening bracket to its closing one, both included.
func (p *cParser) balanced() []token {
	first := p.at
	depth := 0
	for {
		t := p.next()
		switch {
		case t.kind == tEnd:
			p.fail(p.toks[first].line, "%s is not closed", p.toks[first].text)
			return p.toks[first:p.at]
		case t.kind != tPunct:
		case strings.Contains("([{", t.text):
			depth++
		case strings.Contains(")]}", t.text):
			if depth--; depth == 0 {
				return p.toks[first:p.at]
			}
		}
	}
}

// fileScope takes everything.
func (p *cParser) fileScope() {
	var head []token
	for {
		switch t := p.peek(); {
		case t.kind == tEnd:
			return
		case t.kind == tPragma:
			p.fail(t.line, "a pragma outside a function")
			p.at++
		case t.kind == tPunct && t.text == ";":
			p.at++
			p.global(head)
			head = nil
		case t.kind == tPunct && t.text == "(" || t.kind == tPunct && t.text == "[":
			head = append(head, p.balanced()...)
		case t.kind == tPunct && t.text == "{":
			switch n := len(head); {
			case n > 0 && (head[0].text == "extern" || head[0].text == "namespace"):
				p.at++ // what is inside is at file scope, too
				head = nil
			case n > 0 && head[n-1].text == ")" && !has(head, "="):
				p.define(head)
				head = nil
			default:
				head = append(head, t)
				p.balanced()
			}
		case t.kind == tPunct && t.text == "}":
			p.at++
			head = nil
		default:
			head = append(head, p.next())
		}
	}
}

func has(toks []token, text string) bool {
	return slices.ContainsFunc(toks, func(t token) bool { return t.text == text && t.kind != tText })
}

// global notes a declaration at file scope; that of a function is none.
func (p *cParser) global(head []token) {
	if d, ok := declaration(head); ok && !has(head, "(") {
		if !has(head, "const") {
			p.fail(d.line, "%s is a global variable: want constants only", d.name)
		}
		p.globals = append(p.globals, d)
	}
}

// define takes the body of a function.
func (p *cParser) define(head []token) {
	if head[0].text == "template" { // its parameters are not looked at
		for depth := 0; len(head) > 0; {
			t := head[0].text
			head = head[1:]
			if t == "<" {
				depth++
			}
			if t == ">" {
				if depth--; depth == 0 {
					break
				}
			}
		}
	}
	open := slices.IndexFunc(head, func(t token) bool { return t.text == "(" })
	if open < 1 || head[open-1].kind != tName {
		p.fail(p.peek().line, "a block that belongs to no function")
		p.balanced()
		return
	}
	f := &function{name: head[open-1].text, file: p.file, line: head[open-1].line, static: has(head[:open], "static") || has(head[:open], "inline")}
	for _, part := range split(head[open+1 : len(head)-1]) {
		if len(part) == 1 && part[0].text == "void" {
			continue
		}
		if d, ok := declaration(part); ok {
			f.params = append(f.params, d)
		}
	}
	p.at++ // {
	for {
		t := p.peek()
		if t.kind == tEnd {
			p.fail(f.line, "%s has no end", f.name)
			break
		}
		if t.kind == tPunct && t.text == "}" {
			p.at++
			break
		}
		f.body = append(f.body, p.statement())
	}
	p.funcs = append(p.funcs, f)
}

// statement takes one statement.
func (p *cParser) statement() *node {
	t := p.peek()
	n := &node{line: t.line}
	if t.kind == tName && p.at+1 < len(p.toks) && p.toks[p.at+1].text == ":" && t.text != "default" {
		p.at += 2
		n = p.statement()
		n.label = t.text
		return n
	}
	switch {
	case t.kind == tPragma:
		p.at++
		n.kind, n.pragma = nPragma, t.pragma()
	case t.text == "{" && t.kind == tPunct:
		n.kind = nBlock
		p.at++
		for p.peek().kind != tEnd && p.peek().text != "}" {
			n.body = append(n.body, p.statement())
		}
		p.at++
	case t.kind == tName && (t.text == "for" || t.text == "while" || t.text == "if" || t.text == "switch"):
		n.kind = map[string]nodeKind{"for": nFor, "while": nLoop}[t.text]
		if n.kind == nPlain {
			n.kind = nIf
		}
		p.at++
		if p.peek().text == "(" {
			b := p.balanced()
			n.toks = b[1 : len(b)-1]
		}
		n.body = p.sub()
		if t.text == "if" && p.peek().text == "else" {
			p.at++
			n.body = append(n.body, p.sub()...)
		}
	case t.kind == tName && t.text == "do":
		n.kind = nLoop
		p.at++
		n.body = p.sub()
		p.rest(n)
	default:
		p.rest(n)
	}
	return n
}

// sub takes the statement behind a head: the statements of a block, or one.
func (p *cParser) sub() []*node {
	s := p.statement()
	if s.kind == nBlock {
		return s.body
	}
	return []*node{s}
}

// rest takes a statement up to its semicolon.
func (p *cParser) rest(n *node) {
	for {
		t := p.peek()
		switch {
		case t.kind == tEnd || t.kind == tPragma || t.kind == tPunct && t.text == "}":
			p.fail(t.line, "want ; before %q", t.text)
			if t.kind != tPragma {
				p.at++
			}
			return
		case t.kind == tPunct && t.text == ";":
			p.at++
			return
		case t.kind == tPunct && strings.Contains("([{", t.text):
			n.toks = append(n.toks, p.balanced()...)
		default:
			n.toks = append(n.toks, p.next())
		}
	}
}

// split cuts a list at its commas.
func split(toks []token) (parts [][]token) {
	depth, first := 0, 0
	for i, t := range toks {
		if t.kind != tPunct {
			continue
		}
		switch {
		case strings.Contains("([{<", t.text):
			depth++
		case strings.Contains(")]}>", t.text):
			depth--
		case t.text == "," && depth == 0:
			parts = append(parts, toks[first:i])
			first = i + 1
		}
	}
	if first < len(toks) {
		parts = append(parts, toks[first:])
	}
	return parts
}

// declaration reads TYPE NAME, with what may follow; ok is false for any other statement.
func declaration(toks []token) (d declared, ok bool) {
	i := 0
	word := func() string {
		if i < len(toks) && toks[i].kind == tName {
			return toks[i].text
		}
		return ""
	}
	for word() == "static" || word() == "const" || word() == "inline" || word() == "volatile" {
		d.static = d.static || word() == "static"
		i++
	}
	switch word() {
	case "", "return", "break", "continue", "goto", "throw", "using", "typedef", "template", "struct", "class":
		return d, false
	}
	for word() == "unsigned" || word() == "long" || word() == "signed" {
		i++
	}
	if i == 0 || toks[i-1].text != "unsigned" && toks[i-1].text != "long" && toks[i-1].text != "signed" || word() == "int" || word() == "char" || word() == "short" {
		d.stream = word() == "hls"
		i++
		for i+1 < len(toks) && toks[i].text == "::" {
			i += 2
		}
		if i < len(toks) && toks[i].text == "<" {
			for depth := 0; i < len(toks); i++ {
				if toks[i].text == "<" {
					depth++
				}
				if toks[i].text == ">" {
					depth--
				}
				if depth == 0 {
					i++
					break
				}
			}
		}
	}
	for i < len(toks) && (toks[i].text == "&" || toks[i].text == "*") {
		d.ref = d.ref || toks[i].text == "&"
		i++
	}
	if word() == "" {
		return d, false
	}
	d.name, d.line = toks[i].text, toks[i].line
	for i++; i+2 < len(toks) && toks[i].text == "["; i += 3 {
		n, _ := number(toks[i+1])
		d.dims = append(d.dims, n)
	}
	return d, i >= len(toks) || toks[i].text == "=" || toks[i].text == "(" || toks[i].text == "," || toks[i].text == "["
}
