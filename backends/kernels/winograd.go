package kernels

import "unsafe"

// Winograd is a Conv of windows of 3x3 at every pixel or every other, of which tiles of 4x4 are computed together: F(4x4,3x3) of Lavin and
// Gray, "Fast algorithms for convolutional neural networks" (2015), in integers, and its like for a stride of 2 (see winogradForm). A tile
// reads 6x6 or 9x9 elements d of each channel, and
//
//	sums = A^T ((G g G^T) * (B^T d B)) A
//
// takes 36 or 81 products where the windows have 144. G is scaled so that it, like B, is of integers; the weights g are transformed beforehand.
// The products are sums over channels. They count modulo 2^32, and so does what A makes of them:
// that is 9<<2 to 9<<6 times the sum, and exact where the latter fits 32 bits. It is immutable.
type Winograd[X uint8 | int16] struct {
	*winogradForm
	k         *columnKernels
	form      productsForm
	parts     int // of elements, weights and products: 1, or 3 (see splitWinograd)
	in, back  kernel
	halves    bool  // see way
	rows      []int // of the image, in bytes, and the last one as often as tiles reach beyond it
	ow, oh    int
	c, oc     int          // channels
	strip     int          // tiles in a row
	group     int          // rows of tiles that are computed together
	words     int          // of a register of elements
	width     int          // channels of a tile's elements, in whole registers
	columns   int          // of blocks of output channels
	w         []int16      // [part][point][column][pair of terms][block][lane][2], or [column of points][column][pair][point of the column][lane][2]
	bias      []int32      // [Width]
	cols, out []int64      // of tiles: where its columns are, as the kernel wants it, and bytes to its pixels in the accumulators
	work      winogradWork // without memory
	calls     []winogradCall
	rooms     [3]int // for transformed elements, products and columns, in accumulators
}

// winogradWork is what kernels are called with for a row of tiles, and their memory.
type winogradWork struct {
	in       tilesArgs
	back     untilesArgs
	elements []int16 // transformed
	products []int32
}

// winogradCall is what the kernel that adds up products is called with for a winogradRun, but for memory, and where what it works on begins.
type winogradCall struct {
	productsArgs
	elements, products, weights int
}

// productsForm is a kernel for some tiles by some blocks of output channels.
type productsForm struct {
	kernel        kernel
	tiles, blocks int
}

// tilesArgs is what the kernels of gen/winograd.go take that transform elements.
type tilesArgs struct {
	x             unsafe.Pointer
	row           [winogradSide]int
	dst, strip    unsafe.Pointer
	cols, step    int
	tile          unsafe.Pointer
	tiles, blocks int
	plane         int
	_, _          uintptr // scratch of the kernel
}

// productsArgs is what the kernels take that add up products.
type productsArgs struct {
	x, w, acc            unsafe.Pointer
	points, columns      int
	groups, steps        int
	tile, plane, tileAcc int
	row, rowAcc          int     // of halves
	_                    uintptr // scratch of the kernel
}

// untilesArgs is what the kernels take that transform products back.
type untilesArgs struct {
	x, dst, each, square unsafe.Pointer
	tile                 unsafe.Pointer
	tiles, blocks        int
	plane, row           int
	ninth, high          int
	rest, pixel          int
	nearestEnd
	_ uintptr // scratch of the kernel
}

// NewWinograd prepares a convolution of elements in lo..hi. rows are the places of the first element of each row of the image, border and
// all, without gaps between the pixels that the ow windows of a row read. These are stride apart, 1 or 2. Weights are [oc][3][3][c], and
// bias [oc] counts modulo 2^32. It is nil where numbers are too large, or where a Conv is faster.
func NewWinograd[X uint8 | int16](level Level, rows []int, ow, stride int, w []int32, bias []int64, lo, hi int64) *Winograd[X] {
	return newWinograd[X](level, rows, ow, stride, w, bias, lo, hi, false)
}

// newWinograd is NewWinograd, faster or not for always.
func newWinograd[X uint8 | int16](level Level, rows []int, ow, stride int, w []int32, bias []int64, lo, hi int64, always bool) *Winograd[X] {
	r := tilesOf[X](level, rows, ow, stride, len(w)/9/len(bias), len(bias), 1)
	if r == nil || !always && !r.pays(r.direct()) || !r.fits(w, len(bias), lo, hi) {
		return nil
	}
	r.back = r.k.winograd.untiles[r.way()]
	r.bias = make([]int32, r.Width())
	for o, b := range bias {
		r.bias[o] = int32(b)
	}
	r.transform(0, w)
	return r
}

