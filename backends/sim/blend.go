package sim

import (
	"math"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// blended is a Map of one or two inputs that kernels.Blend can do: a residual addition, a change of the grid, an activation that is
// a limit. Rows of pixels are runs that no border interrupts.
type blended struct {
	k     *hw.Kernel
	in    [2]*layout // of In[0] and In[1], or twice In[0]
	id    [2]int
	out   *layout
	rows  blendRows
	split *kernels.SplitBlend // or
	runs  kernels.Runs
	at    [3]int // where they begin in the operands and in the result
}

// affine is a value of a scalar program as a sum of its inputs.
type affine struct{ a, b, k int64 }

// prepareBlend is nil where the program is another, or numbers are too wide for both kernels.
func (m *Machine) prepareBlend(k *hw.Kernel) runner {
	in := len(k.In)
	if in > 2 || len(k.Prog.Code) == 0 {
		return nil
	}
	vals := []affine{{a: 1}, {b: 1}}[:in]
	p := k.Prog
	i := 0
sums:
	for ; i < len(p.Code); i++ {
		s := &p.Code[i]
		if s.A >= len(vals) || s.B >= len(vals) {
			return nil
		}
		x, y := vals[s.A], vals[s.B]
		n := int64(0)
		if len(s.Imm.V) == 1 {
			n = s.Imm.V[0]
		} else if len(s.Imm.V) > 1 {
			return nil
		}
		var v affine
		switch s.Prim {
		case hw.Add:
			v = affine{x.a + y.a, x.b + y.b, x.k + y.k}
		case hw.Sub:
			v = affine{x.a - y.a, x.b - y.b, x.k - y.k}
		case hw.AddI:
			v = affine{x.a, x.b, x.k + n}
		case hw.MulI:
			if n <= -1<<31 || n >= 1<<31 || abs(x) >= 1<<31 {
				return nil
			}
			v = affine{x.a * n, x.b * n, x.k * n}
		default:
			break sums // what rounds or limits
		}
		if n <= -1<<45 || n >= 1<<45 || abs(v) >= 1<<45 {
			return nil
		}
		vals = append(vals, v)
	}
	// The rest has to be a chain on the last sum.
	v := vals[len(vals)-1]
	q := kernels.NewRequant([]int64{1}, []int64{0}, kernels.Floor, 0, -1<<62, 1<<62)
	if i < len(p.Code) {
		readers := make([]int, p.Last()+1)
		var n int
		if q, n = usual(p, i, readers); n != len(p.Code)-i || p.Code[i].A != len(vals)-1 {
			return nil
		}
		for j := range p.Code[i:] {
			if len(p.Code[i+j].Imm.V) != 1 {
				return nil
			}
		}
	}
	r := &blended{k: k, out: &m.layouts[k.Out.ID], id: [2]int{k.In[0].ID, k.In[in-1].ID}}
	r.in = [2]*layout{&m.layouts[r.id[0]], &m.layouts[r.id[1]]}
	plus := v.k + v.a*r.in[0].zero + v.b*r.in[1].zero
	if !r.shape(m) {
		return nil
	}
	if blend := kernels.NewBlend(m.level, v.a, v.b, plus, q, r.out.zero); blend != nil {
		sum := p.Range(len(vals) - 1)
		room := int64(math.MaxInt32) - blend.Most()
		if sum.Lo >= -room && sum.Hi <= room {
			a, b := k.In[0].Range, k.In[in-1].Range
			blend.Settle(a.Lo-r.in[0].zero, a.Hi-r.in[0].zero, b.Lo-r.in[1].zero, b.Hi-r.in[1].zero)
			if r.rows = r.rowsOf(blend); r.rows != nil {
				return r
			}
		}
	}
	if r.in[0].kind != i16 || r.in[1].kind != i16 || r.out.kind != i16 {
		return nil
	}
	if r.split = kernels.NewSplitBlend(m.level, v.a, v.b, plus, q, r.out.zero); r.split == nil {
		return nil
	}
	return r
}

func abs(v affine) int64 { return max(v.a, -v.a) | max(v.b, -v.b) | max(v.k, -v.k) }

// shape finds the runs, and whether there is code for the types.
func (r *blended) shape(m *Machine) bool {
	for _, l := range []*layout{r.in[0], r.in[1], r.out} {
		if l.kind == i64 || l.kind == u8 && m.level == kernels.AVX2 {
			return false
		}
	}
	var ok bool
	r.runs, r.at, ok = runsOf(r.in, r.out)
	return ok
}

// runsOf are the rows of elements of two operands and a result, and where they begin in each.
func runsOf(in [2]*layout, out *layout) (r kernels.Runs, at [3]int, ok bool) {
	lines, ok := newLines(in[0], in[1], out)
	if !ok {
		return r, at, false
	}
	pitch := func(l *layout) int { return lines.from(l, 1) - lines.from(l, 0) }
	r = kernels.Runs{N: lines.width * out.c, Rows: lines.rows, A: pitch(in[0]), B: pitch(in[1]), Dst: pitch(out)}
	return r, [3]int{lines.from(in[0], 0), lines.from(in[1], 0), lines.from(out, 0)}, true
}

func (r *blended) run(s *State) {
	x, y, out := &s.bufs[r.id[0]], &s.bufs[r.id[1]], &s.bufs[r.k.Out.ID]
	i, j, o := r.at[0], r.at[1], r.at[2]
	if r.rows != nil {
		r.rows.run(out, x, y, o, i, j)
		return
	}
	p := r.runs
	for range p.Rows {
		r.split.Run(out.i16[o:o+p.N], x.i16[i:], y.i16[j:])
		i, j, o = i+p.A, j+p.B, o+p.Dst
	}
}

// blendRows are rows of elements of any types, from places in buffers on.
type blendRows interface {
	run(out, x, y *cells, o, i, j int)
}

type blendTo[A, B, Y uint8 | int16] struct{ *kernels.BlendRows[A, B, Y] }

func (b blendTo[A, B, Y]) run(out, x, y *cells, o, i, j int) {
	b.Run(cellsOf[Y](out)[o:], cellsOf[A](x)[i:], cellsOf[B](y)[j:])
}

// rowsOf are those of b for the types of r; nil where there is no code for them.
func (r *blended) rowsOf(b *kernels.Blend) blendRows {
	switch {
	case r.in[0].kind == u8 && r.in[1].kind == u8:
		return newBlendRows[uint8, uint8](r, b)
	case r.in[0].kind == u8:
		return newBlendRows[uint8, int16](r, b)
	case r.in[1].kind == u8:
		return newBlendRows[int16, uint8](r, b)
	}
	return newBlendRows[int16, int16](r, b)
}

func newBlendRows[A, B uint8 | int16](r *blended, b *kernels.Blend) blendRows {
	if r.out.kind == u8 {
		if q := kernels.NewBlendRows[A, B, uint8](b, r.runs); q != nil {
			return blendTo[A, B, uint8]{q}
		}
	} else if q := kernels.NewBlendRows[A, B, int16](b, r.runs); q != nil {
		return blendTo[A, B, int16]{q}
	}
	return nil
}
