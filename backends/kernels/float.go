package kernels

import (
	"slices"
	"sync"
	"unsafe"
)

// FloatConv is a two-dimensional convolution of float32 in the layout of ONNX, channels first. Sums start with the bias and add one
// rounded product after the other, in the order of the weights (channel, row, column of the window), so all levels and CPUs compute
// the same bits. It is immutable and safe for concurrent use.
type FloatConv struct {
	FloatGeometry
	k          *columnKernels
	groups     []floatGroup
	off, pix   []int32 // bytes, within a group of padded planes: of taps, and of windows and some more
	out        []int32 // and of a chunk's sums
	rows, cols int     // of a padded plane
	scratch    sync.Pool
}

// FloatGeometry are the sizes of a FloatConv.
type FloatGeometry struct {
	Groups     int
	C, H, W    int // input
	OC, OH, OW int // output
	KH, KW     int
	SH, SW     int // strides
	DH, DW     int // dilations
	PH, PW     int // rows above and columns left of the input that are 0; below and right follow from the sizes
}

// floatGroup are the packed weights of a group.
type floatGroup struct {
	w     []float32   // portable: [oc][k]
	parts []floatPart // native
	bias  []float32   // [padded oc]
}

// floatPart is one or two blocks of channels: weights [k][lane].
type floatPart struct {
	kernel       kernel
	tile, blocks int
	channel      int
	w            []float32
}

// part is the next part where some blocks are left.
func (k *columnKernels) part(channel, left int) floatPart {
	if left >= 2 {
		return floatPart{kernel: k.float2, tile: k.wide(), blocks: 2, channel: channel}
	}
	return floatPart{kernel: k.float8, tile: 8, blocks: 1, channel: channel}
}

// floatSlack is how many pixels more than wanted a call may compute.
const floatSlack = 7

// floatArgs is what the kernels of gen/float.go take. They write to tiles and to the last two, their scratch.
type floatArgs struct {
	x, w, bias, off unsafe.Pointer
	taps            int
	pix             unsafe.Pointer
	tiles           int
	dst, out, add   unsafe.Pointer
	relu            int // as in gen/float.go
	plane           int
	_               [2]uintptr // nextPix, nextOut
	most            float32
}

// wide is the number of pixels of float2.
func (k *columnKernels) wide() int {
	if k.lanes == 8 {
		return 8
	}
	return 6
}

type turnArgs struct {
	src, dst             unsafe.Pointer
	rows, cols           int
	srcStride, dstStride int
}

// floatScratch is the memory of one run.
type floatScratch struct{ x, acc []float32 }

// NewFloatConv packs weights [OC][C/Groups][KH][KW] and a bias [OC], or none.
func NewFloatConv(level Level, g FloatGeometry, w, bias []float32) *FloatConv {
	f := &FloatConv{FloatGeometry: g, k: columnsOf(level)}
	f.rows = max((g.OH-1)*g.SH+(g.KH-1)*g.DH+1, g.PH+g.H)
	f.cols = max((g.OW-1)*g.SW+(g.KW-1)*g.DW+1, g.PW+g.W)
	lanes := 1
	if f.k != nil {
		lanes = 2 * f.k.lanes
	}
	cg, mg := g.C/g.Groups, g.OC/g.Groups
	for c := range cg {
		for ky := range g.KH {
			for kx := range g.KW {
				f.off = append(f.off, int32(4*((c*f.rows+ky*g.DH)*f.cols+kx*g.DW)))
			}
		}
	}
	for oy := range g.OH {
		for ox := range g.OW {
			f.pix = append(f.pix, int32(4*(oy*g.SH*f.cols+ox*g.SW)))
		}
	}
	for range floatSlack {
		f.pix = append(f.pix, f.pix[len(f.pix)-1])
	}
	k := len(f.off)
	blocks := (mg + lanes - 1) / lanes
	for q := range g.Groups {
		var p floatGroup
		p.w = w[q*mg*k : (q+1)*mg*k]
		p.bias = make([]float32, blocks*lanes)
		if bias != nil {
			copy(p.bias, bias[q*mg:(q+1)*mg])
		}
		for b := 0; b < blocks && f.k != nil; {
			part := f.k.part(b*lanes, blocks-b)
			n := part.blocks
			part.w = make([]float32, k*n*lanes)
			for l := range min(n*lanes, mg-b*lanes) {
				for i, v := range p.w[(b*lanes+l)*k:][:k] {
					part.w[i*n*lanes+l] = v
				}
			}
			p.parts = append(p.parts, part)
			b += n
		}
		f.groups = append(f.groups, p)
	}
	if f.k != nil {
		width := blocks * lanes
		f.out = steps(min(max(cachedFloats/width/24, 1)*24, g.OH*g.OW)+floatSlack, 4*width) // 24 are whole tiles of all sizes
	}
	return f
}