// tilesOf is a Winograd without weights, biases and what transforms products back; nil where there are no kernels or fewer pixels than a tile
// has.
func tilesOf[X uint8 | int16](level Level, rows []int, ow, stride, c, oc, parts int) *Winograd[X] {
	size, oh := int(unsafe.Sizeof(X(0))), (len(rows)-3)/stride+1
	k := columnsOf(level)
	if k == nil || k.winograd.tiles[stride-1][size-1] == 0 || ow < winogradOut {
		return nil
	}
	r := &Winograd[X]{winogradForm: &winogradForms[stride-1], k: k, parts: parts, ow: ow, oh: oh, c: c, oc: oc, strip: (ow + winogradOut - 1) / winogradOut}
	r.in, r.words = k.winograd.tiles[stride-1][size-1], 4*k.lanes
	half := k.winograd.half[stride-1][size-1]
	switch {
	case parts > 1:
		r.in = k.winograd.split[0]
	case half != 0 && (c-1)%r.words < r.words/2:
		r.in, r.words = half, r.words/2
	}
	r.width = (c + r.words - 1) / r.words * r.words
	for _, p := range rows {
		r.rows = append(r.rows, p*size)
	}
	for range winogradSide {
		r.rows = append(r.rows, r.rows[len(rows)-1])
	}
	r.group = min((winogradTiles+r.strip-1)/r.strip, (oh+winogradOut-1)/winogradOut)
	lanes := 2 * k.lanes
	blocks := (oc + lanes - 1) / lanes
	work := func(f productsForm) int { return f.groups(r.group*r.strip) * f.tiles * f.columns(blocks) * f.blocks }
	forms := k.winograd.products[parts/2]
	r.form = forms[0]
	for _, f := range forms[1:] {
		if work(f) <= work(r.form) {
			r.form = f
		}
	}
	if h := k.winograd.halves; stride == 1 && parts == 1 && h.kernel != 0 && (blocks%2 == 1 || k.winograd.evenHalves && work(h) <= work(r.form)) {
		r.form, r.halves = h, true
	}
	r.columns = r.form.columns(blocks)
	for i := range r.group * r.strip {
		// The last tile of a row ends with it.
		x := min(i%r.strip*winogradOut, ow-winogradOut)
		to := x * stride * r.column()
		if k.winograd.along && stride == 1 && parts == 1 {
			to = 0
			if x%winogradOut > 0 {
				to = (x%winogradOut - r.side()) * r.c * size
			}
		}
		r.cols = append(r.cols, int64(to))
		r.out = append(r.out, int64((i/r.strip*winogradOut*ow+x)*4*r.Width()))
	}
	r.prepare(size)
	return r
}

// prepare makes what kernels are called with for elements of so many bytes, and the rooms.
func (r *Winograd[X]) prepare(size int) {
	width, tiles := r.Width(), r.parts*r.form.groups(r.group*r.strip)*r.form.tiles
	r.rooms = [3]int{tiles * r.planes() * r.width / 2, tiles * r.products() * width, r.pixels() * r.column() / 4}
	r.work.in = tilesArgs{cols: r.pixels(), step: r.c * size, tile: unsafe.Pointer(&r.cols[0]), tiles: r.strip, blocks: r.width / r.words, plane: 2 * r.width}
	r.work.back = untilesArgs{blocks: width / (2 * r.k.lanes), plane: 4 * width, ninth: ninth}
	products, weights := 0, 0
	for _, s := range r.runs {
		in, back := r.work.in.plane, r.work.back.plane
		r.calls = append(r.calls, winogradCall{productsArgs{points: r.parts * s.points / r.together(), columns: r.columns, steps: r.steps(s.terms),
			tile: r.parts * r.planes() * in, plane: s.terms * in, tileAcc: r.parts * r.products() * back, row: r.side() * in, rowAcc: r.side() * back},
			s.plane * r.width, products, weights})
		products, weights = products+s.points*width, weights+s.points*4*r.steps(s.terms)*width // parts have one run
	}
}

// column is the bytes of a column of the strip of tilesArgs: a register for each row, or two where bytes are apart.
func (r *Winograd[X]) column() int { return (1 + r.parts/2) * r.side() * 2 * r.words }

// transform makes the weights of a part.
func (r *Winograd[X]) transform(part int, w []int32) {
	n := r.Width() / r.columns
	at := make([]int, r.planes()) // the weights of the first channels of each plane
	size := 0                     // of a part
	for _, s := range r.runs {
		across := s.points / r.together()
		for i := range s.points * s.terms {
			p := i / s.terms
			at[s.plane+i] = size + ((p%across*r.columns*2*r.steps(s.terms)+i%s.terms*r.width/2)*r.together()+p/across)*2*n
		}
		size += s.points * r.columns * 4 * r.steps(s.terms) * n
	}
	if r.w == nil {
		r.w = make([]int16, r.parts*size)
	}
	u := make([]int32, r.planes())
	for o := range r.oc {
		for i := range r.c {
			r.weights(u, w[o*9*r.c+i:], r.c)
			for _, s := range r.runs {
				for p, v := range u[s.plane:][:s.points*s.terms] {
					r.w[part*size+at[s.plane+p]+((o/n*2*r.steps(s.terms)+i/2)*r.together()*n+o%n)*2+i%2] = int16(v)
				}
			}
		}
	}
}

// way is the number of kernels that take products back: for windows at every pixel, at every other, and for halves. These are of windows at
// every pixel, too, but the kernel that adds up products transforms those of a column of points down the column before it stores them, so that
// a tile has 24 of them instead of 36, and what is left are the rows.
func (r *Winograd[X]) way() int {
	if r.halves {
		return 2
	}
	return r.stride - 1
}

