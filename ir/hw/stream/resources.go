package stream

import (
	"math/bits"

	"quern/ir/hw"
	"quern/ir/hw/part"
)

// Estimates of resources, from the analytic models of FINN (finn/custom_op/fpgadataflow: matrixvectoractivation.py,
// convolutioninputgenerator.py, streamingfifo.py, by Alam et al.) with terms of our own for what FINN's units lack: requantization by
// multiplier, tables, moves. No tool has placed any of it.

// control is what the counters and the handshake of a stage take: FINN's c0 is 300 LUTs for a matrix-vector unit.
var control = part.Resources{LUT: 200, FF: 250}

// Resources is an estimate of what a stage takes, without the FIFOs behind it.
func (s *Stage) Resources(d part.DSP) part.Resources {
	r := control
	in, out := 0, 0
	for _, c := range s.In {
		in += c.Width()
	}
	for _, c := range s.Out {
		out += c.Width()
	}
	r.FF += in + out // registers at both ends
	switch s.Kind {
	case Load, Store, Fork:
		return part.Resources{LUT: 30, FF: 30 + in + out}
	case Split, Join:
		return part.Resources{LUT: 30 + max(in, out), FF: 30 + in + out}
	case Slide:
		sl := NewSlider(s.Kernel, s.Fold)
		r = r.Add(RAM(sl.Lines*sl.G.W*sl.Words, s.In[0].Width()))
		r.LUT += out // the choice between a word and the padding
	case MVU:
		r = r.Add(s.mvu(d))
	case Lane, Global:
		r = r.Add(s.lanes(d))
	case Map:
		r = r.Add(s.epilogue(s.Kernel.Out.Channels()/s.Fold.PE, d).Times(s.Fold.PE))
	case Weave:
		r = r.Add(RAM(len(s.Plan.Control), bits.Len(uint(2*len(s.In)))))
		r.LUT += out * (len(s.In) + 1) / 2
	case Reorder:
		n := 0
		for _, c := range s.In {
			r = r.Add(RAM(c.Words, c.Width()))
			n += c.Words
		}
		r = r.Add(RAM(len(s.Plan.From), bits.Len(uint(n))))
		r.LUT += out * (len(s.In) + 1) / 2
	}
	return r
}

// mvu: multipliers, adder trees, accumulators, memories of weights and of the window, and PE epilogues.
func (s *Stage) mvu(d part.DSP) part.Resources {
	k, f := s.Kernel.Dot, s.Fold
	w, a := k.WeightRange().Bits(), s.In[0].Range.Bits()
	acc := k.AccRange().Bits()
	sf, nf := k.KH*k.KW*k.C/k.Groups/f.SIMD, k.OC/k.Groups/f.PE
	pack, _ := s.Pack()
	r := products(f.PE*f.SIMD, w, a, pack, f.LUT, d)
	r.LUT += f.PE * (w + a) * (f.SIMD - 1) // the adder tree, its width growing by a bit each level is left out as in FINN
	r.LUT += f.PE * acc
	r.FF += f.PE * (acc + (w+a)*f.SIMD)
	r = r.Add(RAM(sf*nf*k.Groups, f.SIMD*w).Times(f.PE))
	if nf > 1 {
		r = r.Add(RAM(sf, s.In[0].Width()))
	}
	return r.Add(s.epilogue(nf*k.Groups, d).Times(f.PE))
}

// lanes: a depthwise convolution has a multiplier for each channel, a pool none.
func (s *Stage) lanes(d part.DSP) part.Resources {
	r := part.Resources{}
	g := Geometry(s.Kernel)
	n := g.C / s.Fold.PE
	if k := s.Kernel.Dot; k != nil {
		w, a := k.WeightRange().Bits(), s.In[0].Range.Bits()
		r = products(s.Fold.PE, w, a, 1, s.Fold.LUT, d)
		r.LUT += s.Fold.PE * k.AccRange().Bits()
		r.FF += s.Fold.PE * (k.AccRange().Bits() + w + a)
		r = r.Add(RAM(n*g.KH*g.KW, w).Times(s.Fold.PE))
	} else {
		acc := s.Kernel.Window.Acc.Bits()
		r.LUT += s.Fold.PE * acc
		r.FF += s.Fold.PE * acc
		if s.Kind == Global && n > 1 {
			r = r.Add(RAM(n, acc).Times(s.Fold.PE))
		}
	}
	return r.Add(s.epilogue(n, d).Times(s.Fold.PE))
}

// products is an estimate for the multipliers of a Dot kernel: (2*ceil((w+a)/6)-1)*(w+a) LUTs each, which is FINN's, or DSP slices, several
// where a factor is wider than a port. Packed products take LUTs for putting weights together and for taking products apart.
func products(n, w, a, packed int, lut bool, d part.DSP) part.Resources {
	if lut {
		return part.Resources{LUT: n * (2*((w+a+5)/6) - 1) * (w + a)}
	}
	return part.Resources{DSP: n / packed * dspSlices(w, a, d), LUT: n / packed * (packed - 1) * (2*w + a)}
}

