package passes

import (
	"math"

	"quern/ir"
	"quern/ir/op"
)

// functions recognizes activation functions that exporters write as arithmetic, so that quantization makes one table of them instead of
// several rounded steps:
//
//	s * clip(x+b, 0, 1/s)        HardSigmoid<alpha=s, beta=b*s>
//	x * clip(x+3, 0, 6) / 6      HardSwish
//	x * HardSigmoid<1/6, 1/2>(x) HardSwish
//	x * tanh(softplus(x))        Mish
//	x * sigmoid(k*x)             Swish<alpha=k>, which some call SiLU
//	x * (1 + erf(x/√2)) / 2      Gelu
//
// in any order of the factors. What is computed between stays as long as others read it.
func functions(g *ir.Graph) error {
	return rounds(g, func(n *ir.Node) (bool, error) {
		o, x := recognize(n)
		if o == nil || !isReal(n.Out[0]) || !isReal(x) || !sameType(x.Type, n.Out[0].Type) {
			return false, nil
		}
		n.Op, n.In = o, []*ir.Value{x}
		return true, nil
	})
}

func recognize(n *ir.Node) (ir.Op, *ir.Value) {
	switch n.Op.(type) {
	case *op.Mul, *op.Div:
	default:
		return nil, nil
	}
	scale, f := factors(n.Out[0], 4)
	switch len(f) {
	case 1:
		if x, b, hi := shiftedClip(f[0]); x != nil && near(scale*hi, 1) {
			return &op.HardSigmoid{Alpha: float32(scale), Beta: float32(b * scale)}, x
		}
	case 2:
		for i, x := range f {
			if o := gated(x, f[1-i], scale); o != nil {
				return o, x
			}
		}
	}
	return nil, nil
}

// gated is the function scale * x * gate, where the gate is one of x.
func gated(x, gate *ir.Value, scale float64) ir.Op {
	if y, b, hi := shiftedClip(gate); y == x && near(b, 3) && near(hi, 6) && near(scale, 1.0/6) {
		return &op.HardSwish{}
	}
	if sum := gate.Def; sum != nil && near(scale, 0.5) {
		if _, ok := sum.Op.(*op.Add); ok {
			for i, v := range sum.In {
				if one, ok := scalar(v); ok && near(one, 1) && isErf(sum.In[1-i], x) {
					return &op.Gelu{Approximate: "none"}
				}
			}
		}
	}
	if gate.Def == nil || !near(scale, 1) {
		return nil
	}
	switch o := gate.Def.Op.(type) {
	case *op.HardSigmoid:
		if gate.Def.In[0] == x && near(float64(o.Alpha), 1.0/6) && near(float64(o.Beta), 0.5) {
			return &op.HardSwish{}
		}
	case *op.Sigmoid:
		if k, f := factors(gate.Def.In[0], 2); len(f) == 1 && f[0] == x {
			return &op.Swish{Alpha: float32(k)}
		}
	case *op.Tanh:
		if p := gate.Def.In[0].Def; p != nil {
			if _, ok := p.Op.(*op.Softplus); ok && p.In[0] == x {
				return &op.Mish{}
			}
		}
	}
	return nil
}

// factors takes a product apart: v = scale * the product of f. Divisors must be constant scalars; depth bounds the levels of the tree.
func factors(v *ir.Value, depth int) (scale float64, f []*ir.Value) {
	if k, ok := scalar(v); ok {
		return k, nil
	}
	if v.Def == nil || depth == 0 || !isReal(v) {
		return 1, []*ir.Value{v}
	}
	switch v.Def.Op.(type) {
	case *op.Mul:
		a, l := factors(v.Def.In[0], depth-1)
		b, r := factors(v.Def.In[1], depth-1)
		return a * b, append(l, r...)
	case *op.Div:
		if k, ok := scalar(v.Def.In[1]); ok && k != 0 {
			a, l := factors(v.Def.In[0], depth-1)
			return a / k, l
		}
	}
	return 1, []*ir.Value{v}
}

// shiftedClip reads v as clip(x+b, 0, hi).
func shiftedClip(v *ir.Value) (x *ir.Value, b, hi float64) {
	if v.Def == nil {
		return nil, 0, 0
	}
	c, ok := v.Def.Op.(*op.Clip)
	sum := v.Def.In[0].Def
	if !ok || c.Min != 0 || sum == nil {
		return nil, 0, 0
	}
	if _, ok := sum.Op.(*op.Add); !ok {
		return nil, 0, 0
	}
	for i, s := range sum.In {
		if k, ok := scalar(s); ok {
			return sum.In[1-i], k, float64(c.Max)
		}
	}
	return nil, 0, 0
}

// isErf reports whether v is erf(x/√2).
func isErf(v, x *ir.Value) bool {
	if v.Def == nil {
		return false
	}
	if _, ok := v.Def.Op.(*op.Erf); !ok {
		return false
	}
	scale, f := factors(v.Def.In[0], 2)
	return len(f) == 1 && f[0] == x && near(scale, math.Sqrt2/2)
}

// scalar is the value of a real constant with one element.
func scalar(v *ir.Value) (float64, bool) {
	if !isConst(v) || v.Const.Len() != 1 {
		return 0, false
	}
	return float64(v.Const.F[0]), true
}

// near allows for constants that were rounded to float32 and computed with.
func near(a, b float64) bool { return math.Abs(a-b) <= 2e-6*math.Abs(b) }
