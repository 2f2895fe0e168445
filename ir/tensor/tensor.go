// Package tensor holds dense tensors and element types: the leaf under everything in ir.
//
//	t := tensor.Floats([]int{2, 3}, 1, 2, 3, 4, 5, 6)
//	t.Strides() // [3 1]: row major, the last axis runs fastest
package tensor

import (
	"fmt"
	"math"
	"slices"
)

// T is a dense row-major tensor. Float kinds are stored in F, integers and bool in I; the other slice is nil. Integers are
// held as int64 whatever their width; Check says whether they fit. len of the data is the product of Shape.
type T struct {
	Elem  Elem
	Shape []int
	F     []float32
	I     []int64
}

// New is a tensor of zeros. The shape is copied.
func New(e Elem, shape ...int) *T {
	t := &T{Elem: e, Shape: slices.Clone(shape)}
	if e.IsFloat() {
		t.F = make([]float32, Numel(shape))
	} else {
		t.I = make([]int64, Numel(shape))
	}
	return t
}

// Floats is a float32 tensor of the given values.
func Floats(shape []int, v ...float32) *T { return check(&T{Elem: F32, Shape: shape, F: v}) }

// Ints is an integer tensor of the given values.
func Ints(e Elem, shape []int, v ...int64) *T { return check(&T{Elem: e, Shape: shape, I: v}) }

func check(t *T) *T {
	if err := t.Check(); err != nil {
		panic(err)
	}
	return t
}

// Numel is the number of elements of a shape without symbolic dimensions.
func Numel(shape []int) int {
	n := 1
	for _, d := range shape {
		if d < 0 {
			panic(fmt.Sprintf("tensor: Numel of a shape that is not known: %v", shape))
		}
		n *= d
	}
	return n
}

// Len is the number of elements.
func (t *T) Len() int { return len(t.F) + len(t.I) }

// Strides are in elements, row major.
func (t *T) Strides() []int { return Strides(t.Shape) }

// Strides are the row-major strides of a shape, in elements.
func Strides(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// Reshape is the same data under another shape.
func (t *T) Reshape(shape ...int) *T {
	if Numel(shape) != t.Len() {
		panic(fmt.Sprintf("tensor: reshape of %v to %v", t.Shape, shape))
	}
	return &T{Elem: t.Elem, Shape: slices.Clone(shape), F: t.F, I: t.I}
}

// Clone copies the data.
func (t *T) Clone() *T {
	return &T{Elem: t.Elem, Shape: slices.Clone(t.Shape), F: slices.Clone(t.F), I: slices.Clone(t.I)}
}

// Float is element i as float64, whatever the kind.
func (t *T) Float(i int) float64 {
	if t.F != nil {
		return float64(t.F[i])
	}
	return float64(t.I[i])
}

// Permute is the transpose: axis i of the result is axis perm[i] of t.
func (t *T) Permute(perm []int) *T {
	shape := make([]int, len(perm))
	from := t.Strides()
	stride := make([]int, len(perm))
	for i, p := range perm {
		shape[i], stride[i] = t.Shape[p], from[p]
	}
	r := New(t.Elem, shape...)
	// The last axes, where they stay where they are, are copied as one.
	outer, block := len(perm), 1
	for outer > 0 && perm[outer-1] == outer-1 {
		outer--
		block *= shape[outer]
	}
	permute(r.F, t.F, shape[:outer], stride[:outer], block)
	permute(r.I, t.I, shape[:outer], stride[:outer], block)
	return r
}

// permute fills dst, unless it is nil, with blocks of src.
func permute[E any](dst, src []E, shape, stride []int, block int) {
	i := 0
	switch {
	case dst == nil:
	case block == 1: // a call of copy would cost more
		Walk(shape, stride, func(off int) {
			dst[i] = src[off]
			i++
		})
	default:
		Walk(shape, stride, func(off int) {
			copy(dst[i:i+block], src[off:])
			i += block
		})
	}
}

// Walk calls f with the offset of every element of shape under the given strides, the last axis fastest.
func Walk(shape, stride []int, f func(off int)) {
	if Numel(shape) == 0 {
		return
	}
	n := len(shape)
	if n == 0 {
		f(0)
		return
	}
	idx := make([]int, n)
	off := 0
	for {
		last, st := shape[n-1], stride[n-1]
		o := off
		for range last {
			f(o)
			o += st
		}
		a := n - 2
		for ; a >= 0; a-- {
			idx[a]++
			off += stride[a]
			if idx[a] < shape[a] {
				break
			}
			off -= idx[a] * stride[a]
			idx[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

// Check says whether data, shape and element type belong together and integers lie inside their width.
func (t *T) Check() error {
	n := Numel(t.Shape)
	if t.Elem.IsFloat() {
		if len(t.F) != n || t.I != nil {
			return fmt.Errorf("tensor %v%v: want %d floats, got %d", t.Elem, t.Shape, n, len(t.F))
		}
		return nil
	}
	if t.Elem.Kind == Invalid {
		return fmt.Errorf("tensor %v: no element type", t.Shape)
	}
	if len(t.I) != n || t.F != nil {
		return fmt.Errorf("tensor %v%v: want %d integers, got %d", t.Elem, t.Shape, n, len(t.I))
	}
	lo, hi := t.Elem.Range()
	for i, v := range t.I {
		// Values under the least int32 in a 64-bit tensor may be handles of symbolic dimensions: see ir.Symbol.
		if v < lo || v > hi {
			return fmt.Errorf("tensor %v%v: element %d is %d, outside %d..%d", t.Elem, t.Shape, i, v, lo, hi)
		}
	}
	return nil
}

// Equal compares element type, shape and bits (so NaN equals NaN and 0 differs from -0).
func (t *T) Equal(u *T) bool {
	if t.Elem != u.Elem || !slices.Equal(t.Shape, u.Shape) || !slices.Equal(t.I, u.I) || len(t.F) != len(u.F) {
		return false
	}
	for i, v := range t.F {
		if math.Float32bits(v) != math.Float32bits(u.F[i]) {
			return false
		}
	}
	return true
}

// String describes the tensor without its data.
func (t *T) String() string { return fmt.Sprintf("%v%v", t.Elem, t.Shape) }
