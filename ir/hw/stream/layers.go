package stream

import (
	"quern/ir/hw"
	"quern/ir/hw/part"
)

// Layer is a kernel of the program with the stages that do its work.
type Layer struct {
	Kernel *hw.Kernel
	Fold   Fold
	Stages []*Stage // a Slide where it needs windows, and the unit with the arithmetic
}

// Unit is the stage that does the arithmetic and writes the kernel's result.
func (l *Layer) Unit() *Stage { return l.Stages[len(l.Stages)-1] }

// Iterations is that of the slowest stage of the layer.
func (l *Layer) Iterations() int {
	n := 0
	for _, s := range l.Stages {
		n = max(n, s.Iterations())
	}
	return n
}

// Resources is an estimate of what the stages of the layer take.
func (l *Layer) Resources(d part.DSP) part.Resources {
	r := part.Resources{}
	for _, s := range l.Stages {
		r = r.Add(s.Resources(d))
	}
	return r
}

// Layers are the kernels that have stages, in the order of the data.
func (d *Design) Layers() []Layer {
	var ls []Layer
	for _, s := range d.Stages {
		switch {
		case s.Kernel == nil:
		case len(ls) > 0 && ls[len(ls)-1].Kernel == s.Kernel:
			ls[len(ls)-1].Stages = append(ls[len(ls)-1].Stages, s)
		default:
			ls = append(ls, Layer{s.Kernel, s.Fold, []*Stage{s}})
		}
	}
	return ls
}

// Folding is the fold of each layer by its name: what passes/fold takes as given.
func (d *Design) Folding() map[string]Fold {
	f := map[string]Fold{}
	for _, l := range d.Layers() {
		f[l.Kernel.Name] = l.Fold
	}
	return f
}

// Between is an estimate of what lies between the layers: ports, forks, converters of widths, and FIFOs.
func (d *Design) Between(dsp part.DSP) part.Resources {
	r := part.Resources{}
	for _, s := range d.Stages {
		if s.Kernel == nil {
			r = r.Add(s.Resources(dsp))
		}
	}
	for _, c := range d.Channels {
		r = r.Add(c.Resources())
	}
	return r
}
