package sim

import (
	"slices"
	"unsafe"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// fuse takes maxima of two by two pixels as a part of the convolution before them: of accumulators, which grow with results, so that
// only the largest are requantized. The buffer between them is then written when somebody asks for it (see State.Buffer).
func (m *Machine) fuse() {
	m.elided = make([]runner, len(m.p.Buffers))
	for i, k := range m.p.Kernels {
		if k.Window == nil {
			continue
		}
		b := k.In[0]
		if slices.Contains(m.p.Outputs, b) || readers(m.p, b) > 1 {
			continue
		}
		for j := range i {
			if m.p.Kernels[j].Out != b {
				continue
			}
			if r := fusePool(m, j, i); r != nil {
				m.elided[b.ID] = m.steps[j]
				m.steps[j], m.steps[i] = r, nothing{}
			}
			break
		}
	}
}

func readers(p *hw.Program, b *hw.Buffer) int {
	n := 0
	for _, k := range p.Kernels {
		for _, in := range k.In {
			if in == b {
				n++
			}
		}
	}
	return n
}

// pooled is a convolution together with the pooling behind it.
type pooled[X uint8 | int16] struct{ *asmDot[X] }

func (r pooled[X]) run(s *State) { r.write(s, &r.pool) }

// nothing is a kernel that an earlier one has done.
type nothing struct{}

func (nothing) run(*State) {}

// fusePool is kernel j, a convolution, with the pooling of kernel i, or nil.
func fusePool(m *Machine, j, i int) runner {
	switch r := m.steps[j].(type) {
	case *asmDot[uint8]:
		return r.fuse(m, j, i)
	case *asmDot[int16]:
		return r.fuse(m, j, i)
	}
	return nil
}

func (r *asmDot[X]) fuse(m *Machine, j, i int) runner {
	ok := false
	switch m.steps[i].(type) {
	case *asmWindow[uint8]:
		ok = fuseTo[X, uint8](m, r, u8, j, i)
	case *asmWindow[int16]:
		ok = fuseTo[X, int16](m, r, i16, j, i)
	}
	if !ok {
		return nil
	}
	return pooled[X]{r}
}

// fuseTo prepares r, kernel j, for the pooling of kernel i to elements of a type, if it can.
func fuseTo[X, Y uint8 | int16](m *Machine, r *asmDot[X], want kind, j, i int) bool {
	k := m.p.Kernels[i]
	w, f := k.Window, r.fold
	two := w.KH == 2 && w.KW == 2 && w.SH == 2 && w.SW == 2 && w.DH == 1 && w.DW == 1 && w.PH == 0 && w.PW == 0
	if !two || len(r.groups) > 1 || w.H != r.d.OH || w.W != f*r.d.OW || 2*w.OW != w.W || w.OH != w.H/2 {
		return false
	}
	to := requant32[Y](m, r.epi, r.out, want, r.d.Acc[:r.d.OC/f], 0, 1)
	out := &m.layouts[k.Out.ID]
	at, row := out.at(0, 0), out.row(&w.Geometry)
	if to == nil || !to.Pools() || row == 0 {
		return false
	}
	r.pool.id = k.Out.ID
	if r.pool.whole = poolOf(r, to, at, row); r.pool.whole == nil {
		if p := pixelLanes(m, r, m.p.Kernels[j], to); p != nil {
			r.pool.whole = &pixelDot[X]{p, at, row}
		}
	}
	if r.pool.whole != nil {
		m.acc = max(m.acc, r.pool.whole.Scratch())
		return true
	}
	poolChunks(m, r, to, at, row)
	return true
}

// poolChunks makes a pooling of whole pairs of rows at a time, and whole tiles: from a place in the output on, to rows so many elements apart.
func poolChunks[X, Y uint8 | int16](m *Machine, r *asmDot[X], to *kernels.Requant32[Y], at, row int) {
	d, f := r.d, r.fold
	pixels, tile, width, oc := d.OH*d.OW, r.groups[0].Tile(), r.groups[0].Width(), d.OC/f
	unit := 2 * d.OW
	for unit%tile > 0 {
		unit += 2 * d.OW
	}
	chunk := min(max(cached/width/unit, 1)*unit, (pixels+tile-1)/tile*tile)
	m.acc = max(m.acc, chunk*width+r.scratch)
	// Neighbours are folded into one pixel, in pairs; or a pair is two pixels.
	pairs, step, right := max(f/2, 1), width, oc
	if f == 1 {
		step, right = 2*width, width
	}
	below, owp := d.OW*width, f*d.OW/2
	p := kernels.Pixels{N: owp / pairs, Acc: step, AccRow: 2 * below, Dst: pairs * oc, DstRow: row, Right: right, Below: below}
	seen := map[kernels.Pixels]*kernels.RequantRows[Y]{}
	for first := 0; first < pixels; first += chunk {
		c := dotChunk{first: first, n: min(chunk, pixels-first)}
		if p.Rows = c.n / d.OW / 2; p.Rows == 0 {
			break // a last row that is in no window
		}
		rows := rowsTo[Y]{once(seen, p, to.Pooled)}
		var areas []dotArea
		for pair := range pairs {
			areas = append(areas, dotArea{rows, 2 * pair * oc, at + first/d.OW/2*row + pair*oc})
		}
		c.areas = [][]dotArea{areas}
		r.pool.chunks = append(r.pool.chunks, c)
	}
}

// pixelLanes is convolution k and the pooling behind it as a kernels.PixelLanes or a kernels.PointPool, or nil where there is none for it or it
// takes longer.
func pixelLanes[X, Y uint8 | int16](m *Machine, r *asmDot[X], k *hw.Kernel, to *kernels.Requant32[Y]) pixelKernel[X] {
	q, same := any(to).(*kernels.Requant32[X])
	d, l := k.Dot, &r.im.layout
	g := &d.Geometry
	if !same || d.Groups > 1 || g.DH > 1 || g.DW > 1 {
		return nil
	}
	x := k.In[0].Range.Union(hw.Interval{Lo: d.PadValue, Hi: d.PadValue})
	s := kernels.PixelShape{Rows: l.rowsOf(g), Lo: x.Lo - l.zero, Hi: x.Hi - l.zero, C: g.C, KH: g.KH, KW: g.KW, SH: g.SH, SW: g.SW, OH: g.OH / 2, OW: g.OW / 2}
	bias := shifted(d, l.zero, 0, d.OC)
	if size := int(unsafe.Sizeof(X(0))); pixelTime(g, m.level, size) <= foldTime(g, r.fold, m.level, size) {
		if p := kernels.NewPixelLanes(m.level, s, d.Weights, bias, q); p != nil {
			return p
		}
	}
	if p := kernels.NewPointPool(m.level, s, d.Weights, bias, q); p != nil {
		return p
	}
	return nil
}

// pixelKernel is a kernel for a convolution of few channels with the pooling behind it, to rows of so many elements.
type pixelKernel[X uint8 | int16] interface {
	Run(dst []X, step int, x []X, scratch []int32)
	Scratch() int
}

// pixelDot is one that writes from a place in the output on, rows so many elements apart.
type pixelDot[X uint8 | int16] struct {
	kernel  pixelKernel[X]
	at, row int
}

func (p *pixelDot[X]) Run(out *cells, x []X, scratch []int32) {
	p.kernel.Run(cellsOf[X](out)[p.at:], p.row, x, scratch)
}

func (p *pixelDot[X]) Scratch() int { return p.kernel.Scratch() }
