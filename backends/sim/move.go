package sim

import (
	"cmp"
	"slices"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// moved is a Move into elements of type Y, of sources of any type.
type moved[Y kernels.Int] struct {
	k      *hw.Kernel
	out    *layout
	in     []*layout
	delta  []int64 // by source: what its stored elements lack
	blocks []block
	lines
}

func (m *Machine) prepareMove(k *hw.Kernel) runner {
	if m.shares(k) {
		m.same[k.Out.ID] = m.same[k.In[0].ID]
		return nothing{}
	}
	switch m.layouts[k.Out.ID].kind {
	case u8:
		return newMoved[uint8](m, k)
	case i16:
		return newMoved[int16](m, k)
	}
	return newMoved[int64](m, k)
}

// shares reports whether a Move gives its only input another shape, so that both are the same memory.
func (m *Machine) shares(k *hw.Kernel) bool {
	in, out := &m.layouts[k.In[0].ID], &m.layouts[k.Out.ID]
	if len(k.In) > 1 || k.Move.Filled || in.border() || out.border() || in.kind != out.kind || in.zero != out.zero {
		return false
	}
	b := blocks(k.Move, []*layout{in}, out)
	return len(b) == 1 && b[0] == block{dim: [3]dim{{k.In[0].Len(), 1, 1}, {n: 1}, {n: 1}}} && k.In[0].Len() == k.Out.Len()
}

func newMoved[Y kernels.Int](m *Machine, k *hw.Kernel) *moved[Y] {
	r := &moved[Y]{k: k, out: &m.layouts[k.Out.ID]}
	r.lines, _ = newLines(r.out)
	for _, b := range k.In {
		l := &m.layouts[b.ID]
		r.in, r.delta = append(r.in, l), append(r.delta, l.zero-r.out.zero)
	}
	r.blocks = blocks(k.Move, r.in, r.out)
	return r
}

func (r *moved[Y]) run(s *State) {
	y := cellsOf[Y](&s.bufs[r.k.Out.ID])
	if r.k.Move.Filled {
		n := r.width * r.out.c
		for row := range r.rows {
			fill(y[r.from(r.out, row):][:n], Y(r.k.Move.Fill-r.out.zero))
		}
	}
	for i := range r.blocks {
		b := &r.blocks[i]
		x := &s.bufs[r.k.In[b.src].ID]
		switch r.in[b.src].kind {
		case u8:
			copyBlock(b, r.out.level, y, x.u8, Y(r.delta[b.src]))
		case i16:
			copyBlock(b, r.out.level, y, x.i16, Y(r.delta[b.src]))
		default:
			copyBlock(b, r.out.level, y, x.i64, Y(r.delta[b.src]))
		}
	}
}

func fill[Y kernels.Int](y []Y, v Y) {
	y[0] = v
	for n := 1; n < len(y); n *= 2 {
		copy(y[n:], y[:n])
	}
}

// block is three nested loops of copies between places in memory, the innermost first.
type block struct {
	src, from, to int
	dim           [3]dim
}

// dim is one loop: how often, and how far it goes in the source and in the output.
type dim struct{ n, from, to int }

// copyBlock copies with a sum on the way, modulo the bits of Y.
func copyBlock[Y, X kernels.Int](b *block, level kernels.Level, y []Y, x []X, delta Y) {
	in, mid := b.dim[0], b.dim[1]
	for i := range b.dim[2].n {
		from, to := b.from+i*b.dim[2].from, b.to+i*b.dim[2].to
		if in.from == 1 && in.to == 1 {
			kernels.CopyRows(level, y, x, kernels.Rows{N: in.n, Count: mid.n, From: from, FromStep: mid.from, To: to, ToStep: mid.to}, delta)
			continue
		}
		for range mid.n {
			f, t := from, to
			switch {
			case in.to == 1:
				d := y[t:][:in.n]
				for i := range d {
					d[i] = Y(x[f]) + delta
					f += in.from
				}
			case in.from == 1:
				for _, v := range x[f:][:in.n] {
					y[t] = Y(v) + delta
					t += in.to
				}
			default:
				for range in.n {
					y[t] = Y(x[f]) + delta
					f += in.from
					t += in.to
				}
			}
			from += mid.from
			to += mid.to
		}
	}
}

// blocks are the copies of a Move between places in memory. No element is written twice, so that their order does not matter.
func blocks(mv *hw.Move, in []*layout, out *layout) []block {
	var r []block
	for _, p := range mv.Pieces {
		last := len(p.Size) - 1
		run := dim{1, 1, 1}
		outer := p
		if last >= 0 {
			run = dim{p.Size[last], p.SrcStride[last], p.DstStride[last]}
			outer.Size, outer.SrcStride, outer.DstStride = p.Size[:last], p.SrcStride[:last], p.DstStride[:last]
		}
		outer.Walk(func(from, to int) {
			for d := run; d.n > 0; {
				part := d
				part.n = min(d.n, in[p.Src].reach(from, d.from), out.reach(to, d.to))
				r = appendRun(r, block{src: p.Src, from: in[p.Src].place(from), to: out.place(to), dim: [3]dim{part, {n: 1}, {n: 1}}})
				d.n -= part.n
				from += part.n * d.from
				to += part.n * d.to
			}
		})
	}
	r = nest(nest(r, 1), 2)
	for i := range r {
		r[i].order()
	}
	return r
}

// appendRun appends a run of copies, or lengthens the last one.
func appendRun(r []block, b block) []block {
	if len(r) > 0 {
		a := &r[len(r)-1]
		d, e := a.dim[0], b.dim[0]
		switch {
		case d.n == 1 && e.n == 1:
			d.from, d.to = b.from-a.from, b.to-a.to
			e.from, e.to = d.from, d.to
		case d.n == 1:
			d.from, d.to = e.from, e.to
		case e.n == 1:
			e.from, e.to = d.from, d.to
		}
		if a.src == b.src && d.from == e.from && d.to == e.to && b.from-a.from == d.n*d.from && b.to-a.to == d.n*d.to {
			d.n += e.n
			a.dim[0] = d
			return r
		}
	}
	return append(r, b)
}

// nest makes one block of neighbours that are equal and at equal distances.
func nest(bs []block, level int) []block {
	var r []block
	for _, b := range bs {
		if len(r) > 0 {
			a := &r[len(r)-1]
			d := &a.dim[level]
			from, to := b.from-a.from, b.to-a.to
			if d.n == 1 {
				d.from, d.to = from, to
			}
			same := *a
			same.from, same.to, same.dim[level] = b.from, b.to, b.dim[level]
			if same == b && from == d.n*d.from && to == d.n*d.to {
				d.n++
				continue
			}
			if d.n == 1 {
				d.from, d.to = 0, 0
			}
		}
		r = append(r, b)
	}
	return r
}

// order puts the loops in the order that is fastest: runs of neighbours inside, unless they are short; else the longest.
func (b *block) order() {
	slices.SortStableFunc(b.dim[1:], func(x, y dim) int { return cmp.Compare(y.n, x.n) })
	if d := b.dim[0]; d.from == 1 && d.to == 1 && d.n >= 4 {
		return
	}
	if b.dim[1].n > b.dim[0].n {
		b.dim[0], b.dim[1] = b.dim[1], b.dim[0]
	}
}

// place is where element i of the buffer lies.
func (l *layout) place(i int) int {
	p := i / l.c
	return l.at(p/l.w, p%l.w) + i%l.c
}

// reach is how many elements from i on, so far apart, lie as far apart in memory, too.
func (l *layout) reach(i, step int) int {
	const all = 1 << 62
	if l.dense() || step == 0 {
		return all
	}
	n := l.w * l.c
	if step > 0 {
		return (n - i%n + step - 1) / step
	}
	return i%n/-step + 1
}
