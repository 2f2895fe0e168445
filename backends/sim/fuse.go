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
			if m.p.Kernels[j].Out == b && fusePool(m, j, i) {
				m.elided[b.ID] = m.steps[j]
				m.steps[j], m.steps[i] = pooled{m.steps[j].(pooler)}, nothing{}
				break
			}
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

// pooler is a convolution that can pool.
type pooler interface {
	runner
	pooled(s *State)
}

// pooled is a convolution together with the pooling behind it.
type pooled struct{ pooler }

func (r pooled) run(s *State) { r.pooled(s) }

// nothing is a kernel that an earlier one has done.
type nothing struct{}

func (nothing) run(*State) {}

// fusePool prepares kernel j, a convolution, for the pooling of kernel i, if it can.
func fusePool(m *Machine, j, i int) bool {
	switch r := m.steps[j].(type) {
	case *asmDot[uint8]:
		return r.fuse(m, j, i)
	case *asmDot[int16]:
		return r.fuse(m, j, i)
	}
	return false
}

func (r *asmDot[X]) fuse(m *Machine, j, i int) bool {
	k := m.p.Kernels[i]
	w, f := k.Window, r.fold
	oc := r.d.OC / f
	switch m.steps[i].(type) {
	case *asmWindow[uint8]:
		if r.pool8 = requant32[uint8](m, r.epi, r.out, u8, r.d.Acc[:oc], 0, 1); r.pool8 == nil || !r.pool8.Pools() {
			return false
		}
	case *asmWindow[int16]:
		if r.pool16 = requant32[int16](m, r.epi, r.out, i16, r.d.Acc[:oc], 0, 1); r.pool16 == nil || !r.pool16.Pools() {
			return false
		}
	default:
		return false
	}
	two := w.KH == 2 && w.KW == 2 && w.SH == 2 && w.SW == 2 && w.DH == 1 && w.DW == 1 && w.PH == 0 && w.PW == 0
	if !two || len(r.groups) > 1 || w.H != r.d.OH || w.W != f*r.d.OW || 2*w.OW != w.W || w.OH != w.H/2 {
		return false
	}
	r.poolOut, r.poolID = &m.layouts[k.Out.ID], k.Out.ID
	if r.poolRow = r.poolOut.row(&w.Geometry); r.poolRow == 0 {
		return false
	}
	if r.poolWhole = poolOf(r, r.pool8); r.poolWhole == nil {
		r.poolWhole = poolOf(r, r.pool16)
	}
	if r.poolWhole == nil {
		if p := r.pixelLanes(m, m.p.Kernels[j]); p != nil {
			r.poolWhole = pixelDot[X]{p, r.poolOut.at(0, 0), r.poolRow}
		}
	}
	if r.poolWhole != nil {
		m.acc = max(m.acc, r.poolWhole.Scratch())
		return true
	}
	// Whole pairs of rows at a time, and whole tiles.
	unit, tile := 2*r.d.OW, r.groups[0].Tile()
	for unit%tile > 0 {
		unit += 2 * r.d.OW
	}
	total := (r.d.OH*r.d.OW + tile - 1) / tile * tile
	width := r.groups[0].Width()
	r.poolChunk = min(max(cached/width/unit, 1)*unit, total)
	m.acc = max(m.acc, r.poolChunk*width+r.scratch)
	return true
}

// pixelLanes is convolution k with pixels in lanes and the pooling behind it, or nil where kernels.PixelLanes is none for it or takes longer.
func (r *asmDot[X]) pixelLanes(m *Machine, k *hw.Kernel) *kernels.PixelLanes[X] {
	q, same := any(r.pool8).(*kernels.Requant32[X])
	if !same {
		q, same = any(r.pool16).(*kernels.Requant32[X])
	}
	d, l := k.Dot, &r.im.layout
	g := &d.Geometry
	size := int(unsafe.Sizeof(X(0)))
	if !same || q == nil || d.Groups > 1 || g.DH > 1 || g.DW > 1 || pixelTime(g, m.level, size) > foldTime(g, r.fold, m.level, size) {
		return nil
	}
	x := k.In[0].Range.Union(hw.Interval{Lo: d.PadValue, Hi: d.PadValue})
	s := kernels.PixelShape{Rows: l.rowsOf(g), Lo: x.Lo - l.zero, Hi: x.Hi - l.zero, C: g.C, KH: g.KH, KW: g.KW, SH: g.SH, SW: g.SW, OH: g.OH / 2, OW: g.OW / 2}
	return kernels.NewPixelLanes(m.level, s, d.Weights, shifted(d, l.zero, 0, d.OC), q)
}

// pixelDot is a PixelLanes that writes from a place in the output on, rows so many elements apart.
type pixelDot[X uint8 | int16] struct {
	lanes   *kernels.PixelLanes[X]
	at, row int
}

func (p pixelDot[X]) Run(out *cells, x []X, scratch []int32) {
	p.lanes.Run(cellsOf[X](out)[p.at:], p.row, x, scratch)
}

func (p pixelDot[X]) Scratch() int { return p.lanes.Scratch() }

// pooled is run with the pooling behind it.
func (r *asmDot[X]) pooled(s *State) {
	x, d, f := cellsOf[X](r.im.cells(s)), r.d, r.fold
	out, l := &s.bufs[r.poolID], r.poolOut
	if r.poolWhole != nil {
		r.poolWhole.Run(out, x, s.acc)
		return
	}
	width := r.groups[0].Width()
	oc := d.OC / f
	// Neighbours are folded into one pixel, in pairs; or a pair is two pixels.
	pairs, step, right := max(f/2, 1), width, oc
	if f == 1 {
		step, right = 2*width, width
	}
	below, owp := d.OW*width, f*d.OW/2
	for first := 0; first < d.OH*d.OW; first += r.poolChunk {
		n := min(r.poolChunk, d.OH*d.OW-first)
		rows := n / d.OW / 2
		if rows == 0 {
			break // a last row that is in no window
		}
		r.groups[0].Run(s.acc, x, first, n)
		at := l.at(0, 0) + first/d.OW/2*r.poolRow
		p := kernels.Pixels{N: owp / pairs, Rows: rows, Acc: step, AccRow: 2 * below, Dst: pairs * oc, DstRow: r.poolRow, Right: right, Below: below}
		for pair := range pairs {
			acc, to := s.acc[2*pair*oc:], at+pair*oc
			if r.pool8 != nil {
				r.pool8.Pool(out.u8[to:], acc, p)
			} else {
				r.pool16.Pool(out.i16[to:], acc, p)
			}
		}
	}
}
