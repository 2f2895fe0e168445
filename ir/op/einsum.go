package op

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"quern/ir"
	"quern/ir/tensor"
)

// Einsum is ONNX Einsum (12): a sum of products over labelled axes, such as "bij,bjk->bik". A label that an input has twice is a diagonal;
// an ellipsis stands for axes that broadcast. Without "->" the result has the ellipsis and the labels that occur once, in
// alphabetical order.
type Einsum struct {
	Equation string `attr:"equation"`
}

func (*Einsum) OpName() string { return "Einsum" }

// The axes of an ellipsis have labels from 'z'+1 on, counted from the last.
const ellipsis = 'z' + 1

// terms are the labels of each input and of the result.
func (o *Einsum) terms(ranks []int) (in [][]rune, out []rune, err error) {
	left, right, explicit := strings.Cut(strings.ReplaceAll(o.Equation, " ", ""), "->")
	parts := strings.Split(left, ",")
	if len(parts) != len(ranks) {
		return nil, nil, fmt.Errorf("equation %q: want a term for each of the %d inputs, got %d", o.Equation, len(ranks), len(parts))
	}
	most := 0 // axes of the ellipsis
	count := map[rune]int{}
	for i, p := range parts {
		n := ranks[i] - len(strings.Replace(p, "...", "", 1))
		if n < 0 || n > 0 && !strings.Contains(p, "...") {
			return nil, nil, fmt.Errorf("equation %q: term %q does not fit the %d dims of input %d", o.Equation, p, ranks[i], i)
		}
		l, err := labels(p, n)
		if err != nil {
			return nil, nil, fmt.Errorf("equation %q: %w", o.Equation, err)
		}
		for _, c := range l {
			count[c]++
		}
		if strings.Contains(p, "...") {
			most = max(most, n)
		}
		in = append(in, l)
	}
	if !explicit {
		right = "..."
		for c := 'A'; c <= 'z'; c++ {
			if count[c] == 1 {
				right += string(c)
			}
		}
	}
	if out, err = labels(right, most); err != nil {
		return nil, nil, fmt.Errorf("equation %q: %w", o.Equation, err)
	}
	for i, c := range out {
		if count[c] == 0 || slices.Contains(out[:i], c) {
			return nil, nil, fmt.Errorf("equation %q: want labels of the inputs behind the arrow, each once", o.Equation)
		}
	}
	return in, out, nil
}

func labels(term string, n int) ([]rune, error) {
	before, after, dots := strings.Cut(term, "...")
	for _, c := range before + after {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return nil, fmt.Errorf("term %q: want letters and at most one ellipsis", term)
		}
	}
	l := []rune(before)
	for i := n - 1; dots && i >= 0; i-- {
		l = append(l, ellipsis+rune(i))
	}
	return append(l, []rune(after)...), nil
}

func (o *Einsum) Infer(in []*ir.Type) ([]ir.Type, error) {
	if _, err := inputsOfOneType(in); err != nil {
		return nil, err
	}
	ranks := make([]int, len(in))
	for i, t := range in {
		ranks[i] = len(t.Shape)
	}
	terms, out, err := o.terms(ranks)
	if err != nil {
		return nil, err
	}
	size := map[rune]int{}
	for i, l := range terms {
		for k, c := range l {
			d := in[i].Shape[k]
			s, had := size[c]
			switch {
			case !had || s == 1:
				size[c] = d
			case d == 1:
			case ir.IsSymbol(d) && ir.IsSymbol(s) && d != s || !mayEqual(d, s):
				return nil, fmt.Errorf("equation %q: input %d: axis %d is %s, but %s elsewhere", o.Equation, i, k, ir.DimString(d), ir.DimString(s))
			default:
				size[c] = unify(d, s)
			}
		}
	}
	shape := make([]int, len(out))
	for i, c := range out {
		shape[i] = size[c]
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: shape}}, nil
}

