package difftest

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/ir/hw/stream"
)

var (
	runLoop   = regexp.MustCompile(`(?m)^( *run: for \(int i = 0; i < \d+; i\+\+\) \{)$`)
	fifoDecl  = regexp.MustCompile(`(?m)^    hls::stream<ap_uint<\d+> > \w+\("(\w+)"\);$`)
	stageCall = regexp.MustCompile(`(?m)^    (\w+)\(\w+(?:, \w+)*\);$`)
)

// TestStreamSteps: in every iteration the emitted loops read and write the channels that stream.Stage.Cursor says, which is what the cycle
// model counts clock cycles and finds FIFO depths by. The text is compiled as it is, but for a line that prints the iteration.
func TestStreamSteps(t *testing.T) {
	t.Parallel()
	c := cxx(t)[0]
	c.args = []string{"-std=c++11", "-w", "-DQUERN_STEPS"}
	const n = 16
	var ps []project
	var ds []*stream.Design
	kinds := map[stream.Kind]int{}
	wrong := -1 // the program that is there again, reading in other iterations: to see that it is noticed
	add := func(i int, top, old, new string) {
		p := numbered(i)
		r := rand.New(rand.NewPCG(10, uint64(i)))
		d, err := stream.Build(p, randomFolds(r, p))
		if err != nil {
			t.Fatal(err)
		}
		pr := marked(t, emit(t, p, samples(r, p, 1), hls.Options{Style: "stream", Top: top, Design: d}), d)
		for j, f := range pr.files {
			pr.files[j].Data = bytes.Replace(f.Data, []byte(old), []byte(new), 1)
			if wrong < 0 && bytes.Contains(f.Data, []byte("if (nf == 0)")) {
				wrong = i
			}
		}
		ps, ds = append(ps, pr), append(ds, d)
	}
	for i := range n {
		add(i, fmt.Sprintf("s%d", i), "", "")
		for _, s := range ds[i].Stages {
			kinds[s.Kind]++
		}
	}
	add(max(wrong, 0), "wrong", "if (nf == 0)", "if (nf == 1)")
	exe, _ := buildC(t, c, ps)
	steps := 0
	for i, d := range ds {
		out, err := exec.Command(exe, fmt.Sprint(i)).Output()
		bad := compareSteps(d, names(ps[i], d), out, &steps)
		switch {
		case i == n && bad == nil:
			t.Error("reading in another iteration was not noticed")
		case i < n && (err != nil || bad != nil):
			t.Errorf("program %d: %v, %v", i, err, bad)
		}
	}
	t.Logf("%d iterations of stages %v as Cursor has them", steps, kinds)
	for k := stream.Load; k <= stream.Reorder; k++ {
		if kinds[k] == 0 {
			t.Errorf("no stage of kind %v", k)
		}
	}
}

// marked is a project whose stages print a line in each iteration.
func marked(t testing.TB, p project, d *stream.Design) project {
	t.Helper()
	p.files = slices.Clone(p.files)
	for i, f := range p.files {
		if strings.HasSuffix(f.Name, ".cpp") && f.Name != "tb.cpp" {
			if n := len(runLoop.FindAll(f.Data, -1)); n != len(d.Stages) {
				t.Fatalf("%d loops of %d stages", n, len(d.Stages))
			}
			p.files[i].Data = runLoop.ReplaceAll(f.Data, []byte("$1\nstd::printf(\"@%s %d\\n\", __func__, i);"))
		}
	}
	return p
}

// emitted are the C names of the stages and of the channels of a design.
type emitted struct {
	stages map[string]int
	fifos  []string
}

func names(p project, d *stream.Design) emitted {
	e := emitted{stages: map[string]int{}}
	for _, f := range p.files {
		if !strings.HasSuffix(f.Name, ".cpp") || f.Name == "tb.cpp" {
			continue
		}
		_, top, _ := bytes.Cut(f.Data, []byte("#pragma HLS DATAFLOW\n"))
		for _, m := range fifoDecl.FindAllSubmatch(top, -1) {
			e.fifos = append(e.fifos, string(m[1]))
		}
		for i, m := range stageCall.FindAllSubmatch(top, -1) {
			e.stages[string(m[1])] = i
		}
	}
	return e
}

// compareSteps compares what a run printed with the cursors of the stages, and counts iterations.
func compareSteps(d *stream.Design, e emitted, out []byte, steps *int) error {
	if len(e.stages) != len(d.Stages) || len(e.fifos) != len(d.Channels) {
		return fmt.Errorf("%d stages and %d channels, want %d and %d", len(e.stages), len(e.fifos), len(d.Stages), len(d.Channels))
	}
	var s *stream.Stage
	var cur stream.Cursor
	var got, want stream.Step
	port := 0 // transfers at the port, in this iteration
	i := -1
	check := func() error {
		if s == nil {
			return nil
		}
		if ports := map[stream.Kind]int{stream.Load: 1, stream.Store: 1}[s.Kind]; got != want || port < ports {
			return fmt.Errorf("%s (%v), iteration %d: got %+v and %d transfers, want %+v", s.Name, s.Kind, i, got, port, want)
		}
		*steps++
		return nil
	}
	at := -1
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		l := lines.Text()
		switch l[0] {
		case '@':
			if err := check(); err != nil {
				return err
			}
			name, text, _ := strings.Cut(l[1:], " ")
			k, ok := e.stages[name]
			if !ok {
				return fmt.Errorf("no stage %s", name)
			}
			i++
			if k != at {
				if s != nil && i != s.Iterations() {
					return fmt.Errorf("%s: %d iterations, want %d", s.Name, i, s.Iterations())
				}
				at, i, s = k, 0, d.Stages[k]
				cur = s.Cursor()
			}
			if text != fmt.Sprint(i) {
				return fmt.Errorf("%s: iteration %s, want %d", name, text, i)
			}
			got, want, port = stream.Step{}, cur.Next(), 0
		case '<', '>':
			if s == nil {
				continue // the testbench fills the ports
			}
			side, mask := s.In, &got.Read
			if l[0] == '>' {
				side, mask = s.Out, &got.Write
			}
			c := slices.Index(e.fifos, l[1:])
			if c < 0 {
				port++
				continue
			}
			j := slices.Index(side, d.Channels[c])
			if j < 0 || *mask>>j&1 != 0 {
				return fmt.Errorf("%s, iteration %d: unexpected %s", s.Name, i, l)
			}
			*mask |= 1 << j
		}
	}
	return check()
}
