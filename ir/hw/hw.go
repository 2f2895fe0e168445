// Package hw is the hardware IR: the single definition of the integer arithmetic. The simulator executes it and the HLS back end
// prints it, so both compute the same bits.
//
// A program is a list of kernels over buffers. Tensors are channels last and have no batch axis: one run is one sample. A kernel is
// one loop nest; each output element ends in a scalar program over a dozen primitives (see Prims) whose widths are proved.
package hw

import (
	"fmt"

	"quern/ir"
)

// Program is a network in integers.
type Program struct {
	Name    string
	Inputs  []*Buffer
	Outputs []*Buffer
	Buffers []*Buffer // all, by ID
	Kernels []*Kernel // in order of execution
}

// Buffer is a tensor of integers, row major in Shape, written by one kernel or by the host.
type Buffer struct {
	ID    int
	Name  string
	Shape []int    // channels last: [H,W,C], [L,C] or [C]
	Range Interval // proved; it gives the width
	Port  *Port    // set for inputs and outputs of the program
}

// Len is the number of elements.
func (b *Buffer) Len() int {
	n := 1
	for _, d := range b.Shape {
		n *= d
	}
	return n
}

// Channels is the size of the last axis, 1 for a scalar.
func (b *Buffer) Channels() int {
	if len(b.Shape) == 0 {
		return 1
	}
	return b.Shape[len(b.Shape)-1]
}

// Port ties a buffer to a tensor of the model: how the host lays out and converts it.
type Port struct {
	Name  string    // of the model's input or output
	Shape []int     // of the model's tensor, without the batch axis
	Perm  []int     // axis i of the buffer is axis Perm[i] of the model's tensor
	Quant *ir.Quant // per tensor
}

// Kind is the kind of loop nest of a kernel.
type Kind uint8

// The kinds. A table lookup is a Map whose program has a lut step, so that it can also end any other kernel.
const (
	KDot Kind = iota
	KWindow
	KMap
	KMove
)

var kindNames = [...]string{"dot", "window", "map", "move"}

func (k Kind) String() string { return kindNames[k] }

// Kernel is one loop nest. Exactly one of Dot, Window, Move is set, or none for a Map.
type Kernel struct {
	Name string // unique, a C identifier
	Pos  ir.Pos // the node it came from
	Kind Kind
	In   []*Buffer // one, but for Map (one or more of the output's shape) and Move (one or more)
	Out  *Buffer

	Dot    *Dot
	Window *Window
	Move   *Move
	// Prog ends each element: its inputs are the accumulator (Dot, Window) or the elements of In (Map). nil for Move.
	Prog *Prog
}

// ProgIn are the ranges of the inputs of Prog as its kernel proves them: for each input one interval, or one for each channel.
func (k *Kernel) ProgIn() [][]Interval {
	switch k.Kind {
	case KDot:
		return [][]Interval{k.Dot.Acc}
	case KWindow:
		return [][]Interval{{k.Window.Acc}}
	}
	var in [][]Interval
	for _, b := range k.In {
		in = append(in, []Interval{b.Range})
	}
	return in
}

// Geometry is a sliding window over an [H,W,C] input; a matrix product has H = 1, W rows and a 1x1 kernel.
type Geometry struct {
	H, W, C    int // input
	OH, OW, OC int // output
	KH, KW     int
	SH, SW     int // strides
	DH, DW     int // dilations
	PH, PW     int // rows above and columns left of the input that hold PadValue; below and right follow from the sizes
	PadValue   int64
}

// Inside is the input coordinate under kernel tap (ky,kx) at output (oy,ox), and whether it lies inside the input.
func (g *Geometry) Inside(oy, ox, ky, kx int) (y, x int, ok bool) {
	y, x = oy*g.SH-g.PH+ky*g.DH, ox*g.SW-g.PW+kx*g.DW
	return y, x, y >= 0 && y < g.H && x >= 0 && x < g.W
}

// Dot is convolution and matrix product: acc[o] = Bias[o] + sum over the window of Weights[o] * x.
type Dot struct {
	Geometry
	Groups  int
	Weights []int32    // [OC][KH][KW][C/Groups], weight zero points subtracted
	Bias    []int64    // [OC]: bias at the accumulator's scale, less the input's zero point times the sum of the weights
	Acc     []Interval // [OC]: proved for every partial sum in any order
}

