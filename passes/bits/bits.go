// Package bits chooses the widths of layers and activations one by one: mixed precision.
//
// The loss of a choice is the sum of what each width costs by itself, everything else being exact (HAWQ-V2, Dong et al., NeurIPS 2020,
// takes losses of layers as a sum, too). The cost may tie each layer's weights to the activation that it reads, as multipliers do. So the
// front of cost against loss falls apart into groups, one for each activation with the layers that read it: within a group the layers are
// independent once the activation's width is fixed, and groups are independent of each other. Solve builds the whole front by dynamic
// programming over them.
package bits

import (
	"errors"
	"fmt"
	"slices"

	"quern/ir/hw/stream"
)

// Layer is a layer with weights.
type Layer struct {
	Name   string
	Count  int // of weights
	MACs   int // of one sample
	Act    int // the activation it reads; -1: one of a fixed width
	In     int // that width
	Widths []int
	Loss   []float64 // for each of Widths
}

// Act is an activation, or several that must have one width.
type Act struct {
	Names  []string
	Widths []int
	Loss   []float64
}

// Problem is a network with what each width does to its results.
type Problem struct {
	Layers []Layer
	Acts   []Act
}

// Point is a choice of all widths.
type Point struct {
	Cost, Loss float64
	W, A       []int // of Problem.Layers and Problem.Acts
}

// Cost is what a layer takes with weights of w bits that reads an activation of a bits.
type Cost func(l *Layer, w, a int) float64

// The objectives.
var objectives = []struct {
	name, doc string
	cost      func(p *Problem, lanes int) Cost
}{
	{"size", "bits of all weights", func(*Problem, int) Cost {
		return func(l *Layer, w, _ int) float64 { return float64(l.Count * w) }
	}},
	{"macs", "bit operations: products of one sample times the bits of both factors", func(*Problem, int) Cost {
		return func(l *Layer, w, a int) float64 { return float64(l.MACs) * float64(w*a) }
	}},
	{"lut", "LUTs of multipliers and adder trees", func(p *Problem, lanes int) Cost {
		total := 0
		for i := range p.Layers {
			total += p.Layers[i].MACs
		}
		return func(l *Layer, w, a int) float64 { return products(l.MACs, total, lanes) * lutProduct(w, a) }
	}},
}

// products is how many of all lanes of a network a layer gets when all layers take the same number of clock cycles: its share of the
// products, at least one.
func products(macs, total, lanes int) float64 {
	return max(1, float64(macs)*float64(lanes)/float64(max(total, 1)))
}

// lutProduct is a product in LUTs with w+a for its place in the adder tree.
func lutProduct(w, a int) float64 { return float64(stream.LUTProduct(w, a) + w + a) }

// Objective finds a cost by name: size, macs or lut. lanes is the number of products that the whole network does in one clock cycle; only
// lut asks for it.
func Objective(name string, p *Problem, lanes int) (Cost, error) {
	var names []string
	for _, o := range objectives {
		if o.name == name {
			return o.cost(p, lanes), nil
		}
		names = append(names, o.name)
	}
	return nil, fmt.Errorf("objective %q: want one of %v", name, names)
}

// Doc says in a line what an objective counts.
func Doc(name string) string {
	for _, o := range objectives {
		if o.name == name {
			return o.doc
		}
	}
	return ""
}

// Check reports what Solve cannot work with.
func (p *Problem) Check() error {
	var errs []error
	widths := func(name string, widths []int, loss []float64) {
		if len(widths) == 0 || len(widths) != len(loss) {
			errs = append(errs, fmt.Errorf("%s: %d widths and %d losses, want as many and at least one", name, len(widths), len(loss)))
		}
	}
	for i := range p.Layers {
		l := &p.Layers[i]
		widths(l.Name, l.Widths, l.Loss)
		if l.Act < -1 || l.Act >= len(p.Acts) {
			errs = append(errs, fmt.Errorf("%s reads activation %d of %d", l.Name, l.Act, len(p.Acts)))
		}
	}
	for i := range p.Acts {
		widths(fmt.Sprint(p.Acts[i].Names), p.Acts[i].Widths, p.Acts[i].Loss)
	}
	return errors.Join(errs...)
}

// Total is the cost and the loss of given widths, which must be among those of the problem.
func (p *Problem) Total(cost Cost, w, a []int) (c, loss float64) {
	for i := range p.Layers {
		l := &p.Layers[i]
		in := l.In
		if l.Act >= 0 {
			in = a[l.Act]
		}
		c += cost(l, w[i], in)
		loss += l.Loss[slices.Index(l.Widths, w[i])]
	}
	for i := range p.Acts {
		loss += p.Acts[i].Loss[slices.Index(p.Acts[i].Widths, a[i])]
	}
	return c, loss
}

// Solve is the front: all points that no other one beats in cost and loss, by ascending cost and descending loss.
func (p *Problem) Solve(cost Cost) ([]Point, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	// options of a layer that reads an activation of a bits
	options := func(i, a int) []partial {
		l := &p.Layers[i]
		var f []partial
		for k, w := range l.Widths {
			f = append(f, partial{cost(l, w, a), l.Loss[k], &chain{nil, true, i, w}})
		}
		return prune(f)
	}
	front := []partial{{}}
	for i := range p.Layers {
		if l := &p.Layers[i]; l.Act < 0 {
			front = sum(front, options(i, l.In))
		}
	}
	for j := range p.Acts {
		var group []partial
		for k, a := range p.Acts[j].Widths {
			f := []partial{{0, p.Acts[j].Loss[k], &chain{nil, false, j, a}}}
			for i := range p.Layers {
				if p.Layers[i].Act == j {
					f = sum(f, options(i, a))
				}
			}
			group = append(group, f...)
		}
		front = sum(front, prune(group))
	}
	r := make([]Point, len(front))
	for i, f := range front {
		r[i] = Point{Cost: f.cost, Loss: f.loss, W: make([]int, len(p.Layers)), A: make([]int, len(p.Acts))}
		f.choice.fill(&r[i])
	}
	return r, nil
}

// Under is the point of least loss that costs no more than budget; nil if all of a front cost more.
func Under(front []Point, budget float64) *Point {
	for i := range slices.Backward(front) {
		if front[i].Cost <= budget {
			return &front[i]
		}
	}
	return nil
}
