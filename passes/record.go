package passes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"quern/ir"
	"quern/ir/irtext"
)

// Config says what else happens when passes run.
type Config struct {
	Dump      string    // folder for the text of the graph: 00-input.ir, and NN-pass.ir after each pass that changed it
	HTML      string    // file for one page with the text after each pass that changed it, side by side
	Disable   []string  // passes not to run
	StopAfter string    // the last pass to run
	Trace     io.Writer // a line for each pass
}

// recorder follows the graph through the passes for Dump, HTML and Trace.
type recorder struct {
	c    *Config
	text string // of the graph after the last pass, if Dump is on
	page *page
	file string // of a graph that a pass broke
}

func newRecorder(g *ir.Graph, c *Config) (*recorder, error) {
	r := &recorder{c: c}
	if c.Dump != "" {
		if err := os.MkdirAll(c.Dump, 0o777); err != nil {
			return nil, err
		}
		r.text = irtext.String(g)
		if err := r.write(0, "input", r.text); err != nil {
			return nil, err
		}
	}
	if c.HTML != "" {
		r.page = newPage(g.Name, irtext.String(g, irtext.Short))
	}
	return r, nil
}

func (r *recorder) write(i int, name, text string) error {
	r.file = filepath.Join(r.c.Dump, fmt.Sprintf("%02d-%s.ir", i, name))
	return os.WriteFile(r.file, []byte(text), 0o666)
}

// pass runs pass number i and records what it did.
func (r *recorder) pass(g *ir.Graph, i int, p *Pass) error {
	n, start := len(g.Nodes), time.Now()
	r.file = ""
	if err := p.run(g); err != nil {
		if pe := (*panicError)(nil); errors.As(err, &pe) && r.c.Trace != nil {
			fmt.Fprintf(r.c.Trace, "%s", pe.stack)
		}
		return err
	}
	if r.c.Trace != nil {
		fmt.Fprintf(r.c.Trace, "%-10s %8s %5d nodes, was %d\n", p.Name, time.Since(start).Round(time.Microsecond), len(g.Nodes), n)
	}
	if r.page != nil {
		r.page.phase(p.Name, irtext.String(g, irtext.Short))
	}
	if r.c.Dump == "" {
		return nil
	}
	text := irtext.String(g)
	if text == r.text {
		return nil
	}
	r.text = text
	return r.write(i, p.Name, text)
}

// broken keeps what a pass that failed left of the graph, as far as that can be printed.
func (r *recorder) broken(g *ir.Graph, i int, p *Pass) {
	if r.c.Dump != "" && r.file == "" {
		if text, err := tryText(g); err != nil || r.write(i, p.Name+"-broken", text) != nil {
			r.file = ""
		}
	}
	if r.page != nil {
		text, err := tryText(g, irtext.Short)
		if err != nil {
			text = err.Error()
		}
		r.page.phase(p.Name+" (broken)", text)
		if r.page.write(r.c.HTML) == nil && r.file == "" {
			r.file = r.c.HTML
		}
	}
}

// tryText is the text of a graph that may be in such a state that it cannot be printed.
func tryText(g *ir.Graph, o ...irtext.Option) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the graph cannot be printed: %v", r)
		}
	}()
	return irtext.String(g, o...), nil
}

// see points to the file that shows the broken graph.
func (r *recorder) see() string {
	if r.file == "" {
		return ""
	}
	return " (the graph is in " + r.file + ")"
}

func (r *recorder) close() error {
	if r.page != nil {
		return r.page.write(r.c.HTML)
	}
	return nil
}

// panicError is a panic in a pass: a bug of ours, whatever the model.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("internal error: %v", e.value) }

func stack() []byte { return debug.Stack() }