// together is how many points have their weights together: those of a column, or one.
func (r *Winograd[X]) together() int {
	if r.halves {
		return r.side()
	}
	return 1
}

// products are the sums of products of a tile that are stored.
func (r *Winograd[X]) products() int {
	if r.halves {
		return winogradOut * r.side()
	}
	return r.points()
}

// steps is how many times 4 channels a point of some terms has.
func (r *Winograd[X]) steps(terms int) int { return (terms-1)*r.width/4 + (r.c+3)/4 }

// pixels are those of the image that a row of windows reads.
func (r *Winograd[X]) pixels() int { return (r.ow-1)*r.stride + 3 }

// groups is how many times the kernel's tiles are needed.
func (f productsForm) groups(tiles int) int { return (tiles + f.tiles - 1) / f.tiles }

// columns is how many times its blocks are needed.
func (f productsForm) columns(blocks int) int { return (blocks + f.blocks - 1) / f.blocks }

// winogradTiles is the least number of tiles to compute together, if there are as many: enough to read weights seldom, few enough to stay
// in the caches.
const winogradTiles = 8

// Width is as of Conv.
func (r *Winograd[X]) Width() int { return r.columns * r.form.blocks * 2 * r.k.lanes }

// Tile is the number of pixels that are computed together.
func (r *Winograd[X]) Tile() int { return r.group * winogradOut * r.ow }

// Scratch is how many accumulators more than the sums Run needs.
func (r *Winograd[X]) Scratch() int {
	return r.rooms[0] + r.rooms[1] + r.rooms[2] + winogradOut*r.side()*2*r.k.lanes
}

// Run is as of Conv. acc must have room for Scratch after whole tiles.
func (r *Winograd[X]) Run(acc []int32, x []X, first, n int) {
	r.sums(acc, 0, acc[r.groups(n)*r.Tile()*r.Width():], x, first, n)
}

// groups is how many times Tile pixels are needed.
func (r *Winograd[X]) groups(n int) int { return (n + r.Tile() - 1) / r.Tile() }

// sums is Run with room for Scratch in tail. Where there are two parts of sums, the second ones are the given number of elements behind
// the first ones.
func (r *Winograd[X]) sums(acc []int32, high int, tail []int32, x []X, first, n int) {
	width, groups := r.Width(), r.groups(n)
	_ = acc[high+groups*r.Tile()*width-1]
	w := r.work
	r.begin(&w, tail, x)
	w.back.each, w.back.high, w.back.tile, w.back.row = unsafe.Pointer(unsafe.SliceData(r.bias)), 4*high, unsafe.Pointer(&r.out[0]), 4*width*r.ow
	y, end := first/r.ow, (first+n)/r.ow
	for i := range groups {
		r.multiply(&w, y, end, end)
		w.back.dst = unsafe.Pointer(&acc[i*r.Tile()*width])
		r.back.call(unsafe.Pointer(&w.back))
		y += r.group * winogradOut
	}
}

// begin gives w Scratch memory, to work on x.
func (r *Winograd[X]) begin(w *winogradWork, scratch []int32, x []X) {
	_ = x[r.rows[len(r.rows)-1]/int(unsafe.Sizeof(x[0]))+r.pixels()*r.c-1]
	scratch = scratch[:r.Scratch()]
	t, m, strip := scratch[:r.rooms[0]], scratch[r.rooms[0]:], scratch[r.rooms[0]+r.rooms[1]:]
	w.elements, w.products = unsafe.Slice((*int16)(unsafe.Pointer(&t[0])), 2*len(t)), m[:r.rooms[1]]
	w.in.x, w.in.strip = unsafe.Pointer(&x[0]), unsafe.Pointer(&strip[0])
	w.back.x, w.back.square = unsafe.Pointer(&m[0]), unsafe.Pointer(&strip[r.rooms[2]])
}

// multiply makes the products of a group of rows of tiles from pixel row y on, before end, and of none that start after the row last.
func (r *Winograd[X]) multiply(w *winogradWork, y, end, last int) {
	rows := 0 // of tiles
	for ; rows < r.group && y < end; rows++ {
		w.in.row = [winogradSide]int(r.rows[min(y, last)*r.stride:])
		w.in.dst, w.in.blocks = unsafe.Pointer(&w.elements[rows*r.strip*r.parts*r.planes()*r.width]), r.work.in.blocks
		r.in.call(unsafe.Pointer(&w.in))
		y += winogradOut
	}
	w.back.tiles = rows * r.strip
	groups := r.form.groups(w.back.tiles)
	for i := range r.calls {
		c := &r.calls[i]
		p := c.productsArgs
		p.x, p.w, p.acc, p.groups = unsafe.Pointer(&w.elements[c.elements]), unsafe.Pointer(&r.w[c.weights]), unsafe.Pointer(&w.products[c.products]), groups
		r.form.kernel.call(unsafe.Pointer(&p))
	}
}
