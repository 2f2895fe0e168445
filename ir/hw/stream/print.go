package stream

import (
	"fmt"
	"strings"
)

// String is the text form: a line for each stage with its iterations and channels.
func (d *Design) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "design %s\n", d.Prog.Name)
	for _, s := range d.Stages {
		fmt.Fprintf(&b, "%v %s", s.Kind, s.Name)
		if s.Fold != (Fold{}) {
			fmt.Fprintf(&b, "  %v", s.Fold)
		}
		fmt.Fprintf(&b, "  %d iterations\n", s.iterations)
		for _, c := range s.In {
			fmt.Fprintf(&b, "    in  %v\n", c)
		}
		for _, c := range s.Out {
			fmt.Fprintf(&b, "    out %v\n", c)
		}
	}
	return b.String()
}

func (c *Channel) String() string {
	return fmt.Sprintf("%s %d words of %dx%v depth %d", c.Name, c.Words, c.Lanes, c.Range, c.Depth)
}

// Slowest is the stage with the most iterations: it bounds the interval between two runs.
func (d *Design) Slowest() *Stage {
	r := d.Stages[0]
	for _, s := range d.Stages {
		if s.iterations > r.iterations {
			r = s
		}
	}
	return r
}
