package stream

import (
	"fmt"
	"slices"
	"strconv"

	"quern/ir/hw"
)

// MinDepth is the number of words of a FIFO that lets writer and reader work in the same clock cycle.
const MinDepth = 2

// Build makes the network of a program. A kernel without a Fold gets PE 1, SIMD 1. All channels have the least depth: what reconvergent
// branches need is found by running the network (backends/sim/dataflow).
func Build(p *hw.Program, folds map[*hw.Kernel]Fold) (*Design, error) {
	b := &builder{d: &Design{Prog: p}, names: map[string]bool{}, open: map[*hw.Buffer][]*Channel{}, root: map[*hw.Buffer]*hw.Buffer{}}
	kernels := b.live(p)
	lanes := map[*hw.Buffer]int{} // of the first reader, for the input ports
	need := func(v *hw.Buffer, n int) {
		v = b.resolve(v)
		b.count[v]++
		if lanes[v] == 0 {
			lanes[v] = n
		}
	}
	for _, k := range kernels {
		f := folds[k]
		if f == (Fold{}) {
			f = Fold{PE: 1, SIMD: 1}
		}
		if err := f.Check(k); err != nil {
			return nil, err
		}
		b.folds = append(b.folds, f)
		for _, v := range Inputs(k) {
			need(v, InLanes(k, f))
		}
	}
	for _, v := range p.Outputs {
		need(v, 1)
	}
	for _, v := range p.Inputs {
		s := b.stage(&Stage{Name: b.short(v) + "_load", Kind: Load, Port: v})
		b.put(s, v, max(1, lanes[v]))
		s.iterations = v.Len() / max(1, lanes[v])
	}
	for i, k := range kernels {
		f := b.folds[i]
		var in []*Channel
		for _, v := range Inputs(k) {
			in = append(in, b.get(v, InLanes(k, f)))
		}
		units := Units(k, f)
		for j, s := range units {
			s.Name = b.short(k.Out)
			if s.Kind == Slide {
				s.Name += "_window"
			}
			b.stage(s)
			for _, c := range in {
				c.To, s.In = s, append(s.In, c)
			}
			if j < len(units)-1 { // a Slide before its unit
				sl := NewSlider(k, f)
				c := b.channel(k.In[0], InLanes(k, f), s)
				c.Range, c.Words = elements(k, k.In[0]), sl.G.OH*sl.G.OW*sl.Blocks*sl.Block*taps(k)
				in = []*Channel{c}
			}
		}
		s := units[len(units)-1]
		if k.Kind == hw.KMap {
			for _, v := range k.In {
				s.Args = append(s.Args, slices.Index(Inputs(k), v))
			}
		}
		b.put(s, k.Out, f.PE)
	}
	for _, v := range p.Outputs {
		c := b.get(v, 0)
		s := b.stage(&Stage{Name: b.short(v) + "_store", Kind: Store, Port: v, In: []*Channel{c}, iterations: c.Words})
		c.To = s
	}
	b.finish()
	if err := Verify(b.d); err != nil {
		return nil, err
	}
	return b.d, nil
}

type builder struct {
	d     *Design
	folds []Fold
	names map[string]bool
	root  map[*hw.Buffer]*hw.Buffer // of the result of an alias: what it is another shape of
	open  map[*hw.Buffer][]*Channel // written and not yet read
	count map[*hw.Buffer]int        // readers
}

// live are the kernels that the outputs depend on and that are not aliases, in order.
func (b *builder) live(p *hw.Program) []*hw.Kernel {
	b.count = map[*hw.Buffer]int{}
	used := map[*hw.Buffer]bool{}
	for _, v := range p.Outputs {
		used[v] = true
	}
	var ks []*hw.Kernel
	for _, k := range slices.Backward(p.Kernels) {
		if !used[k.Out] {
			continue
		}
		for _, v := range Inputs(k) {
			used[v] = true
		}
		if alias(k) {
			b.root[k.Out] = Inputs(k)[0]
			continue
		}
		ks = append(ks, k)
	}
	slices.Reverse(ks)
	return ks
}

// resolve is the buffer whose elements those of v are.
func (b *builder) resolve(v *hw.Buffer) *hw.Buffer {
	for b.root[v] != nil {
		v = b.root[v]
	}
	return v
}

// InLanes is the number of elements of a word that a kernel reads.
func InLanes(k *hw.Kernel, f Fold) int {
	if unit(k) == MVU {
		return f.SIMD
	}
	return f.PE
}

func (b *builder) stage(s *Stage) *Stage {
	s.Name = b.unique(s.Name)
	b.d.Stages = append(b.d.Stages, s)
	return s
}

// maxName is the length up to which a buffer's name is kept: converters join the names of all operators that they fused.
const maxName = 24

// short is a name for what makes or reads a buffer.
func (b *builder) short(v *hw.Buffer) string {
	if len(v.Name) <= maxName {
		return v.Name
	}
	return "b" + strconv.Itoa(v.ID)
}

// unique makes a name that no other stage or channel has.
func (b *builder) unique(s string) string {
	name := s
	for i := 1; b.names[name]; i++ {
		name = s + "_" + strconv.Itoa(i)
	}
	b.names[name] = true
	return name
}

// channel adds a channel that a stage writes. Its name is given in the end, when it is known who reads it.
func (b *builder) channel(v *hw.Buffer, lanes int, from *Stage) *Channel {
	c := &Channel{ID: len(b.d.Channels), Buffer: v, From: from, Range: v.Range, Lanes: lanes, Words: v.Len() / lanes, Depth: MinDepth}
	from.Out = append(from.Out, c)
	b.d.Channels = append(b.d.Channels, c)
	return c
}

// put makes the stage's result readable: as often as it has readers.
func (b *builder) put(s *Stage, v *hw.Buffer, lanes int) {
	n := b.count[v]
	if n == 0 {
		return
	}
	c := b.channel(v, lanes, s)
	if n == 1 {
		b.open[v] = []*Channel{c}
		return
	}
	f := b.stage(&Stage{Name: b.short(v) + "_fork", Kind: Fork, In: []*Channel{c}, iterations: c.Words})
	c.To = f
	for range n {
		b.open[v] = append(b.open[v], b.channel(v, lanes, f))
	}
}

// get is a channel with the elements of a buffer that nothing reads yet, in words of so many lanes; 0 leaves the words as they are.
func (b *builder) get(v *hw.Buffer, lanes int) *Channel {
	v = b.resolve(v)
	c := b.open[v][0]
	b.open[v] = b.open[v][1:]
	if lanes == 0 {
		return c
	}
	if g := gcd(c.Lanes, lanes); g < c.Lanes {
		c = b.convert(c, Split, g)
	}
	if c.Lanes < lanes {
		c = b.convert(c, Join, lanes)
	}
	return c
}

// convert changes the width of words.
func (b *builder) convert(c *Channel, k Kind, lanes int) *Channel {
	s := b.stage(&Stage{Name: b.short(c.Buffer) + "_" + k.String(), Kind: k, In: []*Channel{c}})
	c.To = s
	r := b.channel(c.Buffer, lanes, s)
	s.iterations = max(c.Words, r.Words)
	return r
}

// finish names the channels after their writers.
func (b *builder) finish() {
	for _, s := range b.d.Stages {
		for i, c := range s.Out {
			name := s.Name + "_out"
			if len(s.Out) > 1 {
				name = fmt.Sprintf("%s_out%d", s.Name, i)
			}
			c.Name = b.unique(name)
		}
	}
}
