package quant

import (
	"math"
	"slices"

	"quern/ir"
	"quern/ir/tensor"
)

// rounder rounds the matrices of one layer.
type rounder struct {
	c     *Config
	on    Stages
	top   float64
	objs  []*objective // by group
	w0    []float32    // weights of the float graph
	rows  int
	scale []float64 // by output channel; one entry for all per tensor
	q     []float64 // integers [channel][k]
}

// candidates are the fractions of the largest magnitude that are tried as the largest weight.
var candidates = []float64{1, 0.96, 0.92, 0.88, 0.84, 0.8, 0.76, 0.72, 0.68, 0.64, 0.6, 0.55, 0.5, 0.45, 0.4}

// run finds scales and integers. start is the plain choice: the largest magnitude at the end of the range.
func (r *rounder) run(start *ir.Quant) {
	channels := len(r.objs) * r.rows
	r.scale = slices.Clone(start.Scale)
	r.q = make([]float64, len(r.w0))
	if len(r.scale) == 1 {
		s, _ := r.best(0, channels, start.Scale[0])
		r.scale[0] = s
		return
	}
	_ = parallel(channels, func(ch int) error {
		r.scale[ch], _ = r.best(ch, ch+1, start.Scale[ch])
		return nil
	})
}

// best finds the scale for channels from, ..., to-1 that share it, and leaves the integers in r.q. plain is the scale without a search.
func (r *rounder) best(from, to int, plain float64) (scale, err float64) {
	k := r.objs[0].k
	tries := []float64{plain}
	switch {
	case !r.on.Has("scales"):
	case r.c.Pow2:
		tries = []float64{plain, plain / 2, plain / 4}
	default:
		// The target may be larger or smaller than the weights that the plain scale is for.
		most := 0.0
		for ch := from; ch < to; ch++ {
			for _, x := range r.target(ch) {
				most = max(most, math.Abs(x))
			}
		}
		if s := float64(float32(most / r.top)); s > plain*1e-3 {
			for _, f := range candidates {
				tries = append(tries, float64(float32(s*f)))
			}
		}
	}
	q := make([]float64, (to-from)*k)
	try := func(s float64) float64 {
		sums := make([]float64, to-from)
		one := func(i int) error {
			o, w, qr := r.objs[(from+i)/r.rows], r.target(from+i), q[i*k:(i+1)*k]
			if r.on.Has("gptq") {
				sums[i] = o.compensated(qr, w, s, r.top)
			} else {
				sums[i] = o.nearest(qr, w, s, r.top)
			}
			if r.on.Has("descent") && r.c.Pow2 { // scales far apart: the winner is known at the end only
				o.descend(qr, w, s, r.top)
				sums[i] = o.error(w, qr, s)
			}
			return nil
		}
		if to-from == 1 {
			_ = one(0)
		} else {
			_ = parallel(to-from, one)
		}
		sum := 0.0
		for _, x := range sums {
			sum += x
		}
		return sum
	}
	dst := r.q[from*k : to*k]
	err = math.Inf(1)
	for _, s := range tries {
		if e := try(s); e < err {
			scale, err = s, e
			copy(dst, q)
		}
	}
	r.polish(from, to, &scale)
	return scale, err
}

// polish is coordinate descent, and refits of the scale as long as they help.
func (r *rounder) polish(from, to int, scale *float64) {
	k := r.objs[0].k
	dst := r.q[from*k : to*k]
	descend := func(q []float64, s float64) float64 {
		sum := 0.0
		for i := range to - from {
			o, w, qr := r.objs[(from+i)/r.rows], r.target(from+i), q[i*k:(i+1)*k]
			if r.on.Has("descent") {
				o.descend(qr, w, s, r.top)
			}
			sum += o.error(w, qr, s)
		}
		return sum
	}
	least := descend(dst, *scale)
	if !r.on.Has("refit") || r.c.Pow2 {
		return
	}
	for range 5 {
		s := r.refit(from, to)
		if s == 0 || s == *scale {
			return
		}
		q := slices.Clone(dst)
		e := descend(q, s)
		if !(e < least*(1-1e-6)) {
			return
		}
		*scale, least = s, e
		copy(dst, q)
	}
}

// refit is the best scale for the integers there are; channels of several groups share it per tensor.
func (r *rounder) refit(from, to int) float64 {
	k := r.objs[0].k
	num, den := 0.0, 0.0
	for ch := from; ch < to; ch++ {
		a, b := r.objs[ch/r.rows].fit(r.q[ch*k:(ch+1)*k], r.target(ch))
		num, den = num+a, den+b
	}
	if !(den > 0) || !(num > 0) {
		return 0
	}
	return float64(float32(num / den))
}

// target is what channel ch is rounded from.
func (r *rounder) target(ch int) []float64 { return r.objs[ch/r.rows].row(ch % r.rows) }

// value is the quantized constant.
func (r *rounder) value(old *ir.Value) *ir.Value {
	t := old.Type.Clone()
	t.Quant.Scale = r.scale
	ints := tensor.New(t.Elem, t.Shape...)
	for i, x := range r.q {
		ints.I[i] = int64(x)
	}
	return &ir.Value{Name: old.Name, Type: t, Const: ints}
}
