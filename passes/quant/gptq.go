package quant

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// damping is what is added to the diagonal of H, in parts of its mean: it bounds what rounding errors push into weights of inputs that hardly vary.
const damping = 0.01

// draw is how strongly the target is drawn toward the float weights, in parts of the mean of the diagonal of H. A free least-squares solution fits the
// images of the calibration: on other images the KL divergence
// of ConvNet's outputs at W4A4 is 0.047 with 0.01 and 0.024 with 3.
const draw = 3

// objective is the error of a layer's output as a function of its weights: E|y - q x|^2 = (q-w)' H (q-w) and what no q changes. w, the
// best real weights, are those of the float network unless the inputs have errors that they can make up for.
type objective struct {
	k    int
	h    []float64 // [k][k], damped
	w    []float64 // [rows][k]
	u    []float64 // upper triangle of inv(H) = U'U, rows and columns in the order of perm
	perm []int     // most important input first
}

// newObjective damps the moments and factors them. With correct, w is the least-squares solution for the inputs as they are in the quantized
// network, drawn toward the float weights; else it is the float weights.
func newObjective(m *moments, weights []float32, correct bool) (*objective, error) {
	k := len(m.x)
	o := &objective{k: k, h: slices.Clone(m.h), w: make([]float64, len(weights))}
	for i, v := range weights {
		o.w[i] = float64(v)
	}
	mean := 0.0
	for i := range k {
		mean += o.h[i*k+i] / float64(k)
	}
	if !(mean > 0) {
		mean = 1 // an input that is always the same: no rounding matters
	}
	lambda := damping * mean
	for i := range k {
		o.h[i*k+i] += lambda
	}
	o.perm = make([]int, k)
	for i := range o.perm {
		o.perm[i] = i
	}
	slices.SortStableFunc(o.perm, func(a, b int) int { return cmp.Compare(o.h[b*k+b], o.h[a*k+a]) })
	// The Cholesky factor of H in reverse order, inverted and turned round, is the U of inv(H) = U'U: H^-1 itself is never formed.
	rev := mat.NewSymDense(k, nil)
	at := func(i int) int { return o.perm[k-1-i] }
	for i := range k {
		for j := i; j < k; j++ {
			rev.SetSym(i, j, (o.h[at(i)*k+at(j)]+o.h[at(j)*k+at(i)])/2)
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(rev) {
		return nil, fmt.Errorf("second moments of %d inputs are not positive definite", k)
	}
	if correct {
		if err := o.correct(m, draw*mean); err != nil {
			return nil, err
		}
	}
	var l, inv mat.TriDense
	chol.LTo(&l)
	if err := inv.InverseTri(&l); err != nil {
		return nil, err
	}
	o.u = make([]float64, k*k)
	for i := range k {
		for j := i; j < k; j++ {
			o.u[i*k+j] = inv.At(k-1-i, k-1-j)
		}
	}
	return o, nil
}

// correct makes w the minimum of E|y - w x|^2 + lambda |w - float|^2.
func (o *objective) correct(m *moments, lambda float64) error {
	k, rows := o.k, len(o.w)/o.k
	h := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			h.SetSym(i, j, (m.h[i*k+j]+m.h[j*k+i])/2)
		}
		h.SetSym(i, i, h.At(i, i)+lambda)
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return fmt.Errorf("second moments of %d inputs are not positive definite", k)
	}
	rhs := mat.NewDense(k, rows, nil)
	for r := range rows {
		for i := range k {
			rhs.Set(i, r, m.c[r*k+i]+lambda*o.w[r*k+i])
		}
	}
	var x mat.Dense
	if err := chol.SolveTo(&x, rhs); err != nil {
		return err
	}
	for r := range rows {
		for i := range k {
			o.w[r*k+i] = x.At(i, r)
		}
	}
	return nil
}

// row is the target of one output channel.
func (o *objective) row(r int) []float64 { return o.w[r*o.k : (r+1)*o.k] }

// error is (s q - w)' H (s q - w).
func (o *objective) error(w, q []float64, s float64) float64 {
	d := make([]float64, o.k)
	for i := range d {
		d[i] = s*q[i] - w[i]
	}
	sum := 0.0
	for i, x := range d {
		if x != 0 {
			sum += x * dot(o.h[i*o.k:(i+1)*o.k], d)
		}
	}
	return sum
}

func dot(a, b []float64) float64 {
	s0, s1 := 0.0, 0.0
	b = b[:len(a)]
	i := 0
	for ; i+2 <= len(a); i += 2 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
	}
	if i < len(a) {
		s0 += a[i] * b[i]
	}
	return s0 + s1
}

// nearest rounds each weight by itself and returns the error.
func (o *objective) nearest(q, w []float64, s, top float64) float64 {
	for i, x := range w {
		q[i] = clampRound(x/s, top)
	}
	return o.error(w, q, s)
}

// compensated rounds the weights one by one, and moves what each one's rounding takes from the output to the weights still open (GPTQ, Frantar
// et al. 2022). It returns the error, which is the sum of what the steps add.
func (o *objective) compensated(q, w []float64, s, top float64) float64 {
	k := o.k
	open := make([]float64, k)
	for i, p := range o.perm {
		open[i] = w[p]
	}
	sum := 0.0
	for i, p := range o.perm {
		u := o.u[i*k : (i+1)*k]
		q[p] = clampRound(open[i]/s, top)
		e := (open[i] - s*q[p]) / u[i]
		sum += e * e
		if e == 0 {
			continue
		}
		rest := open[i+1:]
		u = u[i+1:][:len(rest)]
		for j, x := range u {
			rest[j] -= e * x
		}
	}
	return sum
}

func clampRound(x, top float64) float64 { return max(-top, min(math.RoundToEven(x), top)) }
