package hls

import (
	"fmt"
	"strings"

	"quern/ir/hw"
)

// place is where a scalar program runs: the inputs' expressions with their types, and the output element it computes.
type place struct {
	in             []string
	inType         []ctype
	channel, pixel affine
}

// scalar prints the steps of a kernel's program, one line each, and returns the result with its type. Each variable is an int32_t where
// its proved range fits, else an int64_t; steps that do not reach the result are left out.
func (e *c99) scalar(w *writer, k *hw.Kernel, at place) (string, ctype) {
	p := k.Prog
	live := liveValues(p)
	for i, r := range p.In {
		if live[i] {
			w.line("const %v v%d = %s; /* %v */", scalar(r), i, assign(at.in[i], at.inType[i], scalar(r)), r)
		}
	}
	for i := range p.Code {
		if n := len(p.In) + i; live[n] {
			s := &p.Code[i]
			expr, t := e.step(k, n, s, at)
			w.line("const %v v%d = %s; /* %v */", scalar(s.Range), n, assign(expr, t, scalar(s.Range)), s.Range)
		}
	}
	return fmt.Sprintf("v%d", p.Last()), scalar(p.Out())
}

// liveValues marks the values that the result depends on.
func liveValues(p *hw.Prog) []bool {
	live := make([]bool, p.Last()+1)
	live[p.Last()] = true
	for i := len(p.Code) - 1; i >= 0; i-- {
		if s := &p.Code[i]; live[len(p.In)+i] {
			live[s.A] = true
			if hw.Prims[s.Prim].Args == 2 {
				live[s.B] = true
			}
		}
	}
	return live
}

// step is the expression of a step and its type: the C spelling of its row in hw.Prims.
func (e *c99) step(k *hw.Kernel, n int, s *hw.Instr, at place) (string, ctype) {
	row := &hw.Prims[s.Prim]
	ra := k.Prog.Range(s.A)
	a := fmt.Sprintf("v%d", s.A)
	if s.Prim == hw.Lut {
		t := e.table(k, fmt.Sprintf("_v%d", n), []int{len(s.Table)}, s.Table,
			fmt.Sprintf("table of v%d, from v%d = %d", n, s.A, s.Imm.V[0]))
		return strings.NewReplacer("{t}", t.name, "{a}", a, "{i}", literal(s.Imm.V[0])).Replace(row.C), t.elem
	}
	imm, immRange, immType := "", hw.Interval{}, i32
	if row.Imm != hw.NoImm {
		immRange = s.Imm.Bounds()
		imm, immType = e.immediate(k, n, s, at)
	}
	if strings.HasPrefix(row.C, "q_") { // functions of int64_t; a shift or width is an int
		b := fmt.Sprintf("v%d", s.B)
		return strings.NewReplacer("{a}", a, "{b}", b, "{i}", imm).Replace(row.C), i64
	}
	// An operator: 32-bit arithmetic where operands and result fit, else every operand is widened.
	t := i32
	if !i32.holds(ra) || !i32.holds(s.Range) || !i32.holds(immRange) || row.Args == 2 && !i32.holds(k.Prog.Range(s.B)) {
		t = i64
	}
	a = operand(a, scalar(ra), t)
	b := ""
	if row.Args == 2 {
		b = operand(fmt.Sprintf("v%d", s.B), scalar(k.Prog.Range(s.B)), t)
	}
	if row.Imm != hw.NoImm {
		if len(s.Imm.V) > 1 {
			imm = operand(imm, immType, t)
		} else if immRange.Lo < 0 && !strings.HasPrefix(imm, "(") {
			imm = "(" + imm + ")"
		}
	}
	return strings.NewReplacer("{a}", a, "{b}", b, "{i}", imm).Replace(row.C), t
}

// immediate is a literal, or an element of a table by channel or pixel.
func (e *c99) immediate(k *hw.Kernel, n int, s *hw.Instr, at place) (string, ctype) {
	if len(s.Imm.V) == 1 {
		return literal(s.Imm.V[0]), scalar(s.Imm.Bounds())
	}
	word, index := "channel", at.channel
	if s.Imm.By == hw.ByPixel {
		word, index = "pixel", at.pixel
	}
	t := e.table(k, fmt.Sprintf("_v%d", n), []int{len(s.Imm.V)}, s.Imm.V, fmt.Sprintf("%v of v%d, one for each %s", s.Prim, n, word))
	return fmt.Sprintf("%s[%v]", t.name, index), t.elem
}

// needsIndex reports whether a program has numbers by channel or by pixel.
func needsIndex(p *hw.Prog) bool {
	for i := range p.Code {
		if len(p.Code[i].Imm.V) > 1 {
			return true
		}
	}
	return false
}
