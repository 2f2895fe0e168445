package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"quern/ir"
	"quern/ir/hw"
)

// randomProgram makes a hardware program of every kind of kernel and primitive, with ranges of 1 to 62 bits, that no lowering would
// think of: padding on all sides, any stride and dilation, groups, numbers by channel and by pixel, buffers used several times.
func randomProgram(r *rand.Rand, name string) *hw.Program {
	return (&builder{r: r, p: &hw.Program{Name: name}}).random()
}

// random fills the program.
func (b *builder) random() *hw.Program {
	r := b.r
	for range 1 + r.IntN(2) {
		in := b.p.NewBuffer(fmt.Sprintf("in%d", len(b.p.Buffers)), b.shape(), b.interval(1+r.IntN(12)))
		in.Port = b.port(in)
		b.p.Inputs = append(b.p.Inputs, in)
	}
	for len(b.p.Kernels) < 2+r.IntN(4) {
		switch x := b.source(); r.IntN(6) {
		case 0, 1:
			b.dot(x)
		case 2:
			b.window(x)
		case 3:
			b.mapped(x)
		default:
			b.move(x)
		}
	}
	for i, f := range b.p.Buffers {
		if i == len(b.p.Buffers)-1 || r.IntN(2) == 0 {
			if f.Port == nil {
				f.Port = b.port(f)
			}
			b.p.Outputs = append(b.p.Outputs, f)
		}
	}
	if err := hw.Verify(b.p); err != nil {
		panic(fmt.Sprintf("generator: %v\n%v", err, b.p))
	}
	return b.p
}

type builder struct {
	r      *rand.Rand
	p      *hw.Program
	narrow bool // results of 4 bits at most
}

func (b *builder) shape() []int {
	s := []int{1 + b.r.IntN(7), 1 + b.r.IntN(6), 1 + b.r.IntN(8)}
	return s[b.r.IntN(3):]
}

// interval has the given width, or a part of it.
func (b *builder) interval(bits int) hw.Interval {
	n := int64(1) << bits
	lo := -n / 2
	switch b.r.IntN(4) {
	case 0:
		lo = 0
	case 1:
		lo = -b.r.Int64N(n)
	}
	hi := lo + n - 1
	if b.r.IntN(3) == 0 {
		hi = lo + b.r.Int64N(n)
	}
	return hw.Interval{Lo: lo, Hi: hi}
}

// within is a number of an interval, often an end.
func within(r *rand.Rand, v hw.Interval) int64 {
	switch r.IntN(6) {
	case 0:
		return v.Lo
	case 1:
		return v.Hi
	}
	return v.Lo + int64(r.Uint64N(uint64(v.Hi-v.Lo)+1))
}

func (b *builder) port(f *hw.Buffer) *hw.Port {
	perm := make([]int, len(f.Shape))
	for i := range perm {
		perm[i] = i
	}
	// Names that are no identifiers, or that mean something in C.
	names := []string{"x", "int", "a*/b", "q_max", "??/", "in \"0\"\\", "printf", "5", "", "i"}
	return &hw.Port{Name: names[b.r.IntN(len(names))], Shape: f.Shape, Perm: perm,
		Quant: &ir.Quant{Scale: []float64{0.5}, Zero: []int64{0}, Min: f.Range.Lo, Max: f.Range.Hi}}
}

func (b *builder) source() *hw.Buffer { return b.p.Buffers[b.r.IntN(len(b.p.Buffers))] }

// add appends a kernel with a new output buffer.
func (b *builder) add(k *hw.Kernel, shape []int, out hw.Interval) {
	n := len(b.p.Kernels)
	k.Name = fmt.Sprintf("%s%d", []string{"conv", "_x", "y", "exp", "main"}[b.r.IntN(5)], n)
	k.Pos = ir.Pos{File: "random.onnx", Node: n, Name: []string{"", "a/*b*/c", "??/", "tail\\"}[b.r.IntN(4)]}
	k.Out = b.p.NewBuffer(k.Name+".out", shape, out)
	b.p.Kernels = append(b.p.Kernels, k)
}

// geometry slides a random window over x, which is seen as [H,W,C] by its last axis.
func (b *builder) geometry(x *hw.Buffer) hw.Geometry {
	r := b.r
	g := hw.Geometry{H: 1, W: x.Len() / x.Channels(), C: x.Channels(), KH: 1, KW: 1, SH: 1, SW: 1, DH: 1, DW: 1, OH: 1}
	if len(x.Shape) == 3 {
		g.H, g.W = x.Shape[0], x.Shape[1]
	}
	g.OH, g.OW, g.OC = g.H, g.W, g.C
	if r.IntN(4) > 0 {
		g.KW, g.SW, g.DW, g.PW, g.OW = 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(2), r.IntN(3), 1+r.IntN(5)
		g.KH, g.SH, g.DH, g.PH, g.OH = 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(2), r.IntN(3), 1+r.IntN(5)
	}
	g.PadValue = within(r, x.Range)
	if r.IntN(5) == 0 {
		g.PadValue = r.Int64N(1000) - 500
	}
	return g
}

