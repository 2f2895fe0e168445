package sim

import (
	"slices"

	"quern/backends/kernels"
	"quern/ir/hw"
)

// Folding takes neighbouring pixels of a row as one pixel of as many times the channels, so that few channels fill a register's lanes:
// windows are wider by what the neighbours see, with weights of zero there. In memory such a pixel is the same as its neighbours, one after
// the other.

// folds are the numbers of neighbours that are tried.
var folds = []int{1, 2, 4}

// fold is d with as many pixels as one as take the least time, and their number. size is the bytes of an element.
func fold(d *hw.Dot, level kernels.Level, size int) (*hw.Dot, int) {
	if d.Groups > 1 || d.DW > 1 {
		return d, 1
	}
	best, least := 1, 0
	for _, f := range folds {
		if d.OW%f > 0 || f > 1 && d.OW == f {
			continue
		}
		if t := foldTime(&d.Geometry, f, level, size); f == 1 || t < least {
			best, least = f, t
		}
	}
	if best == 1 {
		return d, 1
	}
	r := *d
	g := &r.Geometry
	g.OC, g.OW, g.SW, g.KW = best*d.OC, d.OW/best, best*d.SW, d.KW+(best-1)*d.SW
	r.Weights = make([]int32, g.OC*g.KH*g.KW*g.C)
	row := d.KW * d.C
	for i := range best {
		for j := range d.OC * d.KH {
			to := (i*d.OC*g.KH+j)*g.KW + i*d.SW
			copy(r.Weights[to*g.C:], d.Weights[j*row:(j+1)*row])
		}
	}
	r.Bias, r.Acc = slices.Repeat(d.Bias, best), slices.Repeat(d.Acc, best)
	return &r, best
}

// foldTime counts the time of a folded convolution: two blocks of channels are faster together than one after the other, as they share
// what is loaded. With AVX-512, where eight pixels share each load of weights, that is little: on a Zen 4 a product takes 1.22 cycles in
// one block and 1.19 in two.
func foldTime(g *hw.Geometry, f int, level kernels.Level, size int) int {
	lanes, two := lanesOf(level), 9
	if level == kernels.AVX2 {
		two = 8
	}
	blocks := (f*g.OC + lanes - 1) / lanes
	steps := kernels.ConvSteps(level, size, g.KH, (g.KW+(f-1)*g.SW)*g.C*size, f*g.SW*g.C*size)
	return g.OH * g.OW / f * steps * (blocks/2*two + blocks%2*5)
}

// pixelTime counts the time of a convolution with pixels in lanes (kernels.PixelLanes), pairs of them in two registers, in the same units.
func pixelTime(g *hw.Geometry, level kernels.Level, size int) int {
	lanes := lanesOf(level)
	steps := (g.KW*g.C*size + 3) / 4 * g.KH
	registers := g.OH * 2 * ((g.OW/2 + lanes - 1) / lanes)
	return registers * ((g.OC + 1) / 2 * 2) * steps * 5
}

// lanesOf is the number of sums in a register.
func lanesOf(level kernels.Level) int {
	if level == kernels.AVX2 {
		return 8
	}
	return 16
}
