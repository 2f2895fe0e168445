package kernels

import (
	"sync"
	"unsafe"
)

// fieldWinograd is the convolution by 3 by 3 taps as F(4x4, 3x3): tiles of 6 by 6 pixels become, by additions and multiplications with constants, 36 numbers for
// each channel, which take 36 products in place of the 144 that 4 by 4 results have. The numbers are polynomials' values at the points 0, a,
// -a, b, -b and infinity. The order of all operations is fixed, and products are rounded before they are added, so all levels compute the same bits.
type fieldWinograd struct {
	*FieldConv
	tiles  int         // of an image
	block  int         // tiles that are worked on at a time
	parts  []floatPart // w is [position][channel][lane]
	off    []int32     // bytes: of channels
	pix    []int32     // of transformed tiles
	sums   [2][]int32  // of their sums, by blocks of the part less 1
	at, to []int32     // of tiles of an image, in and out
	whole  []bool      // of tiles of an image: all 4 by 4 results are wanted
}

// winogradScratch is the memory of one run: the transformed input [position][tile][channel of in], the sums
// [tile][position][lane], of which the next step reads one tile after the other, a tile of results, and registers.
type winogradScratch struct{ v, m, patch, tmp []float32 }

// Winograd reports whether a convolution is computed so. It depends on no level: what a network gives is the same on all CPUs.
func (g *FloatGeometry) Winograd() bool {
	tiles := (g.OH + 3) / 4 * ((g.OW + 3) / 4)
	return g.Groups == 1 && g.KH == 3 && g.KW == 3 && g.SH == 1 && g.SW == 1 && g.DH == 1 && g.DW == 1 && g.C >= 16 && g.OC >= 16 &&
		g.OH*g.OW >= 64 && 16*tiles <= g.OH*g.OW*3/2
}

const (
	positions  = 36
	pointA     = 0.625
	pointB     = 1.5
	cachedTile = 48 << 10 // elements of a transformed input that are worked on at a time
)

// The constants of winogradArgs, in the order of gen/field.go. Points of few bits make all of them exact.
const (
	winA = iota
	winB
	winA2
	winB2
	winA3
	winB3
	winA2B2
	winA2PlusB2
	numWinConsts
)

var winConsts = func() (r [numWinConsts][16]float32) {
	const a2, b2 = pointA * pointA, pointB * pointB
	for i, v := range [numWinConsts]float32{pointA, pointB, a2, b2, a2 * pointA, b2 * pointB, a2 * b2, a2 + b2} {
		for j := range r[i] {
			r[i][j] = v
		}
	}
	return r
}()

// winogradArgs is what the kernels of gen/field.go take.
type winogradArgs struct {
	x                 unsafe.Pointer
	row, pixel        int
	sums              unsafe.Pointer
	plane, tile       int
	at                unsafe.Pointer
	tiles, blocks     int
	consts, bias, add unsafe.Pointer
	relu              int
	tmp               unsafe.Pointer
	_                 [2]uintptr // scratch
}

// newFieldWinograd transforms weights [OC][C][3][3].
func newFieldWinograd(f *FieldConv, w []float32) *fieldWinograd {
	q := &fieldWinograd{FieldConv: f}
	for y := 0; y < f.OH; y += 4 {
		for x := 0; x < f.OW; x += 4 {
			q.at = append(q.at, int32(4*f.in.at(y-f.PH, x-f.PW)))
			q.to = append(q.to, int32(4*f.out.at(y, x)))
			q.whole = append(q.whole, y+4 <= f.OH && x+4 <= f.OW)
		}
	}
	q.tiles = len(q.at)
	q.block = max(cachedTile/positions/f.in.Step/24, 1) * 24 // 24 are whole tiles of kernels of all sizes
	q.off = steps(f.C, 4)
	q.pix = steps(q.block+floatSlack, 4*f.in.Step)
	lanes := 16
	if f.k != nil {
		lanes = 2 * f.k.lanes
	}
	for i := range q.sums {
		q.sums[i] = steps(q.block+floatSlack, 4*positions*(i+1)*lanes)
	}
	for c := 0; c < f.OC; {
		p := floatPart{blocks: 1, channel: c}
		if f.k != nil {
			p = f.k.part(c, (f.out.Step-c)/lanes)
		}
		n := p.blocks * lanes
		p.w = make([]float32, positions*f.C*n)
		for l := range min(n, f.OC-c) {
			for i := range f.C {
				for at, v := range fieldWeights(w[((c+l)*f.C+i)*9:]) {
					p.w[(at*f.C+i)*n+l] = v
				}
			}
		}
		q.parts = append(q.parts, p)
		c += n
	}
	return q
}