// MACs is the number of multiply-accumulates of one run.
func (d *Dot) MACs() int { return d.OH * d.OW * d.OC * d.KH * d.KW * d.C / d.Groups }

// AccRange is the range of the accumulators of all channels.
func (d *Dot) AccRange() Interval {
	r := d.Acc[0]
	for _, a := range d.Acc {
		r = r.Union(a)
	}
	return r
}

// WeightRange is the interval of the weights.
func (d *Dot) WeightRange() Interval {
	if len(d.Weights) == 0 {
		return Interval{}
	}
	lo, hi := d.Weights[0], d.Weights[0]
	for _, w := range d.Weights {
		lo, hi = min(lo, w), max(hi, w)
	}
	return Interval{int64(lo), int64(hi)}
}

// Bound derives Acc from the actual weights and the range of the input. Each term's interval is widened to hold 0 first, so the
// bound holds for every partial sum in any order, from the bias as the initial value. It fails, and leaves Acc alone, where a
// partial sum could need more than 63 bits.
func (d *Dot) Bound(x Interval) error {
	x = x.Union(Interval{d.PadValue, d.PadValue})
	k := d.KH * d.KW * d.C / d.Groups
	acc := make([]Interval, d.OC)
	small := x.Lo >= -1<<31 && x.Hi <= 1<<31 // then no product with an int32 exceeds 62 bits
	for o := range acc {
		a, err := Interval{d.Bias[o], d.Bias[o]}.check()
		for i := o * k; i < (o+1)*k && err == nil; i++ {
			w := int64(d.Weights[i])
			t := Interval{w * x.Lo, w * x.Hi}
			if w < 0 {
				t = Interval{t.Hi, t.Lo}
			}
			if !small {
				if t, err = x.mul(Interval{w, w}); err != nil {
					break
				}
			}
			a, err = Interval{a.Lo + min(t.Lo, 0), a.Hi + max(t.Hi, 0)}.check()
		}
		if err != nil {
			return fmt.Errorf("accumulator of channel %d: %w", o, err)
		}
		acc[o] = a
	}
	d.Acc = acc
	return nil
}

// Reduce is what a Window kernel does with its elements.
type Reduce uint8

// The reductions.
const (
	ReduceMax Reduce = iota
	ReduceSum
)

var reduceNames = [...]string{"max", "sum"}

func (r Reduce) String() string { return reduceNames[r] }

// Window is a reduction over a sliding window, channel by channel (OC = C). Elements outside the input count as PadValue.
type Window struct {
	Geometry
	Reduce Reduce
	Acc    Interval
}

// Bound derives Acc from the range of the input; for a sum it holds for every partial sum in any order. It fails, and leaves Acc
// alone, where the accumulator could need more than 63 bits.
func (w *Window) Bound(x Interval) error {
	acc, err := x.Union(Interval{w.PadValue, w.PadValue}).check()
	if err == nil && w.Reduce == ReduceSum {
		n := int64(w.KH * w.KW)
		acc, err = Interval{min(acc.Lo, 0), max(acc.Hi, 0)}.mul(Interval{n, n})
	}
	if err != nil {
		return fmt.Errorf("accumulator: %w", err)
	}
	w.Acc = acc
	return nil
}

// Move copies elements: reshape, transpose, pad, concatenation, slice, repetition. Output elements that no piece writes have the
// value Fill.
type Move struct {
	Pieces []Piece
	Fill   int64
	Filled bool // some output elements are not written by a piece
}

// Piece copies a block: for every index i in Size, out[DstOff + sum i*DstStride] = In[Src][SrcOff + sum i*SrcStride]. A source stride
// of 0 repeats.
type Piece struct {
	Src                        int
	SrcOff, DstOff             int
	Size, SrcStride, DstStride []int
}

// MACs is the number of multiply-accumulates of one run of the program.
func (p *Program) MACs() int {
	n := 0
	for _, k := range p.Kernels {
		if k.Dot != nil {
			n += k.Dot.MACs()
		}
	}
	return n
}

// NewBuffer adds a buffer.
func (p *Program) NewBuffer(name string, shape []int, r Interval) *Buffer {
	b := &Buffer{ID: len(p.Buffers), Name: name, Shape: shape, Range: r}
	p.Buffers = append(p.Buffers, b)
	return b
}