// Run computes y [OC][OH][OW] of one image x [C][H][W].
func (f *FloatConv) Run(y, x []float32) {
	s, _ := f.scratch.Get().(*floatScratch)
	if s == nil {
		s = new(floatScratch)
	}
	x = f.padded(s, x)
	if f.k != nil && f.C == f.Groups {
		f.deep(s, y, x)
		f.scratch.Put(s)
		return
	}
	cg, mg, pix := f.C/f.Groups, f.OC/f.Groups, f.OH*f.OW
	for q := range f.groups {
		p := &f.groups[q]
		xs, ys := x[q*cg*f.rows*f.cols:][:cg*f.rows*f.cols], y[q*mg*pix:][:mg*pix]
		if f.k == nil {
			f.portable(ys, xs, p)
			continue
		}
		width := len(p.bias)
		chunk := len(f.out) - floatSlack
		s.acc = slices.Grow(s.acc[:0], len(f.out)*width)[:len(f.out)*width]
		for first := 0; first < pix; first += chunk {
			n := min(chunk, pix-first)
			for i := range p.parts {
				t := &p.parts[i]
				a := floatArgs{x: unsafe.Pointer(&xs[0]), w: unsafe.Pointer(&t.w[0]),
					dst: unsafe.Pointer(&s.acc[t.channel]), out: unsafe.Pointer(&f.out[0]), bias: unsafe.Pointer(&p.bias[t.channel]),
					off: unsafe.Pointer(&f.off[0]), taps: len(f.off), pix: unsafe.Pointer(&f.pix[first]), tiles: (n + t.tile - 1) / t.tile}
				t.kernel.call(unsafe.Pointer(&a))
			}
			turn(ys[first:], pix, s.acc, width, n, mg)
		}
	}
	f.scratch.Put(s)
}

// steps are n multiples of a number of bytes, from 0 on.
func steps(n, bytes int) []int32 {
	r := make([]int32, n)
	for i := range r {
		r[i] = int32(i * bytes)
	}
	return r
}

// cachedFloats is the number of sums that are worked on at a time.
const cachedFloats = 8192

// padded is x with its border of 0, or x itself where there is none and nothing is read beyond it.
func (f *FloatConv) padded(s *floatScratch, x []float32) []float32 {
	if f.rows == f.H && f.cols == f.W && f.C != f.Groups {
		return x[:f.C*f.H*f.W]
	}
	if s.x == nil {
		s.x = make([]float32, f.C*f.rows*f.cols+lineSlack) // the border stays 0
	}
	for c := range f.C {
		for r := range f.H {
			copy(s.x[(c*f.rows+f.PH+r)*f.cols+f.PW:], x[(c*f.H+r)*f.W:][:f.W])
		}
	}
	return s.x
}

// portable is the definition.
func (f *FloatConv) portable(y, x []float32, p *floatGroup) {
	k, pix := len(f.off), f.OH*f.OW
	for o := range len(y) / pix {
		row, w := y[o*pix:][:pix], p.w[o*k:][:k]
		for i := range row {
			row[i] = p.bias[o]
		}
		for t, v := range w {
			xs := x[f.off[t]/4:]
			for oy := range f.OH {
				line, dst := xs[oy*f.SH*f.cols:], row[oy*f.OW:][:f.OW]
				for ox := range dst {
					dst[ox] += float32(v * line[ox*f.SW]) // the conversion forbids a fused multiplication
				}
			}
		}
	}
}

// turn writes dst[c*dstStride+r] = src[r*srcStride+c] for some rows and columns.
func turn(dst []float32, dstStride int, src []float32, srcStride, rows, cols int) {
	r8, c8 := rows&^7, cols&^7
	if r8 > 0 && c8 > 0 {
		_, _ = dst[(c8-1)*dstStride+r8-1], src[(r8-1)*srcStride+c8-1]
		a := turnArgs{src: unsafe.Pointer(&src[0]), dst: unsafe.Pointer(&dst[0]), rows: r8 / 8, cols: c8 / 8, srcStride: 4 * srcStride, dstStride: 4 * dstStride}
		turnKernel.call(unsafe.Pointer(&a))
	}
	for c := range cols {
		first := r8
		if c >= c8 {
			first = 0
		}
		for r := first; r < rows; r++ {
			dst[c*dstStride+r] = src[r*srcStride+c]
		}
	}
}
