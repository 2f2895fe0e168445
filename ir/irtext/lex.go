package irtext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

type kind uint8

const (
	eof    kind = iota
	word        // a bare name, number or keyword
	value       // %name or %"name"; text is the name
	quoted      // "text"; text is what it stands for
	punct       // one of (){}[]<>,=
	bad         // not a token, as err says
)

type token struct {
	kind      kind
	text      string
	line, col int  // from 1; columns count bytes
	first     bool // nothing but blanks before it in its line
	err       error
}

func (t token) String() string {
	switch t.kind {
	case eof:
		return "the end of the text"
	case value:
		return "%" + nameText(t.text)
	case punct:
		return "'" + t.text + "'"
	}
	return strconv.Quote(t.text)
}

// Error is one problem of a text, at a line and a column from 1; 0 where there is none to give.
type Error struct {
	File      string
	Line, Col int
	Err       error
}

func (e *Error) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Col > 0 {
		s += ":" + strconv.Itoa(e.Col)
	}
	return s + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// lexer holds the token at hand.
type lexer struct {
	file string
	src  string
	off  int // behind tok
	line int // of off
	bol  int // offset at which that line begins
	tok  token
	// comment is what follows the # between the token before tok and the end of that token's line.
	comment string
}

// fail panics with an *Error, which the parser recovers for each statement. A malformed token has its own message.
func (l *lexer) fail(at token, format string, args ...any) {
	err := at.err
	if err == nil {
		err = fmt.Errorf(format, args...)
	}
	panic(&Error{l.file, at.line, at.col, err})
}

// next moves to the next token and returns the one it leaves.
func (l *lexer) next() token {
	last := l.tok
	l.comment = ""
	start := l.line
	first := l.off == l.bol
blanks:
	for l.off < len(l.src) {
		switch l.src[l.off] {
		case '\n':
			l.off++
			l.line++
			l.bol = l.off
			first = true
		case ' ', '\t', '\r':
			l.off++
		case '#':
			text, _, _ := strings.Cut(l.src[l.off:], "\n")
			l.off += len(text)
			if l.line == start {
				l.comment = text[1:]
			}
		default:
			break blanks
		}
	}
	l.tok = token{line: l.line, col: l.off - l.bol + 1, first: first}
	if l.off < len(l.src) {
		l.scan()
	}
	return last
}

func (l *lexer) scan() {
	t := &l.tok
	switch c := l.src[l.off]; {
	case strings.IndexByte("(){}[]<>,=", c) >= 0:
		t.kind, t.text = punct, l.src[l.off:l.off+1]
		l.off++
	case wordByte(c):
		t.kind, t.text = word, l.run(wordByte)
	case c == '"':
		t.kind = quoted
		l.quotedText()
	case c == '%':
		t.kind = value
		l.off++
		if l.off < len(l.src) && l.src[l.off] == '"' {
			l.quotedText()
		} else {
			t.text = l.run(nameByte)
		}
		if t.text == "" && t.kind == value {
			t.kind, t.err = bad, errors.New("% without a name")
		}
	default:
		l.off++
		t.kind, t.err = bad, fmt.Errorf("character %q is not part of the language", c)
	}
}

// run is the longest text of such bytes.
func (l *lexer) run(ok func(byte) bool) string {
	start := l.off
	for l.off < len(l.src) && ok(l.src[l.off]) {
		l.off++
	}
	return l.src[start:l.off]
}

// quotedText reads the text of tok.
func (l *lexer) quotedText() {
	q, err := strconv.QuotedPrefix(l.src[l.off:])
	if err == nil {
		l.off += len(q)
		l.tok.text, err = strconv.Unquote(q)
	} else {
		l.off++
	}
	if err != nil {
		l.tok.kind, l.tok.err = bad, errors.New("a quoted text that does not end or has a bad escape")
	}
}

// wordByte is also for numbers: 1e+06.
func wordByte(c byte) bool { return nameByte(c) || c == '+' }

// resync moves to the first line after line from that looks like the start of a statement, or to the end.
func (l *lexer) resync(from int) {
	if l.tok.line > from && l.tok.first && starts(l.src[l.bol:]) {
		return
	}
	for l.off < len(l.src) {
		rest, _, _ := strings.Cut(l.src[l.off:], "\n")
		l.off = min(l.off+len(rest)+1, len(l.src))
		l.line++
		l.bol = l.off
		if l.line > from && starts(l.src[l.off:]) {
			break
		}
	}
	l.tok = token{}
	l.next()
}

func starts(s string) bool {
	s = strings.TrimLeft(s, " \t")
	for _, p := range []string{"%", "}", "const ", "meta ", "return"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
