package passes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"quern/ir"
	"quern/ir/irtext"
	"quern/ir/op"
	"quern/ir/tensor"
)

const small = `graph small(%x f32[N,2]) {
  %a f32[N,2] = Identity(%x)
  const %k f32[2] = [1 2]
  %b f32[N,2] = Clip<min=0f>(%a)
  %c f32[N,2] = Add(%b, %k)
  return %c
}
`

func parse(t *testing.T, text string) *ir.Graph {
	t.Helper()
	g, err := irtext.Parse("small.ir", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestEveryPassIsListed: each function of this package with the type of a pass is one.
func TestEveryPassIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, p := range List {
		name := runtime.FuncForPC(reflect.ValueOf(p.Run).Pointer()).Name()
		listed[name[strings.LastIndexByte(name, '.')+1:]] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !isPass(fn.Type) || strings.HasSuffix(file, "_test.go") {
				continue
			}
			found++
			if !listed[fn.Name.Name] {
				t.Errorf("%s: func %s(*ir.Graph) error is not in List", file, fn.Name.Name)
			}
			if want := fn.Name.Name + ".go"; file != want {
				t.Errorf("pass %s is in %s, want %s", fn.Name.Name, file, want)
			}
		}
	}
	if found < 10 {
		t.Errorf("%d functions look like passes, want at least 10", found)
	}
}

// isPass reports whether a function takes a *ir.Graph and returns an error.
func isPass(f *ast.FuncType) bool {
	if f.Params.NumFields() != 1 || f.Results.NumFields() != 1 {
		return false
	}
	star, ok := f.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	id, ok2 := f.Results.List[0].Type.(*ast.Ident)
	return ok && ok2 && sel.Sel.Name == "Graph" && id.Name == "error"
}

func TestDump(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dump")
	g := parse(t, small)
	var trace strings.Builder
	if err := Run(g, &Config{Dump: dir, Trace: &trace}, "dce", "identity", "cse", "act"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	if want := []string{"00-input.ir", "02-identity.ir", "04-act.ir"}; !slices.Equal(files, want) {
		t.Errorf("dumped %v, want %v", files, want)
	}
	last, err := os.ReadFile(filepath.Join(dir, "04-act.ir"))
	if err != nil {
		t.Fatal(err)
	}
	if string(last) != irtext.String(g) {
		t.Errorf("the last dump is not the graph:\n%s", last)
	}
	if n := strings.Count(trace.String(), "\n"); n != 4 || !strings.Contains(trace.String(), "identity") || !strings.Contains(trace.String(), "2 nodes, was 3") {
		t.Errorf("trace of %d lines, want 4:\n%s", n, trace.String())
	}
}

func TestStopAfterAndDisable(t *testing.T) {
	ops := func(g *ir.Graph) string {
		var s []string
		for _, n := range g.Nodes {
			s = append(s, n.Op.OpName())
		}
		return strings.Join(s, " ")
	}
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "Relu Add"},
		{Config{StopAfter: "identity"}, "Clip Add"},
		{Config{StopAfter: "fold", Disable: []string{"identity"}}, "Identity Clip Add"},
		{Config{Disable: []string{"identity"}}, "Identity Relu Add"},
		{Config{Disable: []string{"act", "identity"}, StopAfter: "act"}, "Identity Clip Add"},
	} {
		g := parse(t, small)
		if err := Run(g, &c.c); err != nil {
			t.Fatal(err)
		}
		if got := ops(g); got != c.want {
			t.Errorf("%+v: left %s, want %s", c.c, got, c.want)
		}
	}
}

func TestRunErrors(t *testing.T) {
	known := "there are identity, early-dce, fold"
	for _, c := range []struct {
		c     Config
		names []string
		want  string
	}{
		{Config{}, []string{"fold", "fuse"}, `no pass "fuse"; ` + known},
		{Config{Disable: []string{"fuse"}}, nil, `no pass "fuse"; ` + known},
		{Config{StopAfter: "fuse"}, nil, `no pass "fuse"; ` + known},
		{Config{StopAfter: "cse"}, []string{"fold"}, "cannot stop after pass cse: it is not among those to run"},
		{Config{Disable: []string{"affine"}}, nil, "pass affine cannot be disabled: Add, Sub"},
	} {
		g := parse(t, small)
		if err := Run(g, &c.c, c.names...); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%+v %v: got %v, want %s...", c.c, c.names, err, c.want)
		}
		if irtext.String(g) != irtext.String(parse(t, small)) {
			t.Errorf("%+v: the graph changed before the mistake was found", c.c)
		}
	}
	g := parse(t, small)
	g.Nodes[0].Out[0].Type.Shape = []int{7}
	if err := Run(g, nil); err == nil || !strings.HasPrefix(err.Error(), "before the passes: small.ir: node 2 (Identity): output 0: %a: want f32[N,2], got f32[7]") {
		t.Errorf("a broken graph to begin with: %v", err)
	}
}

// with replaces List for a test.
func with(t *testing.T, p ...*Pass) {
	was := List
	List = p
	t.Cleanup(func() { List = was })
}

