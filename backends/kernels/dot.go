package kernels

import "slices"

// Window says where the elements under a sliding window lie in a channels-last tensor whose border, if any, is in memory: element
// i of run r of the window of pixel p is x[p*Step + Off[r] + i].
type Window struct {
	Off  []int // ascending, from 0
	Run  int   // contiguous elements in each run
	Step int   // between neighbouring pixels of a row
}

// Dot holds the weights of a convolution or a matrix product over elements of type X, packed for DotRow. It is immutable.
//
// The portable packing puts the weights of several output channels ("lanes") into one 64-bit word, w0 + w1<<b + w2<<2b and so
// on: multiplied by x, it adds a product to each lane with one multiplication. Lanes carry into each other, but the sum is exact
// modulo 2^64, and where each final sum fits b bits the lanes can be taken apart again. So narrow accumulators are fast: 32 bits
// give two lanes, 21 bits three, 16 bits four. One lane is a plain 64-bit accumulator.
type Dot[X Int] struct {
	Window
	oc    int
	bits  uint // width of a lane
	lanes int
	w     []int64 // [word][k], k in the order of Window
	bias  []int64 // [word]
}

// NewDot packs weights [oc][k] with k = len(Off)*Run, in the order of the window, and biases [oc]. Every final sum must fit a signed
// number of the given bits, 1 to 64.
func NewDot[X Int](win Window, w []int32, bias []int64, bits int) *Dot[X] {
	oc, k := len(bias), len(win.Off)*win.Run
	win.Off = slices.Clone(win.Off)
	d := &Dot[X]{Window: win, oc: oc, lanes: min(64/bits, oc)}
	d.bits = uint(64 / d.lanes)
	words := (oc + d.lanes - 1) / d.lanes
	d.w, d.bias = make([]int64, words*k), make([]int64, words)
	for o := range oc {
		word, shift := o/d.lanes, uint(o%d.lanes)*d.bits
		d.bias[word] += bias[o] << shift
		for i, v := range w[o*k : (o+1)*k] {
			d.w[word*k+i] += int64(v) << shift
		}
	}
	return d
}

// DotRow computes acc[p*stride+o] = bias[o] + the weights of o times the window of pixel p, for the given number of pixels in a row.
// x starts at the window of pixel 0; A must hold every sum.
func DotRow[X Int, A Acc](d *Dot[X], acc []A, stride int, x []X, pixels int) {
	k := len(d.Off) * d.Run
	p := 0
	// Four pixels share each load of a weight.
	for ; p+4 <= pixels; p += 4 {
		xs := x[p*d.Step:]
		for word, b := range d.bias {
			a0, a1, a2, a3 := d.pixels4(xs, d.w[word*k:(word+1)*k], b)
			o := word * d.lanes
			row := acc[p*stride+o:]
			n := min(d.lanes, d.oc-o)
			unpack(row[:n], a0, d.bits)
			unpack(row[stride:][:n], a1, d.bits)
			unpack(row[2*stride:][:n], a2, d.bits)
			unpack(row[3*stride:][:n], a3, d.bits)
		}
	}
	for ; p < pixels; p++ {
		xs, row := x[p*d.Step:], acc[p*stride:][:d.oc]
		word := 0
		// Four words share each load of an element.
		for ; word+4 <= len(d.bias); word += 4 {
			a0, a1, a2, a3 := d.words4(xs, d.w[word*k:(word+4)*k])
			o := word * d.lanes
			unpack(row[o:][:d.lanes], d.bias[word]+a0, d.bits)
			unpack(row[o+d.lanes:][:d.lanes], d.bias[word+1]+a1, d.bits)
			unpack(row[o+2*d.lanes:][:d.lanes], d.bias[word+2]+a2, d.bits)
			o += 3 * d.lanes
			unpack(row[o:min(o+d.lanes, d.oc)], d.bias[word+3]+a3, d.bits)
		}
		for ; word < len(d.bias); word++ {
			a := d.bias[word] + d.word1(xs, d.w[word*k:(word+1)*k])
			o := word * d.lanes
			unpack(row[o:min(o+d.lanes, d.oc)], a, d.bits)
		}
	}
}

// unpack takes the lanes of a word apart, the lowest first.
func unpack[A Acc](acc []A, a int64, bits uint) {
	if bits == 32 && len(acc) == 2 {
		lo := int64(int32(a))
		acc[0], acc[1] = A(lo), A((a-lo)>>32)
		return
	}
	shift := (64 - bits) & 63
	for i := range acc {
		v := a << shift >> shift
		acc[i] = A(v)
		a = (a - v) >> (bits & 63)
	}
}

