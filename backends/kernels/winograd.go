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
	parts     int // of elements, weights and products: 1, or 3 (see splitWinograd)
	in, back  kernel
	rows      []int // of the image, in bytes
	ow, oh    int
	c, oc     int     // channels
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
	ninth, high          int
	_                    uintptr // scratch of the kernel
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
	r := tilesOf[X](level, rows, ow, len(w)/9/len(bias), len(bias), 1)
	if r == nil || !always && !r.pays(r.direct()) || !winogradFits(w, len(bias), lo, hi) {
		return nil
	}
	r.in, r.back = r.k.winograd.tiles[unsafe.Sizeof(X(0))-1], r.k.winograd.untiles
	r.bias = make([]int32, r.Width())
	for o, b := range bias {
		r.bias[o] = int32(b)
	}
	r.transform(0, w)
	return r
}

// tilesOf is a Winograd without kernels, weights and biases; nil where there are no kernels or fewer pixels than a tile has.
func tilesOf[X uint8 | int16](level Level, rows []int, ow, c, oc, parts int) *Winograd[X] {
	size, oh := int(unsafe.Sizeof(X(0))), len(rows)-2
	k := columnsOf(level)
	if k == nil || k.winograd.tiles[size-1] == 0 || ow < winogradOut {
		return nil
	}
	lanes := 4 * k.lanes // words
	r := &Winograd[X]{k: k, parts: parts, ow: ow, oh: oh, c: c, oc: oc, strip: (ow + winogradOut - 1) / winogradOut, width: (c + lanes - 1) / lanes * lanes, steps: (c + 3) / 4}
	for _, p := range rows {
		r.rows = append(r.rows, p*size)
	}
	r.group = min((winogradTiles+r.strip-1)/r.strip, (oh+winogradOut-1)/winogradOut)
	lanes /= 2 // of sums
	blocks := (oc + lanes - 1) / lanes
	work := func(f productsForm) int { return f.groups(r.group*r.strip) * f.tiles * f.columns(blocks) * f.blocks }
	forms := k.winograd.products[parts/2]
	r.form = forms[0]
	for _, f := range forms[1:] {
		if work(f) <= work(r.form) {
			r.form = f
		}
	}
	r.columns = r.form.columns(blocks)
	for i := range r.group * r.strip {
		// The last tile of a row ends with it.
		x := min(i%r.strip*winogradOut, ow-winogradOut)
		r.cols = append(r.cols, int64(x*r.column()))
		r.out = append(r.out, int64((i/r.strip*winogradOut*ow+x)*4*r.Width()))
	}
	return r
}

// column is the bytes of a column of the strip of tilesArgs: 6 registers, or 12 where bytes are apart.
func (r *Winograd[X]) column() int { return (1 + r.parts/2) * winogradTile * 8 * r.k.lanes }

// transform makes the weights of a part.
func (r *Winograd[X]) transform(part int, w []int32) {
	n := r.Width() / r.columns
	size := winogradPoints * r.columns * r.steps * 4 * n // of a part
	if r.w == nil {
		r.w = make([]int16, r.parts*size)
	}
	u := make([]int32, winogradPoints)
	for o := range r.oc {
		for i := range r.c {
			winogradWeights(u, w[o*9*r.c+i:], r.c)
			for p, v := range u {
				r.w[part*size+(((p*r.columns+o/n)*2*r.steps+i/2)*n+o%n)*2+i%2] = int16(v)
			}
		}
	}
}

// groups is how many times the kernel's tiles are needed.
func (f productsForm) groups(tiles int) int { return (tiles + f.tiles - 1) / f.tiles }

// columns is how many times its blocks are needed.
func (f productsForm) columns(blocks int) int { return (blocks + f.blocks - 1) / f.blocks }

// winogradTiles is the least number of tiles to compute together, if there are as many: enough to read weights seldom, few enough to stay
// in the caches.
const winogradTiles = 8

// direct is how many cycles a Conv takes: see pays.
func (r *Winograd[X]) direct() int {
	step, lanes := 4/int(unsafe.Sizeof(X(0))), 2*r.k.lanes
	return r.oh * r.ow * 3 * ((3*r.c + step - 1) / step) * ((r.oc + lanes - 1) / lanes) / 2
}