// inputsOfOneType checks one or more inputs of numbers of one element type.
func inputsOfOneType(in []*ir.Type) (tensor.Elem, error) {
	if err := inputs(in, 1, -1); err != nil {
		return tensor.Elem{}, err
	}
	for i, t := range in {
		if !t.Elem.IsFloat() && !t.Elem.IsInt() {
			return tensor.Elem{}, fmt.Errorf("input %d: want numbers, got %v", i, *t)
		}
		if t.Elem != in[0].Elem {
			return tensor.Elem{}, fmt.Errorf("input %d: want the element type of input 0, %v, got %v", i, in[0].Elem, *t)
		}
	}
	return in[0].Elem, nil
}

func (o *Einsum) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	ranks := make([]int, len(in))
	for i, t := range in {
		ranks[i] = len(t.Shape)
	}
	terms, free, err := o.terms(ranks)
	if err != nil {
		return nil, err
	}
	// The axes of the loop nest: those of the result, then those summed over, in order of appearance.
	axes := slices.Clone(free)
	for _, l := range terms {
		for _, c := range l {
			if !slices.Contains(axes, c) {
				axes = append(axes, c)
			}
		}
	}
	size, stride := ones(len(axes)), make([][]int, len(in))
	for i, l := range terms {
		stride[i] = make([]int, len(axes))
		for k, s := range in[i].Strides() {
			if d := in[i].Shape[k]; d != 1 {
				a := slices.Index(axes, l[k])
				size[a] = d
				stride[i][a] += s
			}
		}
	}
	y, at := out[0], 0
	pos := make([]int, len(in))
	var floats float64
	var ints int64
	// step moves the positions of all inputs by n along axis a.
	step := func(a, n int) {
		for i := range pos {
			pos[i] += n * stride[i][a]
		}
	}
	var walk func(a int)
	walk = func(a int) {
		if a == len(axes) {
			if y.F != nil {
				p := 1.0
				for i, x := range in {
					p *= float64(x.F[pos[i]])
				}
				floats += p
				return
			}
			p := int64(1)
			for i, x := range in {
				p *= x.I[pos[i]]
			}
			ints += p
			return
		}
		for range size[a] {
			walk(a + 1)
			step(a, 1)
		}
		step(a, -size[a])
	}
	var result func(a int)
	result = func(a int) {
		if a == len(free) {
			floats, ints = 0, 0
			walk(a)
			if y.F != nil {
				y.F[at] = float32(floats)
			} else {
				y.I[at] = ints
			}
			at++
			return
		}
		for range size[a] {
			result(a + 1)
			step(a, 1)
		}
		step(a, -size[a])
	}
	if y.Len() > 0 {
		result(0)
	}
	wrap(y)
	return out, nil
}

// Det is ONNX Det (11, 22): the determinants of the square matrices in the last two axes.
type Det struct{}

func (*Det) OpName() string { return "Det" }

func (*Det) Infer(in []*ir.Type) ([]ir.Type, error) {
	if err := reals(in, 1, 1); err != nil {
		return nil, err
	}
	s := in[0].Shape
	r := len(s)
	if r < 2 || !mayEqual(s[r-2], s[r-1]) {
		return nil, fmt.Errorf("input 0: want square matrices, got %v", *in[0])
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: slices.Clone(s[:r-2])}}, nil
}

func (o *Det) Eval(in []*tensor.T) ([]*tensor.T, error) {
	out, err := inferT(o, in)
	if err != nil {
		return nil, err
	}
	x := in[0]
	n := x.Shape[len(x.Shape)-1]
	m := make([]float64, n*n)
	for i := range out[0].F {
		for k := range m {
			m[k] = float64(x.F[i*n*n+k])
		}
		out[0].F[i] = float32(det(m, n))
	}
	return out, nil
}

// det eliminates an n x n matrix in place, with the greatest pivot of each column.
func det(m []float64, n int) float64 {
	d := 1.0
	for c := range n {
		p := c
		for r := c + 1; r < n; r++ {
			if math.Abs(m[r*n+c]) > math.Abs(m[p*n+c]) {
				p = r
			}
		}
		if p != c {
			d = -d
			for k := range n {
				m[p*n+k], m[c*n+k] = m[c*n+k], m[p*n+k]
			}
		}
		v := m[c*n+c]
		if d *= v; v == 0 {
			return 0
		}
		for r := c + 1; r < n; r++ {
			f := m[r*n+c] / v
			for k := c; k < n; k++ {
				m[r*n+k] -= f * m[c*n+k]
			}
		}
	}
	return d
}
