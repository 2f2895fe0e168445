package op

import (
	"fmt"

	"quern/ir"
	"quern/ir/tensor"
)

// Broadcast is the shape of an elementwise operator on two shapes by numpy's rule: aligned at the last axis, a missing or 1-sized
// axis is repeated. A symbolic dimension against a number other than 1 gives the number, since it is that or 1; two different
// symbols are an error.
func Broadcast(a, b []int) ([]int, error) {
	n := max(len(a), len(b))
	shape := make([]int, n)
	for i := range n {
		x, y := alignedDim(a, i-n+len(a)), alignedDim(b, i-n+len(b))
		switch {
		case x == y || y == 1:
			shape[i] = x
		case x == 1:
			shape[i] = y
		case ir.IsSymbol(x) && ir.IsSymbol(y) || !mayEqual(x, y):
			return nil, fmt.Errorf("shapes %s and %s do not broadcast: %s against %s", FormatAttr(a), FormatAttr(b),
				ir.DimString(x), ir.DimString(y))
		default:
			shape[i] = unify(x, y)
		}
	}
	return shape, nil
}

func alignedDim(shape []int, i int) int {
	if i < 0 {
		return 1
	}
	return shape[i]
}

// number is what tensors hold.
type number interface{ float32 | int64 }

// zip computes dst = f(a, b) elementwise; both operands broadcast to shape. Neighbouring axes are merged as far as both operands allow,
// so that f sees long rows; a scalar operand of a row is spread over a small buffer.
func zip[T number](dst, a, b []T, shape, as, bs []int, f func(dst, a, b []T)) {
	type loop struct{ n, a, b int } // size and strides; a stride of 0 repeats
	var loops []loop                // innermost first
	sa, sb, total := 1, 1, 1
	for i := len(shape) - 1; i >= 0; i-- {
		n := shape[i]
		l := loop{n: n}
		if alignedDim(as, i-len(shape)+len(as)) != 1 {
			l.a, sa = sa, sa*n
		}
		if alignedDim(bs, i-len(shape)+len(bs)) != 1 {
			l.b, sb = sb, sb*n
		}
		total *= n
		if n == 1 {
			continue
		}
		if k := len(loops) - 1; k >= 0 && l.a == loops[k].a*loops[k].n && l.b == loops[k].b*loops[k].n {
			loops[k].n *= n
			continue
		}
		loops = append(loops, l)
	}
	if total == 0 {
		return
	}
	if len(loops) == 0 {
		f(dst[:1], a[:1], b[:1])
		return
	}
	row := loops[0]
	var buf []T
	spread := func(v T) []T {
		if buf == nil {
			buf = make([]T, min(row.n, 256))
		} else if buf[0] == v {
			return buf
		}
		for i := range buf {
			buf[i] = v
		}
		return buf
	}
	var walk func(level, d, oa, ob int) int
	walk = func(level, d, oa, ob int) int {
		if level > 0 {
			l := loops[level]
			for range l.n {
				d = walk(level-1, d, oa, ob)
				oa += l.a
				ob += l.b
			}
			return d
		}
		out := dst[d : d+row.n]
		switch {
		case row.a != 0 && row.b != 0:
			f(out, a[oa:oa+row.n], b[ob:ob+row.n])
		case row.a == 0 && row.b == 0: // shape is larger than the two make together
			f(out[:1], a[oa:oa+1], b[ob:ob+1])
			for i := range out {
				out[i] = out[0]
			}
		case row.a != 0:
			s := spread(b[ob])
			for i := 0; i < row.n; i += len(s) {
				k := min(len(s), row.n-i)
				f(out[i:i+k], a[oa+i:oa+i+k], s[:k])
			}
		default:
			s := spread(a[oa])
			for i := 0; i < row.n; i += len(s) {
				k := min(len(s), row.n-i)
				f(out[i:i+k], s[:k], b[ob+i:ob+i+k])
			}
		}
		return d + row.n
	}
	walk(len(loops)-1, 0, 0, 0)
}

// arith is the inference of elementwise arithmetic on one or more broadcast inputs of one numeric element type.
func arith(in []*ir.Type, least, most int) ([]ir.Type, error) {
	if err := inputs(in, least, most); err != nil {
		return nil, err
	}
	shape := in[0].Shape
	for i, t := range in {
		if !t.Elem.IsFloat() && !t.Elem.IsInt() {
			return nil, fmt.Errorf("input %d: want numbers, got %v", i, *t)
		}
		if t.Elem != in[0].Elem {
			return nil, fmt.Errorf("input %d: want the element type of input 0, %v, got %v", i, in[0].Elem, *t)
		}
		var err error
		if shape, err = Broadcast(shape, t.Shape); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	return []ir.Type{{Elem: in[0].Elem, Shape: shape}}, nil
}

// fold runs a binary kernel over all inputs from left to right.
func fold(in []*tensor.T, floats func(dst, a, b []float32), ints func(dst, a, b []int64)) ([]*tensor.T, error) {
	if err := noSymbols(in...); err != nil {
		return nil, err
	}
	y := in[0]
	for _, b := range in[1:] {
		if b.Elem != y.Elem {
			return nil, fmt.Errorf("element types %v and %v", y.Elem, b.Elem)
		}
		shape, err := Broadcast(y.Shape, b.Shape)
		if err != nil {
			return nil, err
		}
		d := tensor.New(y.Elem, shape...)
		if y.Elem.IsFloat() {
			zip(d.F, y.F, b.F, shape, y.Shape, b.Shape, floats)
		} else {
			zip(d.I, y.I, b.I, shape, y.Shape, b.Shape, ints)
			wrap(d)
		}
		y = d
	}
	return []*tensor.T{y}, nil
}

// broadcastTo checks that a shape broadcasts to another without changing that.
func broadcastTo(from, to []int) error {
	s, err := Broadcast(to, from)
	bad := err != nil || len(s) != len(to)
	for i := range s {
		bad = bad || !mayEqual(s[i], to[i])
	}
	if bad {
		return fmt.Errorf("want a shape that broadcasts to %s, got %s", FormatAttr(to), FormatAttr(from))
	}
	return nil
}