// fieldWeights transforms a kernel in float64, whatever the level, and rounds once.
func fieldWeights(w []float32) (r [positions]float32) {
	const a, b = pointA, pointB
	one := func(x [3]float64) [6]float64 {
		at := func(p, q float64) float64 { // the value at p by p's products with other points
			return (x[0] + float64(x[1]*p) + float64(x[2]*p*p)) / (2 * p * p * (p*p - q*q))
		}
		return [6]float64{x[0] / (a * a * b * b), at(a, b), at(-a, b), at(b, a), at(-b, a), x[2]}
	}
	var cols [3][6]float64
	for c := range cols {
		cols[c] = one([3]float64{float64(w[c]), float64(w[3+c]), float64(w[6+c])})
	}
	for i := range 6 {
		for j, v := range one([3]float64{cols[0][i], cols[1][i], cols[2][i]}) {
			r[6*i+j] = float32(v)
		}
	}
	return r
}

// winogradMemory is shared by all convolutions: what one has used is still in the cache when the next begins.
var winogradMemory sync.Pool // of *winogradScratch

func (q *fieldWinograd) scratch() *winogradScratch {
	s, _ := winogradMemory.Get().(*winogradScratch)
	if s == nil {
		s = &winogradScratch{tmp: make([]float32, positions*16)}
	}
	width := 0
	for _, p := range q.parts {
		width = max(width, len(p.w)/positions/q.C)
	}
	rows := q.block + floatSlack
	atLeast(&s.v, positions*rows*q.in.Step)
	atLeast(&s.m, positions*rows*width)
	atLeast(&s.patch, 16*q.out.Step)
	return s
}

// atLeast makes memory longer if it is not that long.
func atLeast(m *[]float32, n int) {
	if len(*m) < n {
		*m = make([]float32, n)
	}
}

// run is Run of FieldConv: tiles of all images in blocks, across images, so that the weights are read once for each.
func (q *fieldWinograd) run(y, x, add []float32, images int, relu bool) {
	s := q.scratch()
	for first := 0; first < images*q.tiles; first += q.block {
		n := min(q.block, images*q.tiles-first)
		q.each(first, n, func(image, tile, at, n int) { q.input(s, x[image*q.in.Size():], tile, at, n) })
		for i := range q.parts {
			p := &q.parts[i]
			q.multiply(s, p, n)
			q.each(first, n, func(image, tile, at, n int) {
				var more []float32
				if add != nil {
					more = add[image*q.out.Size():]
				}
				q.output(s, p, y[image*q.out.Size():], more, tile, at, n, relu)
			})
		}
	}
	winogradMemory.Put(s)
}

// each cuts n tiles from first on into those of each image: at is how many came before.
func (q *fieldWinograd) each(first, n int, f func(image, tile, at, n int)) {
	for at := 0; at < n; {
		image, tile := (first+at)/q.tiles, (first+at)%q.tiles
		k := min(q.tiles-tile, n-at)
		f(image, tile, at, k)
		at += k
	}
}

func (q *fieldWinograd) input(s *winogradScratch, x []float32, tile, at, n int) {
	step, plane := q.in.Step, (q.block+floatSlack)*q.in.Step
	if q.k == nil {
		for t := range n {
			fieldIn(s.v[(at+t)*step:], plane, x[q.at[tile+t]/4:], q.in.rowStep(), step, q.C)
		}
		return
	}
	a := winogradArgs{x: unsafe.Pointer(&x[0]), row: 4 * q.in.rowStep(), pixel: 4 * step, sums: unsafe.Pointer(&s.v[at*step]), plane: 4 * plane, tile: 4 * step,
		at: unsafe.Pointer(&q.at[tile]), tiles: n, blocks: step / (2 * q.k.lanes), consts: unsafe.Pointer(&winConsts[0][0]), tmp: unsafe.Pointer(&s.tmp[0])}
	q.k.winogradIn.call(unsafe.Pointer(&a))
}

