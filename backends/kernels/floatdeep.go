package kernels

import (
	"slices"
	"unsafe"
)

// lineArgs is what the kernels of gen/line.go take.
type lineArgs struct {
	x, dst, off, w unsafe.Pointer
	taps           int
	bias           float32
	_              float32
	count          int
}

// lineSlack is how many elements beyond a line the kernels may read and write.
const lineSlack = 64

// deep is Run for groups of one input channel. Lanes are neighbours of a padded plane; where the window moves by one, whole planes are
// one line, with results between the rows that nobody wants, else each row is.
func (f *FloatConv) deep(s *floatScratch, y, x []float32) {
	plane, pix, mg := f.rows*f.cols, f.OH*f.OW, f.OC/f.Groups
	s.acc = slices.Grow(s.acc[:0], plane+lineSlack)[:plane+lineSlack]
	block := 8 * f.k.lanes // elements of four registers
	for o := range f.OC {
		p := &f.groups[o/mg]
		xs, ys := x[o/mg*plane:], y[o*pix:][:pix]
		a := lineArgs{dst: unsafe.Pointer(&s.acc[0]), off: unsafe.Pointer(&f.off[0]), w: unsafe.Pointer(&p.w[o%mg*len(f.off)]), taps: len(f.off), bias: p.bias[o%mg]}
		if f.SH == 1 && f.SW == 1 {
			a.x, a.count = unsafe.Pointer(&xs[0]), ((f.OH-1)*f.cols+f.OW+block-1)/block
			f.k.line.call(unsafe.Pointer(&a))
			for r := range f.OH {
				copy(ys[r*f.OW:(r+1)*f.OW], s.acc[r*f.cols:])
			}
			continue
		}
		a.count = ((f.OW-1)*f.SW + block) / block
		for r := range f.OH {
			a.x = unsafe.Pointer(&xs[r*f.SH*f.cols])
			f.k.line.call(unsafe.Pointer(&a))
			row := ys[r*f.OW : (r+1)*f.OW]
			for i := range row {
				row[i] = s.acc[i*f.SW]
			}
		}
	}
}
