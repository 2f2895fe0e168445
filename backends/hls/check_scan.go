package hls

import (
	"fmt"
	"slices"
	"strings"
)

// tokenKind is the kind of a token of C.
type tokenKind uint8

const (
	tEnd tokenKind = iota
	tName
	tNumber
	tText  // a string or character literal
	tPunct // one character, or ::
	tPragma
)

// token is a piece of C text; that of a pragma is all behind the word HLS.
type token struct {
	kind tokenKind
	text string
	line int
	// dialect is +1 where the text stands in #ifdef __VITIS_HLS__, -1 in the #else of it and 0 elsewhere.
	dialect int
}

// condition is an open #if.
type condition struct {
	name string // of #ifdef and #ifndef
	csim bool   // what holds in C simulation only: the stand-ins, or no __SYNTHESIS__
	not  bool   // the branch is taken where it does not hold
	line int
}

// scanner cuts a file into tokens.
type scanner struct {
	src      string
	at, line int
	toks     []token
	open     []condition
	includes []string
	empty    []string // macros with arguments that stand for nothing
	fail     func(line int, format string, args ...any)
}

// scan cuts C text into tokens without comments. What is there in C simulation only is left out.
func scan(src string, fail func(line int, format string, args ...any)) (toks []token, includes []string) {
	s := &scanner{src: src, line: 1, fail: fail}
	start := true // of a line
	for s.at < len(s.src) {
		c := s.src[s.at]
		switch {
		case c == '\n':
			s.at++
			s.line++
			start = true
			continue
		case c == ' ' || c == '\t' || c == '\r':
			s.at++
			continue
		case strings.HasPrefix(s.src[s.at:], "/*"):
			s.skip("*/", 2)
			continue
		case strings.HasPrefix(s.src[s.at:], "//"):
			for s.at < len(s.src) && s.src[s.at] != '\n' {
				s.at++
			}
			continue
		case c == '#' && start:
			s.directive()
			continue
		case isLetter(c):
			s.take(tName, func(c byte) bool { return isLetter(c) || isDigit(c) })
		case isDigit(c):
			s.take(tNumber, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' })
		case c == '"' || c == '\'':
			s.literal(c)
		case strings.HasPrefix(s.src[s.at:], "::"):
			s.add(tPunct, "::")
			s.at += 2
		default:
			s.add(tPunct, s.src[s.at:s.at+1])
			s.at++
		}
		start = false
	}
	for _, c := range s.open {
		fail(c.line, "#if without #endif")
	}
	return s.expanded(), s.includes
}

// expanded are the tokens without the macros that stand for nothing.
func (s *scanner) expanded() []token {
	var toks []token
	for i := 0; i < len(s.toks); i++ {
		t := s.toks[i]
		if t.kind != tName || !slices.Contains(s.empty, t.text) || i+1 == len(s.toks) || s.toks[i+1].text != "(" {
			toks = append(toks, t)
			continue
		}
		depth := 0
		for i++; i < len(s.toks); i++ {
			if s.toks[i].text == "(" {
				depth++
			}
			if s.toks[i].text == ")" {
				if depth--; depth == 0 {
					break
				}
			}
		}
	}
	return toks
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// skip goes behind the next occurrence of end, at least n characters on.
func (s *scanner) skip(end string, n int) {
	i := strings.Index(s.src[s.at+n:], end)
	if i < 0 {
		s.fail(s.line, "a comment has no end")
		s.at = len(s.src)
		return
	}
	i += n + len(end)
	s.line += strings.Count(s.src[s.at:s.at+i], "\n")
	s.at += i
}

func (s *scanner) take(kind tokenKind, in func(byte) bool) {
	end := s.at
	for end < len(s.src) && in(s.src[end]) {
		end++
	}
	s.add(kind, s.src[s.at:end])
	s.at = end
}

func (s *scanner) literal(quote byte) {
	end := s.at + 1
	for end < len(s.src) && s.src[end] != quote && s.src[end] != '\n' {
		if s.src[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end+1, len(s.src))
	s.add(tText, s.src[s.at:end])
	s.at = end
}

// add appends a token unless it is in a branch for the stand-ins.
func (s *scanner) add(kind tokenKind, text string) {
	t := token{kind, text, s.line, 0}
	if s.skipped() {
		return
	}
	for _, c := range s.open {
		switch {
		case c.name == "__VITIS_HLS__" && c.not:
			t.dialect = -1
		case c.name == "__VITIS_HLS__":
			t.dialect = 1
		}
	}
	s.toks = append(s.toks, t)
}

// skipped reports whether the text is not for synthesis.
func (s *scanner) skipped() bool {
	return slices.ContainsFunc(s.open, func(c condition) bool { return c.csim && !c.not })
}

// directive reads a line of the preprocessor, with those that a backslash joins to it.
func (s *scanner) directive() {
	line := s.line
	var b strings.Builder
	for s.at < len(s.src) && s.src[s.at] != '\n' {
		if strings.HasPrefix(s.src[s.at:], "\\\n") {
			s.at += 2
			s.line++
			continue
		}
		b.WriteByte(s.src[s.at])
		s.at++
	}
	f := strings.Fields(strings.TrimPrefix(b.String(), "#"))
	if len(f) == 0 {
		return
	}
	f = append(f, "", "")
	switch f[0] {
	case "if", "elif", "ifdef", "ifndef", "else", "endif":
		s.conditional(f[0], f[1], b.String(), line)
		return
	}
	if s.skipped() {
		return
	}
	switch f[0] {
	case "include":
		if name, ok := strings.CutPrefix(f[1], "\""); ok {
			s.includes = append(s.includes, strings.TrimSuffix(name, "\""))
		}
	case "define":
		if strings.HasPrefix(f[1], "__") {
			s.fail(line, "defines %s, which belongs to the tools", f[1])
		}
		switch name, _, args := strings.Cut(f[1], "("); {
		case args && f[2] == "" && strings.HasSuffix(f[1], ")"):
			s.empty = append(s.empty, name)
		case args:
			s.fail(line, "macro %s has arguments and hides code", name)
		}
	case "pragma":
		if f[1] == "HLS" {
			s.add(tPragma, strings.Join(f[2:len(f)-2], " "))
		}
	case "undef", "error":
	default:
		s.fail(line, "directive #%s", f[0])
	}
}

func (s *scanner) conditional(word, name, text string, line int) {
	last := len(s.open) - 1
	if last < 0 && (word == "else" || word == "elif" || word == "endif") {
		s.fail(line, "#%s without #if", word)
		return
	}
	switch word {
	case "ifdef", "ifndef":
		s.open = append(s.open, condition{name, name == "QUERN_AP_STAND_IN", word == "ifndef", line})
	case "if":
		s.open = append(s.open, condition{"", strings.Contains(text, "!defined(__SYNTHESIS__)"), false, line})
	case "else":
		s.open[last].not = !s.open[last].not
	case "elif":
		s.fail(line, "#elif: want #if, #else and #endif only")
	case "endif":
		s.open = s.open[:last]
	}
}

// pragma is a directive to the tools, cut into its name and options.
type pragma struct {
	token
	name  string
	words []string          // options without a value
	value map[string]string // by name
}

func (t token) pragma() pragma {
	p := pragma{token: t, value: map[string]string{}}
	for i, w := range strings.Fields(t.text) {
		name, value, ok := strings.Cut(w, "=")
		switch {
		case i == 0:
			p.name = strings.ToUpper(w)
		case ok:
			p.value[strings.ToLower(name)] = value
		default:
			p.words = append(p.words, strings.ToLower(w))
		}
	}
	return p
}

func (p *pragma) has(word string) bool { return slices.Contains(p.words, word) }

// number is the value of an option, or the number to take without it; ok is false where it is no number.
func (p *pragma) number(name string, otherwise int) (n int, ok bool) {
	v, given := p.value[name]
	if !given {
		return otherwise, true
	}
	if _, err := fmt.Sscanf(v, "%d", &n); err != nil || fmt.Sprint(n) != v {
		return 0, false
	}
	return n, true
}
