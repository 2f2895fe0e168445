package sim

import (
	"unsafe"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// native is a convolution of kernels.
type native[X uint8 | int16] interface {
	Run(acc []int32, x []X, first, n int)
	Width() int
	Tile() int
}

// wholeDot is a convolution with its requantization, and a pooling perhaps: it writes all pixels of the output.
type wholeDot[X uint8 | int16] interface {
	Run(out *cells, x []X, scratch []int32)
	Scratch() int // accumulators
}

// wholeTo is one by a kernel that writes from a place in the output on.
type wholeTo[X, Y uint8 | int16] struct {
	kernel interface {
		Run(dst []Y, x []X, scratch []int32)
		Scratch() int
	}
	at int
}

func (w *wholeTo[X, Y]) Run(out *cells, x []X, scratch []int32) {
	w.kernel.Run(cellsOf[Y](out)[w.at:], x, scratch)
}

func (w *wholeTo[X, Y]) Scratch() int { return w.kernel.Scratch() }

// asmDot is a convolution by native code.
type asmDot[X uint8 | int16] struct {
	d       *hw.Dot // folded
	fold    int
	im      image
	out     *layout
	epi     *epilogue
	groups  []native[X]
	mg      int          // output channels of a group
	scratch int          // accumulators behind those of a chunk
	own     dotOutput[X] // what it writes
	pool    dotOutput[X] // what it writes where a pooling is a part of the work
}

// dotOutput is how a convolution gets to elements of a buffer: whole, or some pixels at a time so that accumulators stay in the first-level cache.
type dotOutput[X uint8 | int16] struct {
	id     int
	whole  wholeDot[X] // or nil
	chunks []dotChunk
}

// dotChunk is pixels from the given one on, and their requantization by group; none where a scalar program does the work.
type dotChunk struct {
	first, n int
	areas    [][]dotArea
}

// dotArea is pixels that are requantized together, from an accumulator on, to a place in the output.
type dotArea struct {
	rows interface {
		run(out *cells, at int, acc []int32)
	}
	acc, at int
}

// rowsTo are rows of elements of a type.
type rowsTo[Y uint8 | int16] struct{ *kernels.RequantRows[Y] }

func (r rowsTo[Y]) run(out *cells, at int, acc []int32) { r.Run(cellsOf[Y](out)[at:], acc) }

// cached is the number of accumulators that are worked on at a time: 16 KB of 32 bits.
const cached = 4096

func nativeDot[X uint8 | int16](m *Machine, k *hw.Kernel, im image, e *epilogue, deep bool) runner {
	d, f := k.Dot, 1
	tiles := winograd[X](m, k, &im)
	if size := int(unsafe.Sizeof(X(0))); tiles == nil && !deep {
		d, f = fold(merge(d, m.level, size), m.level, size)
	}
	r := &asmDot[X]{d: d, fold: f, im: im, out: &m.layouts[k.Out.ID], epi: e, mg: d.OC / d.Groups, scratch: kernels.PoolSlack}
	add := func(c native[X], err error) {
		if err != nil {
			panic(err) // prepareDot has chosen wrongly
		}
		r.groups = append(r.groups, c)
	}
	switch {
	case tiles != nil:
		add(tiles, nil)
		r.scratch = max(r.scratch, tiles.Scratch())
	case deep:
		r.mg = d.OC
		p := deepPart(d, &im)
		add(kernels.NewDeepConv[X](m.level, p.pixels(&d.Geometry, &im.layout), p.win.Off, p.weights, p.bias))
	default:
		for _, p := range parts(d, &im) {
			add(kernels.NewConv[X](m.level, p.pixels(&d.Geometry, &im.layout), p.win.Off, p.win.Run, p.weights, p.bias))
		}
	}
	pixels, tile, width := d.OH*d.OW, r.groups[0].Tile(), r.groups[0].Width()
	chunk := min(max(cached/width/tile, 1), (pixels+tile-1)/tile) * tile
	r.own.id = k.Out.ID
	for first := 0; first < pixels; first += chunk {
		r.own.chunks = append(r.own.chunks, dotChunk{first: first, n: min(chunk, pixels-first)})
	}
	if !ownOf[X, uint8](m, r, u8, k.Dot) {
		ownOf[X, int16](m, r, i16, k.Dot)
	}
	m.acc = max(m.acc, chunk*width+r.scratch)
	if r.own.whole != nil {
		m.acc = max(m.acc, r.own.whole.Scratch())
	}
	m.row = max(m.row, chunk*d.OC)
	return r
}

// ownOf requantizes the results of r, which is k before it was folded, by kernels to elements of type Y, if there are some for it.
func ownOf[X, Y uint8 | int16](m *Machine, r *asmDot[X], want kind, k *hw.Dot) bool {
	d, f, width := r.d, r.fold, r.groups[0].Width()
	var to []*kernels.Requant32[Y]
	for q := range r.groups {
		y := requant32[Y](m, r.epi, r.out, want, d.Acc[q*r.mg:(q+1)*r.mg], q*r.mg, f)
		if y == nil {
			return false
		}
		to = append(to, y)
	}
	if row := r.out.row(&k.Geometry); row > 0 && len(to) == 1 {
		if r.own.whole = wholeOf(r, to[0], row); r.own.whole != nil {
			r.own.chunks = nil
			return true
		}
	}
	for q, y := range to {
		seen := map[kernels.Pixels]*kernels.RequantRows[Y]{}
		for i := range r.own.chunks {
			c := &r.own.chunks[i]
			var areas []dotArea
			r.out.areas(c.first*f, c.n*f, func(at, i, m, rows int) {
				p := kernels.Pixels{N: m / f, Rows: rows, Acc: width, AccRow: m / f * width, Dst: d.OC, DstRow: r.out.width * r.out.c}
				areas = append(areas, dotArea{rowsTo[Y]{once(seen, p, y.Rows)}, i / f * width, at + q*r.mg})
			})
			c.areas = append(c.areas, areas)
		}
	}
	return true
}

// once is what f makes of k, which was made before or is made now.
func once[K comparable, V any](made map[K]V, k K, f func(K) V) V {
	v, ok := made[k]
	if !ok {
		v = f(k)
		made[k] = v
	}
	return v
}

// wholeOf is r with its requantization, or nil where kernels have none; row is the elements from a row of the output to the next one.
func wholeOf[X, Y uint8 | int16](r *asmDot[X], to *kernels.Requant32[Y], row int) wholeDot[X] {
	at := r.out.at(0, 0)
	switch c := r.groups[0].(type) {
	case *kernels.Winograd[X]:
		if w := kernels.NewRequantWinograd(c, to, false, row); w != nil {
			return &wholeTo[X, Y]{w, at}
		}
	case *kernels.Conv[X]:
		if q, same := any(to).(*kernels.Requant32[X]); same {
			if w := kernels.NewRequantConv(c, q, r.d.OW, row); w != nil {
				return &wholeTo[X, X]{w, at}
			}
		}
	case *kernels.DeepConv[X]:
		if q, same := any(to).(*kernels.Requant32[X]); same {
			p := deepPart(r.d, &r.im)
			g := kernels.DeepRows{Taps: p.win.Off, Step: p.win.Step, C: r.d.OC, W: r.d.OW, Stride: row}
			for oy := range r.d.OH {
				g.Rows = append(g.Rows, start(&r.d.Geometry, &r.im.layout, oy))
			}
			if w := kernels.NewRequantDeep(r.out.level, g, p.weights, p.bias, q); w != nil {
				return &wholeTo[X, X]{w, at}
			}
		}
	}
	return nil
}

// deepPart is a depthwise convolution as one part.
func deepPart(d *hw.Dot, im *image) part {
	return part{win: window(&d.Geometry, &im.layout, d.C, true), weights: d.Weights, bias: shifted(d, im.layout.zero, 0, d.OC)}
}

// requant32 is the native form of an epilogue for channels from the given one on, with the ranges of their accumulators; nil where
// there is none or the output is of another kind. All channels are there as often as neighbours are folded.
func requant32[Y uint8 | int16](m *Machine, e *epilogue, out *layout, want kind, acc []hw.Interval, first, fold int) *kernels.Requant32[Y] {
	if e.fast == nil || out.kind != want {
		return nil
	}
	return kernels.NewRequant32[Y](m.level, e.fast.Channels(first, len(acc)/fold).Repeated(fold), len(acc), func(c int) int64 { return acc[c].Lo }, func(c int) int64 { return acc[c].Hi }, out.zero)
}

func (r *asmDot[X]) run(s *State) { r.write(s, &r.own) }

// write computes an output.
func (r *asmDot[X]) write(s *State, to *dotOutput[X]) {
	x, out := cellsOf[X](r.im.cells(s)), &s.bufs[to.id]
	if to.whole != nil {
		to.whole.Run(out, x, s.acc)
		return
	}
	for i := range to.chunks {
		c := &to.chunks[i]
		for q, g := range r.groups {
			g.Run(s.acc, x, c.first, c.n)
			if c.areas == nil {
				r.read(s, q, c.n)
				continue
			}
			for _, a := range c.areas[q] {
				a.rows.run(out, a.at, s.acc[a.acc:])
			}
		}
		if c.areas == nil {
			row := s.row[:c.n*r.d.OC]
			r.epi.run(s, row, c.first*r.fold)
			out.put(r.out, row, c.first*r.fold, c.n*r.fold)
		}
	}
}

// read brings the accumulators of n pixels of a group to the row of a scalar program.
func (r *asmDot[X]) read(s *State, group, n int) {
	oc, width := r.d.OC, r.groups[group].Width()
	if oc == width {
		kernels.ReadColumn(s.m.level, s.row[:n*oc], s.acc, 0)
		return
	}
	for p := range n {
		kernels.ReadColumn(s.m.level, s.row[p*oc+group*r.mg:][:r.mg], s.acc[p*width:], 0)
	}
}
