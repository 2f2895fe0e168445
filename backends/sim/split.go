package sim

import (
	"slices"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// chain is a kernel in two steps: the second is a Map of what the first leaves in a buffer of the simulator's own.
type chain [2]runner

func (c *chain) run(s *State) {
	c[0].run(s)
	c[1].run(s)
}

// split takes kernels apart whose program's end is native code of its own, and gives the parts of each kernel: a lookup, with all that
// is computed from the value before it, is a table (see prepareTable), and a largest element needs no program to be found. The program q
// gets the parts and their buffers.
func split(p *hw.Program, level kernels.Level) (q *hw.Program, parts [][]*hw.Kernel) {
	q = &hw.Program{Buffers: slices.Clone(p.Buffers)}
	for _, k := range p.Kernels {
		ks := []*hw.Kernel{k}
		if v := cut(k, level); v >= 0 {
			in, n := k.Prog.In, v+1-len(k.Prog.In)
			b := q.NewBuffer("", k.Out.Shape, k.Prog.Range(v))
			first, rest := *k, hw.Kernel{Name: k.Name, Kind: hw.KMap, In: []*hw.Buffer{b}, Out: k.Out, Prog: hw.NewProg(b.Range)}
			first.Out, first.Prog = b, &hw.Prog{In: in, Code: k.Prog.Code[:n]}
			for _, s := range k.Prog.Code[n:] {
				s.A, s.B = s.A-v, max(s.B-v, 0) // B of one argument is 0
				rest.Prog.Code = append(rest.Prog.Code, s)
			}
			ks = []*hw.Kernel{&first, &rest}
		}
		q.Kernels = append(q.Kernels, ks...)
		parts = append(parts, ks)
	}
	return q, parts
}

// cut is the value of 16 bits at most, the first there is, that a kernel's program is cut at; -1 is none.
func cut(k *hw.Kernel, level kernels.Level) int {
	p := k.Prog
	if p == nil || len(p.Code) == 0 {
		return -1
	}
	narrow := func(v int) bool { r := p.Range(v); return r.Hi-r.Lo < 1<<16 }
	if k.Window != nil && k.Window.Reduce == hw.ReduceMax {
		if level != kernels.Generic && narrow(0) {
			return 0
		}
		return -1
	}
	for v := range p.Last() {
		if !narrow(v) || !tail(p, v) {
			continue
		}
		if v >= len(p.In) {
			return v
		}
		if k.Kind == hw.KMap {
			return -1 // a table already
		}
	}
	return -1
}

// tail reports whether the steps after a value are a function of it alone, the same for all channels and pixels, with a lookup.
func tail(p *hw.Prog, v int) bool {
	if v < len(p.In)-1 {
		return false
	}
	rest := hw.Prog{In: p.In[:1], Code: p.Code[v+1-len(p.In):]}
	for i := range rest.Code {
		s := &rest.Code[i]
		if s.A < v || hw.Prims[s.Prim].Args == 2 && s.B < v {
			return false
		}
	}
	return single(&rest) && lookup(&rest)
}
