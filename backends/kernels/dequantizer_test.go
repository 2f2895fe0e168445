package kernels

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDequantizer compares every level with the definition: scales of 24 bits and others, numbers of all sizes.
func TestDequantizer(t *testing.T) {
	for _, level := range Levels() {
		r := rand.New(rand.NewPCG(1, 2))
		for range 200 {
			scale := float64(r.Float32() + 1e-3)
			switch r.IntN(4) {
			case 0:
				scale = r.Float64() + 1e-9
			case 1:
				scale *= 0x1p-140 // with results that have fewer bits
			}
			dequantize[uint8](t, r, level, scale)
			dequantize[int16](t, r, level, scale)
		}
	}
}

func dequantize[X uint8 | int16](t *testing.T, r *rand.Rand, level Level, scale float64) {
	t.Helper()
	add := r.Int64N(1<<uint(r.IntN(26)+1)) - 1<<12
	src := make([]X, r.IntN(200))
	want := make([]float32, len(src))
	for i := range src {
		src[i] = X(r.Uint32())
		want[i] = float32(float64(int64(src[i])+add) * scale)
	}
	got := make([]float32, len(src))
	NewDequantizer[X](level, scale, add).Run(got, src)
	if !slices.Equal(got, want) {
		t.Fatalf("%v scale %v add %d: got %v, want %v", level, scale, add, got, want)
	}
}

func TestTurn(t *testing.T) {
	for _, level := range Levels() {
		for rows := range 20 {
			for cols := range 20 {
				src := make([]float32, rows*cols)
				for i := range src {
					src[i] = float32(i)
				}
				got, want := make([]float32, cols*(rows+3)), make([]float32, cols*(rows+3))
				for i, v := range src {
					want[i%cols*(rows+3)+i/cols] = v
				}
				Turn(level, got, rows+3, src, rows, cols)
				if !slices.Equal(got, want) {
					t.Fatalf("%v %dx%d: got %v, want %v", level, rows, cols, got, want)
				}
			}
		}
	}
}