// multiply adds up the channels of n tiles: one product of matrices for each position.
func (q *fieldWinograd) multiply(s *winogradScratch, p *floatPart, n int) {
	rows, width := q.block+floatSlack, len(p.w)/positions/q.C
	for pos := range positions {
		v, m, w := s.v[pos*rows*q.in.Step:], s.m[pos*width:], p.w[pos*q.C*width:][:q.C*width]
		if q.k == nil {
			for t := range n {
				sums := m[t*positions*width:][:width]
				clear(sums)
				for c, x := range v[t*q.in.Step:][:q.C] {
					for l, y := range w[c*width:][:width] {
						sums[l] += float32(x * y)
					}
				}
			}
			continue
		}
		a := floatArgs{w: unsafe.Pointer(&w[0]), bias: unsafe.Pointer(&zeros[0]), off: unsafe.Pointer(&q.off[0]), taps: q.C,
			pix: unsafe.Pointer(&q.pix[0]), out: unsafe.Pointer(&q.sums[p.blocks-1][0])}
		for at := 0; at < n; {
			tile, left := p.tile, n-at
			call := p.kernel
			switch {
			case left >= p.tile:
				a.tiles = left / p.tile
			case left <= 4 && p.blocks == 2:
				tile, call, a.tiles = 4, q.k.float4x2, 1
			default:
				a.tiles = 1
			}
			a.x, a.dst = unsafe.Pointer(&v[at*q.in.Step]), unsafe.Pointer(&m[at*positions*width])
			done := a.tiles * tile
			call.call(unsafe.Pointer(&a))
			at += done
		}
	}
}

var zeros [32]float32

// output makes results of the sums of n tiles of a part.
func (q *fieldWinograd) output(s *winogradScratch, p *floatPart, y, add []float32, tile, at, n int, relu bool) {
	width := len(p.w) / positions / q.C
	if q.k == nil {
		for t := range n {
			q.portableOut(s, p, y, add, tile+t, at+t, relu)
		}
		return
	}
	a := winogradArgs{x: unsafe.Pointer(&y[p.channel]), row: 4 * q.out.rowStep(), pixel: 4 * q.out.Step, plane: 4 * width, tile: 4 * positions * width,
		blocks: p.blocks, consts: unsafe.Pointer(&winConsts[0][0]), bias: unsafe.Pointer(&q.bias[p.channel]), relu: flag(relu), tmp: unsafe.Pointer(&s.tmp[0])}
	if add != nil {
		a.add = unsafe.Pointer(&add[p.channel])
	}
	for t := 0; t < n; {
		a.sums, a.at, a.tiles = unsafe.Pointer(&s.m[(at+t)*positions*width]), unsafe.Pointer(&q.to[tile+t]), 1
		if !q.whole[tile+t] {
			b := a
			b.x, b.row, b.at, b.add, b.relu = unsafe.Pointer(&s.patch[0]), 4*4*q.out.Step, unsafe.Pointer(&noOffset), nil, 0
			q.k.winogradOut.call(unsafe.Pointer(&b))
			q.part(y, add, s.patch, p, tile+t, relu)
			t++
			continue
		}
		for t+a.tiles < n && q.whole[tile+t+a.tiles] {
			a.tiles++
		}
		done := a.tiles
		q.k.winogradOut.call(unsafe.Pointer(&a))
		t += done
	}
}

var noOffset int32

// part finishes a tile of results with a bias, of which it takes what lies in the image.
func (q *fieldWinograd) part(y, add, patch []float32, p *floatPart, tile int, relu bool) {
	across := (q.OW + 3) / 4
	first, width := int(q.to[tile]/4)+p.channel, len(p.w)/positions/q.C
	width = min(width, q.out.Step-p.channel)
	for r := range min(4, q.OH-tile/across*4) {
		for c := range min(4, q.OW-tile%across*4) {
			i := first + r*q.out.rowStep() + c*q.out.Step
			dst := y[i:][:width]
			copy(dst, patch[(4*r+c)*q.out.Step:])
			if add != nil {
				AddFloats(Generic, dst, dst, add[i:])
			}
			if relu {
				Relu(Generic, dst, dst)
			}
		}
	}
}
