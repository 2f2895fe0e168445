package stream

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"quern/ir/hw"
	"quern/ir/hw/part"
)

// yosysTable is what yosys counted, beside the formulas.
const yosysTable = "../../../testdata/results/yosys.md"

// model is a Verilog model of what stages are made of, with its estimate.
type model struct {
	what    string // of a section
	params  string
	verilog string // of a module whose name is %s
	formula part.Resources
}

// signed is the range of so many bits.
func signed(bits int) hw.Interval { return hw.Interval{Lo: -1 << (bits - 1), Hi: 1<<(bits-1) - 1} }

// wires declares elements of a packed port, to be signed.
func wires(b *strings.Builder, name, from string, n, bits int, unsigned bool) {
	for i := range n {
		if unsigned {
			fmt.Fprintf(b, "wire signed [%d:0] %s%d = {1'b0, %s[%d:%d]};\n", bits, name, i, from, (i+1)*bits-1, i*bits)
		} else {
			fmt.Fprintf(b, "wire signed [%d:0] %s%d = %s[%d:%d];\n", bits-1, name, i, from, (i+1)*bits-1, i*bits)
		}
	}
}

// tree sums signed wires, each level one bit wider, with a register behind each sum as HLS tools put it: yosys would make one large adder of
// all. The result's name and width are returned.
func tree(b *strings.Builder, terms []string, bits int, name string) (string, int) {
	for level := 0; len(terms) > 1; level++ {
		var next []string
		bits++
		for i := 0; i+1 < len(terms); i += 2 {
			s := fmt.Sprintf("%s_%d_%d", name, level, i)
			fmt.Fprintf(b, "reg signed [%d:0] %s; always @(posedge clk) %s <= %s + %s;\n", bits-1, s, s, terms[i], terms[i+1])
			next = append(next, s)
		}
		if len(terms)%2 == 1 {
			next = append(next, terms[len(terms)-1])
		}
		terms = next
	}
	return terms[0], bits
}

// rows is a product of a signed w and an unsigned a as an array: a sum with a register for each bit of w after the first. The delays that the
// factors would need are left out, as they are no LUTs.
func rows(w, a int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %%s(input clk, input signed [%d:0] w, input [%d:0] a, output reg signed [%d:0] y);\n", w-1, a-1, w+a-1)
	last := fmt.Sprintf("$signed({1'b0, a & {%d{w[0]}}})", a)
	if w == 1 {
		last = fmt.Sprintf("-$signed({1'b0, a & {%d{w[0]}}})", a)
	}
	for i := 1; i < w; i++ {
		op := "+"
		if i == w-1 {
			op = "-"
		}
		fmt.Fprintf(&b, "reg signed [%d:0] r%d; always @(posedge clk) r%d <= (%s >>> %d) %s $signed({1'b0, a & {%d{w[%d]}}});\n", a+1, i, i, last, min(i-1, 1), op, a, i)
		if i > 1 {
			fmt.Fprintf(&b, "wire l%d = r%d[0];\n", i-1, i-1)
		} else {
			fmt.Fprintf(&b, "wire l0 = 0;\n")
		}
		last = fmt.Sprintf("r%d", i)
	}
	var low []string
	for i := w - 2; i >= 1; i-- {
		low = append(low, fmt.Sprintf("l%d", i))
	}
	fmt.Fprintf(&b, "always @(posedge clk) y <= {%s};\nendmodule\n", strings.Join(append([]string{last}, low...), ", "))
	return b.String()
}

