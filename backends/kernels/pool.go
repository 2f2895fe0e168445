package kernels

// MaxRow computes acc[p*Run+c] = the largest of channel c in the window of pixel p, for a row of pixels; the runs of the window are
// all channels at each tap. x starts at the window of pixel 0.
func MaxRow[X Int, A Acc](win *Window, acc []A, x []X, pixels int) {
	n := win.Run
	for p := range pixels {
		xs, row := x[p*win.Step:], acc[p*n:][:n]
		off := win.Off
		x0 := xs[off[0]:][:len(row)]
		x1 := xs[off[len(off)-1]:][:len(row)]
		for i := range row {
			row[i] = A(max(x0[i], x1[i]))
		}
		for t := 1; t+1 < len(off); t += 2 { // the last may come twice
			x0 = xs[off[t]:][:len(row)]
			x1 = xs[off[t+1]:][:len(row)]
			for i, a := range row {
				row[i] = max(a, A(max(x0[i], x1[i])))
			}
		}
	}
}
