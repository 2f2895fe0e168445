package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// winograd is a convolution in tiles, or nil where kernels.Winograd is none for it.
func winograd[X uint8 | int16](m *Machine, k *hw.Kernel, im *image) *kernels.Winograd[X] {
	d, l := k.Dot, &im.layout
	rows := tileRows(k, im)
	if rows == nil {
		return nil
	}
	x := k.In[0].Range.Union(hw.Interval{Lo: d.PadValue, Hi: d.PadValue})
	return kernels.NewWinograd[X](m.level, rows, d.OW, d.SH, d.Weights, shifted(d, l.zero, 0, d.OC), x.Lo-l.zero, x.Hi-l.zero)
}

// tileRows are the places of the first element of each row of the image, or nil for a convolution that has no tiles.
func tileRows(k *hw.Kernel, im *image) []int {
	d := k.Dot
	g := &d.Geometry
	if d.Groups != 1 || g.KH != 3 || g.KW != 3 || g.SH != g.SW || g.SH > 2 || g.DH != 1 || g.DW != 1 {
		return nil
	}
	return im.layout.rowsOf(g)
}

// poolOf is r in tiles with a pooling behind it, from a place in the output on, to rows so many elements apart; nil where kernels have none.
func poolOf[X, Y uint8 | int16](r *asmDot[X], to *kernels.Requant32[Y], at, row int) wholeDot[X] {
	if c, ok := r.groups[0].(*kernels.Winograd[X]); ok {
		if w := kernels.NewRequantWinograd(c, to, true, row); w != nil {
			return &wholeTo[X, Y]{w, at}
		}
	}
	return nil
}