// dot is PE x SIMD products of w and a bits with adder trees and accumulators.
func dot(pe, simd, w, a int) string {
	var b strings.Builder
	acc := w + a + 8
	fmt.Fprintf(&b, "module %%s(input clk, first, input [%d:0] w, input [%d:0] a, output reg [%d:0] y);\n", pe*simd*w-1, simd*a-1, pe*acc-1)
	wires(&b, "w", "w", pe*simd, w, false)
	wires(&b, "a", "a", simd, a, true)
	for p := range pe {
		var terms []string
		for q := range simd {
			n := fmt.Sprintf("p%d_%d", p, q)
			fmt.Fprintf(&b, "reg signed [%d:0] %s; always @(posedge clk) %s <= w%d * a%d;\n", w+a-1, n, n, p*simd+q, q)
			terms = append(terms, n)
		}
		sum, _ := tree(&b, terms, w+a, fmt.Sprintf("s%d", p))
		fmt.Fprintf(&b, "wire signed [%d:0] z%d = first ? 0 : y[%d:%d];\nalways @(posedge clk) y[%d:%d] <= z%d + %s;\n", acc-1, p, (p+1)*acc-1, p*acc, (p+1)*acc-1, p*acc, p, sum)
	}
	b.WriteString("endmodule\n")
	return b.String()
}

// taken are two products of one DSP slice: weights put together, products taken apart.
func taken(w, a int) string {
	s := w + a
	return fmt.Sprintf(`module %%s(input clk, input signed [%d:0] w0, w1, input [%d:0] a, output reg signed [%d:0] y0, y1);
wire signed [24:0] m = w0 + (w1 <<< %d);
reg signed [42:0] t; always @(posedge clk) t <= m * $signed({1'b0, a});
wire signed [42:0] u = t - $signed(t[%d:0]);
always @(posedge clk) begin y0 <= t[%d:0]; y1 <= u >>> %d; end endmodule
`, w-1, a-1, s-1, s, s-1, s-1, s)
}

// counts is the counting of thresholds of n blocks of channels; with one block they are constants.
func counts(levels, acc, n int) string {
	r := rand.New(rand.NewPCG(uint64(levels), uint64(acc*1000+n)))
	var b strings.Builder
	abits := max(1, ceilLog(n))
	fmt.Fprintf(&b, "module %%s(input clk, input [%d:0] c, input signed [%d:0] x, output reg [%d:0] y);\n", abits-1, acc-1, ceilLog(levels+1)-1)
	memory(&b, "m", n, levels*acc, r)
	var terms []string
	for i := range levels {
		fmt.Fprintf(&b, "(* keep *) wire g%d = x >= $signed(m[%d:%d]);\n", i, (i+1)*acc-1, i*acc)
		terms = append(terms, fmt.Sprintf("g%d", i))
	}
	fmt.Fprintf(&b, "always @(posedge clk) y <= %s;\nendmodule\n", strings.Join(terms, " + "))
	return b.String()
}

func ceilLog(n int) int {
	k := 0
	for 1<<k < n {
		k++
	}
	return k
}

// memory is a constant memory with index c and a register behind it.
func memory(b *strings.Builder, name string, n, w int, r *rand.Rand) {
	word := func() string {
		s := ""
		for i := 0; i < w; i += 4 {
			s += fmt.Sprintf("%x", r.IntN(16))
		}
		return fmt.Sprintf("%d'h%s", w, s)
	}
	if n == 1 {
		fmt.Fprintf(b, "wire [%d:0] %s = %s;\n", w-1, name, word())
		return
	}
	style := "logic"
	if n > LUTDepth {
		style = "block"
	}
	fmt.Fprintf(b, "(* rom_style = \"%s\", ram_style = \"%s\" *) reg [%d:0] mem [0:%d]; initial begin\n", style, style, w-1, n-1)
	for i := range n {
		fmt.Fprintf(b, "mem[%d] = %s;\n", i, word())
	}
	fmt.Fprintf(b, "end\nreg [%d:0] %s; always @(posedge clk) %s <= mem[c];\n", w-1, name, name)
}

func romModel(depth, w int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "module %%s(input clk, input [%d:0] c, output [%d:0] y);\n", max(1, ceilLog(depth))-1, w-1)
	memory(&b, "m", depth, w, rand.New(rand.NewPCG(uint64(depth), uint64(w))))
	b.WriteString("assign y = m;\nendmodule\n")
	return b.String()
}

