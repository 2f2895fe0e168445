package kernels

import "unsafe"

// Winograd is a Conv of windows of 3x3 at every pixel, of which tiles of 4x4 are computed together: F(4x4,3x3) of Lavin and Gray,
// "Fast algorithms for convolutional neural networks" (2015), in integers. A tile reads 6x6 elements d of each channel, and
//
//	sums = A^T ((G g G^T) * (B^T d B)) A
//
// takes 36 products where the windows have 144. G is scaled so that it, like B, is of integers; the weights g are transformed beforehand.
// The products are sums over channels. They count modulo 2^32, and so does what A makes of them:
// that is 9<<4 to 9<<6 times the sum, and exact where the latter fits 32 bits. It is immutable.
type Winograd[X uint8 | int16] struct {
	k         *columnKernels
	form      productsForm
	rows      []int // of the image, in bytes
	ow, c     int
	strip     int     // tiles in a row
	group     int     // rows of tiles that are computed together
	width     int     // channels of a tile's elements, in whole registers
	steps     int     // of 4 channels
	columns   int     // of blocks of output channels
	w         []int16 // [point][column][pair of channels][block][lane][2]
	bias      []int32 // [Width]
	cols, out []int64 // of tiles: bytes to its columns in the scratch, and to its pixels in the accumulators
}

// productsForm is a kernel for some tiles by some blocks of output channels.
type productsForm struct {
	kernel        kernel
	tiles, blocks int
}

// tilesArgs is what the kernels of gen/winograd.go take that transform elements.
type tilesArgs struct {
	x             unsafe.Pointer
	row           [winogradTile]int
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
	_                    uintptr // scratch of the kernel
}

// untilesArgs is what the kernels take that transform products back.
type untilesArgs struct {
	x, acc, bias, square unsafe.Pointer
	tile                 unsafe.Pointer
	tiles, blocks        int
	plane, row           int
	ninth                int
}

// A tile of elements has a side of 6, one of sums of 4.
const (
	winogradTile   = 6
	winogradPoints = winogradTile * winogradTile
	winogradOut    = 4
	ninth          = 0x38e38e39 // 1/9 modulo 2^32
)

// The matrices. The rows of G are scaled by 24, 12, 12, 24, 24 and 6.
var (
	winogradG  = [winogradTile][3]int64{{6, 0, 0}, {-2, -2, -2}, {-2, 2, -2}, {1, 2, 4}, {1, -2, 4}, {0, 0, 6}}
	winogradBT = [winogradTile][winogradTile]int64{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}}
)

// NewWinograd prepares a convolution of elements in lo..hi. rows are the places of the first element of each row of the image, border and
// all, of ow+2 pixels without gaps. Weights are [oc][3][3][c], and bias [oc] counts modulo 2^32. It is nil where numbers are too large, or
// where a Conv is faster.
func NewWinograd[X uint8 | int16](level Level, rows []int, ow int, w []int32, bias []int64, lo, hi int64) *Winograd[X] {
	return newWinograd[X](level, rows, ow, w, bias, lo, hi, false)
}

