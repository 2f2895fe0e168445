package quant

import (
	"fmt"
	"math"
	"slices"

	"quern/ir"
	"quern/ir/op"
	"quern/ir/tensor"
)

// weightAxis is the axis of the output channels of a layer's weights.
func weightAxis(o ir.Op) (int, error) {
	switch o := o.(type) {
	case *op.Conv:
		return 0, nil
	case *op.ConvTranspose:
		return 1, nil
	case *op.Gemm:
		if o.Alpha != 1 || o.Beta != 1 || o.TransA {
			return 0, fmt.Errorf("alpha %v, beta %v, transA %v: run the affine pass first", o.Alpha, o.Beta, o.TransA)
		}
		if o.TransB {
			return 0, nil
		}
		return 1, nil
	case *op.MatMul:
		return -1, nil
	}
	return 0, fmt.Errorf("%s has no rule for weights", o.OpName())
}

// weights quantizes weights and bias of a MAC node. A product of two activations has none.
func (q *quantizer) weights(n *ir.Node, bits int) error {
	w := n.In[1]
	if w.Const == nil {
		if w.Type.IsQuant() {
			return nil
		}
		return fmt.Errorf("weights %%%s are not constant", w.Name)
	}
	axis, err := weightAxis(n.Op)
	if err != nil {
		return err
	}
	if axis < 0 {
		axis = max(0, len(w.Type.Shape)-1)
	}
	x := n.In[0].Type
	if !x.IsQuant() {
		return fmt.Errorf("input %%%s is not quantized", n.In[0].Name)
	}
	if !w.Type.IsQuant() {
		c := *q.c.For(LayerName(n))
		if o, ok := n.Op.(*op.ConvTranspose); ok && o.Group > 1 {
			c.PerTensor = true // axis 1 has the channels of one group, so that no axis has those of the result
		}
		t := ir.Type{Elem: tensor.I(bits), Shape: w.Type.Shape, Quant: c.WeightQuant(w.Const, axis, bits)}
		n.In[1] = &ir.Value{Name: q.names.New(w.Name + "_q"), Type: t, Const: t.Quant.Integers(t.Elem, w.Const)}
	}
	if len(n.In) > 2 && n.In[2] != nil {
		return q.bias(n)
	}
	return nil
}

// WeightQuant is the symmetric narrow-range Quant of weights: the largest magnitude of each output channel, or of all, maps to
// 2^(bits-1)-1.
func (c *Config) WeightQuant(w *tensor.T, axis, bits int) *ir.Quant {
	top := int64(1)<<(bits-1) - 1
	n := w.Shape[axis]
	most := make([]float64, n)
	inner := tensor.Numel(w.Shape[axis+1:])
	for i, x := range w.F {
		ch := i / inner % n
		most[ch] = max(most[ch], math.Abs(float64(x)))
	}
	if c.PerTensor {
		for _, m := range most {
			most[0] = max(most[0], m)
		}
		most = most[:1]
	}
	// A channel without weights, or with hardly any, keeps a scale from which its bias is not too many steps away.
	least := slices.Max(most) / (1 << 16)
	if least == 0 {
		least = 1
	}
	q := &ir.Quant{Zero: []int64{0}, Axis: axis, Min: -top, Max: top}
	if len(most) == 1 {
		q.Axis = 0
	}
	for _, m := range most {
		q.Scale = append(q.Scale, c.scale(max(m, least)/float64(top)))
	}
	return q
}

// bias quantizes a layer's bias at the scale of its accumulator, sx*sw for each output channel, to 32 bits (or as many as it takes).
func (q *quantizer) bias(n *ir.Node) error {
	b := n.In[2]
	if b.Const == nil {
		return fmt.Errorf("bias %%%s is not constant", b.Name)
	}
	if b.Type.IsQuant() {
		return nil
	}
	sx, _ := n.In[0].Type.Quant.At(0)
	v, err := Bias(b, n.In[1].Type.Quant, sx, q.names.New(b.Name+"_q"))
	n.In[2] = v
	return err
}

// Bias is a bias [channels] as integers at the scale sx*sw. Integers are such that the float32 number they stand for gives the same
// integer again, so they survive a model file.
func Bias(b *ir.Value, w *ir.Quant, sx float64, name string) (*ir.Value, error) {
	if len(b.Const.Shape) != 1 {
		return nil, fmt.Errorf("bias %%%s: want one dim, got %v", b.Name, b.Type)
	}
	q := &ir.Quant{Zero: []int64{0}}
	for _, s := range w.Scale {
		f := float64(float32(s * sx))
		if f < 1e-37 { // a dead channel of a dead layer: below what float32 holds
			f = float64(float32(1e-37))
		}
		q.Scale = append(q.Scale, f)
	}
	ints := make([]int64, len(b.Const.F))
	widest := 1.0
	for i, x := range b.Const.F {
		s, _ := q.At(i)
		k := math.RoundToEven(float64(x) / s)
		k = math.RoundToEven(float64(float32(k*s)) / s)
		if !(math.Abs(k) < 1<<47) {
			return nil, fmt.Errorf("bias %%%s: element %d is %v, %.3g steps of the accumulator's scale %v, want less than 2^47", b.Name, i, x, k, s)
		}
		widest = max(widest, math.Abs(k))
		ints[i] = int64(k)
	}
	bits := 32
	for float64(int64(1)<<(bits-1)-1) < widest {
		bits++
	}
	e := tensor.I(bits)
	q.Min, q.Max = e.Range()
	return &ir.Value{Name: name, Type: ir.Type{Elem: e, Shape: b.Type.Shape, Quant: q}, Const: tensor.Ints(e, b.Type.Shape, ints...)}, nil
}
