package irtext

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"quern/ir"
	"quern/ir/op"
)

// maxErrors is where Parse gives up.
const maxErrors = 20

// Parse reads the text of one graph. It infers the types of the results of every node and compares them with the written ones, and
// verifies the graph. The error joins what is wrong with the text, each an *Error: `x.ir:3:14: MatMul: ...`.
//
// A node takes its position from the comment behind it (see Print), else it is the name and the line of the text.
func Parse(name string, src []byte) (*ir.Graph, error) {
	p := &parser{
		lexer:  lexer{file: name, src: string(src), line: 1},
		values: map[string]*ir.Value{},
		lines:  map[string]int{},
		broken: map[*ir.Value]bool{},
		g:      &ir.Graph{},
	}
	if name != "" {
		p.base = filepath.Base(name)
	}
	if p.try(p.header) {
		for p.tok.kind != eof && len(p.errs) < maxErrors && !p.done {
			line := p.tok.line
			if !p.try(p.statement) {
				p.resync(line)
			}
		}
		p.try(p.footer)
	}
	if len(p.errs) == 0 {
		p.verify()
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	for _, n := range p.g.Nodes {
		if pos, ok := p.pos[n]; ok {
			n.Pos = pos
		}
	}
	return p.g, nil
}

type parser struct {
	lexer
	base     string // file name for positions
	g        *ir.Graph
	values   map[string]*ir.Value
	lines    map[string]int     // where a name was defined
	broken   map[*ir.Value]bool // values whose type is not known because of an error that was reported
	pending  []result           // results of the statement at hand, not yet defined
	pos      map[*ir.Node]ir.Pos
	errs     []error
	returned bool
	done     bool // the closing } was read
}

type result struct {
	at  token
	typ *ir.Type // nil: not read yet
}

// try runs f and notes the *Error that it panics with.
func (p *parser) try(f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			e, isErr := r.(*Error)
			if !isErr {
				panic(r)
			}
			p.note(e)
			for _, r := range p.pending {
				if p.values[r.at.text] == nil {
					p.define(r, nil)
				}
			}
			p.pending = nil
		}
	}()
	f()
	return true
}

func (p *parser) note(e *Error) { p.errs = append(p.errs, e) }

func (p *parser) is(s string) bool { return p.tok.kind == punct && p.tok.text == s }

// accept skips the token if it is s.
func (p *parser) accept(s string) bool {
	if p.is(s) {
		p.next()
		return true
	}
	return false
}

func (p *parser) want(s string) {
	if !p.accept(s) {
		p.fail(p.tok, "want '%s', got %v", s, p.tok)
	}
}

func (p *parser) expect(k kind, what string) token {
	if p.tok.kind != k {
		p.fail(p.tok, "want %s, got %v", what, p.tok)
	}
	return p.next()
}

// define makes the value of a name, a second time an error. A result without a type counts as broken.
func (p *parser) define(r result, n *ir.Node) *ir.Value {
	v := &ir.Value{Name: r.at.text, Def: n}
	if r.typ != nil {
		v.Type = *r.typ
	} else {
		p.broken[v] = true
	}
	if line, ok := p.lines[v.Name]; ok {
		p.note(&Error{p.file, r.at.line, r.at.col, fmt.Errorf("%v is defined twice, first in line %d", r.at, line)})
		return v
	}
	p.values[v.Name] = v
	p.lines[v.Name] = r.at.line
	return v
}

// use finds a value; a name without a definition is reported once.
func (p *parser) use() *ir.Value {
	t := p.expect(value, "a value")
	v := p.values[t.text]
	if v == nil {
		p.note(&Error{p.file, t.line, t.col, fmt.Errorf("%v is not defined above", t)})
		v = &ir.Value{Name: t.text}
		p.values[t.text] = v
		p.broken[v] = true
	}
	return v
}

func (p *parser) header() {
	p.next()
	if p.tok.kind != word || p.tok.text != "graph" {
		p.fail(p.tok, "want \"graph\", got %v", p.tok)
	}
	p.next()
	if p.tok.kind != quoted && (p.tok.kind != word || !bare(p.tok.text)) {
		p.fail(p.tok, "want the name of the graph, got %v", p.tok)
	}
	p.g.Name = p.next().text
	p.want("(")
	for !p.accept(")") {
		if len(p.g.Inputs) > 0 {
			p.want(",")
		}
		r := result{at: p.expect(value, "a value")}
		p.pending = []result{r}
		r.typ = p.typ()
		p.pending = nil
		p.g.Inputs = append(p.g.Inputs, p.define(r, nil))
	}
	p.want("{")
}

// footer checks what stands behind the last statement.
func (p *parser) footer() {
	if len(p.errs) >= maxErrors {
		p.note(&Error{p.file, p.tok.line, p.tok.col, errors.New("too many errors")})
		return
	}
	if !p.done && len(p.errs) == 0 { // an error may have made us skip it
		p.fail(p.tok, "want '}', got %v", p.tok)
	}
	if p.tok.kind != eof {
		p.fail(p.tok, "want nothing behind the graph, got %v", p.tok)
	}
}