// newWinograd is NewWinograd, faster or not for always.
func newWinograd[X uint8 | int16](level Level, rows []int, ow int, w []int32, bias []int64, lo, hi int64, always bool) *Winograd[X] {
	var x X
	size, oc := int(unsafe.Sizeof(x)), len(bias)
	c, oh := len(w)/9/oc, len(rows)-2
	k := columnsOf(level)
	if k == nil || k.winograd.tiles[size-1] == 0 || ow < winogradOut {
		return nil
	}
	lanes := 4 * k.lanes // words
	r := &Winograd[X]{k: k, ow: ow, c: c, strip: (ow + winogradOut - 1) / winogradOut, width: (c + lanes - 1) / lanes * lanes, steps: (c + 3) / 4}
	for _, p := range rows {
		r.rows = append(r.rows, p*size)
	}
	r.group = min((winogradTiles+r.strip-1)/r.strip, (oh+winogradOut-1)/winogradOut)
	lanes /= 2 // of sums
	blocks := (oc + lanes - 1) / lanes
	work := func(f productsForm) int { return f.groups(r.group*r.strip) * f.tiles * f.columns(blocks) * f.blocks }
	r.form = k.winograd.products[0]
	for _, f := range k.winograd.products[1:] {
		if work(f) <= work(r.form) {
			r.form = f
		}
	}
	r.columns = r.form.columns(blocks)
	r.bias = make([]int32, r.columns*r.form.blocks*lanes)
	if !always && !r.pays(oh, blocks) || !winogradFits(w, oc, lo, hi) {
		return nil
	}
	r.w = make([]int16, winogradPoints*r.columns*r.steps*4*r.form.blocks*lanes)
	u, n := make([]int32, winogradPoints), r.form.blocks*lanes
	for o := range oc {
		r.bias[o] = int32(bias[o])
		for i := range c {
			winogradWeights(u, w[o*9*c+i:], c)
			for p, v := range u {
				r.w[(((p*r.columns+o/n)*2*r.steps+i/2)*n+o%n)*2+i%2] = int16(v)
			}
		}
	}
	for i := range r.group * r.strip {
		// The last tile of a row ends with it.
		x := min(i%r.strip*winogradOut, ow-winogradOut)
		r.cols = append(r.cols, int64(x*winogradTile*8*k.lanes))
		r.out = append(r.out, int64((i/r.strip*winogradOut*ow+x)*4*r.Width()))
	}
	return r
}

// groups is how many times the kernel's tiles are needed.
func (f productsForm) groups(tiles int) int { return (tiles + f.tiles - 1) / f.tiles }

// columns is how many times its blocks are needed.
func (f productsForm) columns(blocks int) int { return (blocks + f.blocks - 1) / f.blocks }

// winogradTiles is the least number of tiles to compute together, if there are as many: enough to read weights seldom, few enough to stay
// in the caches.
const winogradTiles = 8

// pays tells whether Winograd is faster than a Conv of as many blocks of output channels. The estimate is in cycles of a core that takes
// two multiplications of registers in each: on a Zen 3, a tile's elements took about 100 for each register of channels, and its products 70.
// There, 3 channels to 16 were 0.76 times as fast, 16 to 16 and 64 to 64 three times. With AVX-512, where a Conv takes four bytes to a lane, it is
// the estimate alone: stores bound the transforms, one to a cycle, as they do there.
func (r *Winograd[X]) pays(oh, blocks int) bool {
	var x X
	step := 4 / int(unsafe.Sizeof(x))
	direct := oh * r.ow * 3 * ((3*r.c + step - 1) / step) * blocks / 2
	rows := (oh + winogradOut - 1) / winogradOut
	all := rows / r.group * r.form.groups(r.group*r.strip)
	all += r.form.groups(rows % r.group * r.strip)
	products := all * r.form.tiles * winogradPoints * 2 * r.steps * r.columns * r.form.blocks / 2
	lanes := 2 * r.k.lanes
	transforms := rows * r.strip * (100*r.width/(2*lanes) + 70*len(r.bias)/lanes)
	return products+transforms < direct
}

// winogradWeights writes G g G^T for the 9 weights g of a channel, which are step apart.
func winogradWeights(dst, g []int32, step int) {
	for i, a := range winogradG {
		for j, b := range winogradG {
			s := int64(0)
			for y, p := range a {
				for x, q := range b {
					s += p * q * int64(g[(3*y+x)*step])
				}
			}
			dst[winogradTile*i+j] = int32(s)
		}
	}
}

