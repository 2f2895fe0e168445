package dataflow

import (
	"fmt"

	"quern/ir/hw/stream"
)

// reference times a network as Time says, but cycle by cycle and with all stages in each.
func reference(d *stream.Design, runs int) (*Timing, error) {
	t := &Timing{Stages: make([]Activity, len(d.Stages)), Marks: make([]int, len(d.Channels))}
	f := newRefFIFOs(d)
	var procs []*refProc
	stores := 0
	for i, s := range d.Stages {
		procs = append(procs, &refProc{s: s, cur: s.Cursor(), runs: runs, pipe: make([]slot, s.Latency()), act: &t.Stages[i]})
		if s.Kind == stream.Store {
			stores++
		}
	}
	ended := make([]int, runs) // stores that are through with a run
	var ends []int
	for cycle := 1; ; cycle++ {
		moved, atRest := false, true
		for _, p := range procs {
			atRest = atRest && p.runs == 0 && p.live == 0
		}
		if atRest {
			break
		}
		for _, p := range procs {
			m, out := p.cycle(f)
			moved = moved || m
			if !out || p.s.Kind != stream.Store {
				continue
			}
			if t.First == 0 {
				t.First = cycle
			}
			if p.out%p.s.Iterations() == 0 {
				r := p.out/p.s.Iterations() - 1
				if ended[r]++; ended[r] == stores {
					ends = append(ends, cycle)
				}
			}
		}
		f.settle(t.Marks)
		if !moved {
			e := &Deadlock{Cycle: cycle}
			for _, p := range procs {
				if w := p.waits(f); w != "" {
					e.Wait = append(e.Wait, w)
				}
			}
			return nil, e
		}
	}
	t.Latency = ends[0]
	t.Interval = ends[runs-1]
	if runs > 1 {
		t.Interval -= ends[runs-2]
	}
	return t, nil
}

// refFIFOs are the words in each channel at the start of a clock cycle, and what happens to them in it.
type refFIFOs struct {
	d          *stream.Design
	words      []int
	depth      []int
	push, pull []bool
	touched    []int
}

func newRefFIFOs(d *stream.Design) *refFIFOs {
	n := len(d.Channels)
	f := &refFIFOs{d: d, words: make([]int, n), depth: make([]int, n), push: make([]bool, n), pull: make([]bool, n)}
	for i, c := range d.Channels {
		f.depth[i] = c.Depth
	}
	return f
}

// settle ends a clock cycle and notes the most words.
func (f *refFIFOs) settle(marks []int) {
	for _, i := range f.touched {
		if f.push[i] {
			f.words[i]++
		}
		if f.pull[i] {
			f.words[i]--
		}
		f.push[i], f.pull[i] = false, false
		marks[i] = max(marks[i], f.words[i])
	}
	f.touched = f.touched[:0]
}

// slot is one step of a pipeline.
type slot struct {
	live  bool
	write uint32
}

// refProc is a stage at work.
type refProc struct {
	s    *stream.Stage
	cur  stream.Cursor
	runs int // still to begin, this one included
	i    int // iterations begun in this run
	next stream.Step
	have bool // next is the iteration to begin
	out  int  // iterations ended, over all runs
	pipe []slot
	pos  int
	live int
	wait int // clock cycles until the next run may begin, counted when the pipeline is empty
	act  *Activity
}

// cycle is one clock cycle; moved says that something changed, out that an iteration ended.
func (p *refProc) cycle(f *refFIFOs) (moved, out bool) {
	head := &p.pipe[p.pos]
	if head.live {
		for i, c := range p.s.Out {
			if head.write>>i&1 != 0 && f.words[c.ID] >= f.depth[c.ID] {
				p.act.Blocked++
				return false, false
			}
		}
		for i, c := range p.s.Out {
			if head.write>>i&1 != 0 {
				f.push[c.ID] = true
				f.touched = append(f.touched, c.ID)
			}
		}
		out = true
		p.out++
		p.live--
	}
	moved = out || p.live > 0
	*head = slot{}
	switch {
	case p.wait > 0:
		if p.live == 0 {
			p.wait--
			moved = true
		}
	case p.runs > 0:
		if !p.have {
			p.next, p.have = p.cur.Next(), true
		}
		if !p.ready(f) {
			p.act.Starved++
			break
		}
		for i, c := range p.s.In {
			if p.next.Read>>i&1 != 0 {
				f.pull[c.ID] = true
				f.touched = append(f.touched, c.ID)
			}
		}
		*head = slot{true, p.next.Write}
		p.have, moved = false, true
		p.act.Busy++
		p.live++
		if p.i++; p.i == p.s.Iterations() {
			p.i, p.wait, p.cur = 0, restart, p.s.Cursor()
			p.runs--
		}
	}
	if p.pos++; p.pos == len(p.pipe) {
		p.pos = 0
	}
	return moved, out
}

// ready reports whether the words that the next iteration reads are there.
func (p *refProc) ready(f *refFIFOs) bool {
	for i, c := range p.s.In {
		if p.next.Read>>i&1 != 0 && f.words[c.ID] == 0 {
			return false
		}
	}
	return true
}

// waits says what an unfinished stage waits for.
func (p *refProc) waits(f *refFIFOs) string {
	if head := p.pipe[p.pos]; head.live {
		for i, c := range p.s.Out {
			if head.write>>i&1 != 0 && f.words[c.ID] >= f.depth[c.ID] {
				return fmt.Sprintf("%s for a place in %s (depth %d)", p.s.Name, c.Name, c.Depth)
			}
		}
	}
	for i, c := range p.s.In {
		if p.runs > 0 && p.have && p.next.Read>>i&1 != 0 && f.words[c.ID] == 0 {
			return fmt.Sprintf("%s for a word of %s", p.s.Name, c.Name)
		}
	}
	return ""
}
