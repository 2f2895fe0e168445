package difftest

import (
	"math/rand/v2"

	"quern/ir/hw"
)

// samples are inputs over the ranges of the input ports, with many ends of ranges.
func samples(r *rand.Rand, p *hw.Program, n int) [][][]int64 {
	var all [][][]int64
	for range n {
		var in [][]int64
		for _, b := range p.Inputs {
			x := make([]int64, b.Len())
			for i := range x {
				x[i] = within(r, b.Range)
			}
			in = append(in, x)
		}
		all = append(all, in)
	}
	return all
}

// reference runs a program by its definition and returns all buffers: no tricks, no speed.
func reference(p *hw.Program, in [][]int64) [][]int64 {
	bufs := make([][]int64, len(p.Buffers))
	for i, b := range p.Inputs {
		bufs[b.ID] = in[i]
	}
	for _, k := range p.Kernels {
		y := make([]int64, k.Out.Len())
		bufs[k.Out.ID] = y
		x := bufs[k.In[0].ID]
		if m := k.Move; m != nil {
			for i := range y {
				y[i] = m.Fill
			}
			for i := range m.Pieces {
				m.Pieces[i].Walk(func(src, dst int) { y[dst] = bufs[k.In[m.Pieces[i].Src].ID][src] })
			}
			continue
		}
		vals := make([]int64, k.Prog.Last()+1)
		c := k.Out.Channels()
		for i := range y {
			switch {
			case k.Dot != nil:
				vals[0] = accumulate(k.Dot, x, i/c, i%c)
			case k.Window != nil:
				vals[0] = reduce(k.Window, x, i/c, i%c)
			default:
				for j, b := range k.In {
					vals[j] = bufs[b.ID][i]
				}
			}
			y[i] = k.Prog.Eval(vals, i%c, i/c)
		}
	}
	return bufs
}

// at is an element under a window.
func at(g *hw.Geometry, x []int64, pixel, ky, kx, c int) int64 {
	iy, ix, ok := g.Inside(pixel/g.OW, pixel%g.OW, ky, kx)
	if !ok {
		return g.PadValue
	}
	return x[(iy*g.W+ix)*g.C+c]
}

func accumulate(d *hw.Dot, x []int64, pixel, o int) int64 {
	acc := d.Bias[o]
	cg := d.C / d.Groups
	for ky := range d.KH {
		for kx := range d.KW {
			for c := range cg {
				w := d.Weights[((o*d.KH+ky)*d.KW+kx)*cg+c]
				acc += int64(w) * at(&d.Geometry, x, pixel, ky, kx, o/(d.OC/d.Groups)*cg+c)
			}
		}
	}
	return acc
}

func reduce(w *hw.Window, x []int64, pixel, c int) int64 {
	acc := int64(0)
	for ky := range w.KH {
		for kx := range w.KW {
			switch v := at(&w.Geometry, x, pixel, ky, kx, c); {
			case w.Reduce == hw.ReduceSum:
				acc += v
			case ky+kx == 0:
				acc = v
			default:
				acc = max(acc, v)
			}
		}
	}
	return acc
}
