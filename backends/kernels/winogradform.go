package kernels

// winogradForm is what differs between windows at every pixel and at every other.
//
// With a stride of 2, even elements meet the first and last weight of a row, and odd ones the middle one. The former are F(4,2) at the points
// 0, 1, -1, infinity and 2, in 5 products. The latter need 4, and their elements are transformed so that products add to those at the first four
// points, which are terms of the same sums then. In two dimensions 81 products are 25 sums of 1, 2 or 4 terms.
type winogradForm struct {
	stride int
	g      [][3]int64 // of up to 6 times the weights; the rows of both matrices in the same order
	bt     [][]int64
	at     func(i, j int) int // the plane of row i and column j of products
	runs   []winogradRun      // in the order of planes
	shift  int                // 9<<shift is the largest multiple of a sum
	shifts int                // different ones; that many less 1 is the smallest one less
}

// winogradRun is points that are sums of as many terms each, from a plane on.
type winogradRun struct{ plane, points, terms int }

const (
	winogradOut  = 4          // the side of a tile of sums
	winogradSide = 9          // the longest one of elements
	ninth        = 0x38e38e39 // 1/9 modulo 2^32
)

var winogradForms = [2]winogradForm{
	{
		stride: 1,
		// The rows are scaled by 24, 12, 12, 24, 24 and 3.
		g:     [][3]int64{{6, 0, 0}, {-2, -2, -2}, {-2, 2, -2}, {1, 2, 4}, {1, -2, 4}, {0, 0, 3}},
		bt:    [][]int64{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0}, {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}},
		at:    func(i, j int) int { return 6*i + j },
		runs:  []winogradRun{{0, 36, 1}},
		shift: 6, shifts: 3,
	},
	{
		stride: 2,
		// All products are scaled by 6.
		g: [][3]int64{{3, 0, 0}, {-3, 0, -3}, {-1, 0, 1}, {0, 0, 6}, {1, 0, 2}, {0, 6, 0}, {0, 3, 0}, {0, 3, 0}, {0, 6, 0}},
		bt: [][]int64{{2, 0, -1, 0, -2, 0, 1, 0, 0}, {0, 0, -2, 0, -1, 0, 1, 0, 0}, {0, 0, 2, 0, -3, 0, 1, 0, 0}, {0, 0, 2, 0, -1, 0, -2, 0, 1}, {0, 0, -1, 0, 0, 0, 1, 0, 0},
			{0, 1, 0, 0, 0, -1, 0, 0, 0}, {0, 0, 0, 1, 0, 1, 0, 0, 0}, {0, 0, 0, -1, 0, 1, 0, 0, 0}, {0, 0, 0, -1, 0, 0, 0, 1, 0}},
		at:    stridePlane,
		runs:  []winogradRun{{0, 16, 4}, {64, 8, 2}, {80, 1, 1}},
		shift: 2, shifts: 1,
	},
}

// stridePlane is the order for a stride of 2: the first four points of both directions, then the last row, the last column, and their
// crossing. The terms of a point are adjacent.
func stridePlane(i, j int) int {
	p, q := i/5, j/5 // odd elements
	i, j = i%5, j%5
	switch {
	case i < 4 && j < 4:
		return 4*(4*i+j) + 2*p + q
	case j < 4:
		return 64 + 2*j + q
	case i < 4:
		return 72 + 2*i + p
	}
	return 80
}

// side is that of a tile of elements.
func (f *winogradForm) side() int { return len(f.bt) }

// planes are the transformed elements of a tile.
func (f *winogradForm) planes() int { return f.side() * f.side() }

// points are the sums of products of a tile.
func (f *winogradForm) points() int {
	n := 0
	for _, r := range f.runs {
		n += r.points
	}
	return n
}

// weights writes G g G^T by planes for the 9 weights g of a channel, which are step apart.
func (f *winogradForm) weights(dst, g []int32, step int) {
	for i, a := range f.g {
		for j, b := range f.g {
			s := int64(0)
			for y, p := range a {
				for x, q := range b {
					s += p * q * int64(g[(3*y+x)*step])
				}
			}
			dst[f.at(i, j)] = int32(s)
		}
	}
}

// fits tells whether transformed elements of lo..hi and weights fit 16 bits, and the largest multiple of each sum 32 bits.
func (f *winogradForm) fits(w []int32, oc int, lo, hi int64) bool {
	if !f.takes(lo, hi) {
		return false
	}
	k := len(w) / oc
	c := k / 9
	u := make([]int32, f.planes())
	for o := range oc {
		top, bottom := int64(0), int64(0)
		for _, v := range w[o*k : (o+1)*k] {
			if v > mostWord || v < -mostWord {
				return false
			}
			top += max(int64(v)*lo, int64(v)*hi)
			bottom += min(int64(v)*lo, int64(v)*hi)
		}
		if top >= f.mostSum() || bottom < -f.mostSum() {
			return false
		}
		for i := range c {
			f.weights(u, w[o*k+i:], c)
			for _, v := range u {
				if v > mostWord || v < -mostWord {
					return false
				}
			}
		}
	}
	return true
}

const mostWord = 1<<15 - 1 // of transformed elements and weights

// mostSum is more than sums have whose multiples fit 32 bits, after the division by 9.
func (f *winogradForm) mostSum() int64 { return 1 << (31 - f.shift) }

// takes tells whether transformed elements of lo..hi fit 16 bits.
func (f *winogradForm) takes(lo, hi int64) bool {
	for _, a := range f.bt {
		for _, b := range f.bt {
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
