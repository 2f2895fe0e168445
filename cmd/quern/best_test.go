package main

import (
	"math/rand/v2"
	"testing"

	"quern/frontend/data"
	"quern/passes/quant"
)

// BenchmarkBest is --method best on ConvNet at W4A4 with 1,000 calibration images, calibration and all: the aim is less than 3 minutes on two
// cores. The pixels are noise, which takes the same work as pictures.
func BenchmarkBest(b *testing.B) {
	g, err := prepared("../../testdata/models/convnet_e40.onnx", nil)
	if err != nil {
		b.Fatal(err)
	}
	d := &data.Dataset{Shape: []int{3, 32, 32}, U8: make([]uint8, 1000*3*32*32)}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range d.U8 {
		d.U8[i] = uint8(r.Uint32())
	}
	p, _, err := data.ParsePreprocess(func(string) (string, bool) { return "", false })
	if err != nil {
		b.Fatal(err)
	}
	stages, err := quant.ParseStages("best")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		best := &recipe{stages: stages}
		if _, err := best.quantize(b.Context(), best.with(g, d, p), quant.Bits{W: 4, A: 4}, nil, true); err != nil {
			b.Fatal(err)
		}
	}
}
