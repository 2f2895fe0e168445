package stream

import (
	"math/bits"

	"quern/ir/hw"
	"quern/ir/hw/part"
)

// Estimates of resources, from the analytic models of FINN (finn/custom_op/fpgadataflow: matrixvectoractivation.py,
// convolutioninputgenerator.py, streamingfifo.py, by Alam et al.) with terms of our own for what FINN's units lack: requantization by
// multiplier, tables, moves. testdata/results/yosys.md has most formulas against synthesis by yosys (TestYosys); no tool has placed any of it.

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
		r = r.Add(ram(sl.Lines*sl.G.W*sl.Words, s.In[0].Width()))
		r.LUT += out // the choice between a word and the padding
	case MVU:
		r = r.Add(s.mvu(d))
	case Lane, Global:
		r = r.Add(s.lanes(d))
	case Map:
		r = r.Add(s.epilogue(s.Kernel.Out.Channels()/s.Fold.PE, d).Times(s.Fold.PE))
	case Weave:
		r = r.Add(rom(len(s.Plan.Control), bits.Len(uint(2*len(s.In)))))
		r.LUT += out * (len(s.In) + 1) / 2
	case Reorder:
		n := 0
		for _, c := range s.In {
			r = r.Add(ram(c.Words, c.Width()))
			n += c.Words
		}
		r = r.Add(rom(len(s.Plan.From), bits.Len(uint(n))))
		r.LUT += out * (len(s.In) + 1) / 2
	}
	return r
}

// mvu: multipliers, adder trees, accumulators, memories of weights and of the window, and PE epilogues.
func (s *Stage) mvu(d part.DSP) part.Resources {
	k, f := s.Kernel.Dot, s.Fold
	w, a := s.weights.Bits(), s.In[0].Range.Bits()
	acc := k.AccRange().Bits()
	sf, nf := k.KH*k.KW*k.C/k.Groups/f.SIMD, k.OC/k.Groups/f.PE
	pack, _ := s.Pack()
	r := products(f.PE*f.SIMD, w, a, pack, f.LUT, d)
	r = r.Add(adders(f.SIMD, w+a).Times(f.PE))
	r.LUT += f.PE * acc
	r.FF += f.PE * (acc + (w+a)*f.SIMD)
	r = r.Add(rom(sf*nf*k.Groups, f.SIMD*w).Times(f.PE))
	if nf > 1 {
		r = r.Add(ram(sf, s.In[0].Width()))
	}
	return r.Add(s.epilogue(nf*k.Groups, d).Times(f.PE))
}

// lanes: a depthwise convolution has a multiplier for each channel, a pool none.
func (s *Stage) lanes(d part.DSP) part.Resources {
	r := part.Resources{}
	g := Geometry(s.Kernel)
	n := g.C / s.Fold.PE
	if k := s.Kernel.Dot; k != nil {
		w, a := s.weights.Bits(), s.In[0].Range.Bits()
		r = products(s.Fold.PE, w, a, 1, s.Fold.LUT, d)
		r.LUT += s.Fold.PE * k.AccRange().Bits()
		r.FF += s.Fold.PE * (k.AccRange().Bits() + w + a)
		r = r.Add(rom(n*g.KH*g.KW, w).Times(s.Fold.PE))
	} else {
		acc := s.Kernel.Window.Acc.Bits()
		r.LUT += s.Fold.PE * acc
		r.FF += s.Fold.PE * acc
		if s.Kind == Global && n > 1 {
			r = r.Add(ram(n, acc).Times(s.Fold.PE))
		}
	}
	return r.Add(s.epilogue(n, d).Times(s.Fold.PE))
}

// LUTProduct is an estimate for a product of w and a bits in LUTs: FINN's. It gives 80 for 8x8 bits, as an array of carry chains takes
// (testdata/results/yosys.md), and 90 for 9x9, where Xilinx's own core takes 115 (DS255, Virtex-7, for speed). Products as yosys makes them take
// 1.2 to 1.9 times as many from 6x6 to 8x8 bits.
func LUTProduct(w, a int) int { return (2*((w+a+5)/6) - 1) * (w + a) }