// pixels4 is one word of weights over the windows of four pixels.
func (d *Dot[X]) pixels4(x []X, w []int64, b int64) (a0, a1, a2, a3 int64) {
	a0, a1, a2, a3 = b, b, b, b
	run, step := d.Run, d.Step
	for _, o := range d.Off {
		ws := w[:run]
		w = w[run:]
		x0 := x[o:][:len(ws)]
		x1 := x[o+step:][:len(ws)]
		x2 := x[o+2*step:][:len(ws)]
		x3 := x[o+3*step:][:len(ws)]
		for i, v := range ws {
			a0 += int64(x0[i]) * v
			a1 += int64(x1[i]) * v
			a2 += int64(x2[i]) * v
			a3 += int64(x3[i]) * v
		}
	}
	return
}

// words4 is four words of weights over the window of one pixel.
func (d *Dot[X]) words4(x []X, w []int64) (a0, a1, a2, a3 int64) {
	run, k := d.Run, len(w)/4
	for r, o := range d.Off {
		xs := x[o:][:run]
		w0 := w[r*run:][:len(xs)]
		w1 := w[r*run+k:][:len(xs)]
		w2 := w[r*run+2*k:][:len(xs)]
		w3 := w[r*run+3*k:][:len(xs)]
		for i, v := range xs {
			v := int64(v)
			a0 += v * w0[i]
			a1 += v * w1[i]
			a2 += v * w2[i]
			a3 += v * w3[i]
		}
	}
	return
}

func (d *Dot[X]) word1(x []X, w []int64) (a int64) {
	for r, o := range d.Off {
		xs := x[o:][:d.Run]
		ws := w[r*d.Run:][:len(xs)]
		for i, v := range xs {
			a += int64(v) * ws[i]
		}
	}
	return
}

// Depthwise holds the weights of a convolution that keeps channels apart, for DepthwiseRow. Its Window has one run for each tap, of
// which the run is all channels. It is immutable.
type Depthwise[X Int] struct {
	Window
	c    int
	w    [][4]int32 // [block of 4 channels][tap]; the last block is padded with zeros
	bias []int64
}

// NewDepthwise packs weights [c][tap] and biases [c].
func NewDepthwise[X Int](win Window, w []int32, bias []int64) *Depthwise[X] {
	c, taps := len(bias), len(win.Off)
	win.Off = slices.Clone(win.Off)
	d := &Depthwise[X]{Window: win, c: c, w: make([][4]int32, (c+3)/4*taps), bias: slices.Clone(bias)}
	for i := range c {
		for t := range taps {
			d.w[i/4*taps+t][i%4] = w[i*taps+t]
		}
	}
	return d
}

// DepthwiseRow computes acc[p*C+c] = bias[c] + the weights of c times channel c of the window of pixel p, for a row of pixels. x
// starts at the window of pixel 0; A must hold every sum.
func DepthwiseRow[X Int, A Acc](d *Depthwise[X], acc []A, x []X, pixels int) {
	taps := len(d.Off)
	for p := range pixels {
		xs, row := x[p*d.Step:], acc[p*d.c:][:d.c]
		c := 0
		for ; c+4 <= d.c; c += 4 {
			b := d.bias[c : c+4 : c+4]
			a0, a1, a2, a3 := b[0], b[1], b[2], b[3]
			w := d.w[c/4*taps:][:taps]
			xc := xs[c:]
			for t, o := range d.Off[:len(w)] {
				v, u := (*[4]X)(xc[o:]), &w[t]
				a0 += int64(v[0]) * int64(u[0])
				a1 += int64(v[1]) * int64(u[1])
				a2 += int64(v[2]) * int64(u[2])
				a3 += int64(v[3]) * int64(u[3])
			}
			r := row[c : c+4 : c+4]
			r[0], r[1], r[2], r[3] = A(a0), A(a1), A(a2), A(a3)
		}
		for ; c < d.c; c++ {
			a := d.bias[c]
			w := d.w[c/4*taps:][:taps]
			for t, o := range d.Off[:len(w)] {
				a += int64(xs[o+c]) * int64(w[t][c%4])
			}
			row[c] = A(a)
		}
	}
}
