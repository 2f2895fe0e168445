package stream

import (
	"fmt"
	"slices"

	"quern/ir/hw"
)

// Plan says how a Weave or Reorder stage makes the words of a Move kernel out of those of its sources.
type Plan struct {
	// Control is what a Weave does in each iteration, up to the shortest period of the sequence, which is then repeated.
	Control []Control
	Length  int // of the whole sequence
	// From is, for a Reorder, where each output word stands in its sources, laid one behind the other; -1 is the fill value.
	From []int
}

// Control is one iteration of a Weave: write the fill value, pass a word of a source on, or read one and drop it.
type Control uint8

// ControlFill writes the fill value.
const ControlFill Control = 0

// Pass and drop a word of source i.
func controlPass(i int) Control { return Control(1 + 2*i) }
func controlDrop(i int) Control { return Control(2 + 2*i) }

// Source is the input channel of a Control that reads.
func (c Control) Source() int { return int(c-1) / 2 }

// Drops reports whether a word is read and not written.
func (c Control) Drops() bool { return c != ControlFill && c%2 == 0 }

// origins is, for each element of the result of a Move, source<<40 + offset + 1, or 0 for the fill value; sources as inputs numbers them.
func origins(k *hw.Kernel, in []*hw.Buffer) []int {
	from := make([]int, k.Out.Len())
	for i := range k.Move.Pieces {
		p := &k.Move.Pieces[i]
		base := slices.Index(in, k.In[p.Src])<<40 + 1
		p.Walk(func(src, dst int) { from[dst] = base + src })
	}
	return from
}

// alias reports whether a Move only gives its source another shape: then the stream is the same.
func alias(k *hw.Kernel) bool {
	if k.Kind != hw.KMove {
		return false
	}
	in := Inputs(k)
	if len(in) != 1 || in[0].Len() != k.Out.Len() || in[0].Range != k.Out.Range {
		return false
	}
	for i, f := range origins(k, in) {
		if f != i+1 {
			return false
		}
	}
	return true
}

// moveLanes is the greatest number of elements that a Move can treat as one word: every word of the result is a whole word of a source
// or all fill.
func moveLanes(k *hw.Kernel) int {
	in := Inputs(k)
	g := k.Out.Channels()
	for _, b := range in {
		g = gcd(g, b.Channels())
	}
	last := 0
	for i, f := range origins(k, in) {
		if i == 0 || f != 0 && f != last+1 || f == 0 && last != 0 { // a run starts here
			g = gcd(g, i)
			if f != 0 {
				g = gcd(g, (f-1)&(1<<40-1))
			}
		}
		last = f
	}
	return g
}

// newPlan works out a Move for words of so many lanes. A weave is taken where each source is read in order.
func newPlan(k *hw.Kernel, lanes int) (*Plan, Kind) {
	in := Inputs(k)
	var words []int // of the result
	for i, f := range origins(k, in) {
		if i%lanes == 0 {
			words = append(words, f)
		}
	}
	if c := weaving(words, in, lanes); c != nil {
		return &Plan{Control: period(c), Length: len(c)}, Weave
	}
	base := make([]int, len(in))
	for i := 1; i < len(in); i++ {
		base[i] = base[i-1] + in[i-1].Len()/lanes
	}
	p := &Plan{From: make([]int, len(words))}
	for i, f := range words {
		p.From[i] = -1
		if f != 0 {
			f--
			p.From[i] = base[f>>40] + f&(1<<40-1)/lanes
		}
	}
	return p, Reorder
}

// weaving is the control sequence, nil if a source is not read in order.
func weaving(words []int, in []*hw.Buffer, lanes int) []Control {
	next := make([]int, len(in))
	var c []Control
	for _, f := range words {
		if f == 0 {
			c = append(c, ControlFill)
			continue
		}
		src, w := (f-1)>>40, (f-1)&(1<<40-1)/lanes
		if w < next[src] {
			return nil
		}
		for ; next[src] < w; next[src]++ {
			c = append(c, controlDrop(src))
		}
		c = append(c, controlPass(src))
		next[src]++
	}
	for i, b := range in {
		for ; next[i] < b.Len()/lanes; next[i]++ {
			c = append(c, controlDrop(i))
		}
	}
	return c
}

// period is the shortest prefix whose repetition is the sequence.
func period(c []Control) []Control {
	for _, p := range Divisors(len(c)) {
		if slices.Equal(c[p:], c[:len(c)-p]) {
			return slices.Clip(c[:p])
		}
	}
	panic(fmt.Sprintf("stream: a sequence of %d has no period", len(c)))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Divisors of n, ascending.
func Divisors(n int) []int {
	var d []int
	for i := 1; i*i <= n; i++ {
		if n%i == 0 {
			d = append(d, i)
			if i*i != n {
				d = append(d, n/i)
			}
		}
	}
	slices.Sort(d)
	return d
}
