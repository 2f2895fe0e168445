package part

import (
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for _, c := range []struct{ number, want string }{
		{"xc7z020clg400-1", "xc7z020"},
		{"XC7Z020CLG484-1", "xc7z020"},
		{"xc7z010iclg225-1L", "xc7z010"},
		{"xc7a35ticsg324-1L", "xc7a35t"},
		{"xc7a100tcsg324-1", "xc7a100t"},
		{"xc7k325tffg900-2", "xc7k325t"},
		{"xczu2cg-sbva484-1-e", "xczu2"},
		{"xczu3eg-sbva484-1-e", "xczu3"},
		{"xczu7ev-ffvc1156-2-e", "xczu7"},
		{"xczu9eg-ffvb1156-2-e", "xczu9"},
		{"xczu28dr-ffvg1517-2-e", "xczu28dr"},
		{"xck26-sfvc784-2LV-c", "xck26"},
		{"xcku040-ffva1156-2-e", "xcku040"},
		{"xcvu9p-flga2104-2-i", "xcvu9p"},
		{"xcu50-fsvh2104-2-e", "xcu50"},
		{"xcu250-figd2104-2L-e", "xcu250"},
		{"xczu2", "xczu2"},
		// Other devices whose numbers begin like one of the table.
		{"xczu29dr-ffvf1760-2-e", ""},
		{"xczu21dr-ffvd1156-2-e", ""},
		{"xczu3teg-sfvc784-1-e", ""},
		{"xcu55c-fsvh2892-2L-e", ""},
		{"xc7z", ""},
		{"", ""},
	} {
		p, err := Find(c.number)
		switch {
		case c.want == "" && (err == nil || !strings.Contains(err.Error(), "xc7z020, ")):
			t.Errorf("%q: got %v, %v, want an error with the devices", c.number, p, err)
		case c.want != "" && (err != nil || p.Name != c.want):
			t.Errorf("%q: got %v, %v, want %s", c.number, p, err, c.want)
		}
	}
}

// TestTable: what holds for all devices of these families. A slice has twice as many flip-flops as LUTs (UG474, UG574).
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range Table {
		if seen[p.Name] {
			t.Errorf("%s is there twice", p.Name)
		}
		seen[p.Name] = true
		if p.FF != 2*p.LUT {
			t.Errorf("%s: %d FF, want twice the %d LUT", p.Name, p.FF, p.LUT)
		}
		if p.DSP < 80 || p.BRAM18 < 100 || p.BRAM18%2 != 0 {
			t.Errorf("%s: %v", p.Name, p.Resources)
		}
		if got, err := Find(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("%s: Find gives %v, %v", p.Name, got, err)
		}
	}
	if len(Table) < 12 {
		t.Errorf("%d devices", len(Table))
	}
}
