package kernels

import "unsafe"

// Panel is the number of columns of a TransposedProduct that are computed together.
const Panel = 32

// TransposedProduct computes columns of c = a'b for a [k][m] and b [k][n], whose rows lie lda and ldb elements apart: the up to Panel
// columns of c [m][n] from the given one on, and of those the first rows, as many as given. Sums start with 0 and add one rounded product after
// the other, in the order of the rows of a and b, so all levels and CPUs compute the same bits.
func TransposedProduct(level Level, c, a, b []float32, lda, ldb, k, n, first, rows int) {
	width := min(Panel, n-first)
	q := columnsOf(level)
	if q == nil || k == 0 {
		for i := range rows {
			row := c[i*n+first:][:width]
			clear(row)
			for l := range k {
				v, bs := a[l*lda+i], b[l*ldb+first:][:width]
				for j, x := range bs {
					row[j] += float32(v * x) // the conversion forbids a fused multiplication
				}
			}
		}
		return
	}
	_, _ = a[(k-1)*lda+rows-1], b[(k-1)*ldb+first+width-1]
	w := make([]float32, k*Panel)
	off := make([]int32, k)
	for l := range k {
		copy(w[l*Panel:], b[l*ldb+first:][:width])
		off[l] = int32(4 * l * lda)
	}
	tile, lanes := q.wide(), 2*q.lanes
	pix := make([]int32, (rows+tile-1)/tile*tile)
	out := steps(len(pix), 4*Panel)
	for i := range pix {
		pix[i] = int32(4 * min(i, rows-1))
	}
	acc, zero := make([]float32, len(pix)*Panel), make([]float32, Panel)
	step := 2 * lanes // columns of a call
	if step < Panel {
		w = panels(w, k, step)
	}
	for at := 0; at < Panel; at += step {
		f := floatArgs{x: unsafe.Pointer(&a[0]), w: unsafe.Pointer(&w[at*k]), dst: unsafe.Pointer(&acc[at]), out: unsafe.Pointer(&out[0]), bias: unsafe.Pointer(&zero[0]), off: unsafe.Pointer(&off[0]),
			taps: k, pix: unsafe.Pointer(&pix[0]), tiles: len(pix) / tile}
		q.float2.call(unsafe.Pointer(&f))
	}
	for i := range rows {
		copy(c[i*n+first:][:width], acc[i*Panel:])
	}
}

// panels cuts rows of Panel elements into narrower panels one after the other.
func panels(w []float32, k, step int) []float32 {
	r := make([]float32, 0, len(w))
	for at := 0; at < Panel; at += step {
		for l := range k {
			r = append(r, w[l*Panel+at:][:step]...)
		}
	}
	return r
}
