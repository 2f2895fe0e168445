package quant

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// layer is a Conv or Gemm with constant weights as one matrix product for each group: y = W x + b, x a column of the unfolded input.
type layer struct {
	node, from *ir.Node // in the quantized graph and in the float one
	groups     int
	rows, k    int       // of each group's matrix
	w          []float32 // [group][row][k], of the float graph
	bias       []float32 // nil: none
	conv       *op.Conv  // nil: a Gemm
	s          op.Spatial
}

// newLayer is nil for a node that the layer form does not fit: its weights stay rounded to the nearest.
func newLayer(node, from *ir.Node) *layer {
	if len(from.In) < 2 || from.In[1].Const == nil || from.In[1].Type.IsQuant() || !node.In[1].Type.IsQuant() || !node.In[0].Type.IsQuant() {
		return nil
	}
	w := from.In[1].Const
	l := &layer{node: node, from: from, groups: 1, w: w.F}
	switch o := from.Op.(type) {
	case *op.Conv:
		l.conv, l.groups = o, o.Group
		l.rows, l.k = w.Shape[0]/o.Group, tensor.Numel(w.Shape[1:])
		s, err := o.Spatial(w.Shape)
		if err != nil {
			return nil // Infer has refused it
		}
		l.s = s
	case *op.Gemm:
		if o.TransA || !o.TransB || o.Alpha != 1 || o.Beta != 1 {
			return nil
		}
		l.rows, l.k = w.Shape[0], w.Shape[1]
	default:
		return nil
	}
	if len(from.In) > 2 && from.In[2] != nil {
		b := from.In[2]
		if b.Const == nil || len(b.Const.F) != l.groups*l.rows || len(b.Const.Shape) != 1 {
			return nil
		}
		l.bias = b.Const.F
	}
	return l
}

// columns appends to dst the columns [groups*k] at the output positions that pick chooses, the same ones for the same seed.
func (l *layer) columns(dst []float32, x *tensor.T, out []int, per int, seed, sample uint64) []float32 {
	if l.conv == nil {
		for r := range min(per, x.Shape[0]) {
			dst = append(dst, x.F[r*l.k:(r+1)*l.k]...)
		}
		return dst
	}
	pixels := tensor.Numel(out)
	rnd := rand.New(rand.NewPCG(seed, sample))
	pick := rnd.Perm(pixels)[:min(per, pixels)]
	space := x.Shape[2:]
	size := tensor.Numel(space)
	axes := len(space)
	pos, tap := make([]int, axes), make([]int, axes)
	taps := tensor.Numel(l.s.Kernel)
	for _, p := range pick {
		for i := axes - 1; i >= 0; i-- {
			pos[i] = p%out[i]*l.s.Stride[i] - l.s.Begin[i]
			p /= out[i]
		}
		at := len(dst)
		dst = append(dst, make([]float32, l.groups*l.k)...)
		col := dst[at:]
		for t := range taps {
			r, off, inside := t, 0, true
			for i := axes - 1; i >= 0; i-- {
				tap[i] = r % l.s.Kernel[i]
				r /= l.s.Kernel[i]
			}
			for i := range axes {
				c := pos[i] + tap[i]*l.s.Dilation[i]
				inside = inside && c >= 0 && c < space[i]
				off = off*space[i] + c
			}
			if !inside {
				continue
			}
			for c, j := 0, off; j < len(x.F) && c < x.Shape[1]; c, j = c+1, j+size {
				col[c*taps+t] = x.F[j]
			}
		}
	}
	return dst
}

// moments are what the columns of a group say about a layer: n columns, x of the quantized network, y of the float one, without bias.
type moments struct {
	n    int
	x, y []float64 // means [k], [rows]
	h    []float64 // E[x x'] [k][k]
	c    []float64 // E[y x'] [rows][k]
}

// blockColumns is the number of columns that are multiplied at a time.
const blockColumns = 512

