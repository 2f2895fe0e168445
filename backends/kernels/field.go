package kernels

// Field is the layout of an image in memory: pixel after pixel, the channels of each in Step elements, or channel after channel in Planes,
// where Step is 1; within a border that holds 0. Elements or planes beyond the channels are of no use. Images of a batch lie one behind the other.
type Field struct {
	C, H, W int
	Step    int
	Planes  int // 0: channels last
	Border
}

// Border is how many rows and columns lie around an image.
type Border struct{ Top, Left, Bottom, Right int }

// Max is a border as wide as both.
func (b Border) Max(c Border) Border {
	return Border{max(b.Top, c.Top), max(b.Left, c.Left), max(b.Bottom, c.Bottom), max(b.Right, c.Right)}
}

// NewField is a layout that native code of the level can write to.
func NewField(level Level, c, h, w int, b Border) Field {
	lanes := 1
	if k := columnsOf(level); k != nil {
		lanes = 2 * k.lanes
	}
	return Field{C: c, H: h, W: w, Step: (c + lanes - 1) / lanes * lanes, Border: b}
}

// NewPlanes is a layout with the channels outside.
func NewPlanes(c, h, w, planes int, b Border) Field {
	return Field{C: c, H: h, W: w, Step: 1, Planes: planes, Border: b}
}

// Size is the number of elements of an image.
func (f *Field) Size() int { return (f.Top + f.H + f.Bottom) * f.rowStep() * max(f.Planes, 1) }

// Bare reports whether images lie as those of a tensor.
func (f *Field) Bare() bool { return f.Planes == f.C && f.Border == Border{} }

// plane is the number of elements from channel to channel.
func (f *Field) plane() int {
	if f.Planes > 0 {
		return (f.Top + f.H + f.Bottom) * f.rowStep()
	}
	return 1
}

// Make is memory for some images. Native code reads and writes registers up to the end of a pixel, no further.
func (f *Field) Make(images int) []float32 { return make([]float32, images*f.Size()) }

func (f *Field) rowStep() int { return (f.Left + f.W + f.Right) * f.Step }

// at is the index of a pixel, which may lie in the border.
func (f *Field) at(y, x int) int { return (f.Top+y)*f.rowStep() + (f.Left+x)*f.Step }

// Load copies images whose channels come first.
func (f *Field) Load(level Level, dst, src []float32) {
	plane, size := f.H*f.W, f.Size()
	h, w := f.lines()
	for n := range len(dst) / size {
		img := src[n*f.C*plane:][:f.C*plane]
		if f.Planes > 0 {
			f.rows(func(i, at int) { copy(dst[n*size+at:][:f.W], img[i:]) })
			continue
		}
		for y := range h {
			row := dst[n*size+f.at(y, 0):][:w*f.Step]
			if f.C >= 8 && level != Generic {
				turn(row, f.Step, img[y*w:], plane, f.C, w)
				continue
			}
			for c := range f.C {
				i := c
				for _, v := range img[c*plane+y*w:][:w] {
					row[i] = v
					i += f.Step
				}
			}
		}
	}
}

// Store copies images back.
func (f *Field) Store(level Level, dst, src []float32) {
	plane, size := f.H*f.W, f.Size()
	h, w := f.lines()
	for n := range len(src) / size {
		img := dst[n*f.C*plane:][:f.C*plane]
		if f.Planes > 0 {
			f.rows(func(i, at int) { copy(img[i:][:f.W], src[n*size+at:]) })
			continue
		}
		for y := range h {
			row := src[n*size+f.at(y, 0):][:w*f.Step]
			if w >= 8 && level != Generic {
				turn(img[y*w:], plane, row, f.Step, w, f.C)
				continue
			}
			for c := range f.C {
				i := c
				to := img[c*plane+y*w:][:w]
				for x := range to {
					to[x] = row[i]
					i += f.Step
				}
			}
		}
	}
}

// lines are the pixels that lie one behind the other: rows, or the whole image where nothing lies between them.
func (f *Field) lines() (number, pixels int) {
	if f.Left+f.Right == 0 {
		return 1, f.H * f.W
	}
	return f.H, f.W
}

// rows calls f with the place of each row of planes in a tensor and in a field.
func (f *Field) rows(each func(i, at int)) {
	for c := range f.C {
		for y := range f.H {
			each((c*f.H+y)*f.W, c*f.plane()+f.at(y, 0))
		}
	}
}
