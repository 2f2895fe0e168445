package hw

import (
	"fmt"
	"math"

	"quern/ir/tensor"
)

// Walk calls f with every offset into the model's tensor (row major in Port.Shape), in the order of the buffer's elements.
func (p *Port) Walk(f func(off int)) {
	strides := tensor.Strides(p.Shape)
	shape, stride := make([]int, len(p.Perm)), make([]int, len(p.Perm))
	for i, a := range p.Perm {
		shape[i], stride[i] = p.Shape[a], strides[a]
	}
	tensor.Walk(shape, stride, f)
}

// Quantize converts one sample of the model's input (row major in Port.Shape) to the buffer's integers, as the host does before it
// sends them to the hardware. NaN is an error.
func (p *Port) Quantize(dst []int64, src []float32) error {
	if n := tensor.Numel(p.Shape); len(dst) != n || len(src) != n {
		return fmt.Errorf("input %q: want %d elements, got %d", p.Name, n, len(src))
	}
	i, bad := 0, -1
	p.Walk(func(off int) {
		x := float64(src[off])
		if math.IsNaN(x) && bad < 0 {
			bad = off
		}
		dst[i] = p.Quant.Quantize(x, 0)
		i++
	})
	if bad >= 0 {
		return fmt.Errorf("input %q: element %d is NaN", p.Name, bad)
	}
	return nil
}

// Dequantize converts the buffer's integers to the reals of the model's output.
func (p *Port) Dequantize(dst []float32, src []int64) {
	i := 0
	p.Walk(func(off int) {
		dst[off] = p.Quant.Dequantize(src[i], 0)
		i++
	})
}
