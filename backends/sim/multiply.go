package sim

import (
	"math"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// multiplied is a Map that multiplies two inputs, each with a number added to it, and requantizes the product: a gate, as of
// squeeze-and-excitation, or x times a function of x that is no table.
type multiplied struct {
	k    *hw.Kernel
	in   [2]*layout
	plus [2]int64
	out  *layout
	lines
	chunks []dotChunk // of a run, elements instead of pixels, with one group
}

// together is the number of products that are requantized as channels of a pixel: whole registers of every level.
const together = 64

// prepareMultiply is nil where the program is another, or numbers are too wide.
func (m *Machine) prepareMultiply(k *hw.Kernel) runner {
	p := k.Prog
	if len(k.In) != 2 {
		return nil
	}
	r := &multiplied{k: k, in: [2]*layout{&m.layouts[k.In[0].ID], &m.layouts[k.In[1].ID]}, out: &m.layouts[k.Out.ID]}
	for _, l := range []*layout{r.in[0], r.in[1], r.out} {
		if l.kind == i64 || l.kind == u8 && m.level != kernels.AVX512 || m.level == kernels.Generic {
			return nil
		}
	}
	val := [2]int{0, 1} // the inputs with what is added to them
	i := 0
	for ; i < len(p.Code) && p.Code[i].Prim == hw.AddI && len(p.Code[i].Imm.V) == 1; i++ {
		s := &p.Code[i]
		for j := range val {
			if s.A == val[j] {
				val[j] = 2 + i
				r.plus[j] += s.Imm.V[0]
				break
			}
		}
	}
	if i == len(p.Code) || p.Code[i].Prim != hw.Mul || !(p.Code[i].A == val[0] && p.Code[i].B == val[1] || p.Code[i].A == val[1] && p.Code[i].B == val[0]) {
		return nil
	}
	product := p.Range(2 + i)
	i++
	q, n := usual(p, i, make([]int, p.Last()+1))
	if n == 0 || n != len(p.Code)-i || p.Code[i].A != 1+i || product.Lo < math.MinInt32 || product.Hi > math.MaxInt32 {
		return nil
	}
	for j := range p.Code[i:] {
		if len(p.Code[i+j].Imm.V) != 1 {
			return nil
		}
	}
	for j, l := range r.in {
		if r.plus[j] += l.zero; r.plus[j] < math.MinInt32 || r.plus[j] > math.MaxInt32 {
			return nil
		}
	}
	var ok bool
	if r.lines, ok = newLines(r.in[0], r.in[1], r.out); !ok {
		return nil
	}
	if r.out.kind == u8 {
		r.chunks = productEnds[uint8](m, q, product, r.out.zero, r.width*r.out.c)
	} else {
		r.chunks = productEnds[int16](m, q, product, r.out.zero, r.width*r.out.c)
	}
	if r.chunks == nil {
		return nil
	}
	m.acc = max(m.acc, cached+together)
	return r
}

// productEnds requantizes a run of so many products, some of them at a time; nil where kernels cannot.
func productEnds[Y uint8 | int16](m *Machine, q *kernels.Requant, product hw.Interval, zero int64, run int) (r []dotChunk) {
	made := map[int]*kernels.Requant32[Y]{}
	for first := 0; first < run; first += cached {
		c := dotChunk{first: first, n: min(cached, run-first), areas: make([][]dotArea, 1)}
		whole := c.n / together
		for _, p := range []kernels.Pixels{{N: whole, Rows: 1, Acc: together, Dst: together}, {N: 1, Rows: 1, Acc: c.n % together, Dst: c.n % together}} {
			if p.N == 0 || p.Acc == 0 {
				continue
			}
			y := once(made, p.Acc, func(n int) *kernels.Requant32[Y] {
				return kernels.NewRequant32[Y](m.level, q, n, func(int) int64 { return product.Lo }, func(int) int64 { return product.Hi }, zero)
			})
			if y == nil {
				return nil
			}
			at := 0
			if p.Acc < together {
				at = whole * together
			}
			c.areas[0] = append(c.areas[0], dotArea{rowsTo[Y]{y.Rows(p)}, at, first + at})
		}
		r = append(r, c)
	}
	return r
}

func (r *multiplied) run(s *State) {
	x, y, out := &s.bufs[r.k.In[0].ID], &s.bufs[r.k.In[1].ID], &s.bufs[r.k.Out.ID]
	for row := range r.rows {
		a, b, o := r.from(r.in[0], row), r.from(r.in[1], row), r.from(r.out, row)
		for i := range r.chunks {
			c := &r.chunks[i]
			r.products(s, c.n, x, y, a+c.first, b+c.first)
			for _, e := range c.areas[0] {
				e.rows.run(out, o+e.at, s.acc[e.acc:])
			}
		}
	}
}

// products fills the accumulators with n of them, from places in the inputs on.
func (r *multiplied) products(s *State, n int, x, y *cells, a, b int) {
	acc := s.acc[:n]
	switch {
	case r.in[0].kind == u8 && r.in[1].kind == u8:
		kernels.Multiply(s.m.level, acc, x.u8[a:], y.u8[b:], r.plus[0], r.plus[1])
	case r.in[0].kind == u8:
		kernels.Multiply(s.m.level, acc, x.u8[a:], y.i16[b:], r.plus[0], r.plus[1])
	case r.in[1].kind == u8:
		kernels.Multiply(s.m.level, acc, x.i16[a:], y.u8[b:], r.plus[0], r.plus[1])
	default:
		kernels.Multiply(s.m.level, acc, x.i16[a:], y.i16[b:], r.plus[0], r.plus[1])
	}
}
