package kernels

// span is what a sum may be.
type span struct{ lo, hi int64 }

// fits reports whether the numbers less the middle one fit 32 bits.
func (s span) fits() bool { return s.hi-s.lo < 1<<32 }

// fits32 reports whether the numbers themselves fit 32 bits.
func (s span) fits32() bool { return s.lo >= -1<<31 && s.hi < 1<<31 }

// middle is the number that leaves what fits in -1<<31..1<<31-1.
func (s span) middle() int64 { return s.lo + 1<<31 }

func (s span) plus(t span) span { return span{s.lo + t.lo, s.hi + t.hi} }

// times is what v times a number of s may be.
func (s span) times(v int64) span {
	x, y := s.lo*v, s.hi*v
	return span{min(x, y), max(x, y)}
}

// piece is a part of a run of the window.
type piece struct {
	off, run int // offset, and index of the run's first weight
	from, to int // elements of the run that count
	start    int // the first element that is read
}

// group is a part of the window, and for each channel what the parts of its sum may be.
type group struct {
	pieces        []piece
	first, second []span
}

// wideBuilder is the geometry of a Wide.
type wideBuilder struct {
	level       Level
	pixels, off []int
	run, oc     int
	lo, hi      int64 // of elements
}

// parts is what a weight adds to the parts. The second weight is that of a second part of its own, or with up that of the high bytes: then
// the first part is the error (w - t<<(up-8))*x + t<<(up-8)*d.
func (b *wideBuilder) parts(w, t int32, up int64) (first, second span) {
	x := span{b.lo, b.hi}
	if up == 0 {
		return x.times(int64(w)), x.times(int64(t))
	}
	near := int64(t) << (up - 8)
	return x.times(int64(w) - near).plus(span{-128, 127}.times(near)), span{0, 255}.times(int64(t))
}

// cut finds groups of pieces of the window whose parts fit 32 bits for every channel, with weights of one part or two. All pieces have
// one size: whole runs, or a run in halves, quarters and so on, of which the last may read some elements of the one before, with
// weights of 0. It is nil where there are more than the given number, if any, or where a single element has too large a product.
func (b *wideBuilder) cut(w, second []int32, up []int64, most int) []group {
	for size := b.run; ; size = (size + 1) / 2 {
		if g := b.cutBy(size, w, second, up); g != nil && (most == 0 || len(g) <= most) {
			return g
		} else if g != nil || size == 1 {
			return nil
		}
	}
}

// cutBy is cut for pieces of the given size; nil where one piece alone has too large a part.
func (b *wideBuilder) cutBy(size int, w, second []int32, up []int64) []group {
	k := len(b.off) * b.run
	empty := func() group { return group{first: make([]span, b.oc), second: make([]span, b.oc)} }
	var groups []group
	sum := empty()
	for r, o := range b.off {
		for from := 0; from < b.run; from += size {
			p := piece{off: o, run: r * b.run, from: from, to: min(from+size, b.run), start: min(from, b.run-size)}
			full, own := false, empty()
			for c := range b.oc {
				for i := c*k + p.run + p.from; i < c*k+p.run+p.to; i++ {
					t, u := int32(0), int64(0)
					if second != nil {
						t = second[i]
					}
					if up != nil {
						u = up[c]
					}
					f, s := b.parts(w[i], t, u)
					own.first[c], own.second[c] = own.first[c].plus(f), own.second[c].plus(s)
				}
				if !own.first[c].fits() || !own.second[c].fits() {
					return nil
				}
				full = full || !sum.first[c].plus(own.first[c]).fits() || !sum.second[c].plus(own.second[c]).fits()
			}
			if full {
				groups, sum = append(groups, sum), empty()
			}
			sum.pieces = append(sum.pieces, p)
			for c := range b.oc {
				sum.first[c], sum.second[c] = sum.first[c].plus(own.first[c]), sum.second[c].plus(own.second[c])
			}
		}
	}
	return append(groups, sum)
}

// addPart adds the convolution of a group by weights [oc][k].
func addPart[X uint8 | int16](b *wideBuilder, parts *[]narrow[X], g group, w []int32, bias func(o int) int64) error {
	k, size := len(b.off)*b.run, g.pieces[0].to-g.pieces[0].start
	ws, bs := make([]int32, 0, b.oc*len(g.pieces)*size), make([]int64, b.oc)
	for o := range b.oc {
		bs[o] = bias(o)
		for _, p := range g.pieces {
			for e := p.start; e < p.start+size; e++ {
				v := int32(0)
				if e >= p.from && e < p.to {
					v = w[o*k+p.run+e]
				}
				ws = append(ws, v)
			}
		}
	}
	var offs []int
	for _, p := range g.pieces {
		offs = append(offs, p.off+p.start)
	}
	c, err := NewConv[X](b.level, b.pixels, offs, size, ws, bs)
	*parts = append(*parts, c)
	return err
}

// halves are weights as a low byte with a sign and the rest, 256 times that.
func halves(w []int32) (low, rest []int32) {
	low, rest = make([]int32, len(w)), make([]int32, len(w))
	for i, v := range w {
		low[i] = int32(int8(v))
		rest[i] = (v - low[i]) >> 8
	}
	return low, rest
}

// topBytes writes the weights of a channel as bytes times 1<<shift, with the shift that makes the least error for elements with
// values in a range of the given width.
func topBytes(top, w []int32, width int64) (shift uint) {
	round := func(v int32, s uint) int64 { return int64(max(min((v+1<<s>>1)>>s, 127), -128)) }
	least := int64(-1)
	for s := range uint(9) {
		sum := int64(0)
		for _, v := range w {
			t := round(v, s) << s
			e := int64(v) - t
			sum += max(e, -e)*width + max(t, -t)*255
		}
		if least < 0 || sum < least {
			least, shift = sum, s
		}
	}
	for i, v := range w {
		top[i] = int32(round(v, shift))
	}
	return shift
}
