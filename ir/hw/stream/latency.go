package stream

import (
	"math/bits"

	"quern/ir/hw"
)

// Latency is an estimate of the clock cycles from the reading of an iteration to its writing, 1 or more, at clocks of 100 to 250 MHz: the
// depth of the loop's pipeline. A multiplication takes the three registers of a DSP48 slice (UG479, UG579), a memory two, an addition
// or a comparison one, and an adder tree one for each level. It moves the first word of a run, hardly the interval between runs.
func (s *Stage) Latency() int {
	switch s.Kind {
	case Slide, Reorder:
		return 4
	case MVU:
		return 6 + bits.Len(uint(s.Fold.SIMD-1)) + s.epilogueLatency()
	case Lane, Global:
		n := 3
		if s.Kernel.Dot != nil {
			n += 3
		}
		return n + s.epilogueLatency()
	case Map:
		return 1 + s.epilogueLatency()
	}
	return 1
}

// epilogueLatency is that of the scalar program, or of a memory of thresholds, comparisons and the tree that counts them.
func (s *Stage) epilogueLatency() int {
	if s.Thresholds == nil {
		return progLatency(s.Kernel.Prog)
	}
	return 3 + bits.Len(uint(s.Thresholds.Levels()))
}

// progLatency is the longest path through a scalar program.
func progLatency(p *hw.Prog) int {
	at := make([]int, p.Last()+1)
	for i, c := range p.Code {
		n := at[c.A]
		if hw.Prims[c.Prim].Args == 2 {
			n = max(n, at[c.B])
		}
		switch c.Prim {
		case hw.Mul, hw.MulI:
			n += 3
		case hw.Lut, hw.RshHalfUp, hw.RshHalfEven, hw.RshHalfAway, hw.RshCeil, hw.RshAway, hw.RshToZero, hw.RshHalfToZero:
			n += 2
		case hw.RshFloor, hw.Wrap:
		default:
			n++
		}
		at[len(p.In)+i] = n
	}
	return at[p.Last()]
}
