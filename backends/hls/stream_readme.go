package hls

import (
	"fmt"
	"strconv"

	"quern/ir/hw"
	"quern/ir/hw/part"
	"quern/ir/hw/stream"
)

// about describes the interface and the timing.
func (s *streamer) about(p printf) {
	p("    %s\n", s.streamSignature())
	p("Every port is an AXI4-Stream. The AXI4-Lite slave `control` starts the function and tells when it is done (ap_start at address 0, bit 0;")
	p("ap_done bit 1, ap_idle bit 2, ap_ready bit 3, auto_restart bit 7; interrupts at 4, 8 and 12): one start is one sample, and the next may")
	p("come as soon as ap_ready is 1, while the last one is still on its way. Set auto_restart to run on samples as they come.\n")
	p("The numbers of a sample go through the port in row-major order, channels last. A word has several of them, the first in the lowest")
	p("bits, without gaps; the bits above are 0 at outputs and not looked at at inputs. TLAST is 1 with the last word of a sample at outputs and")
	p("not looked at at inputs; TKEEP and TSTRB are all ones at outputs. There is no order between the ports.\n")
	t := s.o.Timing
	if t == nil {
		return
	}
	slow := s.d.Slowest()
	us := func(cycles int) string { return fmt.Sprintf("%.4g us", float64(cycles)*s.o.ClockNS/1e3) }
	p("### Timing\n")
	p("Clock cycles of quern's cycle simulation, with ports that are never empty or full; no tool has synthesized it.\n")
	p("| | clock cycles | at %v ns |", s.o.ClockNS)
	p("|---|---|---|")
	p("| first word at an output | %d | %s |", t.First, us(t.First))
	p("| latency of a sample | %d | %s |", t.Latency, us(t.Latency))
	p("| interval between samples | %d | %.4g samples per second |", t.Interval, 1e9/s.o.ClockNS/float64(t.Interval))
	p("| iterations of the slowest stage, `%s` | %d | |\n", s.fns[slow], slow.Iterations())
}

// portStage is the stage of a port.
func (s *streamer) portStage(b *hw.Buffer) *stream.Stage {
	in, out := s.ports()
	for _, st := range append(in, out...) {
		if st.Port == b {
			return st
		}
	}
	panic("hls: no stage for port " + b.Name)
}

// portType is the type of a port, and the form of its words.
func (s *streamer) portType(b *hw.Buffer) (string, []string) {
	st := s.portStage(b)
	lanes := b.Len() / st.Iterations()
	place := ""
	if lanes > 1 {
		place = fmt.Sprintf(": element i of the sample is in word i / %d, from bit %d * (i %% %d) on", lanes, b.Range.Bits(), lanes)
	}
	return fmt.Sprintf("AXI4-Stream, TDATA of %d bits", axisBits(st)),
		[]string{fmt.Sprintf("%d words of %d x %d bits (%v)%s.", st.Iterations(), lanes, b.Range.Bits(), b.Range, place)}
}

// layers is the table of stages with their estimates, and that of FIFOs.
func (s *streamer) layers(p printf) {
	d, err := part.Find(s.o.Part)
	slice := part.E1
	if err == nil {
		slice = d.Slice
	}
	p("## Stages\n")
	p("Stages are loops with an initiation interval of 1, all at work at the same time. Resources are estimates by formula, not those of a")
	p("synthesis.\n")
	p("| function | from | kind | folding | iterations | output | accumulator | weights | multiply-accumulates | LUT | FF | DSP | BRAM18 |")
	p("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, st := range s.d.Stages {
		from, fold, acc, weights, macs := "", "", "", "", ""
		if st.Kernel != nil {
			from, fold = code(st.Kernel.Pos.String()), st.Fold.String()
			if st.Kind != stream.Slide {
				acc, weights, macs = arithmetic(st.Kernel)
			}
		}
		out := ""
		for i, c := range st.Out {
			if i > 0 {
				out += ", "
			}
			out += fmt.Sprintf("%d x %v", c.Lanes, c.Range)
		}
		r := st.Resources(slice)
		p("| %s | %s | %v | %s | %d | %s | %s | %s | %s | %d | %d | %d | %d |", s.fns[st], from, st.Kind, fold, st.Iterations(), out, acc, weights, macs,
			r.LUT, r.FF, r.DSP, r.BRAM18)
	}
	fifos, bits := part.Resources{}, 0
	for _, c := range s.d.Channels {
		fifos, bits = fifos.Add(c.Resources()), bits+c.Depth*c.Width()
	}
	row := func(name string, r part.Resources) {
		p("| %s | | | | | | | | | %d | %d | %d | %d |", name, r.LUT, r.FF, r.DSP, r.BRAM18)
	}
	row(strconv.Itoa(len(s.d.Channels))+" FIFOs", fifos)
	row("all", s.d.Resources(slice))
	if err == nil {
		row(d.Name+" has", d.Resources)
	}
	p("\nPE is the number of output channels side by side, SIMD that of input elements for each of them; LUT: multipliers of LUTs instead of DSP")
	p("slices; THR: results are counted by thresholds that the accumulator reaches, instead of a multiplication and a shift. %d multiply-accumulates for one sample. A type such as i21 is the narrowest signed one that holds the proved range (u: unsigned).\n", s.p.MACs())
	p("## FIFOs\n")
	p("| FIFO | from | to | word | words of a sample | depth |")
	p("|---|---|---|---|---|---|")
	for _, c := range s.d.Channels {
		p("| %s | %s | %s | %d x %v | %d | %d |", s.chs[c], s.fns[c.From], s.fns[c.To], c.Lanes, c.Range, c.Words, c.Depth)
	}
	p("\n%d bits in all. The depths are the most words that cycle simulation found in each; with fewer words a branch may stand still or wait.", bits)
}

// describe adds to the manifest what belongs to a stream design.
func (s *streamer) describe(m *manifest) {
	ms := &manifestStream{Folding: s.d.Folding(), Timing: s.o.Timing}
	if d, err := part.Find(s.o.Part); err == nil {
		r := s.d.Resources(d.Slice)
		ms.Estimate = &r
	}
	for _, st := range s.d.Stages {
		j := manifestStage{Name: s.fns[st], Kind: st.Kind.String(), Iterations: st.Iterations()}
		if st.Kernel != nil {
			j.Kernel = st.Kernel.Name
		}
		if st.Thresholds != nil {
			j.Thresholds = st.Thresholds.Levels()
		}
		ms.Stages = append(ms.Stages, j)
	}
	for _, c := range s.d.Channels {
		ms.Channels = append(ms.Channels, manifestChannel{s.chs[c], s.fns[c.From], s.fns[c.To], c.Lanes, c.Width(), c.Words, c.Depth})
	}
	m.manifestStream = ms
	for _, ports := range []struct {
		bufs []*hw.Buffer
		to   []manifestPort
	}{{s.p.Inputs, m.Inputs}, {s.p.Outputs, m.Outputs}} {
		for i, b := range ports.bufs {
			st := s.portStage(b)
			ports.to[i].Lanes, ports.to[i].Words, ports.to[i].TData = b.Len()/st.Iterations(), st.Iterations(), axisBits(st)
		}
	}
}
