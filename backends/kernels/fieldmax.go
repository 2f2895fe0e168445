package kernels

import "unsafe"

// FieldMax is the maximum over windows of a field.
type FieldMax struct {
	in, out   Field
	k         *columnKernels
	row, rows int       // of planes: bytes from row to row of the window
	parts     []maxPart // of planes: one, of registers of the first plane, without taps
}

// maxPart are pixels that have the same taps inside of the image, and in an average the same number under the sum. All else are places in bytes.
type maxPart struct {
	off, pix, to []int32
	count        float32
}

// maxArgs is what the kernels of gen/field.go take.
type maxArgs struct {
	x, dst, pix, out, off unsafe.Pointer
	taps, pixels, blocks  int
	count                 float32
}

// maxPlanesArgs is what the kernels of gen/floatplanes.go take.
type maxPlanesArgs struct {
	x, dst, pix, out unsafe.Pointer
	row, rows        int
	vectors, planes  int
	xPlane, dstPlane int
}

// MaxPlanes reports whether the maximum over windows of planes is planes again: they are two pixels wide, at every other pixel, and inside of
// the image.
func (g *FloatGeometry) MaxPlanes(level Level) bool {
	k := columnsOf(level)
	inside := g.PH == 0 && g.PW == 0 && (g.OH-1)*g.SH+(g.KH-1)*g.DH < g.H && (g.OW-1)*g.SW+(g.KW-1)*g.DW < g.W
	return k != nil && inside && g.KW == 2 && g.SW == 2 && g.DW == 1 && g.OW >= k.lanes
}

// NewFieldMax prepares a window, which always has a part inside of the image. The level must be a native one, and the fields alike.
func NewFieldMax(level Level, g FloatGeometry, in, out Field) *FieldMax {
	f := &FieldMax{in: in, out: out, k: columnsOf(level)}
	if in.Planes > 0 {
		var p maxPart
		half := f.k.lanes
		for y := range g.OH {
			for x := 0; x < g.OW; x += half {
				x := min(x, g.OW-half)
				p.pix = append(p.pix, int32(4*in.at(y*g.SH, 2*x)))
				p.to = append(p.to, int32(4*out.at(y, x)))
			}
		}
		f.parts = []maxPart{p}
		f.row, f.rows = 4*g.DH*in.rowStep(), g.KH
		return f
	}
	f.parts = windowParts(g, in, out, nil)
	return f
}

// FieldAverage is the mean over windows of a field with channels last, in the arithmetic of op.AveragePool.
type FieldAverage struct{ FieldMax }

// NewFieldAverage is as NewFieldMax; counts are the numbers that sums are divided by, pixel by pixel.
func NewFieldAverage(level Level, g FloatGeometry, in, out Field, counts []int) *FieldAverage {
	return &FieldAverage{FieldMax{in: in, out: out, k: columnsOf(level), parts: windowParts(g, in, out, counts)}}
}

// Run computes y of some images x.
func (f *FieldAverage) Run(y, x []float32, images int) { f.windows(f.k.averageFloats, y, x, images) }

// windowParts groups the pixels of a result with channels last.
func windowParts(g FloatGeometry, in, out Field, counts []int) (parts []maxPart) {
	type key struct {
		rows, cols taps
		count      int
	}
	part := map[key]int{}
	for y := range g.OH {
		for x := range g.OW {
			at := key{rows: inside(g.KH, g.DH, y*g.SH-g.PH, g.H), cols: inside(g.KW, g.DW, x*g.SW-g.PW, g.W)}
			if counts != nil {
				at.count = counts[y*g.OW+x]
			}
			i, ok := part[at]
			if !ok {
				i = len(parts)
				part[at] = i
				p := maxPart{count: float32(at.count)}
				for ky := at.rows.first; ky < at.rows.end; ky++ {
					for kx := at.cols.first; kx < at.cols.end; kx++ {
						p.off = append(p.off, int32(4*(ky*g.DH*in.rowStep()+kx*g.DW*in.Step)))
					}
				}
				parts = append(parts, p)
			}
			p := &parts[i]
			p.pix = append(p.pix, int32(4*in.at(y*g.SH-g.PH, x*g.SW-g.PW)))
			p.to = append(p.to, int32(4*out.at(y, x)))
		}
	}
	return parts
}

// taps are those of a window from the first one up to an end.
type taps struct{ first, end int }

// inside are the taps, of n, that lie inside of an axis of some size where the first one lies at the given place.
func inside(n, dilation, at, size int) taps {
	t := taps{0, n}
	for at+t.first*dilation < 0 {
		t.first++
	}
	for at+(t.end-1)*dilation >= size {
		t.end--
	}
	return t
}

// Run computes y of some images x. A maximum of zeros may have either sign.
func (f *FieldMax) Run(y, x []float32, images int) { f.windows(f.k.maxFloats, y, x, images) }

// windows runs a kernel, or where there are planes that of maxima.
func (f *FieldMax) windows(k kernel, y, x []float32, images int) {
	xs, ys := f.in.Size(), f.out.Size()
	y, x = y[:images*ys], x[:images*xs]
	for n := range images {
		if p := &f.parts[0]; f.in.Planes > 0 {
			a := maxPlanesArgs{x: unsafe.Pointer(&x[n*xs]), dst: unsafe.Pointer(&y[n*ys]), pix: unsafe.Pointer(&p.pix[0]), out: unsafe.Pointer(&p.to[0]),
				row: f.row, rows: f.rows, vectors: len(p.pix), planes: f.in.C, xPlane: 4 * f.in.plane(), dstPlane: 4 * f.out.plane()}
			f.k.maxPlanes.call(unsafe.Pointer(&a))
			continue
		}
		for i := range f.parts {
			p := &f.parts[i]
			a := maxArgs{x: unsafe.Pointer(&x[n*xs]), dst: unsafe.Pointer(&y[n*ys]), pix: unsafe.Pointer(&p.pix[0]), out: unsafe.Pointer(&p.to[0]),
				off: unsafe.Pointer(&p.off[0]), taps: len(p.off), pixels: len(p.pix), blocks: f.out.Step / (2 * f.k.lanes), count: p.count}
			k.call(unsafe.Pointer(&a))
		}
	}
}