// dspSlices is the number of DSP slices of a product: an unsigned factor needs one bit more, which is left out.
func dspSlices(x, y int, d part.DSP) int {
	x, y = max(x, y), min(x, y)
	return ((x + d.A - 2) / (d.A - 1)) * ((y + d.B - 2) / (d.B - 1))
}

// counted is an estimate for one lane that counts thresholds of n blocks of channels: FINN's, of a comparator of a LUT for each bit and each
// threshold, and a memory with the thresholds of a channel in a word.
func counted(t *hw.Thresholds, x hw.Interval, n int) part.Resources {
	levels, w := t.Levels(), t.Range().Bits()
	r := part.Resources{LUT: levels * max(w, x.Bits()), FF: levels + bits.Len(uint(levels))}
	if len(t.T) > 1 {
		r = r.Add(RAM(n, levels*w))
	}
	return r
}

// epilogue is an estimate for what makes one result, for n blocks of channels: thresholds, or a scalar program with its numbers by channel.
func (s *Stage) epilogue(n int, d part.DSP) part.Resources {
	p := s.Kernel.Prog
	if s.Thresholds != nil {
		return counted(s.Thresholds, p.In[0], n)
	}
	r := part.Resources{}
	for i := range p.Code {
		c := &p.Code[i]
		a, w := p.Range(c.A).Bits(), c.Range.Bits()
		if len(c.Imm.V) > 1 && c.Prim != hw.Lut {
			m := n
			if c.Imm.By == hw.ByPixel {
				m = len(c.Imm.V)
			}
			r = r.Add(RAM(m, c.Imm.Bounds().Bits()))
		}
		r.FF += w
		switch c.Prim {
		case hw.Mul:
			r.DSP += dspSlices(a, p.Range(c.B).Bits(), d)
		case hw.MulI:
			b := c.Imm.Bounds()
			if len(c.Imm.V) == 1 && bits.OnesCount64(uint64(max(b.Lo, -b.Lo))) <= 2 {
				r.LUT += w // a shift, or one addition
				break
			}
			r.DSP += dspSlices(a, b.Bits(), d)
		case hw.Lut:
			r = r.Add(RAM(len(c.Table), w))
		case hw.RshFloor, hw.Wrap:
			if len(c.Imm.V) > 1 {
				r.LUT += a * bits.Len(uint(c.Imm.Bounds().Hi-c.Imm.Bounds().Lo)) / 2
			}
		case hw.RshHalfUp, hw.RshHalfEven, hw.RshHalfAway, hw.RshCeil, hw.RshAway, hw.RshToZero, hw.RshHalfToZero:
			r.LUT += a
			if len(c.Imm.V) > 1 {
				r.LUT += a * bits.Len(uint(c.Imm.Bounds().Hi-c.Imm.Bounds().Lo)) / 2
			}
		default:
			r.LUT += max(a, w)
		}
	}
	return r
}

// LUTDepth is the number of words up to which a memory is made of LUTs, 64 words of one bit each (UG474); deeper ones are block RAM, which
// holds 512 words of 36 bits (UG473).
const LUTDepth = 128

// RAM is an estimate for a memory of so many words: FINN's table of the shapes of an 18 Kbit block (UG473).
func RAM(depth, width int) part.Resources {
	if depth <= 1 {
		return part.Resources{}
	}
	if depth <= LUTDepth {
		return part.Resources{LUT: width * ((depth + 63) / 64)}
	}
	ceil := func(a, b int) int { return (a + b - 1) / b }
	switch {
	case width == 1:
		return part.Resources{BRAM18: ceil(depth, 16384)}
	case width == 2:
		return part.Resources{BRAM18: ceil(depth, 8192)}
	case width <= 4:
		return part.Resources{BRAM18: ceil(depth, 4096) * ceil(width, 4)}
	case width <= 9:
		return part.Resources{BRAM18: ceil(depth, 2048) * ceil(width, 9)}
	case width <= 18 || depth > 512:
		return part.Resources{BRAM18: ceil(depth, 1024) * ceil(width, 18)}
	}
	return part.Resources{BRAM18: ceil(depth, 512) * ceil(width, 36)}
}

// Resources is an estimate of what the FIFO takes: shift registers of 32 words in a LUT for two bits, as FINN counts them, up to where a
// block RAM holds it as well.
func (c *Channel) Resources() part.Resources {
	w := c.Width()
	if c.Depth > 256 && c.Depth*w > 4096 {
		r := RAM(c.Depth, w)
		return r.Add(part.Resources{LUT: 30, FF: w + 20})
	}
	return part.Resources{LUT: 2*bits.Len(uint(c.Depth-1)) + (c.Depth+31)/32*((w+1)/2), FF: w + 2*bits.Len(uint(c.Depth-1))}
}

// Resources is an estimate for the whole network.
func (d *Design) Resources(dsp part.DSP) part.Resources {
	r := part.Resources{}
	for _, s := range d.Stages {
		r = r.Add(s.Resources(dsp))
	}
	for _, c := range d.Channels {
		r = r.Add(c.Resources())
	}
	return r
}