func small(v hw.Interval) bool { return v.Lo >= -1<<31 && v.Hi < 1<<31 } // what the simulator takes as input of windows

func (b *builder) dot(x *hw.Buffer) {
	if !small(x.Range) {
		return
	}
	r := b.r
	d := &hw.Dot{Geometry: b.geometry(x), Groups: 1}
	d.OC = 1 + r.IntN(12)
	if r.IntN(3) == 0 {
		d.Groups = d.C
		if d.C%2 == 0 && r.IntN(2) == 0 {
			d.Groups = 2
		}
		d.OC = d.Groups * (1 + r.IntN(4))
	}
	w := b.interval(1 + r.IntN(10))
	if r.IntN(12) == 0 {
		w = hw.Interval{Lo: -1 << 31, Hi: 1<<31 - 1}
	}
	d.Weights = make([]int32, d.OC*d.KH*d.KW*d.C/d.Groups)
	for i := range d.Weights {
		d.Weights[i] = int32(within(r, w))
	}
	bias := b.interval(1 + r.IntN(20))
	if r.IntN(12) == 0 {
		bias = b.interval(50)
	}
	for range d.OC {
		d.Bias = append(d.Bias, within(r, bias))
	}
	if d.Bound(x.Range) != nil {
		return
	}
	shape := []int{d.OH, d.OW, d.OC}
	b.finish(&hw.Kernel{Kind: hw.KDot, In: []*hw.Buffer{x}, Dot: d}, shape, [][]hw.Interval{d.Acc})
}

func (b *builder) window(x *hw.Buffer) {
	if !small(x.Range) {
		return
	}
	w := &hw.Window{Geometry: b.geometry(x), Reduce: hw.Reduce(b.r.IntN(2))}
	if b.r.IntN(4) == 0 { // over the whole image
		g := hw.Geometry{H: w.H, W: w.W, C: w.C, KH: w.H, KW: w.W, SH: 1, SW: 1, DH: 1, DW: 1, OH: 1, OW: 1, OC: w.C}
		w.Geometry = g
	}
	if w.Bound(x.Range) != nil {
		return
	}
	b.finish(&hw.Kernel{Kind: hw.KWindow, In: []*hw.Buffer{x}, Window: w}, []int{w.OH, w.OW, w.OC}, [][]hw.Interval{{w.Acc}})
}

func (b *builder) mapped(x *hw.Buffer) {
	k := &hw.Kernel{Kind: hw.KMap}
	var in [][]hw.Interval
	for range 1 + b.r.IntN(3) {
		y := b.source()
		if !slices.Equal(y.Shape, x.Shape) {
			y = x
		}
		k.In = append(k.In, y)
		in = append(in, []hw.Interval{y.Range})
	}
	b.finish(k, x.Shape, in)
}

// finish gives a kernel a random scalar program: steps whose results stay in 63 bits, and most of the time a clamp to at most 16 bits.
func (b *builder) finish(k *hw.Kernel, shape []int, in [][]hw.Interval) {
	r := b.r
	p := hw.NewProg(make([]hw.Interval, len(in))...)
	if err := p.Analyze(in); err != nil {
		panic(err)
	}
	channels := shape[len(shape)-1]
	pixels := 1
	for _, d := range shape[:len(shape)-1] {
		pixels *= d
	}
	steps := r.IntN(7)
	if b.narrow {
		steps = r.IntN(3)
	}
	for range steps {
		was := slices.Clone(p.Code)
		b.step(p, channels, pixels)
		if p.Analyze(in) != nil {
			p.Code = was
		}
	}
	if b.narrow { // a requantization
		p.OpI(hw.MulI, p.Last(), b.vec(channels, 1, func() int64 { return within(r, hw.Interval{Lo: -2, Hi: 20}) }))
		if p.Analyze(in) != nil {
			p.Code = p.Code[:len(p.Code)-1]
		}
		shift := max(0, int64(p.Out().Bits())-2-r.Int64N(4))
		p.OpI(hw.RshHalfEven, p.Last(), b.vec(channels, 1, func() int64 { return max(0, shift-r.Int64N(2)) }))
		to := b.interval(2 + r.IntN(3))
		p.Clamp(p.Last(), to.Lo, to.Hi)
	} else if len(p.Code) == 0 || r.IntN(6) > 0 {
		to := b.interval(1 + r.IntN(16))
		p.Clamp(p.Last(), to.Lo, to.Hi)
	}
	if err := p.Analyze(in); err != nil {
		panic(err)
	}
	if r.IntN(2) == 0 {
		p.Simplify()
		if err := p.Analyze(in); err != nil {
			panic(err)
		}
	}
	k.Prog = p
	b.add(k, shape, p.Out())
}