// ramModel is a line buffer: one port writes, the other reads.
func ramModel(depth, w int) string {
	style := "distributed"
	if depth > LUTDepth {
		style = "block"
	}
	return fmt.Sprintf(`module %%s(input clk, we, input [%d:0] a, b, input [%d:0] x, output reg [%d:0] y);
(* ram_style = "%s" *) reg [%d:0] mem [0:%d];
always @(posedge clk) begin if (we) mem[a] <= x; y <= mem[b]; end endmodule
`, ceilLog(depth)-1, w-1, w-1, style, w-1, depth-1)
}

// fifoModel is a FIFO as the tools make it: a shift register with the place to read, or a memory with two counters.
func fifoModel(depth, w int) string {
	n := max(1, ceilLog(depth))
	head := fmt.Sprintf("module %%s(input clk, rst, push, pull, input [%d:0] x, output %%s[%d:0] y, output empty, full);\nreg [%d:0] k; assign empty = k == 0; assign full = k == %d;\n",
		w-1, w-1, n, depth)
	if srl(depth, w) {
		return fmt.Sprintf(head, "%s", "") + fmt.Sprintf(`wire [%d:0] at = k - 1; always @(posedge clk) if (rst) k <= 0; else k <= k + push - pull;
genvar g; generate for (g = 0; g < %d; g = g + 1) begin : l
reg [%d:0] r; always @(posedge clk) if (push) r <= {r[%d:0], x[g]}; assign y[g] = r[at]; end endgenerate endmodule
`, n-1, w, depth-1, depth-2)
	}
	return fmt.Sprintf(head, "%s", "reg ") + fmt.Sprintf(`(* ram_style = "block" *) reg [%d:0] mem [0:%d]; reg [%d:0] a, b;
always @(posedge clk) begin if (push) mem[a] <= x; y <= mem[b];
if (rst) begin a <= 0; b <= 0; k <= 0; end else begin
if (push) a <= a == %d ? 0 : a + 1; if (pull) b <= b == %d ? 0 : b + 1; k <= k + push - pull; end end endmodule
`, w-1, depth-1, n-1, depth-1, depth-1)
}

