package interp

import (
	"quern/ir/op"
	"quern/ir/tensor"
)

// move is a Slice, Pad, Transpose or Resize to the nearest for fixed sizes: where each element of the result comes from.
type move struct {
	from  []int32 // by element of the result its place in the argument; -1 is value
	value float32
	runs  []run // the same, where neighbours mostly stay neighbours; else nil
}

// run are n elements of the result, from to on, that lie side by side in the argument, too, or all are the move's value.
type run struct{ to, from, n int32 }

// shortRun is the mean number of elements in a run from which on copies are worth their calls.
const shortRun = 8

// moves prepares those nodes, by the operator's own kernel: it is given the elements' places in place of the elements.
func (p *plan) moves() {
	p.moved = make([]*move, len(p.g.Nodes))
	for i, n := range p.g.Nodes {
		var value float32
		k := n.Op
		switch o := k.(type) {
		case *op.Slice, *op.Transpose:
		case *op.Resize:
			if o.Mode != "nearest" || o.Coordinates == "tf_crop_and_resize" { // a value from outside is no place
				continue
			}
		case *op.Pad:
			value = o.Value
			k = &op.Pad{Pads: o.Pads, Mode: o.Mode} // writes 0, which is no place: they are counted from 1
		default:
			continue
		}
		x, y := n.In[0].Type.Shape, n.Out[0].Type.Shape
		// A bound on the memory of tables, as each size of batch has its own.
		const most = 1 << 20
		if len(n.In) != 1 || !n.In[0].Type.Real().Elem.IsFloat() || max(tensor.Numel(x), tensor.Numel(y)) > most {
			continue
		}
		places := tensor.New(tensor.I64, x...)
		for j := range places.I {
			places.I[j] = int64(j) + 1
		}
		out, err := op.Eval(k, []*tensor.T{places})
		if err != nil || out[0].Len() != tensor.Numel(y) {
			continue // a run says why
		}
		p.moved[i] = newMove(out[0].I, value)
	}
}

func newMove(places []int64, value float32) *move {
	m := &move{value: value}
	for to, f := range places {
		from := int32(f) - 1
		m.from = append(m.from, from)
		if k := len(m.runs) - 1; k >= 0 {
			if r := &m.runs[k]; from < 0 && r.from < 0 || from >= 0 && r.from >= 0 && from == r.from+r.n {
				r.n++
				continue
			}
		}
		m.runs = append(m.runs, run{int32(to), from, 1})
	}
	if len(m.from) < shortRun*len(m.runs) {
		m.runs = nil
	} else {
		m.from = nil
	}
	return m
}

func (m *move) run(y, x []float32) {
	for _, r := range m.runs {
		d := y[r.to : r.to+r.n]
		if r.from >= 0 {
			copy(d, x[r.from:])
			continue
		}
		for i := range d {
			d[i] = m.value
		}
	}
	for i, f := range m.from {
		v := m.value
		if f >= 0 {
			v = x[f]
		}
		y[i] = v
	}
}
