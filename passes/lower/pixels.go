package lower

import (
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
)

// Pixels say that the hardware takes pixels of 0..255 instead of the model's quantized input: the host's preprocessing and quantization are
// in front of the first layer.
//
// They are a table of 256 integers for each channel, and not in the weights. A table has exactly the bits that the host would have sent,
// and the padding of the first layer keeps the one value that it had; weights times scale and std would be rounded anew, and padding would
// need a value for each channel.
type Pixels struct {
	Channels int                        // that are preprocessed in ways of their own; 1: all alike
	Channel  func(off int) int          // of an element of the model's input, by its offset without the batch axis
	Real     func(c, pixel int) float32 // the model's input for a pixel of channel c
}

// last is the number of the greatest pixel.
const last = 255

// pixelPort makes a port of pixels, and a kernel that makes value v of them. port is how the host would have converted the model's input.
func (l *lowerer) pixelPort(n *ir.Node, v *ir.Value, port *hw.Port, shape []int) error {
	b := l.prog.NewBuffer(l.ident(v.Name+"_pixels"), shape, hw.Interval{Lo: 0, Hi: last})
	b.Port = &hw.Port{Name: port.Name, Shape: port.Shape, Perm: port.Perm, Quant: &ir.Quant{Scale: []float64{1}, Zero: []int64{0}, Min: 0, Max: last}}
	l.prog.Inputs = append(l.prog.Inputs, b)
	var table []int64 // of all channels, one behind the other
	for c := range l.opt.Pixels.Channels {
		for x := range last + 1 {
			table = append(table, port.Quant.Quantize(float64(l.opt.Pixels.Real(c, x)), 0))
		}
	}
	start := make([]int64, 0, b.Len()) // of each element's table
	port.Walk(func(off int) { start = append(start, int64(l.opt.Pixels.Channel(off))*(last+1)) })
	by, err := along(start, b.Channels())
	if err != nil {
		return fmt.Errorf("input %q: %w", port.Name, err)
	}
	p := hw.NewProg(b.Range)
	if slope1(table, last+1) {
		p.OpI(hw.AddI, 0, hw.Scalar(table[0]))
	} else {
		p.Lookup(p.OpI(hw.AddI, 0, by), 0, table)
	}
	return l.kernel(n, &hw.Kernel{Kind: hw.KMap, In: []*hw.Buffer{b}, Prog: p}, v, shape)
}

// slope1 reports whether all tables of n numbers go up by 1 from the same number.
func slope1(table []int64, n int) bool {
	for i, x := range table {
		if x != table[0]+int64(i%n) {
			return false
		}
	}
	return true
}

// along is a Vec of numbers that are given for each element, where they depend on the channel alone or on the pixel alone.
func along(v []int64, channels int) (hw.Vec, error) {
	byChannel, byPixel := true, true
	var pixels []int64
	for i, x := range v {
		byChannel = byChannel && x == v[i%channels]
		byPixel = byPixel && x == v[i-i%channels]
		if i%channels == 0 {
			pixels = append(pixels, x)
		}
	}
	switch {
	case byChannel:
		return hw.PerChannel(slices.Clone(v[:channels])), nil
	case byPixel:
		return hw.Vec{V: pixels, By: hw.ByPixel}, nil
	}
	return hw.Vec{}, fmt.Errorf("mean and std change along the channels and along the pixels of the hardware's layout: want one for all of the input")
}