// products is an estimate for the multipliers of a Dot kernel: LUTs, or DSP slices, several where a factor is wider than a port. Packed
// products take LUTs for taking them apart; two weights are put together by the adder of the slice, more by LUTs before it.
func products(n, w, a, packed int, lut bool, d part.DSP) part.Resources {
	if lut {
		return part.Resources{LUT: n * LUTProduct(w, a)}
	}
	return part.Resources{DSP: n / packed * dspSlices(w, a, d), LUT: n / packed * ((packed-1)*(w+a) + max(packed-2, 0)*w)}
}

// adders is an estimate for a tree that adds n numbers of so many bits: a LUT for each bit of a sum, each level one bit wider.
func adders(n, w int) part.Resources {
	r := part.Resources{}
	for ; n > 1; n = (n + 1) / 2 {
		w++
		r.LUT += n / 2 * w
	}
	return r
}

// dspSlices is the number of DSP slices of a product: an unsigned factor needs one bit more, which is left out.
func dspSlices(x, y int, d part.DSP) int {
	x, y = max(x, y), min(x, y)
	return ((x + d.A - 2) / (d.A - 1)) * ((y + d.B - 2) / (d.B - 1))
}

// counted is an estimate for one lane that counts thresholds of n blocks of channels: for each a comparator and its place in the count, and a
// memory with the thresholds of a channel in a word. FINN has a LUT for each bit of a comparator; three for four bits and one more for
// the count fit what yosys makes, and one for three bits where thresholds are constants (testdata/results/yosys.md).
func counted(t *hw.Thresholds, x hw.Interval, n int) part.Resources {
	levels, w := t.Levels(), t.Range().Bits()
	width := max(w, x.Bits())
	r := part.Resources{FF: levels + bits.Len(uint(levels))}
	if len(t.T) == 1 || n == 1 {
		r.LUT = levels * ((width + 2) / 3)
		return r
	}
	r.LUT = levels * (3*width/4 + 1)
	return r.Add(rom(n, levels*w))
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
			r = r.Add(rom(m, c.Imm.Bounds().Bits()))
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
			r = r.Add(rom(len(c.Table), w))
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

// LUTDepth is the number of words up to which a memory is made of LUTs; deeper ones are block RAM.
const LUTDepth = 128

// rom is an estimate for a memory of constants: a LUT for 64 words of a bit (UG474).
func rom(depth, width int) part.Resources {
	switch {
	case depth <= 1:
		return part.Resources{}
	case depth <= LUTDepth:
		return part.Resources{LUT: width * ((depth + 63) / 64)}
	}
	return blockRAM(depth, width)
}

// ram is an estimate for a memory that is written and read: a LUT for 32 words of two bits, and a quarter more to write and to choose, which is
// FINN's fit to synthesis by Vivado (finn/util/resource_models.py).
func ram(depth, width int) part.Resources {
	switch {
	case depth <= 1:
		return part.Resources{}
	case depth <= LUTDepth:
		return part.Resources{LUT: (depth + 31) / 32 * ((width + 1) / 2) * 5 / 4}
	}
	return blockRAM(depth, width)
}

// blockRAM is an estimate for a deeper memory: FINN's table of the shapes of a block of 18 Kbit (UG473).
func blockRAM(depth, width int) part.Resources {
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

// srl reports whether a FIFO is made of shift registers.
func srl(depth, width int) bool { return depth <= 256 || depth*width <= 4096 }

// Resources is an estimate of what the FIFO takes: shift registers, a LUT for 32 words of a bit (UG474), up to where a block RAM holds it as
// well. The LUTs of counters and flags are FINN's fit to synthesis by Vivado (finn/util/resource_models.py).
func (c *Channel) Resources() part.Resources {
	w := c.Width()
	if !srl(c.Depth, w) {
		return blockRAM(c.Depth, w).Add(part.Resources{LUT: 54, FF: w + 20})
	}
	counter := bits.Len(uint(c.Depth)) + 1
	return part.Resources{LUT: (c.Depth+31)/32*w + 5*counter - 7, FF: w + 2*counter}
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