// models are all that are compared.
func models() []model {
	var ms []model
	add := func(what, params, verilog string, formula part.Resources) {
		ms = append(ms, model{what, params, verilog, formula})
	}
	for w := 1; w <= 8; w++ {
		for a := 1; a <= 8; a++ {
			add("product in LUTs as yosys makes it of `*`, weight x activation bits", fmt.Sprintf("%dx%d", w, a), fmt.Sprintf(`module %%s(input clk, input signed [%d:0] w, input [%d:0] a, output reg signed [%d:0] y);
wire signed [%d:0] p = w * $signed({1'b0, a}); always @(posedge clk) y <= p; endmodule
`, w-1, a-1, w+a-1, w+a-1), products(1, w, a, 1, true, part.E1))
		}
	}
	for w := 2; w <= 8; w++ {
		for a := 2; a <= 8; a += 2 {
			add("product in LUTs as an array of carry chains, weight x activation bits", fmt.Sprintf("%dx%d", w, a), rows(w, a), products(1, w, a, 1, true, part.E1))
		}
	}
	for _, c := range [][2]int{{2, 8}, {4, 8}, {8, 8}, {16, 8}, {4, 16}, {16, 16}, {32, 12}, {9, 10}} {
		var b strings.Builder
		fmt.Fprintf(&b, "module %%s(input clk, input [%d:0] x, output reg [63:0] y);\n", c[0]*c[1]-1)
		wires(&b, "x", "x", c[0], c[1], false)
		var terms []string
		for i := range c[0] {
			terms = append(terms, fmt.Sprintf("x%d", i))
		}
		sum, _ := tree(&b, terms, c[1], "s")
		fmt.Fprintf(&b, "always @(posedge clk) y <= %s;\nendmodule\n", sum)
		add("adder tree, terms x bits", fmt.Sprintf("%dx%d", c[0], c[1]), b.String(), adders(c[0], c[1]))
	}
	for _, c := range [][3]int{{1, 4, 4}, {2, 4, 4}, {2, 8, 8}, {4, 4, 8}, {1, 16, 8}, {4, 8, 2}} {
		pe, simd, bits := c[0], c[1], c[2]
		// The accumulator has w+a+8 bits.
		f := products(pe*simd, bits, bits, 1, true, part.E1).Add(adders(simd, 2*bits).Times(pe)).Add(part.Resources{LUT: pe * (2*bits + 8)})
		add("dot unit with products in LUTs: with adder trees and accumulators", fmt.Sprintf("PE %d SIMD %d, %dx%d bits", pe, simd, bits, bits), dot(pe, simd, bits, bits), f)
	}
	for _, c := range [][3]int{{1, 4, 8}, {2, 8, 8}, {4, 4, 8}, {1, 16, 8}} { // yosys takes no slices for smaller factors
		pe, simd, bits := c[0], c[1], c[2]
		f := products(pe*simd, bits, bits, 1, false, part.E1).Add(adders(simd, 2*bits).Times(pe)).Add(part.Resources{LUT: pe * (2*bits + 8)})
		add("dot unit with products in DSP slices: with adder trees and accumulators", fmt.Sprintf("PE %d SIMD %d, %dx%d bits", pe, simd, bits, bits), dot(pe, simd, bits, bits), f)
	}
	for _, c := range [][2]int{{4, 4}, {5, 5}, {6, 6}, {8, 8}, {4, 8}} {
		add("two products in a DSP slice, weight x activation bits", fmt.Sprintf("%dx%d", c[0], c[1]), taken(c[0], c[1]), products(2, c[0], c[1], 2, false, part.E1))
	}
	for _, levels := range []int{1, 3, 7, 15} {
		for _, acc := range []int{8, 12, 16} {
			for _, n := range []int{1, 16, 64} {
				t := &hw.Thresholds{Hi: int64(levels), T: [][]int64{make([]int64, levels)}}
				t.T[0][0] = signed(acc).Lo
				t.T[0][levels-1] = max(signed(acc).Hi, t.T[0][0])
				if levels == 1 {
					t.T[0][0] = signed(acc).Lo
				}
				if n > 1 {
					t.T = append(t.T, t.T[0])
				}
				add("counting of thresholds, levels x accumulator bits x blocks of channels", fmt.Sprintf("%dx%dx%d", levels, acc, n), counts(levels, acc, n), counted(t, signed(acc), n))
			}
		}
	}
	for _, c := range [][2]int{{16, 8}, {32, 16}, {64, 8}, {64, 32}, {128, 16}, {256, 8}, {512, 36}, {1024, 18}, {2048, 8}, {4608, 32}} {
		add("ROM, words x bits", fmt.Sprintf("%dx%d", c[0], c[1]), romModel(c[0], c[1]), rom(c[0], c[1]))
	}
	for _, c := range [][2]int{{16, 12}, {32, 12}, {64, 12}, {96, 12}, {128, 24}, {256, 8}, {512, 32}, {768, 64}, {1024, 18}, {2048, 8}, {4096, 4}} {
		add("RAM that is written and read, words x bits", fmt.Sprintf("%dx%d", c[0], c[1]), ramModel(c[0], c[1]), ram(c[0], c[1]))
	}
	for _, c := range [][2]int{{2, 8}, {2, 64}, {16, 8}, {16, 32}, {32, 8}, {32, 32}, {64, 8}, {64, 32}, {128, 16}, {256, 8}, {256, 32}, {512, 32}, {1024, 32}, {3072, 8}} {
		ch := &Channel{Depth: c[0], Lanes: 1, Range: hw.Interval{Hi: 1<<c[1] - 1}}
		if c[1] >= 62 { // a word of two elements
			ch.Lanes, ch.Range = 2, hw.Interval{Hi: 1<<(c[1]/2) - 1}
		}
		add("FIFO, words x bits", fmt.Sprintf("%dx%d", c[0], c[1]), fifoModel(c[0], c[1]), ch.Resources())
	}
	return ms
}

