package sim

// lines are the runs of pixels that several buffers of one shape have in common: all pixels, or those of a row where a buffer has a
// border.
type lines struct {
	rows  int
	width int // pixels of a run
}

// newLines reports false where buffers with borders have rows of different lengths.
func newLines(buffers ...*layout) (lines, bool) {
	r := lines{1, buffers[0].h * buffers[0].w}
	for _, l := range buffers {
		if !l.dense() {
			r = lines{l.h, l.w}
		}
	}
	for _, l := range buffers {
		if !l.dense() && (l.h != r.rows || l.w != r.width) {
			return r, false
		}
	}
	return r, true
}

// from is the place of the first pixel of a run.
func (r lines) from(l *layout, row int) int {
	if l.dense() {
		return l.at(0, 0) + row*r.width*l.c
	}
	return l.at(row, 0)
}