func (p *parser) statement() {
	t := p.tok
	switch {
	case t.kind == punct && t.text == "}":
		if !p.returned {
			p.note(&Error{p.file, t.line, t.col, errors.New(`want "return" before the end of the graph`)})
		}
		p.done = true
		p.next()
	case p.returned:
		p.fail(t, "want '}' after return, got %v", t)
	case t.kind == value:
		p.node()
	case t.kind == word && t.text == "const":
		p.constant()
	case t.kind == word && t.text == "meta":
		p.next()
		k := p.expect(quoted, "a quoted key")
		v := p.expect(quoted, "a quoted value")
		p.g.Meta = append(p.g.Meta, [2]string{k.text, v.text})
	case t.kind == word && t.text == "return":
		p.returned = true
		p.next()
		for p.tok.kind == value {
			p.g.Outputs = append(p.g.Outputs, p.use())
			if !p.accept(",") {
				return
			}
		}
		if len(p.g.Outputs) > 0 {
			p.fail(p.tok, "want a value, got %v", p.tok)
		}
	default:
		p.fail(t, "want a statement (%%name, const, meta or return), got %v", t)
	}
}

// node reads %r type, %r type = Op<attr=value,...>(%x, _, %y) and the position behind it.
func (p *parser) node() {
	for {
		p.pending = append(p.pending, result{at: p.expect(value, "a result")})
		p.pending[len(p.pending)-1].typ = p.typ()
		if !p.accept(",") {
			break
		}
	}
	p.want("=")
	at := p.expect(word, "an operator")
	def := op.ByName(at.text)
	if def == nil {
		p.fail(at, "no operator %q", at.text)
	}
	n := &ir.Node{Op: def.New(), Pos: ir.Pos{File: p.base, Node: p.pending[0].at.line}}
	p.attrs(n)
	p.want("(")
	known := true
	for !p.is(")") {
		if len(n.In) > 0 {
			p.want(",")
		}
		if p.tok.kind == word && p.tok.text == "_" {
			p.next()
			n.In = append(n.In, nil)
			continue
		}
		v := p.use()
		known = known && !p.broken[v]
		n.In = append(n.In, v)
	}
	p.want(")")
	// The comment is that behind the ')' even if this statement turns out to be wrong.
	if pos, ok := parsePos(p.comment); ok {
		if p.pos == nil {
			p.pos = map[*ir.Node]ir.Pos{}
		}
		p.pos[n] = pos
	}
	if known {
		p.infer(n, at)
	}
	for _, r := range p.pending {
		n.Out = append(n.Out, p.define(r, n))
	}
	p.pending = nil
	p.g.Nodes = append(p.g.Nodes, n)
}

// infer compares the written types of the results with those that the operator infers.
func (p *parser) infer(n *ir.Node, at token) {
	note := func(format string, args ...any) {
		p.note(&Error{p.file, at.line, at.col, fmt.Errorf(at.text+": "+format, args...)})
	}
	types, err := n.Infer()
	if err != nil {
		if e := (*ir.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		note("%w", err)
		return
	}
	if len(p.pending) > len(types) {
		note("want at most %d results, got %d", len(types), len(p.pending))
		return
	}
	for i, r := range p.pending {
		if got := r.typ.Real(); got.Elem != types[i].Elem || !slices.Equal(got.Shape, types[i].Shape) {
			note("result %d, %v: want %s, got %s", i, r.at, typeText(types[i]), typeText(*r.typ))
		}
	}
}

// verify runs ir.Verify. While the positions of the nodes are still lines of the text its errors are given as such.
func (p *parser) verify() {
	err := ir.Verify(p.g)
	if err == nil {
		return
	}
	list := []error{err}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		list = j.Unwrap()
	}
	for _, err := range list {
		e := &Error{File: p.file, Err: err}
		if n := (*ir.Error)(nil); errors.As(err, &n) {
			e.Line, e.Err = n.Pos.Node, fmt.Errorf("%s: %w", n.Op, n.Err)
		}
		p.note(e)
	}
}

// attrs reads <name=value,...> or nothing.
func (p *parser) attrs(n *ir.Node) {
	if !p.accept("<") {
		return
	}
	var seen []string
	for {
		at := p.expect(word, "an attribute")
		if slices.Contains(seen, at.text) {
			p.fail(at, "attribute %s is given twice", at.text)
		}
		seen = append(seen, at.text)
		p.want("=")
		if err := op.SetAttr(n.Op, at.text, p.attrValue(n.Op, at.text)); err != nil {
			p.fail(at, "%w", err)
		}
		if !p.accept(",") {
			break
		}
	}
	p.want(">")
}

// attrValue reads a value of the type that the attribute has. For an attribute that is not there it gives nil without reading
// anything: SetAttr then says which there are.
func (p *parser) attrValue(o ir.Op, name string) any {
	all := op.Attrs(o)
	i := slices.IndexFunc(all, func(a op.Attr) bool { return a.Name == name })
	if i < 0 {
		return 0
	}
	switch all[i].Value.(type) {
	case int:
		return p.number()
	case float32:
		return p.float()
	case bool:
		t := p.expect(word, "true or false")
		if t.text != "true" && t.text != "false" {
			p.fail(t, "want true or false, got %v", t)
		}
		return t.text == "true"
	case string:
		return p.expect(quoted, "a quoted text").text
	case []int:
		return items(p, p.dim)
	case []float32:
		return items(p, p.float)
	}
	panic(fmt.Sprintf("irtext: %s has an attribute %s of type %T", o.OpName(), name, all[i].Value))
}

// items reads [item,item,...].
func items[T any](p *parser, item func() T) []T {
	p.want("[")
	var r []T
	for !p.accept("]") {
		if len(r) > 0 {
			p.want(",")
		}
		r = append(r, item())
	}
	return r
}
