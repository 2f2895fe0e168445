package passes

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
)

// page collects the text of a graph after each pass. Passes that changed nothing share a column with the one before them.
type page struct {
	title string
	cols  []column
}

type column struct {
	names []string
	lines []string
}

func newPage(title, text string) *page {
	return &page{title, []column{{[]string{"input"}, strings.Split(strings.TrimSuffix(text, "\n"), "\n")}}}
}

// phase adds the text after a pass.
func (p *page) phase(name, text string) {
	last := &p.cols[len(p.cols)-1]
	text = strings.TrimSuffix(text, "\n")
	if text == strings.Join(last.lines, "\n") {
		last.names = append(last.names, name)
		return
	}
	p.cols = append(p.cols, column{[]string{name}, strings.Split(text, "\n")})
}

// write makes the file, whole or not at all.
func (p *page) write(file string) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".quern-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone by then if all went well
	if _, err := tmp.WriteString(p.render()); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

// render is the page: a column for each change, lines that are new in a column and lines that the next column lacks marked.
func (p *page) render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s: passes</title>\n<style>%s</style></head>\n<body>\n", html.EscapeString(p.title), pageStyle)
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p>New lines are green, lines that the next pass takes away are red. Click a value to see it everywhere, a heading to fold its column.</p>\n<main>\n", html.EscapeString(p.title))
	for i, c := range p.cols {
		var before, after map[string]int
		if i > 0 {
			before = count(p.cols[i-1].lines)
		}
		if i+1 < len(p.cols) {
			after = count(p.cols[i+1].lines)
		}
		fmt.Fprintf(&b, "<section><h2>%s</h2><pre>\n", html.EscapeString(strings.Join(c.names, " + ")))
		for _, l := range c.lines {
			class := ""
			if before != nil && !take(before, l) {
				class = "new"
			}
			if after != nil && !take(after, l) {
				class = strings.TrimSpace(class + " old")
			}
			if class != "" {
				fmt.Fprintf(&b, "<span class=\"%s\">%s</span>\n", class, markValues(l))
			} else {
				b.WriteString(markValues(l) + "\n")
			}
		}
		b.WriteString("</pre></section>\n")
	}
	fmt.Fprintf(&b, "</main>\n<script>%s</script>\n</body></html>\n", pageScript)
	return b.String()
}

// count makes a multiset of lines, take takes one out.
func count(lines []string) map[string]int {
	m := map[string]int{}
	for _, l := range lines {
		m[l]++
	}
	return m
}

func take(m map[string]int, l string) bool {
	if m[l] == 0 {
		return false
	}
	m[l]--
	return true
}

// markValues escapes a line and puts each %name into an element that the script finds.
func markValues(line string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(line, '%')
		if i < 0 {
			b.WriteString(html.EscapeString(line))
			return b.String()
		}
		n := valueLen(line[i:])
		fmt.Fprintf(&b, "%s<b>%s</b>", html.EscapeString(line[:i]), html.EscapeString(line[i:i+n]))
		line = line[i+n:]
	}
}

// valueLen is the length of the %name or %"any name" at the start of s.
func valueLen(s string) int {
	if strings.HasPrefix(s, `%"`) {
		for i := 2; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(s)
	}
	n := 1
	for n < len(s) && (s[n] == '_' || s[n] == '.' || s[n] == ':' || s[n] == '/' || s[n] == '-' || s[n] >= '0' && s[n] <= '9' ||
		s[n] >= 'A' && s[n] <= 'Z' || s[n] >= 'a' && s[n] <= 'z') {
		n++
	}
	return n
}

const pageStyle = `
body { font: 13px sans-serif; margin: 1em; background: #fff; color: #111 }
main { display: flex; align-items: flex-start; gap: 1em }
section { border: 1px solid #bbb; padding: 0 .6em; flex: none }
h2 { font-size: 1.1em; cursor: pointer }
section.folded { width: 1.5em; overflow: hidden } section.folded pre { display: none } section.folded h2 { writing-mode: vertical-rl }
pre { font: 12px monospace } b { font-weight: normal; cursor: pointer }
.new { background: #dfd } .old { background: #fdd } .new.old { background: #ffd }
b.on { background: #48f; color: #fff }`

const pageScript = `
for (const h of document.querySelectorAll("h2")) h.onclick = () => h.parentNode.classList.toggle("folded");
const values = [...document.querySelectorAll("b")];
for (const b of values) b.onclick = () => {
  const on = !b.classList.contains("on");
  for (const o of values) if (o.textContent === b.textContent) o.classList.toggle("on", on);
};`