// pays tells whether Winograd takes fewer cycles than given. The estimate is that of a core that takes
// two multiplications of registers in each: on a Zen 3, a tile's elements took about 100 for each register of channels, and its products 70.
// There, 3 channels to 16 were 0.76 times as fast, 16 to 16 and 64 to 64 three times. With AVX-512, where a Conv takes four bytes to a lane, it is
// the estimate alone: stores bound the transforms, one to a cycle, as they do there. Weights come from memory at 6 bytes in a cycle or more:
// 1.8 MB of them for four tiles took 1.4 times as long as a Conv at worst, and 0.7 times as long when they were in a cache.
func (r *Winograd[X]) pays(direct int) bool {
	rows := (r.oh + winogradOut - 1) / winogradOut
	all := rows / r.group * r.form.groups(r.group*r.strip)
	all += r.form.groups(rows % r.group * r.strip)
	products := all * r.form.tiles * winogradPoints * 2 * r.steps * r.columns * r.form.blocks / 2
	lanes := 2 * r.k.lanes
	transforms := rows * r.strip * (100*r.width/(2*lanes) + 70*r.Width()/lanes)
	weights := winogradPoints * 2 * r.Width() * 4 * r.steps / 6
	return r.parts*(max(products, weights)+transforms) < direct
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
	if !winogradTakes(lo, hi) {
		return false
	}
	k := len(w) / oc
	c := k / 9
	u := make([]int32, winogradPoints)
	for o := range oc {
		top, bottom := int64(0), int64(0)
		for _, v := range w[o*k : (o+1)*k] {
			if v > mostWord || v < -mostWord {
				return false
			}
			top += max(int64(v)*lo, int64(v)*hi)
			bottom += min(int64(v)*lo, int64(v)*hi)
		}
		if top >= mostSum || bottom < -mostSum {
			return false
		}
		for i := range c {
			winogradWeights(u, w[o*k+i:], c)
			for _, v := range u {
				if v > mostWord || v < -mostWord {
					return false
				}
			}
		}
	}
	return true
}

// Transformed elements and weights have 16 bits, and sums of which 32 bits hold 9<<6 times as much have 26.
const (
	mostWord = 1<<15 - 1
	mostSum  = 1 << 25
)

// winogradTakes tells whether transformed elements of lo..hi fit 16 bits.
func winogradTakes(lo, hi int64) bool {
	for _, a := range winogradBT {
		for _, b := range winogradBT {
			top, bottom := int64(0), int64(0)
			for _, p := range a {
				for _, q := range b {
					top += max(p*q*lo, p*q*hi)
					bottom += min(p*q*lo, p*q*hi)
				}
			}
			if top > mostWord || bottom < -mostWord {
				return false
			}
		}
	}
	return true
}

// Width is as of Conv.
func (r *Winograd[X]) Width() int { return r.columns * r.form.blocks * 2 * r.k.lanes }

// Tile is the number of pixels that are computed together.
func (r *Winograd[X]) Tile() int { return r.group * winogradOut * r.ow }

// Scratch is how many accumulators more than the sums Run needs.
func (r *Winograd[X]) Scratch() int {
	t, m, s := r.scratch()
	return t + m + s + winogradOut*winogradTile*2*r.k.lanes
}

// scratch is the room for transformed elements, products and columns.
func (r *Winograd[X]) scratch() (int, int, int) {
	tiles := r.points() * r.form.groups(r.group*r.strip) * r.form.tiles
	return tiles * r.width / 2, tiles * r.Width(), (r.ow + 2) * r.column() / 4
}

// points is the products of a tile for one channel.
func (r *Winograd[X]) points() int { return r.parts * winogradPoints }

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
	tn, mn, sn := r.scratch()
	tail = tail[:r.Scratch()]
	t, m, strip, square := tail[:tn], tail[tn:tn+mn], tail[tn+mn:tn+mn+sn], tail[tn+mn+sn:]
	ts := unsafe.Slice((*int16)(unsafe.Pointer(&t[0])), 2*len(t))
	var zero X
	size := int(unsafe.Sizeof(zero))
	_ = x[r.rows[len(r.rows)-1]/size+(r.ow+2)*r.c-1]
	a := tilesArgs{x: unsafe.Pointer(&x[0]), strip: unsafe.Pointer(&strip[0]), cols: r.ow + 2, step: r.c * size, tile: unsafe.Pointer(&r.cols[0]), tiles: r.strip, plane: 2 * r.width}
	b := untilesArgs{x: unsafe.Pointer(&m[0]), bias: unsafe.Pointer(unsafe.SliceData(r.bias)), high: 4 * high, square: unsafe.Pointer(&square[0]), tile: unsafe.Pointer(&r.out[0]), plane: 4 * width, row: 4 * width * r.ow, ninth: ninth}
	y, end := first/r.ow, (first+n)/r.ow
	for i := range groups {
		rows := 0 // of tiles
		for ; rows < r.group && y < end; rows++ {
			for j := range a.row {
				a.row[j] = r.rows[min(y+j, len(r.rows)-1)]
			}
			a.dst, a.blocks = unsafe.Pointer(&ts[rows*r.strip*r.points()*r.width]), r.width/(4*r.k.lanes)
			r.in.call(unsafe.Pointer(&a))
			y += winogradOut
		}
		p := productsArgs{x: unsafe.Pointer(&ts[0]), w: unsafe.Pointer(&r.w[0]), acc: unsafe.Pointer(&m[0]), points: r.points(), columns: r.columns,
			groups: r.form.groups(rows * r.strip), steps: r.steps, tile: r.points() * a.plane, plane: a.plane, tileAcc: r.points() * b.plane}
		r.form.kernel.call(unsafe.Pointer(&p))
		b.acc, b.tiles, b.blocks = unsafe.Pointer(&acc[i*r.Tile()*width]), rows*r.strip, width/(2*r.k.lanes)
		r.back.call(unsafe.Pointer(&b))
	}
}
