package hls

import (
	"fmt"
	"math/big"
	"strings"

	"quern/ir/hw"
	"quern/ir/hw/stream"
)

// rom is a constant memory of weights.h.
type rom struct {
	name, elem string
	dims       []int
	text       func(index []int) string
	note       string
}

// rom adds a memory of a stage.
func (s *streamer) rom(st *stream.Stage, suffix, elem string, dims []int, text func(index []int) string, note string) *rom {
	r := &rom{s.ids.pick(s.fns[st], suffix), elem, dims, text, note}
	s.roms = append(s.roms, r)
	return r
}

// channelROM is a memory of numbers by channel: [lane][block].
func (s *streamer) channelROM(st *stream.Stage, suffix string, v []int64, lanes int, note string) *rom {
	r := (hw.Vec{V: v}).Bounds()
	return s.rom(st, suffix, apType(r), []int{lanes, len(v) / lanes}, func(i []int) string {
		return literal(v[i[1]*lanes+i[0]])
	}, fmt.Sprintf("%s, by lane and block; %v in %d..%d", note, r, r.Lo, r.Hi))
}

// lutROM is the table of a lut step.
func (s *streamer) lutROM(st *stream.Stage, n int, c *hw.Instr) *rom {
	return s.rom(st, fmt.Sprintf("_v%d", n), apType((hw.Vec{V: c.Table}).Bounds()), []int{len(c.Table)},
		func(i []int) string { return literal(c.Table[i[0]]) }, fmt.Sprintf("table of v%d, from v%d = %d", n, c.A, c.Imm.V[0]))
}

// packed is a word of n numbers of so many bits, the first lowest: a number up to 64 bits, else a string of hexadecimal digits, which the
// tools' types take as well.
func packed(bits, n int, at func(i int) int64) string {
	var v big.Int
	mask := new(big.Int).SetUint64(1<<bits - 1)
	if bits == 64 {
		mask.SetUint64(^uint64(0))
	}
	for i := n - 1; i >= 0; i-- {
		v.Lsh(&v, uint(bits))
		x := new(big.Int).SetUint64(uint64(at(i)))
		v.Or(&v, x.And(x, mask))
	}
	if bits*n > 64 {
		return fmt.Sprintf("\"0x%x\"", &v)
	}
	return fmt.Sprintf("0x%xULL", &v)
}

// partitioned splits the first axis of a memory into one for each lane.
func (w *writer) partitioned(r *rom, dim int) {
	if r.dims[dim-1] > 1 {
		w.partition(r.name, "complete", r.dims[dim-1], dim)
	}
}

// romStorage says what a memory is made of.
func (w *writer) romStorage(r *rom) {
	impl, core := "bram", "ROM_1P_BRAM"
	if r.dims[len(r.dims)-1] <= stream.LUTDepth {
		impl, core = "lutram", "ROM_1P_LUTRAM"
	}
	w.raw("#ifdef __VITIS_HLS__")
	w.raw("#pragma HLS BIND_STORAGE variable=%s type=rom_1p impl=%s", r.name, impl)
	w.raw("#else")
	w.raw("#pragma HLS RESOURCE variable=%s core=%s", r.name, core)
	w.raw("#endif")
}

// weights prints weights.h.
func (s *streamer) weights() []byte {
	w := &writer{}
	s.head(w, "weights.h: weights, biases, multipliers and tables.")
	w.guard(strings.ToUpper(s.o.Top) + "_WEIGHTS_H")
	w.raw("#include \"stream.h\"")
	for _, r := range s.roms {
		w.raw("")
		w.line("/* %s */", comment(r.note))
		w.line("static const %s %s%s = {", r.elem, r.name, brackets(r.dims))
		w.depth++
		w.romRows(r, nil)
		w.depth--
		w.line("};")
	}
	w.raw("")
	w.raw("#endif")
	return w.Bytes()
}

func (w *writer) romRows(r *rom, index []int) {
	d := len(index)
	n := r.dims[d]
	if d < len(r.dims)-1 {
		for i := range n {
			w.line("{")
			w.depth++
			w.romRows(r, append(index, i))
			w.depth--
			w.line("},")
		}
		return
	}
	line := ""
	for i := range n {
		t := r.text(append(index, i)) + ","
		if line != "" && len(line)+1+len(t) > 120-4*w.depth {
			w.line("%s", line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += t
	}
	w.line("%s", line)
}