// vec is an immediate: one number, or one for each channel or pixel.
func (b *builder) vec(channels, pixels int, number func() int64) hw.Vec {
	n, by := 1, hw.ByChannel
	switch b.r.IntN(4) {
	case 0:
		n = channels
	case 1:
		n, by = pixels, hw.ByPixel
	}
	v := hw.Vec{By: by}
	for range n {
		v.V = append(v.V, number())
	}
	return v
}

func (b *builder) step(p *hw.Prog, channels, pixels int) {
	r := b.r
	pick := func() int {
		if r.IntN(3) > 0 {
			return p.Last()
		}
		return r.IntN(p.Last() + 1)
	}
	a := pick()
	prim := hw.Prim(r.IntN(len(hw.Prims)))
	switch row := &hw.Prims[prim]; row.Imm {
	case hw.NoImm:
		p.Op(prim, a, pick())
	case hw.Number:
		v := b.interval(1 + r.IntN(24))
		switch r.IntN(4) {
		case 0:
			v = p.Range(a)
		case 1:
			v = b.interval(1 + r.IntN(3))
		}
		if prim == hw.DivInto {
			a = p.OpI(hw.MaxI, a, hw.Scalar(1+r.Int64N(3)))
		}
		p.OpI(prim, a, b.vec(channels, pixels, func() int64 { return within(r, v) }))
	case hw.Shift:
		most := int64(8)
		if r.IntN(4) == 0 {
			most = 62
		}
		p.OpI(prim, a, b.vec(channels, pixels, func() int64 { return r.Int64N(most) }))
	case hw.Width:
		bits := int64(p.Range(a).Bits())
		p.OpI(prim, a, b.vec(channels, pixels, func() int64 { return min(63, max(1, bits-3+r.Int64N(6))) }))
	case hw.Table:
		v := p.Range(a)
		if v.Hi-v.Lo > 2000 {
			return
		}
		of := b.interval(1 + r.IntN(34))
		before := r.Int64N(3)
		var table []int64
		for range v.Hi - v.Lo + 1 + before + r.Int64N(3) {
			table = append(table, within(r, of))
		}
		p.Lookup(a, v.Lo-before, table)
	}
}

// move copies x, and another buffer beside it, in one of the ways that lowering knows.
func (b *builder) move(x *hw.Buffer) {
	r := b.r
	n := x.Len()
	k := &hw.Kernel{Kind: hw.KMove, In: []*hw.Buffer{x}, Move: &hw.Move{}}
	m := k.Move
	var shape []int
	switch r.IntN(6) {
	case 0: // reshape
		shape = []int{n}
		m.Pieces = []hw.Piece{{Size: []int{n}, SrcStride: []int{1}, DstStride: []int{1}}}
	case 1: // transposition
		c := x.Channels()
		shape = []int{c, n / c}
		m.Pieces = []hw.Piece{{Size: []int{c, n / c}, SrcStride: []int{1, c}, DstStride: []int{n / c, 1}}}
	case 2: // padding, channels last
		c, before := x.Channels(), r.IntN(3)
		oc := c + before + r.IntN(3)
		shape = append(slices.Clone(x.Shape[:len(x.Shape)-1]), oc)
		m.Pieces = []hw.Piece{{DstOff: before, Size: []int{n / c, c}, SrcStride: []int{c, 1}, DstStride: []int{oc, 1}}}
		m.Filled, m.Fill = oc > c, r.Int64N(300)-150
	case 3: // concatenation, one after the other
		y := b.source()
		k.In = append(k.In, y)
		shape = []int{n + y.Len()}
		m.Pieces = []hw.Piece{{Size: []int{n}, SrcStride: []int{1}, DstStride: []int{1}},
			{Src: 1, DstOff: n, Size: []int{y.Len()}, SrcStride: []int{1}, DstStride: []int{1}}}
	case 4: // every second element, backwards, and nothing from a second input
		k.In = append(k.In, b.source())
		shape = []int{(n + 1) / 2}
		m.Pieces = []hw.Piece{{SrcOff: (n - 1) / 2 * 2, Size: []int{(n + 1) / 2}, SrcStride: []int{-2}, DstStride: []int{1}}}
	default: // repetition
		shape = []int{n, 3}
		m.Pieces = []hw.Piece{{Size: []int{n, 3}, SrcStride: []int{1, 0}, DstStride: []int{3, 1}}}
	}
	out := x.Range
	for _, p := range m.Pieces {
		out = out.Union(k.In[p.Src].Range)
	}
	if m.Filled {
		out = out.Union(hw.Interval{Lo: m.Fill, Hi: m.Fill})
	}
	b.add(k, shape, out)
}
