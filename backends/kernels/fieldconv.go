package kernels

import (
	"math"
	"unsafe"
)

// FieldConv is a convolution from field to field, without groups or with channels kept apart. Lanes are channels; where the result is planes,
// they are pixels (see floatplanes.go). It is immutable and safe for concurrent use.
type FieldConv struct {
	FloatGeometry
	in, out Field
	level   Level
	k       *columnKernels
	parts   []floatPart
	bias    []float32      // [Step or Planes of out]
	off     []int32        // bytes: of the taps, in the order of the weights
	pix, to []int32        // of the windows and results of pixels, or of registers of pixels, and of some more
	pixels  int            // their number
	win     *fieldWinograd // nil: each product is made, in the order of FloatConv, which gives the same bits
}

// Border is what a field must have around it for the windows.
func (g *FloatGeometry) Border() Border {
	oh, ow := g.OH, g.OW
	if g.Winograd() {
		oh, ow = (oh+3)/4*4, (ow+3)/4*4
	}
	return Border{g.PH, g.PW, max((oh-1)*g.SH+(g.KH-1)*g.DH+1-g.PH-g.H, 0), max((ow-1)*g.SW+(g.KW-1)*g.DW+1-g.PW-g.W, 0)}
}

// NewFieldConv packs weights [OC][C/Groups][KH][KW], with 1 group or C ones of a result each, and a bias [OC], or none. The fields have the
// sizes of the geometry, in its border. Where not all products are made in turn it is for every level, else for native ones.
func NewFieldConv(level Level, g FloatGeometry, in, out Field, w, bias []float32) *FieldConv {
	f := &FieldConv{FloatGeometry: g, in: in, out: out, level: level, k: columnsOf(level), bias: make([]float32, max(out.Step, out.Planes))}
	copy(f.bias, bias)
	if g.Winograd() {
		f.win = newFieldWinograd(f, w)
		return f
	}
	for c := range g.C / g.Groups {
		for ky := range g.KH {
			for kx := range g.KW {
				f.off = append(f.off, int32(4*(c*in.plane()+ky*g.DH*in.rowStep()+kx*g.DW*in.Step)))
			}
		}
	}
	if out.Planes > 0 {
		f.planes(w)
		return f
	}
	for y := range g.OH {
		for x := range g.OW {
			f.pix = append(f.pix, int32(4*in.at(y*g.SH-g.PH, x*g.SW-g.PW)))
			f.to = append(f.to, int32(4*out.at(y, x)))
		}
	}
	f.repeat()
	f.pack(w)
	return f
}

// pack lays weights [OC][tap] out for results with channels last.
func (f *FieldConv) pack(w []float32) {
	lanes, k := 2*f.k.lanes, len(f.off)
	for c := 0; c < f.OC; {
		p := f.k.part(c, (f.out.Step-c)/lanes)
		if f.deep() {
			p = floatPart{kernel: f.k.floatDeep, tile: 8, blocks: 1, channel: c}
		}
		n := p.blocks * lanes
		p.w = make([]float32, k*n)
		for l := range min(n, f.OC-c) {
			for i, v := range w[(c+l)*k:][:k] {
				p.w[i*n+l] = v
			}
		}
		f.parts = append(f.parts, p)
		c += n
	}
}

// repeat ends the lists of windows and results, which may be read up to a whole tile.
func (f *FieldConv) repeat() {
	f.pixels = len(f.pix)
	for range floatSlack {
		f.pix, f.to = append(f.pix, f.pix[len(f.pix)-1]), append(f.to, f.to[len(f.to)-1])
	}
}

// deep reports whether channels are kept apart.
func (g *FloatGeometry) deep() bool { return g.Groups > 1 }

// Limit is what real results are brought to: between 0 and it, as Relu does up to infinity, or, if it is 0, what they are.
type Limit float32

// Unlimited is a Relu.
var Unlimited = Limit(math.Inf(1))

// Run computes y of some images x, and adds the field add, laid out as y, unless it is nil; then it limits results.
func (f *FieldConv) Run(y, x, add []float32, images int, limit Limit) {
	xs, ys := f.in.Size(), f.out.Size()
	y, x = y[:images*ys], x[:images*xs]
	if add != nil {
		add = add[:images*ys]
	}
	if f.win != nil {
		f.win.run(y, x, add, images, limit > 0)
		if limit > 0 && limit < Unlimited {
			Clip(f.level, y, y, 0, float32(limit))
		}
		return
	}
	relu := 0
	switch {
	case limit == Unlimited:
		relu = 1
	case limit > 0:
		relu = 2
	}
	for n := range images {
		for i := range f.parts {
			p := &f.parts[i]
			first := n*ys + p.channel*f.out.plane()
			from := n * xs
			if f.deep() {
				from += p.channel
			}
			a := floatArgs{x: unsafe.Pointer(&x[from]), w: unsafe.Pointer(&p.w[0]), bias: unsafe.Pointer(&f.bias[p.channel]), off: unsafe.Pointer(&f.off[0]),
				taps: len(f.off), pix: unsafe.Pointer(&f.pix[0]), tiles: (f.pixels + p.tile - 1) / p.tile, dst: unsafe.Pointer(&y[first]),
				out: unsafe.Pointer(&f.to[0]), relu: relu, most: float32(limit), plane: 4 * f.out.plane()}
			if add != nil {
				a.add = unsafe.Pointer(&add[first])
			}
			p.kernel.call(unsafe.Pointer(&a))
		}
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
