package fold

import (
	"fmt"

	"quern/ir/hw"
	"quern/ir/hw/part"
)

// Bits of memories: a block RAM of 18 Kbit and an UltraRAM of 288 Kbit (UG473, UG573), and a LUT6 as a ROM of 64 x 1 (UG474).
const (
	bramBits = 18 << 10
	uramBits = 288 << 10
	lutBits  = 64
)

// CheckWeights reports a network whose weights alone are more than all memory of a part: stream designs keep every weight on the chip.
func CheckWeights(p *hw.Program, d *part.Part) error {
	total, most := 0, 0
	var largest *hw.Kernel
	for _, k := range p.Kernels {
		if k.Dot == nil {
			continue
		}
		n := len(k.Dot.Weights) * k.Dot.WeightRange().Bits()
		total += n
		if n > most {
			most, largest = n, k
		}
	}
	if have := d.BRAM18*bramBits + d.URAM*uramBits + d.LUT*lutBits; total > have {
		return fmt.Errorf("weights of %d bits do not fit %s: its block RAMs have %d bits, UltraRAMs %d, LUTs as ROM %d; the largest layer, %s (%v), has %d; "+
			"style stream keeps all weights on the chip: want a larger part or fewer bits",
			total, d.Name, d.BRAM18*bramBits, d.URAM*uramBits, d.LUT*lutBits, largest.Name, largest.Pos, most)
	}
	return nil
}
