package kernels

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQuantizer compares native code with the quotient, near ties above all.
func TestQuantizer(t *testing.T) {
	for _, l := range native() {
		for seed := range uint64(600) {
			r := rand.New(rand.NewPCG(seed, 5))
			testQuantizer[uint8](t, l, r, 0, 255)
			testQuantizer[int16](t, l, r, -1<<15, 1<<15-1)
		}
	}
}

func testQuantizer[Y uint8 | int16](t *testing.T, l Level, r *rand.Rand, from, to int64) {
	t.Helper()
	scale := []float64{0.5, 1, 3, 1e-3, 2. / 255, float64(float32(0.01)), r.Float64() + 1e-3, 1e-320, 0x1p-510, 1e300}[r.IntN(10)]
	zero, less := extreme(r, -300, 300), extreme(r, -1<<16, 1<<16)
	lo, hi := from+less, to+less
	if r.IntN(2) == 0 {
		lo, hi = lo+r.Int64N(20), hi-r.Int64N(20)
	}
	x := make([]float32, 1+r.IntN(100))
	for i := range x {
		k := extreme(r, lo-zero-3, hi-zero+3)
		x[i] = float32(scale * (float64(k) + float64(r.IntN(3)-1)/2)) // many ties
		for range r.IntN(3) {
			x[i] = math.Nextafter32(x[i], float32(r.IntN(2)*2-1)*math.MaxFloat32)
		}
		switch r.IntN(40) {
		case 0:
			x[i] = float32(math.Inf(r.IntN(2)*2 - 1))
		case 1:
			x[i] = float32(math.Copysign(0, -1))
		}
	}
	q := NewQuantizer[Y](l, scale, zero, lo, hi, less)
	if q == nil {
		t.Fatalf("%v: no quantizer of scale %v, zero %d, between %d and %d", l, scale, zero, lo, hi)
	}
	got, want := make([]Y, len(x)+1), make([]Y, len(x)+1)
	got[len(x)], want[len(x)] = 77, 77
	for i, v := range x {
		want[i] = Y(int64(min(max(math.RoundToEven(float64(v)/scale)+float64(zero), float64(lo)), float64(hi))) - less)
	}
	if !q.Run(got[:len(x)], x) {
		t.Fatalf("%v: not all are numbers: %v", l, x)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v: scale %v, zero %d, between %d and %d less %d, of %v: got %v, want %v", l, scale, zero, lo, hi, less, x, got, want)
	}
	x[r.IntN(len(x))] = float32(math.NaN())
	if q.Run(got[:len(x)], x) {
		t.Fatalf("%v: NaN was not seen in %v", l, x)
	}
}

// TestQuantizerUnsure compares products with quotients where they may differ: a scale of which the multiples and halves are nearly
// numbers of float32.
func TestQuantizerUnsure(t *testing.T) {
	for _, l := range native() {
		divided := 0
		for seed := range uint64(200) {
			r := rand.New(rand.NewPCG(seed, 6))
			// (k + 1/2) * scale is a float32 number, but for the rounding of scale to float64.
			x := make([]float32, 16)
			k := r.IntN(30000) - 15000
			v := r.Float32() + 0.5
			scale := math.Abs(float64(v) / (float64(k) + 0.5))
			for range r.IntN(4) {
				scale = math.Nextafter(scale, float64(r.IntN(2)))
			}
			for i := range x {
				x[i] = float32(math.Copysign(float64(v), float64(k)))
			}
			q, got := NewQuantizer[int16](l, scale, 0, -1<<15, 1<<15-1, 0), make([]int16, 16)
			q.Run(got, x)
			p := float64(x[0]) * q.inverse
			if math.Abs(p-math.RoundToEven(p)) >= q.unsure {
				divided++
			}
			if want := int16(math.RoundToEven(float64(x[0]) / scale)); got[0] != want || got[15] != want {
				t.Fatalf("%v: %v by %v: got %d, want %d", l, x[0], scale, got[0], want)
			}
		}
		if divided < 50 {
			t.Errorf("%v: %d of 200 were divided, want more", l, divided)
		}
	}
}

// TestWeave compares native code with the definition.
func TestWeave(t *testing.T) {
	for _, l := range Levels() {
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 7))
			testWeave[uint8](t, l, r)
			testWeave[int16](t, l, r)
		}
	}
}

func testWeave[Y uint8 | int16](t *testing.T, l Level, r *rand.Rand) {
	t.Helper()
	c, rows, width := 1+r.IntN(4), 1+r.IntN(5), 1+r.IntN(70)
	step := width*c + r.IntN(9)
	planes := make([]Y, c*rows*width)
	for i := range planes {
		planes[i] = Y(r.Uint32())
	}
	got, want := make([]Y, rows*step), make([]Y, rows*step)
	for y := range rows {
		for x := range width {
			for ch := range c {
				want[y*step+x*c+ch] = planes[(ch*rows+y)*width+x]
			}
		}
	}
	Weave(l, got, step, planes, c, rows, width)
	if !slices.Equal(got, want) {
		t.Fatalf("%v: %d planes of %d by %d, step %d: got %v, want %v", l, c, rows, width, step, got, want)
	}
}

// TestQuantizerWeave compares quantization of planes to pixels with Run and Weave.
func TestQuantizerWeave(t *testing.T) {
	for _, l := range native() {
		done := 0
		for seed := range uint64(600) {
			r := rand.New(rand.NewPCG(seed, 8))
			scale := []float64{0.5, 1, 3, 2. / 255, float64(float32(0.01)), r.Float64() + 1e-3, 1e-320}[r.IntN(7)]
			zero := extreme(r, -300, 300)
			q := NewQuantizer[uint8](l, scale, zero, r.Int64N(9), 255-r.Int64N(9), 0)
			c, rows, width := 1+r.IntN(4), 1+r.IntN(5), 1+r.IntN(70)
			if !q.Weaves(c, width) {
				continue
			}
			done++
			x := make([]float32, c*rows*width)
			for i := range x {
				x[i] = float32(scale * (float64(extreme(r, -zero-3, 258-zero)) + float64(r.IntN(3)-1)/2)) // many ties
				for range r.IntN(3) {
					x[i] = math.Nextafter32(x[i], float32(r.IntN(2)*2-1)*math.MaxFloat32)
				}
				if seed%2 == 0 && r.IntN(20) > 0 {
					x[i] = float32(scale * float64(r.IntN(256))) // none
				}
			}
			step := width*c + r.IntN(9)
			planes, got, want := make([]uint8, len(x)), make([]uint8, rows*step), make([]uint8, rows*step)
			q.Run(planes, x)
			Weave(l, want, step, planes, c, rows, width)
			if !q.Weave(got, step, x, rows, width) {
				t.Fatalf("%v seed %d: not all are numbers", l, seed)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%v seed %d: %d planes of %d by %d, step %d: got %v, want %v", l, seed, c, rows, width, step, got, want)
			}
			x[r.IntN(len(x))] = float32(math.NaN())
			if q.Weave(got, step, x, rows, width) {
				t.Fatalf("%v seed %d: NaN was not seen", l, seed)
			}
		}
		if l == AVX512 && done < 50 {
			t.Errorf("%v: %d at once, want more", l, done)
		}
	}
}
