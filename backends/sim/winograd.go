package sim

import (
	"quern/backends/kernels"
	"quern/ir/hw"
)

// winograd is a convolution in tiles, or nil where kernels.Winograd is none for it.
func winograd[X uint8 | int16](m *Machine, k *hw.Kernel, im *image) *kernels.Winograd[X] {
	d := k.Dot
	g, l := &d.Geometry, &im.layout
	if d.Groups != 1 || g.KH != 3 || g.KW != 3 || g.SH != 1 || g.SW != 1 || g.DH != 1 || g.DW != 1 {
		return nil
	}
	var rows []int
	for y := range g.OH + 2 {
		rows = append(rows, start(g, l, y))
	}
	x := k.In[0].Range.Union(hw.Interval{Lo: g.PadValue, Hi: g.PadValue})
	return kernels.NewWinograd[X](m.level, rows, g.OW, d.Weights, shifted(d, l.zero, 0, d.OC), x.Lo-l.zero, x.Hi-l.zero)
}
