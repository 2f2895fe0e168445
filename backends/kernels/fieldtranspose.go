package kernels

// FieldTranspose is a transposed convolution from field to field, without groups and with channels last, in the arithmetic of op.ConvTranspose:
// results start with the bias, and each tap adds the sum over all channels of one pixel. It is immutable and safe for concurrent use.
type FieldTranspose struct {
	out   Field
	level Level
	bias  []float32    // of a row of the result
	taps  []*FieldConv // of single pixels, to every place that the tap reaches
}

// NewFieldTranspose packs weights [C][OC][KH][KW] and a bias [OC], or none. The geometry's strides, dilations and pads are those of the
// operator, so that pixel i and tap k add to pixel i*stride + k*dilation - pad of the result. The level must be a native one.
func NewFieldTranspose(level Level, g FloatGeometry, in, out Field, w, bias []float32) *FieldTranspose {
	t := &FieldTranspose{out: out, level: level, bias: make([]float32, out.W*out.Step)}
	for x := range out.W {
		copy(t.bias[x*out.Step:], bias)
	}
	size := g.KH * g.KW
	for tap := range size {
		f := &FieldConv{FloatGeometry: FloatGeometry{Groups: 1, C: g.C, OC: g.OC}, in: in, out: out, level: level, k: columnsOf(level), bias: make([]float32, out.Step)}
		weights := make([]float32, g.OC*g.C)
		for c := range g.C {
			f.off = append(f.off, int32(4*c*in.plane()))
			for o := range g.OC {
				weights[o*g.C+c] = w[(c*g.OC+o)*size+tap]
			}
		}
		for y := range g.H {
			for x := range g.W {
				oy, ox := y*g.SH+tap/g.KW*g.DH-g.PH, x*g.SW+tap%g.KW*g.DW-g.PW
				if oy >= 0 && oy < g.OH && ox >= 0 && ox < g.OW {
					f.pix = append(f.pix, int32(4*in.at(y, x)))
					f.to = append(f.to, int32(4*out.at(oy, ox)))
				}
			}
		}
		if len(f.pix) > 0 {
			f.repeat()
			f.pack(weights)
			t.taps = append(t.taps, f)
		}
	}
	return t
}

// Run computes y of some images x, and limits results.
func (t *FieldTranspose) Run(y, x []float32, images int, limit Limit) {
	size := t.out.Size()
	for n := range images {
		img := y[n*size:][:size]
		for row := range t.out.H {
			copy(img[t.out.at(row, 0):], t.bias)
		}
		for _, f := range t.taps {
			// What is added to lies where the result goes: kernels read a whole tile before they write it, and only within one, the last, can
			// pixels be the same.
			f.Run(img, x[n*f.in.Size():], img, 1, 0)
		}
		switch {
		case limit == Unlimited:
			Relu(t.level, img, img)
		case limit > 0:
			Clip(t.level, img, img, 0, float32(limit))
		}
	}
}
