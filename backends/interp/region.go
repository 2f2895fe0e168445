package interp

import (
	"slices"
	"sync"

	"quern/backends/kernels"
	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// region is a sequence of nodes whose values lie in fields, inside borders that are written once. Only what other nodes read becomes a
// tensor. Its memory is planned beforehand and used again. Results are those of the nodes one by one, in all bits.
type region struct {
	level   kernels.Level
	steps   int // that it stands for
	images  int
	group   int // images that are worked on at a time
	in, out []port
	fields  []kernels.Field // of the buffers
	ops     []func(buffers [][]float32, images int)
	pool    sync.Pool // of *[][]float32: the buffers
}

// port is a value that enters or leaves a region: a slot and a buffer.
type port struct {
	slot, buffer int
	shape        []int
	bare         bool // its tensor is the buffer
}

// fieldKey tells the convolutions apart that a model needs for inputs of several sizes, but not for batches.
type fieldKey struct {
	step    int
	g       kernels.FloatGeometry
	in, out kernels.Field
}

// groupBytes is how large the buffers of a group of images may become, unless a single image needs more.
const groupBytes = 1 << 20

// regions finds the nodes that can work on fields. Where values are observed, and without native code, their convolutions stand alone.
func (m *Interp) regions(p *plan) {
	p.alone, p.regions = make([]*region, len(m.steps)), make([]*region, len(m.steps))
	for i := 0; i < len(m.steps); i++ {
		if !p.fieldable(m.steps, i) {
			continue
		}
		first := i
		var border kernels.Border
		var convs []int
		transposed := false
		for ; i < len(m.steps) && p.fieldable(m.steps, i) && p.g.Nodes[i].Out[0].Type.Shape[0] == p.g.Nodes[first].Out[0].Type.Shape[0]; i++ {
			_, is := p.g.Nodes[i].Op.(*op.ConvTranspose)
			transposed = transposed || is
			if g, ok := p.window(i); ok && isConv(p.g.Nodes[i]) {
				border = border.Max(g.Border())
				convs = append(convs, i)
			}
		}
		if (len(convs) > 0 || transposed) && p.level != kernels.Generic {
			p.regions[first] = m.region(p, first, i, border)
		}
		for _, c := range convs {
			g, _ := p.window(c)
			switch {
			case g.Winograd():
				p.alone[c] = m.region(p, c, c+1, border) // so that both have the same packed weights
			case p.level != kernels.Generic:
				p.alone[c] = m.region(p, c, c+1, g.Border())
			}
		}
		i-- // it was not fieldable, or has another batch
	}
}

func isConv(n *ir.Node) bool {
	_, ok := n.Op.(*op.Conv)
	return ok
}

// fieldable reports whether a node can be part of a region: its values are real images, none quantized, and it is one of a few operators.
func (p *plan) fieldable(steps []step, i int) bool {
	n := p.g.Nodes[i]
	image := func(v *ir.Value) bool {
		return v != nil && v.Type.Quant == nil && v.Type.Elem == tensor.F32 && len(v.Type.Shape) == 4 && tensor.Numel(v.Type.Shape) > 0 &&
			tensor.Numel(v.Type.Shape[1:]) < 1<<24
	}
	if len(n.Out) != 1 || !image(n.Out[0]) || !image(n.In[0]) || p.consts[steps[i].in[0]] != nil {
		return false
	}
	switch o := n.Op.(type) {
	case *op.Conv:
		for j, k := range steps[i].in[1:] {
			if k >= 0 && (p.consts[k] == nil || n.In[1+j].Type.Quant != nil) {
				return false
			}
		}
		_, ok := p.window(i)
		x, y := n.In[0].Type.Shape[1], n.Out[0].Type.Shape[1]
		return (o.Group == 1 || o.Group == x && x == y) && ok && len(p.consts[steps[i].in[1]].F) > 0
	case *op.ConvTranspose:
		for j, k := range steps[i].in[1:] {
			if k >= 0 && (p.consts[k] == nil || n.In[1+j].Type.Quant != nil) {
				return false
			}
		}
		return o.Group == 1 && len(p.consts[steps[i].in[1]].F) > 0
	case *op.MaxPool, *op.AveragePool, *op.GlobalMaxPool:
		_, ok := p.window(i)
		return ok
	case *op.Relu, *op.LeakyRelu, *op.HardSwish, *op.Tanh, *op.Swish, *op.Elu: // the border stays 0
		return !stretched(o)
	case *op.Clip:
		return limitOf(o) > 0 // as there
	case *op.GlobalAveragePool:
		return true
	case *op.Concat:
		for j, k := range steps[i].in {
			if !image(n.In[j]) || p.consts[k] != nil {
				return false
			}
		}
		return o.Axis == 1 || o.Axis == -3
	case *op.Add:
		return image(n.In[1]) && p.consts[steps[i].in[1]] == nil && slices.Equal(n.In[0].Type.Shape, n.In[1].Type.Shape)
	}
	return false
}

// window is the geometry of a convolution or pool over two axes; not ok where its border is as wide as the image, or a pool's window
// has no pixel of it.
func (p *plan) window(i int) (g kernels.FloatGeometry, ok bool) {
	n := p.g.Nodes[i]
	x, y := n.In[0].Type.Shape, n.Out[0].Type.Shape
	switch o := n.Op.(type) {
	case *op.Conv:
		s, err := o.Spatial(n.In[1].Type.Shape)
		if err != nil || len(s.Kernel) != 2 {
			return g, false
		}
		g = geometry(s, x, y)
		g.Groups = o.Group
		b := g.Border()
		return g, max(b.Top, b.Bottom) <= g.H && max(b.Left, b.Right) <= g.W
	case *op.MaxPool, *op.AveragePool:
		s, err := o.(interface{ Spatial() (op.Spatial, error) }).Spatial()
		if err != nil || len(s.Kernel) != 2 {
			return g, false
		}
		g = geometry(s, x, y)
		if b := g.Border(); b != (kernels.Border{}) && (g.DH > 1 || g.DW > 1) {
			return g, false // a window may miss the image
		}
		return g, g.PH < g.H && g.PW < g.W && (g.OH-1)*g.SH-g.PH < g.H && (g.OW-1)*g.SW-g.PW < g.W
	case *op.GlobalMaxPool:
		return geometry(op.Spatial{Kernel: x[2:], Stride: []int{1, 1}, Dilation: []int{1, 1}, Begin: []int{0, 0}}, x, y), true
	}
	return g, false
}

// regionBuilder plans a region.
type regionBuilder struct {
	*region
	m       *Interp
	p       *plan
	border  kernels.Border
	last    map[int]int // by slot: the step that reads it last; len(m.steps) if it leaves the region
	at      map[int]int // by slot: its buffer
	planes  map[int]int // by slot: of those that lie in planes, how many
	free    []int       // buffers
	skipped map[int]bool
}

// region makes a region of the steps from first up to end.
func (m *Interp) region(p *plan, first, end int, border kernels.Border) *region {
	shape := p.g.Nodes[first].Out[0].Type.Shape
	b := &regionBuilder{region: &region{level: p.level, steps: end - first, images: shape[0]}, m: m, p: p, border: border, last: map[int]int{}, at: map[int]int{},
		planes: map[int]int{}, skipped: map[int]bool{}}
	var made []int
	for i := first; i < end; i++ {
		made = append(made, m.steps[i].out[0])
	}
	for i, s := range m.steps {
		for _, k := range s.in {
			if k >= 0 && (i < end || slices.Contains(made, k)) {
				b.last[k] = max(b.last[k], i)
				if i >= end {
					b.last[k] = len(m.steps)
				}
			}
		}
	}
	for _, k := range m.outputs {
		b.last[k] = len(m.steps)
	}
	if len(made) == 1 { // its result is wanted even if nothing reads it
		b.last[made[0]] = len(m.steps)
	}
	for i := first; i < end; i++ {
		for _, k := range m.steps[i].in {
			if _, ok := b.at[k]; ok || k < 0 || p.consts[k] != nil || slices.Contains(made, k) {
				continue
			}
			if c := p.values[k].Type.Shape[1]; c <= mostPlanes && b.takesPlanes(k, first, end) {
				b.planes[k] = c
			}
			f := b.field(k)
			b.in = append(b.in, port{k, b.buffer(k), p.values[k].Type.Shape, f.Bare()})
			if f.Bare() {
				b.last[k] = end // nothing else may be written there
			}
		}
	}
	for i := first; i < end; i++ {
		b.layout(i, first, end)
	}
	for i := first; i < end; i++ {
		if !b.skipped[i] {
			b.step(i, end)
		}
	}
	for _, k := range made {
		if at, ok := b.at[k]; ok && b.last[k] == len(m.steps) {
			b.out = append(b.out, port{slot: k, buffer: at, shape: p.values[k].Type.Shape})
		}
	}
	most := 0
	for _, f := range b.fields {
		most = max(most, 4*f.Size())
	}
	b.group = min(max(groupBytes/most, 1), b.images)
	return b.region
}

// mostPlanes is how many planes of a tensor are used as they are: taps of more would share few sets of a cache, where planes lie powers of two apart.
const mostPlanes = 8

// layout decides whether the result of step i lies in planes.
func (b *regionBuilder) layout(i, first, end int) {
	in, out := b.planes[b.m.steps[i].in[0]], b.m.steps[i].out[0]
	if in == 0 || !b.takesPlanes(out, first, end) {
		return
	}
	if isConv(b.p.g.Nodes[i]) {
		g, _ := b.p.window(i)
		if !g.Planes(b.level) {
			return
		}
		in = kernels.FloatPlanes(g.OC)
	}
	b.planes[out] = in
}

// takesPlanes reports whether all that read a slot, of the steps from first up to end, can read it in planes.
func (b *regionBuilder) takesPlanes(slot, first, end int) bool {
	for i := first; i < end; i++ {
		if !slices.Contains(b.m.steps[i].in, slot) {
			continue
		}
		g, _ := b.p.window(i)
		ok := false
		switch b.p.g.Nodes[i].Op.(type) {
		case *op.Conv:
			ok = !g.Winograd() && g.Groups == 1
		case *op.MaxPool:
			ok = g.MaxPlanes(b.level) && b.takesPlanes(b.m.steps[i].out[0], first, end)
		case *op.Relu, *op.Clip, *op.LeakyRelu, *op.HardSwish, *op.Tanh, *op.Swish, *op.Elu:
			ok = b.takesPlanes(b.m.steps[i].out[0], first, end)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (b *regionBuilder) field(slot int) kernels.Field {
	s := b.p.values[slot].Type.Shape
	if n := b.planes[slot]; n > 0 {
		return kernels.NewPlanes(s[1], s[2], s[3], n, b.border)
	}
	return kernels.NewField(b.level, s[1], s[2], s[3], b.border)
}

// buffer gives a slot memory: that of a value that is not read any more, if it has the same layout and so the same border.
func (b *regionBuilder) buffer(slot int) int {
	f := b.field(slot)
	for i, k := range b.free {
		if b.fields[k] == f {
			b.free = slices.Delete(b.free, i, i+1)
			b.at[slot] = k
			return k
		}
	}
	b.fields = append(b.fields, f)
	b.at[slot] = len(b.fields) - 1
	return b.at[slot]
}

// release frees the buffers of slots that no step after i reads.
func (b *regionBuilder) release(i int, slots ...int) {
	for _, k := range slots {
		if at, ok := b.at[k]; ok && b.last[k] <= i && !slices.Contains(b.free, at) {
			b.free = append(b.free, at)
			delete(b.at, k)
		}
	}
}

// only is the step up to end that reads a slot, if it is the only one that does.
func (b *regionBuilder) only(slot, end int) (int, bool) {
	n, at := 0, -1
	for i, s := range b.m.steps {
		for _, k := range s.in {
			if k == slot {
				n, at = n+1, i
			}
		}
	}
	return at, n == 1 && at < end && !slices.Contains(b.m.outputs, slot)
}

// step adds the operation of a step. A convolution takes a sum with what is there already, and a Relu, into it.
func (b *regionBuilder) step(i, end int) {
	n, s := b.p.g.Nodes[i], b.m.steps[i]
	x, out := s.in[0], s.out[0]
	read := []int{x}
	var run func(y, x, add []float32, images int)
	add := -1
	switch n.Op.(type) {
	case *op.Conv:
		var limit kernels.Limit
		if k, ok := b.only(out, end); ok {
			if _, is := b.p.g.Nodes[k].Op.(*op.Add); is {
				in := b.m.steps[k].in
				other := in[0] + in[1] - out
				if _, there := b.at[other]; there {
					add, out = other, b.m.steps[k].out[0]
					b.skipped[k] = true
				}
			}
		}
		limit, out = b.limit(out, end)
		c := b.conv(i, x, out)
		run = func(y, x, add []float32, images int) { c.Run(y, x, add, images, limit) }
	case *op.ConvTranspose:
		var limit kernels.Limit
		limit, out = b.limit(out, end)
		c := b.transposed(i, x, out)
		run = func(y, x, _ []float32, images int) { c.Run(y, x, images, limit) }
	case *op.MaxPool, *op.GlobalMaxPool:
		g, _ := b.p.window(i)
		c := kernels.NewFieldMax(b.level, g, b.field(x), b.field(out))
		run = func(y, x, _ []float32, images int) { c.Run(y, x, images) }
	case *op.AveragePool:
		g, _ := b.p.window(i)
		w, _ := n.Op.(*op.AveragePool).Spatial()
		c := kernels.NewFieldAverage(b.level, g, b.field(x), b.field(out), n.Op.(*op.AveragePool).Counts(w, n.In[0].Type.Shape, n.Out[0].Type.Shape))
		run = func(y, x, _ []float32, images int) { c.Run(y, x, images) }
	case *op.GlobalAveragePool:
		c := kernels.NewFieldMean(b.level, b.field(x), b.field(out))
		run = func(y, x, _ []float32, images int) { c.Run(y, x, images) }
	case *op.Concat:
		b.join(s, i)
		return
	case *op.Relu, *op.Clip, *op.LeakyRelu, *op.HardSwish, *op.Tanh, *op.Swish, *op.Elu:
		f := b.field(x)
		run = func(y, x, _ []float32, images int) { pointwise(b.level, n.Op, y[:images*f.Size()], x) }
	case *op.Add:
		f := b.field(x)
		add = s.in[1]
		run = func(y, x, add []float32, images int) { kernels.AddFloats(b.level, y[:images*f.Size()], x, add) }
	}
	from, more := b.at[x], -1
	if add >= 0 {
		read = append(read, add)
		more = b.at[add]
	}
	to := b.buffer(out)
	b.ops = append(b.ops, func(buffers [][]float32, images int) {
		var add []float32
		if more >= 0 {
			add = buffers[more]
		}
		run(buffers[to], buffers[from], add, images)
	})
	b.release(i, read...)
}

// limit finds what limits the result of a step, and its slot then.
func (b *regionBuilder) limit(slot, end int) (kernels.Limit, int) {
	if k, ok := b.only(slot, end); ok {
		if l := limitOf(b.p.g.Nodes[k].Op); l > 0 {
			b.skipped[k] = true
			return l, b.m.steps[k].out[0]
		}
	}
	return 0, slot
}

// join adds the operation of step i, a Concat of channels.
func (b *regionBuilder) join(s step, i int) {
	to, f := b.buffer(s.out[0]), b.field(s.out[0])
	channel := 0
	for _, k := range s.in {
		at, from, first := b.at[k], b.field(k), channel
		b.ops = append(b.ops, func(buffers [][]float32, images int) { f.Join(buffers[to], buffers[at], &from, first, images) })
		channel += from.C
	}
	b.release(i, s.in...)
}

// pointwise computes y of as many elements of x, which may be the same memory, by native code.
func pointwise(level kernels.Level, o ir.Op, y, x []float32) {
	switch o := o.(type) {
	case *op.Relu:
		kernels.Relu(level, y, x)
	case *op.Clip:
		kernels.Clip(level, y, x, o.Min, o.Max)
	case *op.LeakyRelu:
		kernels.LeakyRelu(level, y, x, o.Alpha)
	case *op.HardSwish:
		kernels.HardSwish(level, y, x)
	case *op.HardSigmoid:
		kernels.HardSigmoid(level, y, x, o.Alpha, o.Beta)
	case *op.Elu:
		kernels.Elu(level, y, x, o.Alpha)
	case *op.Exp:
		kernels.Exp(level, y, x)
	case *op.Sigmoid:
		kernels.Sigmoid(level, y, x)
	case *op.Swish:
		kernels.Swish(level, y, x)
	case *op.Tanh:
		kernels.Tanh(level, y, x)
	}
}

// stretched reports whether an operator is a Swish that there is no native code for.
func stretched(o ir.Op) bool {
	s, ok := o.(*op.Swish)
	return ok && s.Alpha != 1
}

// limitOf is what an operator limits its input to, above 0; 0 where it does something else.
func limitOf(o ir.Op) kernels.Limit {
	switch o := o.(type) {
	case *op.Relu:
		return kernels.Unlimited
	case *op.Clip:
		if o.Min == 0 && o.Max > 0 {
			return kernels.Limit(o.Max)
		}
	}
	return 0
}

// conv prepares the convolution of step i, or finds it.
func (b *regionBuilder) conv(i, x, out int) *kernels.FieldConv {
	g, _ := b.p.window(i)
	key := fieldKey{i, g, b.field(x), b.field(out)}
	c := b.m.convs[key]
	if c == nil {
		s := b.m.steps[i]
		var bias []float32
		if len(s.in) > 2 && s.in[2] >= 0 {
			bias = b.p.consts[s.in[2]].F
		}
		c = kernels.NewFieldConv(b.level, g, key.in, key.out, b.p.consts[s.in[1]].F, bias)
		b.m.convs[key] = c
	}
	return c
}

// transposed prepares the transposed convolution of step i.
func (b *regionBuilder) transposed(i, x, out int) *kernels.FieldTranspose {
	n, in := b.p.g.Nodes[i], b.m.steps[i].in
	w := b.p.consts[in[1]]
	s, _ := n.Op.(*op.ConvTranspose).Spatial(w.Shape) // the graph has been verified
	key := fieldKey{i, geometry(s, n.In[0].Type.Shape, n.Out[0].Type.Shape), b.field(x), b.field(out)}
	t := b.m.transposed[key]
	if t == nil {
		var bias []float32
		if len(in) > 2 && in[2] >= 0 {
			bias = b.p.consts[in[2]].F
		}
		t = kernels.NewFieldTranspose(b.level, key.g, key.in, key.out, w.F, bias)
		b.m.transposed[key] = t
	}
	return t
}

// run computes what leaves the region, in the order of out. value gives what enters it.
func (r *region) run(m *memory, value func(slot int) *tensor.T) []*tensor.T {
	mem, _ := r.pool.Get().(*[][]float32)
	if mem == nil {
		mem = r.memory()
	}
	buffers := *mem
	out := make([]*tensor.T, len(r.out))
	for i, p := range r.out {
		out[i] = m.tensor(p.slot, tensor.F32, p.shape)
	}
	for first := 0; first < r.images; first += r.group {
		n := min(r.group, r.images-first)
		for _, p := range r.in {
			f, x := &r.fields[p.buffer], value(p.slot).F
			x = x[first*len(x)/r.images:]
			if p.bare {
				buffers[p.buffer] = x
				continue
			}
			f.Load(r.level, buffers[p.buffer][:n*f.Size()], x)
		}
		for _, o := range r.ops {
			o(buffers, n)
		}
		for i, p := range r.out {
			f, y := &r.fields[p.buffer], out[i].F
			f.Store(r.level, y[first*len(y)/r.images:], buffers[p.buffer][:n*f.Size()])
		}
	}
	for _, p := range r.in {
		if p.bare {
			buffers[p.buffer] = nil
		}
	}
	r.pool.Put(mem)
	return out
}

// memory makes the buffers that are not tensors of others.
func (r *region) memory() *[][]float32 {
	m := make([][]float32, len(r.fields))
	for i, f := range r.fields {
		if !slices.ContainsFunc(r.in, func(p port) bool { return p.bare && p.buffer == i }) {
			m[i] = f.Make(r.group)
		}
	}
	return &m
}