// gather sums the moments over the samples. Memory is bounded by the block, and each block is multiplied on all cores; sums over blocks are in
// float64 and in the order of the samples, so the result is the same each time. Without second, h and c stay empty.
func (l *layer) gather(samples int, at func(i int) (xf, xq *tensor.T), out []int, per int, seed uint64, second bool) ([]*moments, error) {
	level, err := kernels.Best()
	if err != nil {
		return nil, err
	}
	ms := make([]*moments, l.groups)
	for g := range ms {
		ms[g] = &moments{x: make([]float64, l.k), y: make([]float64, l.rows)}
		if second {
			ms[g].h, ms[g].c = make([]float64, l.k*l.k), make([]float64, l.rows*l.k)
		}
	}
	all := l.groups * l.k
	step := max(1, blockColumns/per)
	for first := 0; first < samples; first += step {
		m := min(step, samples-first)
		f, q := make([][]float32, m), make([][]float32, m)
		if err := parallel(m, func(i int) error {
			xf, xq := at(first + i)
			f[i] = l.columns(nil, xf, out, per, seed, uint64(first+i))
			q[i] = l.columns(nil, xq, out, per, seed, uint64(first+i))
			return nil
		}); err != nil {
			return nil, err
		}
		var xf, xq []float32
		for i := range m {
			xf, xq = append(xf, f[i]...), append(xq, q[i]...)
		}
		n := len(xq) / all
		if n == 0 {
			continue
		}
		if err := parallel(l.groups, func(g int) error {
			l.add(level, ms[g], g, n, view(n, l.k, all, xf[g*l.k:]), view(n, l.k, all, xq[g*l.k:]))
			return nil
		}); err != nil {
			return nil, err
		}
	}
	for _, m := range ms {
		for _, s := range [][]float64{m.x, m.y, m.h, m.c} {
			for i := range s {
				s[i] /= max(1, float64(m.n))
			}
		}
		if second {
			m.mirror()
		}
	}
	return ms, nil
}

// add sums n columns of a group, xf of the float network and xq of the quantized one.
func (l *layer) add(level kernels.Level, m *moments, g, n int, xf, xq blas32.General) {
	w := l.w[g*l.rows*l.k:][:l.rows*l.k]
	y := view(n, l.rows, l.rows, make([]float32, n*l.rows))
	blas32.Gemm(blas.NoTrans, blas.Trans, 1, xf, view(l.rows, l.k, l.k, w), 0, y)
	m.n += n
	for i := range n {
		for j := range l.k {
			m.x[j] += float64(xq.Data[i*xq.Stride+j])
		}
		for j := range l.rows {
			m.y[j] += float64(y.Data[i*l.rows+j])
		}
	}
	if m.h == nil {
		return
	}
	h, c := make([]float32, l.k*l.k), make([]float32, l.rows*l.k)
	panels := (l.k + kernels.Panel - 1) / kernels.Panel
	_ = parallel(2*panels, func(i int) error {
		first := i % panels * kernels.Panel
		if i < panels { // the upper triangle of x x'
			kernels.TransposedProduct(level, h, xq.Data, xq.Data, xq.Stride, xq.Stride, n, l.k, first, min(first+kernels.Panel, l.k))
		} else {
			kernels.TransposedProduct(level, c, y.Data, xq.Data, y.Stride, xq.Stride, n, l.k, first, l.rows)
		}
		return nil
	})
	for i := range l.k {
		for j := i; j < l.k; j++ {
			m.h[i*l.k+j] += float64(h[i*l.k+j])
		}
	}
	for i, v := range c {
		m.c[i] += float64(v)
	}
}

// mirror fills the lower triangle of h.
func (m *moments) mirror() {
	k := len(m.x)
	for i := range k {
		for j := range i {
			m.h[i*k+j] = m.h[j*k+i]
		}
	}
}

// centre takes the means out: of H and C covariances remain. What the means contribute is the bias's to repair.
func (m *moments) centre() {
	for i, a := range m.x {
		for j, b := range m.x {
			m.h[i*len(m.x)+j] -= a * b
		}
	}
	for i, a := range m.y {
		for j, b := range m.x {
			m.c[i*len(m.x)+j] -= a * b
		}
	}
}

func view(rows, cols, stride int, data []float32) blas32.General {
	return blas32.General{Rows: rows, Cols: cols, Stride: stride, Data: data}
}