// winogradFits tells whether transformed elements of lo..hi and weights fit 16 bits, and 9<<6 times each sum 32 bits.
func winogradFits(w []int32, oc int, lo, hi int64) bool {
	const most = 1<<15 - 1
	for _, a := range winogradBT {
		for _, b := range winogradBT {
			top, bottom := int64(0), int64(0)
			for _, p := range a {
				for _, q := range b {
					top += max(p*q*lo, p*q*hi)
					bottom += min(p*q*lo, p*q*hi)
				}
			}
			if top > most || bottom < -most {
				return false
			}
		}
	}
	k := len(w) / oc
	c := k / 9
	u := make([]int32, winogradPoints)
	for o := range oc {
		top, bottom := int64(0), int64(0)
		for _, v := range w[o*k : (o+1)*k] {
			if v > most || v < -most {
				return false
			}
			top += max(int64(v)*lo, int64(v)*hi)
			bottom += min(int64(v)*lo, int64(v)*hi)
		}
		if top >= 1<<25 || bottom < -1<<25 {
			return false
		}
		for i := range c {
			winogradWeights(u, w[o*k+i:], c)
			for _, v := range u {
				if v > most || v < -most {
					return false
				}
			}
		}
	}
	return true
}

// Width is as of Conv.
func (r *Winograd[X]) Width() int { return len(r.bias) }

// Tile is the number of pixels that are computed together.
func (r *Winograd[X]) Tile() int { return r.group * winogradOut * r.ow }

// Scratch is how many accumulators more than the sums Run needs.
func (r *Winograd[X]) Scratch() int {
	t, m, s := r.scratch()
	return t + m + s + winogradOut*winogradTile*2*r.k.lanes
}

// scratch is the room for transformed elements, products and columns.
func (r *Winograd[X]) scratch() (int, int, int) {
	tiles := winogradPoints * r.form.groups(r.group*r.strip) * r.form.tiles
	return tiles * r.width / 2, tiles * r.Width(), (r.ow + 2) * winogradTile * 2 * r.k.lanes
}

// Run is as of Conv. acc must have room for Scratch after whole tiles.
func (r *Winograd[X]) Run(acc []int32, x []X, first, n int) {
	width := r.Width()
	groups := (n + r.Tile() - 1) / r.Tile()
	tn, mn, sn := r.scratch()
	tail := acc[groups*r.Tile()*width:][:r.Scratch()]
	t, m, strip, square := tail[:tn], tail[tn:tn+mn], tail[tn+mn:tn+mn+sn], tail[tn+mn+sn:]
	ts := unsafe.Slice((*int16)(unsafe.Pointer(&t[0])), 2*len(t))
	var zero X
	size := int(unsafe.Sizeof(zero))
	_ = x[r.rows[len(r.rows)-1]/size+(r.ow+2)*r.c-1]
	a := tilesArgs{x: unsafe.Pointer(&x[0]), strip: unsafe.Pointer(&strip[0]), cols: r.ow + 2, step: r.c * size, tile: unsafe.Pointer(&r.cols[0]), tiles: r.strip, plane: 2 * r.width}
	b := untilesArgs{x: unsafe.Pointer(&m[0]), bias: unsafe.Pointer(&r.bias[0]), square: unsafe.Pointer(&square[0]), tile: unsafe.Pointer(&r.out[0]), plane: 4 * width, row: 4 * width * r.ow, ninth: ninth}
	y, end := first/r.ow, (first+n)/r.ow
	for i := range groups {
		rows := 0 // of tiles
		for ; rows < r.group && y < end; rows++ {
			for j := range a.row {
				a.row[j] = r.rows[min(y+j, len(r.rows)-1)]
			}
			a.dst, a.blocks = unsafe.Pointer(&ts[rows*r.strip*winogradPoints*r.width]), r.width/(4*r.k.lanes)
			r.k.winograd.tiles[size-1].call(unsafe.Pointer(&a))
			y += winogradOut
		}
		p := productsArgs{x: unsafe.Pointer(&ts[0]), w: unsafe.Pointer(&r.w[0]), acc: unsafe.Pointer(&m[0]), points: winogradPoints, columns: r.columns,
			groups: r.form.groups(rows * r.strip), steps: r.steps, tile: winogradPoints * a.plane, plane: a.plane, tileAcc: winogradPoints * b.plane}
		r.form.kernel.call(unsafe.Pointer(&p))
		b.acc, b.tiles, b.blocks = unsafe.Pointer(&acc[i*r.Tile()*width]), rows*r.strip, width/(2*r.k.lanes)
		r.k.winograd.untiles.call(unsafe.Pointer(&b))
	}
}
