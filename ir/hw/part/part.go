// Package part lists what common AMD (Xilinx) devices have, from their data sheets: DS190 (Zynq-7000), DS180 (7 series), DS890
// (UltraScale, UltraScale+), DS891 (Zynq UltraScale+), DS962 (Alveo).
package part

import (
	"fmt"
	"strings"
)

// Resources is an amount of what devices are made of.
type Resources struct {
	LUT    int `json:"lut"`
	FF     int `json:"ff"`
	DSP    int `json:"dsp"`
	BRAM18 int `json:"bram18"` // block RAMs of 18 Kbit
	URAM   int `json:"uram"`
}

// Add is a + b.
func (a Resources) Add(b Resources) Resources {
	return Resources{a.LUT + b.LUT, a.FF + b.FF, a.DSP + b.DSP, a.BRAM18 + b.BRAM18, a.URAM + b.URAM}
}

// Times is n * a.
func (a Resources) Times(n int) Resources {
	return Resources{n * a.LUT, n * a.FF, n * a.DSP, n * a.BRAM18, n * a.URAM}
}

// Fits reports whether a is no more than b in any kind.
func (a Resources) Fits(b Resources) bool {
	return a.LUT <= b.LUT && a.FF <= b.FF && a.DSP <= b.DSP && a.BRAM18 <= b.BRAM18 && a.URAM <= b.URAM
}

// Fraction is the largest share of b that a takes of any kind.
func (a Resources) Fraction(b Resources) float64 {
	most := 0.0
	for _, k := range [][2]int{{a.LUT, b.LUT}, {a.FF, b.FF}, {a.DSP, b.DSP}, {a.BRAM18, b.BRAM18}, {a.URAM, b.URAM}} {
		if k[0] > 0 {
			most = max(most, float64(k[0])/float64(max(k[1], 1)))
		}
	}
	return most
}

func (a Resources) String() string {
	s := fmt.Sprintf("%d LUT, %d FF, %d DSP, %d BRAM18", a.LUT, a.FF, a.DSP, a.BRAM18)
	if a.URAM > 0 {
		s += fmt.Sprintf(", %d URAM", a.URAM)
	}
	return s
}

// DSP is the kind of multiplier slice: the widths of its two signed factors.
type DSP struct {
	Name string
	A, B int // A is the wider
}

// The slices: UG479 (7 series), UG579 (UltraScale).
var (
	E1 = DSP{"DSP48E1", 25, 18}
	E2 = DSP{"DSP48E2", 27, 18}
)

// Part is a device.
type Part struct {
	Name string // without package and speed grade, as the tools write it
	Resources
	Slice DSP // the kind of its multiplier slices
}

// Table lists the devices: what report_utilization of Vivado offers, which is what the data sheets say but where noted. A part number belongs to the longest name that it begins with.
var Table = []Part{
	{"xc7z010", Resources{17600, 35200, 80, 120, 0}, E1},
	{"xc7z020", Resources{53200, 106400, 220, 280, 0}, E1},
	{"xc7z030", Resources{78600, 157200, 400, 530, 0}, E1},
	{"xc7z045", Resources{218600, 437200, 900, 1090, 0}, E1},
	{"xc7z100", Resources{277400, 554800, 2020, 1510, 0}, E1},
	{"xc7a35t", Resources{20800, 41600, 90, 100, 0}, E1},
	{"xc7a100t", Resources{63400, 126800, 240, 270, 0}, E1},
	{"xc7a200t", Resources{133800, 267600, 740, 730, 0}, E1}, // 33,650 slices in DS180; placed designs have 33,450 of them (Vivado's report_utilization)
	{"xc7k70t", Resources{41000, 82000, 240, 270, 0}, E1},
	{"xc7k325t", Resources{203800, 407600, 840, 890, 0}, E1},
	{"xc7k410t", Resources{254200, 508400, 1540, 1590, 0}, E1},
	{"xc7vx485t", Resources{303600, 607200, 2800, 2060, 0}, E1},
	{"xc7vx690t", Resources{433200, 866400, 3600, 2940, 0}, E1},
	{"xczu2", Resources{47232, 94464, 240, 300, 0}, E2},
	{"xczu3", Resources{70560, 141120, 360, 432, 0}, E2},
	{"xczu4", Resources{87840, 175680, 728, 256, 48}, E2},
	{"xczu5", Resources{117120, 234240, 1248, 288, 64}, E2},
	{"xczu7", Resources{230400, 460800, 1728, 624, 96}, E2},
	{"xczu9", Resources{274080, 548160, 2520, 1824, 0}, E2},
	{"xczu28dr", Resources{425280, 850560, 4272, 2160, 80}, E2},
	{"xck26", Resources{117120, 234240, 1248, 288, 64}, E2},
	{"xcku040", Resources{242400, 484800, 1920, 1200, 0}, E2},
	{"xcku060", Resources{331680, 663360, 2760, 2160, 0}, E2},
	{"xcku115", Resources{663360, 1326720, 5520, 4320, 0}, E2},
	{"xcvu9p", Resources{1182240, 2364480, 6840, 4320, 960}, E2},
	{"xcu50", Resources{871680, 1743360, 5952, 2688, 640}, E2},
	{"xcu200", Resources{1182240, 2364480, 6840, 4320, 960}, E2},
	{"xcu250", Resources{1728000, 3456000, 12288, 5376, 1280}, E2},
	{"xcu280", Resources{1303680, 2607360, 9024, 4032, 960}, E2},
}

// is reports whether a part number that goes on like that behind the name is of the device: xczu2 is neither xczu28dr nor xczu2tcg, but
// xczu2cg and xczu2eg.
func (p *Part) is(rest string) bool {
	if rest == "" {
		return true
	}
	if last := p.Name[len(p.Name)-1]; strings.HasPrefix(p.Name, "xczu") && last >= '0' && last <= '9' {
		return strings.HasPrefix(rest, "cg") || strings.HasPrefix(rest, "eg") || strings.HasPrefix(rest, "ev")
	}
	return rest[0] < '0' || rest[0] > '9'
}

// Find is the device of a part number such as xc7z020clg400-1.
func Find(number string) (*Part, error) {
	n := strings.ToLower(number)
	var best *Part
	for i := range Table {
		p := &Table[i]
		if strings.HasPrefix(n, p.Name) && (best == nil || len(p.Name) > len(best.Name)) {
			best = p
		}
	}
	if best != nil && best.is(n[len(best.Name):]) {
		return best, nil
	}
	var names []string
	for _, p := range Table {
		names = append(names, p.Name)
	}
	return nil, fmt.Errorf("part %q is not known; want one that begins with %s", number, strings.Join(names, ", "))
}
