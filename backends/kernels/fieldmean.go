package kernels

import "unsafe"

// FieldMean is the mean of each channel over all pixels, with channels last, in the arithmetic of op.GlobalAveragePool.
type FieldMean struct {
	in, out Field
	k       *columnKernels
}

// meanArgs is what the kernels of gen/mean.go take.
type meanArgs struct {
	x, dst      unsafe.Pointer
	rows, width int
	step, row   int // bytes
	blocks      int
	count       float64
}

// NewFieldMean is for a native level, and a result of one pixel.
func NewFieldMean(level Level, in, out Field) *FieldMean {
	return &FieldMean{in: in, out: out, k: columnsOf(level)}
}

// Run computes y of some images x.
func (f *FieldMean) Run(y, x []float32, images int) {
	xs, ys := f.in.Size(), f.out.Size()
	y, x = y[:images*ys], x[:images*xs]
	for n := range images {
		a := meanArgs{x: unsafe.Pointer(&x[n*xs+f.in.at(0, 0)]), dst: unsafe.Pointer(&y[n*ys+f.out.at(0, 0)]), rows: f.in.H, width: f.in.W, step: 4 * f.in.Step,
			row: 4 * (f.in.rowStep() - f.in.W*f.in.Step), blocks: f.in.Step / (2 * f.k.lanes), count: float64(f.in.H * f.in.W)}
		f.k.meanFloats.call(unsafe.Pointer(&a))
	}
}

// Join copies the images of a field to the channels from the given one on of a field with more channels, both with channels last.
func (f *Field) Join(dst, src []float32, from *Field, channel, images int) {
	for n := range images {
		for y := range f.H {
			to, x := dst[n*f.Size()+f.at(y, 0)+channel:], src[n*from.Size()+from.at(y, 0):]
			for p := range f.W {
				copy(to[p*f.Step:][:from.C], x[p*from.Step:])
			}
		}
	}
}
