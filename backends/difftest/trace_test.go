package difftest

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"quern/backends/hls"
	"quern/backends/sim"
	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// traced prints a program whose testbench compares every layer.
func traced(t *testing.T, p *hw.Program, o hls.Options) []hls.File {
	t.Helper()
	m, err := sim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	s := m.NewState()
	v := hls.Vector{In: samples(rand.New(rand.NewPCG(5, 5)), p, 1)[0]}
	out, err := s.Run(v.In)
	if err != nil {
		t.Fatal(err)
	}
	for _, y := range out {
		v.Out = append(v.Out, slices.Clone(y))
	}
	for _, k := range p.Kernels {
		v.Layers = append(v.Layers, s.Buffer(k.Out))
	}
	o.Vectors = []hls.Vector{v}
	files, err := hls.Emit(p, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := hls.Check(files); err != nil {
		t.Errorf("with a trace: %v", err)
	}
	return files
}

// TestTrace: a wrong bit planted in the function of one layer is reported with the name of that layer, at its first element, whatever comes
// before and behind; without it all layers agree.
func TestTrace(t *testing.T) {
	for _, style := range []struct {
		name, ext string
		result    *regexp.Regexp // what a function writes, in two groups, with the value in between
		c         compiler
	}{
		{"c99", "c", regexp.MustCompile(`(?m)^( *y\[.*\] = )(.*)(;)$`), compilers(t)[0]},
		{"stream", "cpp", regexp.MustCompile(`(?m)^( *q_put<\d+>\(r, \w+, ap_u?int<\d+>\()(v\d+)(\)\);)$`), cxx(t)[0]},
	} {
		style.c.args = append(slices.Clone(style.c.args), "-DQUERN_TRACE")
		style.c.args = slices.DeleteFunc(style.c.args, func(a string) bool { return a == "-Wconversion" }) // of the planted text
		planted := 0
		for i := range 2 {
			p := numbered(i)
			o := hls.Options{Style: style.name, Top: "top"}
			if style.name == "stream" {
				d, err := stream.Build(p, randomFolds(rand.New(rand.NewPCG(8, uint64(i))), p))
				if err != nil {
					t.Fatal(err)
				}
				o.Design = d
			}
			files := traced(t, p, o)
			if out, err := runC(t, style.c, []project{{files: files}}); err != nil || !strings.HasPrefix(out, "PASS") {
				t.Fatalf("%s, program %d: %v\n%s", style.name, i, err, out)
			}
			at := slices.IndexFunc(files, func(f hls.File) bool { return f.Name == "top."+style.ext })
			text := string(files[at].Data)
			for j, k := range p.Kernels {
				call := regexp.MustCompile(fmt.Sprintf(`q_layer\(%d, `, j)).FindStringIndex(text)
				if call == nil || j%2 != i%2 {
					continue
				}
				body := text[:call[0]] // the function, or the call of it, is behind the last "static void"
				if style.name == "c99" {
					name := regexp.MustCompile(`(\w+)\([^()]*\);\s*Q_TRACE\([^;]*;[^;]*;[^;]*$`).FindStringSubmatch(body)
					if name == nil {
						t.Fatalf("no call of layer %s", k.Name)
					}
					body = text[:strings.Index(text, "static void "+name[1]+"(")]
					end := len(body) + strings.Index(text[len(body):], "\n}\n")
					loc := style.result.FindStringSubmatchIndex(text[len(body):end])
					if loc == nil {
						continue
					}
					body = text[:len(body)+loc[4]] + "(" + text[len(body)+loc[4]:len(body)+loc[5]] + ") ^ 1" + text[len(body)+loc[5]:]
				} else {
					start := strings.LastIndex(body, "static void ")
					loc := style.result.FindStringSubmatchIndex(body[start:])
					if loc == nil {
						continue // a move
					}
					body = text[:start+loc[4]] + text[start+loc[4]:start+loc[5]] + " ^ 1" + text[start+loc[5]:]
				}
				wrong := slices.Clone(files)
				wrong[at].Data = []byte(body)
				out, err := runC(t, style.c, []project{{files: wrong}})
				if want := "FAIL: layer " + k.Name + " ("; err == nil || !strings.HasPrefix(out, want) || !strings.Contains(out, "vector 0, index 0: got ") {
					t.Errorf("%s, program %d: a wrong bit in layer %s: got %q, want %q", style.name, i, k.Name, out, want)
				}
				planted++
			}
		}
		if planted < 2 {
			t.Errorf("%s: only %d faults planted", style.name, planted)
		}
		t.Logf("%s: %d faults", style.name, planted)
	}
}