func TestBrokenPasses(t *testing.T) {
	shape := &Pass{Name: "shape", Run: func(g *ir.Graph) error {
		g.Nodes[1].Out[0].Type.Shape = []int{5}
		return nil
	}}
	boom := &Pass{Name: "boom", Run: func(g *ir.Graph) error {
		g.Nodes = g.Nodes[:1]
		panic("no more")
	}}
	endless := &Pass{Name: "endless", Run: func(g *ir.Graph) error {
		return rounds(g, func(n *ir.Node) (bool, error) { _, ok := n.Op.(*op.Add); return ok, nil })
	}}
	with(t, shape, boom, endless)
	for _, c := range []struct{ pass, want, file string }{
		{"shape", "pass shape: it broke the graph: small.ir: node 4 (Clip): output 0: %b: want f32[N,2], got f32[5]", "01-shape-broken.ir"},
		{"boom", "pass boom: internal error: no more", "01-boom-broken.ir"},
		{"endless", "pass endless: small.ir: node 5 (Add): still changes after 20 rounds: want an end", "01-endless-broken.ir"},
	} {
		if err := Run(parse(t, small), nil, c.pass); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "graph is in") {
			t.Errorf("got %v, want %s", err, c.want)
		}
		dir := t.TempDir()
		var trace strings.Builder
		err := Run(parse(t, small), &Config{Dump: dir, HTML: filepath.Join(dir, "page.html"), Trace: &trace}, c.pass)
		file := filepath.Join(dir, c.file)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || !strings.HasSuffix(err.Error(), " (the graph is in "+file+")") {
			t.Errorf("with a dump: got %v, want %s ... %s", err, c.want, file)
		}
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), "graph small") {
			t.Errorf("%s: %v, %q", file, err, b)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "page.html")); err != nil || !strings.Contains(string(b), c.pass+" (broken)") {
			t.Errorf("page: %v, %q", err, b)
		}
		if c.pass == "boom" && !strings.Contains(trace.String(), "run_test.go") {
			t.Errorf("the trace of a panic has no stack: %q", trace.String())
		}
	}
}

func TestPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	g := parse(t, strings.Replace(small, "graph small", `graph "a<b>"`, 1))
	if err := Run(g, &Config{HTML: file}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{
		"<title>a&lt;b&gt;: passes</title>",
		"<h2>input</h2>", "<h2>identity + early-dce + fold + dynamic + functions + pool + gemm + reshape</h2>",
		"<h2>act + cse + affine + pad + absorb + constants + streamline + propagate + fuse-act + dce</h2>",
		`<span class="old">  <b>%a</b> f32[N,2] = Identity(<b>%x</b>)`,               // gone in the next column
		`<span class="new old">  <b>%b</b> f32[N,2] = Clip&lt;min=0f&gt;(<b>%x</b>)`, // came and went
		`<span class="new">  <b>%b</b> f32[N,2] = Relu(<b>%x</b>)`,                   // stays
		"\n  <b>%c</b> f32[N,2] = Add(<b>%b</b>, <b>%k</b>)  # node 5 small.ir\n",    // never changed
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if n := strings.Count(page, "<section>"); n != 3 {
		t.Errorf("%d columns, want 3", n)
	}
	if strings.Contains(page, "http") || strings.Contains(page, "src=") {
		t.Error("the page refers to other files")
	}
	if t.Failed() {
		t.Log(page)
	}
	if err := Run(g, &Config{HTML: filepath.Join(file, "nowhere")}); err == nil {
		t.Error("no error for a page that cannot be written")
	}
}

func TestMarkValues(t *testing.T) {
	for in, want := range map[string]string{
		`  %"a \"b\"" = Relu(%a.1/x-y:z)  # <%>`: `  <b>%&#34;a \&#34;b\&#34;&#34;</b> = Relu(<b>%a.1/x-y:z</b>)  # &lt;<b>%</b>&gt;`,
		"no values":                              "no values",
		`%"open`:                                 `<b>%&#34;open</b>`,
	} {
		if got := markValues(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

// TestFoldLimit: a constant that would blow up the model is left to be computed.
func TestFoldLimit(t *testing.T) {
	one := &ir.Value{Name: "one", Type: ir.T(tensor.F32, 1), Const: tensor.Floats([]int{1}, 2)}
	x := &ir.Value{Name: "x", Type: ir.T(tensor.F32, 1)}
	for elements, want := range map[int]int{foldLimit / 8: 1, foldLimit/4 + 2: 2} {
		g := &ir.Graph{Name: "big", Inputs: []*ir.Value{x}}
		n, err := g.Append(&op.Expand{Shape: []int{elements}}, ir.Pos{}, []*ir.Value{one}, "big")
		if err != nil {
			t.Fatal(err)
		}
		if n, err = g.Append(&op.Add{}, ir.Pos{}, []*ir.Value{x, n.Out[0]}, "y"); err != nil {
			t.Fatal(err)
		}
		g.Outputs = n.Out
		if err := Run(g, nil, "fold"); err != nil {
			t.Fatal(err)
		}
		if len(g.Nodes) != want {
			t.Errorf("%d elements: %d nodes are left, want %d", elements, len(g.Nodes), want)
		}
	}
}
