package kernels

import (
	"fmt"
	"os"
)

// Level is an instruction set that native kernels are written for. All levels compute the same integers.
type Level uint8

// The levels: portable Go; AVX2 with FMA; AVX-512 with F, BW, DQ, VL and VNNI.
const (
	Generic Level = iota
	AVX2
	AVX512
)

var levelNames = [...]string{"generic", "avx2", "avx512"}

func (l Level) String() string { return levelNames[l] }

// Levels are those that this CPU has, the best last.
func Levels() []Level {
	var r []Level
	for l := range Level(len(levelNames)) {
		if has(l) {
			r = append(r, l)
		}
	}
	return r
}

// Best is the level to use: the best of this CPU, or what QUERN_CPU asks for (avx512, avx2 or generic). It fails where that is
// unknown or the CPU does not have it.
func Best() (Level, error) {
	name := os.Getenv("QUERN_CPU")
	levels := Levels()
	if name == "" {
		return levels[len(levels)-1], nil
	}
	for i, n := range levelNames {
		if n != name {
			continue
		}
		if !has(Level(i)) {
			return 0, fmt.Errorf("QUERN_CPU=%s: this CPU does not have it, it has %v", name, levels)
		}
		return Level(i), nil
	}
	return 0, fmt.Errorf("QUERN_CPU=%q: want one of %v", name, levelNames)
}

// kernel is the number of a function of native code; 0 is none.
type kernel uint16
