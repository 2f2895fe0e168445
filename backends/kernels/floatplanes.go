package kernels

// FloatPlanes is the number of planes of a field that a convolution of so many channels writes: kernels do 6 or 4 at a time.
func FloatPlanes(channels int) int { return max(channels+channels&1, 4) }

// Planes reports whether a convolution of planes is faster where its lanes are neighbouring pixels, and so its result planes. The last
// register of a row overlaps the one before it, so that none leaves the row.
func (g *FloatGeometry) Planes(level Level) bool {
	k := columnsOf(level)
	if k == nil || g.Groups != 1 || g.Winograd() || g.SW != 1 || g.OW < 2*k.lanes {
		return false
	}
	lanes := 2 * k.lanes
	whole := func(n int) int { return (n + lanes - 1) / lanes * lanes }
	return FloatPlanes(g.OC)*whole(g.OW) < whole(g.OC)*g.OW
}

// planes packs weights [OC][C][KH][KW] as [tap][channel of a part], and finds the registers of a row.
func (f *FieldConv) planes(w []float32) {
	lanes, k := 2*f.k.lanes, len(f.off)
	for y := range f.OH {
		for x := 0; x < f.OW; x += lanes {
			x := min(x, f.OW-lanes)
			f.pix = append(f.pix, int32(4*f.in.at(y*f.SH-f.PH, x-f.PW)))
			f.to = append(f.to, int32(4*f.out.at(y, x)))
		}
	}
	f.repeat()
	for c := 0; c < f.out.Planes; {
		n := 4
		if (f.out.Planes-c)%6 == 0 {
			n = 6
		}
		p := f.k.planes[n/2-2]
		p.channel, p.w = c, make([]float32, k*n)
		for l := range min(n, f.OC-c) {
			for i, v := range w[(c+l)*k:][:k] {
				p.w[i*n+l] = v
			}
		}
		f.parts = append(f.parts, p)
		c += n
	}
}