// yosysScript is what is run: every model is a module, which top has once. Modules are flat and stay apart.
const yosysScript = "synth_xilinx -family xc7 -noiopad -noclkbuf -top top; stat"

// lutCells are the LUTs that cells other than LUT1 to LUT6 take. Two SRL16 fit one LUT (UG474), which is left to the placer.
var lutCells = map[string]float64{"INV": 0, "SRL16E": 0.5, "SRLC32E": 1, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM64X1S": 1, "RAM128X1S": 2, "RAM256X1S": 4}

var cellLine = regexp.MustCompile(`(?m)^\s+([A-Z][A-Z0-9_]*)\s+(\d+)\s*$`)

// synthesize counts the cells of each model.
func synthesize(t *testing.T, ms []model) []part.Resources {
	t.Helper()
	dir := t.TempDir()
	var v strings.Builder
	top := "module top;\n"
	for i := range ms {
		name := fmt.Sprintf("m%d_", i)
		fmt.Fprintf(&v, ms[i].verilog, name)
		top += fmt.Sprintf("(* keep *) %s i%d();\n", name, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "models.v"), []byte(v.String()+top+"endmodule\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	script := yosysScript
	if strings.Contains(ms[0].what, " in LUTs") {
		script = strings.Replace(script, "synth_xilinx", "synth_xilinx -nodsp", 1)
	}
	cmd := exec.Command("yosys", "-p", "read_verilog models.v; "+script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: yosys: %v\n%s", ms[0].what, err, out[max(0, len(out)-2000):])
	}
	_, stat, _ := bytes.Cut(out[bytes.LastIndex(out, []byte("Printing statistics.")):], []byte("\n"))
	rs := make([]part.Resources, len(ms))
	for i := range ms {
		_, text, ok := bytes.Cut(stat, fmt.Appendf(nil, "=== m%d_ ===", i))
		text, _, _ = bytes.Cut(text, []byte("==="))
		if !ok {
			t.Fatalf("no statistics of %s %s", ms[i].what, ms[i].params)
		}
		rs[i] = cells(t, text)
	}
	return rs
}

// cells adds up the statistics of a module.
func cells(t *testing.T, text []byte) part.Resources {
	t.Helper()
	r, luts := part.Resources{}, 0.0
	for _, m := range cellLine.FindAllSubmatch(text, -1) {
		n, _ := strconv.Atoi(string(m[2]))
		switch name := string(m[1]); {
		case strings.HasPrefix(name, "LUT"):
			luts += float64(n)
		case strings.HasPrefix(name, "FD"):
			r.FF += n
		case name == "DSP48E1":
			r.DSP += n
		case name == "RAMB18E1":
			r.BRAM18 += n
		case name == "RAMB36E1":
			r.BRAM18 += 2 * n
		case strings.HasPrefix(name, "RAM") || strings.HasPrefix(name, "SRL"):
			per, ok := lutCells[name]
			if !ok {
				t.Fatalf("cell %s is not known", name)
			}
			luts += per * float64(n)
		}
	}
	r.LUT = int(math.Ceil(luts))
	return r
}

// row is a line of the table.
func (m *model) row(y part.Resources) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d |\n", m.params, y.LUT, m.formula.LUT, y.FF, y.DSP, m.formula.DSP, y.BRAM18, m.formula.BRAM18)
}

var rowLine = regexp.MustCompile(`(?m)^\| (\S.*?) \| (\d+) \| \d+ \| (\d+) \| (\d+) \| \d+ \| (\d+) \| \d+ \|$`)

// TestYosys: the table of yosys' counts belongs to the formulas as they are. QUERN_YOSYS runs yosys anew for the sections that it matches,
// and QUERN_UPDATE=1 writes the table, with the counts that it has or new ones.
func TestYosys(t *testing.T) {
	old, err := os.ReadFile(yosysTable)
	if err != nil && os.Getenv("QUERN_YOSYS") == "" {
		t.Fatal(err)
	}
	version := ""
	counted := map[string]part.Resources{}
	section := ""
	for line := range strings.Lines(string(old)) {
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(strings.TrimSpace(s), ":")
		}
		if v, ok := strings.CutPrefix(line, "Yosys "); ok {
			version = strings.TrimSpace(v)
		}
		if m := rowLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			var n [4]int
			for i := range n {
				n[i], _ = strconv.Atoi(m[2+i])
			}
			counted[section+m[1]] = part.Resources{LUT: n[0], FF: n[1], DSP: n[2], BRAM18: n[3]}
		}
	}
	ms := models()
	if os.Getenv("QUERN_YOSYS") != "" {
		out, err := exec.Command("yosys", "-V").Output()
		if err != nil {
			t.Fatal(err)
		}
		version = strings.TrimPrefix(strings.TrimSpace(string(out)), "Yosys ")
		run, err := regexp.Compile(os.Getenv("QUERN_YOSYS"))
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(ms); {
			end := at
			for end < len(ms) && ms[end].what == ms[at].what {
				end++
			}
			if run.MatchString(ms[at].what) {
				for i, r := range synthesize(t, ms[at:end]) {
					key, _, _ := strings.Cut(ms[at].what, ":")
					counted[key+ms[at+i].params] = r
				}
			}
			at = end
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, yosysHead, version, yosysScript)
	section = ""
	var body strings.Builder
	worst, logs, n := 0.0, 0.0, 0
	flush := func() {
		if section != "" {
			fmt.Fprintf(&b, "\n## %s\n\nLUTs by formula over LUTs by yosys: geometric mean %.2f, farthest %.2f.\n\n%s%s", section, math.Exp(logs/float64(max(n, 1))), math.Exp(worst), yosysColumns, body.String())
		}
		body.Reset()
		worst, logs, n = 0, 0, 0
	}
	for i := range ms {
		m := &ms[i]
		key, _, _ := strings.Cut(m.what, ":")
		y, ok := counted[key+m.params]
		if !ok && os.Getenv("QUERN_YOSYS") != "" {
			continue
		}
		if !ok {
			t.Fatalf("%s: no count of %s %s; QUERN_YOSYS=. QUERN_UPDATE=1 makes it", yosysTable, key, m.params)
		}
		if m.what != section {
			flush()
			section = m.what
		}
		body.WriteString(m.row(y))
		if y.LUT > 0 && m.formula.LUT > 0 {
			e := math.Log(float64(m.formula.LUT) / float64(y.LUT))
			logs += e
			n++
			if math.Abs(e) > math.Abs(worst) {
				worst = e
			}
		}
	}
	flush()
	if os.Getenv("QUERN_UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(yosysTable), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(yosysTable, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if b.String() != string(old) {
		t.Errorf("%s is not of these formulas; QUERN_UPDATE=1 writes it", yosysTable)
	}
}

const yosysColumns = "| | LUT yosys | LUT formula | FF yosys | DSP yosys | DSP formula | BRAM18 yosys | BRAM18 formula |\n|---|---|---|---|---|---|---|---|\n"

const yosysHead = `# Estimates of resources against yosys

What ir/hw/stream/resources.go estimates, against synthesis of Verilog models of the parts of a stage. yosys is not Vivado: it says
whether a formula has the right form and size. Its LUTs are those before two small functions are put into one LUT. Made by

    QUERN_YOSYS=. QUERN_UPDATE=1 go test -run TestYosys ./ir/hw/stream

Yosys %s

    %s

with -nodsp for products in LUTs. LUTs include shift registers (two SRL16 in a LUT, an SRL32 in one, UG474) and LUT RAM (four LUTs for a RAM32M or RAM64M); a RAMB36 is two
BRAM18. Weights are signed, activations are not.
`
