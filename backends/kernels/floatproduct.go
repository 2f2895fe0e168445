package kernels

import "unsafe"

// FloatProduct multiplies rows with a matrix that stays the same. Sums start with the bias and add one rounded product after the other, so
// all levels and CPUs compute the same bits. It is immutable and safe for concurrent use, and for native levels only.
type FloatProduct struct {
	kernel       kernel
	depth, width int       // of the matrix
	panel        int       // columns that are computed together
	w            []float32 // [panel][row][column]
	bias         []float32 // up to whole panels
	off          []int32   // bytes, of a row's elements
}

// panelBlocks is the number of blocks of a panel, maxPanel the most columns in it.
const (
	panelBlocks = 8
	maxPanel    = panelBlocks * 16
)

// NewFloatProduct packs a matrix [depth][width] and a bias [width], or none.
func NewFloatProduct(level Level, w []float32, depth, width int, bias []float32) *FloatProduct {
	k := columnsOf(level)
	panel := panelBlocks * 2 * k.lanes
	panels := (width + panel - 1) / panel
	f := &FloatProduct{kernel: k.float1x8, depth: depth, width: width, panel: panel, w: make([]float32, panels*depth*panel), bias: make([]float32, panels*panel),
		off: steps(depth, 4)}
	copy(f.bias, bias)
	for p := range panels {
		for i := range depth {
			copy(f.w[(p*depth+i)*panel:][:panel], w[i*width+p*panel:(i+1)*width])
		}
	}
	return f
}

// Run computes y [rows][width] of x [rows][depth].
func (f *FloatProduct) Run(y, x []float32) {
	var sums [maxPanel]float32
	for p := range len(f.bias) / f.panel {
		first := p * f.panel
		for r := range len(x) / f.depth {
			a := floatArgs{x: unsafe.Pointer(&x[r*f.depth]), w: unsafe.Pointer(&f.w[first*f.depth]), bias: unsafe.Pointer(&f.bias[first]), off: unsafe.Pointer(&f.off[0]),
				taps: f.depth, pix: unsafe.Pointer(&noOffset), tiles: 1, dst: unsafe.Pointer(&sums[0]), out: unsafe.Pointer(&noOffset)}
			f.kernel.call(unsafe.Pointer(&a))
			copy(y[r*f.width+first:(r+1)*f.width], sums[:f.panel])
		}
	}
}
