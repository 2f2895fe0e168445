package kernels

import "unsafe"

// FieldMax is the maximum over windows inside of a field.
type FieldMax struct {
	in, out      Field
	k            *columnKernels
	row, rows    int     // of planes: bytes from row to row of the window
	off, pix, to []int32 // bytes; pix and to are those of the first plane, if there are planes, and of registers
}

// maxArgs is what the kernels of gen/field.go take.
type maxArgs struct {
	x, dst, pix, out, off unsafe.Pointer
	taps, pixels, blocks  int
}

// maxPlanesArgs is what the kernels of gen/floatplanes.go take.
type maxPlanesArgs struct {
	x, dst, pix, out unsafe.Pointer
	row, rows        int
	vectors, planes  int
	xPlane, dstPlane int
}

// MaxPlanes reports whether the maximum over windows of planes is planes again: they are two pixels wide, at every other pixel.
func (g *FloatGeometry) MaxPlanes(level Level) bool {
	k := columnsOf(level)
	return k != nil && g.KW == 2 && g.SW == 2 && g.DW == 1 && g.OW >= k.lanes
}

// NewFieldMax prepares a window; no part of one may lie outside the image. The level must be a native one, and the
// fields alike.
func NewFieldMax(level Level, g FloatGeometry, in, out Field) *FieldMax {
	f := &FieldMax{in: in, out: out, k: columnsOf(level)}
	for ky := range g.KH {
		for kx := range g.KW {
			f.off = append(f.off, int32(4*(ky*g.DH*in.rowStep()+kx*g.DW*in.Step)))
		}
	}
	if in.Planes > 0 {
		half := f.k.lanes
		for y := range g.OH {
			for x := 0; x < g.OW; x += half {
				x := min(x, g.OW-half)
				f.pix = append(f.pix, int32(4*in.at(y*g.SH, 2*x)))
				f.to = append(f.to, int32(4*out.at(y, x)))
			}
		}
		f.row, f.rows = 4*g.DH*in.rowStep(), g.KH
		return f
	}
	for y := range g.OH {
		for x := range g.OW {
			f.pix = append(f.pix, int32(4*in.at(y*g.SH, x*g.SW)))
			f.to = append(f.to, int32(4*out.at(y, x)))
		}
	}
	return f
}

// Run computes y of some images x. A maximum of zeros may have either sign.
func (f *FieldMax) Run(y, x []float32, images int) {
	xs, ys := f.in.Size(), f.out.Size()
	y, x = y[:images*ys], x[:images*xs]
	for n := range images {
		if f.in.Planes > 0 {
			a := maxPlanesArgs{x: unsafe.Pointer(&x[n*xs]), dst: unsafe.Pointer(&y[n*ys]), pix: unsafe.Pointer(&f.pix[0]), out: unsafe.Pointer(&f.to[0]),
				row: f.row, rows: f.rows, vectors: len(f.pix), planes: f.in.C, xPlane: 4 * f.in.plane(), dstPlane: 4 * f.out.plane()}
			f.k.maxPlanes.call(unsafe.Pointer(&a))
			continue
		}
		a := maxArgs{x: unsafe.Pointer(&x[n*xs]), dst: unsafe.Pointer(&y[n*ys]), pix: unsafe.Pointer(&f.pix[0]), out: unsafe.Pointer(&f.to[0]),
			off: unsafe.Pointer(&f.off[0]), taps: len(f.off), pixels: len(f.pix), blocks: f.out.Step / (2 * f.k.lanes)}
		f.k.maxFloats.call(unsafe.Pointer(&a))
	}
}
