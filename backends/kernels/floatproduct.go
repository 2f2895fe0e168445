package kernels

import "unsafe"

// FloatProduct multiplies rows with a matrix that stays the same. Sums start with the bias and add one rounded product after the other, so
// all levels and CPUs compute the same bits. It is immutable and safe for concurrent use, and for native levels only.
type FloatProduct struct {
	depth, width int // of the matrix
	panels       []floatPanel
	off          []int32 // bytes, of a row's elements
}

// floatPanel is a number of columns that are computed together.
type floatPanel struct {
	kernel kernel
	first  int       // column
	w      []float32 // [row][column]
	bias   []float32
}

// panelBlocks is the number of blocks of the widest panel, maxPanel the most columns in it.
const (
	panelBlocks = 8
	maxPanel    = panelBlocks * 16
)

// NewFloatProduct packs a matrix [depth][width] and a bias [width], or none.
func NewFloatProduct(level Level, w []float32, depth, width int, bias []float32) *FloatProduct {
	k := columnsOf(level)
	f := &FloatProduct{depth: depth, width: width, off: steps(depth, 4)}
	lanes := 2 * k.lanes
	for first := 0; first < width; {
		blocks := min((width-first+lanes-1)/lanes, panelBlocks)
		n := blocks * lanes
		p := floatPanel{kernel: k.float1[blocks-1], first: first, w: make([]float32, depth*n), bias: make([]float32, n)}
		for i := range depth {
			copy(p.w[i*n:(i+1)*n], w[i*width+first:(i+1)*width])
		}
		if bias != nil {
			copy(p.bias, bias[first:])
		}
		f.panels = append(f.panels, p)
		first += n
	}
	return f
}

// Run computes y [rows][width] of x [rows][depth].
func (f *FloatProduct) Run(y, x []float32) {
	var sums [maxPanel]float32
	for i := range f.panels {
		p := &f.panels[i]
		for r := range len(x) / f.depth {
			a := floatArgs{x: unsafe.Pointer(&x[r*f.depth]), w: unsafe.Pointer(&p.w[0]), bias: unsafe.Pointer(&p.bias[0]), off: unsafe.Pointer(&f.off[0]),
				taps: f.depth, pix: unsafe.Pointer(&noOffset), tiles: 1, dst: unsafe.Pointer(&sums[0]), out: unsafe.Pointer(&noOffset)}
			p.kernel.call(unsafe.Pointer(&a))
			copy(y[r*f.width+p.first:(r+1)*f.width], sums[:len(p.bias)])
		}
	}
}
