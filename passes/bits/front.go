package bits

import (
	"cmp"
	"slices"
)

// MaxPoints is the number of points to which a front is thinned after each step: for each of so many equal steps of cost the point of
// least loss stays. Fronts of fewer points are exact.
const MaxPoints = 4096

// partial is a point of the front of some of the choices; the choices are a chain.
type partial struct {
	cost, loss float64
	choice     *chain
}

// chain lists choices, the last one first.
type chain struct {
	prev         *chain
	layer        bool // else an activation
	index, width int
}

func (c *chain) fill(p *Point) {
	for ; c != nil; c = c.prev {
		if c.layer {
			p.W[c.index] = c.width
		} else {
			p.A[c.index] = c.width
		}
	}
}

// join is c with the choices of d.
func (c *chain) join(d *chain) *chain {
	for ; d != nil; d = d.prev {
		c = &chain{c, d.layer, d.index, d.width}
	}
	return c
}

// prune leaves the points that no other one beats or equals, by ascending cost. Of equal points the first stays.
func prune(f []partial) []partial {
	slices.SortStableFunc(f, func(a, b partial) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.loss, b.loss))
	})
	r := f[:0]
	for _, p := range f {
		if len(r) == 0 || p.loss < r[len(r)-1].loss {
			r = append(r, p)
		}
	}
	return thin(r)
}

// thin keeps the ends.
func thin(f []partial) []partial {
	if len(f) <= MaxPoints {
		return f
	}
	lo, hi := f[0].cost, f[len(f)-1].cost
	step := func(p partial) int { return int(float64(MaxPoints-2) * (p.cost - lo) / (hi - lo)) }
	r := []partial{f[0]}
	for _, p := range f[1:] {
		if len(r) > 1 && step(r[len(r)-1]) == step(p) {
			r = r[:len(r)-1]
		}
		r = append(r, p) // the loss falls along the front: the last of a step has the least
	}
	return r
}

// sum is the front of making both choices.
func sum(f, g []partial) []partial {
	r := make([]partial, 0, len(f)*len(g))
	for _, a := range f {
		for _, b := range g {
			r = append(r, partial{a.cost + b.cost, a.loss + b.loss, nil})
		}
	}
	// The chains are made only for what stays: indices in place of pointers until then.
	index := make([]int, len(r))
	for i := range index {
		index[i] = i
	}
	slices.SortStableFunc(index, func(i, j int) int {
		return cmp.Or(cmp.Compare(r[i].cost, r[j].cost), cmp.Compare(r[i].loss, r[j].loss))
	})
	kept := []partial{}
	var from []int
	for _, i := range index {
		if len(kept) == 0 || r[i].loss < kept[len(kept)-1].loss {
			kept, from = append(kept, r[i]), append(from, i)
		}
	}
	for k, i := range from {
		kept[k].choice = f[i/len(g)].choice.join(g[i%len(g)].choice)
	}
	return thin(kept)
}
