// Package quant turns float graphs into quantized ones and brings imported quantized models into the same form: values whose types
// carry a Quant, with no Quantize and Dequantize between them.
//
//	absorb     Quantize and Dequantize nodes (QDQ and QONNX models) become the types of the values around them
//	constants  a Transpose or Reshape of quantized weights is computed
//	propagate  a Quant moves through operators that only move or select values
//	fuse-act   a Relu or Clip becomes the clamp of the value before it
//	quantize   a float graph and calibrated ranges become a quantized graph
//	equalize   channels between two layers of a float graph get equal ranges
//	optimize   quantize, and then weights, scales and biases that cost the outputs least (StageList)
package quant

import (
	"errors"
	"fmt"
	"math"

	"quern/ir"
	"quern/ir/tensor"
	"quern/passes/calib"
)

// The narrowest and the widest integers that quern quantizes to.
const (
	MinBits = 2
	MaxBits = 16
)

// Bits are the widths of one layer: weights, and the activation it produces.
type Bits struct{ W, A int }

// Config says how Quantize chooses types.
type Config struct {
	Bits
	// Layers overrides the widths of single nodes by LayerName; 0 leaves the width as it is. That of an activation counts for a Relu or
	// Clip behind the node, too, unless it has an entry itself. So do the settings of Scalings and Observers.
	Layers    map[string]Bits
	Scalings  map[string]Scaling      // overrides PerTensor and Pow2
	Observers map[string]calib.Method // for Range to look at (Owner)
	// InputBits and OutputBits are the widths of the graph's inputs and outputs; 0 means max(A, 8): pixels have 8 bits anyway, and
	// logits of fewer bits tie.
	InputBits, OutputBits int
	PerTensor             bool // one weight scale for a layer instead of one for each output channel
	Pow2                  bool // scales are powers of two: requantization is a shift
	Whole                 bool // a Softmax, LogSoftmax, ArgMax, ArgMin or TopK at the end is for the hardware, not for the host (see Tail)
	Symmetric             bool // zero point 0 for activations with negative values, too
	// Range is the calibrated range of a value for a width: what lies outside is clipped.
	Range func(v *ir.Value, bits int) (lo, hi float64, err error)
}

// Check reports widths outside MinBits..MaxBits.
func (c *Config) Check() error {
	var errs []error
	check := func(what string, n int, zero bool) {
		if (n != 0 || !zero) && (n < MinBits || n > MaxBits) {
			errs = append(errs, fmt.Errorf("%s: want %d to %d bits, got %d", what, MinBits, MaxBits, n))
		}
	}
	check("weights", c.W, false)
	check("activations", c.A, false)
	check("inputs", c.InputBits, true)
	check("outputs", c.OutputBits, true)
	return errors.Join(errs...)
}

// of are the widths of a layer.
func (c *Config) of(layer string) Bits {
	b, l := c.Bits, c.Layers[layer]
	if l.W != 0 {
		b.W = l.W
	}
	if l.A != 0 {
		b.A = l.A
	}
	return b
}

// activation is the type for a range: unsigned with zero point 0 where the range has no negative number, else signed, with a zero
// point that uses the whole width unless Symmetric or Pow2. The range is widened to hold 0, so that zero is exact.
func (c *Config) activation(lo, hi float64, bits int) (tensor.Elem, *ir.Quant) {
	lo, hi = min(lo, 0), max(hi, 0)
	if lo == 0 {
		e := tensor.U(bits)
		_, top := e.Range()
		return e, ir.NewQuant(e, c.scale(hi/float64(top)), 0)
	}
	e := tensor.I(bits)
	least, top := e.Range()
	if c.Symmetric || c.Pow2 {
		return e, ir.NewQuant(e, c.scale(max(-lo/float64(-least), hi/float64(top))), 0)
	}
	s := c.scale((hi - lo) / float64(top-least))
	z := math.RoundToEven(float64(least) - lo/s)
	return e, ir.NewQuant(e, s, int64(max(float64(least), min(z, float64(top)))))
}

// scale makes a scale usable: positive, a float32 number, and with Pow2 the next power of two.
func (c *Config) scale(s float64) float64 {
	if !(s > 1e-30) {
		return 1 // a value that is always 0: any scale serves, and this one keeps biases at small numbers of steps
	}
	if c.Pow2 {
		f, e := math.Frexp(s)
		if f == 0.5 {
			e--
		}
		return math.Ldexp(1, e)
	}
	return float64(float32(s))
}
