package lower

import (
	"cmp"
	"fmt"
	"slices"

	"quern/ir"
	"quern/ir/hw"
	"quern/ir/op"
	"quern/ir/tensor"
)

// moveRule lowers every operator that only moves elements: the operator's own kernel is run on the offsets of the elements instead of
// the elements, and what comes out says where each result comes from. Offsets are then gathered into strided copies.
func moveRule(l *lowerer, n *ir.Node) error {
	q, err := outQuant(n.Out[0])
	if err != nil {
		return err
	}
	_, fill := q.At(0)
	k := n.Op
	if o, ok := n.Op.(*op.Resize); ok && o.Extrapolate != 0 {
		fill = q.Quantize(float64(o.Extrapolate), 0)
		inside := *o
		inside.Extrapolate = 0
		k = &inside
	}
	if o, ok := n.Op.(*op.Pad); ok && o.Value != 0 {
		fill = q.Quantize(float64(o.Value), 0)
		k = &op.Pad{Pads: o.Pads, Mode: o.Mode}
	}
	in := make([]*tensor.T, len(n.In))
	var srcs []*hw.Buffer
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if v.Const != nil && !v.Type.IsQuant() {
			in[i] = v.Const // indices
			continue
		}
		b, err := l.aligned(n, v, q)
		if err != nil {
			return err
		}
		in[i] = offsets(v.Type.Shape, int64(len(srcs))<<40+1)
		srcs = append(srcs, b)
	}
	// Padding writes 0: offsets start at 1, so that no element has it.
	out, err := op.Eval(k, in)
	if err != nil {
		return err
	}
	for i, v := range n.Out {
		if l.uses[v] == 0 && i > 0 {
			continue
		}
		_, perm := layout(v.Type.Shape)
		shape, _ := layout(v.Type.Shape)
		t := out[i].Reshape(noBatch(v.Type.Shape)...)
		from := t.Permute(perm).I
		l.move(n, v, srcs, from, shape, fill)
	}
	return nil
}

// offsets is a tensor in the model's layout that holds, for each element, its offset in the buffer, plus first.
func offsets(shape []int, first int64) *tensor.T {
	dims, perm := layout(shape)
	inv := make([]int, len(perm))
	for i, p := range perm {
		inv[p] = i
	}
	t := tensor.New(tensor.I64, dims...)
	for i := range t.I {
		t.I[i] = first + int64(i)
	}
	if len(dims) > 0 {
		t = t.Permute(inv)
	}
	return t.Reshape(shape...)
}

// aligned is the buffer of an input on the grid of q: as it is, or requantized.
func (l *lowerer) aligned(n *ir.Node, v *ir.Value, q *ir.Quant) (*hw.Buffer, error) {
	if v.Const != nil {
		return nil, fmt.Errorf("input %%%s is a constant, want a value of the graph", v.Name)
	}
	b, err := l.buffer(v)
	if err != nil {
		return nil, err
	}
	s, z, err := inQuant(v)
	if err != nil {
		return nil, err
	}
	if so, zo := q.At(0); s == so && z == zo && b.Range.Lo >= q.Min && b.Range.Hi <= q.Max {
		return b, nil
	}
	to := &ir.Value{Name: v.Name + "_rq", Type: ir.Type{Elem: n.Out[0].Type.Elem, Shape: v.Type.Shape, Quant: q}}
	k := &ir.Node{Op: &op.Quantize{}, In: []*ir.Value{v}, Out: []*ir.Value{to}, Pos: n.Pos}
	if err := requantRule(l, k); err != nil {
		return nil, err
	}
	return l.bufs[to], nil
}

// move adds the kernel for a result whose element i comes from from[i]: source<<40 + offset + 1, or 0 for the fill value. A result that is a
// whole source as it stands needs no kernel.
func (l *lowerer) move(n *ir.Node, v *ir.Value, srcs []*hw.Buffer, from []int64, shape []int, fill int64) {
	if len(from) > 0 && from[0] > 0 {
		src := srcs[from[0]>>40]
		same := slices.Equal(src.Shape, shape)
		for i, f := range from {
			same = same && f == from[0]>>40<<40+int64(i)+1
		}
		if same {
			l.bufs[v] = src
			return
		}
	}
	m := &hw.Move{Fill: fill, Filled: slices.Contains(from, 0)}
	used := make([]int, len(srcs))
	var in []*hw.Buffer
	var r hw.Interval
	for _, b := range blocks(from) {
		i := int(b.src >> 40)
		if used[i] == 0 {
			in = append(in, srcs[i])
			used[i] = len(in)
			if len(in) == 1 {
				r = srcs[i].Range
			}
			r = r.Union(srcs[i].Range)
		}
		m.Pieces = append(m.Pieces, hw.Piece{Src: used[i] - 1, SrcOff: int(b.src&(1<<40-1)) - 1, DstOff: b.dst, Size: b.size, SrcStride: b.srcStride, DstStride: b.dstStride})
	}
	if m.Filled {
		r = r.Union(hw.Interval{Lo: fill, Hi: fill})
	}
	l.add(n, &hw.Kernel{Kind: hw.KMove, In: in, Move: m}, v, shape, r)
}

// block is a strided copy under construction.
type block struct {
	src                        int64
	dst                        int
	size, srcStride, dstStride []int
}

// blocks cuts a list of origins into few strided copies: first runs of constant stride, then, source by source and as long as something
// merges, neighbours that repeat the same shape at constant distances become one block with one more axis. Origin 0 is no copy.
func blocks(from []int64) []block {
	var bs []block
	for i := 0; i < len(from); {
		if from[i] == 0 {
			i++
			continue
		}
		b := block{src: from[i], dst: i}
		j := i + 1
		step := int64(0)
		if j < len(from) {
			step = from[j] - from[i]
		}
		for j < len(from) && from[j]-from[j-1] == step && from[j] != 0 && from[j]>>40 == from[i]>>40 {
			j++
		}
		b.size, b.srcStride, b.dstStride = []int{j - i}, []int{int(step)}, []int{1}
		if j == i+1 {
			b.srcStride[0] = 1
		}
		bs = append(bs, b)
		i = j
	}
	slices.SortStableFunc(bs, func(a, b block) int { return cmp.Compare(a.src>>40, b.src>>40) })
	for {
		n := len(bs)
		bs = mergeBlocks(bs)
		if len(bs) == n {
			return bs
		}
	}
}

func mergeBlocks(bs []block) []block {
	var r []block
	for i := 0; i < len(bs); {
		j := i + 1
		for j < len(bs) && sameShape(bs[i], bs[j]) && bs[j].src-bs[j-1].src == bs[i+1].src-bs[i].src && bs[j].dst-bs[j-1].dst == bs[i+1].dst-bs[i].dst {
			j++
		}
		b := bs[i]
		if j > i+1 {
			b.size = append([]int{j - i}, b.size...)
			b.srcStride = append([]int{int(bs[i+1].src - bs[i].src)}, b.srcStride...)
			b.dstStride = append([]int{bs[i+1].dst - bs[i].dst}, b.dstStride...)
		}
		r = append(r, b)
		i = j
	}
	return r
}

func sameShape(a, b block) bool {
	return a.src>>40 == b.src>>40 && slices.Equal(a.size, b.size) && slices.Equal(a.srcStride, b.srcStride) && slices.Equal(a.dstStride, b.dstStride)
}
